/*
 * Networks: made, found by name, handed to other processes; port forwarding
 *
 *     g_autoptr(VmnetNetworkConfiguration) config =
 *         vmnet_network_configuration_new(VMNET_SHARED_MODE);
 *     vmnet_network_configuration_set_name(config, "lab");
 *     vmnet_network_configuration_set_mtu(config, 9000);
 *     network = vmnet_network_create(client, config, timeout_ms, &error);
 *
 * A program that only wants a machine on the usual network needs none of this:
 * vmnet_interface_start() makes the network that its options name.
 *
 * A network reference keeps its network running, with or without interfaces,
 * until its client's connection closes or the reference is dropped; with
 * vmnet_network_configuration_set_stay() beyond that.
 *
 * Threads: a configuration is used by one thread at a time; a network belongs
 * to the thread of its client.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VMNET_NETWORK_H
#define VMNET_NETWORK_H

#include <glib.h>
#include <netinet/in.h>

#include <vmnet/client.h>
#include <vmnet/interface.h>

G_BEGIN_DECLS

/** VmnetOperatingMode: names and values are Apple's. */
typedef enum VmnetOperatingMode {
    VMNET_HOST_MODE = 1000,
    VMNET_SHARED_MODE = 1001,
    VMNET_BRIDGED_MODE = 1002,
} VmnetOperatingMode;

/* Configurations */

typedef struct VmnetNetworkConfiguration VmnetNetworkConfiguration;

/**
 * vmnet_network_configuration_new: everything as the daemon chooses: a free
 * subnet, a random IPv6 prefix (both kept under the network's name), MTU 1500,
 * DHCP, DNS, router advertisements, and with %VMNET_SHARED_MODE NAT.
 *
 * A network of %VMNET_BRIDGED_MODE is one with that of a host interface, which
 * has all of that or has not: it takes a name, how long it stays, and the
 * interface.  Only the system instance makes one: its client connects with
 * %VMNET_CONNECT_SYSTEM.
 */
VmnetNetworkConfiguration *vmnet_network_configuration_new(VmnetOperatingMode mode);
/** vmnet_network_configuration_free: networks made of it stay.  (nullable) */
void vmnet_network_configuration_free(VmnetNetworkConfiguration *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmnetNetworkConfiguration,
                              vmnet_network_configuration_free)

/**
 * vmnet_network_configuration_set_name: 1 to 63 letters, digits, '.', '_',
 * '-'.  Without it: by mode ("host", "shared"), or one of its own where a
 * subnet or prefix is set that differs from that network's.
 */
void vmnet_network_configuration_set_name(VmnetNetworkConfiguration *config,
                                          const char *name);
/** vmnet_network_configuration_set_stay: the network stays until somebody
 * removes it (`vmnetctl qmp network-del`), whoever made it. */
void vmnet_network_configuration_set_stay(VmnetNetworkConfiguration *config,
                                          gboolean stay);
/**
 * vmnet_network_configuration_set_strict: where the network runs already, it
 * must be as here in all: what was not set is its default.  Otherwise only
 * what was set must agree.
 */
void vmnet_network_configuration_set_strict(VmnetNetworkConfiguration *config,
                                            gboolean strict);
/**
 * vmnet_network_configuration_set_ipv4_subnet:
 * @subnet: any address in it; from a private range (RFC 1918).  Its first host
 *     address is the gateway, the others are given by DHCP.
 * @mask: of at most 30 bits
 *
 * Returns: false with @error if @mask is none.  Whether the subnet is private
 * and free is found when the network is made.
 */
gboolean
vmnet_network_configuration_set_ipv4_subnet(VmnetNetworkConfiguration *config,
                                            const struct in_addr *subnet,
                                            const struct in_addr *mask,
                                            GError **error);
/**
 * vmnet_network_configuration_set_ipv6_prefix: a unique local one (fd00::/8).
 * @prefix_len: 64
 *
 * Returns: false with @error for another length.
 */
gboolean
vmnet_network_configuration_set_ipv6_prefix(VmnetNetworkConfiguration *config,
                                            const struct in6_addr *prefix,
                                            guint8 prefix_len, GError **error);
/** vmnet_network_configuration_set_mtu: 576 to 65520 bytes. */
void vmnet_network_configuration_set_mtu(VmnetNetworkConfiguration *config,
                                         guint32 mtu_bytes);
/** vmnet_network_configuration_set_lease_time: 20 to 604800 seconds. */
void
vmnet_network_configuration_set_lease_time(VmnetNetworkConfiguration *config,
                                           guint32 lease_s);
