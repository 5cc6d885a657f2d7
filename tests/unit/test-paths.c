/*
 * Where sockets and files are: which directories count, sockets at long paths
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmnet/paths.h"
#include "vmnet/error.h"

typedef struct Fixture {
    char *dir;
} Fixture;

static void fixture_set_up(Fixture *f, const void *data)
{
    f->dir = g_dir_make_tmp("vmnet-paths-XXXXXX", NULL);
    g_assert_nonnull(f->dir);
    g_setenv("XDG_RUNTIME_DIR", f->dir, TRUE);
    g_setenv("XDG_STATE_HOME", f->dir, TRUE);
    g_unsetenv("VMNET_SOCKET");
}

static void remove_tree(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        if (g_file_test(child, G_FILE_TEST_IS_DIR) &&
            !g_file_test(child, G_FILE_TEST_IS_SYMLINK)) {
            remove_tree(child);
        } else {
            g_unlink(child);
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_rmdir(path);
}

static void fixture_tear_down(Fixture *f, const void *data)
{
    remove_tree(f->dir);
    g_free(f->dir);
}

static void test_runtime_dir_is_made_private(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = vmnet_paths_runtime_dir(true, &error);
    g_autofree char *expected = g_build_filename(f->dir, "vmnet", NULL);
    struct stat st;

    g_assert_no_error(error);
    g_assert_cmpstr(dir, ==, expected);
    g_assert_cmpint(lstat(dir, &st), ==, 0);
    g_assert_true(S_ISDIR(st.st_mode));
    g_assert_cmpint(st.st_mode & 0777, ==, 0700);
}

static void test_absent_dir_is_no_error(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = vmnet_paths_socket(&error);
    g_autofree char *expected = g_build_filename(f->dir, "vmnet",
                                                 "vmnetd.sock", NULL);

    g_assert_no_error(error);
    g_assert_cmpstr(path, ==, expected);
}

static void test_symlink_is_refused(Fixture *f, const void *data)
{
    g_autofree char *path = g_build_filename(f->dir, "vmnet", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(symlink("/", path), ==, 0);
    g_assert_null(vmnet_paths_runtime_dir(true, &error));
    g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS);
    g_assert_nonnull(strstr(error->message, "symbolic link"));
    g_clear_error(&error);
    g_assert_null(vmnet_paths_socket(&error));
    g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS);
}

static void test_writable_by_others_is_refused(Fixture *f, const void *data)
{
    g_autofree char *path = g_build_filename(f->dir, "vmnet", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    g_assert_cmpint(g_chmod(path, 0770), ==, 0);
    g_assert_null(vmnet_paths_state_dir(true, &error));
    g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS);
    g_assert_nonnull(strstr(error->message, "0770"));
}

static void test_foreign_is_refused(Fixture *f, const void *data)
{
    g_autofree char *path = g_build_filename(f->dir, "vmnet", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    if (chown(path, geteuid() + 1, -1) < 0) {
        g_test_skip("needs root, to give a directory away");
        return;
    }
    g_assert_false(vmnet_paths_dir_check(path, &error));
    g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS);
    g_assert_nonnull(strstr(error->message, "belongs to uid"));
}

static void test_file_is_refused(Fixture *f, const void *data)
{
    g_autofree char *path = g_build_filename(f->dir, "vmnet", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    g_assert_null(vmnet_paths_runtime_dir(true, &error));
    g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ACCESS);
}

static void test_socket_by_environment(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    g_setenv("VMNET_SOCKET", "/run/elsewhere/a,b c=d.sock", TRUE);
    path = vmnet_paths_socket(&error);
    g_assert_no_error(error);
    g_assert_cmpstr(path, ==, "/run/elsewhere/a,b c=d.sock");

    g_setenv("VMNET_SOCKET", "relative.sock", TRUE);
    g_assert_null(vmnet_paths_socket(&error));
    g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT);
    g_unsetenv("VMNET_SOCKET");
}

static void test_relative_xdg_is_ignored(Fixture *f, const void *data)
{
    g_autofree char *path = NULL;

    g_setenv("XDG_RUNTIME_DIR", "relative", TRUE);
    path = vmnet_paths_runtime_dir(false, NULL);
    g_assert_false(path && g_str_has_prefix(path, "relative"));
}

static void test_gone_or_foreign_xdg_is_ignored(Fixture *f, const void *data)
{
    g_autofree char *gone = g_build_filename(f->dir, "gone", NULL);
    g_autofree char *path = NULL;

    g_setenv("XDG_RUNTIME_DIR", gone, TRUE);
    path = vmnet_paths_runtime_dir(false, NULL);
    g_assert_false(path && g_str_has_prefix(path, f->dir));

    g_assert_cmpint(g_mkdir(gone, 0700), ==, 0);
    if (chown(gone, geteuid() + 1, -1) == 0) {
        g_clear_pointer(&path, g_free);
        path = vmnet_paths_runtime_dir(false, NULL);
        g_assert_false(path && g_str_has_prefix(path, f->dir));
        g_setenv("XDG_STATE_HOME", gone, TRUE);
        g_setenv("HOME", gone, TRUE);
        g_clear_pointer(&path, g_free);
        path = vmnet_paths_state_dir(false, NULL);
        g_assert_false(path && g_str_has_prefix(path, f->dir));
    }
}

/* What is not there yet is made, but not in another user's directory. */
static void test_state_dir_below_what_is_there(Fixture *f, const void *data)
{
    g_autofree char *parent = g_build_filename(f->dir, "parent", NULL);
    g_autofree char *state = g_build_filename(parent, "local", "state", NULL);
    g_autofree char *path = NULL;

    g_setenv("XDG_STATE_HOME", state, TRUE);
    g_setenv("HOME", f->dir, TRUE);
    g_assert_cmpint(g_mkdir(parent, 0700), ==, 0);
    path = vmnet_paths_state_dir(false, NULL);
    g_assert_true(g_str_has_prefix(path, state));
    if (chown(parent, geteuid() + 1, -1) < 0) {
        g_test_skip("needs root, to give a directory away");
        return;
    }
    g_clear_pointer(&path, g_free);
    path = vmnet_paths_state_dir(false, NULL);
    g_assert_nonnull(path);
    g_assert_false(g_str_has_prefix(path, state));
}

