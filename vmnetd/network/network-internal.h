/*
 * What the files of network/ share
 *
 *   config.c         what a user wrote: checked
 *   config-compare.c ... and compared with what runs
 *   subnet.c         which addresses are free
 *   state.c          what is kept, as text; state-store.c: on disk
 *   network.c        a network: its parts made, wired, stopped
 *   register.c       all networks; who asks gets which
 *   plumbing.c       frames and events between switch, gateway and uplink
 *   kernel.c         the host's own interface on a network
 *   bridged.c        the way to a host interface; interfaces.c: which there are
 *   forward.c        forwards, and the leases that they follow
 *   mac.c            guests' MAC addresses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NETWORK_NETWORK_INTERNAL_H
#define VMNETD_NETWORK_NETWORK_INTERNAL_H

#include <net/if.h>

#include "network/interfaces.h"
#include "network/network.h"
#include "network/state-store.h"
#include "network/state.h"
#include "network/subnet.h"
#include "uplink/uplink.h"

#define NETWORK_DOMAIN "vmnet.internal"
#define NETWORK_MTU_DEFAULT 1500
#define NETWORK_LEASE_S_DEFAULT 3600

/**
 * NetworkSettings: what is in force beside the addresses.
 * @uplink: as it was written
 * @external_interface, @ifname: "": none; else a name
 */
typedef struct NetworkSettings {
    uint32_t mtu_bytes, lease_s;
    bool dhcp, dns, host_loopback, ra, nat44, nat66;
    NetworkUplink uplink;
    char external_interface[IF_NAMESIZE];
    char ifname[IF_NAMESIZE];
    NetworkBridgeMode bridge_mode;
    bool mac_translation;
} NetworkSettings;

typedef struct NetworkBridged NetworkBridged;
typedef struct NetworkKernel NetworkKernel;

/**
 * Network:
 * @refs: of netdevs; at 0 the idle time begins
 * @state: what is kept, the addresses in force included
 * @uplink: NULL without a gateway address
 * @bridged: NULL in other modes
 * @kernel: NULL where the uplink is not the kernel
 * @had_ports: one that was never used need not be kept waiting
 * @overlap: the host's route that was reported last; len 0: none
 */
struct Network {
    NetworkRegister *reg;
    unsigned refs;
    char *name, *net_uuid;
    NetworkMode mode;
    NetworkSettings settings;
    NetworkState state;

    Switch *sw;
    SwitchPort *gateway_port;
    Gateway *gateway;
    Uplink *uplink;
    NetworkBridged *bridged;
    NetworkKernel *kernel;
    LoopTimer *gateway_timer, *idle_timer, *save_timer;

    GHashTable *macs;       /* MacAddr: claimed */
    GPtrArray *forwards;    /* NetworkForward */
    unsigned n_ports;
    bool had_ports;
    bool stopping;
    bool save_armed;
    int64_t saves_ms;       /* where SAVE_MS for each write so far would end */
    IpPrefix overlap;
};

/** network_flows_max: of a daemon that may have @n_fds descriptors. */
unsigned network_flows_max(uint64_t n_fds);
/** network_dns_sockets_max: of what flows leave. */
unsigned network_dns_sockets_max(uint64_t n_fds);

struct NetworkRegister {
    NetworkRegisterConfig config;
    char *resolv_conf;
    NetworkOps ops;
    void *opaque;
    Host *host;
    FlowQuota *quota;       /* flows of all networks */
    ResolverQuota *dns_quota;
    StateStore *store;
    GPtrArray *networks;
    GArray *forbidden;      /* IpPrefix: subnets of all networks */
};

/* config.c */
NetworkSettings network_settings_of(const NetworkConfig *config);
/** network_addresses_written: @config has a range, checked. */
NetworkAddresses network_addresses_written(const NetworkConfig *config);
/** network_prefix6_key: what QEMU calls the IPv6 prefix. */
const char *network_prefix6_key(NetworkMode mode);
/** network_config_own_name: of a network for @config's addresses. (transfer full) */
char *network_config_own_name(const NetworkConfig *config);
/* config-compare.c */
/**
 * network_config_differs: what @config wants otherwise than @network has it.
 * @addresses_only: look at nothing else
 *
 * Returns: (transfer full) (nullable): text; NULL: nothing
 */