/** vmnet_network_configuration_set_external_interface: the host interface by
 * which alone guests reach the outside, with %VMNET_SHARED_MODE; the one whose
 * network they join, with %VMNET_BRIDGED_MODE (by default that of the default
 * route).  vmnet_copy_shared_interface_list() has candidates. */
void vmnet_network_configuration_set_external_interface(
    VmnetNetworkConfiguration *config, const char *ifname);

/** vmnet_network_configuration_disable_dhcp: guests get addresses elsewhere;
 * not together with reservations. */
void vmnet_network_configuration_disable_dhcp(
    VmnetNetworkConfiguration *config);
/** vmnet_network_configuration_disable_dns_proxy: the gateway answers no
 * names. */
void vmnet_network_configuration_disable_dns_proxy(
    VmnetNetworkConfiguration *config);
/** vmnet_network_configuration_disable_nat44: no way out by IPv4. */
void vmnet_network_configuration_disable_nat44(
    VmnetNetworkConfiguration *config);
/** vmnet_network_configuration_disable_nat66: no way out by IPv6. */
void vmnet_network_configuration_disable_nat66(
    VmnetNetworkConfiguration *config);
/** vmnet_network_configuration_disable_router_advertisement: guests get no
 * IPv6 address by themselves. */
void vmnet_network_configuration_disable_router_advertisement(
    VmnetNetworkConfiguration *config);

/**
 * vmnet_network_configuration_add_dhcp_reservation: @address is given to the
 * guest with @mac, and to nobody else, until the network stops.
 * @mac: six bytes, of one interface
 */
void vmnet_network_configuration_add_dhcp_reservation(
    VmnetNetworkConfiguration *config, const guint8 *mac,
    const struct in_addr *address);

/**
 * VmnetPortForwardingRule: what comes to a port of the host goes to a guest.
 * @protocol: IPPROTO_TCP or IPPROTO_UDP
 * @host_address: (nullable): an IPv4 or IPv6 address of the host to listen on;
 *     NULL: all
 * @host_port: in host byte order; 0: any that is free
 * @guest_address: (nullable): of a guest of the network, of either family; in
 *     a list NULL while the guest has no lease
 * @guest_port: in host byte order, not 0
 */
typedef struct VmnetPortForwardingRule {
    int protocol;
    const char *host_address;
    guint16 host_port;
    const char *guest_address;
    guint16 guest_port;
} VmnetPortForwardingRule;

/** vmnet_network_configuration_add_port_forwarding_rule: until the network
 * stops.  @rule is copied; false with @error if it is none. */
gboolean vmnet_network_configuration_add_port_forwarding_rule(
    VmnetNetworkConfiguration *config, const VmnetPortForwardingRule *rule,
    GError **error);

/* Networks */

typedef struct VmnetNetwork VmnetNetwork;

/**
 * VmnetNetworkFunc:
 * @network: (nullable) (transfer full): NULL with @error
 */
typedef void (*VmnetNetworkFunc)(VmnetNetwork *network, const GError *error,
                                 gpointer user_data);

/**
 * vmnet_network_create_async: make a network, or take part in one that runs
 * and agrees with @config.  Its subnet, ports and names are then ours: an
 * interface that starts on it does not fail for want of them.
 * @func: called once, from vmnet_client_dispatch(), unless @client is closed
 *
 * Returns: false with @error, and @func is not called, if @client is lost.
 */
gboolean vmnet_network_create_async(VmnetClient *client,
                                    const VmnetNetworkConfiguration *config,
                                    int timeout_ms, VmnetNetworkFunc func,
                                    gpointer user_data, GError **error);
/** vmnet_network_create: the same, and wait.  Returns: (transfer full) */
VmnetNetwork *vmnet_network_create(VmnetClient *client,
                                   const VmnetNetworkConfiguration *config,
                                   int timeout_ms, GError **error);

/**
 * vmnet_network_acquire: take part in the network @name, as it is.  "host" and
 * "shared" are made where they do not run.
 */
gboolean vmnet_network_acquire_async(VmnetClient *client, const char *name,
                                     int timeout_ms, VmnetNetworkFunc func,
                                     gpointer user_data, GError **error);
VmnetNetwork *vmnet_network_acquire(VmnetClient *client, const char *name,
                                    int timeout_ms, GError **error);

/**
 * vmnet_network_copy_serialization: a line of text for another process of the
 * same user, which vmnet_network_create_with_serialization() makes a reference
 * of.  It is valid as long as the network runs, and holds no secret.
 *
 * Returns: (transfer full)
 */
