/*
 * A gateway with everything around it made of numbers: frames in, frames out
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_GATEWAY_HARNESS_H
#define TESTS_UNIT_GATEWAY_HARNESS_H

#include "gateway/gateway.h"
#include "proto/arp.h"
#include "proto/dhcp4.h"
#include "proto/dns.h"
#include "proto/eth.h"
#include "proto/icmp6.h"
#include "proto/ndp.h"
#include "proto/udp.h"

#define NET(host) (0xc0a86b00u + (host))    /* 192.168.107.host */
#define V4(host) ip_addr_v4(NET(host))
#define GATEWAY4 NET(1)

/** A frame that the gateway sent, with its headers parsed where it is IP. */
typedef struct HarnessFrame {
    uint8_t *data;
    size_t len;
    struct iovec iov;
    Frame frame;
    IpParse parse;
    IpPacket ip;
    EthHeader eth;
} HarnessFrame;

/** HarnessEvent: @was_found: gateway_lease_find() had it when it came. */
typedef struct HarnessEvent {
    GatewayEventType type;
    Lease lease;
    const char *detail;
    bool was_found;
} HarnessEvent;

typedef struct Harness {
    Gateway *gw;
    GatewayConfig config;
    GatewayOps ops;
    int64_t now_ms, wall_s;
    GPtrArray *out;             /* of HarnessFrame, since the last input */
    GArray *events;             /* of HarnessEvent */
    unsigned drops[SWITCH_DROP__MAX];
    unsigned n_saves;
    /* the uplink */
    UplinkOps uplink_ops;
    UplinkVerdict verdict;
    unsigned n_routed, n_flushed, n_gone;
    IpPacket routed;
    bool dns_takes;
    unsigned n_queries;
    uint32_t token;
    uint8_t query[4096];
    size_t query_len;
} Harness;

static inline void harness_frame_free(void *p)
{
    HarnessFrame *f = p;

    g_free(f->data);
    g_free(f);
}

static inline void harness_output(void *opaque, Frame *frames, unsigned n,
                                  int64_t now_ms)
{
    Harness *h = opaque;
    unsigned i;

    for (i = 0; i < n; i++) {
        HarnessFrame *f = g_new0(HarnessFrame, 1);

        f->len = frames[i].len;
        f->data = g_malloc(f->len);
        g_assert_cmpuint(frame_peek(&frames[i], 0, f->data, f->len), ==,
                         f->len);
        f->iov = (struct iovec) { f->data, f->len };
        frame_init(&f->frame, &f->iov, 1);
        g_assert_true(eth_parse(&f->frame, &f->eth));
        f->parse = ip_packet_parse(&f->frame, &f->ip);
        g_assert_true(f->parse == IP_PARSE_OK ||
                      (f->parse == IP_PARSE_NOT_IP &&
                       f->eth.type == ETH_TYPE_ARP));
        g_ptr_array_add(h->out, f);
    }
}

static inline void harness_event(void *opaque, const GatewayEvent *event)
{
    Harness *h = opaque;
    HarnessEvent e = { event->type, *event->lease, event->detail, false };
    char addr[IP_STRLEN];
    Lease lease;

    e.was_found = gateway_lease_find(h->gw,
                                     ip_addr_format(&e.lease.addr, addr),
                                     &lease) &&
                  mac_equal(&lease.mac, &e.lease.mac);
    g_array_append_val(h->events, e);
}

static inline void harness_changed(void *opaque)
{
    ((Harness *)opaque)->n_saves++;
}

static inline void harness_dropped(void *opaque, uint32_t id,
                                   SwitchDrop reason)
{
    ((Harness *)opaque)->drops[reason]++;
}

static inline int64_t harness_wall(void *opaque)
{
    return ((Harness *)opaque)->wall_s;
}

static inline UplinkVerdict harness_routed(void *uplink, const Frame *frame,
                                           const IpPacket *ip, int64_t now_ms)
{
    Harness *h = uplink;

    h->n_routed++;
    h->routed = *ip;
    return h->verdict;
}

static inline void harness_flushed(void *uplink, int64_t now_ms)
{
    ((Harness *)uplink)->n_flushed++;
}

static inline void harness_gone(void *uplink, uint32_t id, int64_t now_ms)
{
    ((Harness *)uplink)->n_gone++;
}

