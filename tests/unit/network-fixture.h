/*
 * A register of networks with its loop and directories, for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_NETWORK_FIXTURE_H
#define TESTS_UNIT_NETWORK_FIXTURE_H

#include <errno.h>
#include <glib/gstdio.h>
#include "network-guest.h"
#include "network/network-internal.h"

typedef struct Fixture {
    Loop *loop;
    NetworkRegister *reg;
    char *state_dir;
    char *resolv_conf;
    unsigned n_started, n_stopped, n_leases, n_conflicts, n_overlaps, n_moved;
    IpPrefix overlap;
} Fixture;

static inline void on_started(void *opaque, Network *network)
{
    ((Fixture *)opaque)->n_started++;
}

static inline void on_stopped(void *opaque, Network *network)
{
    ((Fixture *)opaque)->n_stopped++;
}

static inline void on_lease_event(void *opaque, Network *network,
                                  const GatewayEvent *event)
{
    ((Fixture *)opaque)->n_leases += event->type == GATEWAY_LEASE_ADDED;
}

static inline void on_forward_moved(void *opaque, Network *network,
                                    const NetworkForward *forward)
{
    ((Fixture *)opaque)->n_moved++;
}

static inline void on_route_overlap(void *opaque, Network *network,
                                    const IpPrefix *route, const char *ifname)
{
    Fixture *f = opaque;

    f->n_overlaps++;
    f->overlap = *route;
}

static inline void on_mac_conflict(void *opaque, Network *network, const MacAddr *mac,
                                   uint32_t old_port, uint32_t new_port)
{
    ((Fixture *)opaque)->n_conflicts++;
}

static const NetworkOps ops = {
    .started = on_started,
    .stopped = on_stopped,
    .lease_event = on_lease_event,
    .forward_moved = on_forward_moved,
    .route_overlap = on_route_overlap,
    .mac_conflict = on_mac_conflict,
};

static inline void register_start(Fixture *f)
{
    const NetworkRegisterConfig config = {
        .loop = f->loop,
        .state_dir = f->state_dir,
        .idle_ms = 0,
        .resolv_conf = f->resolv_conf,
    };

    f->reg = network_register_new(&config, &ops, f);
}

static inline void set_up(Fixture *f, const void *unused)
{
    f->loop = loop_new(NULL, NULL);
    f->state_dir = g_dir_make_tmp("test-network-XXXXXX", NULL);
    f->resolv_conf = g_build_filename(f->state_dir, "resolv.conf", NULL);
    register_start(f);
}

static inline void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_remove(path);
}

static inline void tear_down(Fixture *f, const void *unused)
{
    network_register_free(f->reg);
    loop_free(f->loop);
    remove_tree(f->state_dir);
    g_free(f->state_dir);
    g_free(f->resolv_conf);
}

static inline NetworkConfig config_of(NetworkMode mode)
{
    return (NetworkConfig){ .mode = mode, .prefix6.addr.family = AF_UNSPEC };
}

static inline uint32_t v4(const char *text)
{
    IpAddr addr;

    g_assert_true(ip_addr_parse(text, &addr));
    return addr.v4;
}

static inline NetworkConfig config_range(const char *start, const char *end,
                                         const char *mask)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);

    config.has_range = true;
    config.start_address = v4(start);
    config.end_address = v4(end);
    config.subnet_mask = v4(mask);
    return config;
}

static inline Network *acquire(Fixture *f, const NetworkConfig *config)
{
    g_autoptr(GError) error = NULL;
    Network *network = network_acquire(f->reg, config, &error);

    g_assert_no_error(error);
    g_assert_nonnull(network);
    return network;
}

/* As if the host had it. */
static inline void add_route(HostTable *host, const char *addr, uint8_t len,
                             bool connected)
{
    HostRoute route = { .connected = connected, .dst.len = len };

    g_assert_true(ip_addr_parse(addr, &route.dst.addr));
    g_array_append_val(host->routes, route);
}

/* A /24 that neither the host nor we use, and its addresses. */
typedef struct FreeRange {
    char start[IP_STRLEN], end[IP_STRLEN];
} FreeRange;

static inline void free_range(Fixture *f, const char *name, FreeRange *ret)
{
    const SubnetTakers takers = { host_table(f->reg->host), f->reg->forbidden };
    IpPrefix subnet;
    IpAddr addr;

    g_assert_true(subnet_choose(&takers, name, &subnet));
    addr = ip_addr_v4(subnet.addr.v4 + 1);
    ip_addr_format(&addr, ret->start);
    addr = ip_addr_v4(subnet.addr.v4 + 100);
    ip_addr_format(&addr, ret->end);
}

#endif
