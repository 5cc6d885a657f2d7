/*
 * The sandbox: what the engine can no longer do once it serves guests
 *
 *   no-new-privs   nothing that is executed gains privileges
 *   landlock       files: read and write below the state and runtime
 *                  directories, read what the system is configured with;
 *                  elsewhere only make sockets (exports), which the
 *                  supervisor removes (remover.h)
 *   seccomp        system calls: an allow-list without execve, ptrace, mount
 *                  and the like; what is not on it fails with EPERM, so that a
 *                  C library newer than the list loses a feature, not its life
 *
 * VMNET_SECCOMP=kill (tests) makes the latter fatal, =log only logs, =off
 * leaves the layer away.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#define HAVE_LANDLOCK 1
#endif

#ifdef HAVE_LANDLOCK

/* Of a newer version of the interface than the headers may have. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define ACCESS_FILE_READ LANDLOCK_ACCESS_FS_READ_FILE
#define ACCESS_FILE_WRITE \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define ACCESS_READ (ACCESS_FILE_READ | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE \
    (ACCESS_READ | ACCESS_FILE_WRITE | LANDLOCK_ACCESS_FS_MAKE_SOCK \
     | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR \
     | LANDLOCK_ACCESS_FS_REMOVE_DIR)

/* All that version 1 to 3 can restrict. */
#define ACCESS_ALL_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

static uint64_t handled_access(int version)
{
    uint64_t access = ACCESS_ALL_1;

    if (version >= 2) {
        access |= LANDLOCK_ACCESS_FS_REFER;
    }
    if (version >= 3) {
        access |= LANDLOCK_ACCESS_FS_TRUNCATE;
    }
    return access;
}

static void allow(int ruleset, uint64_t handled, const char *path,
                  uint64_t access)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access };
    struct stat st;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0) {
        return; /* what is not there needs no permission */
    }
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode)) {
        rule.allowed_access &= ACCESS_FILE_READ | ACCESS_FILE_WRITE;
    }
    rule.allowed_access &= handled;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
                &rule, 0) < 0) {
        g_warning("landlock: '%s': %s", path, g_strerror(errno));
    }
    close(rule.parent_fd);
}

static void allow_all(int ruleset, uint64_t handled, const char *const *paths,
                      uint64_t access)
{
    for (; *paths; paths++) {
        allow(ruleset, handled, *paths, access);
    }
}

static bool enter_landlock(const SandboxLists *lists)
{
    int version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                          LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr attr = { 0 };
    uint64_t handled;
    int ruleset;
    bool done;

    if (version < 1) {
        return false;
    }
    attr.handled_access_fs = handled_access(version);
    ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (ruleset < 0) {
        return false;
    }
    handled = attr.handled_access_fs;
    allow_all(ruleset, handled, lists->read_write, ACCESS_WRITE);
    allow_all(ruleset, handled, lists->removal, LANDLOCK_ACCESS_FS_REMOVE_FILE);
    allow_all(ruleset, handled, lists->read_only, ACCESS_READ);
    allow(ruleset, handled, "/", LANDLOCK_ACCESS_FS_MAKE_SOCK);
    allow(ruleset, handled, "/dev/null",
          ACCESS_FILE_READ | ACCESS_FILE_WRITE);
    done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
    return done;
}

#else

static bool enter_landlock(const SandboxLists *lists)
{
    errno = ENOSYS;
    return false;
}

#endif

#ifdef HAVE_SECCOMP

