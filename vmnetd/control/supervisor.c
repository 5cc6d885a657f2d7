/*
 * The supervisor: a small parent that starts the engine again when it dies
 *
 * Theory of operation
 * -------------------
 *   vmnetd (supervisor) -- fork --> engine
 *      | holds the listening socket, the state directory's lock, the log
 *      | waits for signals, and does nothing else
 *
 *   engine dies by a signal   started again, at once the first time, later
 *                             ones after 100 ms, 200 ms, ...; connections wait
 *                             in the socket's queue meanwhile
 *   engine exits              so does the supervisor, with the same status
 *   SIGTERM, SIGINT, SIGHUP   passed on as SIGTERM
 *   supervisor dies           the engine goes on, nobody restarts it then
 *
 * An engine that dies QUICK_DEATHS times, each time within QUICK_MS of its
 * start, dies of something that starting again does not mend.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/supervisor.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QUICK_DEATHS 6
#define QUICK_MS 10000
#define DELAY_MS 100

static int64_t now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static void signals_of_interest(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGCHLD);
}

/*
 * Wait for the engine's end, passing on what asks for it.
 * @stopping: set when it was asked for
 */
static int wait_for_engine(pid_t engine, bool *stopping)
{
    sigset_t set;

    signals_of_interest(&set);
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(engine, &status, WNOHANG);
        int sig;

        if (pid == engine) {
            return status;
        }
        if (pid < 0 && errno != EINTR) {
            return 0; /* somebody else has reaped it */
        }
        sig = sigwaitinfo(&set, NULL);
        if (sig == SIGTERM || sig == SIGINT || sig == SIGHUP) {
            *stopping = true;
            kill(engine, SIGTERM);
        }
    }
}

/* Returns: false if asked to stop meanwhile. */
static bool pause_before_restart(unsigned deaths)
{
    int64_t ms = deaths > 1 ? DELAY_MS << (deaths - 2) : 0;
    struct timespec wait = { ms / 1000, ms % 1000 * 1000000 };
    sigset_t set;
    int sig;

    signals_of_interest(&set);
    sigdelset(&set, SIGCHLD);
    do {
        sig = sigtimedwait(&set, NULL, &wait);
    } while (sig < 0 && errno == EINTR);
    return sig < 0;
}

static pid_t fork_engine(const sigset_t *old_mask)
{
    pid_t pid = fork();

    if (pid == 0) {
        sigprocmask(SIG_SETMASK, old_mask, NULL);
    }
    return pid;
}

pid_t supervisor_start(void (*on_give_up)(void *opaque), void *opaque)
{
    pid_t self = getpid();
    unsigned deaths = 0;
    bool stopping = false;
    sigset_t set, old_mask;

    signals_of_interest(&set);
    sigprocmask(SIG_BLOCK, &set, &old_mask);
    for (;;) {
        int64_t started_ms = now_ms();
        pid_t engine = fork_engine(&old_mask);
        int status;

        if (engine == 0) {
            return self;
        }
        if (engine < 0) {
            g_warning("fork: %s; vmnetd runs without a supervisor",
                      g_strerror(errno));
            sigprocmask(SIG_SETMASK, &old_mask, NULL);
            return 0;
        }
        status = wait_for_engine(engine, &stopping);
        if (!WIFSIGNALED(status)) {
            _exit(WEXITSTATUS(status));
        }
        if (stopping) {
            break;
        }
        deaths = now_ms() - started_ms < QUICK_MS ? deaths + 1 : 1;
        if (deaths >= QUICK_DEATHS) {
            g_critical("engine %d died: %s; %u times in a row, giving up",
                       (int)engine, strsignal(WTERMSIG(status)), deaths);
            break;
        }
        g_warning("engine %d died: %s; starting it again", (int)engine,
                  strsignal(WTERMSIG(status)));
        if (!pause_before_restart(deaths)) {
            break;
        }
    }
    on_give_up(opaque);
    _exit(1);
}
