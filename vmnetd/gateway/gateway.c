/*
 * The router inside a network: what comes in goes to one of the services, to
 * the uplink, or nowhere
 *
 * Theory of operation: gateway_input() parses each frame once and asks two
 * questions: is it for us, and may this port speak for its source address?
 * What is for us goes by the tables below to ARP, ND, ICMP, DHCP or DNS, whose
 * answers are staged (outbox.h) until gateway_flush(), because the switch is
 * in the middle of a batch.  Transport to the gateway's own address and to the
 * outside goes to the uplink.
 *
 * The hot path is a packet to be routed: one parse, one look at the last
 * neighbour, one call.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway-internal.h"

#include "proto/cursor.h"
#include "proto/dhcp4.h"
#include "proto/siphash.h"
#include "proto/udp.h"

/* Life and death */

Gateway *gateway_new(const GatewayConfig *config, const GatewayOps *ops,
                     void *opaque)
{
    Gateway *gw = g_new0(Gateway, 1);

    gw->config = *config;
    gw->domain = g_strdup(config->domain ? config->domain : "");
    gw->config.domain = gw->domain;
    gw->ops = *ops;
    gw->opaque = opaque;
    if (config->prefix6.addr.family == AF_INET6) {
        gw->gateway6 = config->prefix6.addr;
        gw->gateway6.v6.s6_addr[15] = 1;
        ip_addr_parse(GATEWAY_LINK_LOCAL6, &gw->link_local6);
    }
    gw->wall_offset_s = ops->wall_s(opaque);
    gw->ask_next_ms = -1;
    gw->defended_ms = INT64_MIN / 2;

    outbox_init(&gw->outbox);
    gw->ports = g_hash_table_new_full(g_direct_hash, g_direct_equal,
                                      NULL, g_free);
    gw->neighbours = neigh_table_new(config->hash_key);
    gw->leases = lease_table_new(config->hash_key);
    gw->dns = dns_proxy_new();
    gateway_zone_init(gw);
    gateway_ra_init(gw);
    return gw;
}

void gateway_free(Gateway *gw)
{
    if (!gw) {
        return;
    }
    dns_proxy_free(gw->dns);
    lease_table_free(gw->leases);
    neigh_table_free(gw->neighbours);
    g_hash_table_destroy(gw->ports);
    outbox_clear(&gw->outbox);
    g_free(gw->domain);
    g_free(gw);
}

void gateway_set_uplink(Gateway *gw, const UplinkOps *ops, void *uplink)
{
    gw->uplink_ops = ops;
    gw->uplink = uplink;
    gw->uplink_dirty = false;
}

/* What all services use */

GatewayPort *gateway_port(Gateway *gw, uint32_t id)
{
    GatewayPort *port = gw->last_port;

    if (port && port->id == id) {
        return port;
    }
    port = g_hash_table_lookup(gw->ports, GUINT_TO_POINTER(id));
    if (!port) {
        port = g_new0(GatewayPort, 1);
        port->id = id;
        g_hash_table_insert(gw->ports, GUINT_TO_POINTER(id), port);
    }
    gw->last_port = port;
    return port;
}

void gateway_drop(Gateway *gw, uint32_t id, SwitchDrop reason)
{
    gw->ops.dropped(gw->opaque, id, reason);
}

void gateway_measure_wall(Gateway *gw)
{
    gw->wall_offset_s = gw->ops.wall_s(gw->opaque) - gw->now_ms / 1000;
}

void gateway_set_now(Gateway *gw, int64_t now_ms)
{
    if (!gw->started) {
        /* Leases were loaded as if it had been 0 then. */
        gw->started = true;
        gw->now_ms = now_ms;
        lease_table_shift(gw->leases, now_ms);
        gateway_measure_wall(gw);
    }
    gw->now_ms = MAX(gw->now_ms, now_ms);
}

void gateway_send_staged(Gateway *gw)
{
    unsigned n_sent = 0;

    if (gw->depth > 0) {
        return;
    }
    gw->depth++;
    /* Sending may stage more, behind what is being sent. */
    while (n_sent < gw->outbox.n) {
        unsigned n = gw->outbox.n - n_sent;

        gw->ops.output(gw->opaque, gw->outbox.frames + n_sent, n, gw->now_ms);
        n_sent += n;
    }
    outbox_reset(&gw->outbox);
    gw->depth--;
}

