/*
 * Fuzz target: answers to the DHCP client of vmnet-run --netns
 *
 * Frames, each behind a byte that says what happens before it, and two of its
 * length.  The byte's bits: 0: the client does what is due; 1: an hour passes;
 * 2: the frame is a DHCP message alone, and is put into a reply to what the
 * client has asked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "dhcp-client.h"
#include "proto/dhcp4.h"
#include "proto/udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define XID 0x12345678
#define FRAMES_MAX 32
#define REPLY_BYTES_MAX 2048
#define HEADERS_BYTES (14 + 20 + 8)
#define HOUR_MS 3600000

enum { STEP = 1, HOUR = 2, REPLY = 4 };

static const MacAddr mac = { { 0x52, 0x54, 0, 0x12, 0x34, 0x56 } };

/* What goes into a resolv.conf is a name. */
static void check(const DhcpClient *client)
{
    const char *p;

    g_assert_cmpuint(client->lease.n_dns, <=, DHCP_LEASE_DNS_MAX);
    g_assert_nonnull(memchr(client->lease.domain, '\0',
                            sizeof(client->lease.domain)));
    for (p = client->lease.domain; *p; p++) {
        g_assert_true(g_ascii_isalnum(*p) || *p == '-' || *p == '.');
    }
    if (client->state == DHCP_CLIENT_BOUND) {
        g_assert_cmpuint(client->lease.address, !=, 0);
        g_assert_cmpint(client->expire_ms, >=, client->renew_ms);
    }
}

static void step(DhcpClient *client, int64_t now_ms)
{
    uint8_t frame[DHCP_CLIENT_FRAME_MAX];
    size_t len = dhcp_client_step(client, now_ms, frame);

    g_assert_cmpuint(len, <=, sizeof(frame));
    /* A step is made, and the next one is in the future: no busy loop. */
    g_assert_cmpint(client->next_ms, >, now_ms);
    check(client);
}

static bool answer(DhcpClient *client, const uint8_t *message, size_t len,
                   int64_t now_ms)
{
    uint8_t frame[HEADERS_BYTES + REPLY_BYTES_MAX];
    uint8_t body[REPLY_BYTES_MAX];
    IpHeaders headers = {
        .eth_src = { { 2, 0, 0, 0, 0, 1 } }, .eth_dst = mac,
        .src = { .family = AF_INET, .v4 = 0xc0a86b01 },
        .dst = { .family = AF_INET, .v4 = 0xc0a86b02 }, .ttl = 64,
    };

    len = MIN(len, sizeof(body));
    memcpy(body, message, len);
    if (len >= 34) {
        /* Else nothing gets past the first look. */
        memcpy(body + 4, (uint8_t[]) { 0x12, 0x34, 0x56, 0x78 }, 4);
        memcpy(body + 28, mac.b, sizeof(mac.b));
    }
    len = udp_build(frame, sizeof(frame), &headers, DHCP4_SERVER_PORT,
                    DHCP4_CLIENT_PORT, body, len);
    return dhcp_client_input(client, frame, len, now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t now_ms = 1000;
    DhcpClient client;
    unsigned n;

    dhcp_client_init(&client, &mac, XID, "host", now_ms);
    step(&client, now_ms);
    for (n = 0; n < FRAMES_MAX && size >= 3; n++) {
        size_t len = MIN((size_t)(data[1] | data[2] << 8), size - 3);
        bool is_new;

        if (data[0] & HOUR) {
            now_ms += HOUR_MS;
        }
        if (data[0] & STEP && now_ms >= client.next_ms) {
            step(&client, now_ms);
        }
        is_new = data[0] & REPLY
                 ? answer(&client, data + 3, len, now_ms)
                 : dhcp_client_input(&client, data + 3, len, now_ms);
        g_assert_true(!is_new || client.state == DHCP_CLIENT_BOUND);
        check(&client);
        data += 3 + len;
        size -= 3 + len;
    }
    return 0;
}
