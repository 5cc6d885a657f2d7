/*
 * The privileged process as the engine sees it
 *
 * Calls wait for the answer, for as long as the kernel takes to make an
 * interface: milliseconds, at most PRIV_TIMEOUT_S.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_PRIV_H
#define VMNETD_PRIV_PRIV_H

#include <glib.h>
#include <net/if.h>
#include "priv/rules.h"
#include "proto/addr.h"

typedef struct Priv Priv;

#define PRIV_TIMEOUT_S 5

/**
 * priv_new: the process at the other end of @fd (transfer full).  Whatever an
 * engine before this one had is removed.
 */
Priv *priv_new(int fd);
void priv_free(Priv *priv);

/**
 * priv_bridge_tap: a tap that is a port of bridge @bridge until the last of its
 * descriptors is closed.
 *
 * Returns: its descriptor (transfer full); -1 with @error.
 */
int priv_bridge_tap(Priv *priv, const char *bridge, GError **error);

/**
 * priv_macvtap: a macvtap on @ifname, until priv_remove().
 * @is_private: it exchanges no frames with other macvtaps there
 *
 * Returns: its descriptor (transfer full); -1 with @error.
 */
int priv_macvtap(Priv *priv, const char *ifname, const MacAddr *mac,
                 bool is_private, char ret_name[IF_NAMESIZE], GError **error);
void priv_remove(Priv *priv, const char *name);

/**
 * PrivNetwork: what the host's interface on a network is to be.
 * @name: its own: PRIV_GATEWAY_PREFIX and more
 * @mac: the gateway's
 * @gateway, @prefix_len: its IPv4 address, from a private range
 * @gateway6: of a unique local /64; AF_UNSPEC: none
 */
typedef struct PrivNetwork {
    char name[IF_NAMESIZE];
    MacAddr mac;
    IpAddr gateway;
    unsigned prefix_len;
    IpAddr gateway6;
    uint32_t mtu_bytes;
} PrivNetwork;

/**
 * priv_gateway_tap: a tap by which the host is on @network, until the last of
 * its descriptors is closed.
 *
 * Returns: its descriptor (transfer full); -1 with @error.
 */
int priv_gateway_tap(Priv *priv, const PrivNetwork *network, GError **error);

/**
 * priv_set_rules: what the kernel does for a network whose tap was made, in the
 * place of former rules; see priv_rules_install().
 */
bool priv_set_rules(Priv *priv, const PrivRules *rules, GError **error);
void priv_no_rules(Priv *priv, const char *name);

/**
 * priv_packet: a packet socket on @ifname, for PORT_KIND_PACKET.
 * @own_mac: only for frames to the interface's own address and to groups
 *
 * Returns: (transfer full); -1 with @error.
 */
int priv_packet(Priv *priv, const char *ifname, bool own_mac, GError **error);

/** priv_reload: it reads the policy again; a wrong one changes nothing. */
void priv_reload(Priv *priv);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Priv, priv_free)

#endif