uint64_t gateway_hash(const Gateway *gw, char salt, const void *data,
                      size_t len)
{
    uint8_t buf[32] = { salt };

    g_assert(len < sizeof(buf));
    memcpy(buf + 1, data, len);
    return siphash24(gw->config.hash_key, buf, len + 1);
}

bool gateway_is_own(const Gateway *gw, const IpAddr *addr)
{
    return addr->family == AF_INET ?
           ip_addr_equal(addr, &gw->config.gateway4) :
           ip_addr_equal(addr, &gw->gateway6) ||
           ip_addr_equal(addr, &gw->link_local6);
}

/* Has the network addresses of this family at all? */
static bool has_family(const Gateway *gw, sa_family_t family)
{
    return family == AF_INET ? gw->config.gateway4.family == AF_INET :
           gw->gateway6.family == AF_INET6;
}

static bool in_network(const Gateway *gw, const IpAddr *addr)
{
    return ip_prefix_contains(addr->family == AF_INET ? &gw->config.prefix4 :
                              &gw->config.prefix6, addr);
}

bool gateway_may_be_guest(const Gateway *gw, const IpAddr *addr)
{
    uint32_t host_mask, host;

    if (!has_family(gw, addr->family) || gateway_is_own(gw, addr)) {
        return false;
    }
    if (addr->family == AF_INET6) {
        return in_network(gw, addr) || ip_addr_is_link_local(addr);
    }
    host_mask = ~ip_len_to_mask(gw->config.prefix4.len);
    host = addr->v4 & host_mask;
    return in_network(gw, addr) && host != 0 && host != host_mask;
}

/* Neighbour and router discovery */

typedef struct NdHandler {
    uint8_t type;
    void (*input)(Gateway *gw, const Frame *frame, const IpPacket *ip,
                  const NdpMessage *ndp);
} NdHandler;

static const NdHandler nd_handlers[] = {
    { ND_ROUTER_SOLICIT, gateway_rs_input },
    { ND_NEIGHBOR_SOLICIT, gateway_ns_input },
    { ND_NEIGHBOR_ADVERT, gateway_na_input },
};

/* Returns: true if the packet was one of ND, and is dealt with. */
static bool nd_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    NdpMessage ndp;
    uint8_t type;
    unsigned i;

    if (ip->proto != IPPROTO_ICMPV6 || ip->src.family != AF_INET6 ||
        ip->is_fragment || frame_peek(frame, ip->l4_off, &type, 1) != 1 ||
        type < ND_ROUTER_SOLICIT || type > ND_REDIRECT) {
        return false;
    }
    for (i = 0; i < G_N_ELEMENTS(nd_handlers); i++) {
        if (nd_handlers[i].type != type) {
            continue;
        }
        if (ndp_parse(frame, ip, &ndp) && ndp.type == type) {
            nd_handlers[i].input(gw, frame, ip, &ndp);
        } else {
            gateway_drop(gw, frame->src_port, SWITCH_DROP_MALFORMED);
        }
    }
    return true;
}

/* UDP services of the gateway's addresses */

typedef struct UdpService {
    uint16_t port;
    bool v4, v6;
    size_t enabled_off;     /* of the bool in GatewayConfig */
    void (*input)(Gateway *gw, const Frame *frame, const IpPacket *ip);
} UdpService;

static const UdpService udp_services[] = {
    { DNS_PORT, true, true, offsetof(GatewayConfig, dns), gateway_dns_input },
    { DHCP4_SERVER_PORT, true, false, offsetof(GatewayConfig, dhcp),
      gateway_dhcp_input },
};

/* NULL: none, or it is switched off: then the port is the host's. */
static const UdpService *udp_service_find(const Gateway *gw,
                                          const Frame *frame,
                                          const IpPacket *ip)
{
    uint8_t ports[4];
    uint16_t dport;
    unsigned i;

    if (ip->proto != IPPROTO_UDP || ip->is_fragment || ip->l4_len < 4 ||
        frame_peek(frame, ip->l4_off, ports, sizeof(ports)) != sizeof(ports)) {
        return NULL;
    }
    dport = ports[2] << 8 | ports[3];
    for (i = 0; i < G_N_ELEMENTS(udp_services); i++) {
        const UdpService *service = &udp_services[i];

        if (service->port == dport &&
            (ip->src.family == AF_INET ? service->v4 : service->v6) &&
            G_STRUCT_MEMBER(bool, &gw->config, service->enabled_off)) {
            return service;
        }
    }
    return NULL;
}

