/*
 * The process at the other end of a Unix socket: does it still run?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/peer-process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.5; of newer headers than some distributions have. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int open_pidfd(pid_t pid)
{
    return syscall(SYS_pidfd_open, pid, 0);
}

void peer_process_read(PeerProcess *process, int socket)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    int pidfd = -1;

    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        return;
    }
    process->pid = MAX(peer.pid, 0);
    len = sizeof(pidfd);
    if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0) {
        pidfd = process->pid ? open_pidfd(process->pid) : -1;
    }
    process->pidfd = pidfd;
    process->is_known = process->pid || pidfd >= 0;
}

void peer_process_find(PeerProcess *process, pid_t pid)
{
    process->is_known = true;
    process->pid = pid;
    process->pidfd = open_pidfd(pid);
}

void peer_process_copy(PeerProcess *process, const PeerProcess *from)
{
    *process = *from;
    if (from->is_known && from->pidfd >= 0) {
        process->pidfd = fcntl(from->pidfd, F_DUPFD_CLOEXEC, 3);
        process->is_known = process->pid || process->pidfd >= 0;
    }
}

void peer_process_clear(PeerProcess *process)
{
    if (process->is_known && process->pidfd >= 0) {
        close(process->pidfd);
    }
    *process = (PeerProcess) { 0 };
}

/* Without pidfds (Linux before 5.3), or descriptors: a number that is another
 * process's by now only makes others wait. */
static bool is_free_number(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d", (int)pid);

    return access(path, F_OK) < 0 && errno == ENOENT;
}

bool peer_process_has_gone(const PeerProcess *process)
{
    struct pollfd end = { .fd = process->pidfd, .events = POLLIN };

    if (!process->is_known) {
        return false;
    }
    return process->pidfd >= 0 ? poll(&end, 1, 0) == 1
                               : is_free_number(process->pid);
}
