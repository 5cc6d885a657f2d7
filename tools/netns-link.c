/*
 * vmnet-run --netns: the interface inside, configured from outside
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "vmnet/error.h"

static struct ifreq request(const char *name)
{
    struct ifreq ifr = { 0 };

    g_strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
    return ifr;
}

static bool control(const NetnsFds *fds, unsigned long code, void *arg,
                    const char *what, GError **error)
{
    if (ioctl(fds->inet, code, arg) < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE, "cannot set %s of %s: %s",
                    what, NETNS_INTERFACE, g_strerror(errno));
        return false;
    }
    return true;
}

static bool set_up(const NetnsFds *fds, const char *name, GError **error)
{
    struct ifreq ifr = request(name);

    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    return control(fds, SIOCSIFFLAGS, &ifr, "the state", error);
}

/* The packet socket sees this interface and nothing else. */
static bool bind_packet(const NetnsFds *fds, GError **error)
{
    struct ifreq ifr = request(NETNS_INTERFACE);
    struct sockaddr_ll addr = { .sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_IP) };

    if (!control(fds, SIOCGIFINDEX, &ifr, "the index", error)) {
        return false;
    }
    addr.sll_ifindex = ifr.ifr_ifindex;
    if (bind(fds->packet, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "cannot listen on %s: %s", NETNS_INTERFACE,
                    g_strerror(errno));
        return false;
    }
    return true;
}

bool netns_link_setup(const NetnsFds *fds, const MacAddr *mac, uint32_t mtu,
                      GError **error)
{
    struct ifreq address = request(NETNS_INTERFACE);
    struct ifreq size = request(NETNS_INTERFACE);

    address.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(address.ifr_hwaddr.sa_data, mac->b, sizeof(mac->b));
    size.ifr_mtu = mtu;
    return control(fds, SIOCSIFHWADDR, &address, "the MAC address", error) &&
           control(fds, SIOCSIFMTU, &size, "the MTU", error) &&
           set_up(fds, "lo", error) && set_up(fds, NETNS_INTERFACE, error) &&
           bind_packet(fds, error);
}

static void put_addr(struct sockaddr *dst, uint32_t addr)
{
    struct sockaddr_in sin = { .sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(addr) };

    memcpy(dst, &sin, sizeof(sin));
}

static bool add_default_route(const NetnsFds *fds, uint32_t router,
                              GError **error)
{
    char name[] = NETNS_INTERFACE;
    struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY,
                             .rt_dev = name };

    put_addr(&route.rt_dst, 0);
    put_addr(&route.rt_genmask, 0);
    put_addr(&route.rt_gateway, router);
    if (ioctl(fds->inet, SIOCADDRT, &route) == 0 || errno == EEXIST) {
        return true;
    }
    g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                "cannot set the default route: %s", g_strerror(errno));
    return false;
}

bool netns_link_configure(const NetnsFds *fds, const DhcpLease *lease,
                          GError **error)
{
    struct ifreq addr = request(NETNS_INTERFACE);
    struct ifreq mask = request(NETNS_INTERFACE);

    put_addr(&addr.ifr_addr, lease->address);
    put_addr(&mask.ifr_netmask, lease->mask);
    return control(fds, SIOCSIFADDR, &addr, "the address", error) &&
           control(fds, SIOCSIFNETMASK, &mask, "the netmask", error) &&
           (!lease->router || add_default_route(fds, lease->router, error));
}