/* The @len bytes from @offset on of a datagram that is to be cut. */
static void service_input_cut(Gateway *gw, const UdpService *service,
                              const Frame *frame, const IpPacket *ip,
                              uint32_t offset, uint32_t len)
{
    uint32_t head_len = ip->l4_off + UDP_HEADER_LEN;
    g_autofree uint8_t *buf = g_malloc(head_len + len);
    struct iovec iov = { buf, head_len + len };
    IpPacket cut = *ip;
    Frame one;

    if (frame_peek(frame, 0, buf, head_len) != head_len ||
        frame_peek(frame, offset, buf + head_len, len) != len) {
        return;
    }
    cut.l4_len = UDP_HEADER_LEN + len;
    writer_put_u16(buf + ip->l4_off + 4, cut.l4_len);
    frame_init(&one, &iov, 1);
    one.src_port = frame->src_port;
    one.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    service->input(gw, &one, &cut);
}

/* The gateway's port takes datagrams uncut for NAT; services want one each. */
static void service_input(Gateway *gw, const UdpService *service,
                          const Frame *frame, const IpPacket *ip)
{
    uint32_t size, done = 0;
    UdpDatagram udp;

    if (frame->vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE ||
        !udp_parse(frame, ip, &udp)) {
        service->input(gw, frame, ip);
        return;
    }
    size = udp_cut_size(frame, &udp);
    for (; done < udp.payload_len; done += size) {
        service_input_cut(gw, service, frame, ip, udp.payload_off + done,
                          MIN(size, udp.payload_len - done));
    }
}

/* Packets that leave by the uplink */

void gateway_tell_uplink(Gateway *gw, const Frame *frame,
                         const MacAddr *eth_dst)
{
    if (gw->uplink_ops && gw->uplink_ops->neighbour &&
        mac_equal(eth_dst, &gw->config.mac)) {
        gw->uplink_ops->neighbour(gw->uplink, frame, gw->now_ms);
    }
}

static void refuse(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    gateway_drop(gw, frame->src_port, SWITCH_DROP_REFUSED);
    gateway_icmp_error(gw, frame, ip, GATEWAY_ERROR_PROHIBITED);
}

static void uplink_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    gw->uplink_dirty = true;
    switch (gw->uplink_ops->input(gw->uplink, frame, ip, gw->now_ms)) {
    case UPLINK_OK:
        break;
    case UPLINK_REFUSED:
        refuse(gw, frame, ip);
        break;
    case UPLINK_MALFORMED:
        gateway_drop(gw, frame->src_port, SWITCH_DROP_MALFORMED);
        break;
    case UPLINK_LIMIT:
        gateway_drop(gw, frame->src_port, SWITCH_DROP_LIMIT);
        break;
    }
}

static void routed_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    /* What is on the network is not ours to carry: isolation would end here.
     * Groups and link-local addresses are nowhere else. */
    if (in_network(gw, &ip->dst) || ip_addr_is_group(&ip->dst) ||
        ip_addr_is_link_local(&ip->dst) || ip_addr_is_link_local(&ip->src) ||
        !gw->uplink_ops) {
        refuse(gw, frame, ip);
        return;
    }
    if (ip->ttl <= 1) {
        gateway_icmp_error(gw, frame, ip, GATEWAY_ERROR_TTL);
        return;
    }
    uplink_input(gw, frame, ip);
}

/* To one of the gateway's own addresses. */
static void local_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    const UdpService *service = udp_service_find(gw, frame, ip);

    if (service) {
        service_input(gw, service, frame, ip);
        return;
    }
    if ((ip->proto == IPPROTO_ICMP || ip->proto == IPPROTO_ICMPV6) &&
        !ip->is_fragment && gateway_echo_input(gw, frame, ip)) {
        return;
    }
    /* Services of the host, answers through a forward, ICMP errors about
     * flows.  The link-local address stands for the gateway alone. */
    if (gw->uplink_ops && !ip_addr_is_link_local(&ip->dst)) {
        uplink_input(gw, frame, ip);
        return;
    }
    if (ip->proto == IPPROTO_TCP || ip->proto == IPPROTO_UDP) {
        gateway_icmp_error(gw, frame, ip, GATEWAY_ERROR_NO_PORT);
    } else if (ip->proto != IPPROTO_ICMP && ip->proto != IPPROTO_ICMPV6) {
        gateway_icmp_error(gw, frame, ip, GATEWAY_ERROR_NO_PROTOCOL);
    }
}

