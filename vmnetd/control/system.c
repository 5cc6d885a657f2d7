/*
 * The system instance: what vmnetd does as root, and how it stops being root
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/system.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/keeper.h"
#include "control/log.h"
#include "control/sandbox.h"
#include "priv/rights.h"
#include "priv/rules.h"
#include "priv/serve.h"
#include "vmnet/error.h"

/* All that priv/ does, what it is written in and libnftables included. */
static const char *const priv_syscalls[] = {
    "bind", "brk", "clock_gettime", "close", "exit", "exit_group", "fcntl",
    "fstat", "futex", "getdents64", "geteuid", "getpid", "getrandom",
    "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "ioctl",
    "lseek", "madvise", "mmap", "mprotect", "mremap", "munmap", "newfstatat",
    "open", "openat", "poll", "ppoll", "pselect6", "read", "recvfrom",
    "recvmsg", "renameat", "renameat2", "restart_syscall", "rseq",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "select", "sendmsg",
    "sendto", "setsockopt", "socket", "stat", "unlinkat", "write",
#if defined(__SANITIZE_ADDRESS__)
    "sigaltstack",
#endif
    NULL
};

/* Who */

static bool find_user(System *system, const Options *options, GError **error)
{
    const char *name = options->user ?: SYSTEM_USER;
    const struct passwd *user = getpwnam(name);

    if (!user || user->pw_uid == 0) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "--user '%s': %s", name, user ? "is root" :
                    "there is no such user: vmnetd gives up root's rights and "
                    "needs one to be");
        return false;
    }
    system->uid = user->pw_uid;
    system->gid = user->pw_gid;
    return true;
}

/* The default need not be there: then the instance is root's alone. */
static bool find_group(System *system, const Options *options, GError **error)
{
    const char *name = options->group ?: SYSTEM_GROUP;
    const struct group *group = getgrnam(name);

    if (group) {
        system->gid = group->gr_gid;
        system->has_group = true;
    } else if (options->group) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "--group '%s': there is no such group", name);
        return false;
    } else {
        g_warning("there is no group '%s': only root can use this vmnetd",
                  name);
    }
    return true;
}

/* Where */

