/*
 * A client and a daemon that lies: the test is the daemon
 *
 * Nothing in a client waits, so that both sides live in one thread: the test
 * says something, dispatches the client, and looks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
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

static void say(Fixture *f, const char *text)
{
    g_assert_cmpint(send(f->fd, text, strlen(text), MSG_NOSIGNAL), ==,
                    strlen(text));
}

static void take_fd(Fixture *f, struct msghdr *msg)
{
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

    if (cmsg && cmsg->cmsg_type == SCM_RIGHTS) {
        memcpy(&f->sent_fd, CMSG_DATA(cmsg), sizeof(int));
    }
}

/* What the client asks: (transfer full); NULL if nothing has come yet */
static JsonValue *heard(Fixture *f)
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

static void turn(Fixture *f)
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
static gint64 expect(Fixture *f, const char *command)
{
    g_autoptr(JsonValue) request = NULL;
    int64_t id = -1;

    UNTIL(f, (request = heard(f)));
    g_assert_cmpstr(json_dict_get_string(request, "execute"), ==, command);
    json_dict_get_int(request, "id", &id);
    return id;
}

static void answer(Fixture *f, gint64 id, const char *what)
{
    g_autofree char *text = g_strdup_printf(
        "{%s, \"id\": %" G_GINT64_FORMAT "}\r\n", what, id);

    say(f, text);
}

static void expect_and_answer(Fixture *f, const char *command,
                              const char *what)
{
    answer(f, expect(f, command), what);
}

/* The client */

static void on_state(VmnetClient *client, VmnetClientState state,
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

static void on_event(VmnetClient *client, const char *event, const char *data,
                     gpointer opaque)
{
    Fixture *f = opaque;

    f->n_events++;
    g_free(f->event);
    g_free(f->data);
    f->event = g_strdup(event);
    f->data = g_strdup(data);
}

static void connect_client(Fixture *f, VmnetConnectFlags flags, int timeout_ms)
{
    g_autoptr(GError) error = NULL;

    f->client = vmnet_client_connect_async(flags, timeout_ms, on_state, f,
                                           &error);
    g_assert_no_error(error);
    vmnet_client_set_event_callback(f->client, on_event, f);
}

static void accept_client(Fixture *f)
{
    UNTIL(f, (f->fd = accept(f->listen_fd, NULL, NULL)) >= 0);
}

static void set_up(Fixture *f, gconstpointer unused)
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

static void set_up_connected(Fixture *f, gconstpointer unused)
{
    set_up(f, NULL);
    connect_client(f, VMNET_CONNECT_EXISTING, PATIENCE_MS);
    accept_client(f);
    say(f, GREETING);
    expect(f, "qmp_capabilities");
    say(f, "{\"return\": {}}\r\n");
    UNTIL(f, f->n_connected == 1);
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void tear_down(Fixture *f, gconstpointer unused)
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

/* Connecting */

static void test_connects_and_is_lost(Fixture *f, gconstpointer unused)
{
    g_assert_cmpstr(vmnet_client_get_version(f->client), ==, "1.2.3");
    close(f->fd);
    f->fd = -1;
    UNTIL(f, f->n_lost == 1);
    g_assert_false(vmnet_client_dispatch(f->client));
    g_assert_cmpuint(f->n_connected, ==, 1);
    g_assert_cmpuint(f->n_lost, ==, 1);
    g_assert_nonnull(strstr(f->lost, "closed the connection"));
}

static void test_bytes_come_one_by_one(Fixture *f, gconstpointer unused)
{
    const char *p;

    connect_client(f, VMNET_CONNECT_EXISTING, PATIENCE_MS);
    accept_client(f);
    for (p = GREETING; *p; p++) {
        char byte[2] = { *p };

        say(f, byte);
        vmnet_client_dispatch(f->client);
    }
    expect(f, "qmp_capabilities");
    say(f, "{\"return\": {}}");
    UNTIL(f, f->n_connected == 1);
}

static void test_nobody_listens(Fixture *f, gconstpointer unused)
{
    close(f->listen_fd);
    f->listen_fd = -1;
    connect_client(f, VMNET_CONNECT_EXISTING, PATIENCE_MS);
    g_assert_cmpuint(f->n_lost, ==, 0);     /* not from the call itself */
    UNTIL(f, f->n_lost == 1);
    g_assert_nonnull(strstr(f->lost, "no vmnetd runs"));
}

static void test_silence_ends_in_time(Fixture *f, gconstpointer unused)
{
    gint64 begun_us = g_get_monotonic_time();

    connect_client(f, VMNET_CONNECT_START, 150);
    accept_client(f);
    UNTIL(f, f->n_lost == 1);
    g_assert_nonnull(strstr(f->lost, "does not answer"));
    g_assert_cmpint(g_get_monotonic_time() - begun_us, >=, 150 * 1000);
}

static void test_backlog_ends_in_time(Fixture *f, gconstpointer unused)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fds[64], i;

    g_strlcpy(addr.sun_path, f->path, sizeof(addr.sun_path));
    for (i = 0; i < (int)G_N_ELEMENTS(fds); i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fds[i], (void *)&addr, sizeof(addr));
    }
    connect_client(f, VMNET_CONNECT_START, 100);
    UNTIL(f, f->n_lost == 1);
    for (i = 0; i < (int)G_N_ELEMENTS(fds); i++) {
        close(fds[i]);
    }
}

