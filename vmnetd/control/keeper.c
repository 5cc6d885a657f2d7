/*
 * The keeper: starts vmnetd-priv again when it dies
 *
 * Theory of operation
 * -------------------
 * Nothing is handed over.  What vmnetd-priv has made is the kernel's or has its
 * descriptor in the engine; what it has changed is recorded (priv/settings.h); and
 * the socket to the engine, with the requests that wait in it, is the keeper's
 * too.  The one request that it died of has no answer: the engine's time for that
 * runs out, and the next one is served.
 *
 * The keeper reads nothing but how its child ended.  Without a keeper vmnetd-priv
 * goes on: as the engine does without its supervisor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/keeper.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of these in a row, each within QUICK_US, it dies of what does not pass. */
#define QUICK_DEATHS 6
#define QUICK_US (10 * G_USEC_PER_SEC)
#define DELAY_US (G_USEC_PER_SEC / 10)

static int wait_for(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return 0; /* somebody else has reaped it */
        }
    }
    return status;
}

void keeper_start(void)
{
    unsigned deaths = 0;

    /* Whoever started us may ignore it, and then there is nobody to wait for. */
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_NAME, "vmnetd-keeper", 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (;;) {
        int64_t started_us = g_get_monotonic_time();
        pid_t child = fork();
        int status;

        if (child == 0) {
            return;
        }
        if (child < 0) {
            g_warning("vmnetd-priv: fork: %s; nobody starts it again",
                      g_strerror(errno));
            return;
        }
        status = wait_for(child);
        if (!WIFSIGNALED(status)) {
            _exit(WEXITSTATUS(status));
        }
        deaths = g_get_monotonic_time() - started_us < QUICK_US ? deaths + 1
                                                                : 1;
        if (deaths >= QUICK_DEATHS) {
            g_critical("vmnetd-priv died: %s; %u times in a row, giving up",
                       strsignal(WTERMSIG(status)), deaths);
            _exit(1);
        }
        g_warning("vmnetd-priv died: %s; starting it again",
                  strsignal(WTERMSIG(status)));
        if (deaths > 1) {
            g_usleep(DELAY_US << (deaths - 2));
        }
    }
}