/* One that is there must be root's or the user's already. */
static bool make_dir(const System *system, const char *path, mode_t mode,
                     GError **error)
{
    struct stat st;
    int fd = -1;
    bool ok = false;

    if (mkdir(path, mode) == 0 || errno == EEXIST) {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd >= 0 && fstat(fd, &st) == 0) {
        if (st.st_uid != 0 && st.st_uid != system->uid) {
            errno = EPERM;
        } else {
            ok = fchown(fd, system->uid, system->gid) == 0 &&
                 fchmod(fd, mode) == 0;
        }
    }
    if (!ok) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "directory '%s': %s", path, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/*
 * A mistake is told before anything starts.  What was there once must stay: an
 * engine or vmnetd-priv that is started again would allow more without it.
 */
static bool check_policy(System *system, GError **error)
{
    g_autoptr(Policy) policy = NULL;

    system_act_as_user(system);
    policy = policy_source_load(&system->policy, error);
    system_act_as_root();
    if (policy && !policy->is_default) {
        system->policy.is_required = true;
    }
    return policy;
}

bool system_prepare(System *system, const Options *options, GError **error)
{
    if (!rights_can_configure()) {
        g_set_error_literal(error, VMNET_ERROR, VMNET_NOT_AUTHORIZED,
                            "--system: must be started by root, with "
                            "CAP_NET_ADMIN and CAP_NET_RAW");
        return false;
    }
    system->runtime_dir = options->runtime_dir ?: SYSTEM_RUNTIME_DIR;
    system->state_dir = options->state_dir ?: SYSTEM_STATE_DIR;
    system->socket = g_build_filename(system->runtime_dir, "vmnetd.sock", NULL);
    if (!find_user(system, options, error)
        || !find_group(system, options, error)) {
        return false;
    }
    system->policy = (PolicySource) {
        .path = options->policy ?: POLICY_PATH,
        .is_required = options->policy,
        .has_group = system->has_group,
        .gid = system->gid,
        .group = options->group ?: SYSTEM_GROUP,
        .bridged = options_bridged(options),
    };
    return check_policy(system, error)
           && make_dir(system, system->runtime_dir, 0750, error)
           && make_dir(system, system->state_dir, 0700, error);
}

void system_clear(System *system)
{
    g_clear_pointer(&system->socket, g_free);
}

void system_act_as_user(const System *system)
{
    /* As root both succeed. */
    if (setegid(system->gid) < 0 || seteuid(system->uid) < 0) {
        g_error("cannot become uid %u: %s", (unsigned)system->uid,
                g_strerror(errno));
    }
}

void system_act_as_root(void)
{
    if (seteuid(0) < 0 || setegid(0) < 0) {
        g_error("cannot be root again: %s", g_strerror(errno));
    }
}

/*
 * The directory is the user's: whatever lies there now under that name is
 * changed only if it is root's socket.
 */
bool system_share_socket(const System *system, const QmpSocket *sock,
                         GError **error)
{
    g_autofree char *link = NULL;
    struct stat st;
    int fd;
    bool ok;

    if (!sock->is_owned || !system->has_group) {
        return true;
    }
    fd = open(sock->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    link = g_strdup_printf("/proc/self/fd/%d", fd);
    ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) &&
         st.st_uid == 0 && chown(link, -1, system->gid) == 0 &&
         chmod(link, 0660) == 0;
    if (!ok) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS,
                    "socket '%s': cannot be given to the group: %s",
                    sock->path, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* The privileged process */

/* The first port that a user without rights may bind. */
static uint16_t first_port(void)
{
    g_autofree char *text = NULL;
    guint64 value = IPPORT_RESERVED;

    if (g_file_get_contents("/proc/sys/net/ipv4/ip_unprivileged_port_start",
                            &text, NULL, NULL)) {
        g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXUINT16,
                                   &value, NULL);
    }
    return value;
}

static void close_all_but(int a, int b)
{
    int low = MIN(a, b), high = MAX(a, b);

    if (low > 3) {
        syscall(SYS_close_range, 3u, (unsigned)low - 1, 0);
    }
    if (high > low + 1) {
        syscall(SYS_close_range, MAX(3u, (unsigned)low + 1), (unsigned)high - 1,
                0);
    }
    syscall(SYS_close_range, (unsigned)high + 1, ~0u, 0);
}

/* Where the policy is, or will be. (transfer full) */
static char *policy_dir(const char *path)
{
    char *dir = g_path_get_dirname(path);

    while (access(dir, F_OK) < 0 && strcmp(dir, "/") != 0) {
        char *above = g_path_get_dirname(dir);

        g_free(dir);
        dir = above;
    }
    return dir;
}

/* As root, for whom alone it is: a directory of the user's is none for it. */
static void open_rules(const System *system, uint32_t mark)
{
    g_autofree char *dir = g_build_filename(system->runtime_dir, "rules", NULL);
    g_autoptr(GError) error = NULL;

    if (!priv_rules_open(dir, mark, &error)) {
        g_message("no networks by the kernel: %s", error->message);
    }
}

static void enter_sandbox(const PrivPolicy *policy)
{
    static const char *const none[] = { NULL };
    g_autofree const char **writable = g_new0(const char *, 2 +
        g_strv_length((char **)priv_rules_paths()));
    g_autofree char *dir = policy_dir(policy->path);
    const char *const readable[] = { dir, NULL };
    const SandboxLists lists = {
        .read_write = writable,
        .removal = none,
        .read_only = readable,
        .syscalls = priv_syscalls,
    };
    unsigned i;

    writable[0] = "/dev";
    for (i = 0; priv_rules_paths()[i]; i++) {
        writable[i + 1] = priv_rules_paths()[i];
    }
    sandbox_enter(&lists);
}

static G_GNUC_NORETURN void priv_main(int fd, const System *system,
                                      const PrivPolicy *policy)
{
    g_autoptr(GError) error = NULL;

    /* It ends when nobody is left who could ask. */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    close_all_but(fd, log_fd());
    log_only_write();
    open_rules(system, policy->mark);
    if (!rights_keep_network(&error)) {
        g_critical("priv: %s", error->message);
        _exit(1);
    }
    keeper_start();
    prctl(PR_SET_NAME, "vmnetd-priv", 0, 0, 0);
    enter_sandbox(policy);
    priv_serve(fd, policy);
    _exit(0);
}

int system_start_priv(const System *system, const Options *options,
                      GError **error)
{
    const PrivPolicy policy = {
        .bridged = options_bridged(options),
        .path = system->policy.path,
        .is_required = system->policy.is_required,
        .mark = priv_mark(system->state_dir),
        .first_port = first_port(),
    };
    int fds[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "vmnetd-priv: socketpair: %s", g_strerror(errno));
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        priv_main(fds[1], system, &policy);
    }
    close(fds[1]);
    if (pid < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "vmnetd-priv: fork: %s", g_strerror(errno));
        close(fds[0]);
        return -1;
    }
    return fds[0];
}

bool system_drop(const System *system, GError **error)
{
    return rights_drop(system->uid, system->gid, error);
}
