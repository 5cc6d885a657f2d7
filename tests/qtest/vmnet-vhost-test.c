/*
 * QTest of the vmnet netdevs on Linux: vhost=on|off|auto
 *
 *   this test: driver --- QEMU: virtio-net-pci --- rings in a memfd --- vmnetd
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "vmnet-daemon.h"
#include "vmnet-machine.h"
#include "vmnet-monitor.h"
#if QEMU_VERSION_MAJOR >= 10
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#else
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"
#endif

/* What a command may take: 200 ms to wait for vmnetd, and this machine's. */
#define STUCK_MS 500
/* Of a migration, bytes per second: it ends soon, or not by itself. */
#define FAST (1 << 30)
#define SLOW (1 << 12)
#define SHARED "-object memory-backend-memfd,id=mem,size=64M,share=on -m 64M "
#define MACHINE "-M pc,memory-backend=mem "
#define NEEDS_SHARED "netdev 'n': vhost=on needs shared guest memory " \
                     "(-object memory-backend-memfd,share=on)"

static QDict *try_add(QTestState *qts, const char *vhost)
{
    return qtest_qmp(qts, "{'execute': 'netdev_add', 'arguments':"
                     " {'type': 'vmnet-shared', 'id': 'n', 'vhost': %s}}",
                     vhost);
}

static void add(QTestState *qts, const char *vhost)
{
    QDict *response = try_add(qts, vhost);

    g_assert_true(qdict_haskey(response, "return"));
    qobject_unref(response);
}

static void delete(QTestState *qts)
{
    QDict *response;

    qtest_qmp_assert_success(qts, "{'execute': 'netdev_del',"
                             " 'arguments': {'id': 'n'}}");
    response = qtest_qmp(qts, "{'execute': 'query-vmnet'}");
    g_assert_true(qlist_empty(qdict_get_qlist(response, "return")));
    qobject_unref(response);
}

/* The netdev is up: by vhost-user, or not. */
static void expect_vhost(QTestState *qts, bool vhost)
{
    QDict *netdev = vmnet_query_until(qts, "network", "shared");
    char *info = qtest_hmp(qts, "info network");

    g_assert_cmpstr(qdict_get_str(netdev, "type"), ==, "vmnet-shared");
    g_assert_cmpstr(qdict_get_str(netdev, "state"), ==, "up");
    g_assert_cmpint(qdict_get_bool(netdev, "vhost"), ==, vhost);
    g_assert_cmpint(qdict_haskey(netdev, "rx-frames"), ==, !vhost);
    g_assert_nonnull(strstr(info, vhost ? "type=vhost-user"
                                        : "type=vmnet-shared"));
    g_assert_nonnull(strstr(info, vhost ? "port=vhost-user"
                                        : "port=seqpacket"));
    g_assert_nonnull(strstr(info, "network=shared"));
    g_free(info);
    qobject_unref(netdev);
}

/* Memory that is not shared, at run time: an error, or the other way. */
static void test_unshared(gconstpointer arguments)
{
    QTestState *qts = qtest_initf("-nodefaults %s", (const char *)arguments);
    char *info;

    vmnet_expect_error(try_add(qts, "on"), NEEDS_SHARED);
    info = qtest_hmp(qts, "info network");
    g_assert_cmpstr(info, ==, "");
    g_free(info);
    add(qts, "auto");
    expect_vhost(qts, false);
    delete(qts);
    add(qts, "off");
    expect_vhost(qts, false);
    qtest_quit(qts);
}

static void test_shared(void)
{
    static const char *const ways[] = { "on", "auto", "off", "auto", "on" };
    QTestState *qts = qtest_init("-nodefaults " SHARED MACHINE);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(ways); i++) {
        add(qts, ways[i]);
        expect_vhost(qts, strcmp(ways[i], "off"));
        vmnet_expect_error(try_add(qts, "on"), "Duplicate ID 'n'");
        delete(qts);
    }
    vmnet_expect_error(try_add(qts, "maybe"),
                       "Parameter 'vhost' does not accept value 'maybe'");
    qtest_quit(qts);
}

