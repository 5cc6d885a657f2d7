/*
 * QTest of the vmnet netdevs on Linux: options, commands, life and death
 *
 *   QEMU (-M none) --- vmnetd of the test's own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "qapi/error.h"
#include "vmnet-daemon.h"
#include "vmnet-monitor.h"
#if QEMU_VERSION_MAJOR >= 10
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#else
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qjson.h"
#include "qapi/qmp/qlist.h"
#endif

/*
 * What a command may take while vmnetd does not answer; 200 ms are allowed to
 * wait for it, the rest is this machine's.
 */
#define STUCK_MS 500

static QTestState *start(void)
{
    return qtest_init("-M none -nodefaults");
}

/* Options that are wrong: the texts are QEMU's where it has one. */
static void test_errors(void)
{
    static const struct {
        const char *options;
        const char *error;
    } table[] = {
        { "{'type': 'vmnet-shared', 'id': 'n', 'start-address': '192.168.9.1'}",
          "'start-address', 'end-address', 'subnet-mask' should be provided "
          "together" },
        { "{'type': 'vmnet-host', 'id': 'n', 'end-address': '192.168.9.1',"
          " 'subnet-mask': '255.255.255.0'}",
          "'start-address', 'end-address', 'subnet-mask' should be provided "
          "together" },
        { "{'type': 'vmnet-host', 'id': 'n', 'net-uuid': 'none'}",
          "Invalid UUID provided in 'net-uuid'" },
        { "{'type': 'vmnet-shared', 'id': 'n', 'net-uuid': 'x'}",
          "Parameter 'net-uuid' is unexpected" },
        { "{'type': 'vmnet-bridged', 'id': 'n', 'mtu': 9000}",
          "Parameter 'mtu' is unexpected" },
        { "{'type': 'vmnet-shared'}", "Parameter 'id' is missing" },
        { "{'type': 'vmnet-shared', 'id': 'n', 'mac': 'none'}",
          "netdev 'n': mac 'none' is not a MAC address" },
        { "{'type': 'vmnet-shared', 'id': 'n', 'match': 'maybe'}",
          "Parameter 'match' does not accept value 'maybe'" },
        { "{'type': 'vmnet-shared', 'id': 'n', 'isolated': 'on'}",
          "Invalid parameter type for 'isolated', expected: boolean" },
    };
    QTestState *qts = start();
    size_t i;

    for (i = 0; i < ARRAY_SIZE(table); i++) {
        QDict *response;
        char *info;

        response = qtest_qmp(qts, "{'execute': 'netdev_add', 'arguments': %p}",
                             qobject_from_json(table[i].options, &error_abort));
        vmnet_expect_error(response, table[i].error);
        info = qtest_hmp(qts, "info network");
        g_assert_cmpstr(info, ==, "");
        g_free(info);
    }
    qtest_quit(qts);
}

static void expect_bridged_error(const char *text)
{
    QTestState *qts = start();
    QDict *response = qtest_qmp(qts, "{'execute': 'netdev_add', 'arguments':"
                                " {'type': 'vmnet-bridged', 'id': 'n',"
                                "  'ifname': 'none0'}}");
    QDict *error = qdict_get_qdict(response, "error");
    char *info = qtest_hmp(qts, "info network");

    g_assert_nonnull(error);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), text));
    g_assert_cmpstr(info, ==, "");
    g_free(info);
    qobject_unref(response);
    qtest_quit(qts);
}

/* A user's vmnetd says what is missing, and QEMU where it has found none. */
static void test_bridged(void)
{
    char *socket = g_build_filename(getenv("XDG_RUNTIME_DIR"), "vmnet",
                                    "vmnetd.sock", NULL);

    setenv("VMNET_SOCKET", socket, 1);
    expect_bridged_error("system instance of vmnetd "
                         "(/run/vmnet/vmnetd.sock), since a user cannot join "
                         "host interface 'none0'");
    setenv("VMNET_SOCKET", "/nonexistent/vmnetd.sock", 1);
    expect_bridged_error("the system instance of vmnetd does not run (nobody "
                         "listens on '/nonexistent/vmnetd.sock')");
    unsetenv("VMNET_SOCKET");
    g_free(socket);
}

/* Every way to say -netdev says the same. */
static void test_front_ends(gconstpointer arguments)
{
    QTestState *qts = qtest_initf("-nodefaults %s", (const char *)arguments);
    char *info;

    qobject_unref(vmnet_query_until(qts, "network", "shared"));
    info = qtest_hmp(qts, "info network");
    g_assert_nonnull(strstr(info, "type=vmnet-shared"));
    g_assert_nonnull(strstr(info, "network=shared"));
    g_assert_nonnull(strstr(info, "state=up"));
    g_free(info);
    qtest_quit(qts);
}

