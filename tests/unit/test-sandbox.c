/*
 * The sandbox, entered: what it forbids and what it leaves
 *
 * Each row is tried by a process of its own: the sandbox is for good.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/sandbox.h"
#include "libvmnet/paths.h"

/* In the directory of the test: one of each class, and one of none. */
#define OWN "own/"
#define REMOVAL "removal/"
#define READ "read/"
#define OTHER "other/"

static int try_read(const char *path)
{
    return open(path, O_RDONLY);
}

static int try_write(const char *path)
{
    return open(path, O_WRONLY);
}

static int try_truncate(const char *path)
{
    return open(path, O_RDONLY | O_TRUNC);
}

static int try_create(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
}

static int try_list(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY);
}

static int try_mkdir(const char *path)
{
    return mkdir(path, 0700);
}

static int try_symlink(const char *path)
{
    return symlink("/etc/passwd", path);
}

static int try_mkfifo(const char *path)
{
    return mkfifo(path, 0600);
}

static int try_rename_beside(const char *path)
{
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);

    return rename(path, fresh);
}

static int try_socket(const char *path)
{
    return vmnet_unix_listen(path, SOCK_STREAM, NULL);
}

static int try_connect(const char *path)
{
    return vmnet_unix_connect(path, SOCK_STREAM, NULL);
}

static int try_exec(const char *path)
{
    return execl(path, path, NULL);
}

static int try_mount(const char *path)
{
    return mount("none", path, "tmpfs", 0, NULL);
}

static int try_kill(const char *unused)
{
    return kill(getppid(), 0);
}

static int try_trace(const char *unused)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int try_namespace(const char *unused)
{
    return syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */);
}

static int try_chmod(const char *path)
{
    return chmod(path, 0644);
}

static int try_chmod_at(const char *path)
{
    return fchmodat(AT_FDCWD, path, 0644, 0);
}

static int try_touch(const char *path)
{
    return utimensat(AT_FDCWD, path, NULL, 0);
}

static int try_chown(const char *path)
{
    return chown(path, -1, -1);
}

typedef struct Case {
    int (*try)(const char *path);
    const char *path;
    int errnum;             /* 0: it works */
} Case;

static const Case files[] = {
    { try_read, OWN "file", 0 },
    { try_write, OWN "file", 0 },
    { try_create, OWN "fresh", 0 },
    { try_list, OWN, 0 },
    { try_mkdir, OWN "fresh", 0 },
    { try_socket, OWN "fresh", 0 },
    { unlink, OWN "file", 0 },
    { rmdir, OWN "dir", 0 },
    { try_rename_beside, OWN "file", 0 },
    { try_symlink, OWN "fresh", EACCES },
    { try_mkfifo, OWN "fresh", EACCES },

    { unlink, REMOVAL "file", 0 },
    { unlink, REMOVAL "socket", 0 },
    { try_rename_beside, REMOVAL "socket", 0 },
    { try_rename_beside, REMOVAL "file", EACCES },
    { try_read, REMOVAL "file", EACCES },
    { try_write, REMOVAL "file", EACCES },
    { try_create, REMOVAL "fresh", EACCES },
    { rmdir, REMOVAL "dir", EACCES },

    { try_read, READ "file", 0 },
    { try_list, READ, 0 },
    { try_write, READ "file", EACCES },
    { try_create, READ "fresh", EACCES },
    { unlink, READ "file", EACCES },

    { try_read, OTHER "file", EACCES },
    { try_write, OTHER "file", EACCES },
    { try_truncate, OTHER "file", EACCES },
    { try_create, OTHER "fresh", EACCES },
    { try_list, OTHER, EACCES },
    { try_mkdir, OTHER "fresh", EACCES },
    { try_symlink, OTHER "fresh", EACCES },
    { unlink, OTHER "file", EACCES },
    { unlink, OTHER "socket", EACCES },
    { rmdir, OTHER "dir", EACCES },
    { try_rename_beside, OTHER "file", EACCES },
    /* Exports: wherever the client wants its socket, or has one. */
    { try_socket, OTHER "fresh", 0 },
    { try_connect, OTHER "served", 0 },
};

