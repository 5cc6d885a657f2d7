/*
 * vmnetd: networks for virtual machines
 *
 *   options --> directories, log, lock --> listening socket
 *           --> --system: vmnetd-priv is forked, all rights are given up
 *           --> supervisor forks the engine --> sandbox --> Control --> run
 *
 * What can fail because of a user's mistake is done before the fork where that
 * is possible, so that it fails once and in front of the user.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/confine.h"
#include "control/control.h"
#include "control/export-path.h"
#include "control/log.h"
#include "control/options.h"
#include "control/qmp-socket.h"
#include "control/record.h"
#include "control/supervisor.h"
#include "control/system.h"
#include "libvmnet/build.h"
#include "libvmnet/paths.h"
#include "libvmnet/standard-fds.h"
#include "vmnet/client.h"
#include "vmnet/error.h"

/* Whoever starts a daemon tries three times within 15 s. */
#define LOCK_TIMEOUT_MS 3000
#define LOCK_POLL_MS 10

/* What is made before the fork, and is the engine's and the supervisor's. */
typedef struct Daemon {
    Options options;
    char *runtime_dir;
    char *state_dir;
    QmpSocket socket;
    int pidfile_fd;
    System system;
    int priv_fd;
} Daemon;

static void raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Directories: one that the user named must do, one of our choice may fail. */
static bool find_directories(Daemon *daemon, GError **error)
{
    g_autoptr(GError) err = NULL;
    const char *named = daemon->options.state_dir;

    if (daemon->options.system) {
        daemon->runtime_dir = g_strdup(daemon->system.runtime_dir);
        daemon->state_dir = g_strdup(daemon->system.state_dir);
        return true;
    }
    daemon->runtime_dir = vmnet_paths_runtime_dir(true, &err);
    if (!daemon->runtime_dir) {
        if (!daemon->options.socket) {
            g_propagate_error(error, g_steal_pointer(&err));
            return false;
        }
        g_warning("%s; exports need a path of their own", err->message);
        g_clear_error(&err);
    }
    if (named) {
        if (g_mkdir_with_parents(named, 0700) < 0) {
            g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                        "--state-dir '%s': %s", named, g_strerror(errno));
            return false;
        }
        if (!vmnet_paths_dir_check(named, error)) {
            g_prefix_error(error, "--state-dir: ");
            return false;
        }
        daemon->state_dir = g_strdup(named);
        return true;
    }
    daemon->state_dir = vmnet_paths_state_dir(true, &err);
    if (!daemon->state_dir) {
        g_warning("%s; leases are kept in memory only", err->message);
    }
    return true;
}

static bool is_served(const char *path)
{
    int fd = vmnet_unix_connect(path, SOCK_STREAM, NULL);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/*
 * One daemon per state directory.  One that is just leaving has removed its
 * socket but not given the lock back: it is given a moment.
 */
static bool lock_state(Daemon *daemon, const char *socket_path, GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + LOCK_TIMEOUT_MS * 1000;

    if (!daemon->state_dir) {
        return true;
    }
    for (;;) {
        g_autofree char *holder = NULL;
        g_autoptr(GError) err = NULL;

        /* The descriptor is open, and the lock held, until the last process
         * of this daemon ends. */
        if (vmnet_paths_state_lock(daemon->state_dir, socket_path, &holder,
                                   &err) >= 0) {
            return true;
        }
        if (errno != EAGAIN && !daemon->options.state_dir) {
            g_warning("%s; leases are kept in memory only", err->message);
            g_clear_pointer(&daemon->state_dir, g_free);
            return true;
        }
        if (errno != EAGAIN) {
            g_propagate_error(error, g_steal_pointer(&err));
            return false;
        }
        if ((holder && is_served(holder))
            || g_get_monotonic_time() >= deadline_us) {
            g_set_error(error, VMNET_ERROR, VMNET_SHARING_SERVICE_BUSY,
                        "state directory '%s' is in use by the vmnetd at "
                        "socket '%s'", daemon->state_dir,
                        holder ? holder : "unknown");
            return false;
        }
        g_usleep(LOCK_POLL_MS * 1000);
    }
}

static bool open_pidfile(Daemon *daemon, GError **error)
{
    const char *path = daemon->options.pidfile;

    if (!path) {
        return true;
    }
    daemon->pidfile_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                              0600);
    if (daemon->pidfile_fd < 0
        || flock(daemon->pidfile_fd, LOCK_EX | LOCK_NB) < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "--pidfile '%s': %s", path,
                    errno == EWOULDBLOCK ? "another process holds it"
                                         : g_strerror(errno));
        return false;
    }
    return true;
}

