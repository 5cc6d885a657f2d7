/*
 * Macvtaps that are made for the engine
 *
 * One stays until it is removed; it is marked as this instance's in the request
 * that makes it (its group), so that those of an engine that was killed at
 * whatever moment are found.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/serve-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

/* Interfaces get an index from here on: /dev/tapINDEX is then nobody else's,
 * in whatever namespace. */
#define INDEX_FIRST (1 << 24)
#define INDEX_RANGE_MASK ((1 << 29) - 1)

static bool is_our_macvtap(const PrivServer *server, const Link *link)
{
    return priv_has_our_name(link) && !strcmp(link->kind, "macvtap") &&
           link->group == server->policy->mark;
}

/* The character device of interface @ifindex, called @name. */
static int open_macvtap(int ifindex, const char *name, int *ret_fd)
{
    char path[32];
    struct ifreq ifr = { 0 };
    int fd, errnum = 0;

    snprintf(path, sizeof(path), "/dev/tap%d", ifindex);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno;
    }
    if (ioctl(fd, TUNGETIFF, &ifr) < 0) {
        errnum = errno;
    } else if (strncmp(ifr.ifr_name, name, IF_NAMESIZE) != 0) {
        errnum = EBADFD;
    }
    if (errnum) {
        close(fd);
        return errnum;
    }
    *ret_fd = fd;
    return 0;
}

static int random_index(void)
{
    uint32_t value = 0;

    if (getrandom(&value, sizeof(value), 0) < 0) {
        return INDEX_FIRST;
    }
    return INDEX_FIRST + (value & INDEX_RANGE_MASK);
}

void priv_do_macvtap(PrivServer *server, const PrivRequest *request,
                       PrivResult *result)
{
    LinkMacvtap macvtap = {
        .index = random_index(),
        .group = server->policy->mark,
        .is_private = request->flags & PRIV_PRIVATE,
    };
    Link lower, made;
    int errnum;

    if (!priv_check_lower(server, request, &lower, result) ||
        !priv_check_unbridged(&lower, result)) {
        return;
    }
    macvtap.lower = lower.ifindex;
    memcpy(macvtap.mac, request->mac, sizeof(macvtap.mac));
    if (!priv_has_place(server, result) ||
        !priv_went_well(result, links_make_macvtap(server->nl, &macvtap))) {
        return;
    }
    errnum = links_get_index(server->nl, macvtap.index, &made);
    if (errnum == 0) {
        links_no_ipv6(server->nl, made.ifindex); /* a host may have no IPv6 */
        /* Without that, groups that a guest has joined stay outside: ND's. */
        errnum = links_set_up(server->nl, made.ifindex, IFF_ALLMULTI);
    }
    if (errnum == 0) {
        memcpy(result->answer.ifname, made.name, IF_NAMESIZE);
        errnum = open_macvtap(made.ifindex, made.name, &result->made_fd);
    }
    if (!priv_went_well(result, errnum)) {
        links_remove(server->nl, macvtap.index);
    }
}

void priv_do_remove(PrivServer *server, const PrivRequest *request,
                      PrivResult *result)
{
    Link link;
    int errnum = links_get(server->nl, request->ifname, &link);

    if (errnum == ENODEV) {
        priv_set_outcome(result, PRIV_NO_INTERFACE);
    } else if (!priv_went_well(result, errnum)) {
        return;
    } else if (!is_our_macvtap(server, &link)) {
        priv_set_outcome(result, PRIV_NOT_OURS);
    } else {
        priv_went_well(result, links_remove(server->nl, link.ifindex));
    }
}

typedef struct Found {
    const PrivServer *server;
    int ifindex;
} Found;

static bool find_ours(void *opaque, const Link *link)
{
    Found *found = opaque;

    if (is_our_macvtap(found->server, link)) {
        found->ifindex = link->ifindex;
    }
    return !found->ifindex;
}

int priv_remove_macvtaps(PrivServer *server)
{
    unsigned i;

    for (i = 0; i < PRIV_LINKS_MAX; i++) {
        Found found = { .server = server };
        int errnum = links_each(server->nl, find_ours, &found);

        if (errnum || !found.ifindex) {
            return errnum;
        }
        errnum = links_remove(server->nl, found.ifindex);
        if (errnum && errnum != ENODEV) {
            return errnum;
        }
    }
    return 0;
}