static void test_state_lock_names_its_holder(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *holder = NULL;
    int fd = vmnet_paths_state_lock(f->dir, "/run/a b.sock", &holder, &error);

    g_assert_no_error(error);
    g_assert_null(holder);
    holder = vmnet_paths_state_holder(f->dir);
    g_assert_cmpstr(holder, ==, "/run/a b.sock");
    g_clear_pointer(&holder, g_free);
    g_assert_cmpint(vmnet_paths_state_lock(f->dir, "/run/b.sock", &holder,
                                           &error), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_nonnull(error);
    g_assert_cmpstr(holder, ==, "/run/a b.sock");
    close(fd);
    g_assert_null(vmnet_paths_state_holder(f->dir));
}

static void test_lock_is_held_once(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    int first = vmnet_paths_lock(0, &error);

    g_assert_no_error(error);
    g_assert_cmpint(fcntl(first, F_GETFD) & FD_CLOEXEC, !=, 0);
    g_assert_cmpint(vmnet_paths_lock(0, &error), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_error(error, VMNET_ERROR, VMNET_SHARING_SERVICE_BUSY);
    g_clear_error(&error);
    close(first);
    first = vmnet_paths_lock(0, &error);
    g_assert_no_error(error);
    close(first);
}

/* Listen at @path, connect, move a byte. */
static void check_socket(const char *path, int type)
{
    g_autoptr(GError) error = NULL;
    struct stat st;
    int listener, client, server;
    char byte = 'x';

    listener = vmnet_unix_listen(path, type, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fcntl(listener, F_GETFD) & FD_CLOEXEC, !=, 0);
    g_assert_cmpint(fcntl(listener, F_GETFL) & O_NONBLOCK, !=, 0);
    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_true(S_ISSOCK(st.st_mode));
    g_assert_cmpint(st.st_mode & 0077, ==, 0);

    client = vmnet_unix_connect(path, type, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fcntl(client, F_GETFD) & FD_CLOEXEC, !=, 0);
    g_assert_cmpint(fcntl(client, F_GETFL) & O_NONBLOCK, ==, 0);
    server = type == SOCK_DGRAM ? dup(listener) : accept(listener, NULL, NULL);
    g_assert_cmpint(server, >=, 0);
    g_assert_cmpint(send(client, &byte, 1, 0), ==, 1);
    byte = 0;
    g_assert_cmpint(recv(server, &byte, 1, 0), ==, 1);
    g_assert_cmpint(byte, ==, 'x');

    g_assert_cmpint(vmnet_unix_listen(path, type, &error), ==, -1);
    g_assert_cmpint(errno, ==, EADDRINUSE);
    g_assert_nonnull(strstr(error->message, path));

    close(server);
    close(client);
    close(listener);
    g_clear_error(&error);
    g_assert_cmpint(vmnet_unix_connect(path, type, &error), ==, -1);
    g_assert_cmpint(errno, ==, ECONNREFUSED);
    g_assert_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE);
    g_unlink(path);
}

static void test_sockets_at_odd_paths(Fixture *f, const void *data)
{
    static const char *const names[] = { "plain.sock", "a, b=c.sock" };
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
    static const size_t lengths[] = { 1, 80, 108, NAME_MAX };
    g_autofree char *long_dir_name = g_strnfill(200, 'd');
    g_autofree char *long_dir = g_build_filename(f->dir, long_dir_name, NULL);
    size_t i, j;

    g_assert_cmpint(g_mkdir(long_dir, 0700), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        for (j = 0; j < G_N_ELEMENTS(names); j++) {
            g_autofree char *path = g_build_filename(f->dir, names[j], NULL);

            check_socket(path, types[i]);
        }
        for (j = 0; j < G_N_ELEMENTS(lengths); j++) {
            g_autofree char *name = g_strnfill(lengths[j], 'n');
            g_autofree char *path = g_build_filename(long_dir, name, NULL);

            check_socket(path, types[i]);
        }
    }
    /* Nothing is left of the names under which they were bound. */
    g_assert_cmpint(g_rmdir(long_dir), ==, 0);
}

static void test_name_too_long_is_an_error(Fixture *f, const void *data)
{
    g_autofree char *name = g_strnfill(NAME_MAX + 1, 'n');
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(vmnet_unix_listen(path, SOCK_STREAM, &error), ==, -1);
    g_assert_cmpint(errno, ==, ENAMETOOLONG);
    g_assert_nonnull(strstr(error->message, name));
    g_clear_error(&error);
    g_assert_cmpint(vmnet_unix_connect("/nonexistent/x", SOCK_STREAM, &error),
                    ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
}

#define ADD(path, func)                                                     \
    g_test_add("/paths/" path, Fixture, NULL, fixture_set_up, func,         \
               fixture_tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("runtime-dir/made-private", test_runtime_dir_is_made_private);
    ADD("runtime-dir/absent-is-no-error", test_absent_dir_is_no_error);
    ADD("runtime-dir/symlink-refused", test_symlink_is_refused);
    ADD("runtime-dir/file-refused", test_file_is_refused);
    ADD("runtime-dir/relative-xdg-ignored", test_relative_xdg_is_ignored);
    ADD("dir/writable-by-others-refused", test_writable_by_others_is_refused);
    ADD("dir/foreign-refused", test_foreign_is_refused);
    ADD("socket/by-environment", test_socket_by_environment);
    ADD("runtime-dir/gone-or-foreign-ignored",
        test_gone_or_foreign_xdg_is_ignored);
    ADD("state-dir/below-what-is-there", test_state_dir_below_what_is_there);
    ADD("lock/state-names-holder", test_state_lock_names_its_holder);
    ADD("lock/held-once", test_lock_is_held_once);
    ADD("unix/odd-paths", test_sockets_at_odd_paths);
    ADD("unix/name-too-long", test_name_too_long_is_an_error);
    return g_test_run();
}
