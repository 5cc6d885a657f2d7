/*
 * Giving up rights, for good
 *
 *   started as root -- fork --> vmnetd-priv: two capabilities, /dev, a short
 *        |                      list of system calls
 *        `--> another user, no capability at all: engine and supervisor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_RIGHTS_H
#define VMNETD_PRIV_RIGHTS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** rights_can_configure: this process could make interfaces. */
bool rights_can_configure(void);

/** rights_keep_network: keep CAP_NET_ADMIN and CAP_NET_RAW, nothing else. */
bool rights_keep_network(GError **error);

/**
 * rights_drop: be @uid and @gid, without other groups and capabilities.
 * @uid: not 0
 */
bool rights_drop(uid_t uid, gid_t gid, GError **error);

#endif
