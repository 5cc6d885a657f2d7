/*
 * vmnetd: networks for virtual machines
 *
 *   options --> directories, log, lock --> listening socket
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

#include "control/control.h"
#include "control/export-path.h"
#include "control/log.h"
#include "control/options.h"
#include "control/record.h"
#include "control/sandbox.h"
#include "control/supervisor.h"
#include "libvmnet/build.h"
#include "libvmnet/paths.h"
#include "vmnet/client.h"
#include "vmnet/error.h"

#define LISTEN_FD 3             /* sd_listen_fds(3) */
#define LOCK_TIMEOUT_MS 5000
#define LOCK_POLL_MS 10

/* What is made before the fork, and is the engine's and the supervisor's. */
typedef struct Daemon {
    Options options;
    char *runtime_dir;
    char *state_dir;
    char *socket_path;
    bool owns_socket;
    int listen_fd;
    int starters_lock_fd;
    int pidfile_fd;
    dev_t socket_dev;
    ino_t socket_ino;
} Daemon;

/* Whoever started us without one of these would get our log into a socket. */
static void open_standard_fds(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

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

/* Is there a socket from systemd, or from whoever started us on demand? */
static bool was_socket_passed(void)
{
    const char *pid = g_getenv("LISTEN_PID");
    const char *fds = g_getenv("LISTEN_FDS");
    guint64 value;
    bool passed = pid && fds && !strcmp(fds, "1")
                  && g_ascii_string_to_unsigned(pid, 10, 1, G_MAXINT, &value,
                                                NULL)
                  && value == (guint64)getpid();

    g_unsetenv("LISTEN_PID");
    g_unsetenv("LISTEN_FDS");
    g_unsetenv("LISTEN_FDNAMES");
    return passed;
}

static bool adopt_socket(Daemon *daemon, GError **error)
{
    int listening = 0;
    socklen_t len = sizeof(listening);

    if (getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0
        || !listening) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                            "LISTEN_FDS: file descriptor 3 is not a listening "
                            "socket");
        return false;
    }
    fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC);
    fcntl(LISTEN_FD, F_SETFL, fcntl(LISTEN_FD, F_GETFL) | O_NONBLOCK);
    daemon->listen_fd = LISTEN_FD;
    return true;
}

static int64_t now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

/* The lock under which daemons are started: here only its descriptor. */
static void open_starters_lock(Daemon *daemon)
{
    g_autofree char *path = NULL;

    if (!daemon->runtime_dir) {
        return;
    }
    path = g_build_filename(daemon->runtime_dir, "vmnetd.lock", NULL);
    daemon->starters_lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC
                                    | O_NOFOLLOW, 0600);
    if (daemon->starters_lock_fd < 0) {
        g_warning("lock file '%s': %s; whoever starts a daemon while this one "
                  "leaves may have to try again", path, g_strerror(errno));
    }
}

static void lock_starters_out(Daemon *daemon)
{
    int64_t deadline_ms = now_ms() + LOCK_TIMEOUT_MS;

    while (daemon->starters_lock_fd >= 0
           && flock(daemon->starters_lock_fd, LOCK_EX | LOCK_NB) < 0
           && now_ms() < deadline_ms) {
        g_usleep(LOCK_POLL_MS * 1000);
    }
}

static bool make_socket(Daemon *daemon, GError **error)
{
    bool ok;

    lock_starters_out(daemon);
    ok = export_path_clear(daemon->socket_path, SOCK_STREAM, error);
    if (ok) {
        daemon->listen_fd = vmnet_unix_listen(daemon->socket_path, SOCK_STREAM,
                                              error);
        ok = daemon->listen_fd >= 0;
    }
    if (daemon->starters_lock_fd >= 0) {
        flock(daemon->starters_lock_fd, LOCK_UN);
    }
    return ok;
}

static void remember_socket(Daemon *daemon)
{
    struct stat st;

    if (daemon->socket_path && lstat(daemon->socket_path, &st) == 0) {
        daemon->owns_socket = true;
        daemon->socket_dev = st.st_dev;
        daemon->socket_ino = st.st_ino;
    }
}

/*
 * A socket that was passed is removed at the end if we are told its path, as
 * whoever starts us on demand does; systemd keeps its own.
 */
static bool open_socket(Daemon *daemon, GError **error)
{
    bool passed = was_socket_passed();

    daemon->socket_path = g_strdup(daemon->options.socket);
    if (!daemon->socket_path && (!passed || g_getenv("VMNET_SOCKET"))) {
        daemon->socket_path = vmnet_paths_socket(error);
        if (!daemon->socket_path) {
            return false;
        }
    }
    if (!(passed ? adopt_socket(daemon, error) : make_socket(daemon, error))) {
        return false;
    }
    remember_socket(daemon);
    return true;
}