/* Frames */

static void unicast_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    if (!gateway_bind_source(gw, &ip->src, &ip->eth_src, frame->src_port)) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_FOREIGN_SOURCE);
    } else if (gateway_is_own(gw, &ip->dst)) {
        local_input(gw, frame, ip);
    } else {
        routed_input(gw, frame, ip);
    }
}

/* Of all that goes to many, DHCP and pings of all nodes concern us. */
static void group_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    const UdpService *service = udp_service_find(gw, frame, ip);

    if (service && service->port == DHCP4_SERVER_PORT) {
        service_input(gw, service, frame, ip);
    } else if (ip->dst.family == AF_INET6 && ip->proto == IPPROTO_ICMPV6 &&
               IN6_ARE_ADDR_EQUAL(&ip->dst.v6, &ndp_all_nodes) &&
               gateway_bind_source(gw, &ip->src, &ip->eth_src,
                                   frame->src_port)) {
        gateway_echo_input(gw, frame, ip);
    }
}

static void ip_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    bool is_group = mac_is_group(ip->eth_dst.b);

    if (!has_family(gw, ip->src.family) || (ip->vlan_tci & 0xfff) != 0 ||
        (!is_group && !mac_equal(&ip->eth_dst, &gw->config.mac)) ||
        nd_input(gw, frame, ip)) {
        return;
    }
    if (is_group) {
        group_input(gw, frame, ip);
    } else {
        unicast_input(gw, frame, ip);
    }
}

static void other_input(Gateway *gw, const Frame *frame)
{
    EthHeader eth;

    if (eth_parse(frame, &eth) && eth.type == ETH_TYPE_ARP &&
        (eth.vlan_tci & 0xfff) == 0) {
        gateway_arp_input(gw, frame, &eth);
    }
}

static void frame_input(Gateway *gw, const Frame *frame)
{
    IpPacket ip;

    switch (ip_packet_parse(frame, &ip)) {
    case IP_PARSE_OK:
        ip_input(gw, frame, &ip);
        break;
    case IP_PARSE_NOT_IP:
        other_input(gw, frame);
        break;
    case IP_PARSE_MALFORMED:
        gateway_drop(gw, frame->src_port, SWITCH_DROP_MALFORMED);
        break;
    case IP_PARSE_UNSUPPORTED:
        gateway_drop(gw, frame->src_port, SWITCH_DROP_REFUSED);
        break;
    }
}

void gateway_input(Gateway *gw, const Frame *frames, unsigned n,
                   int64_t now_ms)
{
    unsigned i;

    gateway_set_now(gw, now_ms);
    gw->depth++;
    for (i = 0; i < n; i++) {
        frame_input(gw, &frames[i]);
    }
    gw->depth--;
}

void gateway_flush(Gateway *gw, int64_t now_ms)
{
    gateway_set_now(gw, now_ms);
    if (gw->uplink_dirty && gw->uplink_ops) {
        gw->uplink_dirty = false;
        gw->uplink_ops->flush(gw->uplink, gw->now_ms);
    }
    gateway_send_staged(gw);
}

/* Time */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

int64_t gateway_deadline(const Gateway *gw)
{
    return sooner(gw->ask_next_ms,
                  sooner(gateway_ra_deadline(gw),
                         lease_table_deadline(gw->leases)));
}

void gateway_deadline_changed(Gateway *gw)
{
    if (gw->ops.deadline && gw->depth == 0) {
        gw->ops.deadline(gw->opaque, gateway_deadline(gw));
    }
}

int64_t gateway_run(Gateway *gw, int64_t now_ms)
{
    gateway_set_now(gw, now_ms);
    gw->depth++;
    gateway_ask_run(gw);
    gateway_ra_run(gw);
    gateway_dhcp_run(gw);
    gw->depth--;
    gateway_send_staged(gw);
    return gateway_deadline(gw);
}

void gateway_port_gone(Gateway *gw, uint32_t id, int64_t now_ms)
{
    gateway_set_now(gw, now_ms);
    if (gw->uplink_ops) {
        gw->uplink_ops->port_gone(gw->uplink, id, gw->now_ms);
    }
    neigh_table_port_gone(gw->neighbours, id);
    lease_table_port_gone(gw->leases, id);
    gateway_ra_port_gone(gw, id);
    gateway_dns_port_gone(gw, id);
    gw->last_port = NULL;
    g_hash_table_remove(gw->ports, GUINT_TO_POINTER(id));
}