static void test_hmp(void)
{
    QTestState *qts = start();
    char *text = qtest_hmp(qts, "netdev_add vmnet-shared,id=n,isolated=on");

    g_assert_cmpstr(text, ==, "");
    g_free(text);
    qobject_unref(vmnet_query_until(qts, "state", "up"));
    text = qtest_hmp(qts, "netdev_add vmnet-shared,id=m,mac=none");
    g_assert_cmpstr(text, ==,
                    "Error: netdev 'm': mac 'none' is not a MAC address\r\n");
    g_free(text);
    text = qtest_hmp(qts, "netdev_del n");
    g_assert_cmpstr(text, ==, "");
    g_free(text);
    qtest_quit(qts);
}

#define FORWARD "tcp:127.86.78.79:2222-:22"

static void delete(QTestState *qts)
{
    QDict *response;

    qtest_qmp_assert_success(qts, "{'execute': 'netdev_del',"
                             " 'arguments': {'id': 'n'}}");
    response = qtest_qmp(qts, "{'execute': 'query-vmnet'}");
    g_assert_true(qlist_empty(qdict_get_qlist(response, "return")));
    qobject_unref(response);
}

/* The same id, and the same port of the host, at once again. */
static void add_and_delete(QTestState *qts)
{
    QDict *response;

    vmnet_add(qts, "{'type': 'vmnet-shared', 'id': 'n',"
                   " 'hostfwd': ['" FORWARD "']}");
    qobject_unref(vmnet_query_until(qts, "state", "up"));
    response = qtest_qmp(qts, "{'execute': 'netdev_add', 'arguments':"
                         " {'type': 'vmnet-shared', 'id': 'n'}}");
    vmnet_expect_error(response, "Duplicate ID 'n'");
    delete(qts);
}

static void test_readd(void)
{
    QTestState *qts = start();
    int i;

    for (i = 0; i < 8; i++) {
        add_and_delete(qts);
    }
    qtest_quit(qts);
}

/* Since 10.0, a NIC keeps the client that was deleted. */
static void test_readd_beside_nic(void)
{
    QTestState *qts = qtest_init("-nodefaults -M pc -netdev vmnet-shared,id=n,"
                                 "hostfwd=" FORWARD " -device e1000,netdev=n");

    qobject_unref(vmnet_query_until(qts, "state", "up"));
    delete(qts);
    add_and_delete(qts);
    add_and_delete(qts);
    qtest_quit(qts);
}

static void test_query(void)
{
    QTestState *qts = start();
    QDict *netdev;

    vmnet_add(qts, "{'type': 'vmnet-host', 'id': 'n', 'network': 'lab',"
                   " 'mtu': 9000, 'start-address': '192.168.77.1',"
                   " 'end-address': '192.168.77.99',"
                   " 'subnet-mask': '255.255.255.0'}");
    netdev = vmnet_query_until(qts, "network", "lab");
    g_assert_cmpstr(qdict_get_str(netdev, "id"), ==, "n");
    g_assert_cmpstr(qdict_get_str(netdev, "type"), ==, "vmnet-host");
    g_assert_cmpstr(qdict_get_str(netdev, "state"), ==, "up");
    g_assert_cmpstr(qdict_get_str(netdev, "subnet"), ==, "192.168.77.0/24");
    g_assert_cmpstr(qdict_get_str(netdev, "gateway"), ==, "192.168.77.1");
    g_assert_cmpint(qdict_get_int(netdev, "mtu"), ==, 9000);
    g_assert_cmpint(qdict_get_int(netdev, "reconnects"), ==, 0);
    g_assert_true(qlist_empty(qdict_get_qlist(netdev, "leases")));
    g_assert_false(qdict_haskey(netdev, "error"));
    qobject_unref(netdev);
    qtest_quit(qts);
}

/* How many forwards query-vmnet tells of, now. */
static size_t count_forwards(QTestState *qts)
{
    QDict *netdev = vmnet_query(qts);
    size_t n = qlist_size(qdict_get_qlist(netdev, "forwards"));

    qobject_unref(netdev);
    return n;
}

