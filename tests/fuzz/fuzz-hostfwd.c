/*
 * hostfwd rules: whatever a user writes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/hostfwd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    HostfwdRule rule;

    if (hostfwd_parse(text, &rule, NULL)) {
        g_assert_cmpuint(rule.guest.port, >, 0);
        g_assert_true(rule.proto == IPPROTO_TCP || rule.proto == IPPROTO_UDP);
    }
    return 0;
}
