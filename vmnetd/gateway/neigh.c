/*
 * ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861, RFC 4862) for the
 * gateway's own addresses, and who may speak for which address
 *
 * Theory of operation: an address is bound to the MAC and port that was first
 * seen to use it, by ARP, ND or any packet to us, until that port goes.  When
 * another port speaks for it, the holder is asked, and keeps it if it answers
 * (first come, first served, as RFC 6620 has it); if not, the other's next try
 * has it.  So takeover takes a second, and no guest can take an address from
 * one that is there.  An address on lease to a guest that is there does not
 * move at all.  Behind one port, or with one MAC that changed its port,
 * addresses move at once: that is the guest's own business.  A packet whose
 * source is bound elsewhere is foreign: dropped and counted.
 *
 * Nothing is ever answered for others, and no timer runs unless a question of
 * ours waits for its answer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway-internal.h"

#include "proto/arp.h"
#include "proto/eth.h"

/* A holder whose address another uses has so long to answer, and its silence
 * counts for so long. */
#define CHALLENGE_ANSWER_MS 500
#define CHALLENGE_VALID_MS (10 * 1000)
/* A binding that was silent for so long is checked when it is in demand. */
#define BINDING_CHECK_MS (60 * 1000)
/* Questions: RFC 4861 10, MAX_MULTICAST_SOLICIT and RETRANS_TIMER. */
#define ASK_TRIES 3
#define ASK_INTERVAL_MS 1000
/* RFC 5227 2.4: no more than one defence in this time. */
#define DEFEND_INTERVAL_MS (10 * 1000)

static const MacAddr mac_broadcast = {{ 255, 255, 255, 255, 255, 255 }};

static bool lease_forbids(Gateway *gw, const IpAddr *addr, const MacAddr *mac)
{
    const LeaseEntry *entry;

    if (addr->family != AF_INET) {
        return false;
    }
    entry = lease_table_by_addr(gw->leases, addr->v4);
    return entry && entry->lease.state == LEASE_BOUND &&
           entry->lease.port != 0 && !mac_equal(&entry->lease.mac, mac);
}

/* Is @neigh's holder gone?  Asks it, if that has not been done lately. */
static bool holder_is_silent(Gateway *gw, Neighbour *neigh)
{
    int64_t since_ms = gw->now_ms - neigh->asked_ms;

    if (since_ms < CHALLENGE_VALID_MS) {
        return neigh->n_asked > 0 && since_ms >= CHALLENGE_ANSWER_MS;
    }
    neigh->asked_ms = gw->now_ms;
    neigh->n_asked = 1;
    gateway_ask(gw, &neigh->addr, &neigh->mac);
    return false;
}

bool gateway_bind_source(Gateway *gw, const IpAddr *addr, const MacAddr *mac,
                         uint32_t port)
{
    Neighbour *neigh = neigh_table_lookup(gw->neighbours, addr);

    if (neigh && neigh->port == port && mac_equal(&neigh->mac, mac)) {
        neigh->seen_ms = gw->now_ms;
        neigh->n_asked = 0;
        return true;
    }
    if (!gateway_may_be_guest(gw, addr) || mac_is_group(mac->b) ||
        lease_forbids(gw, addr, mac)) {
        return false;
    }
    if (neigh && neigh->port != 0 && neigh->port != port &&
        !mac_equal(&neigh->mac, mac) && !holder_is_silent(gw, neigh)) {
        return false;
    }
    neigh_table_learn(gw->neighbours, addr, mac, port, gw->now_ms);
    gateway_lease_seen(gw, addr, mac, port);
    return true;
}

/* ARP */

static void arp_send(Gateway *gw, const MacAddr *eth_dst, const ArpPacket *arp)
{
    uint8_t *buf = outbox_room(&gw->outbox, ARP_FRAME_LEN);

    if (buf) {
        outbox_add(&gw->outbox, arp_build(buf, eth_dst, arp));
    }
}

/* Somebody else says that our address is his: say once that it is not. */
static void arp_defend(Gateway *gw)
{
    ArpPacket arp = {
        .op = ARP_REQUEST,
        .sha = gw->config.mac,
        .spa = gw->config.gateway4.v4,
        .tpa = gw->config.gateway4.v4,
    };

    if (gw->now_ms - gw->defended_ms >= DEFEND_INTERVAL_MS) {
        gw->defended_ms = gw->now_ms;
        arp_send(gw, &mac_broadcast, &arp);
    }
}

