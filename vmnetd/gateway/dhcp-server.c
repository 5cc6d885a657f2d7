/*
 * DHCPv4 server (RFC 2131, RFC 2132)
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
 * What a guest can have is charged to its port: messages per second, leases,
 * and addresses in quarantine.
 *
 * Not done: BOOTP without DHCP, FORCERENEW (RFC 3203), lease query (RFC 4388).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway-internal.h"

#include "limits.h"
#include "proto/dhcp4.h"
#include "proto/udp.h"

/* How long an address is held for a client that was offered it. */
#define OFFER_HOLD_MS (60 * 1000)
/* How long an address that was declined is given to nobody. */
#define DECLINE_HOLD_MS (10 * 60 * 1000)
/* An ARP question about an address: answered by then, and for so long good. */
#define PROBE_ANSWER_MS 500
#define PROBE_VALID_MS (60 * 1000)
/* Old holders asked about for one DISCOVER. */
#define PROBES_MAX 4
/* A port that speaks for more addresses than this is not believed that they
 * are in use: otherwise one guest could claim the pool. */
#define CLAIMS_MAX 64
#define LEASE_MIN_S 20

typedef struct DhcpRequest {
    const Dhcp4Message *msg;
    uint32_t port;
    MacAddr mac, eth_src;
    const uint8_t *id;
    size_t id_len;
    uint32_t ip_src;
} DhcpRequest;

/* Answers */

/* RFC 2131 4.1: where an answer goes. */
static void reply_send(Gateway *gw, const DhcpRequest *req, Dhcp4Type type,
                       const uint8_t *payload, size_t len, uint32_t yiaddr)
{
    const Dhcp4Message *msg = req->msg;
    IpHeaders headers = {
        .eth_src = gw->config.mac,
        .eth_dst = req->mac,
        .src = gw->config.gateway4,
        .ttl = 64,
        .dont_fragment = true,
    };
    uint16_t dport = DHCP4_CLIENT_PORT;
    size_t size = UDP_HEADROOM + len;
    uint8_t *buf = outbox_room(&gw->outbox, size);

    if (msg->giaddr != 0) {
        headers.dst = ip_addr_v4(msg->giaddr);
        headers.eth_dst = req->eth_src;
        dport = DHCP4_SERVER_PORT;
    } else if (type != DHCP4_NAK && msg->ciaddr != 0) {
        headers.dst = ip_addr_v4(msg->ciaddr);
    } else if (type == DHCP4_NAK || msg->broadcast || yiaddr == 0) {
        headers.dst = ip_addr_v4(INADDR_BROADCAST);
        memset(&headers.eth_dst, 0xff, sizeof(headers.eth_dst));
    } else {
        headers.dst = ip_addr_v4(yiaddr);
    }
    if (buf) {
        outbox_add(&gw->outbox, udp_build(buf, size, &headers,
                                          DHCP4_SERVER_PORT, dport,
                                          payload, len));
    }
}

static void add_lease_times(Dhcp4Builder *b, uint32_t lease_s)
{
    dhcp4_add_u32(b, DHCP4_OPTION_LEASE_TIME, lease_s);
    dhcp4_add_u32(b, DHCP4_OPTION_RENEWAL_TIME, lease_s / 2);
    dhcp4_add_u32(b, DHCP4_OPTION_REBINDING_TIME, (uint64_t)lease_s * 7 / 8);
}

/* What every client needs, most important first. */
static void add_network(const Gateway *gw, Dhcp4Builder *b)
{
    const GatewayConfig *config = &gw->config;
    uint32_t mask = ip_len_to_mask(config->prefix4.len);

    dhcp4_add_u32(b, DHCP4_OPTION_SUBNET_MASK, mask);
    if (!config->host_only) {
        dhcp4_add_addrs(b, DHCP4_OPTION_ROUTER, &config->gateway4.v4, 1);
    }
    if (config->dns) {
        dhcp4_add_addrs(b, DHCP4_OPTION_DNS, &config->gateway4.v4, 1);
        if (config->domain[0]) {
            dhcp4_add_string(b, DHCP4_OPTION_DOMAIN_NAME, config->domain);
        }
    }
    dhcp4_add_u32(b, DHCP4_OPTION_BROADCAST, config->gateway4.v4 | ~mask);
}

