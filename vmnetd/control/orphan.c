/*
 * Orphans: netdevs of lifetime "export" to which nobody can come back, and who
 * takes their place
 *
 * Theory of operation
 * -------------------
 * vmnet-run makes a netdev and becomes the VMM by execve(): the process that
 * made it is the one that will connect.  Where QEMU puts itself into the
 * background it is a child that connects, and that process ends only once the
 * child has.  From then on the process that connected counts:
 *
 *   connected   yes                        somebody has it
 *               no, and its process runs   it will connect, or connect again
 *               no, and that has ended     an orphan
 *               no, process not known      an orphan for a namesake only, and
 *                                          only if it was connected before
 *
 * An orphan stays for its time (netdev.c): who made it may have been a script
 * that makes netdevs for others.  But a machine that is started again must find
 * its name, its addresses and its ports: another netdev of the same user that
 * wants one of them has it at once.  Where that one cannot be made after all,
 * the orphans are made again, from what the record (record.c) has of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/orphan.h"

#include <string.h>

#include "control/client.h"
#include "control/export.h"
#include "control/forward.h"
#include "control/netdev.h"
#include "control/record.h"

/* Whether it can be one, as far as @heir is concerned. */
static bool is_left(const ControlNetdev *netdev, const Client *heir)
{
    return !netdev->control->restoring
           && netdev->lifetime == NETDEV_LIFETIME_EXPORT
           && netdev->uid == heir->uid && !netdev->owner
           && !port_is_connected(netdev->port)
           && !(netdev->export && export_has_caller(netdev->export));
}

static bool is_orphan(const ControlNetdev *netdev, const Client *heir)
{
    return is_left(netdev, heir) && peer_process_has_gone(&netdev->process);
}

/* The process that had it wants it again, or it is not known which had it. */
static bool may_be_heirs(const ControlNetdev *netdev, const Client *heir)
{
    const PeerProcess *process = &netdev->process;

    return netdev->was_connected && !netdev->is_restored
           && (!process->is_known
               || (process->pid && process->pid == heir->process.pid));
}

bool orphan_yields_name(const ControlNetdev *netdev, const Client *heir)
{
    return is_orphan(netdev, heir)
           || (is_left(netdev, heir) && may_be_heirs(netdev, heir));
}

static bool has_same_mac(const ControlNetdev *netdev, const ControlNetdev *heir,
                         const NetdevConfig *config)
{
    const char *seed = heir->options->mac_seed;

    if (config->has_mac) {
        return netdev->has_mac && mac_equal(&netdev->mac, &config->mac);
    }
    return seed && !g_strcmp0(seed, netdev->options->mac_seed);
}

static bool is_every_address(const IpAddr *addr)
{
    return addr->family == AF_UNSPEC || ip_addr_is_any(addr);
}

static bool is_same_port(const HostfwdRule *rule, const ControlForward *forward)
{
    NetworkForwardConfig config;

    network_forward_info(forward->forward, &config);
    return rule->proto == config.proto && rule->host.port == config.host.port
           && (is_every_address(&rule->host.addr)
               || is_every_address(&config.host.addr)
               || ip_addr_equal(&rule->host.addr, &config.host.addr));
}

static bool has_same_port(const ControlNetdev *netdev, const NetdevConfig *config)
{
    unsigned i, j;

    for (i = 0; i < config->forwards->len; i++) {
        for (j = 0; j < netdev->forwards->len; j++) {
            if (is_same_port(&g_array_index(config->forwards, HostfwdRule, i),
                             g_ptr_array_index(netdev->forwards, j))) {
                return true;
            }
        }
    }
    return false;
}

/* (element-type ControlNetdev) */
static GPtrArray *find_displaced(const ControlNetdev *heir,
                                 const NetdevConfig *config)
{
    GPtrArray *netdevs = heir->control->netdevs;
    GPtrArray *found = g_ptr_array_new();
    unsigned i;

    for (i = 0; i < netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(netdevs, i);

        if (!strcmp(netdev->full_id, heir->full_id)
            || (is_orphan(netdev, heir->owner)
                && (has_same_mac(netdev, heir, config)
                    || has_same_port(netdev, config)))) {
            g_ptr_array_add(found, netdev);
        }
    }
    return found;
}

JsonValue *orphans_displace(const ControlNetdev *heir,
                            const NetdevConfig *config)
{
    g_autoptr(GPtrArray) displaced = find_displaced(heir, config);
    JsonValue *record;
    unsigned i;

    if (!displaced->len) {
        return NULL;
    }
    record = record_some(displaced);
    for (i = 0; i < displaced->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(displaced, i);

        g_message("netdev %s: its VMM has gone: removed for %s",
                  netdev->full_id, heir->full_id);
        netdev_remove(netdev);
    }
    return record;
}

void orphans_put_back(Control *control, const JsonValue *displaced)
{
    if (displaced) {
        record_make_again(control, displaced);
    }
}