/* Written when everything is there: whoever waits for it can go on. */
static void write_pidfile(Daemon *daemon, pid_t supervisor)
{
    g_autofree char *text = NULL;

    if (daemon->pidfile_fd < 0) {
        return;
    }
    text = g_strdup_printf("%d\n", (int)(supervisor ? supervisor : getpid()));
    if (ftruncate(daemon->pidfile_fd, 0) < 0
        || pwrite(daemon->pidfile_fd, text, strlen(text), 0) < 0) {
        g_warning("--pidfile '%s': %s", daemon->options.pidfile,
                  g_strerror(errno));
    }
}

/* An engine without a supervisor may not be allowed to: then it is empty. */
static void remove_pidfile(const Daemon *daemon)
{
    if (daemon->pidfile_fd < 0 || unlink(daemon->options.pidfile) == 0) {
        return;
    }
    if (errno != EACCES || ftruncate(daemon->pidfile_fd, 0) < 0) {
        g_warning("--pidfile '%s': %s", daemon->options.pidfile,
                  g_strerror(errno));
    }
}

typedef struct Signals {
    int fd;
    Control *control;
} Signals;

static void on_signal(void *opaque, uint32_t events, int64_t now)
{
    const Signals *signals = opaque;
    Control *control = signals->control;
    struct signalfd_siginfo info;

    while (read(signals->fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP && control->is_system) {
            control_reload(control);
            continue;
        }
        g_message("asked to end by a signal");
        control_end(control);
    }
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static ConfinePlaces places_of(const Daemon *daemon)
{
    return (ConfinePlaces){
        .options = &daemon->options,
        .state_dir = daemon->state_dir,
        .runtime_dir = daemon->runtime_dir,
        .socket_path = daemon->socket.path,
    };
}

/* The engine's whole life. */
static bool run_engine(Daemon *daemon, pid_t supervisor, GError **error)
{
    Signals received = { .fd = open_signals() };
    int signal_errno = errno;
    const ConfinePlaces places = places_of(daemon);
    ControlConfig config = {
        .listen_fd = daemon->socket.fd,
        .socket_path = daemon->socket.path,
        .owns_socket = daemon->socket.is_owned,
        .lock_fd = daemon->socket.lock_fd,
        .state_dir = daemon->state_dir,
        .runtime_dir = daemon->runtime_dir,
        .log_file = daemon->options.log_file,
        .resolv_conf = confine_resolv_conf(&daemon->options),
        .idle_ms = daemon->options.idle_s * INT64_C(1000),
        .supervisor_pid = supervisor,
        .sandbox = confine(&places),
        .priv_fd = daemon->priv_fd,
        .bridged = options_bridged(&daemon->options),
        .is_system = daemon->options.system,
        .policy = &daemon->system.policy,
    };
    g_autoptr(Loop) loop = loop_new(NULL, error);
    g_autoptr(Control) control = NULL;
    LoopWatch *signals;

    if (!loop) {
        return false;
    }
    if (received.fd < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(signal_errno),
                    "signalfd: %s", g_strerror(signal_errno));
        return false;
    }
    control = control_new(loop, &config, error);
    if (!control) {
        return false;
    }
    if (!options_apply(&daemon->options, control, error)) {
        return false;
    }
    record_restore(control);
    received.control = control;
    signals = loop_watch_new(loop, received.fd, EPOLLIN, on_signal, &received,
                             error);
    if (!signals) {
        return false;
    }
    write_pidfile(daemon, supervisor);
    control_run(control);
    loop_watch_free(signals);
    if (!supervisor) {
        remove_pidfile(daemon);
    }
    return true;
}

/* In the supervisor, which is the last to go. */
static void on_end(void *opaque, bool failed)
{
    Daemon *daemon = opaque;

    remove_pidfile(daemon);
    if (failed) {
        qmp_socket_remove(&daemon->socket);
    }
}