/* What is sent only to those who ask for it. */
static void add_wanted(const Gateway *gw, const Dhcp4Message *msg,
                       Dhcp4Builder *b)
{
    const GatewayConfig *config = &gw->config;

    if (dhcp4_wants(msg, DHCP4_OPTION_MTU)) {
        dhcp4_add_u16(b, DHCP4_OPTION_MTU, MIN(config->mtu_bytes, UINT16_MAX));
    }
    if (dhcp4_wants(msg, DHCP4_OPTION_CLASSLESS_ROUTES) &&
        !config->host_only) {
        /* RFC 3442: who asked for this ignores the router option. */
        Dhcp4Route route = { .gateway = config->gateway4.v4 };

        dhcp4_add_routes(b, &route, 1);
    }
    if (dhcp4_wants(msg, DHCP4_OPTION_DOMAIN_SEARCH) && config->dns &&
        config->domain[0]) {
        dhcp4_add_domains(b, &config->domain, 1);
    }
    if (dhcp4_wants(msg, DHCP4_OPTION_IPV6_ONLY) &&
        config->v6only_wait_s > 0) {
        dhcp4_add_u32(b, DHCP4_OPTION_IPV6_ONLY,
                      MAX(config->v6only_wait_s, 300)); /* RFC 8925 3.4 */
    }
}

/* RFC 4702 4: we enter the name, whatever the client would like. */
static void add_fqdn(const Gateway *gw, const Dhcp4Message *msg,
                     const LeaseEntry *entry, Dhcp4Builder *b)
{
    g_autofree char *name = NULL;
    uint8_t flags = DHCP4_FQDN_S;

    if (!msg->fqdn[0] || !entry->has_name || !gw->config.dns) {
        return;
    }
    if (!(msg->fqdn_flags & DHCP4_FQDN_S)) {
        flags |= DHCP4_FQDN_O;
    }
    name = g_strdup_printf("%s.%s", entry->lease.hostname, gw->domain);
    dhcp4_add_fqdn(b, flags, name);
}

/* RFC 6842: the client-id comes back; RFC 3046 2.2: relay information last. */
static void add_echoes(const Dhcp4Message *msg, Dhcp4Builder *b)
{
    if (msg->client_id.data) {
        dhcp4_add_bytes(b, DHCP4_OPTION_CLIENT_ID, msg->client_id.data,
                        msg->client_id.len);
    }
    if (msg->relay_info.data) {
        dhcp4_add_bytes(b, DHCP4_OPTION_RELAY_INFO, msg->relay_info.data,
                        msg->relay_info.len);
    }
}

static uint32_t lease_time(const Gateway *gw, const Dhcp4Message *msg)
{
    if (msg->lease_s == 0) {
        return gw->config.lease_s;
    }
    return MIN(MAX(msg->lease_s, LEASE_MIN_S), gw->config.lease_s);
}

/* OFFER and ACK; @entry is NULL in answer to INFORM. */
static void reply(Gateway *gw, const DhcpRequest *req, Dhcp4Type type,
                  const LeaseEntry *entry)
{
    uint32_t yiaddr = entry ? entry->lease.addr.v4 : 0;
    uint8_t buf[DHCP4_MESSAGE_MAX];
    size_t max = MIN(sizeof(buf), gw->config.mtu_bytes - 28);
    Dhcp4Builder b;

    dhcp4_reply_begin(&b, buf, max, req->msg, type, yiaddr, 0);
    dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, gw->config.gateway4.v4);
    if (entry) {
        add_lease_times(&b, lease_time(gw, req->msg));
    }
    add_network(gw, &b);
    if (type == DHCP4_ACK && entry && req->msg->type == DHCP4_DISCOVER) {
        dhcp4_add_flag(&b, DHCP4_OPTION_RAPID_COMMIT); /* RFC 4039 4 */
    }
    add_wanted(gw, req->msg, &b);
    if (entry) {
        add_fqdn(gw, req->msg, entry, &b);
    }
    add_echoes(req->msg, &b);
    reply_send(gw, req, type, buf, dhcp4_finish(&b), yiaddr);
}

