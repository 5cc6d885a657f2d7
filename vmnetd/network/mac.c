/*
 * Guests' MAC addresses: claimed by netdevs, or derived from what tells a
 * guest from others
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/network-internal.h"

#include <string.h>

#include "proto/siphash.h"

/* Locally administered; the prefix that people know from QEMU. */
static const uint8_t mac_prefix[3] = { 0x52, 0x54, 0x00 };

static unsigned mac_hash(const void *key)
{
    const MacAddr *mac = key;

    /* Netdevs are bounded and made by clients: no key is needed. */
    return (unsigned)mac->b[2] << 24 | mac->b[3] << 16 | mac->b[4] << 8 |
           mac->b[5];
}

static gboolean mac_equal_func(const void *a, const void *b)
{
    return mac_equal(a, b);
}

GHashTable *network_macs_new(void)
{
    return g_hash_table_new_full(mac_hash, mac_equal_func, g_free, NULL);
}

bool network_mac_claim(Network *network, const MacAddr *mac)
{
    if (mac_equal(mac, &network->state.mac) ||
        g_hash_table_contains(network->macs, mac)) {
        return false;
    }
    g_hash_table_add(network->macs, g_memdup2(mac, sizeof(*mac)));
    return true;
}

void network_mac_derive(Network *network, const char *seed, MacAddr *ret_mac)
{
    uint64_t hash = siphash24(network->state.hash_key, seed, strlen(seed));
    MacAddr mac;

    memcpy(mac.b, mac_prefix, sizeof(mac_prefix));
    /* Ends: a network has fewer netdevs than there are addresses. */
    do {
        mac.b[3] = hash >> 16;
        mac.b[4] = hash >> 8;
        mac.b[5] = hash;
        hash++;
    } while (!network_mac_claim(network, &mac));
    *ret_mac = mac;
}

void network_mac_release(Network *network, const MacAddr *mac)
{
    g_hash_table_remove(network->macs, mac);
}
