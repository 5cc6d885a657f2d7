/*
 * Netdevs: a guest's interface on a network, and how long it lives
 *
 * Lifetimes (the schema's NetdevLifetime):
 *
 *   client   owner's connection closes --> removed
 *   export   made --30 s--> removed       a VMM that never came
 *              | connected: no deadline
 *              v
 *            disconnected --2 s--> removed   a VMM that does not come back
 *            made again --30 s--> removed    the same, after a daemon's death
 *   daemon   removed at the end
 *
 * One to which nobody can come back goes sooner if another netdev wants what it
 * has; see orphan.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/netdev.h"

#include <limits.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <string.h>
#include <unistd.h>

#include "control/authorize.h"
#include "control/client.h"
#include "control/export.h"
#include "control/forward-event.h"
#include "control/forward.h"
#include "control/hostfwd.h"
#include "control/netdev-config.h"
#include "control/orphan.h"
#include "control/record.h"
#include "limits.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-error.h"
#include "qapi/qapi-visit.h"
#include "vmnet/error.h"

/* How long a netdev of lifetime "export" waits for its first VMM, and for one
 * that went.  QEMU's reconnect counts in seconds: 1 must be in time. */
#define GRACE_FIRST_MS 30000
#define GRACE_AGAIN_MS 2000

/* What a MAC address is derived from: at most a disk's path and an id. */
#define SEED_BYTES (PATH_MAX + LIMIT_ID_BYTES)

bool id_is_wellformed(const char *id)
{
    const char *p;

    if (!g_ascii_isalpha(id[0]) || strlen(id) > LIMIT_ID_BYTES) {
        return false;
    }
    for (p = id; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-._", *p)) {
            return false;
        }
    }
    return true;
}

/* A VM's name comes from -name: anything printable but the separator. */
static bool vm_is_wellformed(const char *vm)
{
    const char *p;

    if (!vm[0] || strlen(vm) > LIMIT_ID_BYTES || !g_utf8_validate(vm, -1, NULL)) {
        return false;
    }
    for (p = vm; *p; p++) {
        if (*p == '/' || g_ascii_iscntrl(*p)) {
            return false;
        }
    }
    return true;
}

uint32_t netdev_port_id(const ControlNetdev *netdev)
{
    return switch_port_id(port_switch_port(netdev->port));
}

ControlNetdev *netdev_by_port(Control *control, Network *network,
                              uint32_t port_id)
{
    unsigned i;

    for (i = 0; i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        if (netdev->network == network && netdev_port_id(netdev) == port_id) {
            return netdev;
        }
    }
    return NULL;
}

static ControlNetdev *find_owned(Client *client, const char *id)
{
    Control *control = client->control;
    unsigned i;

    for (i = 0; i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        if (netdev->owner == client && !strcmp(netdev->id, id)) {
            return netdev;
        }
    }
    return NULL;
}

static ControlNetdev *find_full(Control *control, const char *full_id)
{
    unsigned i;

    for (i = 0; i < control->netdevs->len; i++) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        if (!strcmp(netdev->full_id, full_id)) {
            return netdev;
        }
    }
    return NULL;
}

bool netdev_is_for(const ControlNetdev *netdev, uid_t uid)
{
    return uid == netdev->uid || uid == 0 || uid == geteuid();
}

ControlNetdev *netdev_find(Client *client, const char *id, GError **error)
{
    ControlNetdev *netdev = find_owned(client, id);

    if (!netdev) {
        netdev = find_full(client->control, id);
    }
    if (netdev && !netdev_is_for(netdev, client->uid)) {
        netdev = NULL;
    }
    if (!netdev) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_DEVICE_NOT_FOUND,
                    "Device '%s' not found", id);
    }
    return netdev;
}

/* What is wrong before anything of the network is looked at. */
static bool check_names(Client *client, const Netdev *options, GError **error)
{
    if (!id_is_wellformed(options->id)) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                            "Parameter 'id' expects an identifier");
        return false;
    }
    if (options->vm && !vm_is_wellformed(options->vm)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Parameter 'vm' expects a name of 1 to %d bytes without "
                    "'/' and control characters", LIMIT_ID_BYTES);
        return false;
    }
    if (options->mac_seed && strlen(options->mac_seed) > SEED_BYTES) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Parameter 'mac-seed' expects at most %d bytes",
                    SEED_BYTES);
        return false;
    }
    if (find_owned(client, options->id)) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC, "Duplicate ID '%s'",
                    options->id);
        return false;
    }
    if (client->control->netdevs->len >= LIMIT_NETDEVS) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "netdev '%s': there are %d netdevs already", options->id,
                    LIMIT_NETDEVS);
        return false;
    }
    return true;
}