static void reply_nak(Gateway *gw, const DhcpRequest *req, const char *why)
{
    uint8_t buf[DHCP4_MESSAGE_MAX];
    Dhcp4Builder b;

    dhcp4_reply_begin(&b, buf, sizeof(buf), req->msg, DHCP4_NAK, 0, 0);
    dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, gw->config.gateway4.v4);
    dhcp4_add_string(&b, DHCP4_OPTION_MESSAGE, why);
    add_echoes(req->msg, &b);
    reply_send(gw, req, DHCP4_NAK, buf, dhcp4_finish(&b), 0);
}

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

/*
 * The entry that is this client's, in whatever state; NULL: none.  @ret_clone
 * is the lease of another live client that has the same client-id.
 */
static LeaseEntry *lease_of(Gateway *gw, const DhcpRequest *req,
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

static bool is_fresh(Gateway *gw, uint32_t addr, const MacAddr *mac)
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

        if (is_fresh(gw, addr, mac)) {
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
    LeaseEntry *entry = NULL;
    unsigned n_probes = 0;

    while ((entry = lease_table_oldest(gw->leases, port, entry)) &&
           n_probes < PROBES_MAX) {
        if (entry->lease.state == LEASE_OFFERED ||
            is_abandoned(gw, entry, &n_probes)) {
            uint32_t addr = entry->lease.addr.v4;

            lease_table_remove(gw->leases, entry);
            return addr;
        }
    }
    return 0;
}

/* An entry for a client that has none; @wanted: what it asks for, or 0. */
static LeaseEntry *allocate(Gateway *gw, const DhcpRequest *req,
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
        addr = is_fresh(gw, wanted, &req->mac) ? wanted :
               choose_fresh(gw, &req->mac);
    }
    if (addr == 0) {
        addr = reclaim(gw, 0);
    }
    return addr ? lease_table_add(gw->leases, addr) : NULL;
}

/* What a client is given: its own, or a new one. NULL: nothing is left. */
static LeaseEntry *lease_for(Gateway *gw, const DhcpRequest *req,
                             uint32_t wanted)
{
    LeaseEntry *clone;
    LeaseEntry *entry = lease_of(gw, req, &clone);

    if (entry && entry->lease.state != LEASE_DECLINED &&
        (entry->reserved || entry->lease.state == LEASE_BOUND ||
         !is_claimed(gw, entry->lease.addr.v4, &req->mac,
                     &entry->lease.mac))) {
        return entry;
    }
    entry = allocate(gw, req, wanted);
    if (entry && clone) {
        gateway_lease_event(gw, GATEWAY_LEASE_CONFLICT, clone,
                            "client-id used by two MAC addresses");
    }
    return entry;
}

/* Makes @entry @req's; what is new about that is told by commit(). */
static void assign(Gateway *gw, LeaseEntry *entry, const DhcpRequest *req)
{
    LeaseEntry *other = lease_table_by_mac(gw->leases, &req->mac);

    if (other && other != entry && other->lease.state == LEASE_BOUND) {
        gateway_lease_event(gw, GATEWAY_LEASE_REMOVED, other, NULL);
    }
    if (!mac_equal(&entry->lease.mac, &req->mac) &&
        !mac_is_zero(&entry->lease.mac)) {
        entry->moved_ms = gw->now_ms;
        entry->was_bound = false;
        if (entry->lease.state == LEASE_BOUND) {
            gateway_lease_event(gw, GATEWAY_LEASE_REMOVED, entry, NULL);
            lease_table_set_state(gw->leases, entry, LEASE_EXPIRED,
                                  gw->now_ms);
        }
    }
    lease_table_assign(gw->leases, entry, &req->mac, req->id, req->id_len);
    entry->lease.port = req->port;
}