void gateway_arp_input(Gateway *gw, const Frame *frame, const EthHeader *eth)
{
    uint8_t data[ARP_PACKET_LEN];
    size_t len = frame_peek(frame, eth->payload_off, data, sizeof(data));
    ArpPacket arp, reply;
    IpAddr sender;

    if (gw->config.gateway4.family != AF_INET) {
        return;
    }
    if (!arp_parse(data, len, &arp)) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_MALFORMED);
        return;
    }
    sender = ip_addr_v4(arp.spa);
    if (gateway_is_own(gw, &sender)) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_FOREIGN_SOURCE);
        arp_defend(gw);
        return;
    }
    /* A probe (RFC 5227 2.1.1) says nothing about its sender's address. */
    if (arp.spa != 0 &&
        (!mac_equal(&arp.sha, &eth->src) ||
         !gateway_bind_source(gw, &sender, &arp.sha, frame->src_port))) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_FOREIGN_SOURCE);
        return;
    }
    if (arp.op == ARP_REPLY && arp.spa != 0) {
        gateway_tell_uplink(gw, frame, &eth->dst);
    }
    if (arp.op != ARP_REQUEST || arp.tpa != gw->config.gateway4.v4) {
        return;
    }
    reply = (ArpPacket) {
        .op = ARP_REPLY,
        .sha = gw->config.mac, .spa = arp.tpa,
        .tha = arp.sha, .tpa = arp.spa,
    };
    arp_send(gw, &arp.sha, &reply);
}

/* Neighbour discovery */

static void na_send(Gateway *gw, const IpHeaders *headers,
                    const struct in6_addr *target, unsigned flags)
{
    uint8_t *buf = outbox_room(&gw->outbox, NDP_NEIGHBOUR_FRAME_LEN);

    if (buf) {
        outbox_add(&gw->outbox, ndp_na_build(buf, headers, target, flags));
    }
}

/* To all nodes: an answer to a DAD probe, or the defence of our address. */
static void na_send_all(Gateway *gw, const IpAddr *target)
{
    IpHeaders headers = {
        .eth_src = gw->config.mac,
        .src = *target,
        .dst = ip_addr_v6(&ndp_all_nodes),
    };

    headers.eth_dst = eth_group_mac(&headers.dst);
    na_send(gw, &headers, &target->v6, NDP_NA_ROUTER | NDP_NA_OVERRIDE);
}

void gateway_ns_input(Gateway *gw, const Frame *frame, const IpPacket *ip,
                      const NdpMessage *ndp)
{
    IpAddr target = ip_addr_v6(&ndp->target);
    bool is_dad = ndp_is_dad(ip, ndp);
    IpHeaders headers;

    if (!is_dad &&
        ((ndp->has_lladdr && !mac_equal(&ndp->lladdr, &ip->eth_src)) ||
         !gateway_bind_source(gw, &ip->src, &ip->eth_src, frame->src_port))) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_FOREIGN_SOURCE);
        return;
    }
    if (!gateway_is_own(gw, &target)) {
        return;
    }
    if (is_dad) {
        /* RFC 4861 7.2.4: no destination to solicit it. */
        na_send_all(gw, &target);
        return;
    }
    headers = gateway_answer_headers(gw, ip, &target);
    na_send(gw, &headers, &ndp->target, NDP_NA_ROUTER |
            NDP_NA_SOLICITED | NDP_NA_OVERRIDE);
}

void gateway_na_input(Gateway *gw, const Frame *frame, const IpPacket *ip,
                      const NdpMessage *ndp)
{
    IpAddr target = ip_addr_v6(&ndp->target);

    if (gateway_is_own(gw, &target)) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_FOREIGN_SOURCE);
        if (gw->now_ms - gw->defended_ms >= DEFEND_INTERVAL_MS) {
            gw->defended_ms = gw->now_ms;
            na_send_all(gw, &target);
        }
        return;
    }
    if ((ndp->has_lladdr && !mac_equal(&ndp->lladdr, &ip->eth_src)) ||
        !gateway_bind_source(gw, &target, &ip->eth_src, frame->src_port)) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_FOREIGN_SOURCE);
        return;
    }
    gateway_tell_uplink(gw, frame, &ip->eth_dst);
}

/* Questions of our own */