/* By name: libseccomp knows which of them an architecture has. */
static const char *const allowed[] = {
    /* memory, threads, time, self */
    "arch_prctl", "brk", "clock_getres", "clock_gettime", "clock_nanosleep",
    "clone", "clone3", "exit", "exit_group", "futex", "futex_wait",
    "futex_wake", "get_robust_list", "getcpu", "getegid", "geteuid", "getgid",
    "getpgid", "getpid", "getppid", "getrandom", "getresgid", "getresuid",
    "getrlimit", "getrusage", "gettid", "gettimeofday", "getuid", "madvise",
    "membarrier", "mmap", "mmap2", "mprotect", "mremap", "munmap", "nanosleep",
    "prctl", "prlimit64", "restart_syscall", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "sched_getaffinity", "sched_getattr",
    "sched_getparam", "sched_getscheduler", "sched_setattr", "sched_yield",
    "set_robust_list", "set_tid_address", "sigaltstack", "sysinfo", "tgkill",
    "time", "umask", "uname",
    /* eventfds that are rung without waiting (port/bell.c) */
    "io_setup", "io_submit",
    /* descriptors */
    "close", "close_range", "dup", "dup2", "dup3", "epoll_create",
    "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "eventfd2", "fcntl", "fcntl64", "flock", "ioctl", "pidfd_open", "pipe",
    "pipe2", "poll", "ppoll", "pselect6", "read", "readv", "select",
    "signalfd4", "splice", "timerfd_create", "timerfd_gettime",
    "timerfd_settime", "write", "writev",
    /* sockets */
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname",
    "getsockopt", "listen", "recvfrom", "recvmmsg", "recvmsg", "sendmmsg",
    "sendmsg", "sendto", "setsockopt", "shutdown", "socket", "socketpair",
    /* files: landlock says which may be opened, made and removed; it has no say
     * over modes, owners and times: none by path */
    "access", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchmod",
    "fdatasync", "fstat", "fstat64", "fstatat64", "fstatfs", "fsync",
    "ftruncate", "getcwd", "getdents", "getdents64",
    "inotify_add_watch", "inotify_init1", "inotify_rm_watch", "lseek", "lstat",
    "lstat64", "mkdir", "mkdirat", "newfstatat", "open", "openat", "pread64",
    "pwrite64", "readlink", "readlinkat", "rename", "renameat", "renameat2",
    "rmdir", "stat", "stat64", "statfs", "statx", "unlink", "unlinkat",
#if defined(__SANITIZE_ADDRESS__)
    /* LeakSanitizer stops its own threads */
    "ptrace", "process_vm_readv", "wait4", "kill",
#endif
    NULL
};

static uint32_t default_action(void)
{
    const char *mode = g_getenv("VMNET_SECCOMP");

    if (!g_strcmp0(mode, "kill")) {
        return SCMP_ACT_KILL_PROCESS;
    }
    if (!g_strcmp0(mode, "log")) {
        return SCMP_ACT_LOG;
    }
    return SCMP_ACT_ERRNO(EPERM);
}

static void allow_calls(scmp_filter_ctx filter, const char *const *names)
{
    for (; *names; names++) {
        int nr = seccomp_syscall_resolve_name(*names);

        if (nr != __NR_SCMP_ERROR) {
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 0);
        }
    }
}

static bool enter_seccomp(const SandboxLists *lists)
{
    scmp_filter_ctx filter;
    int err = 0;

    if (!g_strcmp0(g_getenv("VMNET_SECCOMP"), "off")) {
        errno = ECANCELED;
        return false;
    }
    filter = seccomp_init(default_action());
    if (!filter) {
        errno = ENOMEM;
        return false;
    }
    allow_calls(filter, lists->syscalls ?: allowed);
    if (lists->more_syscalls) {
        allow_calls(filter, lists->more_syscalls);
    }
    /* A binary tree instead of a chain: every system call pays for it. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    err = seccomp_load(filter);
    seccomp_release(filter);
    errno = -err;
    return err == 0;
}

#else

static bool enter_seccomp(const SandboxLists *lists)
{
    errno = ENOSYS;
    return false;
}

#endif

const char *const *sandbox_enter(const SandboxLists *lists)
{
    static const char *layers[4];
    unsigned n = 0;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        layers[n++] = "no-new-privs";
    } else {
        g_warning("sandbox: no-new-privs: %s", g_strerror(errno));
    }
    if (enter_landlock(lists)) {
        layers[n++] = "landlock";
    } else {
        g_message("sandbox: without landlock: %s", g_strerror(errno));
    }
    if (enter_seccomp(lists)) {
        layers[n++] = "seccomp";
    } else {
        g_message("sandbox: without seccomp: %s", g_strerror(errno));
    }
    return layers;
}
