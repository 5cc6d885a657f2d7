/*
 * What tests of the vmnet netdevs say to QEMU, and expect it to say
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNET_MONITOR_H
#define VMNET_MONITOR_H

/** vmnet_add: netdev_add, @options being JSON */
void vmnet_add(QTestState *qts, const char *options);
/** vmnet_query: (transfer full): of query-vmnet: the only netdev */
QDict *vmnet_query(QTestState *qts);
/** vmnet_query_until: ask until @member is @value; NULL: is there. */
QDict *vmnet_query_until(QTestState *qts, const char *member,
                         const char *value);
/** vmnet_expect_error: @response (transfer full) is an error with this text. */
void vmnet_expect_error(QDict *response, const char *text);
/** vmnet_expect_refusal: QEMU ends with @text when started with @arguments. */
void vmnet_expect_refusal(const char *const *arguments, const char *text);

/**
 * VmnetClock: how long something took, the time left out in which QEMU or this
 * test could have run and the machine ran others instead.
 */
typedef struct VmnetClock {
    gint64 begin_us;
    gint64 begin_waited_us;
} VmnetClock;

void vmnet_clock_start(VmnetClock *clock);
/** vmnet_expect_within: less than @limit_ms since vmnet_clock_start(). */
void vmnet_expect_within(const VmnetClock *clock, int limit_ms);

#endif