static void arp_ask(Gateway *gw, const IpAddr *addr, const MacAddr *mac)
{
    ArpPacket arp = {
        .op = ARP_REQUEST,
        .sha = gw->config.mac,
        .spa = gw->config.gateway4.v4,
        .tpa = addr->v4,
    };

    arp_send(gw, mac ? mac : &mac_broadcast, &arp);
}

static void ns_ask(Gateway *gw, const IpAddr *addr, const MacAddr *mac)
{
    uint8_t *buf = outbox_room(&gw->outbox, NDP_NEIGHBOUR_FRAME_LEN);
    struct in6_addr group = ndp_solicited_node(&addr->v6);
    IpHeaders headers = {
        .eth_src = gw->config.mac,
        .src = ip_addr_is_link_local(addr) ? gw->link_local6 : gw->gateway6,
        .dst = mac ? *addr : ip_addr_v6(&group),
    };

    if (!buf) {
        return;
    }
    headers.eth_dst = mac ? *mac : eth_group_mac(&headers.dst);
    outbox_add(&gw->outbox, ndp_ns_build(buf, &headers, &addr->v6));
}

void gateway_ask(Gateway *gw, const IpAddr *addr, const MacAddr *mac)
{
    if (addr->family == AF_INET) {
        arp_ask(gw, addr, mac);
    } else {
        ns_ask(gw, addr, mac);
    }
    gateway_send_staged(gw);
}

/* Repeats the questions that are due; who does not answer three is forgotten. */
void gateway_ask_run(Gateway *gw)
{
    GList *l, *next;

    if (gw->ask_next_ms < 0 || gw->ask_next_ms > gw->now_ms) {
        return;
    }
    gw->ask_next_ms = -1;
    for (l = neigh_table_of_port(gw->neighbours, 0); l; l = next) {
        Neighbour *neigh = l->data;

        next = l->next;
        if (neigh->asked_ms + ASK_INTERVAL_MS <= gw->now_ms) {
            if (neigh->n_asked >= ASK_TRIES) {
                neigh_table_remove(gw->neighbours, neigh);
                continue;
            }
            neigh->n_asked++;
            neigh->asked_ms = gw->now_ms;
            gateway_ask(gw, &neigh->addr, NULL);
        }
        if (gw->ask_next_ms < 0 ||
            neigh->asked_ms + ASK_INTERVAL_MS < gw->ask_next_ms) {
            gw->ask_next_ms = neigh->asked_ms + ASK_INTERVAL_MS;
        }
    }
}

/*
 * A neighbour that has not been heard of for long is asked whether it is still
 * there, once a second while it is in demand; the third silence forgets it.
 */
static bool neigh_check(Gateway *gw, Neighbour *neigh)
{
    if (gw->now_ms - neigh->seen_ms < BINDING_CHECK_MS ||
        (neigh->n_asked > 0 &&
         gw->now_ms - neigh->asked_ms < ASK_INTERVAL_MS)) {
        return true;
    }
    if (neigh->n_asked >= ASK_TRIES) {
        neigh_table_remove(gw->neighbours, neigh);
        return false;
    }
    neigh->n_asked++;
    neigh->asked_ms = gw->now_ms;
    gateway_ask(gw, &neigh->addr, &neigh->mac);
    return true;
}

bool gateway_neighbour(Gateway *gw, const IpAddr *addr, int64_t now_ms,
                       MacAddr *ret_mac, uint32_t *ret_port)
{
    Neighbour *neigh;

    gateway_set_now(gw, now_ms);
    neigh = neigh_table_lookup(gw->neighbours, addr);
    if (neigh && neigh->port != 0 && neigh_check(gw, neigh)) {
        *ret_mac = neigh->mac;
        if (ret_port) {
            *ret_port = neigh->port;
        }
        return true;
    }

    neigh = neigh_table_lookup(gw->neighbours, addr);
    if (neigh || !gateway_may_be_guest(gw, addr)) {
        return false;
    }
    neigh = neigh_table_pend(gw->neighbours, addr);
    if (neigh) {
        neigh->n_asked = 1;
        neigh->asked_ms = now_ms;
        if (gw->ask_next_ms < 0) {
            gw->ask_next_ms = now_ms + ASK_INTERVAL_MS;
            gateway_deadline_changed(gw);
        }
        gateway_ask(gw, addr, NULL);
    }
    return false;
}
