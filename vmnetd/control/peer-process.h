/*
 * The process at the other end of a Unix socket: does it still run?
 *
 * A pidfd names one process for good, where its number may be another's soon.
 * The process is that which connected, called listen() or made the pair of
 * sockets; execve() does not change it, fork() does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_PEER_PROCESS_H
#define VMNETD_CONTROL_PEER_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * PeerProcess: zeroed, it is not known.
 * @pid: 0: it has none in our PID namespace
 * @pidfd: -1: none could be had; owned
 */
typedef struct PeerProcess {
    bool is_known;
    pid_t pid;
    int pidfd;
} PeerProcess;

/** peer_process_read: that of @socket, if the kernel tells it; into zeroes. */
void peer_process_read(PeerProcess *process, int socket);
/** peer_process_find: that which has the number @pid now; into zeroes. */
void peer_process_find(PeerProcess *process, pid_t pid);
/** peer_process_copy: into zeroes. */
void peer_process_copy(PeerProcess *process, const PeerProcess *from);
/** peer_process_clear: it is not known from now on. */
void peer_process_clear(PeerProcess *process);

/**
 * peer_process_has_gone: whether it is known to have ended; one that ended, but
 * which its parent has not waited for, has.
 */
bool peer_process_has_gone(const PeerProcess *process);

#endif