static const struct {
    const char *says, *error;
} false_greetings[] = {
    { "SSH-2.0-OpenSSH\r\n", "does not speak QMP" },
    { "\"", NULL },
    { "{}", "is not vmnetd" },
    { "[]", "is not vmnetd" },
    { "7 ", "is not vmnetd" },
    { "{\"QMP\": 1}", NULL },
    { "{\"QMP\": {\"version\": {\"protocol\": 2}}}", "protocol 2" },
    { "{\"QMP\": {\"version\": {\"protocol\": \"1\"}}}", "is not vmnetd" },
    { "{\"QMP\": {\"version\": {\"protocol\": 99999999999999999999}}}",
      "is not vmnetd" },
    { "{\"error\": {\"desc\": \"too many clients\"}}", "too many clients" },
    { "{\"error\": 5}", "vmnetd gave no reason" },
};

static void test_false_greetings(Fixture *f, gconstpointer unused)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(false_greetings); i++) {
        f->n_lost = 0;
        g_clear_pointer(&f->lost, g_free);
        connect_client(f, VMNET_CONNECT_EXISTING, 200);
        accept_client(f);
        say(f, false_greetings[i].says);
        UNTIL(f, f->n_lost == 1);
        if (false_greetings[i].error) {
            g_assert_nonnull(strstr(f->lost, false_greetings[i].error));
        }
        g_clear_pointer(&f->client, vmnet_client_unref);
        close(f->fd);
    }
    f->fd = -1;
}

/* Commands */

typedef struct Result {
    unsigned n;
    char *text, *error;
} Result;

static void on_result(VmnetClient *client, const char *result,
                      const GError *error, gpointer opaque)
{
    Result *r = opaque;

    r->n++;
    g_free(r->text);
    g_free(r->error);
    r->text = g_strdup(result);
    r->error = error ? g_strdup(error->message) : NULL;
}

