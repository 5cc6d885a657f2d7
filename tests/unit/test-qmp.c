/*
 * QMP: bytes in, bytes out, as QEMU's monitor has them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/qmp.h"
#include "limits.h"
#include "qapi/qapi-error.h"

#define GREETING "{\"QMP\": {\"capabilities\": []}}\r\n"
#define NEGOTIATED GREETING "{\"return\": {}}\r\n"

/* A session, and the other end of its socket. */
typedef struct Peer {
    Loop *loop;
    QmpSession *session;
    int fd;
    bool closed;
    unsigned n_echo;
    unsigned n_caught_up;
    uint64_t n_lost;
    GString *got;
} Peer;

static void on_closed(void *opaque)
{
    Peer *peer = opaque;

    peer->closed = true;
    g_clear_pointer(&peer->session, qmp_session_free);
}

static void on_caught_up(void *opaque, uint64_t n_lost)
{
    Peer *peer = opaque;

    peer->n_caught_up++;
    peer->n_lost += n_lost;
    qmp_session_send_event(peer->session, "{\"event\": \"lost\"}");
}

static bool cmd_negotiate(void *session, const JsonValue *args, JsonValue **ret,
                          GError **error)
{
    Peer *peer = session;
    QMPCapabilityList oob = { .value = QMP_CAPABILITY_OOB };

    return qmp_session_negotiate(peer->session,
                                 json_dict_get(args, "enable") ? &oob : NULL,
                                 error);
}

/* Returns its arguments; fails if they have a member "fail". */
static bool cmd_echo(void *session, const JsonValue *args, JsonValue **ret,
                     GError **error)
{
    Peer *peer = session;

    peer->n_echo++;
    if (json_dict_get(args, "fail")) {
        g_set_error_literal(error, QAPI_ERROR, QAPI_ERROR_DEVICE_NOT_FOUND,
                            "Device 'x' not found");
        return false;
    }
    *ret = json_ref((JsonValue *)args);
    return true;
}

static bool cmd_quit(void *session, const JsonValue *args, JsonValue **ret,
                     GError **error)
{
    qmp_session_stop(((Peer *)session)->session);
    return true;
}

static const QmpCommand commands[] = {
    { "qmp_capabilities", cmd_negotiate, 0 },
    { "echo", cmd_echo, 0 },
    { "quit", cmd_quit, 0 },
    { NULL, NULL, 0 },
};

static void peer_open(Peer *peer)
{
    g_autoptr(JsonValue) greeting = json_dict();
    QmpSessionConfig config = {
        .commands = commands,
        .greeting = greeting,
        .client = peer,
        .closed = on_closed,
        .caught_up = on_caught_up,
    };
    int fds[2];

    memset(peer, 0, sizeof(*peer));
    peer->got = g_string_new(NULL);
    peer->loop = loop_new(NULL, NULL);
    g_assert_nonnull(peer->loop);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK
                               | SOCK_CLOEXEC, 0, fds), ==, 0);
    peer->fd = fds[0];
    config.loop = peer->loop;
    config.fd = fds[1];
    json_dict_set(greeting, "capabilities", json_list());
    peer->session = qmp_session_new(&config, NULL);
    g_assert_nonnull(peer->session);
}

/* Let the session do what it can, and take what it says. */
static void peer_run(Peer *peer)
{
    char data[65536];
    ssize_t n;

    do {
        while (g_main_context_iteration(NULL, FALSE)) {
            continue;
        }
        n = recv(peer->fd, data, sizeof(data), MSG_DONTWAIT);
        if (n > 0) {
            g_string_append_len(peer->got, data, n);
        }
    } while (n > 0);
}

static void peer_send(Peer *peer, const char *text)
{
    g_assert_cmpint(send(peer->fd, text, strlen(text), MSG_NOSIGNAL), ==,
                    (ssize_t)strlen(text));
    peer_run(peer);
}

