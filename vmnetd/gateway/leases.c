/*
 * Leases as the rest of the daemon sees them: queries, reservations, events
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway-internal.h"

/* Wall-clock time is what it was ahead of ours when we last looked. */
Lease gateway_lease_export(const Gateway *gw, const LeaseEntry *entry)
{
    Lease lease = entry->lease;

    lease.expires_s = entry->expires_ms == INT64_MAX ? INT64_MAX :
                      gw->wall_offset_s + entry->expires_ms / 1000;
    return lease;
}

void gateway_lease_event(Gateway *gw, GatewayEventType type,
                         const Lease *lease, const char *detail)
{
    GatewayEvent event = { .type = type, .lease = lease, .detail = detail };

    gw->ops.event(gw->opaque, &event);
}

void gateway_entry_event(Gateway *gw, GatewayEventType type,
                         const LeaseEntry *entry, const char *detail)
{
    Lease lease = gateway_lease_export(gw, entry);

    gateway_lease_event(gw, type, &lease, detail);
}

void gateway_lease_seen(Gateway *gw, const IpAddr *addr, const MacAddr *mac,
                        uint32_t port)
{
    LeaseEntry *entry;

    if (addr->family != AF_INET) {
        return;
    }
    entry = lease_table_by_addr(gw->leases, addr->v4);
    if (entry && entry->lease.state == LEASE_BOUND &&
        entry->lease.port == 0 && mac_equal(&entry->lease.mac, mac)) {
        entry->lease.port = port;
        gateway_entry_event(gw, GATEWAY_LEASE_ADDED, entry, NULL);
    }
}

GArray *gateway_leases(Gateway *gw)
{
    g_autoptr(GPtrArray) list = lease_table_list(gw->leases);
    GArray *leases = g_array_sized_new(FALSE, FALSE, sizeof(Lease), list->len);
    unsigned i;

    for (i = 0; i < list->len; i++) {
        Lease lease = gateway_lease_export(gw, g_ptr_array_index(list, i));

        g_array_append_val(leases, lease);
    }
    return leases;
}

static bool lease_return(const Gateway *gw, const LeaseEntry *entry,
                         Lease *ret_lease)
{
    if (!entry || entry->lease.state != LEASE_BOUND) {
        return false;
    }
    *ret_lease = gateway_lease_export(gw, entry);
    return true;
}

/* "web" of "web" and of "web.vmnet.internal", with or without a last dot. */
static char *name_label(const Gateway *gw, const char *name)
{
    g_autofree char *suffix = g_strconcat(".", gw->domain, NULL);
    size_t len = strlen(name), suffix_len = strlen(suffix);

    if (len > 0 && name[len - 1] == '.') {
        len--;
    }
    if (len > suffix_len && g_ascii_strncasecmp(name + len - suffix_len,
                                                suffix, suffix_len) == 0) {
        len -= suffix_len;
    }
    return g_strndup(name, len);
}

bool gateway_lease_find(Gateway *gw, const char *name, Lease *ret_lease)
{
    g_autofree char *label = NULL;
    LeaseEntry *entry;
    IpAddr addr;

    if (ip_addr_parse(name, &addr)) {
        entry = addr.family == AF_INET ?
                lease_table_by_addr(gw->leases, addr.v4) : NULL;
    } else {
        label = name_label(gw, name);
        entry = lease_table_by_name(gw->leases, label);
    }
    return lease_return(gw, entry, ret_lease);
}

bool gateway_lease_by_port(Gateway *gw, uint32_t id, Lease *ret_lease)
{
    g_autoptr(GPtrArray) list = lease_table_list(gw->leases);
    const LeaseEntry *newest = NULL;
    unsigned i;

    for (i = 0; i < list->len; i++) {
        const LeaseEntry *entry = g_ptr_array_index(list, i);

        if (entry->lease.state == LEASE_BOUND && entry->lease.port == id &&
            (!newest || entry->expires_ms > newest->expires_ms)) {
            newest = entry;
        }
    }
    return lease_return(gw, newest, ret_lease);
}

bool gateway_reserve(Gateway *gw, const MacAddr *mac, const IpAddr *addr,
                     bool *ret_is_new)
{
    LeaseEntry *other = lease_table_reserved_for(gw->leases, mac);
    LeaseEntry *entry;

    if (addr->family != AF_INET || !gateway_may_be_guest(gw, addr)) {
        return false;
    }
    entry = lease_table_by_addr(gw->leases, addr->v4);
    if ((other && other != entry) ||
        (entry && entry->reserved && !mac_equal(&entry->reserved_mac, mac))) {
        return false;
    }
    if (!entry) {
        entry = lease_table_add(gw->leases, addr->v4);
        if (!entry) {
            return false;
        }
        lease_table_set_state(gw->leases, entry, LEASE_RESERVED, INT64_MAX);
    }
    *ret_is_new = !entry->reserved;
    lease_table_reserve(gw->leases, entry, mac);
    return true;
}

void gateway_unreserve(Gateway *gw, const IpAddr *addr)
{
    LeaseEntry *entry = lease_table_by_addr(gw->leases, addr->v4);

    if (entry && entry->reserved) {
        lease_table_unreserve(gw->leases, entry);
    }
}
