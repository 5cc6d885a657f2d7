/*
 * A DHCPv4 client for one interface
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "dhcp-client.h"

#include <glib.h>
#include <string.h>

#include "proto/dhcp4.h"
#include "proto/udp.h"

/* The first wait for an answer, and the last: it doubles (RFC 2131 4.1). */
#define WAIT_MIN_MS 500
#define WAIT_MAX_MS 8000

/* Requests for one offer before it is given up. */
#define REQUESTS_MAX 3

static const uint8_t wanted[] = {
    DHCP4_OPTION_SUBNET_MASK, DHCP4_OPTION_ROUTER, DHCP4_OPTION_DNS,
    DHCP4_OPTION_DOMAIN_NAME,
};

static bool has_lease(const DhcpClient *client)
{
    return client->state == DHCP_CLIENT_BOUND ||
           client->state == DHCP_CLIENT_RENEWING;
}

static void enter(DhcpClient *client, DhcpClientState state, int64_t now_ms)
{
    client->state = state;
    client->n_tries = 0;
    client->next_ms = now_ms;
}

void dhcp_client_init(DhcpClient *client, const MacAddr *mac, uint32_t xid,
                      const char *name, int64_t now_ms)
{
    *client = (DhcpClient) { .mac = *mac, .xid = xid, .name = name };
    enter(client, DHCP_CLIENT_SELECTING, now_ms);
}

static void fill_header(const DhcpClient *client, Dhcp4Message *header)
{
    header->op = DHCP4_BOOTREQUEST;
    header->htype = 1;
    header->hlen = sizeof(client->mac.b);
    header->xid = client->xid;
    memcpy(header->chaddr, client->mac.b, sizeof(client->mac.b));
    /* RFC 2131, table 5: only who has the address says so. */
    header->ciaddr = has_lease(client) ? client->lease.address : 0;
}

static size_t build_message(const DhcpClient *client, uint8_t *buf, size_t size)
{
    g_autofree Dhcp4Message *header = g_new0(Dhcp4Message, 1);
    Dhcp4Builder b;

    fill_header(client, header);
    dhcp4_begin(&b, buf, size, header,
                client->state == DHCP_CLIENT_SELECTING ? DHCP4_DISCOVER
                                                       : DHCP4_REQUEST);
    if (client->state == DHCP_CLIENT_REQUESTING) {
        dhcp4_add_u32(&b, DHCP4_OPTION_REQUESTED_IP, client->lease.address);
        dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, client->lease.server);
    }
    if (client->name) {
        dhcp4_add_bytes(&b, DHCP4_OPTION_HOSTNAME, client->name,
                        strlen(client->name));
    }
    dhcp4_add_bytes(&b, DHCP4_OPTION_PARAMETER_LIST, wanted, sizeof(wanted));
    return dhcp4_finish(&b);
}

static size_t build_frame(const DhcpClient *client, uint8_t *frame)
{
    uint8_t message[DHCP4_PACKET_DEFAULT];
    size_t len = build_message(client, message, DHCP4_PACKET_DEFAULT - 28);
    IpHeaders headers = {
        .eth_src = client->mac,
        .eth_dst = { { 255, 255, 255, 255, 255, 255 } },
        .src = { .family = AF_INET },
        .dst = { .family = AF_INET, .v4 = INADDR_BROADCAST },
        .ttl = 64,
    };

    if (has_lease(client)) {
        headers.src.v4 = client->lease.address;
    }
    return udp_build(frame, DHCP_CLIENT_FRAME_MAX, &headers, DHCP4_CLIENT_PORT,
                     DHCP4_SERVER_PORT, message, len);
}

/* RFC 2131 4.4.5: half of what is left of the lease. */
static int64_t renewal_wait_ms(const DhcpClient *client, int64_t now_ms)
{
    return MAX((client->expire_ms - now_ms) / 2, WAIT_MIN_MS);
}

size_t dhcp_client_step(DhcpClient *client, int64_t now_ms,
                        uint8_t frame[DHCP_CLIENT_FRAME_MAX])
{
    if (now_ms < client->next_ms) {
        return 0;
    }
    if (has_lease(client) && now_ms >= client->expire_ms) {
        enter(client, DHCP_CLIENT_SELECTING, now_ms);
    } else if (client->state == DHCP_CLIENT_BOUND) {
        enter(client, DHCP_CLIENT_RENEWING, now_ms);
    } else if (client->state == DHCP_CLIENT_REQUESTING &&
               client->n_tries == REQUESTS_MAX) {
        enter(client, DHCP_CLIENT_SELECTING, now_ms);
    }
    if (client->state == DHCP_CLIENT_RENEWING) {
        client->next_ms = MIN(now_ms + renewal_wait_ms(client, now_ms),
                              client->expire_ms);
    } else {
        client->next_ms = now_ms + MIN(WAIT_MIN_MS << MIN(client->n_tries, 8),
                                       WAIT_MAX_MS);
    }
    client->n_tries++;
    return build_frame(client, frame);
}

