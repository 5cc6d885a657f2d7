/*
 * MAC and IP addresses: compare, hash, print and parse
 *
 * Behind proto/ an IPv4 address is a uint32_t in host order and an IPv6
 * address a struct in6_addr; IpAddr is either.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_ADDR_H
#define VMNETD_PROTO_ADDR_H

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

typedef struct MacAddr {
    uint8_t b[6];
} MacAddr;

/** Characters of a printed MAC address with its NUL. */
#define MAC_STRLEN 18

/**
 * IpAddr: an IPv4 or IPv6 address.
 * @family: AF_INET, AF_INET6, or AF_UNSPEC for none
 * @v4: host order
 */
typedef struct IpAddr {
    sa_family_t family;
    union {
        uint32_t v4;
        struct in6_addr v6;
    };
} IpAddr;

/** Characters of a printed IpAddr with its NUL (INET6_ADDRSTRLEN). */
#define IP_STRLEN 46

typedef struct IpPrefix {
    IpAddr addr;
    uint8_t len;
} IpPrefix;

/** A transport address: IpAddr and port, the port in host order. */
typedef struct IpEndpoint {
    IpAddr addr;
    uint16_t port;
} IpEndpoint;

static inline bool
mac_is_group(const uint8_t mac[6])
{
    return mac[0] & 1;
}

bool mac_equal(const MacAddr *a, const MacAddr *b);
bool mac_is_zero(const MacAddr *mac);
/** mac_parse: six hexadecimal pairs joined by colons; nothing before or after. */
bool mac_parse(const char *text, MacAddr *ret_mac);
const char *mac_format(const MacAddr *mac, char buf[MAC_STRLEN]);

/* Inline: they are made for each packet. */
static inline IpAddr ip_addr_v4(uint32_t host_order)
{
    return (IpAddr){ .family = AF_INET, .v4 = host_order };
}

static inline IpAddr ip_addr_v6(const struct in6_addr *addr)
{
    return (IpAddr){ .family = AF_INET6, .v6 = *addr };
}

bool ip_addr_equal(const IpAddr *a, const IpAddr *b);
/** ip_addr_hash: for GHashTable; not keyed, use siphash for what guests fill. */
unsigned ip_addr_hash(const void *addr);
/** ip_addr_parse: numeric only, no scope, no brackets. */
bool ip_addr_parse(const char *text, IpAddr *ret_addr);
const char *ip_addr_format(const IpAddr *addr, char buf[IP_STRLEN]);
bool ip_addr_is_any(const IpAddr *addr);
/** 127/8, ::1, and ::ffff:127.0.0.0/104 */
bool ip_addr_is_loopback(const IpAddr *addr);
/** 224/4, ff00::/8 */
bool ip_addr_is_group(const IpAddr *addr);
/** 169.254/16, fe80::/10 */
bool ip_addr_is_link_local(const IpAddr *addr);

bool ip_prefix_contains(const IpPrefix *prefix, const IpAddr *addr);
bool ip_prefix_overlaps(const IpPrefix *a, const IpPrefix *b);
/** ip_mask_to_len: a netmask in host order; -1 if its ones are not contiguous. */
int ip_mask_to_len(uint32_t mask);
uint32_t ip_len_to_mask(unsigned len);

/** Conversions to and from the socket API; false for other families. */
socklen_t ip_endpoint_to_sockaddr(const IpEndpoint *ep,
                                  struct sockaddr_storage *ret_ss);
bool ip_endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len,
                               IpEndpoint *ret_ep);

#endif
