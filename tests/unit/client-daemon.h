/*
 * A daemon that is played by a test, and its client
 *
 * Nothing in a client waits, so that both sides live in one thread: the test
 * says something, dispatches the client, and looks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_CLIENT_DAEMON_H
#define TESTS_UNIT_CLIENT_DAEMON_H

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "qapi/json.h"
#include "vmnet/vmnet.h"

#define GREETING \
    "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 1, \"minor\": 2, " \
    "\"micro\": 3}, \"package\": \"p\", \"protocol\": 1}, " \
    "\"capabilities\": []}}\r\n"
/* Anything that takes longer has failed. */
#define PATIENCE_MS 5000

/**
 * Fixture:
 * @fd: the daemon's end, once it is connected
 * @sent_fd: a descriptor that came with the last line
 */
typedef struct Fixture {
    char *dir, *path;
    int listen_fd, fd, sent_fd;
    GString *in;
    VmnetClient *client;
    unsigned n_connected, n_lost, n_events;
    char *lost, *event, *data;
} Fixture;

/* The daemon */

static inline void say(Fixture *f, const char *text)
{
    g_assert_cmpint(send(f->fd, text, strlen(text), MSG_NOSIGNAL), ==,
                    strlen(text));
}

static inline void take_fd(Fixture *f, struct msghdr *msg)
{
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

    if (cmsg && cmsg->cmsg_type == SCM_RIGHTS) {
        memcpy(&f->sent_fd, CMSG_DATA(cmsg), sizeof(int));
    }
}

/* What the client asks: (transfer full); NULL if nothing has come yet */
static inline JsonValue *heard(Fixture *f)
{
    char buf[4096], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = { buf, sizeof(buf) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof(control) };
    ssize_t n = recvmsg(f->fd, &msg, MSG_DONTWAIT);
    char *newline;
    JsonValue *value;

    if (n > 0) {
        g_string_append_len(f->in, buf, n);
        take_fd(f, &msg);
    }
    newline = strchr(f->in->str, '\n');
    if (!newline) {
        return NULL;
    }
    value = json_parse(f->in->str, newline - f->in->str, NULL);
    g_string_erase(f->in, 0, newline - f->in->str + 1);
    g_assert_nonnull(value);
    return value;
}

static inline void turn(Fixture *f)
{
    struct pollfd pfd = { vmnet_client_get_fd(f->client), POLLIN, 0 };

    poll(&pfd, 1, 20);
    if (pfd.revents) {
        vmnet_client_dispatch(f->client);
    }
}

/* Dispatch until @what comes true. */
#define UNTIL(f, what) \
    do { \
        gint64 end_ = g_get_monotonic_time() + PATIENCE_MS * 1000; \
        while (!(what)) { \
            g_assert_cmpint(g_get_monotonic_time(), <, end_); \
            turn(f); \
        } \
    } while (0)

/* The next request, which is @command: its id. */
static inline gint64 expect(Fixture *f, const char *command)
{
    g_autoptr(JsonValue) request = NULL;
    int64_t id = -1;

    UNTIL(f, (request = heard(f)));
    g_assert_cmpstr(json_dict_get_string(request, "execute"), ==, command);
    json_dict_get_int(request, "id", &id);
    return id;
}

static inline void answer(Fixture *f, gint64 id, const char *what)
{
    g_autofree char *text = g_strdup_printf(
        "{%s, \"id\": %" G_GINT64_FORMAT "}\r\n", what, id);

    say(f, text);
}

static inline void expect_and_answer(Fixture *f, const char *command,
                                     const char *what)
{
    answer(f, expect(f, command), what);
}

/* The client */

static inline void on_state(VmnetClient *client, VmnetClientState state,
                            const GError *error, gpointer opaque)
{
    Fixture *f = opaque;

    if (state == VMNET_CLIENT_CONNECTED) {
        f->n_connected++;
    } else {
        g_assert_cmpint(state, ==, VMNET_CLIENT_LOST);
        g_assert_nonnull(error);
        f->n_lost++;
        f->lost = g_strdup(error->message);
    }
}

static inline void on_event(VmnetClient *client, const char *event,
                            const char *data, gpointer opaque)
{
    Fixture *f = opaque;

    f->n_events++;
    g_free(f->event);
    g_free(f->data);
    f->event = g_strdup(event);
    f->data = g_strdup(data);
}

static inline void connect_client(Fixture *f, VmnetConnectFlags flags, int timeout_ms)
{
    g_autoptr(GError) error = NULL;

    f->client = vmnet_client_connect_async(flags, timeout_ms, on_state, f,
                                           &error);
    g_assert_no_error(error);
    vmnet_client_set_event_callback(f->client, on_event, f);
}

static inline void accept_client(Fixture *f)
{
    UNTIL(f, (f->fd = accept(f->listen_fd, NULL, NULL)) >= 0);
}

static inline void set_up(Fixture *f, gconstpointer unused)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    f->dir = g_dir_make_tmp("vmnet-client-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "sock", NULL);
    g_setenv("VMNET_SOCKET", f->path, TRUE);
    g_setenv("XDG_RUNTIME_DIR", f->dir, TRUE);
    g_setenv("XDG_STATE_HOME", f->dir, TRUE);
    f->in = g_string_new(NULL);
    f->fd = f->sent_fd = -1;
    f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    g_strlcpy(addr.sun_path, f->path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(f->listen_fd, (void *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(f->listen_fd, 8), ==, 0);
}

static inline void set_up_connected(Fixture *f, gconstpointer unused)
{
    set_up(f, NULL);
    connect_client(f, VMNET_CONNECT_EXISTING, PATIENCE_MS);
    accept_client(f);
    say(f, GREETING);
    expect(f, "qmp_capabilities");
    say(f, "{\"return\": {}}\r\n");
    UNTIL(f, f->n_connected == 1);
}

static inline void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static inline void tear_down(Fixture *f, gconstpointer unused)
{
    vmnet_client_unref(f->client);
    close_fd(f->fd);
    close_fd(f->sent_fd);
    close_fd(f->listen_fd);
    g_unlink(f->path);
    g_rmdir(f->dir);
    g_string_free(f->in, TRUE);
    g_free(f->dir);
    g_free(f->path);
    g_free(f->lost);
    g_free(f->event);
    g_free(f->data);
}

/* A test of @f's daemon, under /@group/. */
#define TEST(group, name, up) \
    g_test_add("/" group "/" #name, Fixture, NULL, up, test_##name, tear_down)

#endif
