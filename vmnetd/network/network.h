/*
 * A network: switch, gateway and uplink made from a configuration, and the
 * register of all networks of a daemon
 *
 * This folder is the only one that wires parts together.  It chooses subnets,
 * keeps leases, prefixes and choices on disk (a worker thread writes), follows
 * the host's routes, and hands out ports to netdevs.  It knows neither QMP nor
 * the schema's types; control/ translates.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NETWORK_NETWORK_H
#define VMNETD_NETWORK_NETWORK_H

#include <glib.h>
#include <net/if.h>
#include "gateway/gateway.h"
#include "loop/loop.h"
#include "nat/nat.h"
#include "port/port.h"
#include "priv/priv.h"

typedef struct NetworkRegister NetworkRegister;
typedef struct Network Network;
typedef struct NetworkForward NetworkForward;

typedef enum NetworkMode {
    NETWORK_MODE_HOST,
    NETWORK_MODE_SHARED,
    NETWORK_MODE_BRIDGED,
    NETWORK_MODE__MAX
} NetworkMode;

const char *network_mode_str(NetworkMode mode);

typedef enum NetworkSwitch { NETWORK_DEFAULT, NETWORK_ON, NETWORK_OFF } NetworkSwitch;

/** NetworkUplink: by whom a network reaches beyond itself. */
typedef enum NetworkUplink {
    NETWORK_UPLINK_DEFAULT,
    NETWORK_UPLINK_SOCKETS, /* the daemon's sockets */
    NETWORK_UPLINK_KERNEL,  /* the host's kernel; the host is on the network */
} NetworkUplink;

/** NetworkBridgeMode: how guests join an interface that is no bridge. */
typedef enum NetworkBridgeMode {
    NETWORK_BRIDGE_DEFAULT, /* by the interface; of a bridge: by a tap */
    NETWORK_BRIDGE_MACVTAP, /* each by one of its own */
    NETWORK_BRIDGE_PACKET,  /* together, by a packet socket */
} NetworkBridgeMode;

typedef enum NetworkMatch {
    NETWORK_MATCH_ADOPT,  /* options not written are the network's */
    NETWORK_MATCH_STRICT  /* options not written are the defaults, and must match */
} NetworkMatch;

/**
 * NetworkConfig: what a user wrote of a network; everything may be absent.
 * @name: NULL: by mode ("shared", "host"), or one of its own where the user
 *     wrote addresses that differ from that network's (a name derived from
 *     mode and subnet) or a @net_uuid
 * @net_uuid: host mode: no gateway address, no DHCP; not together with @name
 * @start_address, @end_address, @subnet_mask: all or none (v4 host order,
 *     @has_range): gateway, last of the pool, mask
 * @prefix6: AF_UNSPEC: not written
 * @mtu_bytes, @lease_s: 0: not written
 * @ra, @nat44, @nat66: shared mode is on by default; host mode has no NAT
 * @external_interface: (nullable): shared mode: the only way out
 * @uplink: of networks with a gateway address
 * @ifname: (nullable): bridged mode: the host interface; by default that of the
 *     default route.  Without addresses, services and MTU of its own
 * @mac_translation: bridged mode, by packet socket: frames leave from the
 *     interface's own MAC address; on by default where it is wireless
 */
typedef struct NetworkConfig {
    const char *name;
    NetworkMode mode;
    const char *net_uuid;
    bool has_range;
    uint32_t start_address, end_address, subnet_mask;
    IpPrefix prefix6;
    uint32_t mtu_bytes;
    uint32_t lease_s;
    NetworkSwitch dhcp, dns, host_loopback, ra, nat44, nat66;
    const char *external_interface;
    NetworkUplink uplink;
    const char *ifname;
    NetworkBridgeMode bridge_mode;
    NetworkSwitch mac_translation;
    NetworkMatch match;
} NetworkConfig;

/** NetworkInfo: what is in force. Strings belong to the network. */
typedef struct NetworkInfo {
    const char *name;
    NetworkMode mode;
    const char *net_uuid;
    IpAddr gateway4;
    IpPrefix prefix4;
    uint32_t pool_first, pool_last;
    IpPrefix prefix6;
    MacAddr gateway_mac;
    uint32_t mtu_bytes, lease_s;
    bool dhcp, dns, host_loopback, ra, nat44, nat66;
    const char *external_interface;
    NetworkUplink uplink;   /* DEFAULT: none */
    const char *ifname;     /* bridged, or by which the host is on it; "" */
    NetworkBridgeMode bridge_mode;
    bool mac_translation;
    unsigned n_ports, n_leases, n_forwards;
    NatStats nat;
} NetworkInfo;

typedef struct NetworkOps {
    void (*started)(void *opaque, Network *network);
    void (*stopped)(void *opaque, Network *network);
    void (*lease_event)(void *opaque, Network *network,
                        const GatewayEvent *event);
    /* @forward's guest has another address, or none any more. */
    void (*forward_moved)(void *opaque, Network *network,
                          const NetworkForward *forward);
    /* The host now routes part of @network's subnet elsewhere. */
    void (*route_overlap)(void *opaque, Network *network,
                          const IpPrefix *route, const char *ifname);
    /* Two ports of @network use one MAC. */
    void (*mac_conflict)(void *opaque, Network *network, const MacAddr *mac,
                         uint32_t old_port, uint32_t new_port);
} NetworkOps;