static void remove_socket(void *opaque)
{
    Daemon *daemon = opaque;

    if (daemon->owns_socket) {
        export_path_remove(daemon->socket_path, daemon->socket_dev,
                           daemon->socket_ino);
    }
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
    int64_t deadline_ms = now_ms() + LOCK_TIMEOUT_MS;

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
        if ((holder && is_served(holder)) || now_ms() >= deadline_ms) {
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

static void on_signal(void *opaque, uint32_t events, int64_t now)
{
    Control *control = opaque;

    g_message("asked to end by a signal");
    control_end(control);
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

/* A daemon that is started on demand gets no options but the environment's. */
static const char *resolv_conf(const Daemon *daemon)
{
    const char *path = g_getenv("VMNET_RESOLV_CONF");

    if (daemon->options.resolv_conf) {
        return daemon->options.resolv_conf;
    }
    return path && path[0] == '/' ? path : NULL;
}

/* Where the resolver's file is and, where that is a link, what it points to:
 * folders, because such files are replaced as a whole. (transfer full) */
static char *resolv_dir(const Daemon *daemon, bool follow)
{
    const char *path = resolv_conf(daemon);
    g_autofree char *target = NULL;

    if (!path) {
        path = "/etc/resolv.conf";
    }
    if (follow) {
        /* realpath() allocates by malloc, which g_free() is as well. */
        target = realpath(path, NULL);
    }
    return g_path_get_dirname(target ? target : path);
}

static const char *const *enter_sandbox(const Daemon *daemon)
{
    g_autofree char *log_dir = daemon->options.log_file
                               ? g_path_get_dirname(daemon->options.log_file)
                               : NULL;
    g_autofree char *resolv_link = resolv_dir(daemon, false);
    g_autofree char *resolv_target = resolv_dir(daemon, true);
    const char *read_write[4] = { NULL };
    const char *read_only[] = {
        "/etc", "/usr", "/lib", "/lib64", "/proc", "/sys",
        "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf",
        resolv_link, resolv_target, NULL
    };
    unsigned n = 0;

    if (daemon->state_dir) {
        read_write[n++] = daemon->state_dir;
    }
    if (daemon->runtime_dir) {
        read_write[n++] = daemon->runtime_dir;
    }
    if (log_dir) {
        read_write[n++] = log_dir;
    }
    return sandbox_enter(read_write, read_only);
}

/* The engine's whole life. */
static bool run_engine(Daemon *daemon, pid_t supervisor, GError **error)
{
    int signal_fd = open_signals();
    int signal_errno = errno;
    ControlConfig config = {
        .listen_fd = daemon->listen_fd,
        .socket_path = daemon->socket_path,
        .owns_socket = daemon->owns_socket,
        .lock_fd = daemon->starters_lock_fd,
        .state_dir = daemon->state_dir,
        .runtime_dir = daemon->runtime_dir,
        .log_file = daemon->options.log_file,
        .resolv_conf = resolv_conf(daemon),
        .idle_ms = daemon->options.idle_s * INT64_C(1000),
        .supervisor_pid = supervisor,
        .sandbox = enter_sandbox(daemon),
    };
    g_autoptr(Loop) loop = loop_new(NULL, error);
    g_autoptr(Control) control = NULL;
    LoopWatch *signals;

    if (!loop) {
        return false;
    }
    if (signal_fd < 0) {
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
    signals = loop_watch_new(loop, signal_fd, EPOLLIN, on_signal, control,
                             error);
    if (!signals) {
        return false;
    }
    write_pidfile(daemon, supervisor);
    control_run(control);
    loop_watch_free(signals);
    if (daemon->options.pidfile) {
        unlink(daemon->options.pidfile);
    }
    return true;
}

static bool prepare(Daemon *daemon, GError **error)
{
    const char *name;

    if (!log_open(daemon->options.log_file, daemon->options.log_level, error)
        || !find_directories(daemon, error)
        || !open_pidfile(daemon, error)) {
        return false;
    }
    open_starters_lock(daemon);
    if (!open_socket(daemon, error)) {
        return false;
    }
    name = daemon->socket_path ? daemon->socket_path : "passed by systemd";
    if (!lock_state(daemon, name, error)) {
        remove_socket(daemon);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static char name[] = "vmnetd";
    g_autoptr(GError) error = NULL;
    Daemon daemon = {
        .listen_fd = -1, .starters_lock_fd = -1, .pidfile_fd = -1,
    };
    pid_t supervisor = 0;

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

    open_standard_fds();
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    raise_fd_limit();
    if (!prepare(&daemon, &error)) {
        fprintf(stderr, "vmnetd: %s\n", error->message);
        return EXIT_FAILURE;
    }
    if (!daemon.options.no_supervisor) {
        supervisor = supervisor_start(remove_socket, &daemon);
    }
    if (!run_engine(&daemon, supervisor, &error)) {
        fprintf(stderr, "vmnetd: %s\n", error->message);
        remove_socket(&daemon);
        return EXIT_FAILURE;
    }
    options_clear(&daemon.options);
    g_free(daemon.runtime_dir);
    g_free(daemon.state_dir);
    g_free(daemon.socket_path);
    return EXIT_SUCCESS;
}
