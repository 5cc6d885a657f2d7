/*
 * What the files of gateway/ share: the gateway's state, each file's entry
 * points, and how an answer is made
 *
 *   gateway.c        dispatch: what comes in, what is routed, time
 *   neigh.c          ARP and ND for the gateway's own addresses; bindings
 *   icmp.c           echo, and errors about packets that go nowhere
 *   ra.c             router advertisements
 *   dhcp-server.c    DHCPv4, with dhcp-policy.c and dhcp-reply.c, on
 *                    lease-table.c, kept by lease-file.c; asked by leases.c
 *   dns-proxy.c      DNS: dns-zone.c or the uplink answers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_GATEWAY_GATEWAY_INTERNAL_H
#define VMNETD_GATEWAY_GATEWAY_INTERNAL_H

#include "gateway/gateway.h"
#include "gateway/lease-table.h"
#include "gateway/neigh-table.h"
#include "gateway/outbox.h"
#include "gateway/rate-limit.h"
#include "proto/dns.h"
#include "proto/eth.h"
#include "proto/icmp6.h"
#include "proto/ndp.h"


/** GatewayPort: what is charged to one guest's port. */
typedef struct GatewayPort {
    uint32_t id;
    RateLimit icmp_errors;
    RateLimit dhcp;
    RateLimit dns;      /* queries for name servers beyond */
    unsigned n_dns;
} GatewayPort;

/** Router solicitations that wait for their answer; one per port. */
#define RA_ANSWERS_MAX 16

typedef struct RaAnswer {
    int64_t due_ms;
    uint32_t port;
    MacAddr mac;
    IpAddr to;
} RaAnswer;

/**
 * RaState:
 * @next_ms: when the next advertisement to all is due; -1: never
 * @last_ms: when the last one to all left
 * @n_initial: advertisements to all that still go out at short intervals
 */
typedef struct RaState {
    bool has_route;
    bool ended;
    int64_t next_ms, last_ms;
    unsigned n_initial;
    unsigned n_answers;
    RaAnswer answers[RA_ANSWERS_MAX];
} RaState;

/** DnsZone: the names made from GatewayConfig.domain; @valid: there is one. */
typedef struct DnsZone {
    bool valid;
    DnsName domain, gateway, hostmaster;
} DnsZone;

typedef struct DnsProxy DnsProxy;

/**
 * struct Gateway:
 * @gateway6, @link_local6: AF_UNSPEC where the network has no IPv6
 * @now_ms: the latest time that we were told
 * @wall_offset_s: what wall_s() is ahead of @now_ms, measured at @now_ms
 * @depth: in gateway_input() or gateway_flush(): answers wait for the flush
 * @uplink_dirty: the uplink had input since its last flush
 * @ask_next_ms: when the next unanswered question is repeated; -1: none is
 */
struct Gateway {
    GatewayConfig config;
    char *domain;
    GatewayOps ops;
    void *opaque;
    const UplinkOps *uplink_ops;
    void *uplink;
    IpAddr gateway6, link_local6;

    int64_t now_ms;
    int64_t wall_offset_s;
    bool started;
    unsigned depth;
    bool uplink_dirty;

    Outbox outbox;
    GHashTable *ports;
    GatewayPort *last_port;
    NeighTable *neighbours;
    int64_t ask_next_ms;
    int64_t defended_ms;
    LeaseTable *leases;
    RaState ra;
    DnsProxy *dns;
    DnsZone zone;
};

/* gateway.c */

/** gateway_port: the record of port @id, made at first sight. */
GatewayPort *gateway_port(Gateway *gw, uint32_t id);
void gateway_drop(Gateway *gw, uint32_t id, SwitchDrop reason);
/** gateway_set_now: every call from outside that knows the time begins so. */
void gateway_set_now(Gateway *gw, int64_t now_ms);
/** gateway_measure_wall: compare the wall clock with ours. */
void gateway_measure_wall(Gateway *gw);
/** gateway_send_staged: give what is staged to the switch, if we may. */
void gateway_send_staged(Gateway *gw);
/** gateway_deadline_changed: something is due sooner than it was. */
void gateway_deadline_changed(Gateway *gw);
/** gateway_tell_uplink: @frame says where a neighbour is, and may. */
void gateway_tell_uplink(Gateway *gw, const Frame *frame,
                         const MacAddr *eth_dst);
