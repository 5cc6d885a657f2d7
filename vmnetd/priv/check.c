/*
 * What requests to the privileged process are checked against
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/serve-internal.h"

#include <errno.h>
#include <glib.h>
#include <net/if_arp.h>
#include <string.h>

bool priv_is_all_zero(const void *data, size_t n)
{
    const uint8_t *bytes = data;

    while (n > 0 && !bytes[n - 1]) {
        n--;
    }
    return n == 0;
}

bool priv_is_name(const char ifname[IF_NAMESIZE])
{
    size_t len = strnlen(ifname, IF_NAMESIZE), i;

    if (len == 0 || len == IF_NAMESIZE || !strcmp(ifname, ".") ||
        !strcmp(ifname, "..")) {
        return false;
    }
    for (i = 0; i < len; i++) {
        if (!g_ascii_isgraph(ifname[i]) || strchr("/:%", ifname[i])) {
            return false;
        }
    }
    for (; i < IF_NAMESIZE && !ifname[i]; i++) {
    }
    return i == IF_NAMESIZE;
}

bool priv_has_our_name(const Link *link)
{
    return g_str_has_prefix(link->name, PRIV_LINK_PREFIX) ||
           g_str_has_prefix(link->name, PRIV_GATEWAY_PREFIX);
}

bool priv_check_lower(PrivServer *server, const PrivRequest *request,
                        Link *ret_link, PrivResult *result)
{
    int errnum;

    if (!priv_policy_bridges(server, request->ifname)) {
        priv_set_outcome(result, PRIV_NOT_ALLOWED);
        return false;
    }
    errnum = links_get(server->nl, request->ifname, ret_link);
    if (errnum == ENODEV) {
        priv_set_outcome(result, PRIV_NO_INTERFACE);
        return false;
    }
    if (!priv_went_well(result, errnum)) {
        return false;
    }
    if (ret_link->type != ARPHRD_ETHER || priv_has_our_name(ret_link)) {
        priv_set_outcome(result, PRIV_WRONG_KIND);
        return false;
    }
    if (!(ret_link->flags & IFF_UP)) {
        priv_set_outcome(result, PRIV_IS_DOWN);
        return false;
    }
    return true;
}

bool priv_check_unbridged(const Link *link, PrivResult *result)
{
    if ((link->flags & IFF_LOOPBACK) || !strcmp(link->kind, "bridge") ||
        !strcmp(link->kind, "macvtap")) {
        priv_set_outcome(result, PRIV_WRONG_KIND);
        return false;
    }
    if (link->master) {
        priv_set_outcome(result, PRIV_HAS_MASTER);
        return false;
    }
    return true;
}

typedef struct Count {
    const PrivServer *server;
    unsigned n;
} Count;

static bool count_one(void *opaque, const Link *link)
{
    Count *count = opaque;

    count->n += priv_has_our_name(link);
    return true;
}

bool priv_has_place(PrivServer *server, PrivResult *result)
{
    Count count = { .server = server };

    if (!priv_went_well(result, links_each(server->nl, count_one, &count))) {
        return false;
    }
    if (count.n >= PRIV_LINKS_MAX) {
        priv_set_outcome(result, PRIV_TOO_MANY);
    }
    return count.n < PRIV_LINKS_MAX;
}
