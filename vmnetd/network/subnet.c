/*
 * Which subnet a network gets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/subnet.h"

#include <string.h>

#include "proto/siphash.h"

#define V4(a, b, c) \
    { .family = AF_INET, .v4 = (uint32_t)(a) << 24 | (b) << 16 | (c) << 8 }

typedef struct Predefined {
    const char *name;
    IpPrefix subnet;
} Predefined;

static const Predefined predefined[] = {
    { "shared", { V4(192, 168, 107), 24 } },
    { "host", { V4(192, 168, 108), 24 } },
};

/* RFC 1918, in the order of trying: homes use the first, firms the last. */
static const IpPrefix private_ranges[] = {
    { V4(192, 168, 0), 16 },
    { V4(172, 16, 0), 12 },
    { V4(10, 0, 0), 8 },
};

/* Subnets tried of each range: a host that takes them all has other cares. */
#define TRIES_PER_RANGE 256

SubnetTaken subnet_is_taken(const SubnetTakers *takers,
                            const IpPrefix *subnet, IpPrefix *ret_taker)
{
    const HostRoute *route = host_table_taker(takers->host, subnet);
    IpPrefix unused;
    unsigned i;

    ret_taker = ret_taker ? ret_taker : &unused;
    if (route) {
        *ret_taker = route->dst;
        return SUBNET_TAKEN_BY_HOST;
    }
    for (i = 0; takers->networks && i < takers->networks->len; i++) {
        const IpPrefix *other = &g_array_index(takers->networks, IpPrefix, i);

        if (ip_prefix_overlaps(other, subnet)) {
            *ret_taker = *other;
            return SUBNET_TAKEN_BY_NETWORK;
        }
    }
    return SUBNET_FREE;
}

/* The predefined networks' subnets are for nobody else. */
static bool is_kept_for_other(const char *name, const IpPrefix *subnet)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(predefined); i++) {
        if (strcmp(predefined[i].name, name) != 0 &&
            ip_prefix_overlaps(&predefined[i].subnet, subnet)) {
            return true;
        }
    }
    return false;
}

static bool choose_in(const SubnetTakers *takers, const char *name,
                      const IpPrefix *range, IpPrefix *ret_subnet)
{
    static const uint8_t key[16] = "network's subnet";
    uint32_t n = 1u << (24 - range->len);
    uint32_t first = siphash24(key, name, strlen(name)) % n;
    uint32_t i;

    for (i = 0; i < MIN(n, TRIES_PER_RANGE); i++) {
        IpPrefix subnet = {
            .addr = ip_addr_v4(range->addr.v4 | (first + i) % n << 8),
            .len = 24,
        };

        if (!is_kept_for_other(name, &subnet) &&
            subnet_is_taken(takers, &subnet, NULL) == SUBNET_FREE) {
            *ret_subnet = subnet;
            return true;
        }
    }
    return false;
}

bool subnet_predefined(const char *name, IpPrefix *ret_subnet)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(predefined); i++) {
        if (strcmp(predefined[i].name, name) == 0) {
            *ret_subnet = predefined[i].subnet;
            return true;
        }
    }
    return false;
}

bool subnet_choose(const SubnetTakers *takers, const char *name,
                   IpPrefix *ret_subnet)
{
    IpPrefix subnet;
    unsigned i;

    if (subnet_predefined(name, &subnet) &&
        subnet_is_taken(takers, &subnet, NULL) == SUBNET_FREE) {
        *ret_subnet = subnet;
        return true;
    }
    for (i = 0; i < G_N_ELEMENTS(private_ranges); i++) {
        if (choose_in(takers, name, &private_ranges[i], ret_subnet)) {
            return true;
        }
    }
    return false;
}

bool subnet_is_private(const IpPrefix *subnet)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(private_ranges); i++) {
        if (subnet->len >= private_ranges[i].len &&
            ip_prefix_contains(&private_ranges[i], &subnet->addr)) {
            return true;
        }
    }
    return false;
}

char *subnet_format(const IpPrefix *subnet)
{
    char text[IP_STRLEN];

    return g_strdup_printf("%s/%u", ip_addr_format(&subnet->addr, text),
                           subnet->len);
}
