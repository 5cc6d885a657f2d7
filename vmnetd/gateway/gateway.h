/*
 * The router inside a network: ARP, ND, ICMP echo, DHCP, RA, DNS, and the way
 * to the uplink
 *
 * An engine: frames and the time go in by gateway_input() and gateway_run();
 * frames, events and the next deadline come out through GatewayOps. It has no
 * socket, clock or log. It is the port of the switch with SWITCH_PORT_GATEWAY;
 * network/ does that wiring.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_GATEWAY_GATEWAY_H
#define VMNETD_GATEWAY_GATEWAY_H

#include <glib.h>
#include "gateway/uplink-ops.h"
#include "proto/addr.h"
#include "proto/frame.h"
#include "switch/switch.h"

typedef struct Gateway Gateway;

#define GATEWAY_LINK_LOCAL6 "fe80::1"

/**
 * GatewayConfig:
 * @gateway4: the router's IPv4 address, in @prefix4; family AF_UNSPEC: none
 *     (net-uuid: then no DHCP either)
 * @pool_first, @pool_last: DHCP pool, host order, inclusive
 * @prefix6: a /64; AF_UNSPEC: none. The router is prefix::1 and fe80::1
 * @lease_s: 20 to 604800
 * @host_only: nothing is routed: administratively prohibited, unless there is
 *     an uplink (which then serves forwards only); DHCP names no router
 * @v6only_wait_s: DHCP option 108 (RFC 8925) for those who ask; 0: never,
 *     which is right where there is no NAT64
 * @domain: of guests' names: "vmnet.internal"
 */
typedef struct GatewayConfig {
    MacAddr mac;
    uint32_t mtu_bytes;
    IpAddr gateway4;
    IpPrefix prefix4;
    uint32_t pool_first, pool_last;
    IpPrefix prefix6;
    bool dhcp, dns, ra;
    bool host_only;
    uint32_t lease_s;
    uint32_t v6only_wait_s;
    const char *domain;
    uint8_t hash_key[16];
} GatewayConfig;

typedef enum LeaseState {
    LEASE_OFFERED,      /* held for a client that has not answered yet */
    LEASE_BOUND,
    LEASE_EXPIRED,      /* kept for its client until nothing fresh is left */
    LEASE_RELEASED,
    LEASE_DECLINED,     /* in use by someone else: quarantined */
    LEASE_RESERVED,     /* set aside by configuration */
    LEASE__MAX
} LeaseState;

const char *lease_state_str(LeaseState state);

/**
 * Lease: an address given by DHCP.
 * @client_id: option 61, or empty; @client_id_len at most 255
 * @hostname: option 12, made a valid DNS label, or ""
 * @expires_s: wall-clock seconds (time(2))
 * @port: id of the port where the client is, 0 if not seen since load
 */
typedef struct Lease {
    IpAddr addr;
    MacAddr mac;
    LeaseState state;
    uint8_t client_id_len;
    uint8_t client_id[255];
    char hostname[64];
    int64_t expires_s;
    uint32_t port;
} Lease;

typedef enum GatewayEventType {
    /* Newly bound, bound to another client, or its client came to a port */
    GATEWAY_LEASE_ADDED,
    GATEWAY_LEASE_REMOVED,   /* expired, released, declined */
    GATEWAY_LEASE_CONFLICT,  /* a client-id, address or name claimed twice */
} GatewayEventType;

/** GatewayEvent: what gateway_lease_*() say has changed already. @detail says
 * what was claimed twice; static text. */
typedef struct GatewayEvent {
    GatewayEventType type;
    const Lease *lease;
    const char *detail;
} GatewayEvent;

typedef struct GatewayOps {
    /* Frames to the switch (input by the gateway's port). */
    void (*output)(void *opaque, Frame *frames, unsigned n, int64_t now_ms);
    void (*event)(void *opaque, const GatewayEvent *event);
    /* The lease table changed: save it soon (gateway_save). */
    void (*leases_changed)(void *opaque);
    /* Drop of a frame that came in by port @id. */
    void (*dropped)(void *opaque, uint32_t id, SwitchDrop reason);
    /* Wall clock in seconds, for leases. */
    int64_t (*wall_s)(void *opaque);
    /*
     * (optional) gateway_deadline() is sooner than it was, by a call other
     * than gateway_input(), gateway_flush() and gateway_run(), after which the
     * caller looks anyway.
     */
    void (*deadline)(void *opaque, int64_t deadline_ms);
} GatewayOps;

