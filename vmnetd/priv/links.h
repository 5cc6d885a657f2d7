/*
 * Network interfaces by rtnetlink: ask for one, make, set, remove
 *
 * Each call is one request to the kernel and its acknowledgement.  All return
 * 0 or an errno.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_LINKS_H
#define VMNETD_PRIV_LINKS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/addr.h"

typedef struct Link {
    int ifindex;
    unsigned flags;         /* IFF_UP, IFF_LOOPBACK, ... */
    unsigned type;          /* ARPHRD_ETHER, ... */
    uint32_t master;        /* ifindex; 0: none */
    uint32_t mtu_bytes;
    uint32_t group;
    char name[IF_NAMESIZE];
    char kind[16];          /* "bridge", "macvtap", "tun", ...; "": hardware */
    /* A bridge with STP: what a new port waits for, twice; otherwise 0. */
    uint32_t forward_delay_cs;
} Link;

/**
 * link_is_slow_bridge: a port of it would carry nothing for longer than it
 * takes by STP at least, 4 s, after which a DHCP client asks again.
 */
bool link_is_slow_bridge(const Link *link);

/** LinkMacvtap: @index: that it gets, which nobody else has; @group: a mark */
typedef struct LinkMacvtap {
    int index;
    int lower;
    uint32_t group;
    bool is_private;
    uint8_t mac[6];
} LinkMacvtap;

/** links_open: a socket for the others; -1 with errno. */
int links_open(void);

int links_get(int nl, const char *name, Link *ret_link);
int links_get_index(int nl, int ifindex, Link *ret_link);
/** links_each: until @each returns false. */
int links_each(int nl, bool (*each)(void *opaque, const Link *link),
               void *opaque);

/** links_make_macvtap: the kernel numbers its name: PRIV_LINK_PREFIX and %d. */
int links_make_macvtap(int nl, const LinkMacvtap *macvtap);
/** links_no_ipv6: the host takes no address on it when it comes up. */
int links_no_ipv6(int nl, int ifindex);
int links_set_mac(int nl, int ifindex, const uint8_t mac[6]);
int links_set_mtu(int nl, int ifindex, uint32_t mtu_bytes);
int links_set_group(int nl, int ifindex, uint32_t group);
int links_set_master(int nl, int ifindex, int master);
/** links_set_up: @flags: further ones, such as IFF_ALLMULTI */
int links_set_up(int nl, int ifindex, unsigned flags);
/** links_add_address: an address of the host's own, at once usable. */
int links_add_address(int nl, int ifindex, const IpAddr *addr, unsigned len);
int links_remove(int nl, int ifindex);

#endif
