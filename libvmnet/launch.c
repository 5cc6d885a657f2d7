/*
 * Starting vmnetd
 *
 * Theory of operation
 *
 *   caller -- fork --> A: setsid -- fork --> B: execve vmnetd
 *     |  waits for A, which ends at once: nobody's child is left behind, and
 *     |  a VMM that is executed in the caller's place finds no child of ours
 *     `- polls a CLOEXEC pipe: end of file means that B was executed, four
 *        bytes are the errno of what failed
 *
 * B takes nothing from the caller but the listening socket: all descriptors
 * above 3 are closed, signals are as at boot, the directory is /, the terminal
 * belongs to another session, and of the environment only what names the user,
 * the language and our own settings is passed.  Standard error is the log, so
 * that an abort's last words are kept too; where no log can be written, it is a
 * memory file that takes the first errors and no more: the caller reads why the
 * daemon did not start from either.
 *
 * Between fork() and execve() only async-signal-safe functions are called:
 * the library may live in a program with threads.
 *
 * Where a systemd user manager answers, `systemd-run --user --scope` stands
 * before vmnetd: it asks the manager for a scope, moves itself into it and
 * executes vmnetd as the same process, with the same descriptors.  Without it
 * the daemon would be in the first virtual machine's control group, and would
 * end with it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvmnet/launch.h"
#include "libvmnet/paths.h"
#include "vmnet/error.h"

#define LISTEN_FD 3   /* sd_listen_fds(3) */
#define STATUS_FD 4
#define MOVED_FD_MIN (STATUS_FD + 1)
#define LISTEN_PID_PREFIX "LISTEN_PID="
#define FIRST_ERROR_BYTES 4096

/* Variables of the caller's environment that the daemon gets. */
static const char *const env_names[] = {
    "HOME", "USER", "LOGNAME", "PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR",
    "DBUS_SESSION_BUS_ADDRESS", "LD_LIBRARY_PATH", "G_MESSAGES_DEBUG",
    "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS",
};
static const char *const env_prefixes[] = { "LC_", "XDG_", "VMNET_" };

/* All that the child needs, made before fork(). */
typedef struct Child {
    char **argv;
    char **envp;
    char *listen_pid;       /* "LISTEN_PID=" and room for a number */
    char *setenv_pid;       /* systemd-run's "--setenv=LISTEN_PID=...", or NULL */
    int listen_fd;
    int null_fd;
    int error_fd;           /* the launch's; -1: none */
    int status_fd;
} Child;

static bool is_executable(const char *path)
{
    return g_file_test(path, G_FILE_TEST_IS_REGULAR) && access(path, X_OK) == 0;
}

static char *own_directory(void)
{
    g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);

    return exe ? g_path_get_dirname(exe) : NULL;
}

char *vmnet_launch_find_daemon(GError **error)
{
    const char *env = g_getenv("VMNETD");
    g_autofree char *dir = own_directory();
    g_autofree char *build = dir ? g_build_filename(dir, "..", "vmnetd",
                                                    "vmnetd", NULL) : NULL;
    g_autofree char *beside = dir ? g_build_filename(dir, "vmnetd", NULL) : NULL;
    const char *const places[] = {
        build ?: "", beside ?: "", VMNET_LIBEXECDIR "/vmnetd",
        VMNET_BINDIR "/vmnetd",
    };
    char *found;
    size_t i;

    if (env && *env) {
        if (env[0] != '/' || !is_executable(env)) {
            g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                        "VMNETD '%s': is not the absolute path of a program",
                        env);
            return NULL;
        }
        return g_strdup(env);
    }
    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        if (is_executable(places[i])) {
            return g_canonicalize_filename(places[i], "/");
        }
    }
    found = g_find_program_in_path("vmnetd");
    if (!found) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "no vmnetd found beside this program, in '%s', in '%s' or "
                    "in PATH; VMNETD can name it", VMNET_LIBEXECDIR,
                    VMNET_BINDIR);
    }
    return found;
}

static bool env_is_passed(const char *entry)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(env_names); i++) {
        size_t len = strlen(env_names[i]);

        if (strncmp(entry, env_names[i], len) == 0 && entry[len] == '=') {
            return true;
        }
    }
    for (i = 0; i < G_N_ELEMENTS(env_prefixes); i++) {
        if (g_str_has_prefix(entry, env_prefixes[i])) {
            return true;
        }
    }
    return false;
}