/* LeakSanitizer's own calls are let through. */
#ifdef __SANITIZE_ADDRESS__
#define UNLESS_SANITIZED(errnum) 0
#else
#define UNLESS_SANITIZED(errnum) (errnum)
#endif

static const Case calls[] = {
    { try_exec, "/bin/true", EPERM },
    { try_mount, OWN "dir", EPERM },
    { try_kill, NULL, UNLESS_SANITIZED(EPERM) },
    { try_trace, NULL, UNLESS_SANITIZED(EPERM) },
    { try_namespace, NULL, EPERM },
    /* What Landlock has no say over. */
    { try_chmod, OTHER "file", EPERM },
    { try_chmod_at, OTHER "file", EPERM },
    { try_touch, OTHER "file", EPERM },
    { try_chown, OTHER "file", EPERM },
};

typedef struct Fixture {
    char *dir;
    int served;
} Fixture;

/* The errno of @c in a process that has entered the sandbox. */
static int run(const Case *c, const char *layer)
{
    pid_t pid = fork();
    int status;

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        const char *const *layers = sandbox_enter(&(SandboxLists){
            .read_write = (const char *const[]){ OWN, NULL },
            .removal = (const char *const[]){ REMOVAL, NULL },
            .read_only = (const char *const[]){ READ, "/proc", NULL },
        });

        if (!g_strv_contains(layers, layer)) {
            _exit(255);
        }
        _exit(c->try(c->path) < 0 ? errno : 0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void fill(const char *dir)
{
    g_autofree char *file = g_build_filename(dir, "file", NULL);
    g_autofree char *sub = g_build_filename(dir, "dir", NULL);
    g_autofree char *sock = g_build_filename(dir, "socket", NULL);

    g_assert_cmpint(g_mkdir_with_parents(sub, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    close(vmnet_unix_listen(sock, SOCK_STREAM, NULL));
}

static void empty(const char *dir)
{
    g_autoptr(GDir) list = g_dir_open(dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(list))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_remove(path);
    }
    g_remove(dir);
}

static void set_up(Fixture *f)
{
    fill(OWN);
    fill(REMOVAL);
    fill(READ);
    fill(OTHER);
    f->served = vmnet_unix_listen(OTHER "served", SOCK_STREAM, NULL);
}

static void tear_down(Fixture *f)
{
    close(f->served);
    empty(OWN);
    empty(REMOVAL);
    empty(READ);
    empty(OTHER);
}

static void test_cases(const Case *cases, size_t n, const char *layer)
{
    Fixture f;
    size_t i;

    for (i = 0; i < n; i++) {
        int errnum;

        set_up(&f);
        errnum = run(&cases[i], layer);
        tear_down(&f);
        if (errnum == 255) {
            g_autofree char *why = g_strdup_printf("no %s here", layer);

            g_test_skip(why);
            return;
        }
        g_test_message("row %u: %s: %s", (unsigned)i,
                       cases[i].path ? cases[i].path : "-", g_strerror(errnum));
        g_assert_cmpint(errnum, ==, cases[i].errnum);
    }
}

static void hush(const char *domain, GLogLevelFlags level, const char *text,
                 gpointer opaque)
{
}

static void test_files(void)
{
    /* Landlock alone. */
    g_setenv("VMNET_SECCOMP", "off", TRUE);
    test_cases(files, G_N_ELEMENTS(files), "landlock");
}

static void test_calls(void)
{
    g_unsetenv("VMNET_SECCOMP");
    test_cases(calls, G_N_ELEMENTS(calls), "seccomp");
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_dir_make_tmp("test-sandbox-XXXXXX", NULL);
    int status;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(chdir(dir), ==, 0);
    g_log_set_handler("vmnetd", G_LOG_LEVEL_MESSAGE, hush, NULL);
    g_test_add_func("/sandbox/files", test_files);
    g_test_add_func("/sandbox/calls", test_calls);
    status = g_test_run();
    g_assert_cmpint(chdir("/"), ==, 0);
    g_remove(dir);
    return status;
}