static void peer_expect(Peer *peer, const char *text)
{
    g_assert_cmpstr(peer->got->str, ==, text);
    g_string_truncate(peer->got, 0);
}

static void peer_negotiate(Peer *peer)
{
    peer_send(peer, "{'execute': 'qmp_capabilities'}");
    peer_expect(peer, NEGOTIATED);
}

static void peer_close(Peer *peer)
{
    if (peer->fd >= 0) {
        close(peer->fd);
    }
    while (g_main_context_iteration(NULL, FALSE)) {
        continue;
    }
    qmp_session_free(peer->session);
    loop_free(peer->loop);
    g_string_free(peer->got, TRUE);
}

static void test_greeting(void)
{
    Peer peer;

    peer_open(&peer);
    peer_run(&peer);
    peer_expect(&peer, GREETING);
    peer_close(&peer);
    g_assert_true(peer.closed);
}

static void test_negotiation(void)
{
    Peer peer;

    peer_open(&peer);
    qmp_session_send_event(peer.session, "{\"event\": \"EARLY\"}");
    peer_send(&peer, "{'execute': 'echo', 'id': 1}");
    peer_expect(&peer, GREETING "{\"id\": 1, \"error\": {\"class\": "
                "\"CommandNotFound\", \"desc\": \"Expecting capabilities "
                "negotiation with 'qmp_capabilities'\"}}\r\n");
    peer_send(&peer, "{'execute': 'qmp_capabilities', "
              "'arguments': {'enable': ['oob']}}");
    peer_expect(&peer, "{\"error\": {\"class\": \"GenericError\", \"desc\": "
                "\"Capability oob not available\"}}\r\n");
    peer_send(&peer, "{'execute': 'qmp_capabilities'}");
    peer_expect(&peer, "{\"return\": {}}\r\n");
    peer_send(&peer, "{'execute': 'qmp_capabilities'}");
    peer_expect(&peer, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
                "\"Capabilities negotiation is already complete, command "
                "ignored\"}}\r\n");
    qmp_session_send_event(peer.session, "{\"event\": \"LATE\"}");
    peer_run(&peer);
    peer_expect(&peer, "{\"event\": \"LATE\"}\r\n");
    peer_close(&peer);
}

#define ERROR(text) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" \
    text "\"}}\r\n"

/* Input after negotiation, and the answer of QEMU 7.2. */
static const struct {
    const char *in, *out;
} conversations[] = {
    { "[]", ERROR("QMP input must be a JSON object") },
    { "1 ", ERROR("QMP input must be a JSON object") },
    { "\"text\"", ERROR("QMP input must be a JSON object") },
    { "{}", ERROR("QMP input lacks member 'execute'") },
    { "{'foo': 1}", ERROR("QMP input member 'foo' is unexpected") },
    { "{'exec-oob': 'echo'}",
      ERROR("QMP input member 'exec-oob' is unexpected") },
    { "{'execute': 1}", ERROR("QMP input member 'execute' must be a string") },
    { "{'execute': 'echo', 'arguments': []}",
      ERROR("QMP input member 'arguments' must be an object") },
    { "{'execute': null, 'id': null}",
      "{\"id\": null, \"error\": {\"class\": \"GenericError\", \"desc\": "
      "\"QMP input member 'execute' must be a string\"}}\r\n" },
    { "{'execute': 'nosuch', 'id': {'a': [true, \"\xc3\xa9\"]}}",
      "{\"id\": {\"a\": [true, \"\\u00E9\"]}, \"error\": {\"class\": "
      "\"CommandNotFound\", \"desc\": \"The command nosuch has not been "
      "found\"}}\r\n" },
    { "{'execute': 'echo', 'arguments': {'fail': 1}}",
      "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": "
      "\"Device 'x' not found\"}}\r\n" },
    { "{'execute': 'echo', 'id': 'a'}{'execute': 'echo', 'id': 'b'}",
      "{\"return\": {}, \"id\": \"a\"}\r\n"
      "{\"return\": {}, \"id\": \"b\"}\r\n" },
    { "{'execute': 'echo', 'id': -0.50e1}",
      "{\"return\": {}, \"id\": -0.50e1}\r\n" },
    { "{'a': 1, 'a': 2}", ERROR("JSON parse error, duplicate key") },
    { "{'execute': 'echo'}junk\n",
      "{\"return\": {}}\r\n"
      ERROR("JSON parse error, invalid keyword 'junk'") },
};