static void child_make_env(Child *child, const char *socket_path)
{
    GPtrArray *env = g_ptr_array_new();
    char **e;

    for (e = environ; *e; e++) {
        if (env_is_passed(*e) && !g_str_has_prefix(*e, "VMNET_SOCKET=")) {
            g_ptr_array_add(env, g_strdup(*e));
        }
    }
    g_ptr_array_add(env, g_strdup_printf("VMNET_SOCKET=%s", socket_path));
    g_ptr_array_add(env, g_strdup("LISTEN_FDS=1"));
    child->listen_pid = g_strdup(LISTEN_PID_PREFIX "00000000000");
    g_ptr_array_add(env, child->listen_pid);
    g_ptr_array_add(env, NULL);
    child->envp = (char **)g_ptr_array_free(env, FALSE);
}

/* systemd-run, if a user manager has its socket where one would be. */
static char *find_systemd_run(void)
{
    const char *runtime = g_getenv("XDG_RUNTIME_DIR");
    g_autofree char *private = NULL;

    if (!runtime || runtime[0] != '/') {
        return NULL;
    }
    private = g_build_filename(runtime, "systemd", "private", NULL);
    return g_file_test(private, G_FILE_TEST_EXISTS) ?
           g_find_program_in_path("systemd-run") : NULL;
}

static void child_make_argv(Child *child, const char *program,
                            const char *log_path, bool own_cgroup)
{
    GPtrArray *argv = g_ptr_array_new();
    char *systemd_run = own_cgroup ? find_systemd_run() : NULL;

    if (systemd_run) {
        child->setenv_pid = g_strdup("--setenv=" LISTEN_PID_PREFIX
                                     "00000000000");
        g_ptr_array_add(argv, systemd_run);
        g_ptr_array_add(argv, g_strdup("--user"));
        g_ptr_array_add(argv, g_strdup("--scope"));
        g_ptr_array_add(argv, g_strdup("--quiet"));
        g_ptr_array_add(argv, g_strdup("--collect"));
        g_ptr_array_add(argv, g_strdup("--setenv=LISTEN_FDS=1"));
        g_ptr_array_add(argv, child->setenv_pid);
        g_ptr_array_add(argv, g_strdup("--"));
    }
    g_ptr_array_add(argv, g_strdup(program));
    if (log_path) {
        g_ptr_array_add(argv, g_strdup("--log-file"));
        g_ptr_array_add(argv, g_strdup(log_path));
    }
    g_ptr_array_add(argv, NULL);
    child->argv = (char **)g_ptr_array_free(argv, FALSE);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

static void child_clear(Child *child)
{
    g_strfreev(child->argv);
    g_strfreev(child->envp);
    close_fd(&child->null_fd);
    close_fd(&child->status_fd);
}

static int open_log(VmnetLaunch *launch)
{
    g_autofree char *path = vmnet_paths_log_file(NULL);
    struct stat st;
    int fd;

    if (!path) {
        return -1;
    }
    fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &st) < 0) {
        close_fd(&fd);
        return -1;
    }
    launch->log_path = g_steal_pointer(&path);
    launch->error_offset = st.st_size;
    return fd;
}

/* Its size is fixed: writes beyond it fail, and the daemon goes on. */
static int open_memory(void)
{
    int fd = memfd_create("vmnetd-errors", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0 && (ftruncate(fd, FIRST_ERROR_BYTES) < 0 ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0)) {
        close_fd(&fd);
    }
    return fd;
}

/* The daemon's standard error, the same for one that is started once more. */
static void open_error(VmnetLaunch *launch)
{
    if (launch->error_fd < 0) {
        launch->error_fd = open_log(launch);
    }
    if (launch->error_fd < 0) {
        launch->error_fd = open_memory();
    }
}

/* From here to execve(): async-signal-safe only. */

static void write_decimal(char *to, unsigned value)
{
    char digits[12];
    int n = 0;

    do {
        digits[n++] = '0' + value % 10;
        value /= 10;
    } while (value);
    while (n) {
        *to++ = digits[--n];
    }
    *to = '\0';
}