static void set_name(Gateway *gw, LeaseEntry *entry, const DhcpRequest *req)
{
    const Dhcp4Message *msg = req->msg;
    char name[64] = "";

    if (msg->hostname.data) {
        lease_name_sanitize(msg->hostname.data, msg->hostname.len, name);
    }
    if (!name[0] && msg->fqdn[0]) {
        lease_name_sanitize((const uint8_t *)msg->fqdn, strlen(msg->fqdn),
                            name);
    }
    if (!name[0]) {
        return; /* firmware and initramfs send none: the name stays */
    }
    if (!lease_table_set_name(gw->leases, entry, name) && !entry->name_lost) {
        entry->name_lost = true;
        gateway_lease_event(gw, GATEWAY_LEASE_CONFLICT, entry,
                            "host name taken or reserved");
    }
}

/* @req has @entry from now on. */
static void commit(Gateway *gw, LeaseEntry *entry, const DhcpRequest *req)
{
    bool is_new;
    int64_t lease_ms = (int64_t)lease_time(gw, req->msg) * 1000;

    assign(gw, entry, req);
    is_new = entry->lease.state != LEASE_BOUND;
    lease_table_set_state(gw->leases, entry, LEASE_BOUND,
                          gw->now_ms + lease_ms);
    set_name(gw, entry, req);
    if (req->msg->giaddr == 0) {
        neigh_table_learn(gw->neighbours, &entry->lease.addr, &req->mac,
                          req->port, gw->now_ms);
    }
    if (is_new) {
        gateway_lease_event(gw, GATEWAY_LEASE_ADDED, entry, NULL);
    }
    gw->ops.leases_changed(gw->opaque);
}

/* Messages */

static void discover_input(Gateway *gw, const DhcpRequest *req)
{
    LeaseEntry *entry = lease_for(gw, req, req->msg->requested_ip);

    if (!entry) {
        gateway_drop(gw, req->port, SWITCH_DROP_LIMIT);
        return;
    }
    if (req->msg->rapid_commit) {
        commit(gw, entry, req);
        reply(gw, req, DHCP4_ACK, entry);
        return;
    }
    assign(gw, entry, req);
    if (entry->lease.state != LEASE_BOUND) {
        lease_table_set_state(gw->leases, entry, LEASE_OFFERED,
                              gw->now_ms + OFFER_HOLD_MS);
    }
    reply(gw, req, DHCP4_OFFER, entry);
}

/* The client took another server's offer (RFC 2131 4.3.2): ours is free. */
static void request_elsewhere(Gateway *gw, const DhcpRequest *req)
{
    LeaseEntry *entry = lease_table_by_mac(gw->leases, &req->mac);

    if (entry && entry->lease.state == LEASE_OFFERED) {
        lease_table_remove(gw->leases, entry);
    }
}

/*
 * @addr is what the client says is its own.  If we know nothing against that
 * and @may_make, it gets it: so a network whose lease file was lost recovers.
 */
