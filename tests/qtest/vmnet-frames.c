/*
 * What a guest's network stack says, for tests that are the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "vmnet-frames.h"

/* Wait for the frame that @match wants; others are passed over. */
bool vmnet_await(TestNic *nic, VmnetMatch *match, const void *what,
                 uint8_t *frame, gint64 wait_us)
{
    gint64 end = g_get_monotonic_time() + wait_us;

    do {
        size_t size = nic->receive(nic, frame);

        if (size) {
            if (match(frame, size, what)) {
                return true;
            }
        } else {
            g_usleep(500);
        }
    } while (g_get_monotonic_time() < end);
    return false;
}

uint16_t vmnet_checksum(const uint8_t *data, size_t size)
{
    uint32_t sum = 0;
    size_t i;

    for (i = 0; i + 1 < size; i += 2) {
        sum += lduw_be_p(data + i);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum;
}

void vmnet_ethernet(TestNic *nic, uint8_t *frame, const uint8_t *to,
                     uint16_t type)
{
    memcpy(frame, to, 6);
    memcpy(frame + 6, nic->mac, 6);
    stw_be_p(frame + 12, type);
}

/* IPv4 header at 14, of @size bytes with payload */
void vmnet_ipv4(uint8_t *frame, uint8_t protocol, uint32_t from, uint32_t to,
                 size_t size)
{
    uint8_t *ip = frame + 14;

    memset(ip, 0, 20);
    ip[0] = 0x45;
    stw_be_p(ip + 2, size);
    ip[8] = 64;
    ip[9] = protocol;
    stl_be_p(ip + 12, from);
    stl_be_p(ip + 16, to);
    stw_be_p(ip + 10, vmnet_checksum(ip, 20));
}

const uint8_t vmnet_broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

#define DHCP_AT (14 + 20 + 8)
#define DHCP_OPTIONS (DHCP_AT + 240)

#define DHCP_DISCOVER 1
#define DHCP_OFFER 2
#define DHCP_REQUEST 3
#define DHCP_ACK 5
#define DHCP_RELEASE 7

/* A DHCP message: DISCOVER, or REQUEST or RELEASE for @address of @server */
static void send_dhcp(TestNic *nic, uint8_t type, uint32_t address,
                      uint32_t server)
{
    uint8_t frame[DHCP_OPTIONS + 60] = { 0 };
    uint8_t *option = frame + DHCP_OPTIONS;

    vmnet_ethernet(nic, frame, vmnet_broadcast, 0x0800);
    frame[DHCP_AT] = 1;
    frame[DHCP_AT + 1] = 1;
    frame[DHCP_AT + 2] = 6;
    stl_be_p(frame + DHCP_AT + 4, 0x12345678);
    stl_be_p(frame + DHCP_AT + 12, type == DHCP_RELEASE ? address : 0);
    memcpy(frame + DHCP_AT + 28, nic->mac, 6);
    stl_be_p(frame + DHCP_AT + 236, 0x63825363);
    memcpy(option, (uint8_t[]){ 53, 1, type }, 3);
    option += 3;
    if (address) {
        memcpy(option, (uint8_t[]){ 50, 4 }, 2);
        stl_be_p(option + 2, address);
        memcpy(option + 6, (uint8_t[]){ 54, 4 }, 2);
        stl_be_p(option + 8, server);
        option += 12;
    }
    *option = 255;
    stw_be_p(frame + 34, 68);
    stw_be_p(frame + 36, 67);
    stw_be_p(frame + 38, sizeof(frame) - 34);
    vmnet_ipv4(frame, 17, 0, 0xffffffff, sizeof(frame) - 14);
    nic->transmit(nic, frame, sizeof(frame));
}

static const uint8_t *dhcp_option(const uint8_t *frame, size_t size,
                                  uint8_t code)
{
    size_t at = DHCP_OPTIONS;

    while (at + 2 <= size && frame[at] != 255) {
        if (frame[at] == code && at + 2 + frame[at + 1] <= size) {
            return frame + at + 2;
        }
        at += frame[at] ? 2 + frame[at + 1] : 1;
    }
    return NULL;
}

static bool is_dhcp(const uint8_t *frame, size_t size, const void *type)
{
    const uint8_t *value;

    if (size < DHCP_OPTIONS || lduw_be_p(frame + 12) != 0x0800
        || frame[23] != 17 || lduw_be_p(frame + 36) != 68) {
        return false;
    }
    value = dhcp_option(frame, size, 53);
    return value && *value == *(const uint8_t *)type;
}

/* Discover, offer, request, acknowledge: the address, and the gateway's. */
uint32_t vmnet_get_address(TestNic *nic, uint32_t *ret_gateway)
{
    uint8_t frame[VMNET_FRAME_BYTES];
    uint8_t offer = DHCP_OFFER, ack = DHCP_ACK;
    uint32_t address, server;

    send_dhcp(nic, DHCP_DISCOVER, 0, 0);
    g_assert_true(vmnet_await(nic, is_dhcp, &offer, frame, VMNET_WAIT_US));
    address = ldl_be_p(frame + DHCP_AT + 16);
    server = ldl_be_p(dhcp_option(frame, VMNET_FRAME_BYTES, 54));
    send_dhcp(nic, DHCP_REQUEST, address, server);
    g_assert_true(vmnet_await(nic, is_dhcp, &ack, frame, VMNET_WAIT_US));
    g_assert_cmphex((uint32_t)ldl_be_p(frame + DHCP_AT + 16), ==, address);
    *ret_gateway = server;
    return address;
}

void vmnet_release_address(TestNic *nic, uint32_t address, uint32_t gateway)
{
    send_dhcp(nic, DHCP_RELEASE, address, gateway);
}

static bool is_arp_reply(const uint8_t *frame, size_t size, const void *from)
{
    return size >= 42 && lduw_be_p(frame + 12) == 0x0806
           && lduw_be_p(frame + 20) == 2
           && (uint32_t)ldl_be_p(frame + 28) == *(const uint32_t *)from;
}

void vmnet_resolve(TestNic *nic, uint32_t own, uint32_t address,
                    uint8_t *ret_mac)
{
    uint8_t frame[VMNET_FRAME_BYTES] = { 0 };

    vmnet_ethernet(nic, frame, vmnet_broadcast, 0x0806);
    memcpy(frame + 14, (uint8_t[]){ 0, 1, 8, 0, 6, 4, 0, 1 }, 8);
    memcpy(frame + 22, nic->mac, 6);
    stl_be_p(frame + 28, own);
    stl_be_p(frame + 38, address);
    nic->transmit(nic, frame, 60);
    g_assert_true(vmnet_await(nic, is_arp_reply, &address, frame,
                        VMNET_WAIT_US));
    memcpy(ret_mac, frame + 22, 6);
}

static bool is_echo_reply(const uint8_t *frame, size_t size, const void *from)
{
    return size >= 42 && lduw_be_p(frame + 12) == 0x0800 && frame[23] == 1
           && frame[34] == 0
           && (uint32_t)ldl_be_p(frame + 26) == *(const uint32_t *)from;
}

void vmnet_ping(TestNic *nic, uint32_t own, uint32_t address,
                const uint8_t *mac)
{
    uint8_t frame[VMNET_FRAME_BYTES] = { 0 };

    vmnet_ethernet(nic, frame, mac, 0x0800);
    vmnet_ipv4(frame, 1, own, address, 20 + 8 + 56);
    frame[34] = 8;
    stw_be_p(frame + 38, 7);
    stw_be_p(frame + 36, vmnet_checksum(frame + 34, 64));
    nic->transmit(nic, frame, 14 + 20 + 8 + 56);
    g_assert_true(vmnet_await(nic, is_echo_reply, &address, frame,
                        VMNET_WAIT_US));
}
