/*
 * How a host interface is joined: what is written, and what it is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "network/network-internal.h"
#include "vmnet/error.h"

#define DEFAULT NETWORK_BRIDGE_DEFAULT
#define MACVTAP NETWORK_BRIDGE_MACVTAP
#define PACKET NETWORK_BRIDGE_PACKET

typedef enum Kind { BRIDGE, CABLE, WIRELESS } Kind;

/* @translates: of the result, which has no @refusal. */
static const struct {
    Kind kind;
    NetworkBridgeMode written;
    NetworkSwitch translation;
    const char *refusal;
    NetworkBridgeMode mode;
    bool translates;
} rows[] = {
    { BRIDGE, DEFAULT, NETWORK_DEFAULT, NULL, DEFAULT, false },
    { BRIDGE, DEFAULT, NETWORK_OFF, NULL, DEFAULT, false },
    { BRIDGE, DEFAULT, NETWORK_ON, "'mac-translation' is for other", 0, 0 },
    { BRIDGE, PACKET, NETWORK_DEFAULT, "'bridge-mode' is for other", 0, 0 },
    { BRIDGE, MACVTAP, NETWORK_DEFAULT, "'bridge-mode' is for other", 0, 0 },
    { CABLE, DEFAULT, NETWORK_DEFAULT, NULL, MACVTAP, false },
    { CABLE, DEFAULT, NETWORK_ON, NULL, PACKET, true },
    { CABLE, PACKET, NETWORK_DEFAULT, NULL, PACKET, false },
    { CABLE, PACKET, NETWORK_ON, NULL, PACKET, true },
    { CABLE, MACVTAP, NETWORK_OFF, NULL, MACVTAP, false },
    { WIRELESS, DEFAULT, NETWORK_DEFAULT, NULL, PACKET, true },
    { WIRELESS, PACKET, NETWORK_DEFAULT, NULL, PACKET, true },
    { WIRELESS, DEFAULT, NETWORK_OFF, NULL, PACKET, false },
    { WIRELESS, MACVTAP, NETWORK_DEFAULT, "carries frames of its own", 0, 0 },
    /* Who knows better is believed. */
    { WIRELESS, MACVTAP, NETWORK_OFF, NULL, MACVTAP, false },
};

static void test_choose(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        const HostInterface interface = {
            .name = "if0", .mtu_bytes = 1400,
            .is_bridge = rows[i].kind == BRIDGE,
            .is_wireless = rows[i].kind == WIRELESS,
        };
        const NetworkConfig config = {
            .mode = NETWORK_MODE_BRIDGED, .bridge_mode = rows[i].written,
            .mac_translation = rows[i].translation,
        };
        g_autoptr(GError) error = NULL;
        NetworkSettings settings = { 0 };

        g_test_message("row %zu", i);
        if (rows[i].refusal) {
            g_assert_false(network_bridged_choose(&config, &interface,
                                                  &settings, &error));
            g_assert_nonnull(strstr(error->message, rows[i].refusal));
            continue;
        }
        g_assert_true(network_bridged_choose(&config, &interface, &settings,
                                             &error));
        g_assert_cmpuint(settings.bridge_mode, ==, rows[i].mode);
        g_assert_true(settings.mac_translation == rows[i].translates);
        g_assert_cmpstr(settings.ifname, ==, "if0");
        g_assert_cmpuint(settings.mtu_bytes, ==, 1400);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bridged/choose", test_choose);
    return g_test_run();
}
