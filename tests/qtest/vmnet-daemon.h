/*
 * A vmnetd of a test's own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNET_DAEMON_H
#define VMNET_DAEMON_H

/**
 * vmnet_daemon_start: in folders of its own, which the environment names for
 * every QEMU from now on.  Returns false with the whole program skipped, in
 * TAP, if there is no vmnetd ($VMNETD, or in PATH).
 */
bool vmnet_daemon_start(void);
/** vmnet_daemon_restart: after vmnet_daemon_kill() */
void vmnet_daemon_restart(void);
/** vmnet_daemon_signal: SIGSTOP and SIGCONT, say. */
void vmnet_daemon_signal(int number);
/** vmnet_daemon_kill: and wait until it is gone. */
void vmnet_daemon_kill(void);
/** vmnet_daemon_end: kill it, and remove its folders. */
void vmnet_daemon_end(void);
/** vmnet_daemon_folder: (transfer none) */
const char *vmnet_daemon_folder(void);

#endif
