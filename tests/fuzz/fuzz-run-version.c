/*
 * Fuzz target: what a QEMU prints as its version, and the file that remembers
 * it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <stdint.h>

#include "run-version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool found, const QemuVersion *version)
{
    if (!found) {
        g_assert_cmpint(version->major, ==, -1);
        g_assert_cmpint(version->minor, ==, -1);
        return;
    }
    g_assert_cmpint(version->major, >=, 0);
    g_assert_cmpint(version->major, <, 1000);
    g_assert_cmpint(version->minor, >=, 0);
    g_assert_cmpint(version->minor, <, 1000);
    qemu_version_reconnect(version);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = size ? g_strndup((const char *)data, size)
                                 : g_strdup("");
    QemuVersion version = { -1, -1 };

    check(qemu_version_parse(text, &version), &version);
    version = (QemuVersion) { -1, -1 };
    check(qemu_version_recall(text, "10:2:3.000000004 ", &version), &version);
    qemu_version_is_asked(text);
    return 0;
}