/*
 * VM/ID, unique: a virtual machine that is started again gets the name of its
 * former self; a second one of the same name that runs at the same time is VM-2,
 * and so on.
 */
static void choose_name(ControlNetdev *netdev, const char *vm)
{
    unsigned n;

    for (n = 1; n <= LIMIT_NETDEVS + 1; n++) {
        g_autofree char *name = n > 1 ? g_strdup_printf("%s-%u", vm, n)
                                      : g_strdup(vm);
        g_autofree char *full_id = g_strdup_printf("%s/%s", name, netdev->id);
        ControlNetdev *other = find_full(netdev->control, full_id);

        if (!other || orphan_yields_name(other, netdev->owner)) {
            netdev->vm = g_steal_pointer(&name);
            netdev->full_id = g_steal_pointer(&full_id);
            return;
        }
    }
    g_assert_not_reached(); /* there are at most LIMIT_NETDEVS names */
}

/* The address that the guest is expected to use, claimed on the network. */
static bool choose_mac(ControlNetdev *netdev, const NetdevConfig *config,
                       GError **error)
{
    char text[MAC_STRLEN];

    if (config->has_mac) {
        if (!network_mac_claim(netdev->network, &config->mac)) {
            g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                        "netdev '%s': mac %s is that of another netdev on this "
                        "network", netdev->id, mac_format(&config->mac, text));
            return false;
        }
        netdev->mac = config->mac;
        netdev->has_mac = true;
    } else if (netdev->options->mac_seed) {
        network_mac_derive(netdev->network, netdev->options->mac_seed,
                           &netdev->mac);
        netdev->has_mac = true;
    }
    return true;
}

static void on_port_disconnected(void *opaque, const char *reason)
{
    ControlNetdev *netdev = opaque;

    if (netdev->export) {
        export_disconnected(netdev->export, reason);
    }
}

static const PortEvents port_events = {
    .disconnected = on_port_disconnected,
};

static bool make_parts(ControlNetdev *netdev, const NetdevConfig *config,
                       GError **error)
{
    unsigned i;

    netdev->network = network_acquire(netdev->control->networks,
                                      &config->network, error);
    if (!netdev->network) {
        return false;
    }
    if (!choose_mac(netdev, config, error)) {
        return false;
    }
    netdev->port = network_port_new(netdev->network, &(NetworkPortConfig) {
        .isolated = config->isolated,
        .mac = netdev->has_mac ? &netdev->mac : NULL,
        .events = &port_events,
        .opaque = netdev,
    }, error);
    if (!netdev->port) {
        return false;
    }
    for (i = 0; i < config->forwards->len; i++) {
        if (!forward_new_hostfwd(netdev, &g_array_index(config->forwards,
                                                        HostfwdRule, i),
                                 error)) {
            return false;
        }
    }
    return true;
}

static void on_grace_over(void *opaque, int64_t now_ms)
{
    ControlNetdev *netdev = opaque;

    g_message("netdev %s: its VMM %s: removed", netdev->full_id,
              netdev->was_connected ? "did not come back" : "never came");
    netdev_remove(netdev);
}

static NetdevLifetime default_lifetime(const Client *client)
{
    return client->qmp ? NETDEV_LIFETIME_CLIENT : NETDEV_LIFETIME_DAEMON;
}

static void netdev_free(ControlNetdev *netdev)
{
    if (!netdev) {
        return;
    }
    export_free(g_steal_pointer(&netdev->export));
    loop_timer_free(netdev->grace);
    g_ptr_array_unref(netdev->forwards);
    if (netdev->port) {
        network_port_free(netdev->network, netdev->port);
    }
    if (netdev->has_mac) {
        network_mac_release(netdev->network, &netdev->mac);
    }
    if (netdev->network) {
        network_unref(netdev->network);
    }
    peer_process_clear(&netdev->process);
    qapi_free_Netdev(netdev->options);
    g_free(netdev->id);
    g_free(netdev->vm);
    g_free(netdev->full_id);
    g_free(netdev);
#ifdef __GLIBC__
    /* Of thousands of flows free pages are left between pieces in use, which
     * glibc gives back only when asked to. */
    malloc_trim(0);
#endif
}