static void result_clear(Result *r)
{
    g_free(r->text);
    g_free(r->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Result, result_clear)

static void ask(Fixture *f, Result *r, int timeout_ms)
{
    g_autoptr(GError) error = NULL;

    vmnet_client_command_async(f->client, "query-x", "{\"a\": 1}", -1,
                               timeout_ms, on_result, r, &error);
    g_assert_no_error(error);
}

static void test_answers_are_told_apart(Fixture *f, gconstpointer unused)
{
    g_auto(Result) a = { 0 }, b = { 0 };
    gint64 id_a, id_b;

    ask(f, &a, PATIENCE_MS);
    ask(f, &b, PATIENCE_MS);
    id_a = expect(f, "query-x");
    id_b = expect(f, "query-x");
    say(f, "{\"return\": 0}{\"return\": 1, \"id\": \"x\"}"
           "{\"return\": 2, \"id\": -5}{\"neither\": 3}[4]");
    answer(f, id_b, "\"return\": \"b\"");
    answer(f, id_b, "\"return\": \"again\"");
    answer(f, id_a, "\"error\": {\"desc\": \"no a\"}");
    UNTIL(f, a.n);
    g_assert_cmpstr(a.error, ==, "no a");
    g_assert_cmpstr(b.text, ==, "\"b\"");
    g_assert_cmpuint(b.n, ==, 1);
}

static void on_status(VmnetClient *client, const char *result,
                      const GError *error, gpointer opaque)
{
    *(int *)opaque = error->code;
}

static void test_status_is_one_of_ours(Fixture *f, gconstpointer unused)
{
    static const struct {
        const char *told;
        int status;
    } cases[] = {
        { "1009", VMNET_SHARING_SERVICE_BUSY }, { "1000", VMNET_FAILURE },
        { "1011", VMNET_FAILURE }, { "-1", VMNET_FAILURE },
        { "1004", VMNET_FAILURE }, { "\"1009\"", VMNET_FAILURE },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf(
            "\"error\": {\"desc\": \"d\", \"status\": %s}", cases[i].told);
        int status = 0;

        vmnet_client_command_async(f->client, "query-x", NULL, -1, PATIENCE_MS,
                                   on_status, &status, NULL);
        expect_and_answer(f, "query-x", text);
        UNTIL(f, status);
        g_assert_cmpint(status, ==, cases[i].status);
    }
}

static void test_late_answer_is_nobodys(Fixture *f, gconstpointer unused)
{
    g_auto(Result) early = { 0 }, late = { 0 };
    gint64 id;

    ask(f, &late, 50);
    id = expect(f, "query-x");
    UNTIL(f, late.n);
    g_assert_nonnull(strstr(late.error, "does not answer"));
    ask(f, &early, PATIENCE_MS);
    answer(f, id, "\"return\": \"late\"");
    expect_and_answer(f, "query-x", "\"return\": \"early\"");
    UNTIL(f, early.n);
    g_assert_cmpstr(early.text, ==, "\"early\"");
    g_assert_cmpuint(late.n, ==, 1);
}

static void test_all_fail_when_it_is_lost(Fixture *f, gconstpointer unused)
{
    g_auto(Result) a = { 0 }, b = { 0 };
    g_autoptr(GError) error = NULL;

    ask(f, &a, PATIENCE_MS);
    ask(f, &b, PATIENCE_MS);
    expect_and_answer(f, "query-x", "\"return\": 1");
    say(f, "{\"event\": \"E\"}}}}garbage");
    UNTIL(f, f->n_lost);
    g_assert_cmpstr(a.text, ==, "1");
    g_assert_nonnull(strstr(b.error, "does not speak QMP"));
    g_assert_cmpuint(f->n_events, ==, 1);
    g_assert_false(vmnet_client_command_async(f->client, "x", NULL, -1, 1,
                                              on_result, &b, &error));
    g_assert_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE);
}

static void test_commands_are_bounded(Fixture *f, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_auto(Result) r = { 0 };
    unsigned n = 0;

    while (vmnet_client_command_async(f->client, "query-x", NULL, -1,
                                      PATIENCE_MS, on_result, &r, &error)) {
        g_assert_cmpuint(++n, <=, 1024);
    }
    g_assert_error(error, VMNET_ERROR, VMNET_BUFFER_EXHAUSTED);
    g_assert_cmpuint(n, ==, 1024);
    g_assert_cmpuint(r.n, ==, 0);
}

static void test_closed_client_is_quiet(Fixture *f, gconstpointer unused)
{
    g_auto(Result) r = { 0 };

    ask(f, &r, 10);
    vmnet_client_close(f->client);
    vmnet_client_close(f->client);
    g_assert_false(vmnet_client_dispatch(f->client));
    g_assert_cmpuint(r.n, ==, 0);
    g_assert_cmpuint(f->n_lost, ==, 0);
}