static void request_addr(Gateway *gw, const DhcpRequest *req, uint32_t addr,
                         bool may_make)
{
    LeaseEntry *clone;
    LeaseEntry *entry = lease_of(gw, req, &clone);

    if (entry && entry->lease.addr.v4 == addr &&
        entry->lease.state != LEASE_DECLINED) {
        commit(gw, entry, req);
        reply(gw, req, DHCP4_ACK, entry);
        return;
    }
    if (entry || lease_table_by_addr(gw->leases, addr) ||
        (may_make && !is_fresh(gw, addr, &req->mac))) {
        reply_nak(gw, req, "address is not yours");
        return;
    }
    if (!may_make) {
        return;
    }
    entry = allocate(gw, req, addr);
    if (!entry) {
        gateway_drop(gw, req->port, SWITCH_DROP_LIMIT);
        return;
    }
    if (entry->lease.addr.v4 != addr) {
        lease_table_remove(gw->leases, entry);
        reply_nak(gw, req, "address is not to be had");
        return;
    }
    commit(gw, entry, req);
    reply(gw, req, DHCP4_ACK, entry);
}

/* RFC 2131 4.3.2: the four kinds are told apart by what is filled in. */
static void request_input(Gateway *gw, const DhcpRequest *req)
{
    const Dhcp4Message *msg = req->msg;
    uint32_t addr = msg->requested_ip ? msg->requested_ip : msg->ciaddr;
    IpAddr ip = ip_addr_v4(addr);

    if (msg->server_id != 0 && msg->server_id != gw->config.gateway4.v4) {
        request_elsewhere(gw, req);
    } else if (addr == 0) {
        gateway_drop(gw, req->port, SWITCH_DROP_MALFORMED);
    } else if (!ip_prefix_contains(&gw->config.prefix4, &ip)) {
        reply_nak(gw, req, "address is of another network");
    } else if (msg->server_id != 0) {
        request_addr(gw, req, addr, true);              /* SELECTING */
    } else if (msg->ciaddr == 0) {
        request_addr(gw, req, addr, false);             /* INIT-REBOOT */
    } else {
        request_addr(gw, req, msg->ciaddr, true);       /* RENEW, REBIND */
    }
}

/* The lease of @addr, if it is @req's. */
static LeaseEntry *lease_held(Gateway *gw, const DhcpRequest *req,
                              uint32_t addr)
{
    LeaseEntry *entry = lease_table_by_addr(gw->leases, addr);

    return entry && mac_equal(&entry->lease.mac, &req->mac) &&
           (entry->lease.state == LEASE_BOUND ||
            entry->lease.state == LEASE_OFFERED) ? entry : NULL;
}

static bool is_for_us(const Gateway *gw, const Dhcp4Message *msg)
{
    return msg->server_id == 0 || msg->server_id == gw->config.gateway4.v4;
}

static void decline_input(Gateway *gw, const DhcpRequest *req)
{
    LeaseEntry *entry = lease_held(gw, req, req->msg->requested_ip);

    if (!entry || !is_for_us(gw, req->msg)) {
        return;
    }
    if (entry->lease.state == LEASE_BOUND) {
        gateway_lease_event(gw, GATEWAY_LEASE_REMOVED, entry,
                            "address in use by another");
    }
    gateway_lease_event(gw, GATEWAY_LEASE_CONFLICT, entry,
                        "address declined: in use by another");
    if (lease_table_n_of_port(gw->leases, req->port, LEASE_DECLINED) >=
        LIMIT_DECLINED_PER_PORT) {
        gateway_drop(gw, req->port, SWITCH_DROP_LIMIT);
        lease_table_remove(gw->leases, entry);
    } else {
        lease_table_quarantine(gw->leases, entry, req->port,
                               gw->now_ms + DECLINE_HOLD_MS);
    }
    gw->ops.leases_changed(gw->opaque);
}

static void release_input(Gateway *gw, const DhcpRequest *req)
{
    LeaseEntry *entry = lease_held(gw, req, req->msg->ciaddr);

    if (!entry || !is_for_us(gw, req->msg) ||
        entry->lease.state != LEASE_BOUND) {
        return;
    }
    gateway_lease_event(gw, GATEWAY_LEASE_REMOVED, entry, NULL);
    lease_table_set_state(gw->leases, entry, LEASE_RELEASED, gw->now_ms);
    gw->ops.leases_changed(gw->opaque);
}