static void test_conversations(void)
{
    Peer peer;
    size_t i;

    peer_open(&peer);
    peer_negotiate(&peer);
    for (i = 0; i < G_N_ELEMENTS(conversations); i++) {
        peer_send(&peer, conversations[i].in);
        peer_expect(&peer, conversations[i].out);
    }
    peer_close(&peer);
}

static void test_byte_by_byte(void)
{
    const char text[] = "{'execute': 'echo', 'id': 7}";
    Peer peer;
    size_t i;

    peer_open(&peer);
    peer_negotiate(&peer);
    for (i = 0; i < strlen(text); i++) {
        char byte[2] = { text[i], '\0' };

        peer_expect(&peer, "");
        peer_send(&peer, byte);
    }
    peer_expect(&peer, "{\"return\": {}, \"id\": 7}\r\n");
    peer_close(&peer);
}

static void test_stop(void)
{
    Peer peer;

    peer_open(&peer);
    peer_negotiate(&peer);
    peer_send(&peer, "{'execute': 'quit'}{'execute': 'echo'}");
    peer_send(&peer, "{'execute': 'echo'}");
    peer_expect(&peer, "{\"return\": {}}\r\n");
    g_assert_cmpuint(peer.n_echo, ==, 0);
    peer_close(&peer);
}

static void send_fds(Peer *peer, unsigned n)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * 64)];
    } control;
    char byte = ' ';
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
        .msg_controllen = CMSG_SPACE(sizeof(int) * n),
    };
    struct cmsghdr *cmsg;
    unsigned i;

    memset(&control, 0, sizeof(control));
    cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n);
    for (i = 0; i < n; i++) {
        memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &peer->fd, sizeof(int));
    }
    g_assert_cmpint(sendmsg(peer->fd, &msg, 0), ==, 1);
    peer_run(peer);
}

static unsigned count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    return n;
}

/* The first of a message; the others, and those nobody took, are closed. */
static void test_descriptors(void)
{
    unsigned before;
    Peer peer;
    int fd;

    peer_open(&peer);
    peer_negotiate(&peer);
    before = count_fds();
    g_assert_cmpint(qmp_session_take_fd(peer.session), ==, -1);
    send_fds(&peer, 3);
    g_assert_cmpuint(count_fds(), ==, before + 3);
    send_fds(&peer, 2);
    g_assert_cmpuint(count_fds(), ==, before + 2);
    fd = qmp_session_take_fd(peer.session);
    g_assert_cmpint(fd, >=, 0);
    g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    g_assert_cmpuint(count_fds(), ==, before + 1);
    g_assert_cmpint(qmp_session_take_fd(peer.session), ==, -1);
    close(fd);
    send_fds(&peer, 64);
    g_assert_cmpuint(count_fds(), <=, before + LIMIT_CLIENT_FDS);
    peer_close(&peer);
    g_assert_cmpuint(count_fds(), <, before);
}