static void test_unknown_events_pass(Fixture *f, gconstpointer unused)
{
    say(f, "{\"event\": \"NEW_ONE\", \"data\": {\"x\": [1]}, \"more\": 2}");
    UNTIL(f, f->n_events == 1);
    g_assert_cmpstr(f->event, ==, "NEW_ONE");
    g_assert_cmpstr(f->data, ==, "{\"x\": [1]}");
    say(f, "{\"event\": 5}{\"event\": \"BARE\"}");
    UNTIL(f, f->n_events == 2);
    g_assert_cmpstr(f->data, ==, "{}");
}

static void drop_client(VmnetClient *client, const char *result,
                        const GError *error, gpointer opaque)
{
    Fixture *f = opaque;

    g_clear_pointer(&f->client, vmnet_client_unref);
}

static void test_callback_may_drop_the_client(Fixture *f, gconstpointer unused)
{
    VmnetClient *client = f->client;

    vmnet_client_command_async(client, "query-x", NULL, -1, PATIENCE_MS,
                               drop_client, f, NULL);
    vmnet_client_command_async(client, "query-x", NULL, -1, PATIENCE_MS,
                               drop_client, f, NULL);
    expect_and_answer(f, "query-x", "\"return\": {}");
    answer(f, 2, "\"return\": {}");
    while (f->client) {
        turn(f);
    }
}

/* Interfaces */

typedef struct Started {
    unsigned n;
    char *error;
} Started;

static void on_started(VmnetInterface *interface, const GError *error,
                       gpointer opaque)
{
    Started *s = opaque;

    s->n++;
    s->error = error ? g_strdup(error->message) : NULL;
}

static VmnetInterface *start(Fixture *f, Started *s, int timeout_ms)
{
    g_autoptr(GError) error = NULL;
    VmnetInterface *interface = vmnet_interface_start_async(
        f->client, "vmnet-shared,id=n0", VMNET_PORT_PACKETS, 0, 0, timeout_ms,
        on_started, s, &error);

    g_assert_no_error(error);
    return interface;
}

static void serve_start(Fixture *f, const char *netdevs)
{
    expect_and_answer(f, "netdev_add", "\"return\": {}");
    expect_and_answer(f, "getfd", "\"return\": {}");
    g_assert_cmpint(f->sent_fd, >=, 0);
    expect_and_answer(f, "export-add", "\"return\": {\"path\": 5}");
    expect_and_answer(f, "query-netdevs", netdevs);
}

#define NETDEVS "\"return\": [{\"id\": \"1/n0\"}, {\"id\": \"n0\", " \
                "\"mtu\": 1500, \"network\": \"shared\", \"mac\": 7}]"

static void test_options_are_checked_at_once(Fixture *f, gconstpointer unused)
{
    static const char *const wrong[] = {
        "", "vmnet-shared", "vmnet-nosuch,id=a", "vmnet-shared,id=a,x=y", "{",
        "{\"type\": \"vmnet-shared\"}", "vmnet-bridged,id=a",
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(vmnet_interface_start_async(
                          f->client, wrong[i], VMNET_PORT_PACKETS, 0, 0, 1,
                          NULL, NULL, &error));
        g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT);
    }
    g_assert_null(heard(f));
}

static void test_lies_about_a_netdev(Fixture *f, gconstpointer unused)
{
    static const char *const lies[] = {
        "\"return\": []", "\"return\": \"\"", "\"return\": {\"id\": \"n0\"}",
        "\"return\": [1, null, {\"id\": 5}]",
        "\"return\": [{\"id\": \"n0\", \"mtu\": -1}]",
        "\"return\": [{\"id\": \"n0\", \"mtu\": 4294967296}]",
        "\"return\": [{\"id\": \"n0\"}]",
        "\"error\": {\"desc\": \"no\"}",
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(lies); i++) {
        Started s = { 0 };
        g_autoptr(VmnetInterface) interface = start(f, &s, PATIENCE_MS);

        serve_start(f, lies[i]);
        expect_and_answer(f, "netdev_del", "\"return\": {}");
        g_assert_cmpuint(s.n, ==, 1);
        g_assert_nonnull(s.error);
        g_assert_cmpint(vmnet_interface_get_state(interface), ==,
                        VMNET_INTERFACE_GONE);
        g_free(s.error);
        close(f->sent_fd);
        f->sent_fd = -1;
    }
}

