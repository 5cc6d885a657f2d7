/*
 * Fuzz target: a netdev's options as --netdev and netdev_add take them, made
 * into numbers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/hostfwd.h"
#include "control/netdev-config.h"
#include "qapi/keyval.h"
#include "qapi/qapi-visit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the network is made with makes sense. */
static void check_network(const NetworkConfig *network)
{
    if (network->has_range) {
        uint32_t mask = network->subnet_mask;

        g_assert_cmpuint(~mask & (~mask + 1), ==, 0);   /* ones, then zeros */
        g_assert_cmpuint(network->start_address & mask, ==,
                         network->end_address & mask);
        g_assert_cmpuint(network->start_address, <, network->end_address);
    }
    if (network->prefix6.addr.family != AF_UNSPEC) {
        g_assert_cmpint(network->prefix6.addr.family, ==, AF_INET6);
        g_assert_cmpuint(network->prefix6.len, ==, 64);
    }
    g_assert_true(!network->mtu_bytes || network->mtu_bytes <= 65535);
}

/* A rule that was read is written so that it is read as the same. */
static void check_forward(const HostfwdRule *rule)
{
    g_autofree char *text = hostfwd_format(rule);
    g_autofree char *text_again = NULL;
    HostfwdRule again;

    g_assert_true(hostfwd_parse(text, &again, NULL));
    text_again = hostfwd_format(&again);
    g_assert_cmpstr(text, ==, text_again);
}

static void check_netdev(const Netdev *options)
{
    g_auto(NetdevConfig) config = { 0 };
    g_autoptr(GError) error = NULL;
    guint i;

    if (!netdev_config_read(&config, options, &error)) {
        g_assert_nonnull(error);
        return;
    }
    g_assert_no_error(error);
    check_network(&config.network);
    g_assert_true(!config.has_mac || !(config.mac.b[0] & 1));
    for (i = 0; i < config.forwards->len; i++) {
        check_forward(&g_array_index(config.forwards, HostfwdRule, i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = size ? g_strndup((const char *)data, size)
                                 : g_strdup("");
    g_autoptr(Netdev) options = NULL;
    g_autoptr(JsonValue) args = NULL;
    QapiInput input;

    args = keyval_parse(text, "type", &input, NULL);
    if (args && qapi_decode_Netdev(args, input, &options, NULL)) {
        check_netdev(options);
    }
    return 0;
}
