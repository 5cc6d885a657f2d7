/*
 * The supervisor: a small parent that starts the engine again when it dies
 *
 * Theory of operation
 * -------------------
 *   vmnetd (supervisor) -- fork --> engine
 *      | holds the listening socket, the state directory's lock, the log
 *      | waits for signals, and removes dead sockets for it (remover.h)
 *
 *   engine dies by a signal   started again, at once the first time, later
 *                             ones after 100 ms, 200 ms, ...; connections wait
 *                             in the socket's queue meanwhile
 *   engine exits              so does the supervisor, with the same status
 *   SIGTERM, SIGINT, SIGHUP   passed on as SIGTERM; the system instance's SIGHUP
 *                     as such
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
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/remover.h"

#define QUICK_DEATHS 6
#define QUICK_MS 10000
#define DELAY_MS 100
/* A kernel without memory is asked again. */
#define RETRY_US 100000

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

/* Where the supervisor is woken. */
typedef struct Wakers {
    int signal_fd;
    int remover_fd;         /* the engine asks; -1: it cannot */
    bool passes_hup;
} Wakers;

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* Returns: the signal that came for the engine; 0: none. */
static int wait_for_news(pid_t engine, Wakers *wakers)
{
    struct pollfd fds[] = {
        { .fd = wakers->signal_fd, .events = POLLIN },
        { .fd = wakers->remover_fd, .events = POLLIN },
    };
    struct signalfd_siginfo info;

    if (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
        if (errno != EINTR) {
            g_warning("supervisor of engine %d: poll: %s", (int)engine,
                      g_strerror(errno));
            g_usleep(RETRY_US);
        }
        return 0;
    }
    if (fds[1].revents && !remover_serve(wakers->remover_fd)) {
        close_fd(&wakers->remover_fd);
    }
    return fds[0].revents
           && read(wakers->signal_fd, &info, sizeof(info)) == sizeof(info)
           && info.ssi_signo != SIGCHLD ? (int)info.ssi_signo : 0;
}

/*
 * Wait for the engine's end, passing on what asks for it.
 * @stopping: set when it was asked for
 */
static int wait_for_engine(pid_t engine, Wakers *wakers, bool *stopping)
{
    for (;;) {
        int status = 0, sig;
        pid_t pid = waitpid(engine, &status, WNOHANG);

        if (pid == engine) {
            return status;
        }
        if (pid < 0 && errno != EINTR) {
            return 0; /* somebody else has reaped it */
        }
        sig = wait_for_news(engine, wakers);
        if (sig == SIGHUP && wakers->passes_hup) {
            kill(engine, SIGHUP);
        } else if (sig) {
            *stopping = true;
            kill(engine, SIGTERM);
        }
    }
}

/* Returns: false if asked to stop meanwhile. */
static bool pause_before_restart(const Wakers *wakers, unsigned deaths)
{
    int64_t ms = deaths > 1 ? DELAY_MS << (deaths - 2) : 0;
    struct timespec wait = { ms / 1000, ms % 1000 * 1000000 };
    sigset_t set;
    int sig;

    signals_of_interest(&set);
    sigdelset(&set, SIGCHLD);
    if (wakers->passes_hup) {
        sigdelset(&set, SIGHUP); /* the next engine is told */
    }
    do {
        sig = sigtimedwait(&set, NULL, &wait);
    } while (sig < 0 && errno == EINTR);
    return sig < 0;
}

/* @ret_remover_fd: in the child only */
static pid_t fork_engine(Wakers *wakers, const sigset_t *old_mask,
                         int *ret_remover_fd)
{
    int engine_fd = -1;
    pid_t pid;

    if (!remover_pair(&wakers->remover_fd, &engine_fd)) {
        g_warning("socketpair: %s; sockets of exports outside the runtime "
                  "directory will be left behind", g_strerror(errno));
    }
    pid = fork();
    if (pid == 0) {
        close_fd(&wakers->signal_fd);
        close_fd(&wakers->remover_fd);
        sigprocmask(SIG_SETMASK, old_mask, NULL);
        *ret_remover_fd = engine_fd;
        return 0;
    }
    close_fd(&engine_fd);
    return pid;
}

static void warn_alone(const char *call)
{
    g_warning("%s: %s; vmnetd runs without a supervisor", call,
              g_strerror(errno));
}

typedef enum Outcome {
    OUTCOME_ENGINE,         /* this is the engine */
    OUTCOME_ALONE,          /* there can be no engine beside this process */
    OUTCOME_ENDED,          /* the engine exited */
    OUTCOME_GAVE_UP,        /* it died, and is not started again */
} Outcome;

/* Engines, one after the other.  @ret_status: set when one has exited */
static Outcome supervise(Wakers *wakers, const sigset_t *old_mask,
                         int *ret_remover_fd, int *ret_status)
{
    unsigned deaths = 0;
    bool stopping = false;

    for (;;) {
        int64_t started_ms = now_ms();
        pid_t engine = fork_engine(wakers, old_mask, ret_remover_fd);
        int status;

        if (engine == 0) {
            return OUTCOME_ENGINE;
        }
        if (engine < 0) {
            warn_alone("fork");
            return OUTCOME_ALONE;
        }
        status = wait_for_engine(engine, wakers, &stopping);
        close_fd(&wakers->remover_fd);
        if (!WIFSIGNALED(status)) {
            *ret_status = WEXITSTATUS(status);
            return OUTCOME_ENDED;
        }
        if (stopping) {
            return OUTCOME_GAVE_UP;
        }
        deaths = now_ms() - started_ms < QUICK_MS ? deaths + 1 : 1;
        if (deaths >= QUICK_DEATHS) {
            g_critical("engine %d died: %s; %u times in a row, giving up",
                       (int)engine, strsignal(WTERMSIG(status)), deaths);
            return OUTCOME_GAVE_UP;
        }
        g_warning("engine %d died: %s; starting it again", (int)engine,
                  strsignal(WTERMSIG(status)));
        if (!pause_before_restart(wakers, deaths)) {
            return OUTCOME_GAVE_UP;
        }
    }
}

pid_t supervisor_start(const SupervisorConfig *config, int *ret_remover_fd)
{
    Wakers wakers = { .remover_fd = -1, .passes_hup = config->passes_hup };
    pid_t self = getpid();
    sigset_t set, old_mask;
    int status = 1;
    Outcome outcome;

    *ret_remover_fd = -1;
    /* Whoever started us may ignore it, and then there is nobody to wait for. */
    signal(SIGCHLD, SIG_DFL);
    signals_of_interest(&set);
    sigprocmask(SIG_BLOCK, &set, &old_mask);
    wakers.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (wakers.signal_fd < 0) {
        warn_alone("signalfd");
        outcome = OUTCOME_ALONE;
    } else {
        outcome = supervise(&wakers, &old_mask, ret_remover_fd, &status);
    }
    switch (outcome) {
    case OUTCOME_ENGINE:
        return self;
    case OUTCOME_ALONE:
        close_fd(&wakers.signal_fd);
        close_fd(&wakers.remover_fd);
        sigprocmask(SIG_SETMASK, &old_mask, NULL);
        return 0;
    case OUTCOME_ENDED:
    case OUTCOME_GAVE_UP:
        break;
    }
    config->on_end(config->opaque, status != 0);
    _exit(status);
}
