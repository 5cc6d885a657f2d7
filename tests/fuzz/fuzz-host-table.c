/*
 * Routing tables as the kernel dumps them: lengths are believed by nobody
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/host-table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const IpPrefix subnet = { ip_addr_v4(0xc0a86b00), 24 };
    /* Aligned as the buffer that is read into. */
    g_autofree uint8_t *msgs = g_memdup2(data, size);
    g_autoptr(HostTable) table = host_table_new();
    bool done = false;

    host_table_add(table, msgs, size, &done);
    host_table_finish(table);
    host_table_taker(table, &subnet);
    return 0;
}