Gateway *gateway_new(const GatewayConfig *config, const GatewayOps *ops,
                     void *opaque);
void gateway_free(Gateway *gw);

/** gateway_set_uplink: @ops NULL: no way out, as in host mode. */
void gateway_set_uplink(Gateway *gw, const UplinkOps *ops, void *uplink);

/** gateway_input: frames whose destination is the gateway or a group. */
void gateway_input(Gateway *gw, const Frame *frames, unsigned n,
                   int64_t now_ms);
/** gateway_flush: end of a batch: answers leave by GatewayOps.output. */
void gateway_flush(Gateway *gw, int64_t now_ms);
/** gateway_run: do what is due. Returns: next deadline in ms, or -1. */
int64_t gateway_run(Gateway *gw, int64_t now_ms);
int64_t gateway_deadline(const Gateway *gw);

/** gateway_port_gone: forget neighbours and flows of port @id. */
void gateway_port_gone(Gateway *gw, uint32_t id, int64_t now_ms);
/** gateway_set_router6: the host has (or lost) an IPv6 default route: RA. */
void gateway_set_router6(Gateway *gw, bool has_route, int64_t now_ms);
/** gateway_announce: send RAs with lifetime 0: the network ends. */
void gateway_announce_end(Gateway *gw, int64_t now_ms);

/**
 * gateway_neighbour: MAC of @addr on the network; where it is unknown, asks by
 * ARP or NS (bounded, rate limited) and returns false.
 * @ret_port: (optional) id of its port
 */
bool gateway_neighbour(Gateway *gw, const IpAddr *addr, int64_t now_ms,
                       MacAddr *ret_mac, uint32_t *ret_port);

/**
 * gateway_dns_query: one DNS message that came over TCP
 * @port: of the guest, which is charged as for queries over UDP; 0: unknown
 * @reply: called with @opaque, now or later, unless gateway_dns_cancel()
 */
typedef void (*GatewayDnsReply)(void *opaque, const uint8_t *msg, size_t len);
void gateway_dns_query(Gateway *gw, uint32_t port, const uint8_t *msg, size_t len,
                       GatewayDnsReply reply, void *opaque, int64_t now_ms);
/** gateway_dns_cancel: @opaque's connection closed: forget its queries. */
void gateway_dns_cancel(Gateway *gw, void *opaque);
/** gateway_dns_reply: the resolver's answer to @token; @msg NULL: SERVFAIL. */
void gateway_dns_reply(Gateway *gw, uint32_t token, const uint8_t *msg,
                       size_t len, int64_t now_ms);

/** gateway_leases: (transfer container) copies of all leases, by address. */
GArray *gateway_leases(Gateway *gw);
/** gateway_lease_find: by host name (case folded) or printed address. */
bool gateway_lease_find(Gateway *gw, const char *name, Lease *ret_lease);
/** gateway_lease_by_port: newest bound lease seen on port @id. */
bool gateway_lease_by_port(Gateway *gw, uint32_t id, Lease *ret_lease);
/**
 * gateway_reserve: keep @addr for @mac (0: nobody).
 * @ret_is_new: it was not kept for @mac before
 *
 * Returns: false: not in prefix4, or one of the two has another reservation.
 */
bool gateway_reserve(Gateway *gw, const MacAddr *mac, const IpAddr *addr,
                     bool *ret_is_new);
/** gateway_unreserve: @addr is kept for nobody any more. */
void gateway_unreserve(Gateway *gw, const IpAddr *addr);

/** gateway_save: (transfer full) state as text, a line a lease; versioned. */
char *gateway_save(Gateway *gw);
/**
 * gateway_load: what gateway_save() wrote; nothing is loaded if it is damaged.
 * @error: names the line
 */
bool gateway_load(Gateway *gw, const char *text, size_t len, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Gateway, gateway_free)

#endif
