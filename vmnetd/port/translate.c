/*
 * MAC translation: guests on an uplink that carries frames of one address only
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/translate.h"

#include <string.h>

#include "limits.h"
#include "proto/arp.h"
#include "proto/checksum.h"
#include "proto/dhcp4.h"
#include "proto/eth.h"
#include "proto/ip.h"
#include "proto/ndp.h"
#include "proto/udp.h"

/* Of a header: where things are in it. */
#define ARP_SHA_OFF (ETH_HEADER_LEN + 8)
#define ARP_THA_OFF (ETH_HEADER_LEN + 18)
#define IP4_PROTO_OFF (ETH_HEADER_LEN + 9)
#define IP4_DST_OFF (ETH_HEADER_LEN + 16)
#define IP6_NEXT_OFF (ETH_HEADER_LEN + 6)
#define IP6_DST_OFF (ETH_HEADER_LEN + 24)
#define DHCP4_FLAGS_OFF 10
#define DHCP4_FLAG_BROADCAST 0x8000
#define ICMP6_CHECKSUM_OFF 2

/* What is looked at of every frame: up to the end of an IPv4 header. */
#define GLANCE_LEN (ETH_HEADER_LEN + 20)

/** Entry: @port has @addr at @mac. */
typedef struct Entry {
    IpAddr addr;
    MacAddr mac;
    uint32_t port;
} Entry;

/**
 * Claims: addresses that a port has named, the oldest at @next; the rest
 * have family AF_UNSPEC.
 */
typedef struct Claims {
    uint32_t port;
    unsigned next;
    IpAddr addrs[LIMIT_TRANSLATED_PER_PORT];
} Claims;

/**
 * Translate:
 * @entries: (element-type IpAddr Entry): each is in the claims of its port
 * @claims: (element-type uint32_t Claims)
 */
struct Translate {
    TranslateConfig config;
    MacAddr mac;
    GHashTable *entries;
    GHashTable *claims;
};

static int addr_equal(const void *a, const void *b)
{
    return ip_addr_equal(a, b);
}

Translate *translate_new(const TranslateConfig *config)
{
    Translate *translate = g_new0(Translate, 1);

    translate->config = *config;
    /* A port has too few for a chain that is worth making. */
    translate->entries = g_hash_table_new_full(ip_addr_hash, addr_equal, NULL,
                                               g_free);
    translate->claims = g_hash_table_new_full(g_int_hash, g_int_equal, NULL,
                                              g_free);
    return translate;
}

void translate_free(Translate *translate)
{
    if (!translate) {
        return;
    }
    g_hash_table_unref(translate->entries);
    g_hash_table_unref(translate->claims);
    g_free(translate);
}

void translate_set_mac(Translate *translate, const MacAddr *mac)
{
    translate->mac = *mac;
}

/* Who has what */

static void remove_claim(Translate *translate, uint32_t port,
                         const IpAddr *addr)
{
    const Entry *entry = g_hash_table_lookup(translate->entries, addr);

    if (entry && entry->port == port) {
        g_hash_table_remove(translate->entries, addr);
    }
}

void translate_forget(Translate *translate, uint32_t port)
{
    const Claims *claims = g_hash_table_lookup(translate->claims, &port);
    unsigned i;

    for (i = 0; claims && i < G_N_ELEMENTS(claims->addrs); i++) {
        remove_claim(translate, port, &claims->addrs[i]);
    }
    g_hash_table_remove(translate->claims, &port);
}

static Claims *claims_of(Translate *translate, uint32_t port)
{
    Claims *claims = g_hash_table_lookup(translate->claims, &port);

    if (!claims) {
        claims = g_new0(Claims, 1);
        claims->port = port;
        g_hash_table_insert(translate->claims, &claims->port, claims);
    }
    return claims;
}

/* An address that a port names again after others did moves back to it. */
static void learn(Translate *translate, const Frame *frame,
                  const MacAddr *mac, const IpAddr *addr)
{
    Entry *entry = g_hash_table_lookup(translate->entries, addr);
    Claims *claims;

    if (entry && entry->port == frame->src_port) {
        entry->mac = *mac;
        return;
    }
    if (ip_addr_is_any(addr) || ip_addr_is_group(addr) ||
        ip_addr_is_loopback(addr) ||
        translate->config.is_own(translate->config.opaque, addr)) {
        return;
    }
    claims = claims_of(translate, frame->src_port);
    remove_claim(translate, claims->port, &claims->addrs[claims->next]);
    claims->addrs[claims->next] = *addr;
    claims->next = (claims->next + 1) % G_N_ELEMENTS(claims->addrs);
    entry = g_new0(Entry, 1);
    *entry = (Entry) { *addr, *mac, frame->src_port };
    g_hash_table_replace(translate->entries, &entry->addr, entry);
}

