/*
 * The sandbox with the engine's own lists: what it leaves of a user's home
 *
 * The log, the pidfile and the resolver's file may be anywhere, and grant
 * nothing beside them; the state and runtime directories are the daemon's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/confine.h"

/* In the directory of the test */
#define HOME "home/"
#define STATE "state/"
#define RUN "run/"
#define RESOLV "resolv/"

#define NO_LANDLOCK 255

static int try_read(const char *path)
{
    return open(path, O_RDONLY);
}

static int try_write(const char *path)
{
    return open(path, O_WRONLY);
}

static int try_create(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
}

static int try_chmod(const char *path)
{
    return chmod(path, 0644);
}

static const struct {
    int (*try)(const char *path);
    const char *path;
    int errnum;             /* 0: it works */
} cases[] = {
    { try_read, HOME "file", EACCES },
    { try_write, HOME "file", EACCES },
    { unlink, HOME "file", EACCES },
    { try_create, HOME "fresh", EACCES },
    { try_create, HOME "log.2", EACCES },
    { unlink, HOME "log", EACCES },
    { unlink, HOME "pid", EACCES },
    { try_write, "file", EACCES },
    { unlink, "file", EACCES },

    { try_read, RESOLV "file", 0 },
    { try_write, RESOLV "file", EACCES },
    { unlink, RESOLV "file", EACCES },
    { try_create, RESOLV "fresh", EACCES },

    { try_write, STATE "file", 0 },
    { try_create, STATE "fresh", 0 },
    { unlink, STATE "file", 0 },
    { try_create, RUN "fresh", 0 },
    { unlink, RUN "file", 0 },
};

static char *in_dir(const char *name)
{
    g_autofree char *dir = g_get_current_dir();

    return g_build_filename(dir, name, NULL);
}

/* What @try says in a process that has been confined. */
static int run(int (*try)(const char *path), const char *path, bool system,
               const char *layer)
{
    pid_t pid = fork();
    int status;

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        const Options options = {
            .log_file = in_dir(HOME "log"),
            .pidfile = in_dir(HOME "pid"),
            .resolv_conf = in_dir(RESOLV "file"),
            .system = system,
        };
        const char *const *layers = confine(&(ConfinePlaces){
            .options = &options,
            .state_dir = STATE,
            .runtime_dir = RUN,
            .socket_path = RUN "vmnetd.sock",
        });

        if (!g_strv_contains(layers, layer)) {
            _exit(NO_LANDLOCK);
        }
        _exit(try(path) < 0 ? errno : 0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const char *const files[] = {
    "file", HOME "file", HOME "log", HOME "pid", RESOLV "file", STATE "file",
    RUN "file",
};

static void fill(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(files); i++) {
        g_assert_true(g_file_set_contents(files[i], "", 0, NULL));
    }
    g_remove(STATE "fresh");
    g_remove(RUN "fresh");
    g_remove(HOME "fresh");
    g_remove(HOME "log.2");
}

static void test_files(void)
{
    size_t i;

    g_setenv("VMNET_SECCOMP", "off", TRUE);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        int errnum;

        fill();
        errnum = run(cases[i].try, cases[i].path, false, "landlock");
        if (errnum == NO_LANDLOCK) {
            g_test_skip("no landlock here");
            return;
        }
        g_test_message("row %u: %s: %s", (unsigned)i, cases[i].path,
                       g_strerror(errnum));
        g_assert_cmpint(errnum, ==, cases[i].errnum);
    }
}

/* Only the system instance's engine, whose user has nothing else, may. */
static void test_modes(void)
{
    int errnum;

    g_unsetenv("VMNET_SECCOMP");
    fill();
    errnum = run(try_chmod, HOME "file", false, "seccomp");
    if (errnum == NO_LANDLOCK) {
        g_test_skip("no seccomp here");
        return;
    }
    g_assert_cmpint(errnum, ==, EPERM);
    g_assert_cmpint(run(try_chmod, RUN "file", true, "seccomp"), ==, 0);
}

static bool has_log(const char *log_file, const char *state_dir)
{
    const Options options = { .log_file = log_file };

    return confine_has_log(&(ConfinePlaces){
        .options = &options,
        .state_dir = state_dir,
        .runtime_dir = "/run/user/1/vmnet",
    });
}

static void test_has_log(void)
{
    g_assert_true(has_log(NULL, "/state"));
    g_assert_true(has_log("/state/vmnetd.log", "/state"));
    g_assert_true(has_log("/run/user/1/vmnet/log", "/state"));
    g_assert_false(has_log("/state/vmnetd.log", NULL));
    g_assert_false(has_log("/home/log", "/state"));
    g_assert_false(has_log("/state/more/log", "/state"));
    g_assert_false(has_log("/log", "/state"));
}

static void hush(const char *domain, GLogLevelFlags level, const char *text,
                 gpointer opaque)
{
}

static void remove_all(const char *dir)
{
    static const char *const dirs[] = { HOME, STATE, RUN, RESOLV };
    size_t i;

    fill();
    for (i = 0; i < G_N_ELEMENTS(files); i++) {
        g_remove(files[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_assert_cmpint(g_rmdir(dirs[i]), ==, 0);
    }
    g_assert_cmpint(chdir("/"), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_dir_make_tmp("test-confine-XXXXXX", NULL);
    int status;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(chdir(dir), ==, 0);
    g_assert_cmpint(g_mkdir(HOME, 0700) | g_mkdir(STATE, 0700)
                    | g_mkdir(RUN, 0700) | g_mkdir(RESOLV, 0700), ==, 0);
    g_log_set_handler("vmnetd", G_LOG_LEVEL_MESSAGE, hush, NULL);
    g_test_add_func("/confine/files", test_files);
    g_test_add_func("/confine/modes", test_modes);
    g_test_add_func("/confine/log", test_has_log);
    status = g_test_run();
    remove_all(dir);
    return status;
}
