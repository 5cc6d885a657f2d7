/*
 * The kernel's part of one network: packet filter, address translation, IP
 * forwarding
 *
 * Calls are the privileged process's.  They wait for the kernel: milliseconds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_RULES_H
#define VMNETD_PRIV_RULES_H

#include <glib.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/addr.h"

/** What the gateway taps of all networks are called: the rules go by it. */
#define PRIV_GATEWAY_PREFIX "vmnet-"

#define PRIV_FORWARDS_MAX 256

typedef enum PrivRulesMode {
    PRIV_RULES_HOST,    /* guests reach each other and the gateway's address */
    PRIV_RULES_SHARED,  /* and what the host can reach */
} PrivRulesMode;

/**
 * PrivForward:
 * @proto: IPPROTO_TCP or IPPROTO_UDP
 * @host: address of the host's; ip_addr_is_any(): each of that family;
 *     AF_UNSPEC: each of the guest's family; never ::1, from which the kernel
 *     translates nothing
 * @guest: of the network, of the same family
 */
typedef struct PrivForward {
    uint8_t proto;
    IpEndpoint host;
    IpEndpoint guest;
} PrivForward;

/**
 * PrivRules:
 * @name: of the gateway's tap, PRIV_GATEWAY_PREFIX and more, which is there;
 *     also the name of the table
 * @prefix: IPv4
 * @gateway: the host's address on the tap, of @prefix
 * @prefix6: /64, or AF_UNSPEC: guests have no IPv6 beyond their link
 * @gateway6: as @gateway; AF_UNSPEC: none
 * @nat44, @nat66: guests appear as the host; off: they are routed as they are
 * @mtu_bytes: of the tap; 0: not known
 * @external: the one interface by which guests leave; "": as routed
 */
typedef struct PrivRules {
    char name[IF_NAMESIZE];
    PrivRulesMode mode;
    IpPrefix prefix;
    IpAddr gateway;
    IpPrefix prefix6;
    IpAddr gateway6;
    bool nat44, nat66;
    uint16_t mtu_bytes;
    char external[IF_NAMESIZE];
    unsigned n_forwards;
    PrivForward forwards[PRIV_FORWARDS_MAX];
} PrivRules;

/**
 * priv_rules_open: once, before there is a sandbox, in the namespace of the
 * networks.
 * @state_dir: made if it is not there; root's alone: what the host's settings
 *     were is kept in it
 * @mark: of this instance; tables of another's are left alone
 */
bool priv_rules_open(const char *state_dir, uint32_t mark, GError **error);
void priv_rules_close(void);

/** priv_rules_paths: NULL-terminated: what a sandbox must let it write. */
const char *const *priv_rules_paths(void);

/**
 * priv_rules_install: replaces the network's table, and has the kernel forward
 * between the tap and the interfaces that routes lead to now; again after these
 * have changed.  On failure everything is as it was.
 *
 * A table of that name that is somebody else's is refused.
 */
bool priv_rules_install(const PrivRules *rules, GError **error);

/**
 * priv_rules_remove: the network's table, and with the last network what was
 * changed of the host.  Good also if there is nothing.
 */
bool priv_rules_remove(const char *name, GError **error);

/**
 * priv_rules_sweep: as priv_rules_remove() of all, a predecessor's included.
 * Good also if it was not opened.
 */
bool priv_rules_sweep(GError **error);

/**
 * Firewalls that may drop what guests send or are sent.  Docker's and ufw's have
 * a place for rules like ours, which install uses; others must be told by whoever
 * runs them.
 */
typedef enum PrivFirewall {
    PRIV_FIREWALL_DOCKER = 1 << 0,
    PRIV_FIREWALL_UFW = 1 << 1,
    PRIV_FIREWALL_LIBVIRT = 1 << 2,     /* lets others pass */
    PRIV_FIREWALL_FIREWALLD = 1 << 3,
    PRIV_FIREWALL_OTHER = 1 << 4,       /* a forward hook whose policy is drop */
} PrivFirewall;

/** Those of the above that can stop a network although we did what we can. */
#define PRIV_FIREWALLS_IN_THE_WAY \
    (PRIV_FIREWALL_FIREWALLD | PRIV_FIREWALL_OTHER)

/** priv_rules_firewalls: PrivFirewall bits, as of the last install. */
unsigned priv_rules_firewalls(void);

#endif