static void reset_signals(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;
    int sig;

    for (sig = 1; sig < NSIG; sig++) {
        sigaction(sig, &action, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_from(unsigned first)
{
    unsigned fd;

    if (syscall(SYS_close_range, first, ~0u, 0) == 0) {
        return;
    }
    for (fd = first; fd < 65536; fd++) {    /* before Linux 5.9 */
        close(fd);
    }
}

/* Everything is moved out of the way first: any of the four may be 0 to 4. */
static bool arrange_fds(const Child *child)
{
    int from_fd = child->error_fd >= 0 ? child->error_fd : child->null_fd;
    int null_fd = fcntl(child->null_fd, F_DUPFD_CLOEXEC, MOVED_FD_MIN);
    int error_fd = fcntl(from_fd, F_DUPFD_CLOEXEC, MOVED_FD_MIN);
    int listen_fd = fcntl(child->listen_fd, F_DUPFD_CLOEXEC, MOVED_FD_MIN);
    int status_fd = fcntl(child->status_fd, F_DUPFD_CLOEXEC, MOVED_FD_MIN);

    if (null_fd < 0 || error_fd < 0 || listen_fd < 0 || status_fd < 0 ||
        dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(error_fd, 2) < 0 ||
        dup2(listen_fd, LISTEN_FD) < 0 ||
        dup3(status_fd, STATUS_FD, O_CLOEXEC) < 0) {
        return false;
    }
    close_from(STATUS_FD + 1);
    return true;
}

static void G_GNUC_NORETURN child_fail(int fd)
{
    int errnum = errno;
    ssize_t ignored = write(fd, &errnum, sizeof(errnum));

    _exit(ignored == sizeof(errnum) ? 127 : 126);
}

static void G_GNUC_NORETURN child_exec(const Child *child)
{
    size_t prefix = strlen(LISTEN_PID_PREFIX);

    reset_signals();
    umask(077);
    if (chdir("/") < 0 || !arrange_fds(child)) {
        child_fail(child->status_fd);
    }
    write_decimal(child->listen_pid + prefix, getpid());
    if (child->setenv_pid) {
        write_decimal(child->setenv_pid + strlen("--setenv=") + prefix,
                      getpid());
    }
    execve(child->argv[0], child->argv, child->envp);
    child_fail(STATUS_FD);
}

static void G_GNUC_NORETURN child_fork_again(const Child *child)
{
    pid_t pid;

    setsid();
    pid = fork();
    if (pid == 0) {
        child_exec(child);
    }
    if (pid < 0) {
        child_fail(child->status_fd);
    }
    _exit(0);
}

/* Back in the caller. A ends as soon as it has made B. */
static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        continue;
    }
}

static bool launch_failed(const char *program, int errnum, GError **error)
{
    g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                "cannot start '%s': %s", program, g_strerror(errnum));
    return false;
}

int vmnet_launch_begin(VmnetLaunch *launch, int listen_fd,
                       const char *socket_path, bool own_cgroup,
                       GError **error)
{
    g_autofree char *program = vmnet_launch_find_daemon(error);
    Child child = { .listen_fd = listen_fd, .null_fd = -1, .status_fd = -1 };
    int status[2] = { -1, -1 };
    int errnum = 0;
    pid_t pid;

    if (!program) {
        return -1;
    }
    open_error(launch);
    child.error_fd = launch->error_fd;
    child.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (child.null_fd < 0 || pipe2(status, O_CLOEXEC) < 0) {
        errnum = errno;
    } else {
        child.status_fd = status[1];
        child_make_argv(&child, program, launch->log_path, own_cgroup);
        child_make_env(&child, socket_path);
        pid = fork();
        if (pid == 0) {
            child_fork_again(&child);
        }
        errnum = pid < 0 ? errno : 0;
        if (pid > 0) {
            reap(pid);
        }
    }
    child_clear(&child);
    if (errnum) {
        close_fd(&status[0]);
        launch_failed(program, errnum, error);
        return -1;
    }
    g_free(launch->program);
    launch->program = g_steal_pointer(&program);
    return status[0];
}

bool vmnet_launch_end(VmnetLaunch *launch, int status_fd, GError **error)
{
    int errnum = 0;
    ssize_t n;

    do {
        n = read(status_fd, &errnum, sizeof(errnum));
    } while (n < 0 && errno == EINTR);
    close(status_fd);
    return n == sizeof(errnum) ? launch_failed(launch->program, errnum, error)
                               : true;
}

char *vmnet_launch_first_error(const VmnetLaunch *launch)
{
    char text[FIRST_ERROR_BYTES + 1];
    g_auto(GStrv) lines = NULL;
    ssize_t n = pread(launch->error_fd, text, FIRST_ERROR_BYTES,
                      launch->error_offset);
    size_t i;

    if (n <= 0) {
        return NULL;
    }
    text[n] = '\0';
    lines = g_strsplit(text, "\n", -1);
    for (i = 0; lines[i]; i++) {
        const char *message = strstr(g_strstrip(lines[i]), "error: ");

        if (g_str_has_prefix(lines[i], "vmnetd: ")) {
            return g_strdup(lines[i] + strlen("vmnetd: "));
        }
        if (message) {
            return g_strdup(message + strlen("error: "));
        }
    }
    return g_strdup(lines[0]);
}

void vmnet_launch_clear(VmnetLaunch *launch)
{
    g_clear_pointer(&launch->log_path, g_free);
    g_clear_pointer(&launch->program, g_free);
    close_fd(&launch->error_fd);
    launch->error_offset = 0;
}