static void test_command_line(void)
{
    static const char *const unshared[] = {
        "-M", "pc", "-m", "64M", "-display", "none", "-nodefaults",
        "-netdev", "vmnet-shared,id=n,vhost=on", NULL,
    };
    static const char *const private[] = {
        "-object", "memory-backend-memfd,id=mem,size=64M,share=off",
        "-M", "pc,memory-backend=mem", "-m", "64M", "-display", "none",
        "-nodefaults", "-netdev", "vmnet-shared,id=n,vhost=on", NULL,
    };
    static const char *const hub[] = {
        "-M", "pc", "-display", "none", "-nodefaults", "-net", "nic",
        "-net", "vmnet-shared,vhost=on", NULL,
    };
    static const char *const e1000[] = {
        "-M", "pc", "-display", "none", "-nodefaults", "-device",
        "e1000,netdev=n", "-netdev", "vmnet-shared,id=n,vhost=on", NULL,
    };
    QTestState *qts;

    vmnet_expect_refusal(unshared, NEEDS_SHARED);
    vmnet_expect_refusal(private, NEEDS_SHARED);
    vmnet_expect_refusal(hub,
                         "vhost=on needs -netdev or -nic: a hub is no NIC");
    vmnet_expect_refusal(e1000,
                         "vhost-user requires frontend driver virtio-net-*");

    qts = qtest_init("-nodefaults " SHARED MACHINE
                     "-netdev vmnet-shared,id=n,vhost=on");
    expect_vhost(qts, true);
    qtest_quit(qts);
    qts = qtest_init("-nodefaults " SHARED MACHINE
                     "-netdev vmnet-shared,id=n,vhost=auto");
    expect_vhost(qts, false);
    qtest_quit(qts);
    qts = qtest_init("-nodefaults " SHARED MACHINE
                     "-nic vmnet-shared,vhost=on,model=virtio-net-pci");
    expect_vhost(qts, true);
    qtest_quit(qts);
}

/* A daemon that does not answer: an error, or the other way, in time. */
static void test_stuck(void)
{
    QTestState *qts = qtest_init("-nodefaults " SHARED MACHINE);
    VmnetClock begin;
    QDict *response, *netdev;

    vmnet_daemon_signal(SIGSTOP);
    vmnet_clock_start(&begin);
    response = try_add(qts, "on");
    g_assert_true(qdict_haskey(response, "error"));
    qobject_unref(response);
    vmnet_expect_within(&begin, STUCK_MS);
    vmnet_clock_start(&begin);
    add(qts, "auto");
    vmnet_expect_within(&begin, STUCK_MS);
    netdev = vmnet_query(qts);
    g_assert_cmpstr(qdict_get_str(netdev, "state"), ==, "connecting");
    g_assert_false(qdict_get_bool(netdev, "vhost"));
    qobject_unref(netdev);
    vmnet_daemon_signal(SIGCONT);
    expect_vhost(qts, false);
    qtest_quit(qts);
}

static void use_network(Machine *m)
{
    uint32_t gateway, address = vmnet_get_address(&m->port, &gateway);
    uint8_t mac[6];

    vmnet_resolve(&m->port, address, gateway, mac);
    vmnet_ping(&m->port, address, gateway, mac);
}

static Machine *vhost_machine(uint8_t number)
{
    return machine_new_with(SHARED MACHINE, "vmnet-shared,vhost=on", number,
                            0);
}

/* As the driver sees it: QEMU's vhost-user connects again within a second. */
static void await_link(Machine *m, bool up)
{
    gint64 end = g_get_monotonic_time() + VMNET_WAIT_US;
    size_t status = offsetof(struct virtio_net_config, status);

    while ((qvirtio_config_readw(&m->dev->vdev, status)
            & VIRTIO_NET_S_LINK_UP) != up) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(2000);
    }
}

static void test_packets(void)
{
    Machine *m = vhost_machine(8);

    use_network(m);
    expect_vhost(m->qts, true);
    vmnet_daemon_kill();
    qobject_unref(vmnet_query_until(m->qts, "error", NULL));
    await_link(m, false);
    vmnet_daemon_restart();
    expect_vhost(m->qts, true);
    await_link(m, true);
    use_network(m);
    machine_free(m);
}

/* A migration to nowhere, at so many bytes per second. */
static void migrate(QTestState *qts, int rate)
{
    VmnetClock begin;

    qtest_qmp_assert_success(qts, "{'execute': 'migrate-set-parameters',"
                             " 'arguments': {'max-bandwidth': %d}}", rate);
    vmnet_clock_start(&begin);
    qtest_qmp_assert_success(qts, "{'execute': 'migrate', 'arguments':"
                             " {'uri': 'exec:cat > /dev/null'}}");
    vmnet_expect_within(&begin, STUCK_MS);
}

