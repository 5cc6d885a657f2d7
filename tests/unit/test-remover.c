/*
 * Removing sockets on the engine's behalf: dead ones of ours, nothing else
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/remover.h"
#include "libvmnet/paths.h"

typedef struct Fixture {
    char *dir, *path;
    int parent, engine;
} Fixture;

static void set_up(Fixture *f, const void *unused)
{
    f->dir = g_dir_make_tmp("test-remover-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "x.sock", NULL);
    g_assert_true(remover_pair(&f->parent, &f->engine));
}

static void tear_down(Fixture *f, const void *unused)
{
    close(f->parent);
    if (f->engine >= 0) {
        close(f->engine);
    }
    g_remove(f->path);
    g_assert_cmpint(g_remove(f->dir), ==, 0);
    g_free(f->dir);
    g_free(f->path);
}

static void *serve_one(void *opaque)
{
    Fixture *f = opaque;
    char byte;

    /* Wait for the request: remover_serve() does not. */
    g_assert_cmpint(recv(f->parent, &byte, 1, MSG_PEEK), ==, 1);
    g_assert_true(remover_serve(f->parent));
    return NULL;
}

static int ask(Fixture *f, const char *path)
{
    GThread *parent = g_thread_new("parent", serve_one, f);
    int answer = remover_ask(f->engine, path);

    g_thread_join(parent);
    return answer;
}

static void test_dead(Fixture *f, const void *unused)
{
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        int fd = vmnet_unix_listen(f->path, types[i], NULL);

        g_assert_cmpint(ask(f, f->path), ==, EADDRINUSE);
        g_assert_true(g_file_test(f->path, G_FILE_TEST_EXISTS));
        close(fd);
        g_assert_cmpint(ask(f, f->path), ==, 0);
        g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    }
    g_assert_cmpint(ask(f, f->path), ==, ENOENT);
}

static void test_others(Fixture *f, const void *unused)
{
    g_autofree char *link = g_build_filename(f->dir, "link", NULL);
    g_autofree char *too_long = g_strnfill(5000, '/');

    g_assert_true(g_file_set_contents(f->path, "mine", -1, NULL));
    g_assert_cmpint(ask(f, f->path), ==, EPERM);
    g_remove(f->path);
    close(vmnet_unix_listen(f->path, SOCK_STREAM, NULL));
    g_assert_cmpint(symlink(f->path, link), ==, 0);
    g_assert_cmpint(ask(f, link), ==, EPERM);
    g_remove(link);
    g_assert_cmpint(ask(f, f->dir), ==, EPERM);
    g_assert_cmpint(ask(f, "relative"), !=, 0);
    g_assert_cmpint(ask(f, too_long), ==, ENAMETOOLONG);
    if (geteuid() == 0) {
        g_assert_cmpint(chown(f->path, 12345, 12345), ==, 0);
        g_assert_cmpint(ask(f, f->path), ==, EPERM);
    }
    g_assert_true(g_file_test(f->path, G_FILE_TEST_EXISTS));
}

static void test_ends(Fixture *f, const void *unused)
{
    g_assert_true(remover_serve(f->parent));    /* nothing was asked */
    close(f->engine);
    f->engine = -1;
    g_assert_false(remover_serve(f->parent));
}

static void test_parent_gone(Fixture *f, const void *unused)
{
    close(f->parent);
    f->parent = -1;
    g_assert_cmpint(remover_ask(f->engine, f->path), ==, EPIPE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/remover/dead-sockets", Fixture, NULL, set_up, test_dead,
               tear_down);
    g_test_add("/remover/nothing-else", Fixture, NULL, set_up, test_others,
               tear_down);
    g_test_add("/remover/engine-gone", Fixture, NULL, set_up, test_ends,
               tear_down);
    g_test_add("/remover/parent-gone", Fixture, NULL, set_up,
               test_parent_gone, tear_down);
    return g_test_run();
}
