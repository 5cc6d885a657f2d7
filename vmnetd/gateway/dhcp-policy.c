/*
 * DHCPv4 server: which address a client gets
 *
 * Theory of operation: a client is known by its client-id before its hardware
 * address, with two corrections that virtual machines need:
 *
 * - clones have one client-id and several MACs.  While the holder of a lease
 *   is there, a second MAC with its client-id gets an address of its own, and
 *   that is an event;
 * - one guest has one MAC and several client-ids: firmware, initramfs and
 *   system each make their own.  It keeps its address.
 *
 * An address is hashed from the MAC, so that it is the same next time even
 * where no lease was kept.  A lease that has ended stays with its client until
 * nothing fresh is left; then the one that ended first goes to another, after
 * an ARP question that its old holder did not answer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/dhcp-server.h"

#include "limits.h"

/* An ARP question about an address: answered by then, and for so long good. */
#define PROBE_ANSWER_MS 500
#define PROBE_VALID_MS (60 * 1000)
/* Old holders asked about for one DISCOVER. */
#define PROBES_MAX 4
/* A port that speaks for more addresses than this is not believed that they
 * are in use: otherwise one guest could claim the pool. */
#define CLAIMS_MAX 64

/* Whose address is it? */

static bool has_id(const LeaseEntry *entry, const DhcpRequest *req)
{
    return entry->lease.client_id_len == req->id_len &&
           (req->id_len == 0 ||
            memcmp(entry->lease.client_id, req->id, req->id_len) == 0);
}

/* Who uses @addr, as far as we have seen: NULL, or a neighbour with a port. */
static const Neighbour *user_of(Gateway *gw, const IpAddr *addr)
{
    const Neighbour *neigh = neigh_table_lookup(gw->neighbours, addr);

    return neigh && neigh->port != 0 ? neigh : NULL;
}

/*
 * Somebody without a lease uses @addr: an address that was set by hand.
 * @mac, @old_mac: those who may
 */
static bool is_claimed(Gateway *gw, uint32_t addr, const MacAddr *mac,
                       const MacAddr *old_mac)
{
    IpAddr ip = ip_addr_v4(addr);
    const Neighbour *user = user_of(gw, &ip);

    return user && !mac_equal(&user->mac, mac) &&
           !mac_equal(&user->mac, old_mac) &&
           neigh_table_n_of_port(gw->neighbours, user->port) <= CLAIMS_MAX;
}

/*
 * May @req, with the client-id of @entry's client but another MAC, have its
 * lease?  Yes if that client is gone, or was on the same port: a machine whose
 * network card changed.  Back and forth are two machines behind one port.
 */
static bool id_may_move(Gateway *gw, const LeaseEntry *entry,
                        const DhcpRequest *req)
{
    const Lease *lease = &entry->lease;
    const Neighbour *user = user_of(gw, &lease->addr);

    if (entry->reserved && !mac_equal(&entry->reserved_mac, &req->mac)) {
        return false;
    }
    if (lease->port == 0 ||
        (lease->state != LEASE_BOUND && lease->state != LEASE_OFFERED)) {
        return !user || user->port == req->port ||
               gw->now_ms - user->seen_ms > PROBE_VALID_MS;
    }
    return lease->port == req->port && gw->now_ms - entry->moved_ms >=
           (int64_t)gw->config.lease_s * 1000;
}

LeaseEntry *dhcp_lease_of(Gateway *gw, const DhcpRequest *req,
                          LeaseEntry **ret_clone)
{
    LeaseEntry *reserved = lease_table_reserved_for(gw->leases, &req->mac);
    LeaseEntry *own = lease_table_by_mac(gw->leases, &req->mac);
    LeaseEntry *same_id = NULL;

    *ret_clone = NULL;
    if (reserved) {
        return reserved;
    }
    if (own && own->reserved) {
        own = NULL; /* meanwhile set aside for another, or for nobody */
    }
    if (own && has_id(own, req)) {
        return own;
    }
    if (req->id_len > 0) {
        same_id = lease_table_by_id(gw->leases, req->id, req->id_len);
    }
    if (same_id && same_id != own) {
        if (id_may_move(gw, same_id, req)) {
            return same_id;
        }
        *ret_clone = same_id;
    }
    return own;
}

/* Choosing an address */

static bool in_pool(const Gateway *gw, uint32_t addr)
{
    return addr >= gw->config.pool_first && addr <= gw->config.pool_last &&
           addr != gw->config.gateway4.v4;
}

