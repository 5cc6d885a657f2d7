/*
 * Router advertisements (RFC 4861 6.2, RFC 8106)
 *
 * Theory of operation: a guest that solicits gets an answer of its own within
 * 50 ms, by unicast; one that has no address yet gets it addressed to all
 * nodes but in a frame to it alone (RFC 6085), so that answers never wait for
 * the 3 s between advertisements to all.  Those leave three times when
 * something changes, and then so rarely, with lifetimes to match, that an idle
 * network sleeps.
 *
 * The gateway is a default router only while the host has an IPv6 default
 * route of its own: otherwise guests would prefer a path that leads nowhere.
 *
 * Not done: DHCPv6, hence neither the M nor the O flag.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway-internal.h"

/* RFC 4861 6.2.1: MaxRtrAdvInterval is at most 1800 s, 0.75 of it the least */
#define RA_INTERVAL_MAX_S 1800
#define RA_INTERVAL_MIN_S 1350
/* AdvDefaultLifetime: at most 9000 s; five advertisements may be lost */
#define RA_ROUTER_LIFETIME_S 9000
/* RFC 8106 5.1: at least 3 * MaxRtrAdvInterval */
#define RA_DNS_LIFETIME_S (5 * RA_INTERVAL_MAX_S)
/* RFC 4861 6.2.1: AdvValidLifetime 30 days, AdvPreferredLifetime 7 days */
#define RA_VALID_S 2592000
#define RA_PREFERRED_S 604800
/* RFC 4861 10: MAX_INITIAL_RTR_ADVERTISEMENTS and their interval, which may
 * not be shorter than MIN_DELAY_BETWEEN_RAS */
#define RA_INITIAL_COUNT 3
#define RA_INITIAL_INTERVAL_MS (16 * 1000)
#define RA_MIN_DELAY_MS (3 * 1000)
/* RFC 4861 10: MAX_RA_DELAY_TIME is 500; routers that would collide, one */
#define RA_ANSWER_DELAY_MS 50

static bool ra_enabled(const Gateway *gw)
{
    return gw->config.ra && gw->gateway6.family == AF_INET6;
}

static bool is_router(const Gateway *gw)
{
    return gw->ra.has_route && !gw->ra.ended && !gw->config.host_only;
}

/* What we say, whoever hears it. */
static void ra_fill(const Gateway *gw, NdpRa *ra)
{
    *ra = (NdpRa) {
        .hop_limit = 64,
        .router_lifetime_s = is_router(gw) ? RA_ROUTER_LIFETIME_S : 0,
        .has_lladdr = true,
        .lladdr = gw->config.mac,
        .mtu_bytes = gw->config.mtu_bytes,
        .n_prefixes = 1,
    };
    ra->prefixes[0] = (NdpPrefix) {
        .prefix = gw->config.prefix6.addr.v6,
        .len = gw->config.prefix6.len,
        .on_link = true,
        .autonomous = true,
        .valid_s = RA_VALID_S,
        .preferred_s = RA_PREFERRED_S,
    };
    if (gw->config.dns) {
        ra->n_rdnss = 1;
        ra->rdnss[0] = gw->gateway6.v6;
        ra->rdnss_s = gw->ra.ended ? 0 : RA_DNS_LIFETIME_S;
        ra->dnssl_s = ra->rdnss_s;
        g_strlcpy(ra->domain, gw->domain, sizeof(ra->domain));
    }
}

static void ra_send(Gateway *gw, const MacAddr *mac, const IpAddr *to)
{
    IpHeaders headers = {
        .eth_src = gw->config.mac,
        .eth_dst = *mac,
        .src = gw->link_local6, /* RFC 4861 4.2 */
        .dst = *to,
    };
    uint8_t *buf = outbox_room(&gw->outbox, ICMP6_ERROR_FRAME_MAX);
    NdpRa ra;
    size_t len;

    if (!buf) {
        return;
    }
    ra_fill(gw, &ra);
    len = ndp_ra_build(buf, ICMP6_ERROR_FRAME_MAX, &headers, &ra);
    if (len > 0) {
        outbox_add(&gw->outbox, len);
    }
}

static void ra_send_all(Gateway *gw)
{
    IpAddr all = ip_addr_v6(&ndp_all_nodes);
    MacAddr mac = eth_group_mac(&all);

    ra_send(gw, &mac, &all);
    gw->ra.last_ms = gw->now_ms;
}

/* Between the least and the greatest interval, and not in step with others. */
static int64_t ra_interval_ms(const Gateway *gw)
{
    uint64_t hash = gateway_hash(gw, 'r', &gw->now_ms, sizeof(gw->now_ms));
    int64_t span_ms = (RA_INTERVAL_MAX_S - RA_INTERVAL_MIN_S) * 1000;

    return RA_INTERVAL_MIN_S * 1000 + (int64_t)(hash % span_ms);
}

