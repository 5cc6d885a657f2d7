/*
 * A network's file: what is read of it can be written, and read again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "network/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* state-store.c ends what it reads with a NUL. */
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(NetworkState) state = { 0 };
    g_auto(NetworkState) again = { 0 };
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    network_state_init(&state);
    network_state_init(&again);
    if (!network_state_parse(text, size, &state, NULL)) {
        return 0;
    }
    first = network_state_format(&state);
    g_assert_true(network_state_parse(first, strlen(first), &again, NULL));
    second = network_state_format(&again);
    g_assert_cmpstr(first, ==, second);
    return 0;
}
