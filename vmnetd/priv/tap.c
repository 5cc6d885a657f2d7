/*
 * Taps that are made for the engine: each goes with its last descriptor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/serve-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

/* A bridge takes the lowest address of its ports for its own. */
#define TAP_MAC_FIRST 0xfe

int priv_make_tap(const char *name, char ret_name[IF_NAMESIZE], int *ret_fd)
{
    struct ifreq ifr = { 0 };
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int errnum;

    g_strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
    ifr.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0) {
        errnum = errno;
        if (fd >= 0) {
            close(fd);
        }
        return errnum;
    }
    memcpy(ret_name, ifr.ifr_name, IF_NAMESIZE);
    *ret_fd = fd;
    return 0;
}

static int join_bridge(PrivServer *server, const char *name, const Link *bridge)
{
    uint8_t mac[6] = { 0 };
    Link tap;
    int errnum = links_get(server->nl, name, &tap);

    if (errnum == 0 && getrandom(mac, sizeof(mac), 0) < 0) {
        errnum = errno;
    }
    mac[0] = TAP_MAC_FIRST;
    if (errnum == 0) {
        errnum = links_set_mac(server->nl, tap.ifindex, mac);
    }
    /* A smaller one would become the bridge's. */
    if (errnum == 0) {
        errnum = links_set_mtu(server->nl, tap.ifindex, bridge->mtu_bytes);
    }
    if (errnum == 0) {
        links_no_ipv6(server->nl, tap.ifindex); /* a host may have no IPv6 */
        errnum = links_set_master(server->nl, tap.ifindex, bridge->ifindex);
    }
    return errnum ? errnum : links_set_up(server->nl, tap.ifindex, 0);
}

void priv_do_bridge_tap(PrivServer *server, const PrivRequest *request,
                        PrivResult *result)
{
    PrivAnswer *answer = &result->answer;
    Link bridge;

    if (!priv_check_lower(server, request, &bridge, result)) {
        return;
    }
    if (strcmp(bridge.kind, "bridge") != 0) {
        priv_set_outcome(result, PRIV_WRONG_KIND);
        return;
    }
    if (link_is_slow_bridge(&bridge)) {
        priv_set_outcome(result, PRIV_SLOW_BRIDGE);
        return;
    }
    if (priv_has_place(server, result) &&
        priv_went_well(result, priv_make_tap(PRIV_LINK_PREFIX "%d",
                                             answer->ifname,
                                             &result->made_fd))) {
        priv_went_well(result, join_bridge(server, answer->ifname, &bridge));
    }
}