/* Output */

static void set_mac(const Translate *translate, uint8_t *at)
{
    memcpy(at, &translate->mac, sizeof(MacAddr));
}

/* Overwrite an address that the checksum at @check covers, both at even
 * offsets; one that is still to be filled in does not cover it yet. */
static void set_summed(const Frame *frame, uint8_t *check, uint8_t *at,
                       const uint8_t *bytes, size_t len)
{
    uint16_t sum, from, to;
    size_t i;

    memcpy(&sum, check, sizeof(sum));
    for (i = 0; i + 1 < len; i += 2) {
        memcpy(&from, at + i, sizeof(from));
        memcpy(&to, bytes + i, sizeof(to));
        sum = csum_update16(sum, from, to);
        memcpy(at + i, &to, sizeof(to));
    }
    if (!(frame->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
        memcpy(check, &sum, sizeof(sum));
    }
}

static void output_arp(Translate *translate, const Frame *frame,
                       const EthHeader *eth, uint8_t *head, size_t len)
{
    IpAddr addr;
    ArpPacket arp;

    if (!arp_parse(head + ETH_HEADER_LEN, len - ETH_HEADER_LEN, &arp)) {
        return;
    }
    addr = ip_addr_v4(arp.spa);
    learn(translate, frame, &eth->src, &addr);
    if (mac_equal(&arp.tha, &arp.sha)) {
        set_mac(translate, head + ARP_THA_OFF);     /* an announcement */
    }
    set_mac(translate, head + ARP_SHA_OFF);
}

/* A client's request: it is answered by broadcast. */
static void output_dhcp(Translate *translate, const Frame *frame,
                        const EthHeader *eth, const IpPacket *ip,
                        const UdpDatagram *udp, uint8_t *head)
{
    static const uint8_t broadcast[2] = { DHCP4_FLAG_BROADCAST >> 8, 0 };
    uint8_t *check = head + ip->l4_off + UDP_CHECKSUM_OFFSET;
    uint8_t *dhcp = head + udp->payload_off;
    uint8_t ignored[2] = { 0 };
    Dhcp4Message msg;
    IpAddr addr;

    if (!dhcp4_parse(dhcp, udp->payload_len, &msg) ||
        msg.op != DHCP4_BOOTREQUEST) {
        return;
    }
    if (msg.type == DHCP4_REQUEST) {
        addr = ip_addr_v4(msg.requested_ip ?: msg.ciaddr);
        learn(translate, frame, &eth->src, &addr);
    }
    /* 0: there is none. */
    set_summed(frame, check[0] || check[1] ? check : ignored,
               dhcp + DHCP4_FLAGS_OFF, broadcast, sizeof(broadcast));
}

/* The option with the sender's address. */
static void set_lladdr(const Translate *translate, const Frame *frame,
                       const IpPacket *ip, const NdpMessage *ndp,
                       uint8_t *head)
{
    static const uint8_t fixed_len[] = { 8, 16, 24, 24 }; /* RS, RA, NS, NA */
    uint8_t *icmp = head + ip->l4_off;
    unsigned kind = ndp->type == ND_NEIGHBOR_ADVERT
                    ? ND_OPT_TARGET_LINKADDR : ND_OPT_SOURCE_LINKADDR;
    size_t off = fixed_len[ndp->type - ND_ROUTER_SOLICIT];

    /* Their lengths have been checked, with the rest. */
    while (off + 8 <= ip->l4_len && icmp[off + 1]) {
        if (icmp[off] == kind) {
            set_summed(frame, icmp + ICMP6_CHECKSUM_OFF, icmp + off + 2,
                       translate->mac.b, sizeof(MacAddr));
        }
        off += 8 * icmp[off + 1];
    }
}

static void output_ndp(Translate *translate, const Frame *frame,
                       const EthHeader *eth, const IpPacket *ip,
                       const NdpMessage *ndp, uint8_t *head)
{
    IpAddr target = ip_addr_v6(&ndp->target);

    learn(translate, frame, &eth->src, &ip->src);
    if (ndp->type == ND_NEIGHBOR_ADVERT || ndp_is_dad(ip, ndp)) {
        learn(translate, frame, &eth->src, &target);
    }
    set_lladdr(translate, frame, ip, ndp, head);
}

/* What names a MAC address behind its headers, or asks for an answer to one. */
static void output_ip(Translate *translate, const Frame *frame,
                      const Frame *copy, const EthHeader *eth, uint8_t *head)
{
    UdpDatagram udp;
    NdpMessage ndp;
    IpPacket ip;

    if (ip_packet_parse_behind(copy, eth, &ip) != IP_PARSE_OK ||
        ip.is_fragment) {
        return;
    }
    if (ip.proto == IPPROTO_ICMPV6) {
        if (ndp_parse(copy, &ip, &ndp)) {
            output_ndp(translate, frame, eth, &ip, &ndp, head);
        }
    } else if (udp_parse(copy, &ip, &udp) && udp.dport == DHCP4_SERVER_PORT &&
               udp.sport == DHCP4_CLIENT_PORT) {
        output_dhcp(translate, frame, eth, &ip, &udp, head);
    }
}

/* Whether more than the Ethernet header may have to be rewritten. */
static bool is_control(const uint8_t *head, size_t len)
{
    switch (len < GLANCE_LEN ? 0 : head[12] << 8 | head[13]) {
    case ETH_TYPE_ARP:
        return true;
    case ETH_TYPE_IPV4:
        return head[IP4_PROTO_OFF] == IPPROTO_UDP;
    case ETH_TYPE_IPV6:
        return head[IP6_NEXT_OFF] == IPPROTO_ICMPV6;
    default:
        return false;
    }
}

size_t translate_output(Translate *translate, const Frame *frame,
                        uint8_t head[TRANSLATE_HEAD_MAX])
{
    size_t len = frame_peek(frame, 0, head, GLANCE_LEN);
    struct iovec iov = { head, len };
    EthHeader eth;
    Frame copy;

    /* What is longer is none of these; DHCP has no such messages. */
    if (is_control(head, len) && frame->len <= TRANSLATE_HEAD_MAX) {
        iov.iov_len = len = frame_peek(frame, 0, head, TRANSLATE_HEAD_MAX);
    }
    frame_init(&copy, &iov, 1);
    copy.vnet = frame->vnet;
    if (!eth_parse(&copy, &eth) || eth.has_vlan) {
        return 0;
    }
    if (len == frame->len && eth.type == ETH_TYPE_ARP) {
        output_arp(translate, frame, &eth, head, len);
    } else if (len == frame->len) {
        output_ip(translate, frame, &copy, &eth, head);
    }
    set_mac(translate, head + sizeof(MacAddr));
    return len;
}

/* Input */

static bool give(const Translate *translate, const IpAddr *addr, uint8_t *at)
{
    const Entry *entry = g_hash_table_lookup(translate->entries, addr);

    if (entry) {
        memcpy(at, &entry->mac, sizeof(MacAddr));
    }
    return entry;
}

static bool input_arp(const Translate *translate, uint8_t *data, size_t len)
{
    ArpPacket arp;
    IpAddr addr;

    if (!arp_parse(data + ETH_HEADER_LEN, len - ETH_HEADER_LEN, &arp)) {
        return false;
    }
    if (arp.tpa == 0) {
        /* The answer to a probe: which guest's is not told. */
        memset(data, 0xff, sizeof(MacAddr));
        return true;
    }
    addr = ip_addr_v4(arp.tpa);
    return give(translate, &addr, data) &&
           give(translate, &addr, data + ARP_THA_OFF);
}

bool translate_input(const Translate *translate, uint8_t *data, size_t len)
{
    struct in6_addr v6;
    uint32_t v4;
    IpAddr addr;

    if (len < ETH_HEADER_LEN) {
        return false;
    }
    if (mac_is_group(data)) {
        return true;
    }
    if (memcmp(data, &translate->mac, sizeof(MacAddr)) != 0) {
        return false;
    }
    switch (data[12] << 8 | data[13]) {
    case ETH_TYPE_ARP:
        return input_arp(translate, data, len);
    case ETH_TYPE_IPV4:
        if (len < IP4_DST_OFF + sizeof(v4)) {
            return false;
        }
        memcpy(&v4, data + IP4_DST_OFF, sizeof(v4));
        addr = ip_addr_v4(ntohl(v4));
        return give(translate, &addr, data);
    case ETH_TYPE_IPV6:
        if (len < IP6_DST_OFF + sizeof(v6)) {
            return false;
        }
        memcpy(&v6, data + IP6_DST_OFF, sizeof(v6));
        addr = ip_addr_v6(&v6);
        return give(translate, &addr, data);
    default:
        return false;
    }
}