static inline bool harness_query(void *uplink, uint32_t token,
                                 const uint8_t *msg, size_t len,
                                 int64_t now_ms)
{
    Harness *h = uplink;

    h->n_queries++;
    h->token = token;
    h->query_len = MIN(len, sizeof(h->query));
    memcpy(h->query, msg, h->query_len);
    return h->dns_takes;
}

/** harness_config: what "shared" has; a test changes what it is about. */
static inline GatewayConfig harness_config(void)
{
    GatewayConfig config = {
        .mac = {{ 0x52, 0x56, 0, 0, 0, 1 }},
        .mtu_bytes = 1500,
        .gateway4 = ip_addr_v4(GATEWAY4),
        .prefix4 = { ip_addr_v4(NET(0)), 24 },
        .pool_first = NET(2),
        .pool_last = NET(254),
        .dhcp = true, .dns = true, .ra = true,
        .lease_s = 3600,
        .domain = "vmnet.internal",
        .hash_key = "secret of a net",
    };

    ip_addr_parse("fd00:1:2:3::", &config.prefix6.addr);
    config.prefix6.len = 64;
    return config;
}

static inline Harness *harness_new(const GatewayConfig *config)
{
    Harness *h = g_new0(Harness, 1);

    h->config = *config;
    h->ops = (GatewayOps) {
        .output = harness_output,
        .event = harness_event,
        .leases_changed = harness_changed,
        .dropped = harness_dropped,
        .wall_s = harness_wall,
    };
    h->uplink_ops = (UplinkOps) {
        .input = harness_routed,
        .flush = harness_flushed,
        .dns_query = harness_query,
        .port_gone = harness_gone,
    };
    h->now_ms = 1000000;
    h->wall_s = 1700000000;
    h->dns_takes = true;
    h->out = g_ptr_array_new_with_free_func(harness_frame_free);
    h->events = g_array_new(FALSE, FALSE, sizeof(HarnessEvent));
    h->gw = gateway_new(&h->config, &h->ops, h);
    return h;
}

static inline Harness *harness_new_shared(void)
{
    GatewayConfig config = harness_config();
    Harness *h = harness_new(&config);

    gateway_set_uplink(h->gw, &h->uplink_ops, h);
    return h;
}

static inline void harness_free(Harness *h)
{
    gateway_free(h->gw);
    g_array_unref(h->events);
    g_ptr_array_unref(h->out);
    g_free(h);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Harness, harness_free)

/** harness_clear: forget what came out, and the counts. */
static inline void harness_clear(Harness *h)
{
    g_ptr_array_set_size(h->out, 0);
    g_array_set_size(h->events, 0);
    memset(h->drops, 0, sizeof(h->drops));
    h->n_saves = h->n_routed = h->n_flushed = h->n_queries = 0;
}

static inline HarnessFrame *harness_out(Harness *h, unsigned i)
{
    g_assert_cmpuint(i, <, h->out->len);
    return g_ptr_array_index(h->out, i);
}

static inline HarnessEvent *harness_event_at(Harness *h, unsigned i)
{
    g_assert_cmpuint(i, <, h->events->len);
    return &g_array_index(h->events, HarnessEvent, i);
}

/** harness_send: one frame from @port, alone in its batch. */
static inline void harness_send(Harness *h, uint32_t port, const void *data,
                                size_t len)
{
    struct iovec iov = { (void *)data, len };
    Frame frame;

    harness_clear(h);
    frame_init(&frame, &iov, 1);
    frame.src_port = port;
    gateway_input(h->gw, &frame, 1, h->now_ms);
    gateway_flush(h->gw, h->now_ms);
}

/** harness_run: @ms pass, and everything that falls due in them happens. */
static inline void harness_run(Harness *h, int64_t ms)
{
    int64_t end_ms = h->now_ms + ms;
    unsigned n = 0;

    harness_clear(h);
    for (;;) {
        int64_t next_ms = gateway_deadline(h->gw);

        if (next_ms < 0 || next_ms > end_ms) {
            break;
        }
        g_assert_cmpuint(++n, <, 10000);
        h->wall_s += (MAX(next_ms, h->now_ms) - h->now_ms) / 1000;
        h->now_ms = MAX(next_ms, h->now_ms);
        gateway_run(h->gw, h->now_ms);
    }
    h->wall_s += (end_ms - h->now_ms) / 1000;
    h->now_ms = end_ms;
}

/** harness_mac: the @n-th guest's. */
static inline MacAddr harness_mac(unsigned n)
{
    return (MacAddr) {{ 0x52, 0x54, 0, n >> 16, n >> 8, n }};
}

