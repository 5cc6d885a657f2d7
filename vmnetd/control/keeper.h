/*
 * The keeper: starts vmnetd-priv again when it dies
 *
 *   vmnetd --system -- fork --> keeper -- fork --> vmnetd-priv
 *
 * The supervisor cannot: it has no rights that it could hand on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_KEEPER_H
#define VMNETD_CONTROL_KEEPER_H

/**
 * keeper_start: return in a child, and in another one whenever that has died by
 * a signal; exit as it does when it exits.  The rights that a child has are no
 * more than this process's own, which should be few already.
 */
void keeper_start(void);

#endif