ControlNetdev *netdev_new(Client *client, const Netdev *options, GError **error)
{
    Control *control = client->control;
    g_auto(NetdevConfig) config = { 0 };
    g_autoptr(JsonValue) displaced = NULL;
    ControlNetdev *netdev;

    if (!check_names(client, options, error)
        || !netdev_config_read(&config, options, error)
        || !authorize_network(client, &config.network, config.forwards,
                              error)) {
        return NULL;
    }

    netdev = g_new0(ControlNetdev, 1);
    netdev->control = control;
    netdev->owner = client;
    netdev->uid = client->uid;
    peer_process_copy(&netdev->process, &client->process);
    netdev->id = g_strdup(options->id);
    netdev->options = netdev_options_copy(options);
    netdev->lifetime = options->has_lifetime ? options->lifetime
                                             : default_lifetime(client);
    netdev->forwards = g_ptr_array_new_with_free_func(forward_free);
    netdev->grace = loop_timer_new(control->loop, on_grace_over, netdev);
    choose_name(netdev, options->vm ? options->vm : client->name);

    displaced = orphans_displace(netdev, &config);
    if (!authorize_netdev(client, &config.network, error)
        || !make_parts(netdev, &config, error)) {
        netdev_free(netdev);
        orphans_put_back(control, displaced);
        return NULL;
    }
    g_ptr_array_add(control->netdevs, netdev);
    g_ptr_array_foreach(netdev->forwards, forward_event_added, NULL);
    if (netdev->lifetime == NETDEV_LIFETIME_EXPORT) {
        loop_timer_arm(netdev->grace, loop_now_ms() + GRACE_FIRST_MS);
    }
    control_touch(control);
    record_changed(control);
    return netdev;
}

void netdev_remove(ControlNetdev *netdev)
{
    Control *control = netdev->control;
    unsigned index;

    if (g_ptr_array_find(control->netdevs, netdev, &index)) {
        g_ptr_array_steal_index(control->netdevs, index);
    }
    forward_netdev_gone(netdev);
    netdev_free(netdev);
    record_changed(control);
    control_touch(control);
}

void netdev_connected(ControlNetdev *netdev, PeerProcess *vmm)
{
    if (!netdev->was_connected || netdev->process.pid != vmm->pid) {
        record_changed(netdev->control);
    }
    loop_timer_disarm(netdev->grace);
    netdev->was_connected = true;
    netdev->is_restored = false;
    peer_process_clear(&netdev->process);
    netdev->process = *vmm;
}

void netdev_disconnected(ControlNetdev *netdev)
{
    if (netdev->lifetime == NETDEV_LIFETIME_EXPORT) {
        loop_timer_arm(netdev->grace, loop_now_ms() + GRACE_AGAIN_MS);
    }
}

bool netdev_is_recorded(const ControlNetdev *netdev)
{
    return netdev->lifetime == NETDEV_LIFETIME_EXPORT && netdev->export
           && netdev->export->path;
}

bool netdev_comes_back(const ControlNetdev *netdev)
{
    return netdev->owner == netdev->control->self || netdev_is_recorded(netdev);
}

void netdev_client_gone(Client *client)
{
    Control *control = client->control;
    unsigned i;

    for (i = control->netdevs->len; i-- > 0;) {
        ControlNetdev *netdev = g_ptr_array_index(control->netdevs, i);

        if (netdev->export && netdev->export->owner == client) {
            netdev->export->owner = NULL;
        }
        if (netdev->owner != client) {
            continue;
        }
        if (netdev->lifetime == NETDEV_LIFETIME_CLIENT) {
            netdev_remove(netdev);
        } else {
            netdev->owner = NULL;
        }
    }
}

bool qmp_netdev_add(void *session, Netdev *arg, GError **error)
{
    return netdev_new(session, arg, error) != NULL;
}

bool qmp_netdev_del(void *session, const char *id, GError **error)
{
    ControlNetdev *netdev = netdev_find(session, id, error);

    if (!netdev) {
        return false;
    }
    netdev_remove(netdev);
    return true;
}