bool dhcp_is_fresh(Gateway *gw, uint32_t addr, const MacAddr *mac)
{
    return in_pool(gw, addr) && !lease_table_by_addr(gw->leases, addr) &&
           !is_claimed(gw, addr, mac, mac);
}

/* The place that the MAC hashes to, or the next fresh one behind it. */
static uint32_t choose_fresh(Gateway *gw, const MacAddr *mac)
{
    uint64_t size = (uint64_t)gw->config.pool_last - gw->config.pool_first + 1;
    uint64_t at = gateway_hash(gw, 'd', mac->b, sizeof(mac->b)) % size;
    uint64_t n = MIN(size, 4 * LIMIT_LEASES);
    uint64_t i;

    for (i = 0; i < n; i++) {
        uint32_t addr = gw->config.pool_first + (at + i) % size;

        if (dhcp_is_fresh(gw, addr, mac)) {
            return addr;
        }
    }
    return 0;
}

/*
 * Is the client of @entry, whose lease has ended, gone from it for good?  Who
 * is still plugged in is asked first; the answer is known at the next DISCOVER.
 */
static bool is_abandoned(Gateway *gw, LeaseEntry *entry, unsigned *n_probes)
{
    Neighbour *neigh = neigh_table_lookup(gw->neighbours, &entry->lease.addr);
    int64_t since_probe_ms = gw->now_ms - entry->probed_ms;

    if (entry->lease.port == 0 && !neigh) {
        return true;
    }
    if (since_probe_ms <= PROBE_VALID_MS) {
        return since_probe_ms >= PROBE_ANSWER_MS &&
               (!neigh || neigh->seen_ms <= entry->probed_ms);
    }
    if (*n_probes < PROBES_MAX) {
        ++*n_probes;
        entry->probed_ms = gw->now_ms;
        gateway_ask(gw, &entry->lease.addr, &entry->lease.mac);
    }
    return false;
}

/* Takes the address that was left longest; @port: only of that port's. */
static uint32_t reclaim(Gateway *gw, uint32_t port)
{
    g_autoptr(GPtrArray) ended = lease_table_ended(gw->leases, port);
    unsigned i, n_probes = 0;

    for (i = 0; i < ended->len && n_probes < PROBES_MAX; i++) {
        LeaseEntry *entry = g_ptr_array_index(ended, i);

        if (entry->lease.state == LEASE_OFFERED ||
            is_abandoned(gw, entry, &n_probes)) {
            uint32_t addr = entry->lease.addr.v4;

            lease_table_remove(gw->leases, entry);
            return addr;
        }
    }
    return 0;
}

LeaseEntry *dhcp_lease_make(Gateway *gw, const DhcpRequest *req,
                            uint32_t wanted)
{
    uint32_t addr = 0;

    if (lease_table_n_of_port(gw->leases, req->port, LEASE__MAX) >=
        LIMIT_LEASES_PER_PORT) {
        addr = reclaim(gw, req->port);
        if (addr == 0) {
            return NULL;
        }
    } else if (lease_table_size(gw->leases) < LIMIT_LEASES) {
        addr = dhcp_is_fresh(gw, wanted, &req->mac) ? wanted :
               choose_fresh(gw, &req->mac);
    }
    if (addr == 0) {
        addr = reclaim(gw, 0);
    }
    return addr ? lease_table_add(gw->leases, addr) : NULL;
}

bool dhcp_lease_is_usable(Gateway *gw, const LeaseEntry *entry,
                          const MacAddr *mac)
{
    return entry->lease.state != LEASE_DECLINED &&
           (entry->reserved || entry->lease.state == LEASE_BOUND ||
            entry->lease.state == LEASE_OFFERED ||
            !is_claimed(gw, entry->lease.addr.v4, mac, &entry->lease.mac));
}

LeaseEntry *dhcp_lease_for(Gateway *gw, const DhcpRequest *req,
                           uint32_t wanted)
{
    LeaseEntry *clone;
    LeaseEntry *entry = dhcp_lease_of(gw, req, &clone);

    if (entry && dhcp_lease_is_usable(gw, entry, &req->mac)) {
        return entry;
    }
    entry = dhcp_lease_make(gw, req, wanted);
    if (entry && clone) {
        gateway_entry_event(gw, GATEWAY_LEASE_CONFLICT, clone,
                            "client-id used by two MAC addresses");
    }
    return entry;
}
