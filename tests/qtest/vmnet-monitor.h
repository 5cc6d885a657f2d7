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

#endif
