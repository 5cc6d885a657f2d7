/*
 * DHCPv4 server (RFC 2131, RFC 2132): messages, and what they do to leases
 *
 * What a guest can have is charged to its port: messages per second, leases,
 * and addresses in quarantine.
 *
 * Not done: BOOTP without DHCP, FORCERENEW (RFC 3203), lease query (RFC 4388).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/dhcp-server.h"

#include "limits.h"
#include "proto/udp.h"

/* How long an address is held for a client that was offered it. */
#define OFFER_HOLD_MS (60 * 1000)
/* How long an address that was declined is given to nobody. */
#define DECLINE_HOLD_MS (10 * 60 * 1000)

/* Leases begin and end: the event comes when the table says so already. */

static void lease_end(Gateway *gw, LeaseEntry *entry, LeaseState state)
{
    Lease lease = gateway_lease_export(gw, entry);
    bool was_bound = entry->lease.state == LEASE_BOUND;

    lease_table_set_state(gw->leases, entry, state,
                          MIN(entry->expires_ms, gw->now_ms));
    if (was_bound) {
        gateway_lease_event(gw, GATEWAY_LEASE_REMOVED, &lease, NULL);
        gw->ops.leases_changed(gw->opaque);
    }
}

/* @entry is @req's; who had it, and what @req had, have ended. */
static void assign(Gateway *gw, LeaseEntry *entry, const DhcpRequest *req)
{
    LeaseEntry *other = lease_table_by_mac(gw->leases, &req->mac);

    if (other && other != entry) {
        lease_end(gw, other, LEASE_RELEASED);
    }
    if (!mac_equal(&entry->lease.mac, &req->mac) &&
        !mac_is_zero(&entry->lease.mac)) {
        entry->moved_ms = gw->now_ms;
        lease_end(gw, entry, LEASE_EXPIRED);
    }
    lease_table_assign(gw->leases, entry, &req->mac, req->id, req->id_len);
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
        gateway_entry_event(gw, GATEWAY_LEASE_CONFLICT, entry,
                            "host name taken or reserved");
    }
}

/* @req has @entry from now on. */
static void commit(Gateway *gw, LeaseEntry *entry, const DhcpRequest *req)
{
    int64_t lease_ms = (int64_t)dhcp_lease_time(gw, req->msg) * 1000;
    bool is_new;

    assign(gw, entry, req);
    is_new = entry->lease.state != LEASE_BOUND ||
             entry->lease.port != req->port;
    entry->lease.port = req->port;
    lease_table_set_state(gw->leases, entry, LEASE_BOUND,
                          gw->now_ms + lease_ms);
    set_name(gw, entry, req);
    if (req->msg->giaddr == 0) {
        neigh_table_learn(gw->neighbours, &entry->lease.addr, &req->mac,
                          req->port, gw->now_ms);
    }
    if (is_new) {
        gateway_entry_event(gw, GATEWAY_LEASE_ADDED, entry, NULL);
    }
    gw->ops.leases_changed(gw->opaque);
}

/* Messages */

static void discover_input(Gateway *gw, const DhcpRequest *req)
{
    LeaseEntry *entry = dhcp_lease_for(gw, req, req->msg->requested_ip);

    if (!entry) {
        gateway_drop(gw, req->port, SWITCH_DROP_LIMIT);
        return;
    }
    if (req->msg->rapid_commit) {
        commit(gw, entry, req);
        dhcp_reply(gw, req, DHCP4_ACK, entry);
        return;
    }
    assign(gw, entry, req);
    if (entry->lease.state != LEASE_BOUND) {
        entry->lease.port = req->port;
        lease_table_set_state(gw->leases, entry, LEASE_OFFERED,
                              gw->now_ms + OFFER_HOLD_MS);
    }
    dhcp_reply(gw, req, DHCP4_OFFER, entry);
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
    LeaseEntry *entry = dhcp_lease_of(gw, req, &clone);

    if (entry && entry->lease.addr.v4 == addr &&
        dhcp_lease_is_usable(gw, entry, &req->mac)) {
        commit(gw, entry, req);
        dhcp_reply(gw, req, DHCP4_ACK, entry);
        return;
    }
    if (entry || lease_table_by_addr(gw->leases, addr) ||
        (may_make && !dhcp_is_fresh(gw, addr, &req->mac))) {
        dhcp_reply_nak(gw, req, "address is not yours");
        return;
    }
    if (!may_make) {
        return;
    }
    entry = dhcp_lease_make(gw, req, addr);
    if (!entry) {
        gateway_drop(gw, req->port, SWITCH_DROP_LIMIT);
        return;
    }
    if (entry->lease.addr.v4 != addr) {
        lease_table_remove(gw->leases, entry);
        dhcp_reply_nak(gw, req, "address is not to be had");
        return;
    }
    commit(gw, entry, req);
    dhcp_reply(gw, req, DHCP4_ACK, entry);
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
        dhcp_reply_nak(gw, req, "address is of another network");
    } else if (msg->server_id != 0) {
        request_addr(gw, req, addr, true);              /* SELECTING */
    } else if (msg->ciaddr == 0) {
        request_addr(gw, req, addr, false);             /* INIT-REBOOT */
    } else {
        request_addr(gw, req, msg->ciaddr, true);       /* RENEW, REBIND */
    }
}

