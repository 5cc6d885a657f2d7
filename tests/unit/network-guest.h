/*
 * A guest at the end of a stream port: what a VMM and its guest would send
 *
 *   NetGuest: frames <-- socketpair --> Port -- switch -- gateway -- uplink
 *
 * Waits run the loop until something has come; a watchdog ends a test that
 * waits in vain.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_NETWORK_GUEST_H
#define TESTS_UNIT_NETWORK_GUEST_H

#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "network/network.h"
#include "proto/arp.h"
#include "proto/checksum.h"
#include "proto/dhcp4.h"
#include "proto/dns.h"
#include "proto/eth.h"
#include "proto/tcp.h"
#include "proto/udp.h"

#define NET_GUEST_WAIT_S 20

typedef struct NetGuest {
    Network *network;
    Port *port;
    int fd;
    MacAddr mac, gateway_mac;
    IpAddr addr, gateway;

    /* The frame that came last. */
    uint8_t data[FRAME_LEN_MAX];
    struct iovec iov;
    Frame frame;
    EthHeader eth;
    IpParse parse;
    IpPacket ip;

    /* One TCP connection. */
    uint16_t sport, dport;
    uint32_t seq, ack;
    IpAddr peer;
} NetGuest;

static inline gboolean net_guest_too_long(gpointer unused)
{
    g_error("nothing happened within %d s", NET_GUEST_WAIT_S);
    return G_SOURCE_REMOVE;
}

/* One turn of the loop that waits for something. */
static inline void net_iterate(void)
{
    guint watchdog = g_timeout_add_seconds(NET_GUEST_WAIT_S,
                                           net_guest_too_long, NULL);

    g_main_context_iteration(NULL, TRUE);
    g_source_remove(watchdog);
}

static inline void net_settle(void)
{
    while (g_main_context_iteration(NULL, FALSE)) {
        /* again */
    }
}

static inline NetGuest *net_guest_new(Network *network, uint8_t n)
{
    NetGuest *g = g_new0(NetGuest, 1);
    int fds[2];
    NetworkInfo info;

    network_info(network, &info);
    g->network = network;
    g->mac = (MacAddr){ { 0x52, 0x54, 0, 0, 0, n } };
    g->gateway_mac = info.gateway_mac;
    g->gateway = info.gateway4;
    g->sport = 40000 + n;
    g->seq = 1000;
    g->port = network_port_new(network, &(NetworkPortConfig) { 0 }, NULL);
    g_assert_nonnull(g->port);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    g_assert_true(port_connect(g->port, PORT_KIND_STREAM, fds[0], NULL));
    g->fd = fds[1];
    return g;
}

static inline void net_guest_free(NetGuest *g)
{
    if (g) {
        network_port_free(g->network, g->port);
        close(g->fd);
        g_free(g);
    }
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetGuest, net_guest_free)

static inline uint32_t net_guest_port(const NetGuest *g)
{
    return switch_port_id(port_switch_port(g->port));
}

/* ---- frames ---- */

static inline void net_guest_send(NetGuest *g, const uint8_t *data, size_t len)
{
    uint8_t head[4] = { len >> 24, len >> 16, len >> 8, len };

    g_assert_cmpint(write(g->fd, head, 4), ==, 4);
    g_assert_cmpint(write(g->fd, data, len), ==, (ssize_t)len);
}

