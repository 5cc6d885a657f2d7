/*
 * The names that the gateway knows itself: vmnet.internal, the addresses of
 * the network, and those that must never leave a machine (RFC 6761, RFC 7686)
 *
 *   host, gateway     the router's addresses
 *   NAME              the lease with that host name: its address, and what
 *                     neighbour discovery saw of its MAC on its port
 *
 * Everything below the domain is answered here with authority, also that it
 * is not there (RFC 2308): the host's resolver is never asked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway-internal.h"

/* Seconds: guests come and go; a name that is not there may be there soon. */
#define ZONE_TTL_S 60
#define ZONE_NEGATIVE_TTL_S 5
/* Addresses given for one name. */
#define ZONE_ADDRS_MAX 9

/** ZoneResult: what is known of a name. */
typedef struct ZoneResult {
    bool exists;
    unsigned n_addrs;
    IpAddr addrs[ZONE_ADDRS_MAX];
    bool has_ptr;
    DnsName ptr;
    DnsName soa;        /* the zone's name, for a negative answer */
} ZoneResult;

/* @label under the domain. */
static bool zone_name(const Gateway *gw, const char *label, DnsName *ret_name)
{
    g_autofree char *text = g_strdup_printf("%s.%s", label, gw->domain);

    return dns_name_from_text(text, ret_name);
}

void gateway_zone_init(Gateway *gw)
{
    DnsZone *zone = &gw->zone;

    zone->valid = gw->config.dns &&
                  dns_name_from_text(gw->domain, &zone->domain) &&
                  zone_name(gw, "gateway", &zone->gateway) &&
                  zone_name(gw, "hostmaster", &zone->hostmaster);
}

static void result_add(ZoneResult *result, const IpAddr *addr)
{
    if (addr->family != AF_UNSPEC && result->n_addrs < ZONE_ADDRS_MAX) {
        result->addrs[result->n_addrs++] = *addr;
    }
}

/* Names under the domain */

static void add_own(const Gateway *gw, ZoneResult *result)
{
    result->exists = true;
    result_add(result, &gw->config.gateway4);
    result_add(result, &gw->gateway6);
}

static void add_lease(Gateway *gw, const Lease *lease, ZoneResult *result)
{
    GList *l = NULL;

    result->exists = true;
    result_add(result, &lease->addr);
    if (lease->port != 0) {
        l = neigh_table_of_port(gw->neighbours, lease->port);
    }
    for (; l; l = l->next) {
        const Neighbour *neigh = l->data;

        if (neigh->addr.family == AF_INET6 &&
            !ip_addr_is_link_local(&neigh->addr) &&
            mac_equal(&neigh->mac, &lease->mac)) {
            result_add(result, &neigh->addr);
        }
    }
}

static bool domain_lookup(Gateway *gw, const DnsName *name, ZoneResult *result)
{
    char label[DNS_NAME_STRLEN];
    const LeaseEntry *entry;

    if (!gw->zone.valid || !dns_name_is_under(name, &gw->zone.domain)) {
        return false;
    }
    result->soa = gw->zone.domain;
    if (!dns_name_relative(name, &gw->zone.domain, label)) {
        result->exists = true; /* the domain itself */
    } else if (g_ascii_strcasecmp(label, "host") == 0 ||
               g_ascii_strcasecmp(label, "gateway") == 0) {
        add_own(gw, result);
    } else {
        entry = lease_table_by_name(gw->leases, label);
        if (entry) {
            add_lease(gw, &entry->lease, result);
        }
    }
    return true;
}

/* Special names (RFC 6761 6.3, 6.4; RFC 7686) */

static bool special_lookup(const DnsName *name, ZoneResult *result)
{
    static const char *const nowhere[] = { "invalid", "onion" };
    DnsName zone;
    IpAddr addr;
    unsigned i;

    if (dns_name_from_text("localhost", &zone) &&
        dns_name_is_under(name, &zone)) {
        result->soa = zone;
        result->exists = true;
        addr = ip_addr_v4(INADDR_LOOPBACK);
        result_add(result, &addr);
        addr = ip_addr_v6(&in6addr_loopback);
        result_add(result, &addr);
        return true;
    }
    for (i = 0; i < G_N_ELEMENTS(nowhere); i++) {
        if (dns_name_from_text(nowhere[i], &zone) &&
            dns_name_is_under(name, &zone)) {
            result->soa = zone;
            return true;
        }
    }
    return false;
}

/* Addresses */

/* The last @n_keep labels of @name. */
static void name_keep(DnsName *name, unsigned n_keep)
{
    unsigned n_drop = dns_name_n_labels(name) - n_keep;
    unsigned at = 0;

    while (n_drop-- > 0) {
        at += name->wire[at] + 1;
    }
    name->len -= at;
    memmove(name->wire, name->wire + at, name->len);
}