static inline IpAddr harness_ip6(const char *text)
{
    IpAddr addr;

    g_assert_true(ip_addr_parse(text, &addr));
    return addr;
}

/** harness_headers: from guest @n at @src to @dst by the gateway's MAC, or the
 * MAC of a group. */
static inline IpHeaders harness_headers(Harness *h, unsigned n, IpAddr src,
                                        IpAddr dst)
{
    IpHeaders headers = {
        .eth_src = harness_mac(n),
        .eth_dst = h->config.mac,
        .src = src, .dst = dst,
        .ttl = 64,
    };

    if (dst.family == AF_INET && dst.v4 == INADDR_BROADCAST) {
        memset(&headers.eth_dst, 0xff, 6);
    } else if (ip_addr_is_group(&dst)) {
        headers.eth_dst = eth_group_mac(&dst);
    }
    return headers;
}

/** harness_udp: guest @n sends a datagram from port @n. */
static inline void harness_udp(Harness *h, unsigned n, IpAddr src, IpAddr dst,
                               uint16_t sport, uint16_t dport,
                               const void *payload, size_t len)
{
    IpHeaders headers = harness_headers(h, n, src, dst);
    uint8_t buf[9000];
    size_t size = udp_build(buf, sizeof(buf), &headers, sport, dport, payload,
                            len);

    g_assert_cmpuint(size, >, 0);
    harness_send(h, n, buf, size);
}

/** harness_arp: guest @n says or asks something by ARP. */
static inline void harness_arp(Harness *h, unsigned n, ArpOp op, uint32_t spa,
                               uint32_t tpa)
{
    MacAddr all = {{ 255, 255, 255, 255, 255, 255 }};
    ArpPacket arp = {
        .op = op, .sha = harness_mac(n), .spa = spa, .tpa = tpa,
    };
    uint8_t buf[ARP_FRAME_LEN];

    if (op == ARP_REPLY) {
        arp.tha = h->config.mac;
    }
    harness_send(h, n, buf,
                 arp_build(buf, op == ARP_REPLY ? &h->config.mac : &all, &arp));
}

/** harness_out_arp: the @i-th frame out is this ARP packet. */
static inline ArpPacket harness_out_arp(Harness *h, unsigned i)
{
    HarnessFrame *f = harness_out(h, i);
    ArpPacket arp;

    g_assert_cmphex(f->eth.type, ==, ETH_TYPE_ARP);
    g_assert_true(arp_parse(f->data + 14, f->len - 14, &arp));
    return arp;
}

static inline UdpDatagram harness_out_udp(Harness *h, unsigned i)
{
    HarnessFrame *f = harness_out(h, i);
    UdpDatagram udp;

    g_assert_cmpint(f->parse, ==, IP_PARSE_OK);
    g_assert_true(udp_parse(&f->frame, &f->ip, &udp));
    return udp;
}

static inline NdpMessage harness_out_ndp(Harness *h, unsigned i)
{
    HarnessFrame *f = harness_out(h, i);
    NdpMessage ndp;

    g_assert_cmpint(f->parse, ==, IP_PARSE_OK);
    g_assert_true(ndp_parse(&f->frame, &f->ip, &ndp));
    return ndp;
}

static inline IcmpMessage harness_out_icmp(Harness *h, unsigned i)
{
    HarnessFrame *f = harness_out(h, i);
    IcmpMessage icmp;

    g_assert_cmpint(f->parse, ==, IP_PARSE_OK);
    g_assert_true(icmp_parse(&f->frame, &f->ip, &icmp));
    return icmp;
}

/** HarnessDhcp: a DHCP message to be sent, and what came back. */
typedef struct HarnessDhcp {
    Dhcp4Type type;
    unsigned guest;         /* MAC */
    unsigned chaddr;        /* guest whose MAC it says; 0: its own */
    uint32_t port;          /* 0: the guest's number */
    uint32_t requested_ip, server_id, ciaddr, giaddr, ip_src, lease_s;
    bool broadcast, unicast, rapid_commit;
    const char *id, *hostname, *wants;
    uint16_t max_size;
    bool relay_info;
    size_t cut;             /* bytes cut from the end */
} HarnessDhcp;