/**
 * NetworkRegisterConfig:
 * @state_dir: absolute; NULL: nothing is kept (leases in memory)
 * @idle_ms: how long a network outlives its last port; 120000
 * @no_peek_off: see NatConfig
 * @priv: (transfer none) (nullable): NULL: no bridged networks, and the uplink
 *     is never the kernel
 * @bridged: (transfer none) NULL-terminated: interfaces that they may join;
 *     NULL: all
 */
typedef struct NetworkRegisterConfig {
    Loop *loop;
    const char *state_dir;
    int64_t idle_ms;
    bool no_peek_off;
    const char *resolv_conf;
    Priv *priv;
    const char *const *bridged;
} NetworkRegisterConfig;

NetworkRegister *network_register_new(const NetworkRegisterConfig *config,
                                      const NetworkOps *ops, void *opaque);
/** Stops all networks, writes what is pending. */
void network_register_free(NetworkRegister *reg);
/** network_register_is_idle: no network is running. */
bool network_register_is_idle(NetworkRegister *reg);
/** (transfer container) (element-type Network) */
GPtrArray *network_register_list(NetworkRegister *reg);
Network *network_find(NetworkRegister *reg, const char *name);

/** network_config_check: validates without making anything. */
bool network_config_check(const NetworkConfig *config, GError **error);

/**
 * NetworkChoice: what network_acquire() would take.
 * @name: (owned)
 * @ifname: the host interface that it is, or would be, bridged to; "": none
 * @runs: it would be joined, else started
 */
typedef struct NetworkChoice {
    char *name;
    char ifname[IF_NAMESIZE];
    bool runs;
} NetworkChoice;

/** network_choose: nothing is made; @ret_choice to be cleared. */
bool network_choose(NetworkRegister *reg, const NetworkConfig *config,
                    NetworkChoice *ret_choice, GError **error);
void network_choice_clear(NetworkChoice *choice);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NetworkChoice, network_choice_clear)

/**
 * network_acquire: the network that @config means, made if it is not running.
 *
 * Returns: (transfer full): a reference, see network_unref(). NULL with @error
 * naming each key, the wanted value and that in force where they differ.
 */
Network *network_acquire(NetworkRegister *reg, const NetworkConfig *config,
                         GError **error);
Network *network_ref(Network *network);
/** network_unref: after the last one the network stops when its idle time is over. */
void network_unref(Network *network);

/**
 * network_reserve: keep @addr for @mac until the network stops.
 * @ret_is_new: it was not kept before
 *
 * Returns: false with @error: it is not a guest's, or kept for another.
 */
bool network_reserve(Network *network, const MacAddr *mac, const IpAddr *addr,
                     bool *ret_is_new, GError **error);
void network_unreserve(Network *network, const IpAddr *addr);

/**
 * network_shared_interfaces: see host_interfaces_list().
 * @ret_default: of the default route; 0: none
 */
GArray *network_shared_interfaces(NetworkRegister *reg, int *ret_default);

void network_info(Network *network, NetworkInfo *ret_info);
GArray *network_leases(Network *network); /* of Lease, as gateway_leases() */
bool network_lease_find(Network *network, const char *name, Lease *ret_lease);
bool network_lease_by_port(Network *network, uint32_t port, Lease *ret_lease);

/**
 * NetworkPortConfig:
 * @mac: (nullable): of the guest, claimed; some bridged networks need it
 */
typedef struct NetworkPortConfig {
    bool isolated;
    const MacAddr *mac;
    const PortEvents *events;
    void *opaque;
} NetworkPortConfig;

/**
 * network_port_new: a port for a netdev, which is to be freed with
 * network_port_free() (it tells gateway and flows).
 */
Port *network_port_new(Network *network, const NetworkPortConfig *config,
                       GError **error);
void network_port_free(Network *network, Port *port);
/** network_mac_for: a MAC that no other port of the network claims.
 * The same @seed gives the same address on the same network; claimed until
 * network_mac_release(). Locally administered, unicast. */
bool network_mac_claim(Network *network, const MacAddr *mac);
void network_mac_derive(Network *network, const char *seed, MacAddr *ret_mac);
void network_mac_release(Network *network, const MacAddr *mac);

/**
 * NetworkForwardConfig:
 * @host.addr: AF_UNSPEC: every address
 * @guest.addr: AF_UNSPEC: follows the lease of @port
 * @persistent: kept on disk with the network
 * @client_port: TCP: only who comes from there, at host.addr; 0: everybody
 */
typedef struct NetworkForwardConfig {
    uint8_t proto;
    IpEndpoint host, guest;
    uint32_t port;
    bool persistent;
    uint16_t client_port;
} NetworkForwardConfig;

NetworkForward *network_forward_new(Network *network,
                                    const NetworkForwardConfig *config,
                                    GError **error);
/** The config in force: the port chosen, the guest's address of now. */
void network_forward_info(const NetworkForward *forward,
                          NetworkForwardConfig *ret_config);
/** network_forward_error: why a persistent one is not in force; NULL: it is. */
const char *network_forward_error(const NetworkForward *forward);
/**
 * network_forward_free: stop listening. A persistent one is taken off the disk
 * as well, unless this comes from NetworkOps.stopped.
 */
void network_forward_free(NetworkForward *forward);
/**
 * network_forwards: the persistent ones, made from disk or since, also those
 * not in force: they belong to the network, which ends them when it stops.
 *
 * Returns: (transfer container) (element-type NetworkForward)
 */
GPtrArray *network_forwards(Network *network);

#endif