/* In the user's directories: as the user. */
static bool prepare_files(Daemon *daemon, GError **error)
{
    bool ok;

    if (daemon->options.system) {
        system_act_as_user(&daemon->system);
    }
    ok = find_directories(daemon, error) && open_pidfile(daemon, error);
    if (daemon->options.system) {
        system_act_as_root();
    }
    return ok;
}

/* Root's, where there is root: so its clients know whose daemon it is. */
static bool prepare_socket(Daemon *daemon, GError **error)
{
    const char *path = daemon->options.socket;

    /* One that systemd passes is not ours to remove: it stays nameless. */
    if (!path && !qmp_socket_is_passed()) {
        path = daemon->system.socket;
    }
    return qmp_socket_open(&daemon->socket, path, daemon->runtime_dir, error)
           && (!daemon->options.system
               || system_share_socket(&daemon->system, &daemon->socket, error));
}

static bool prepare_lock(Daemon *daemon, GError **error)
{
    const char *name = daemon->socket.path;
    bool ok;

    if (daemon->options.system) {
        system_act_as_user(&daemon->system);
    }
    ok = lock_state(daemon, name ? name : "passed by systemd", error);
    if (daemon->options.system) {
        system_act_as_root();
    }
    return ok;
}

/* After the lock, which may say that there is no state directory. */
static void prepare_log(const Daemon *daemon)
{
    const ConfinePlaces places = places_of(daemon);

    if (!confine_has_log(&places)) {
        log_keep_file();
    }
}

/* From here on only vmnetd-priv has rights. */
static bool give_up_rights(Daemon *daemon, GError **error)
{
    if (!daemon->options.system) {
        return true;
    }
    daemon->priv_fd = system_start_priv(&daemon->system, &daemon->options,
                                        error);
    return daemon->priv_fd >= 0 && system_drop(&daemon->system, error);
}

static bool prepare(Daemon *daemon, GError **error)
{
    if (!log_open(daemon->options.log_file, daemon->options.log_level, error)
        || (daemon->options.system
            && !system_prepare(&daemon->system, &daemon->options, error))
        || !prepare_files(daemon, error)
        || !prepare_socket(daemon, error)) {
        return false;
    }
    if (!prepare_lock(daemon, error)) {
        qmp_socket_remove(&daemon->socket);
        return false;
    }
    prepare_log(daemon);
    if (!give_up_rights(daemon, error)) {
        qmp_socket_remove(&daemon->socket);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static char name[] = "vmnetd";
    g_autoptr(GError) error = NULL;
    Daemon daemon = {
        .socket = QMP_SOCKET_INIT, .pidfile_fd = -1, .priv_fd = -1,
    };
    pid_t supervisor = 0;
    int remover_fd = -1;

    argv[0] = name;
    if (!options_parse(&daemon.options, argc, argv, &error)) {
        if (error) {
            fprintf(stderr, "vmnetd: %s\n", error->message);
        }
        return EXIT_FAILURE;
    }
    if (daemon.options.help) {
        options_print_help();
        return EXIT_SUCCESS;
    }
    if (daemon.options.version) {
        printf("vmnetd " VMNET_VERSION " (protocol %d, build %s)\n",
               VMNET_PROTOCOL, vmnet_build_id());
        return EXIT_SUCCESS;
    }

    standard_fds_open();
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    raise_fd_limit();
    if (!prepare(&daemon, &error)) {
        fprintf(stderr, "vmnetd: %s\n", error->message);
        system_clear(&daemon.system);
        return EXIT_FAILURE;
    }
    if (!daemon.options.no_supervisor) {
        supervisor = supervisor_start(&(SupervisorConfig) {
            .on_end = on_end, .opaque = &daemon,
            .passes_hup = daemon.options.system,
        }, &remover_fd);
    }
    export_path_set_remover(remover_fd);
    if (!run_engine(&daemon, supervisor, &error)) {
        fprintf(stderr, "vmnetd: %s\n", error->message);
        qmp_socket_remove(&daemon.socket);
        return EXIT_FAILURE;
    }
    options_clear(&daemon.options);
    system_clear(&daemon.system);
    g_free(daemon.runtime_dir);
    g_free(daemon.state_dir);
    g_free(daemon.socket.path);
    return EXIT_SUCCESS;
}