/* Returns: the first of @states that it is in; until then QEMU is in time */
static const char *await_migration(QTestState *qts, const char *const *states)
{
    gint64 end = g_get_monotonic_time() + VMNET_WAIT_US;

    for (;;) {
        const char *const *state = states;
        VmnetClock asked;
        QDict *response;

        vmnet_clock_start(&asked);
        response = qtest_qmp(qts, "{'execute': 'query-migrate'}");
        vmnet_expect_within(&asked, STUCK_MS);
        while (*state
               && g_strcmp0(qdict_get_try_str(qdict_get_qdict(response,
                                                              "return"),
                                              "status"), *state)) {
            state++;
        }
        qobject_unref(response);
        if (*state) {
            return *state;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(2000);
    }
}

static const char *migrate_to_the_end(QTestState *qts)
{
    static const char *const ends[] = { "failed", "completed", NULL };

    migrate(qts, FAST);
    return await_migration(qts, ends);
}

/* One that stops does not hold up a driver that resets its device. */
static void test_stuck_reset(void)
{
    Machine *m = vhost_machine(10);
    VmnetClock begin;

    use_network(m);
    vmnet_daemon_signal(SIGSTOP);
    vmnet_clock_start(&begin);
    qvirtio_reset(&m->dev->vdev);
    qtest_qmp_assert_success(m->qts, "{'execute': 'query-status'}");
    vmnet_expect_within(&begin, STUCK_MS);
    machine_start_driver(m, 0);
    await_link(m, false);
    vmnet_daemon_signal(SIGCONT);
    await_link(m, true);
    use_network(m);
    machine_free(m);
}

/*
 * Nor does it hold up a migration, which fails, or before 9.0 goes without the
 * link, and works when it goes on.
 */
static void test_stuck_migration(void)
{
    bool fails = QEMU_VERSION_MAJOR >= 9;
    Machine *m = vhost_machine(11);

    use_network(m);
    vmnet_daemon_signal(SIGSTOP);
    g_assert_cmpstr(migrate_to_the_end(m->qts), ==,
                    fails ? "failed" : "completed");
    await_link(m, false);
    vmnet_daemon_signal(SIGCONT);
    await_link(m, true);
    if (!fails) {
        qtest_qmp_assert_success(m->qts, "{'execute': 'cont'}");
    }
    use_network(m);
    g_assert_cmpstr(migrate_to_the_end(m->qts), ==, "completed");
    machine_free(m);
}

/* Nor one that has begun, whose last step is to stop the device. */
static void test_stuck_in_migration(void)
{
    static const char *const active[] = { "active", NULL };
    static const char *const ends[] = { "failed", "completed", NULL };
    Machine *m = vhost_machine(12);

    use_network(m);
    migrate(m->qts, SLOW);
    await_migration(m->qts, active);
    vmnet_daemon_signal(SIGSTOP);
    qtest_qmp_assert_success(m->qts, "{'execute': 'migrate-set-parameters',"
                             " 'arguments': {'max-bandwidth': %d}}", FAST);
    g_assert_cmpstr(await_migration(m->qts, ends), ==, "completed");
    await_link(m, false);
    vmnet_daemon_signal(SIGCONT);
    await_link(m, true);
    qtest_qmp_assert_success(m->qts, "{'execute': 'cont'}");
    use_network(m);
    machine_free(m);
}

/* Without its netdev a driver gets nothing, and nothing breaks. */
static void test_hot_unplug(void)
{
    Machine *m = vhost_machine(9);

    use_network(m);
    delete(m->qts);
    machine_start_driver(m, 0);
    qtest_qmp_assert_success(m->qts, "{'execute': 'query-status'}");
    machine_free(m);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    if (!vmnet_daemon_start()) {
        return 0;
    }
    qtest_add_data_func("/vmnet/vhost/no-memory", "-M none", test_unshared);
    qtest_add_data_func("/vmnet/vhost/unshared", "-M pc -m 64M", test_unshared);
    qtest_add_func("/vmnet/vhost/shared", test_shared);
    qtest_add_func("/vmnet/vhost/command-line", test_command_line);
    qtest_add_func("/vmnet/vhost/stuck", test_stuck);
    qtest_add_func("/vmnet/vhost/packets", test_packets);
    qtest_add_func("/vmnet/vhost/stuck-reset", test_stuck_reset);
    qtest_add_func("/vmnet/vhost/stuck-migration", test_stuck_migration);
    qtest_add_func("/vmnet/vhost/stuck-in-migration", test_stuck_in_migration);
    qtest_add_func("/vmnet/vhost/hot-unplug", test_hot_unplug);
    status = g_test_run();
    vmnet_daemon_end();
    return status;
}
