/*
 * System calls of guests' business that fail
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/fault.h"

#include <glib.h>

#define PERIOD_MS 1000

void fault_log(FaultLog *log, const char *what, const IpEndpoint *endpoint,
               const char *call, int errnum, int64_t now_ms)
{
    char text[IP_STRLEN];

    if (now_ms < log->next_ms) {
        return;
    }
    log->next_ms = now_ms + PERIOD_MS;
    g_warning("%s %s port %u: %s: %s", what,
              ip_addr_format(&endpoint->addr, text), endpoint->port, call,
              g_strerror(errnum));
}