/* Too late is not never: what it makes yet is taken back, and only that. */
static void test_late_netdev_is_taken_back(Fixture *f, gconstpointer unused)
{
    Started a = { 0 }, b = { 0 };
    g_autoptr(VmnetInterface) first = start(f, &a, 30), second = NULL;
    gint64 id = expect(f, "netdev_add");

    UNTIL(f, a.n);
    answer(f, id, "\"return\": {}");
    expect(f, "netdev_del");

    second = start(f, &b, 30);
    id = expect(f, "netdev_add");
    g_clear_pointer(&second, vmnet_interface_unref);
    answer(f, id, "\"error\": {\"desc\": \"Duplicate ID 'n0'\"}");
    say(f, "{\"event\": \"MARK\"}");
    UNTIL(f, f->n_events == 1);
    g_assert_null(heard(f));
    g_assert_cmpuint(b.n, ==, 0);
    g_free(a.error);
}

/* Packets */

typedef struct Packets {
    unsigned n_room, n_lost, n_available;
} Packets;

static void on_packets(VmnetInterface *interface, VmnetInterfaceEvents events,
                       guint64 n_estimated, gpointer opaque)
{
    Packets *p = opaque;

    g_assert_cmpuint(n_estimated, >=, 1);
    p->n_available += !!(events & VMNET_INTERFACE_PACKETS_AVAILABLE);
    p->n_room += !!(events & VMNET_INTERFACE_ROOM_AVAILABLE);
    p->n_lost += !!(events & VMNET_INTERFACE_LOST);
}

static VmnetInterface *run_interface(Fixture *f, Packets *p)
{
    Started s = { 0 };
    VmnetInterface *interface = start(f, &s, PATIENCE_MS);

    serve_start(f, NETDEVS);
    UNTIL(f, s.n);
    g_assert_null(s.error);
    g_assert_cmpuint(vmnet_interface_get_max_packet_size(interface), ==, 1518);
    vmnet_interface_set_event_callback(interface,
                                       VMNET_INTERFACE_PACKETS_AVAILABLE |
                                       VMNET_INTERFACE_ROOM_AVAILABLE |
                                       VMNET_INTERFACE_LOST, on_packets, p);
    return interface;
}

static gboolean await(VmnetInterface *interface, int timeout_ms)
{
    struct pollfd pfd = { vmnet_interface_get_fd(interface), POLLIN, 0 };

    return poll(&pfd, 1, timeout_ms) > 0 && vmnet_interface_dispatch(interface);
}

#define N_BUFFERS 8

typedef struct Buffers {
    guint8 memory[N_BUFFERS][1518];
    struct iovec iov[N_BUFFERS];
    VmnetPacket packets[N_BUFFERS];
} Buffers;

static guint read_all(VmnetInterface *interface, Buffers *b)
{
    g_autoptr(GError) error = NULL;
    guint i, n = N_BUFFERS;

    for (i = 0; i < N_BUFFERS; i++) {
        b->iov[i] = (struct iovec){ b->memory[i], sizeof(b->memory[i]) };
        b->packets[i] = (VmnetPacket){ &b->iov[i], 1, 0 };
    }
    g_assert_true(vmnet_interface_read(interface, b->packets, &n, &error));
    g_assert_no_error(error);
    return n;
}

