/*
 * Host interfaces whose network guests could join
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/interfaces.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "priv/links.h"
#include "priv/message.h"
#include "vmnet/error.h"

/* Kinds that are made for one guest or tunnel, or that nothing fits on. */
static const char *const unfit_kinds[] = {
    "ifb", "ipvlan", "ipvtap", "macvtap", "openvswitch", "tun", NULL
};

static bool is_unfit(const Link *link)
{
    return link->type != ARPHRD_ETHER ||
           g_strv_contains(unfit_kinds, link->kind) ||
           g_str_has_prefix(link->name, PRIV_LINK_PREFIX);
}

static bool is_wireless(const char *name)
{
    g_autofree char *path = g_build_filename("/sys/class/net", name,
                                             "phy80211", NULL);
    g_autofree char *older = g_build_filename("/sys/class/net", name,
                                              "wireless", NULL);

    return access(path, F_OK) == 0 || access(older, F_OK) == 0;
}

static const char *why_not(const Link *link, bool is_bridge,
                           const char *const *allowed)
{
    if (allowed && !g_strv_contains(allowed, link->name)) {
        return "the system instance does not let guests join it (--bridged)";
    }
    if (!is_bridge && link->master) {
        return "it is a port of a bridge or bond: name that instead";
    }
    if (!(link->flags & IFF_UP)) {
        return "it is down";
    }
    return link_is_slow_bridge(link)
           ? "it runs STP, so a new port carries nothing for twice its forward "
             "delay: set that to 2 s, or STP off" : NULL;
}

typedef struct Listing {
    GArray *list;
    const char *const *allowed;
} Listing;

static bool add_one(void *opaque, const Link *link)
{
    Listing *listing = opaque;
    HostInterface interface = {
        .ifindex = link->ifindex,
        .mtu_bytes = link->mtu_bytes,
        .is_bridge = !strcmp(link->kind, "bridge"),
        .is_fit = !is_unfit(link),
    };

    if (link->flags & IFF_LOOPBACK) {
        return true;
    }
    memcpy(interface.name, link->name, IF_NAMESIZE);
    interface.is_wireless = is_wireless(link->name);
    interface.why_not = interface.is_fit
                        ? why_not(link, interface.is_bridge, listing->allowed)
                        : "it is not of a kind that guests could join";
    g_array_append_val(listing->list, interface);
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const HostInterface *)a)->name,
                  ((const HostInterface *)b)->name);
}

GArray *host_interfaces_list(const char *const *allowed)
{
    Listing listing = {
        .list = g_array_new(FALSE, FALSE, sizeof(HostInterface)),
        .allowed = allowed,
    };
    int nl = links_open();
    int errnum = nl < 0 ? EIO : links_each(nl, add_one, &listing);

    if (errnum) {
        g_warning("interfaces of the host are not known: %s",
                  g_strerror(errnum));
    }
    if (nl >= 0) {
        close(nl);
    }
    g_array_sort(listing.list, compare);
    return listing.list;
}

/* As upstream: each name followed by a space. */
static char *names_of(const GArray *list)
{
    GString *names = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < list->len; i++) {
        const HostInterface *one = &g_array_index(list, HostInterface, i);

        if (!one->why_not) {
            g_string_append_printf(names, "%s ", one->name);
        }
    }
    return g_string_free(names, FALSE);
}

bool host_interface_find(const char *name, const char *const *allowed,
                         HostInterface *ret_interface, GError **error)
{
    g_autoptr(GArray) list = host_interfaces_list(allowed);
    g_autofree char *names = NULL;
    unsigned i;

    for (i = 0; i < list->len; i++) {
        const HostInterface *one = &g_array_index(list, HostInterface, i);

        if (strcmp(one->name, name) != 0 || !one->is_fit) {
            continue;
        }
        if (one->why_not) {
            g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                        "interface '%s' cannot be joined: %s", name,
                        one->why_not);
            return false;
        }
        *ret_interface = *one;
        return true;
    }
    names = names_of(list);
    g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                "unsupported ifname '%s', expected one of [ %s]", name, names);
    return false;
}
