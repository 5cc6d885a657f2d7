/*
 * Other people's firewalls: which there are, and rules where they have a place
 * for them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_FIREWALLS_H
#define VMNETD_PRIV_FIREWALLS_H

#include "priv/rules.h"

/**
 * firewalls_pass: let @ifname's packets pass where there is a place for that.
 * Good if it is done already.
 * @mark: begins the comments of our rules
 * @ret_found: PrivFirewall bits
 */
bool firewalls_pass(const char *ifname, const char *mark, unsigned *ret_found,
                    GError **error);

/** firewalls_forget: rules of ours; @ifname: NULL: for all interfaces */
bool firewalls_forget(const char *ifname, const char *mark, GError **error);

#endif