/* It goes into a resolv.conf. */
static void take_domain(DhcpLease *lease, const Dhcp4Bytes *bytes)
{
    size_t i;

    if (!bytes->data || bytes->len >= sizeof(lease->domain)) {
        return;
    }
    for (i = 0; i < bytes->len; i++) {
        if (!g_ascii_isalnum(bytes->data[i]) && bytes->data[i] != '-' &&
            bytes->data[i] != '.') {
            return;
        }
    }
    memcpy(lease->domain, bytes->data, bytes->len);
}

static void take_dns(DhcpLease *lease, const Dhcp4Bytes *bytes)
{
    Cursor c = cursor_new(bytes->data, bytes->data ? bytes->len : 0);

    while (cursor_left(&c) >= 4 && lease->n_dns < DHCP_LEASE_DNS_MAX) {
        lease->dns[lease->n_dns++] = cursor_u32(&c);
    }
}

static DhcpLease lease_of(const Dhcp4Message *msg)
{
    DhcpLease lease = { .address = msg->yiaddr, .server = msg->server_id,
                        .mask = 0xffffff00, .lease_s = msg->lease_s };
    const Dhcp4Bytes *router = &msg->options[DHCP4_OPTION_ROUTER];
    Cursor c = cursor_new(router->data, router->data ? router->len : 0);

    dhcp4_option_u32(msg, DHCP4_OPTION_SUBNET_MASK, &lease.mask);
    lease.router = cursor_u32(&c);
    take_dns(&lease, &msg->options[DHCP4_OPTION_DNS]);
    take_domain(&lease, &msg->options[DHCP4_OPTION_DOMAIN_NAME]);
    return lease;
}

static bool bind_lease(DhcpClient *client, const Dhcp4Message *msg,
                       int64_t now_ms)
{
    DhcpLease lease = lease_of(msg);
    bool is_new = !has_lease(client) ||
                  memcmp(&lease, &client->lease, sizeof(lease)) != 0;
    int64_t lease_ms = MAX(lease.lease_s, 1) * INT64_C(1000);

    client->lease = lease;
    enter(client, DHCP_CLIENT_BOUND, now_ms);
    client->renew_ms = now_ms + lease_ms / 2;
    client->expire_ms = now_ms + lease_ms;
    client->next_ms = client->renew_ms;
    return is_new;
}

static bool take_message(DhcpClient *client, const Dhcp4Message *msg,
                         int64_t now_ms)
{
    bool is_usable = msg->yiaddr != 0 && msg->server_id != 0 &&
                     msg->lease_s != 0;

    if (msg->type == DHCP4_OFFER && client->state == DHCP_CLIENT_SELECTING &&
        is_usable) {
        client->lease = lease_of(msg);
        enter(client, DHCP_CLIENT_REQUESTING, now_ms);
    } else if (msg->type == DHCP4_ACK && is_usable &&
               (client->state == DHCP_CLIENT_REQUESTING ||
                client->state == DHCP_CLIENT_RENEWING)) {
        return bind_lease(client, msg, now_ms);
    } else if (msg->type == DHCP4_NAK &&
               (client->state == DHCP_CLIENT_REQUESTING ||
                client->state == DHCP_CLIENT_RENEWING)) {
        enter(client, DHCP_CLIENT_SELECTING, now_ms);
    }
    return false;
}

bool dhcp_client_input(DhcpClient *client, const void *frame, size_t len,
                       int64_t now_ms)
{
    struct iovec iov = { (void *)frame, len };
    g_autofree Dhcp4Message *msg = NULL;
    UdpDatagram udp;
    IpPacket ip;
    Frame parsed;

    frame_init(&parsed, &iov, 1);
    if (ip_packet_parse(&parsed, &ip) != IP_PARSE_OK ||
        ip.src.family != AF_INET || !udp_parse(&parsed, &ip, &udp) ||
        udp.dport != DHCP4_CLIENT_PORT) {
        return false;
    }
    msg = g_new(Dhcp4Message, 1);
    if (!dhcp4_parse((const uint8_t *)frame + udp.payload_off,
                     udp.payload_len, msg) ||
        msg->op != DHCP4_BOOTREPLY || msg->xid != client->xid ||
        msg->hlen != sizeof(client->mac.b) ||
        memcmp(msg->chaddr, client->mac.b, sizeof(client->mac.b))) {
        return false;
    }
    return take_message(client, msg, now_ms);
}