/* The reverse zone of a prefix: whole bytes (IPv4) or nibbles (IPv6). */
static void reverse_zone(const IpPrefix *prefix, DnsName *ret_zone)
{
    unsigned n = prefix->addr.family == AF_INET ? prefix->len / 8 :
                 prefix->len / 4;

    dns_reverse_name(&prefix->addr, ret_zone);
    name_keep(ret_zone, n + 2);
}

static const LeaseEntry *lease_using(Gateway *gw, const IpAddr *addr)
{
    const LeaseEntry *entry;
    const Neighbour *neigh;

    if (addr->family == AF_INET) {
        entry = lease_table_by_addr(gw->leases, addr->v4);
    } else {
        neigh = neigh_table_lookup(gw->neighbours, addr);
        if (!neigh || neigh->port == 0) {
            return NULL;
        }
        entry = lease_table_by_mac(gw->leases, &neigh->mac);
        if (!entry || entry->lease.port != neigh->port) {
            return NULL;
        }
    }
    return entry && entry->has_name ? entry : NULL;
}

static bool reverse_lookup(Gateway *gw, const DnsName *name,
                           ZoneResult *result)
{
    const IpPrefix *prefix;
    const LeaseEntry *entry;
    IpAddr addr;

    if (!gw->zone.valid || !dns_reverse_parse(name, &addr)) {
        return false;
    }
    if (ip_addr_is_loopback(&addr)) {
        /* RFC 6303 4.1, 4.2 */
        result->soa = *name;
        result->exists = true;
        result->has_ptr = dns_name_from_text("localhost", &result->ptr);
        return true;
    }
    prefix = addr.family == AF_INET ? &gw->config.prefix4 :
             &gw->config.prefix6;
    if (!ip_prefix_contains(prefix, &addr)) {
        return false;
    }
    reverse_zone(prefix, &result->soa);
    entry = lease_using(gw, &addr);
    if (gateway_is_own(gw, &addr)) {
        result->ptr = gw->zone.gateway;
        result->exists = result->has_ptr = true;
    } else if (entry && zone_name(gw, entry->lease.hostname, &result->ptr)) {
        result->exists = result->has_ptr = true;
    }
    return true;
}

/* Answers */

static bool wants(const DnsMessage *query, DnsType type)
{
    return query->qtype == type || query->qtype == DNS_TYPE_ANY;
}

static void add_soa(const Gateway *gw, DnsBuilder *b, DnsSection section,
                    const DnsName *zone)
{
    dns_add_soa(b, section, zone, ZONE_NEGATIVE_TTL_S, &gw->zone.gateway,
                &gw->zone.hostmaster, 1, ZONE_NEGATIVE_TTL_S);
}

static void add_answers(const Gateway *gw, const DnsMessage *query,
                        const ZoneResult *result, DnsBuilder *b)
{
    unsigned i;

    for (i = 0; i < result->n_addrs; i++) {
        const IpAddr *addr = &result->addrs[i];

        if (wants(query, addr->family == AF_INET ? DNS_TYPE_A :
                  DNS_TYPE_AAAA)) {
            dns_add_addr(b, DNS_SECTION_ANSWER, NULL, ZONE_TTL_S, addr);
        }
    }
    if (result->has_ptr && wants(query, DNS_TYPE_PTR)) {
        dns_add_name(b, DNS_SECTION_ANSWER, NULL, DNS_TYPE_PTR, ZONE_TTL_S,
                     &result->ptr);
    }
    if (dns_name_equal(&query->qname, &result->soa)) {
        if (wants(query, DNS_TYPE_SOA)) {
            add_soa(gw, b, DNS_SECTION_ANSWER, &result->soa);
        }
        if (wants(query, DNS_TYPE_NS)) {
            dns_add_name(b, DNS_SECTION_ANSWER, NULL, DNS_TYPE_NS, ZONE_TTL_S,
                         &gw->zone.gateway);
        }
    }
}

size_t gateway_zone_answer(Gateway *gw, const DnsMessage *query, uint8_t *buf,
                           size_t size)
{
    ZoneResult result = { 0 };
    DnsBuilder b;

    if ((query->qclass != DNS_CLASS_IN && query->qclass != DNS_CLASS_ANY) ||
        (!domain_lookup(gw, &query->qname, &result) &&
         !special_lookup(&query->qname, &result) &&
         !reverse_lookup(gw, &query->qname, &result))) {
        return 0;
    }
    dns_reply_begin(&b, buf, size, query, DNS_FLAG_AA | DNS_FLAG_RA,
                    result.exists ? DNS_RCODE_NOERROR : DNS_RCODE_NXDOMAIN,
                    DNS_EDNS_SIZE);
    add_answers(gw, query, &result, &b);
    if (b.counts[DNS_SECTION_ANSWER] == 0 && gw->zone.valid) {
        add_soa(gw, &b, DNS_SECTION_AUTHORITY, &result.soa);
    }
    return dns_reply_finish(&b);
}