static void test_forward(void)
{
    QTestState *qts = start();
    QDict *response, *forward;
    gint64 port;

    response = qtest_qmp(qts, "{'execute': 'vmnet-forward-add', 'arguments':"
                         " {'host-port': 0, 'guest-port': 22}}");
    vmnet_expect_error(response, "there is no vmnet netdev");
    vmnet_add(qts, "{'type': 'vmnet-shared', 'id': 'n'}");
    qobject_unref(vmnet_query_until(qts, "network", "shared"));
    response = qtest_qmp(qts, "{'execute': 'vmnet-forward-add', 'arguments':"
                         " {'host-address': '127.0.0.1', 'host-port': 0,"
                         "  'guest-port': 22}}");
    forward = qdict_get_qdict(response, "return");
    g_assert_nonnull(forward);
    g_assert_cmpstr(qdict_get_str(forward, "netdev"), ==, "n");
    g_assert_cmpint(qdict_get_int(forward, "guest-port"), ==, 22);
    port = qdict_get_int(forward, "host-port");
    g_assert_cmpint(port, >, 0);
    qobject_unref(response);
    g_assert_cmpuint(count_forwards(qts), ==, 1);
    qtest_qmp_assert_success(qts, "{'execute': 'vmnet-forward-remove',"
                             " 'arguments': {'host-address': '127.0.0.1',"
                             " 'host-port': %" PRId64 "}}", port);
    g_assert_cmpuint(count_forwards(qts), ==, 0);
    response = qtest_qmp(qts, "{'execute': 'vmnet-forward-remove',"
                         " 'arguments': {'host-address': '127.0.0.1',"
                         " 'host-port': %" PRId64 "}}", port);
    g_assert_true(qdict_haskey(response, "error"));
    qobject_unref(response);
    qtest_quit(qts);
}

static void add_filter(QTestState *qts, const char *id)
{
    qtest_qmp_assert_success(qts, "{'execute': 'object-add', 'arguments':"
                             " {'qom-type': 'filter-buffer', 'id': %s,"
                             "  'netdev': 'n', 'queue': 'rx',"
                             "  'interval': 1000}}", id);
}

/* QEMU's own filters: one or two, taken off, or there when their netdev goes */
static void test_filters(void)
{
    QTestState *qts = start();

    vmnet_add(qts, "{'type': 'vmnet-shared', 'id': 'n'}");
    add_filter(qts, "one");
    qtest_qmp_assert_success(qts, "{'execute': 'object-del',"
                             " 'arguments': {'id': 'one'}}");
    add_filter(qts, "one");
    add_filter(qts, "two");
    qtest_qmp_assert_success(qts, "{'execute': 'object-del',"
                             " 'arguments': {'id': 'one'}}");
    add_filter(qts, "one");
    qtest_qmp_assert_success(qts, "{'execute': 'netdev_del',"
                             " 'arguments': {'id': 'n'}}");
    vmnet_add(qts, "{'type': 'vmnet-shared', 'id': 'n'}");
    add_filter(qts, "one");
    qtest_quit(qts);
}

/* A daemon that does not answer holds up nothing. */
static void test_stuck(void)
{
    QTestState *qts = start();
    VmnetClock begin;
    QDict *netdev, *response;

    vmnet_add(qts, "{'type': 'vmnet-shared', 'id': 'n'}");
    qobject_unref(vmnet_query_until(qts, "network", "shared"));
    vmnet_daemon_signal(SIGSTOP);

    vmnet_clock_start(&begin);
    qtest_qmp_assert_success(qts, "{'execute': 'query-status'}");
    qobject_unref(vmnet_query(qts));
    vmnet_expect_within(&begin, 100);

    vmnet_clock_start(&begin);
    response = qtest_qmp(qts, "{'execute': 'vmnet-forward-add', 'arguments':"
                         " {'host-port': 0, 'guest-port': 22}}");
    g_assert_true(qdict_haskey(response, "error"));
    qobject_unref(response);
    vmnet_expect_within(&begin, STUCK_MS);

    vmnet_clock_start(&begin);
    qtest_qmp_assert_success(qts, "{'execute': 'netdev_del',"
                             " 'arguments': {'id': 'n'}}");
    vmnet_expect_within(&begin, STUCK_MS);

    vmnet_clock_start(&begin);
    vmnet_add(qts, "{'type': 'vmnet-shared', 'id': 'n'}");
    vmnet_expect_within(&begin, STUCK_MS);
    netdev = vmnet_query(qts);
    g_assert_cmpstr(qdict_get_str(netdev, "state"), ==, "connecting");
    qobject_unref(netdev);

    vmnet_daemon_signal(SIGCONT);
    qobject_unref(vmnet_query_until(qts, "state", "up"));
    qtest_quit(qts);
}