/* RFC 2131 4.3.5: configuration for one who has an address: no lease. */
static void inform_input(Gateway *gw, const DhcpRequest *req)
{
    IpAddr ip = ip_addr_v4(req->msg->ciaddr);

    if (!gateway_may_be_guest(gw, &ip)) {
        gateway_drop(gw, req->port, SWITCH_DROP_FOREIGN_SOURCE);
        return;
    }
    reply(gw, req, DHCP4_ACK, NULL);
}

typedef struct DhcpHandler {
    Dhcp4Type type;
    void (*input)(Gateway *gw, const DhcpRequest *req);
} DhcpHandler;

static const DhcpHandler handlers[] = {
    { DHCP4_DISCOVER, discover_input },
    { DHCP4_REQUEST, request_input },
    { DHCP4_DECLINE, decline_input },
    { DHCP4_RELEASE, release_input },
    { DHCP4_INFORM, inform_input },
};

/* A client of ours: a request, from an Ethernet address of one machine. */
static bool is_request(const Dhcp4Message *msg)
{
    return msg->op == DHCP4_BOOTREQUEST && msg->htype == 1 && msg->hlen == 6 &&
           !mac_is_group(msg->chaddr);
}

static bool message_read(const Frame *frame, const IpPacket *ip,
                         Dhcp4Message *ret_msg)
{
    uint8_t buf[DHCP4_MESSAGE_MAX];
    UdpDatagram udp;

    return udp_parse(frame, ip, &udp) && udp.payload_len <= sizeof(buf) &&
           frame_peek(frame, udp.payload_off, buf, udp.payload_len) ==
           udp.payload_len &&
           dhcp4_parse(buf, udp.payload_len, ret_msg) && is_request(ret_msg);
}

void gateway_dhcp_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    GatewayPort *port = gateway_port(gw, frame->src_port);
    Dhcp4Message msg;
    DhcpRequest req = { .msg = &msg, .port = port->id };
    unsigned i;

    if (!rate_limit_take(&port->dhcp, LIMIT_DHCP_BURST, LIMIT_DHCP_PER_SECOND,
                         gw->now_ms)) {
        gateway_drop(gw, port->id, SWITCH_DROP_LIMIT);
        return;
    }
    if (!message_read(frame, ip, &msg)) {
        gateway_drop(gw, port->id, SWITCH_DROP_MALFORMED);
        return;
    }
    memcpy(req.mac.b, msg.chaddr, sizeof(req.mac.b));
    req.eth_src = ip->eth_src;
    req.ip_src = ip->src.v4;
    req.id = msg.client_id.data;
    req.id_len = MIN(msg.client_id.len, sizeof(((Lease *)0)->client_id));
    if (mac_is_zero(&req.mac) || mac_equal(&req.mac, &gw->config.mac)) {
        gateway_drop(gw, port->id, SWITCH_DROP_MALFORMED);
        return;
    }

    gateway_measure_wall(gw);
    for (i = 0; i < G_N_ELEMENTS(handlers); i++) {
        if (handlers[i].type == msg.type) {
            handlers[i].input(gw, &req);
        }
    }
}

/* Time */

static void lease_expired(void *opaque, LeaseEntry *entry)
{
    Gateway *gw = opaque;

    if (entry->lease.state == LEASE_BOUND) {
        gateway_lease_event(gw, GATEWAY_LEASE_REMOVED, entry, NULL);
        gw->ops.leases_changed(gw->opaque);
    }
    if (entry->was_bound) {
        lease_table_set_state(gw->leases, entry, LEASE_EXPIRED,
                              entry->expires_ms);
    } else {
        lease_table_remove(gw->leases, entry);
    }
}

void gateway_dhcp_run(Gateway *gw)
{
    gateway_measure_wall(gw);
    lease_table_run(gw->leases, gw->now_ms, lease_expired, gw);
}