static void test_events_lost(void)
{
    g_autofree char *line = g_strnfill(64 * 1024, 'x');
    Peer peer;
    unsigned i;

    peer_open(&peer);
    peer_negotiate(&peer);
    for (i = 0; i < 64; i++) {
        qmp_session_send_event(peer.session, line);
    }
    g_assert_cmpuint(qmp_session_events_lost(peer.session), >, 0);
    peer_run(&peer);
    g_assert_cmpuint(peer.got->len, <, 64 * 64 * 1024);
    g_assert_cmpuint(peer.got->len % (64 * 1024 + 2), ==,
                     strlen("{\"event\": \"lost\"}\r\n"));
    g_assert_true(g_str_has_suffix(peer.got->str,
                                   "x\r\n{\"event\": \"lost\"}\r\n"));
    g_assert_cmpuint(peer.n_caught_up, ==, 1);
    g_assert_cmpuint(peer.n_lost, ==, qmp_session_events_lost(peer.session));
    g_string_truncate(peer.got, 0);
    peer_send(&peer, "{'execute': 'echo'}");
    peer_expect(&peer, "{\"return\": {}}\r\n");
    peer_close(&peer);
}

/* A client that asks and does not read is not read either. */
static void test_suspends_reading(void)
{
    g_autofree char *text = g_strnfill(32 * 1024, 'x');
    g_autofree char *request = g_strdup_printf(
        "{'execute': 'echo', 'arguments': {'a': '%s'}}", text);
    unsigned sent = 0, idle = 0;
    size_t pos = 0;
    Peer peer;

    peer_open(&peer);
    peer_negotiate(&peer);
    while (idle < 100) {
        ssize_t n = send(peer.fd, request + pos, strlen(request) - pos,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            pos += n;
            idle = 0;
        } else {
            idle++;
        }
        if (pos == strlen(request)) {
            pos = 0;
            sent++;
        }
        g_assert_cmpuint(sent, <, 1000);
        g_main_context_iteration(NULL, FALSE);
    }
    g_assert_cmpuint(peer.n_echo, <, sent);
    peer_run(&peer);
    g_assert_cmpuint(peer.n_echo, ==, sent);
    peer_close(&peer);
}

/* What nobody waits for is not done: it could hold everybody else up. */
static void test_gone(void)
{
    const char text[] = "{'execute': 'echo'}{'execute': 'echo'}";
    Peer peer;

    peer_open(&peer);
    peer_negotiate(&peer);
    g_assert_cmpint(send(peer.fd, text, strlen(text), MSG_NOSIGNAL), >, 0);
    close(peer.fd);
    peer.fd = -1;
    while (!peer.closed) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_cmpuint(peer.n_echo, ==, 1);
    peer_close(&peer);
}

static void test_too_large(void)
{
    g_autofree char *text = g_strnfill(64 * 1024, 'x');
    unsigned i;
    Peer peer;

    peer_open(&peer);
    peer_negotiate(&peer);
    peer_send(&peer, "{'execute': 'echo', 'id': '");
    for (i = 0; i < LIMIT_REQUEST_BYTES / (64 * 1024) + 1; i++) {
        peer_send(&peer, text);
    }
    g_assert_nonnull(strstr(peer.got->str, "JSON"));
    g_string_truncate(peer.got, 0);
    peer_send(&peer, "'}\n");
    g_string_truncate(peer.got, 0);
    peer_send(&peer, "\xff{'execute': 'echo', 'id': 1}");
    g_assert_true(g_str_has_suffix(peer.got->str,
                                   "{\"return\": {}, \"id\": 1}\r\n"));
    peer_close(&peer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/greets", test_greeting);
    g_test_add_func("/qmp/negotiates-once", test_negotiation);
    g_test_add_func("/qmp/answers-as-qemu", test_conversations);
    g_test_add_func("/qmp/takes-single-bytes", test_byte_by_byte);
    g_test_add_func("/qmp/quit-ends-input", test_stop);
    g_test_add_func("/qmp/descriptors-are-bounded", test_descriptors);
    g_test_add_func("/qmp/events-are-lost-not-kept", test_events_lost);
    g_test_add_func("/qmp/suspends-reading", test_suspends_reading);
    g_test_add_func("/qmp/end-of-who-is-gone", test_gone);
    g_test_add_func("/qmp/request-too-large", test_too_large);
    return g_test_run();
}