static inline bool net_guest_readable(const NetGuest *g)
{
    uint8_t byte;

    return recv(g->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* The next frame, parsed. */
static inline void net_guest_receive(NetGuest *g)
{
    uint8_t head[4];
    uint32_t len;

    while (!net_guest_readable(g)) {
        net_iterate();
    }
    g_assert_cmpint(recv(g->fd, head, 4, MSG_WAITALL), ==, 4);
    len = (uint32_t)head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
    g_assert_cmpuint(len, >=, FRAME_LEN_MIN);
    g_assert_cmpuint(len, <=, sizeof(g->data));
    g_assert_cmpint(recv(g->fd, g->data, len, MSG_WAITALL), ==, (ssize_t)len);
    g->iov = (struct iovec){ g->data, len };
    frame_init(&g->frame, &g->iov, 1);
    g_assert_true(eth_parse(&g->frame, &g->eth));
    g->parse = ip_packet_parse(&g->frame, &g->ip);
}

/* The gateway asks for us whenever it likes: answered on the way. */
static inline bool net_guest_answer_arp(NetGuest *g)
{
    uint8_t buf[ARP_FRAME_LEN];
    ArpPacket arp;

    if (g->eth.type != ETH_TYPE_ARP ||
        !arp_parse(g->data + ETH_HEADER_LEN, ARP_PACKET_LEN, &arp) ||
        arp.op != ARP_REQUEST) {
        return false;
    }
    if (g->addr.family == AF_INET && arp.tpa == g->addr.v4) {
        ArpPacket reply = { ARP_REPLY, g->mac, arp.sha, g->addr.v4, arp.spa };

        net_guest_send(g, buf, arp_build(buf, &arp.sha, &reply));
    }
    return true;
}

/* The next IPv4 packet of @proto for us; others are passed over. */
static inline void net_guest_receive_ip(NetGuest *g, uint8_t proto)
{
    do {
        net_guest_receive(g);
    } while (net_guest_answer_arp(g) || g->parse != IP_PARSE_OK ||
             g->ip.proto != proto || g->ip.dst.family != AF_INET ||
             (!mac_equal(&g->ip.eth_dst, &g->mac) &&
              !mac_is_group(g->ip.eth_dst.b)));
}

static inline IpHeaders net_guest_headers(const NetGuest *g, const IpAddr *dst)
{
    return (IpHeaders){
        .eth_src = g->mac, .eth_dst = g->gateway_mac, .src = g->addr,
        .dst = *dst, .ttl = 64, .dont_fragment = true,
    };
}

/* ---- ARP ---- */

static inline MacAddr net_guest_arp(NetGuest *g, const IpAddr *addr)
{
    static const MacAddr all = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
    const ArpPacket request = { ARP_REQUEST, g->mac, { { 0 } }, g->addr.v4,
                                addr->v4 };
    uint8_t buf[ARP_FRAME_LEN];
    ArpPacket arp;

    net_guest_send(g, buf, arp_build(buf, &all, &request));
    do {
        net_guest_receive(g);
    } while (net_guest_answer_arp(g) || g->eth.type != ETH_TYPE_ARP ||
             !arp_parse(g->data + ETH_HEADER_LEN, ARP_PACKET_LEN, &arp) ||
             arp.spa != addr->v4);
    return arp.sha;
}

/* ---- DHCP ---- */

static inline void net_guest_dhcp_send(NetGuest *g, Dhcp4Type type,
                                       uint32_t requested, uint32_t server)
{
    IpHeaders headers = {
        .eth_src = g->mac,
        .eth_dst = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
        .src = ip_addr_v4(0), .dst = ip_addr_v4(INADDR_BROADCAST), .ttl = 64,
        .proto = IPPROTO_UDP,
    };
    g_autofree Dhcp4Message *msg = g_new0(Dhcp4Message, 1);
    uint8_t payload[600], buf[1000];
    Dhcp4Builder b;
    size_t len;

    msg->op = DHCP4_BOOTREQUEST;
    msg->htype = 1;
    msg->hlen = 6;
    msg->xid = 4711;
    memcpy(msg->chaddr, g->mac.b, 6);
    dhcp4_begin(&b, payload, sizeof(payload), msg, type);
    if (requested) {
        dhcp4_add_u32(&b, DHCP4_OPTION_REQUESTED_IP, requested);
    }
    if (server) {
        dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, server);
    }
    len = udp_build(buf, sizeof(buf), &headers, DHCP4_CLIENT_PORT,
                    DHCP4_SERVER_PORT, payload, dhcp4_finish(&b));
    g_assert_cmpuint(len, >, 0);
    net_guest_send(g, buf, len);
}

static inline void net_guest_dhcp_receive(NetGuest *g, Dhcp4Message *msg)
{
    UdpDatagram udp;

    do {
        net_guest_receive_ip(g, IPPROTO_UDP);
        g_assert_true(udp_parse(&g->frame, &g->ip, &udp));
    } while (udp.dport != DHCP4_CLIENT_PORT);
    g_assert_true(dhcp4_parse(g->data + udp.payload_off, udp.payload_len, msg));
}

/* The four messages; the guest has an address then. */
static inline void net_guest_dhcp(NetGuest *g)
{
    g_autofree Dhcp4Message *msg = g_new0(Dhcp4Message, 1);

    net_guest_dhcp_send(g, DHCP4_DISCOVER, 0, 0);
    net_guest_dhcp_receive(g, msg);
    g_assert_cmpint(msg->type, ==, DHCP4_OFFER);
    net_guest_dhcp_send(g, DHCP4_REQUEST, msg->yiaddr, msg->server_id);
    net_guest_dhcp_receive(g, msg);
    g_assert_cmpint(msg->type, ==, DHCP4_ACK);
    g->addr = ip_addr_v4(msg->yiaddr);
}

/* ---- UDP ---- */

static inline void net_guest_udp(NetGuest *g, const IpEndpoint *to,
                                 const void *payload, size_t len)
{
    IpHeaders headers = net_guest_headers(g, &to->addr);
    uint8_t buf[2000];
    size_t n;

    headers.proto = IPPROTO_UDP;
    n = udp_build(buf, sizeof(buf), &headers, g->sport, to->port, payload, len);
    g_assert_cmpuint(n, >, 0);
    net_guest_send(g, buf, n);
}

/* ---- TCP, without loss ---- */

static inline void net_guest_tcp_send(NetGuest *g, uint8_t flags,
                                      const void *payload, size_t len)
{
    IpHeaders headers = net_guest_headers(g, &g->peer);
    TcpHeader tcp = {
        .sport = g->sport, .dport = g->dport, .seq = g->seq, .ack = g->ack,
        .flags = flags, .window = 0xffff,
    };
    uint8_t buf[2000];
    size_t n;

    /* NAT takes its word, not the segment's checksum: it is filled in. */
    n = tcp_headers_build(buf, &headers, &tcp, len, csum_add(0, payload, len),
                          false);
    if (len > 0) {
        memcpy(buf + n, payload, len);
    }
    net_guest_send(g, buf, n + len);
    g->seq += len + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
}

/* The next segment of the connection that is more than an acknowledgement. */
static inline void net_guest_tcp_receive(NetGuest *g, TcpHeader *ret_tcp)
{
    do {
        net_guest_receive_ip(g, IPPROTO_TCP);
        g_assert_true(tcp_parse(&g->frame, &g->ip, ret_tcp));
    } while (ret_tcp->dport != g->sport ||
             (ret_tcp->flags == TCP_ACK && ret_tcp->payload_len == 0));
    g->ack = ret_tcp->seq + ret_tcp->payload_len +
             !!(ret_tcp->flags & TCP_SYN) + !!(ret_tcp->flags & TCP_FIN);
}

/* Returns: the flags of the answer to SYN. */
static inline uint8_t net_guest_tcp_connect(NetGuest *g, const IpEndpoint *to)
{
    TcpHeader tcp;

    g->peer = to->addr;
    g->dport = to->port;
    g->ack = 0;
    net_guest_tcp_send(g, TCP_SYN, NULL, 0);
    net_guest_tcp_receive(g, &tcp);
    if (tcp.flags == (TCP_SYN | TCP_ACK)) {
        net_guest_tcp_send(g, TCP_ACK, NULL, 0);
    }
    return tcp.flags;
}

#endif
