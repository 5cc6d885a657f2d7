/*
 * Fuzz target: a rule as `vmnetctl forward` takes it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "forward-spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_host(const ForwardSpec *spec)
{
    g_assert_cmpuint(spec->host_port, <=, 65535);
    g_assert_true(!spec->protocol || g_str_equal(spec->protocol, "tcp") ||
                  g_str_equal(spec->protocol, "udp"));
    g_assert_true(!spec->host_address || *spec->host_address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = size ? g_strndup((const char *)data, size)
                                 : g_strdup("");
    g_autoptr(ForwardSpec) whole = NULL;
    g_autoptr(ForwardSpec) host = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) host_error = NULL;

    whole = forward_spec_parse(text, &error);
    g_assert_true(!whole == !!error);
    host = forward_spec_parse_host(text, &host_error);
    g_assert_true(!host == !!host_error);
    if (host) {
        check_host(host);
    }
    if (whole) {
        check_host(whole);
        g_assert_cmpuint(whole->guest_port, >, 0);
        g_assert_cmpuint(whole->guest_port, <=, 65535);
        g_assert_true(*whole->guest);
        /* What adds a rule removes it. */
        g_assert_nonnull(host);
        g_assert_cmpuint(host->host_port, ==, whole->host_port);
        g_assert_cmpstr(host->host_address, ==, whole->host_address);
    }
    return 0;
}
