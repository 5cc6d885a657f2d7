/*
 * Whether somebody answers at a vhost-user socket: good and bad answers, none,
 * and nobody
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "vmnet-probe.h"

#include <glib/gstdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 10000
#define SHORT_MS 50

typedef struct Listener {
    char *dir;
    char *path;
    int fd;
    const void *answer;
    size_t answer_bytes;
    bool goes_on;               /* without closing */
    GThread *thread;
} Listener;

static void listener_init(Listener *listener, int backlog)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    listener->dir = g_dir_make_tmp("vmnet-probe-XXXXXX", NULL);
    listener->path = g_build_filename(listener->dir, "s", NULL);
    g_strlcpy(addr.sun_path, listener->path, sizeof(addr.sun_path));
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(listener->fd, (struct sockaddr *)&addr, sizeof(addr)),
                    ==, 0);
    g_assert_cmpint(listen(listener->fd, backlog), ==, 0);
}

static void listener_clear(Listener *listener)
{
    close(listener->fd);
    g_unlink(listener->path);
    g_rmdir(listener->dir);
    g_free(listener->path);
    g_free(listener->dir);
}

/* Take one question, give the answer byte by byte. */
static gpointer serve(gpointer opaque)
{
    Listener *listener = opaque;
    int fd = accept(listener->fd, NULL, NULL);
    uint32_t question[3];
    size_t i;

    g_assert_cmpint(recv(fd, question, sizeof(question), MSG_WAITALL), ==,
                    sizeof(question));
    g_assert_cmpuint(question[0], ==, 1);
    g_assert_cmpuint(question[1], ==, 1);
    g_assert_cmpuint(question[2], ==, 0);
    for (i = 0; i < listener->answer_bytes; i++) {
        send(fd, (const char *)listener->answer + i, 1, MSG_NOSIGNAL);
    }
    if (listener->goes_on) {    /* until the other one has gone */
        recv(fd, question, 1, 0);
    }
    close(fd);
    return NULL;
}

static bool probe(const void *answer, size_t bytes, bool goes_on, GError **error)
{
    Listener listener = {
        .answer = answer, .answer_bytes = bytes, .goes_on = goes_on,
    };
    bool ok;

    listener_init(&listener, 1);
    listener.thread = g_thread_new("serve", serve, &listener);
    ok = vmnet_probe_vhost_user(listener.path, goes_on ? SHORT_MS : WAIT_MS,
                                error);
    g_thread_join(listener.thread);
    listener_clear(&listener);
    return ok;
}

static void test_answer(void)
{
    const uint32_t answer[] = { 1, 5, 8, 1 << 30, 1 };
    g_autoptr(GError) error = NULL;

    probe(answer, sizeof(answer), false, &error);
    g_assert_no_error(error);
}

static void test_bad_answers(void)
{
    static const uint32_t table[][5] = {
        { 2, 5, 8, 1 << 30, 1 },            /* to another question */
        { 1, 1, 8, 1 << 30, 1 },            /* not a reply */
        { 1, 6, 8, 1 << 30, 1 },            /* another version */
        { 1, 5, 4, 1 << 30, 1 },
        { 1, 5, 0xffffffff, 1 << 30, 1 },
        { 1, 5, 8, 0, 1 },                  /* no protocol features */
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(probe(table[i], sizeof(table[i]), false, &error));
        g_assert_nonnull(strstr(error->message, "Protocol error"));
    }
}

static void test_short_answers(void)
{
    const uint32_t answer[] = { 1, 5, 8, 1 << 30, 1 };
    size_t bytes;

    for (bytes = 0; bytes < sizeof(answer); bytes += 19) {
        g_autoptr(GError) closed = NULL, late = NULL;

        g_assert_false(probe(answer, bytes, false, &closed));
        g_assert_nonnull(strstr(closed->message, "Connection reset by peer"));
        g_assert_false(probe(answer, bytes, true, &late));
        g_assert_nonnull(strstr(late->message, "vmnetd did not answer at '"));
        g_assert_true(g_str_has_suffix(late->message, "' in 50 ms"));
    }
}

static void test_nobody(void)
{
    g_autofree char *long_path = g_strnfill(200, 'x');
    g_autoptr(GError) none = NULL, too_long = NULL;

    g_assert_false(vmnet_probe_vhost_user("/nowhere/s", WAIT_MS, &none));
    g_assert_cmpstr(none->message, ==, "vhost-user socket '/nowhere/s': "
                    "No such file or directory");
    g_assert_false(vmnet_probe_vhost_user(long_path, WAIT_MS, &too_long));
    g_assert_nonnull(strstr(too_long->message, "File name too long"));
}

/* One who does not even accept: the first waits, the next finds no place. */
static void test_full_queue(void)
{
    Listener listener = { 0 };
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_autoptr(GError) error = NULL;

    listener_init(&listener, 0);
    g_strlcpy(addr.sun_path, listener.path, sizeof(addr.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_false(vmnet_probe_vhost_user(listener.path, WAIT_MS, &error));
    g_assert_nonnull(strstr(error->message, "vmnetd did not answer"));
    close(fd);
    listener_clear(&listener);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmnet-probe/answer", test_answer);
    g_test_add_func("/vmnet-probe/bad-answers", test_bad_answers);
    g_test_add_func("/vmnet-probe/short-answers", test_short_answers);
    g_test_add_func("/vmnet-probe/nobody", test_nobody);
    g_test_add_func("/vmnet-probe/full-queue", test_full_queue);
    return g_test_run();
}
