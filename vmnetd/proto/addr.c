/*
 * MAC and IP addresses: compare, hash, print and parse
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/addr.h"

#include <arpa/inet.h>
#include <string.h>

bool mac_equal(const MacAddr *a, const MacAddr *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool mac_is_zero(const MacAddr *mac)
{
    static const MacAddr zero;

    return mac_equal(mac, &zero);
}

bool mac_parse(const char *text, MacAddr *ret_mac)
{
    MacAddr mac;
    unsigned i;

    for (i = 0; i < sizeof(mac.b); i++) {
        int high = g_ascii_xdigit_value(text[0]);
        int low = high < 0 ? -1 : g_ascii_xdigit_value(text[1]);

        if (low < 0 || text[2] != (i < 5 ? ':' : '\0')) {
            return false;
        }
        mac.b[i] = high << 4 | low;
        text += 3;
    }
    *ret_mac = mac;
    return true;
}

const char *mac_format(const MacAddr *mac, char buf[MAC_STRLEN])
{
    g_snprintf(buf, MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x", mac->b[0],
               mac->b[1], mac->b[2], mac->b[3], mac->b[4], mac->b[5]);
    return buf;
}

bool ip_addr_equal(const IpAddr *a, const IpAddr *b)
{
    if (a->family != b->family) {
        return false;
    }
    switch (a->family) {
    case AF_INET:
        return a->v4 == b->v4;
    case AF_INET6:
        return IN6_ARE_ADDR_EQUAL(&a->v6, &b->v6);
    default:
        return true;
    }
}

unsigned ip_addr_hash(const void *key)
{
    const IpAddr *addr = key;
    uint32_t words[4] = { 0 };
    uint32_t hash = addr->family;
    unsigned i;

    if (addr->family == AF_INET) {
        words[0] = addr->v4;
    } else if (addr->family == AF_INET6) {
        memcpy(words, &addr->v6, sizeof(words));
    }
    for (i = 0; i < 4; i++) {
        hash = (hash ^ words[i]) * 0x9e3779b1;
        hash ^= hash >> 15;
    }
    return hash;
}

bool ip_addr_parse(const char *text, IpAddr *ret_addr)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        *ret_addr = ip_addr_v4(ntohl(v4.s_addr));
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6) == 1) {
        *ret_addr = ip_addr_v6(&v6);
        return true;
    }
    return false;
}

const char *ip_addr_format(const IpAddr *addr, char buf[IP_STRLEN])
{
    struct in_addr v4;

    G_STATIC_ASSERT(IP_STRLEN == INET6_ADDRSTRLEN);
    switch (addr->family) {
    case AF_INET:
        v4.s_addr = htonl(addr->v4);
        inet_ntop(AF_INET, &v4, buf, IP_STRLEN);
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &addr->v6, buf, IP_STRLEN);
        break;
    default:
        g_strlcpy(buf, "none", IP_STRLEN);
        break;
    }
    return buf;
}

bool ip_addr_is_any(const IpAddr *addr)
{
    return (addr->family == AF_INET && addr->v4 == INADDR_ANY) ||
           (addr->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr->v6));
}

bool ip_addr_is_loopback(const IpAddr *addr)
{
    if (addr->family == AF_INET) {
        return addr->v4 >> 24 == 127;
    }
    return addr->family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(&addr->v6) ||
            (IN6_IS_ADDR_V4MAPPED(&addr->v6) && addr->v6.s6_addr[12] == 127));
}

bool ip_addr_is_group(const IpAddr *addr)
{
    return (addr->family == AF_INET && addr->v4 >> 28 == 0xe) ||
           (addr->family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&addr->v6));
}

bool ip_addr_is_link_local(const IpAddr *addr)
{
    return (addr->family == AF_INET && addr->v4 >> 16 == 0xa9fe) ||
           (addr->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&addr->v6));
}

/* Do the first @len bits agree?  @len is at most the family's width. */
static bool bits_agree(const IpAddr *a, const IpAddr *b, unsigned len)
{
    unsigned bytes = len / 8;

    if (a->family != b->family) {
        return false;
    }
    switch (a->family) {
    case AF_INET:
        return ((a->v4 ^ b->v4) & ip_len_to_mask(MIN(len, 32))) == 0;
    case AF_INET6:
        if (len >= 128) {
            return IN6_ARE_ADDR_EQUAL(&a->v6, &b->v6);
        }
        return memcmp(&a->v6, &b->v6, bytes) == 0 &&
               ((a->v6.s6_addr[bytes] ^ b->v6.s6_addr[bytes]) &
                (0xff00 >> len % 8) & 0xff) == 0;
    default:
        return false;
    }
}

bool ip_prefix_contains(const IpPrefix *prefix, const IpAddr *addr)
{
    return bits_agree(&prefix->addr, addr, prefix->len);
}

bool ip_prefix_overlaps(const IpPrefix *a, const IpPrefix *b)
{
    return bits_agree(&a->addr, &b->addr, MIN(a->len, b->len));
}

int ip_mask_to_len(uint32_t mask)
{
    uint32_t host = ~mask;

    /* Contiguous: the host part is a run of ones from bit 0. */
    return host & (host + 1) ? -1 : 32 - __builtin_popcount(host);
}

uint32_t ip_len_to_mask(unsigned len)
{
    return len == 0 ? 0 : UINT32_MAX << (32 - MIN(len, 32));
}

socklen_t ip_endpoint_to_sockaddr(const IpEndpoint *ep,
                                  struct sockaddr_storage *ret_ss)
{
    memset(ret_ss, 0, sizeof(*ret_ss));
    if (ep->addr.family == AF_INET) {
        struct sockaddr_in *sin = (struct sockaddr_in *)ret_ss;

        sin->sin_family = AF_INET;
        sin->sin_port = htons(ep->port);
        sin->sin_addr.s_addr = htonl(ep->addr.v4);
        return sizeof(*sin);
    }
    if (ep->addr.family == AF_INET6) {
        struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ret_ss;

        sin6->sin6_family = AF_INET6;
        sin6->sin6_port = htons(ep->port);
        sin6->sin6_addr = ep->addr.v6;
        return sizeof(*sin6);
    }
    return 0;
}

bool ip_endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len,
                               IpEndpoint *ret_ep)
{
    struct sockaddr_in6 sin6;
    struct sockaddr_in sin;

    if (len >= sizeof(sin) && sa->sa_family == AF_INET) {
        memcpy(&sin, sa, sizeof(sin));
        ret_ep->addr = ip_addr_v4(ntohl(sin.sin_addr.s_addr));
        ret_ep->port = ntohs(sin.sin_port);
        return true;
    }
    if (len >= sizeof(sin6) && sa->sa_family == AF_INET6) {
        memcpy(&sin6, sa, sizeof(sin6));
        ret_ep->addr = ip_addr_v6(&sin6.sin6_addr);
        ret_ep->port = ntohs(sin6.sin6_port);
        return true;
    }
    return false;
}