static void test_lost(void)
{
    QTestState *qts = start();
    QDict *netdev;

    vmnet_add(qts, "{'type': 'vmnet-shared', 'id': 'n', 'mtu': 1400,"
                   " 'network': 'again'}");
    qobject_unref(vmnet_query_until(qts, "network", "again"));
    vmnet_daemon_kill();
    netdev = vmnet_query_until(qts, "error", NULL);
    g_assert_cmpstr(qdict_get_str(netdev, "state"), !=, "up");
    g_assert_false(qdict_haskey(netdev, "network"));
    qobject_unref(netdev);
    vmnet_daemon_restart();
    netdev = vmnet_query_until(qts, "network", "again");
    g_assert_cmpstr(qdict_get_str(netdev, "state"), ==, "up");
    g_assert_cmpint(qdict_get_int(netdev, "mtu"), ==, 1400);
    g_assert_cmpint(qdict_get_int(netdev, "reconnects"), ==, 1);
    qobject_unref(netdev);
    qtest_quit(qts);
}

static void test_command_line(void)
{
    static const char *const wrong[] = {
        "-M", "none", "-display", "none", "-nodefaults",
        "-netdev", "vmnet-shared,id=n,net-uuid=x", NULL,
    };
    static const char *const number[] = {
        "-M", "none", "-display", "none", "-nodefaults",
        "-netdev", "vmnet-shared,id=n,mtu=many", NULL,
    };

    vmnet_expect_refusal(wrong, "Invalid parameter 'net-uuid'");
    vmnet_expect_refusal(number, "Parameter 'mtu' expects");
}

/* -sandbox spawn=deny: never to fork, and to say so. */
static void test_sandbox(void)
{
    static const char *const arguments[] = {
        "-M", "none", "-display", "none", "-nodefaults",
        "-sandbox", "on,spawn=deny", "-netdev", "vmnet-shared,id=n", NULL,
    };
    g_autofree char *nobody = g_build_filename(vmnet_daemon_folder(), "nobody",
                                               NULL);
    QTestState *qts;

    qts = qtest_init("-M none -nodefaults -sandbox on,spawn=deny"
                     " -netdev vmnet-shared,id=n");
    qobject_unref(vmnet_query_until(qts, "state", "up"));
    qtest_quit(qts);

    /* Nor by the daemon that this state folder belongs to. */
    setenv("VMNET_SOCKET", nobody, 1);
    setenv("XDG_STATE_HOME", nobody, 1);
    vmnet_expect_refusal(arguments, "vmnetd is not running and -sandbox "
                         "spawn=deny forbids starting it; enable "
                         "vmnetd.socket");
    unsetenv("VMNET_SOCKET");
    setenv("XDG_STATE_HOME", vmnet_daemon_folder(), 1);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    if (!vmnet_daemon_start()) {
        return 0;
    }
    qtest_add_func("/vmnet/errors", test_errors);
    qtest_add_func("/vmnet/bridged", test_bridged);
    qtest_add_data_func("/vmnet/front-end/netdev",
                        "-M none -netdev vmnet-shared,id=n,isolated=on",
                        test_front_ends);
    qtest_add_data_func("/vmnet/front-end/json",
                        "-M none -netdev '{\"type\": \"vmnet-shared\","
                        " \"id\": \"n\", \"isolated\": true}'",
                        test_front_ends);
    qtest_add_data_func("/vmnet/front-end/nic",
                        "-M pc -nic vmnet-shared,model=e1000", test_front_ends);
    qtest_add_data_func("/vmnet/front-end/net",
                        "-M pc -net nic,model=e1000 -net vmnet-shared",
                        test_front_ends);
    qtest_add_func("/vmnet/front-end/hmp", test_hmp);
    qtest_add_func("/vmnet/front-end/command-line", test_command_line);
    qtest_add_func("/vmnet/readd", test_readd);
    qtest_add_func("/vmnet/readd-beside-nic", test_readd_beside_nic);
    qtest_add_func("/vmnet/query", test_query);
    qtest_add_func("/vmnet/forward", test_forward);
    qtest_add_func("/vmnet/filters", test_filters);
    qtest_add_func("/vmnet/stuck", test_stuck);
    qtest_add_func("/vmnet/lost", test_lost);
    qtest_add_func("/vmnet/sandbox", test_sandbox);
    status = g_test_run();
    vmnet_daemon_end();
    return status;
}