char *vmnet_network_copy_serialization(const VmnetNetwork *network);
/**
 * vmnet_network_create_with_serialization: of a network that runs.
 *
 * Returns: (transfer full): NULL with @error: @serialization is none, is of a
 * network of another daemon or of one that was made anew since
 * (%VMNET_INVALID_ARGUMENT), or it runs no longer.
 */
VmnetNetwork *
vmnet_network_create_with_serialization(VmnetClient *client,
                                        const char *serialization,
                                        int timeout_ms, GError **error);

VmnetNetwork *vmnet_network_ref(VmnetNetwork *network);
/** vmnet_network_unref: the last one lets the network go, without waiting for
 * the daemon's answer; interfaces keep it running.  (nullable) */
void vmnet_network_unref(VmnetNetwork *network);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmnetNetwork, vmnet_network_unref)

/** vmnet_network_get_name: valid as long as @network. */
const char *vmnet_network_get_name(const VmnetNetwork *network);
/** vmnet_network_get_mode: host, shared or bridged. */
VmnetOperatingMode vmnet_network_get_mode(const VmnetNetwork *network);
/** vmnet_network_get_mtu: in bytes, without the Ethernet header. */
guint32 vmnet_network_get_mtu(const VmnetNetwork *network);
/**
 * vmnet_network_get_ipv4_subnet:
 * @ret_subnet: the gateway's address in it, in network byte order
 *
 * Returns: false if the network has no addresses of its own (net-uuid,
 * bridged); both are untouched then.
 */
gboolean vmnet_network_get_ipv4_subnet(const VmnetNetwork *network,
                                       struct in_addr *ret_subnet,
                                       struct in_addr *ret_mask);
/** vmnet_network_get_ipv6_prefix: as vmnet_network_get_ipv4_subnet(). */
gboolean vmnet_network_get_ipv6_prefix(const VmnetNetwork *network,
                                       struct in6_addr *ret_prefix,
                                       guint8 *ret_prefix_len);

/**
 * vmnet_interface_start_with_network_async: vmnet_interface_start_async() on
 * @network.
 * vmnet_interface_start_with_network: the same, and wait until it runs.
 * @options: as there, without type and network: "id=net0,isolated=on"
 */
VmnetInterface *vmnet_interface_start_with_network_async(
    VmnetNetwork *network, const char *options, VmnetPort port,
    VmnetInterfaceFlags flags, VmnetOffloads offloads, int timeout_ms,
    VmnetInterfaceFunc func, gpointer user_data, GError **error);
VmnetInterface *vmnet_interface_start_with_network(
    VmnetNetwork *network, const char *options, VmnetPort port,
    VmnetInterfaceFlags flags, VmnetOffloads offloads, int timeout_ms,
    GError **error);

/* Port forwarding while the network runs; each waits for the daemon.  (Who
 * may not wait uses vmnet_client_command_async() with forward-add,
 * forward-remove, query-forwards.) */

/**
 * vmnet_network_add_port_forwarding_rule: until the network stops.
 * @ret_host_port: (nullable): the port, which may have been chosen
 */
gboolean
vmnet_network_add_port_forwarding_rule(VmnetNetwork *network,
                                       const VmnetPortForwardingRule *rule,
                                       guint16 *ret_host_port, int timeout_ms,
                                       GError **error);
/** vmnet_network_remove_port_forwarding_rule: by what it listens on. */
gboolean vmnet_network_remove_port_forwarding_rule(VmnetNetwork *network,
                                                   int protocol,
                                                   const char *host_address,
                                                   guint16 host_port,
                                                   int timeout_ms,
                                                   GError **error);
/**
 * vmnet_network_get_port_forwarding_rules: all of @network's.
 *
 * Returns: (transfer full) (element-type VmnetPortForwardingRule): its strings
 * belong to it; NULL with @error
 */
GPtrArray *vmnet_network_get_port_forwarding_rules(VmnetNetwork *network,
                                                   int timeout_ms,
                                                   GError **error);

/**
 * vmnet_copy_shared_interface_list: host interfaces whose network a machine
 * could join by %VMNET_BRIDGED_MODE: Ethernet, not wireless, not a port of a
 * bridge or bond already, not a tap.
 *
 * Returns: (transfer full): NULL-terminated, sorted; may be empty.
 */
char **vmnet_copy_shared_interface_list(void);

G_END_DECLS

#endif
