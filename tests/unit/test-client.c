/*
 * A client and a daemon that lies: the test is the daemon
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "client-daemon.h"
#include "libvmnet/paths.h"

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

/* Not even the user's own, which the state directory leads to. */
static void test_system_instance_only(Fixture *f, gconstpointer unused)
{
    g_autofree char *none = g_build_filename(f->dir, "none", NULL);
    g_autofree char *state = g_build_filename(f->dir, "vmnet", NULL);
    g_autofree char *lock = g_build_filename(state, "lock", NULL);
    g_autofree char *holder = NULL;
    int fd;

    g_assert_cmpint(g_mkdir(state, 0700), ==, 0);
    fd = vmnet_paths_state_lock(state, f->path, &holder, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_setenv("VMNET_SOCKET", none, TRUE);
    connect_client(f, VMNET_CONNECT_SYSTEM, PATIENCE_MS);
    UNTIL(f, f->n_lost == 1);
    g_assert_nonnull(strstr(f->lost, "the system instance of vmnetd does not "
                            "run"));
    g_assert_nonnull(strstr(f->lost, none));
    g_clear_pointer(&f->client, vmnet_client_unref);
    connect_client(f, VMNET_CONNECT_EXISTING, PATIENCE_MS);
    accept_client(f);
    close_fd(fd);
    g_unlink(lock);
    g_rmdir(state);
}

/* As root others' files are open: this is nobody for a while. */
static void test_system_instance_of_others(Fixture *f, gconstpointer unused)
{
    bool is_root = geteuid() == 0;

    g_assert_cmpint(chmod(f->path, 0), ==, 0);
    if (is_root) {
        g_assert_cmpint(seteuid(65534), ==, 0);
    }
    connect_client(f, VMNET_CONNECT_SYSTEM, PATIENCE_MS);
    UNTIL(f, f->n_lost == 1);
    if (is_root) {
        g_assert_cmpint(seteuid(0), ==, 0);
    }
    g_assert_nonnull(strstr(f->lost, "'vmnetd --group'"));
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

/* Networks */

#define NETWORK "\"return\": {\"name\": \"lab\", \"mode\": \"host\", " \
                "\"mac\": \"52:54:00:00:00:01\", \"mtu\": 1500}"

typedef struct Created {
    unsigned n;
    VmnetNetwork *network;
} Created;

static void on_created(VmnetNetwork *network, const GError *error,
                       gpointer opaque)
{
    Created *c = opaque;

    c->n++;
    c->network = network;
}

static gint64 acquire(Fixture *f, Created *c, int timeout_ms)
{
    g_assert_true(vmnet_network_acquire_async(f->client, "lab", timeout_ms,
                                              on_created, c, NULL));
    return expect(f, "network-add");
}

/* The daemon holds it once for a client: what others here hold stays. */
static void test_late_network_is_let_go(Fixture *f, gconstpointer unused)
{
    Created late = { 0 }, held = { 0 };
    gint64 id = acquire(f, &late, 30);

    UNTIL(f, late.n);
    g_assert_null(late.network);
    answer(f, id, NETWORK);
    expect_and_answer(f, "network-del", "\"return\": {}");

    answer(f, acquire(f, &held, PATIENCE_MS), NETWORK);
    UNTIL(f, held.n);
    g_assert_nonnull(held.network);
    id = acquire(f, &late, 30);
    UNTIL(f, late.n == 2);
    answer(f, id, NETWORK);
    id = acquire(f, &late, 30);
    UNTIL(f, late.n == 3);
    answer(f, id, "\"error\": {\"desc\": \"no\"}");
    say(f, "{\"event\": \"MARK\"}");
    UNTIL(f, f->n_events == 1);
    g_assert_null(heard(f));
    vmnet_network_unref(held.network);
    expect(f, "network-del");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("client", connects_and_is_lost, set_up_connected);
    TEST("client", bytes_come_one_by_one, set_up);
    TEST("client", nobody_listens, set_up);
    TEST("client", system_instance_only, set_up);
    TEST("client", system_instance_of_others, set_up);
    TEST("client", silence_ends_in_time, set_up);
    TEST("client", backlog_ends_in_time, set_up);
    TEST("client", false_greetings, set_up);
    TEST("client", answers_are_told_apart, set_up_connected);
    TEST("client", status_is_one_of_ours, set_up_connected);
    TEST("client", late_answer_is_nobodys, set_up_connected);
    TEST("client", all_fail_when_it_is_lost, set_up_connected);
    TEST("client", commands_are_bounded, set_up_connected);
    TEST("client", closed_client_is_quiet, set_up_connected);
    TEST("client", unknown_events_pass, set_up_connected);
    TEST("client", callback_may_drop_the_client, set_up_connected);
    TEST("client", late_network_is_let_go, set_up_connected);
    return g_test_run();
}
