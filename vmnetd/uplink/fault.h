/*
 * System calls of guests' business that fail: this host lacks something
 *
 * Guests have a hand in how often that is, so that of many one a second is
 * told.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_UPLINK_FAULT_H
#define VMNETD_UPLINK_FAULT_H

#include "proto/addr.h"

/** FaultLog: zero at first. */
typedef struct FaultLog {
    int64_t next_ms;
} FaultLog;

/**
 * fault_log: a warning "WHAT ADDRESS port PORT: CALL: ..."
 * @what: such as "guest"
 */
void fault_log(FaultLog *log, const char *what, const IpEndpoint *endpoint,
               const char *call, int errnum, int64_t now_ms);

#endif