/** gateway_is_own: one of the gateway's own unicast addresses. */
bool gateway_is_own(const Gateway *gw, const IpAddr *addr);
/** gateway_may_be_guest: @addr may belong to a guest (and is not the gateway's):
 * a host of prefix4 or prefix6, or link-local. */
bool gateway_may_be_guest(const Gateway *gw, const IpAddr *addr);
/** gateway_answer_headers: from the gateway's @src back to who sent @ip. */
IpHeaders gateway_answer_headers(const Gateway *gw, const IpPacket *ip,
                                 const IpAddr *src);
/** gateway_hash: @salt and @data under the network's secret. */
uint64_t gateway_hash(const Gateway *gw, char salt, const void *data,
                      size_t len);

/* neigh.c */
void gateway_arp_input(Gateway *gw, const Frame *frame, const EthHeader *eth);
void gateway_ns_input(Gateway *gw, const Frame *frame, const IpPacket *ip,
                      const NdpMessage *ndp);
void gateway_na_input(Gateway *gw, const Frame *frame, const IpPacket *ip,
                      const NdpMessage *ndp);
/** gateway_bind_source: may @mac at @port speak for @addr? Learns it if so. */
bool gateway_bind_source(Gateway *gw, const IpAddr *addr, const MacAddr *mac,
                         uint32_t port);
/** gateway_ask: send an ARP request or NS for @addr; @mac: only there. */
void gateway_ask(Gateway *gw, const IpAddr *addr, const MacAddr *mac);
void gateway_ask_run(Gateway *gw);

/* icmp.c */
/** gateway_echo_input: Returns: false: not an echo request, or a fragment. */
bool gateway_echo_input(Gateway *gw, const Frame *frame, const IpPacket *ip);
/** GatewayError: why a packet goes nowhere, for either family. */
typedef enum GatewayError {
    GATEWAY_ERROR_PROHIBITED,   /* 3/13 RFC 1812 5.2.7.1; 1/1 */
    GATEWAY_ERROR_NO_PORT,      /* 3/3; 1/4 */
    GATEWAY_ERROR_NO_PROTOCOL,  /* 3/2; 4/1 */
    GATEWAY_ERROR_TTL,          /* 11/0; 3/0 */
    GATEWAY_ERROR__MAX
} GatewayError;
void gateway_icmp_error(Gateway *gw, const Frame *frame, const IpPacket *ip,
                        GatewayError error);

/* ra.c */
void gateway_ra_init(Gateway *gw);
void gateway_rs_input(Gateway *gw, const Frame *frame, const IpPacket *ip,
                      const NdpMessage *ndp);
void gateway_ra_run(Gateway *gw);
int64_t gateway_ra_deadline(const Gateway *gw);
void gateway_ra_port_gone(Gateway *gw, uint32_t port);

/* dhcp-server.c */
void gateway_dhcp_input(Gateway *gw, const Frame *frame, const IpPacket *ip);
void gateway_dhcp_run(Gateway *gw);

/* leases.c */
/** gateway_lease_export: @entry as others see it, with wall-clock time. */
Lease gateway_lease_export(const Gateway *gw, const LeaseEntry *entry);
void gateway_lease_event(Gateway *gw, GatewayEventType type,
                         const Lease *lease, const char *detail);
void gateway_entry_event(Gateway *gw, GatewayEventType type,
                         const LeaseEntry *entry, const char *detail);
/** gateway_lease_seen: @mac used @addr at @port: its lease is there now. */
void gateway_lease_seen(Gateway *gw, const IpAddr *addr, const MacAddr *mac,
                        uint32_t port);

/* dns-proxy.c */
DnsProxy *dns_proxy_new(void);
void dns_proxy_free(DnsProxy *proxy);
void gateway_dns_input(Gateway *gw, const Frame *frame, const IpPacket *ip);
void gateway_dns_port_gone(Gateway *gw, uint32_t port);

/* dns-zone.c */

/** The largest DNS message of our own, and what our OPT records say. */
#define DNS_ZONE_SIZE 4096
#define DNS_EDNS_SIZE 1232

void gateway_zone_init(Gateway *gw);
/**
 * gateway_zone_answer: answer @query from what we know ourselves.
 * Returns: bytes written to @buf; 0: not a name of ours.
 */
size_t gateway_zone_answer(Gateway *gw, const DnsMessage *query, uint8_t *buf,
                           size_t size);

#endif