static void test_odd_packets_are_dropped(Fixture *f, gconstpointer unused)
{
    Packets p = { 0 };
    g_autoptr(VmnetInterface) interface = run_interface(f, &p);
    g_autofree char *giant = g_malloc0(70000);
    Buffers b;

    giant[0] = 'a';
    g_assert_cmpint(send(f->sent_fd, giant, 1518, 0), ==, 1518);
    g_assert_cmpint(send(f->sent_fd, giant, 1519, 0), ==, 1519);
    g_assert_cmpint(send(f->sent_fd, giant, 13, 0), ==, 13);
    g_assert_cmpint(send(f->sent_fd, giant, 70000, 0), ==, 70000);
    giant[0] = 'b';
    g_assert_cmpint(send(f->sent_fd, giant, 14, 0), ==, 14);
    g_assert_true(await(interface, PATIENCE_MS));
    g_assert_cmpuint(read_all(interface, &b), ==, 2);
    g_assert_cmpuint(b.packets[0].size, ==, 1518);
    g_assert_cmpint(*(char *)b.packets[0].iov->iov_base, ==, 'a');
    g_assert_cmpuint(b.packets[1].size, ==, 14);
    g_assert_cmpint(*(char *)b.packets[1].iov->iov_base, ==, 'b');
    g_assert_cmpuint(vmnet_interface_get_n_dropped(interface), ==, 3);
    g_assert_cmpuint(read_all(interface, &b), ==, 0);
    g_assert_false(await(interface, 0));
    g_assert_cmpuint(p.n_available, ==, 1);
}

static void test_end_comes_after_the_packets(Fixture *f, gconstpointer unused)
{
    Packets p = { 0 };
    g_autoptr(VmnetInterface) interface = run_interface(f, &p);
    g_autoptr(GError) error = NULL;
    guint n = 1;
    Buffers b;

    g_assert_cmpint(send(f->sent_fd, GREETING, 60, 0), ==, 60);
    close(f->sent_fd);
    f->sent_fd = -1;
    g_assert_true(await(interface, PATIENCE_MS));
    g_assert_cmpuint(read_all(interface, &b), ==, 1);
    g_assert_cmpuint(p.n_lost, ==, 0);
    g_assert_false(vmnet_interface_read(interface, b.packets, &n, &error));
    g_assert_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE);
    g_assert_false(await(interface, PATIENCE_MS));
    g_assert_cmpuint(p.n_lost, ==, 1);
    g_assert_false(await(interface, 0));        /* no more a reason to wake */
    g_assert_cmpuint(p.n_lost, ==, 1);
    g_assert_cmpint(vmnet_interface_get_state(interface), ==,
                    VMNET_INTERFACE_GONE);
}

static guint fill(VmnetInterface *interface, VmnetPacket *packet)
{
    guint total = 0, n;

    do {
        g_autoptr(GError) error = NULL;

        n = 1;
        g_assert_true(vmnet_interface_write(interface, packet, &n, &error));
        total += n;
        g_assert_cmpuint(total, <, 1000000);
    } while (n);
    return total;
}

static void test_full_is_not_gone(Fixture *f, gconstpointer unused)
{
    Packets p = { 0 };
    g_autoptr(VmnetInterface) interface = run_interface(f, &p);
    g_autoptr(GError) error = NULL;
    char memory[1518] = "";
    struct iovec iov[2] = { { memory, 18 }, { memory + 18, 1500 } };
    VmnetPacket packet = { iov, 2, sizeof(memory) };
    guint n = fill(interface, &packet);

    while (n--) {
        g_assert_cmpint(recv(f->sent_fd, memory, sizeof(memory), 0), ==, 1518);
    }
    g_assert_true(await(interface, PATIENCE_MS));
    g_assert_cmpuint(p.n_room, ==, 1);
    g_assert_false(await(interface, 0));
    n = 1;
    g_assert_true(vmnet_interface_write(interface, &packet, &n, &error));
    g_assert_cmpuint(n, ==, 1);
    close(f->sent_fd);
    f->sent_fd = -1;
    g_assert_false(vmnet_interface_write(interface, &packet, &n, &error));
    g_assert_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE);
}

