/*
 * Fuzz target: the lease file
 *
 * What is loaded is saved, and what is saved is loaded and saved the same.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_output(void *opaque, Frame *frames, unsigned n, int64_t now_ms)
{
}

static void on_event(void *opaque, const GatewayEvent *event)
{
}

static void on_changed(void *opaque)
{
}

static void on_dropped(void *opaque, uint32_t id, SwitchDrop reason)
{
}

static int64_t on_wall(void *opaque)
{
    return 1700000000;
}

static const GatewayOps ops = {
    on_output, on_event, on_changed, on_dropped, on_wall,
};

static Gateway *make(void)
{
    GatewayConfig config = {
        .mac = {{ 0x52, 0x54, 0, 0, 0, 1 }},
        .mtu_bytes = 1500,
        .gateway4 = ip_addr_v4(0xc0a86b01),
        .prefix4 = { ip_addr_v4(0xc0a86b00), 24 },
        .pool_first = 0xc0a86b02,
        .pool_last = 0xc0a86bfe,
        .dhcp = true, .dns = true,
        .lease_s = 3600,
        .domain = "vmnet.internal",
    };

    return gateway_new(&config, &ops, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Gateway *first = make(), *second = make();
    g_autoptr(GError) error = NULL;

    if (!gateway_load(first, (const char *)data, size, &error)) {
        g_assert(g_str_has_prefix(error->message, "line "));
    } else {
        g_autofree char *text = gateway_save(first);
        g_autofree char *again = NULL;

        g_assert(gateway_load(second, text, strlen(text), NULL));
        again = gateway_save(second);
        g_assert(g_str_equal(text, again));
        gateway_run(second, 1000);
    }
    gateway_free(second);
    gateway_free(first);
    return 0;
}
