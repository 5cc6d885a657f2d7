/*
 * resolv.conf: never more servers than there is room for, each an address
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/addr.h"
#include "uplink/resolv-conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ResolvServer servers[RESOLV_SERVERS_MAX];
    unsigned n = resolv_conf_parse((const char *)data, size, servers);
    unsigned i;

    g_assert_cmpuint(n, <=, RESOLV_SERVERS_MAX);
    for (i = 0; i < n; i++) {
        IpEndpoint server;

        g_assert_true(ip_endpoint_from_sockaddr(
            (struct sockaddr *)&servers[i].addr, servers[i].len, &server));
        g_assert_cmpuint(server.port, !=, 0);
    }
    return 0;
}