/* Three quarters of the buffer free is too late to be told: see the timer. */
static void test_little_room_is_told(Fixture *f, gconstpointer unused)
{
    Packets p = { 0 };
    g_autoptr(VmnetInterface) interface = run_interface(f, &p);
    char memory[1518] = "";
    struct iovec iov = { memory, sizeof(memory) };
    VmnetPacket packet = { &iov, 1, sizeof(memory) };
    guint n = fill(interface, &packet);

    g_assert_cmpuint(n, >, 8);
    g_assert_cmpint(recv(f->sent_fd, memory, sizeof(memory), 0), ==, 1518);
    g_assert_true(await(interface, PATIENCE_MS));
    g_assert_cmpuint(p.n_room, ==, 1);
    g_assert_cmpuint(fill(interface, &packet), >=, 1);
}

static void test_masked_events_wake_nobody(Fixture *f, gconstpointer unused)
{
    Packets p = { 0 };
    g_autoptr(VmnetInterface) interface = run_interface(f, &p);

    vmnet_interface_set_event_callback(interface, 0, on_packets, &p);
    g_assert_cmpint(send(f->sent_fd, GREETING, 60, 0), ==, 60);
    g_assert_false(await(interface, 20));
    vmnet_interface_set_event_callback(interface,
                                       VMNET_INTERFACE_PACKETS_AVAILABLE,
                                       on_packets, &p);
    g_assert_true(await(interface, PATIENCE_MS));
    g_assert_cmpuint(p.n_available, ==, 1);
}

static void test_batches_are_checked(Fixture *f, gconstpointer unused)
{
    Packets p = { 0 };
    g_autoptr(VmnetInterface) interface = run_interface(f, &p);
    char memory[1519] = "";
    struct iovec iov = { memory, sizeof(memory) };
    VmnetPacket good = { &iov, 1, 60 };
    const struct {
        VmnetPacket packet;
        guint n;
        VmnetStatus status;
    } wrong[] = {
        { { &iov, 1, 1519 }, 2, VMNET_PACKET_TOO_BIG },
        { { &iov, 1, 13 }, 2, VMNET_INVALID_ARGUMENT },
        { { &iov, 0, 60 }, 2, VMNET_INVALID_ARGUMENT },
        { { &iov, 1025, 60 }, 2, VMNET_INVALID_ARGUMENT },
        { { &iov, 1, 60 }, 0, VMNET_INVALID_ARGUMENT },
        { { &iov, 1, 60 }, 257, VMNET_TOO_MANY_PACKETS },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        VmnetPacket packets[] = { good, wrong[i].packet };
        guint n = wrong[i].n;

        g_assert_false(vmnet_interface_write(interface, packets, &n, &error));
        g_assert_error(error, VMNET_ERROR, (int)wrong[i].status);
        g_assert_cmpint(recv(f->sent_fd, memory, 1, MSG_DONTWAIT), <, 0);
    }
}

#define TEST(name, up) \
    g_test_add("/client/" #name, Fixture, NULL, up, test_##name, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(connects_and_is_lost, set_up_connected);
    TEST(bytes_come_one_by_one, set_up);
    TEST(nobody_listens, set_up);
    TEST(silence_ends_in_time, set_up);
    TEST(backlog_ends_in_time, set_up);
    TEST(false_greetings, set_up);
    TEST(answers_are_told_apart, set_up_connected);
    TEST(status_is_one_of_ours, set_up_connected);
    TEST(late_answer_is_nobodys, set_up_connected);
    TEST(all_fail_when_it_is_lost, set_up_connected);
    TEST(commands_are_bounded, set_up_connected);
    TEST(closed_client_is_quiet, set_up_connected);
    TEST(unknown_events_pass, set_up_connected);
    TEST(callback_may_drop_the_client, set_up_connected);
    TEST(options_are_checked_at_once, set_up_connected);
    TEST(lies_about_a_netdev, set_up_connected);
    TEST(late_netdev_is_taken_back, set_up_connected);
    TEST(odd_packets_are_dropped, set_up_connected);
    TEST(end_comes_after_the_packets, set_up_connected);
    TEST(full_is_not_gone, set_up_connected);
    TEST(little_room_is_told, set_up_connected);
    TEST(masked_events_wake_nobody, set_up_connected);
    TEST(batches_are_checked, set_up_connected);
    return g_test_run();
}
