/*
 * What a netdev becomes: vhost-user where that works, else stream
 *
 * vhost-user needs a virtio NIC, RAM that is or can be shared, and a QEMU that
 * survives it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "run-args.h"
#include "vmnet/error.h"

static const char *const port_names[RUN_PORT__MAX] = {
    [RUN_PORT_AUTO] = "auto",
    [RUN_PORT_STREAM] = "stream",
    [RUN_PORT_DGRAM] = "dgram",
    [RUN_PORT_VHOST_USER] = "vhost-user",
};

const char *run_port_str(RunPort port)
{
    return port_names[port];
}

bool run_port_parse(const char *text, RunPort *ret)
{
    unsigned i;

    for (i = 0; i < RUN_PORT__MAX; i++) {
        if (strcmp(text, port_names[i]) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* Why @netdev cannot be vhost-user, RAM apart. (transfer full) (nullable) */
static char *nic_obstacle(const RunNetdev *netdev)
{
    if (netdev->kind == RUN_NIC) {
        return g_strdup("-nic takes a socket only");
    }
    return netdev->has_virtio_nic ? NULL
           : g_strdup("its NIC is not a virtio-net -device");
}

/* The same of the whole machine. */
static char *machine_obstacle(const RunArgs *args, RunPort wanted,
                              const QemuVersion *version, char ***ret_args)
{
    /* Who asks for it may know better. */
    if (wanted == RUN_PORT_AUTO &&
        !run_memory_is_safe(args->memory, version)) {
        return g_strdup_printf("QEMU %d.%d without KVM may crash with it",
                               version->major, version->minor);
    }
    return run_memory_plan(args->memory, args->argv[0], ret_args);
}

static bool choose(RunArgs *args, RunNetdev *netdev, RunPort wanted,
                   const char *obstacle, GError **error)
{
    g_autofree char *nic = nic_obstacle(netdev);

    obstacle = nic ?: obstacle;
    if (wanted == RUN_PORT_VHOST_USER && obstacle) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "netdev '%s': --port vhost-user: %s", netdev->id, obstacle);
        return false;
    }
    if (wanted == RUN_PORT_DGRAM && netdev->kind == RUN_NIC) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "netdev '%s': --port dgram: %s", netdev->id, nic);
        return false;
    }
    netdev->port = wanted;
    if (wanted == RUN_PORT_AUTO) {
        netdev->port = obstacle ? RUN_PORT_STREAM : RUN_PORT_VHOST_USER;
        netdev->why = g_strdup(obstacle ?: "its NIC is virtio-net, and memory "
                                           "is shared");
    }
    return true;
}

bool run_args_choose(RunArgs *args, RunPort wanted, const QemuVersion *version,
                     GError **error)
{
    g_auto(GStrv) memory_args = NULL;
    g_autofree char *obstacle = machine_obstacle(args, wanted, version,
                                                 &memory_args);
    bool shares = false;
    guint i;

    for (i = 0; i < args->netdevs->len; i++) {
        RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);

        if (!choose(args, netdev, wanted, obstacle, error)) {
            return false;
        }
        shares |= netdev->port == RUN_PORT_VHOST_USER;
    }
    if (shares) {
        args->memory_args = g_steal_pointer(&memory_args);
    }
    return true;
}
