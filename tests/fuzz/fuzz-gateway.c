/*
 * Fuzz target: the whole gateway, fed with frames of four guests
 *
 * The input is a list of steps, each a byte that says what happens and two of
 * length, with as many bytes behind them:
 *
 *   0x00 to 0x03   a frame of that guest's port; IPv4 header checksums are made
 *                  right, and the transport's taken at its word, so that the
 *                  fuzzer reaches what lies behind them
 *   0x04           time passes: as many seconds as the first byte says
 *   0x05           the resolver answers the latest query
 *   0x06           a port goes
 *   0x07           the uplink asks for a neighbour
 *   0x08           a query comes over TCP
 *
 * All that comes out must be well formed, and the leases survive a save.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway.h"
#include "proto/checksum.h"
#include "proto/eth.h"

#define STEPS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct World {
    Gateway *gw;
    int64_t now_ms;
    uint32_t token;
    size_t n_in;    /* bytes of the largest frame in */
} World;

static void on_output(void *opaque, Frame *frames, unsigned n, int64_t now_ms)
{
    World *world = opaque;
    unsigned i;

    g_assert(n <= FRAME_BATCH_MAX);
    for (i = 0; i < n; i++) {
        EthHeader eth;
        IpPacket ip;

        g_assert(eth_parse(&frames[i], &eth));
        g_assert(!mac_is_group(eth.src.b));
        g_assert(frames[i].len <= MAX(1514, world->n_in));
        if (eth.type != ETH_TYPE_ARP) {
            g_assert(ip_packet_parse(&frames[i], &ip) == IP_PARSE_OK);
            g_assert(ip_checksum_ok(&frames[i], &ip) ||
                     ip.proto == IPPROTO_ICMP);
        }
    }
}

static void on_event(void *opaque, const GatewayEvent *event)
{
    g_assert(event->lease->addr.family == AF_INET);
}

static void on_changed(void *opaque)
{
}

static void on_dropped(void *opaque, uint32_t id, SwitchDrop reason)
{
    g_assert(reason < SWITCH_DROP__MAX);
}

static int64_t on_wall(void *opaque)
{
    return 1700000000 + ((World *)opaque)->now_ms / 1000;
}

static UplinkVerdict on_routed(void *uplink, const Frame *frame,
                               const IpPacket *ip, int64_t now_ms)
{
    return ip->dst.family == AF_INET ? ip->dst.v4 % 4 :
           ip->dst.v6.s6_addr[15] % 4;
}

static void on_flush(void *uplink, int64_t now_ms)
{
}

static bool on_query(void *uplink, uint32_t token, const uint8_t *msg,
                     size_t len, int64_t now_ms)
{
    ((World *)uplink)->token = token;
    return true;
}

static void on_gone(void *uplink, uint32_t id, int64_t now_ms)
{
}

static void on_reply(void *opaque, const uint8_t *msg, size_t len)
{
    g_assert(len >= 12);
}

static const GatewayOps ops = {
    on_output, on_event, on_changed, on_dropped, on_wall,
};

static const UplinkOps uplink_ops = {
    .input = on_routed, .flush = on_flush, .dns_query = on_query,
    .port_gone = on_gone,
};

static Gateway *make(World *world)
{
    GatewayConfig config = {
        .mac = {{ 0x52, 0x54, 0, 0, 0, 1 }},
        .mtu_bytes = 1500,
        .gateway4 = ip_addr_v4(0xc0a86b01),
        .prefix4 = { ip_addr_v4(0xc0a86b00), 24 },
        .pool_first = 0xc0a86b02,
        .pool_last = 0xc0a86b05,
        .dhcp = true, .dns = true, .ra = true,
        .lease_s = 60,
        .domain = "vmnet.internal",
    };

    ip_addr_parse("fd00::", &config.prefix6.addr);
    config.prefix6.len = 64;
    return gateway_new(&config, &ops, world);
}

static void step_frame(World *world, uint32_t port, uint8_t *bytes, size_t len)
{
    struct iovec iov = { bytes, len };
    Frame frame;

    if (len >= 34 && bytes[12] == 0x08 && bytes[13] == 0) {
        size_t header_len = MIN((bytes[14] & 0xfu) * 4, len - 14);
        uint16_t check;

        memset(bytes + 24, 0, 2);
        check = csum_fold(csum_add(0, bytes + 14, header_len));
        memcpy(bytes + 24, &check, 2);
    }
    frame_init(&frame, &iov, 1);
    frame.vnet.flags = VIRTIO_NET_HDR_F_DATA_VALID;
    frame.src_port = port;
    world->n_in = MAX(world->n_in, len);
    gateway_input(world->gw, &frame, 1, world->now_ms);
    gateway_flush(world->gw, world->now_ms);
}

static void step(World *world, uint8_t op, uint8_t *bytes, size_t len)
{
    uint8_t first = len > 0 ? bytes[0] : 0;
    IpAddr addr = ip_addr_v4(0xc0a86b00 + first);
    MacAddr mac;

    switch (op) {
    case 4:
        world->now_ms += first * 1000 + 1;
        gateway_run(world->gw, world->now_ms);
        break;
    case 5:
        gateway_dns_reply(world->gw, world->token, bytes, len, world->now_ms);
        break;
    case 6:
        gateway_port_gone(world->gw, first % 4 + 1, world->now_ms);
        break;
    case 7:
        if (len >= 16) {
            addr = ip_addr_v6((struct in6_addr *)bytes);
        }
        gateway_neighbour(world->gw, &addr, world->now_ms, &mac, NULL);
        break;
    case 8:
        gateway_dns_query(world->gw, first % 5, bytes, len, on_reply, NULL,
                          world->now_ms);
        break;
    default:
        step_frame(world, op % 4 + 1, bytes, len);
        break;
    }
}

static void check_save(World *world)
{
    g_autofree char *text = gateway_save(world->gw);
    g_autoptr(GArray) leases = gateway_leases(world->gw);
    Gateway *again = make(world);

    g_assert(leases->len <= 4);
    g_assert(gateway_load(again, text, strlen(text), NULL));
    gateway_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    World world = { .now_ms = 1000 };
    unsigned n;

    world.gw = make(&world);
    gateway_set_uplink(world.gw, &uplink_ops, &world);
    for (n = 0; n < STEPS_MAX && size >= 3; n++) {
        size_t len = MIN((size_t)(data[1] << 8 | data[2]), size - 3);
        g_autofree uint8_t *bytes = g_memdup2(data + 3, len);

        step(&world, data[0], bytes, len);
        data += 3 + len;
        size -= 3 + len;
    }
    check_save(&world);
    gateway_free(world.gw);
    return 0;
}
