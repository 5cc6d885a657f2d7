/*
 * What a network is to find again: addresses, keys, persistent forwards
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NETWORK_STATE_H
#define VMNETD_NETWORK_STATE_H

#include <glib.h>
#include "network/network.h"

/**
 * NetworkAddresses: of IPv4, in host order.
 * @prefix: family AF_UNSPEC: none (net-uuid)
 * @written: by a user, not chosen: never moved
 */
typedef struct NetworkAddresses {
    IpPrefix prefix;
    uint32_t gateway, pool_first, pool_last;
    bool written;
} NetworkAddresses;

/**
 * NetworkState:
 * @addresses: prefix.addr.family AF_UNSPEC: not chosen yet
 * @prefix6: a unique local /64
 * @mac: the gateway's, locally administered
 * @hash_key: of the gateway's and uplink's tables, and of guests' addresses
 * @forwards: NetworkForwardConfig: the persistent ones
 */
typedef struct NetworkState {
    NetworkAddresses addresses;
    IpPrefix prefix6;
    bool prefix6_written;
    MacAddr mac;
    uint8_t hash_key[16];
    GArray *forwards;
} NetworkState;

/** network_state_init: random prefix, MAC and key; nothing chosen. */
void network_state_init(NetworkState *state);
void network_state_clear(NetworkState *state);

/** network_prefix6_random: a unique local /64 (RFC 4193 3.2). */
void network_prefix6_random(IpPrefix *ret_prefix);

/** network_state_format: (transfer full): as text, for the file. */
char *network_state_format(const NetworkState *state);
/**
 * network_state_parse: what network_state_format() wrote, every value checked.
 * @ret_state: initialized by network_state_init(); untouched on failure
 */
bool network_state_parse(const char *text, size_t len,
                         NetworkState *ret_state, GError **error);

/** network_addresses_of: first usable address and the rest of @subnet. */
NetworkAddresses network_addresses_of(const IpPrefix *subnet);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NetworkState, network_state_clear)

#endif