/* The lease of @addr, if it is @req's: nobody ends one from another port. */
static LeaseEntry *lease_held(Gateway *gw, const DhcpRequest *req,
                              uint32_t addr)
{
    LeaseEntry *entry = lease_table_by_addr(gw->leases, addr);

    return entry && mac_equal(&entry->lease.mac, &req->mac) &&
           (entry->lease.port == 0 || entry->lease.port == req->port) &&
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
    gateway_entry_event(gw, GATEWAY_LEASE_CONFLICT, entry,
                        "address declined: in use by another");
    lease_end(gw, entry, LEASE_RELEASED);
    if (lease_table_n_of_port(gw->leases, req->port, LEASE_DECLINED) >=
        LIMIT_DECLINED_PER_PORT) {
        gateway_drop(gw, req->port, SWITCH_DROP_LIMIT);
        lease_table_remove(gw->leases, entry);
    } else {
        lease_table_quarantine(gw->leases, entry, req->port,
                               gw->now_ms + DECLINE_HOLD_MS);
    }
}

static void release_input(Gateway *gw, const DhcpRequest *req)
{
    LeaseEntry *entry = lease_held(gw, req, req->msg->ciaddr);

    if (entry && is_for_us(gw, req->msg) &&
        entry->lease.state == LEASE_BOUND) {
        lease_end(gw, entry, LEASE_RELEASED);
    }
}

/* RFC 2131 4.3.5: configuration for one who has an address: no lease. */
static void inform_input(Gateway *gw, const DhcpRequest *req)
{
    IpAddr ip = ip_addr_v4(req->msg->ciaddr);

    if (!gateway_may_be_guest(gw, &ip)) {
        gateway_drop(gw, req->port, SWITCH_DROP_FOREIGN_SOURCE);
        return;
    }
    dhcp_reply(gw, req, DHCP4_ACK, NULL);
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

/*
 * chaddr is only what a message says.  A guest that has moved to another port
 * has its MAC there as well; who has not, speaks for somebody else.
 */
static bool may_speak(Gateway *gw, const DhcpRequest *req)
{
    const LeaseEntry *entry = lease_table_by_mac(gw->leases, &req->mac);

    return !entry || entry->lease.port == 0 ||
           entry->lease.port == req->port ||
           mac_equal(&req->mac, &req->eth_src);
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
    req.id = msg.client_id.data;
    req.id_len = MIN(msg.client_id.len, sizeof(((Lease *)0)->client_id));
    if (mac_is_zero(&req.mac) || mac_equal(&req.mac, &gw->config.mac)) {
        gateway_drop(gw, port->id, SWITCH_DROP_MALFORMED);
        return;
    }
    if (!may_speak(gw, &req)) {
        gateway_drop(gw, port->id, SWITCH_DROP_FOREIGN_SOURCE);
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

    if (entry->was_bound) {
        lease_end(gw, entry, LEASE_EXPIRED);
    } else {
        lease_table_remove(gw->leases, entry);
    }
}

void gateway_dhcp_run(Gateway *gw)
{
    gateway_measure_wall(gw);
    lease_table_run(gw->leases, gw->now_ms, lease_expired, gw);
}
