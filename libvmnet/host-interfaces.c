/*
 * Host interfaces whose network a machine could join
 *
 * The kernel tells in /sys/class/net/NAME: type 1 is Ethernet; a wireless card
 * carries no foreign addresses; one with a master is a port already; one with
 * tun_flags is somebody's tap.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "vmnet/network.h"

#define ETHERNET_TYPE "1\n"

static gboolean has(const char *ifname, const char *attribute)
{
    g_autofree char *path = g_build_filename("/sys/class/net", ifname,
                                             attribute, NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static gboolean can_be_shared(const char *ifname)
{
    g_autofree char *path = g_build_filename("/sys/class/net", ifname, "type",
                                             NULL);
    g_autofree char *type = NULL;

    return g_file_get_contents(path, &type, NULL, NULL) &&
           strcmp(type, ETHERNET_TYPE) == 0 && !has(ifname, "wireless") &&
           !has(ifname, "phy80211") && !has(ifname, "master") &&
           !has(ifname, "tun_flags");
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **vmnet_copy_shared_interface_list(void)
{
    struct if_nameindex *all = if_nameindex(), *item;
    GPtrArray *names = g_ptr_array_new();

    for (item = all; item && item->if_name; item++) {
        if (can_be_shared(item->if_name)) {
            g_ptr_array_add(names, g_strdup(item->if_name));
        }
    }
    if (all) {
        if_freenameindex(all);
    }
    if (names->len) {
        qsort(names->pdata, names->len, sizeof(names->pdata[0]), compare);
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}
