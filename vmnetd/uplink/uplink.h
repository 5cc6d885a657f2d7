/*
 * The uplink: nat/ or the host's kernel behind UplinkOps, the policy of what a
 * guest may reach, the resolver's sockets, and forwards
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_UPLINK_H
#define VMNETD_UPLINK_UPLINK_H

#include <glib.h>
#include "gateway/gateway.h"
#include "loop/loop.h"
#include "nat/nat.h"
#include "uplink/host.h"
#include "uplink/resolver.h"

typedef struct Uplink Uplink;

/**
 * UplinkConfig:
 * @forbidden: IpPrefix elements: subnets of this network and of every other
 *     network of the daemon; read at each new flow, owned by the caller
 * @host: the host's addresses and routes, which outlive the uplink
 * @host_loopback: services bound to loopback only are reachable as the gateway
 * @host_only: forwards, and the host by the gateway's address; no other way
 *     out
 * @no_nat44, @no_nat66: as @host_only, for one family
 * @device: (nullable): host interface by which alone guests get out
 * @quota: of flows, see NatConfig
 * @dns_quota: of sockets to name servers
 * @dns_tcp: serve the gateway's DNS by TCP as well
 * @no_peek_off: see NatConfig
 * @to_host: (nullable): the "kernel" uplink: what guests send goes to the host's
 *     own interface on the network as it is; NULL: the "sockets" uplink
 */
typedef struct UplinkConfig {
    Loop *loop;
    Gateway *gateway;
    MacAddr gateway_mac;
    IpAddr gateway4, gateway6;
    uint32_t mtu_bytes;
    const GArray *forbidden;
    const Host *host;
    FlowQuota *quota;
    ResolverQuota *dns_quota;
    bool host_loopback;
    bool host_only;
    bool no_nat44, no_nat66;
    const char *device;
    bool dns_tcp;
    bool no_peek_off;
    uint8_t hash_key[16];
    /* "/etc/resolv.conf", or --resolv-conf; "nameserver ADDR#PORT" names a
     * port other than 53 (tests without privileges). */
    const char *resolv_conf;
    /* See NatOps.room. */
    NatRoom (*room)(void *opaque, const NatHead *head, int64_t now_ms);
    /* What it takes uncut; see NatOps.offloads. */
    unsigned (*offloads)(void *opaque, const MacAddr *mac, int64_t now_ms);
    void (*output)(void *opaque, Frame *frames, unsigned n, int64_t now_ms);
    void (*to_host)(void *opaque, const Frame *frame, int64_t now_ms);
    void *opaque;
} UplinkConfig;

/**
 * uplink_new: also calls gateway_set_uplink(), in host mode too: what guests
 * answer to those who came by a forward has to get out.
 *
 * All of its forwards are to be freed before it is.
 */
Uplink *uplink_new(const UplinkConfig *config, GError **error);
void uplink_free(Uplink *uplink);

/** uplink_resume: the port @port_id, which room() has named, has room again. */
void uplink_resume(Uplink *uplink, uint32_t port_id, int64_t now_ms);

void uplink_stats(Uplink *uplink, NatStats *ret_stats);

typedef struct UplinkForward UplinkForward;

/**
 * uplink_forward_new: listen on @host (address AF_UNSPEC: every address, for
 * TCP of both families; port 0: any, see uplink_forward_port) and send what comes to
 * @guest; its address may be AF_UNSPEC until uplink_forward_set_guest().
 * @proto: IPPROTO_TCP or IPPROTO_UDP
 *
 * Returns: NULL with @error naming address, port and reason.
 */
UplinkForward *uplink_forward_new(Uplink *uplink, uint8_t proto,
                                  const IpEndpoint *host,
                                  const IpEndpoint *guest, GError **error);
uint16_t uplink_forward_port(const UplinkForward *forward);
void uplink_forward_set_guest(UplinkForward *forward, const IpAddr *guest);
/** uplink_forward_set_client: others than @client are refused; for TCP. */
void uplink_forward_set_client(UplinkForward *forward, const IpEndpoint *client);
void uplink_forward_free(UplinkForward *forward);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Uplink, uplink_free)

#endif