char *network_config_differs(const NetworkConfig *config, NetworkMode mode,
                             const NetworkState *state,
                             const NetworkSettings *settings,
                             bool addresses_only);

/* network.c */
/** network_plan: the state that a network would start with; makes nothing. */
bool network_plan(NetworkRegister *reg, const char *name,
                  const NetworkConfig *config, NetworkState *ret_state,
                  GError **error);
/** network_start: Returns: (transfer full): with one reference. */
Network *network_start(NetworkRegister *reg, const char *name,
                       const NetworkConfig *config, GError **error);
/** network_stop: tells, writes, frees. */
void network_stop(Network *network);
void network_save_soon(Network *network);
/** network_host_changed: routes of the host are others now. */
void network_host_changed(Network *network);
/** network_gateway6: family AF_UNSPEC: it has no IPv6. */
IpAddr network_gateway6(const Network *network);

/* register.c */
void network_register_update_forbidden(NetworkRegister *reg);

/* bridged.c */
/** network_bridged_find: @ifname (nullable), or by default, if it can be joined. */
bool network_bridged_find(NetworkRegister *reg, const char *ifname,
                          HostInterface *ret_interface, GError **error);
/**
 * network_bridged_choose: how @interface is joined: sets what is in force.
 *
 * Returns: false with @error: not as @config wants it.
 */
bool network_bridged_choose(const NetworkConfig *config,
                            const HostInterface *interface,
                            NetworkSettings *ret_settings, GError **error);
/** network_bridged_start: sets @network's bridged, also on failure. */
bool network_bridged_start(Network *network, const HostInterface *interface,
                           GError **error);
void network_bridged_free(NetworkBridged *bridged);
void network_bridged_host_changed(NetworkBridged *bridged);
/** network_bridged_has_pairs: netdevs' ports come from here, not from its switch. */
bool network_bridged_has_pairs(const Network *network);
Port *network_bridged_port_new(Network *network, const NetworkPortConfig *config,
                               GError **error);
void network_bridged_port_free(Network *network, Port *port);
/** network_bridged_port_gone: of a network whose ports are on its switch. */
void network_bridged_port_gone(NetworkBridged *bridged, uint32_t port);

/* kernel.c */
/** network_kernel_start: sets @network's kernel, also on failure of the rest. */
bool network_kernel_start(Network *network, GError **error);
void network_kernel_free(NetworkKernel *kernel);
void network_kernel_host_changed(NetworkKernel *kernel);
/** network_kernel_rules_changed: forwards are others now. */
void network_kernel_rules_changed(NetworkKernel *kernel);
/** network_kernel_ifname: what the host's interface is called. */
const char *network_kernel_ifname(const NetworkKernel *kernel);

/* plumbing.c */
/** network_has_ipv6: its router says so by RA, if it may. */
bool network_has_ipv6(const Network *network);
void network_plumb(Network *network);
void network_gateway_arm(Network *network);
NatRoom network_room(void *opaque, const NatHead *head, int64_t now_ms);
unsigned network_offloads(void *opaque, const MacAddr *mac, int64_t now_ms);
void network_output(void *opaque, Frame *frames, unsigned n, int64_t now_ms);
void network_to_host(void *opaque, const Frame *frame, int64_t now_ms);

/* forward.c */
/** network_forwards_start: the persistent ones, when the network starts. */
void network_forwards_start(Network *network);
/** network_forwards_stop: all that are left. */
void network_forwards_stop(Network *network);
/**
 * network_forwards_rules: those that the host's kernel can do, the first
 * PRIV_FORWARDS_MAX of them. Returns: how many
 */
unsigned network_forwards_rules(const Network *network,
                                PrivForward ret_forwards[PRIV_FORWARDS_MAX]);
/** network_forwards_follow: leases changed: tell forwards by port. */
void network_forwards_follow(Network *network, uint32_t port);

/* mac.c */
GHashTable *network_macs_new(void);

#endif