static inline size_t harness_dhcp_build(const HarnessDhcp *d, uint8_t *buf,
                                        size_t size)
{
    MacAddr mac = harness_mac(d->chaddr ? d->chaddr : d->guest);
    Dhcp4Message header = {
        .op = DHCP4_BOOTREQUEST, .htype = 1, .hlen = 6,
        .xid = 0x1234abcd, .secs = 3,
        .broadcast = d->broadcast,
        .ciaddr = d->ciaddr, .giaddr = d->giaddr,
    };
    Dhcp4Builder b;

    memcpy(header.chaddr, mac.b, 6);
    dhcp4_begin(&b, buf, size, &header, d->type);
    if (d->id) {
        dhcp4_add_bytes(&b, DHCP4_OPTION_CLIENT_ID, d->id, strlen(d->id));
    }
    if (d->requested_ip) {
        dhcp4_add_u32(&b, DHCP4_OPTION_REQUESTED_IP, d->requested_ip);
    }
    if (d->server_id) {
        dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, d->server_id);
    }
    if (d->lease_s) {
        dhcp4_add_u32(&b, DHCP4_OPTION_LEASE_TIME, d->lease_s);
    }
    if (d->hostname) {
        dhcp4_add_string(&b, DHCP4_OPTION_HOSTNAME, d->hostname);
    }
    if (d->wants) {
        dhcp4_add_string(&b, DHCP4_OPTION_PARAMETER_LIST, d->wants);
    }
    if (d->max_size) {
        dhcp4_add_u16(&b, DHCP4_OPTION_MAX_SIZE, d->max_size);
    }
    if (d->rapid_commit) {
        dhcp4_add_flag(&b, DHCP4_OPTION_RAPID_COMMIT);
    }
    if (d->relay_info) {
        dhcp4_add_bytes(&b, DHCP4_OPTION_RELAY_INFO, "\1\4port", 6);
    }
    return dhcp4_finish(&b);
}

/**
 * harness_dhcp: send @d. Returns: true if there was an answer, which is in
 * @ret_reply.
 */
static inline bool harness_dhcp(Harness *h, HarnessDhcp d,
                                Dhcp4Message *ret_reply)
{
    uint8_t payload[1400], buf[1500];
    size_t len = harness_dhcp_build(&d, payload, sizeof(payload)) - d.cut;
    IpHeaders headers = harness_headers(h, d.guest, ip_addr_v4(d.ip_src),
        ip_addr_v4(d.unicast ? GATEWAY4 : INADDR_BROADCAST));
    unsigned i;

    len = udp_build(buf, sizeof(buf), &headers, d.giaddr ? 67 : 68, 67, payload,
                    len);
    harness_send(h, d.port ? d.port : d.guest, buf, len);
    for (i = 0; i < h->out->len; i++) {
        HarnessFrame *f = harness_out(h, i);
        UdpDatagram udp;

        if (f->parse == IP_PARSE_OK && f->ip.proto == IPPROTO_UDP) {
            udp = harness_out_udp(h, i);
            g_assert_cmpuint(udp.sport, ==, 67);
            g_assert_cmpuint(udp.payload_len, >=, DHCP4_MESSAGE_MIN);
            g_assert_true(dhcp4_parse(f->data + udp.payload_off,
                                      udp.payload_len, ret_reply));
            g_assert_cmpint(ret_reply->op, ==, DHCP4_BOOTREPLY);
            g_assert_cmphex(ret_reply->xid, ==, 0x1234abcd);
            return true;
        }
    }
    return false;
}

/** harness_lease: DISCOVER and REQUEST. Returns: the address; 0: none. */
static inline uint32_t harness_lease(Harness *h, HarnessDhcp d)
{
    Dhcp4Message reply;
    uint32_t addr;

    d.type = DHCP4_DISCOVER;
    if (!harness_dhcp(h, d, &reply) || reply.type != DHCP4_OFFER) {
        return 0;
    }
    addr = reply.yiaddr;
    d.type = DHCP4_REQUEST;
    d.requested_ip = addr;
    d.server_id = reply.server_id;
    if (!harness_dhcp(h, d, &reply) || reply.type != DHCP4_ACK) {
        return 0;
    }
    g_assert_cmphex(reply.yiaddr, ==, addr);
    return addr;
}

static inline void harness_ns(Harness *h, unsigned n, const char *src, const char *target)
{
    IpAddr to = harness_ip6(target);
    struct in6_addr group = ndp_solicited_node(&to.v6);
    IpHeaders headers = harness_headers(h, n, harness_ip6(src),
                                        ip_addr_v6(&group));
    uint8_t buf[NDP_NEIGHBOUR_FRAME_LEN];

    harness_send(h, n, buf, ndp_ns_build(buf, &headers, &to.v6));
}

#endif