/* Something changed: tell all, three times, as soon as the RFC lets us. */
static void ra_restart(Gateway *gw)
{
    if (ra_enabled(gw)) {
        gw->ra.n_initial = RA_INITIAL_COUNT;
        gw->ra.next_ms = MAX(gw->now_ms, gw->ra.last_ms + RA_MIN_DELAY_MS);
        gateway_deadline_changed(gw);
    }
}

void gateway_ra_init(Gateway *gw)
{
    gw->ra.last_ms = INT64_MIN / 2;
    gw->ra.next_ms = -1;
    if (ra_enabled(gw)) {
        gw->ra.n_initial = RA_INITIAL_COUNT;
        gw->ra.next_ms = 0;
    }
}

void gateway_rs_input(Gateway *gw, const Frame *frame, const IpPacket *ip,
                      const NdpMessage *ndp)
{
    RaAnswer *answer = NULL;
    unsigned i;

    if (!ip_addr_is_any(&ip->src) &&
        ((ndp->has_lladdr && !mac_equal(&ndp->lladdr, &ip->eth_src)) ||
         !gateway_bind_source(gw, &ip->src, &ip->eth_src, frame->src_port))) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_FOREIGN_SOURCE);
        return;
    }
    if (!ra_enabled(gw) || gw->ra.ended) {
        return;
    }
    for (i = 0; i < gw->ra.n_answers; i++) {
        if (gw->ra.answers[i].port == frame->src_port) {
            answer = &gw->ra.answers[i];
        }
    }
    if (!answer) {
        if (gw->ra.n_answers == RA_ANSWERS_MAX) {
            /* So many ask at once that telling all is less work. */
            gw->ra.next_ms = MAX(gw->now_ms, gw->ra.last_ms + RA_MIN_DELAY_MS);
            return;
        }
        answer = &gw->ra.answers[gw->ra.n_answers++];
        answer->port = frame->src_port;
        answer->due_ms = gw->now_ms +
            gateway_hash(gw, 's', ip->eth_src.b, sizeof(ip->eth_src.b)) %
            RA_ANSWER_DELAY_MS;
    }
    answer->mac = ip->eth_src;
    answer->to = ip_addr_is_any(&ip->src) ? ip_addr_v6(&ndp_all_nodes) :
                 ip->src;
}

void gateway_ra_run(Gateway *gw)
{
    RaState *ra = &gw->ra;
    unsigned i = 0;

    while (i < ra->n_answers) {
        if (ra->answers[i].due_ms > gw->now_ms) {
            i++;
            continue;
        }
        ra_send(gw, &ra->answers[i].mac, &ra->answers[i].to);
        ra->answers[i] = ra->answers[--ra->n_answers];
    }

    if (ra->next_ms < 0 || ra->next_ms > gw->now_ms) {
        return;
    }
    ra_send_all(gw);
    if (ra->n_initial > 0) {
        ra->n_initial--;
    }
    ra->next_ms = gw->now_ms + (ra->n_initial > 0 ? RA_INITIAL_INTERVAL_MS :
                                ra_interval_ms(gw));
}

int64_t gateway_ra_deadline(const Gateway *gw)
{
    int64_t next_ms = gw->ra.next_ms;
    unsigned i;

    for (i = 0; i < gw->ra.n_answers; i++) {
        if (next_ms < 0 || gw->ra.answers[i].due_ms < next_ms) {
            next_ms = gw->ra.answers[i].due_ms;
        }
    }
    return next_ms;
}

void gateway_ra_port_gone(Gateway *gw, uint32_t port)
{
    unsigned i = 0;

    while (i < gw->ra.n_answers) {
        if (gw->ra.answers[i].port == port) {
            gw->ra.answers[i] = gw->ra.answers[--gw->ra.n_answers];
        } else {
            i++;
        }
    }
}

void gateway_set_router6(Gateway *gw, bool has_route, int64_t now_ms)
{
    gateway_set_now(gw, now_ms);
    if (gw->ra.has_route != has_route) {
        gw->ra.has_route = has_route;
        ra_restart(gw);
    }
}

/* RFC 4861 6.2.5: ceasing to be a router; the address stays valid. */
void gateway_announce_end(Gateway *gw, int64_t now_ms)
{
    gateway_set_now(gw, now_ms);
    if (!ra_enabled(gw) || gw->ra.ended) {
        return;
    }
    gw->ra.ended = true;
    gw->ra.next_ms = -1;
    gw->ra.n_answers = 0;
    ra_send_all(gw);
    gateway_send_staged(gw);
}
