/*
 * Interfaces of a client whose daemon and port are played by the test
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "client-daemon.h"

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
        "{\"type\": \"vmnet-shared\"}", "vmnet-bridged,id=a,mtu=9000",
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("client-interface", options_are_checked_at_once, set_up_connected);
    TEST("client-interface", lies_about_a_netdev, set_up_connected);
    TEST("client-interface", late_netdev_is_taken_back, set_up_connected);
    TEST("client-interface", odd_packets_are_dropped, set_up_connected);
    TEST("client-interface", end_comes_after_the_packets, set_up_connected);
    TEST("client-interface", full_is_not_gone, set_up_connected);
    TEST("client-interface", little_room_is_told, set_up_connected);
    TEST("client-interface", masked_events_wake_nobody, set_up_connected);
    TEST("client-interface", batches_are_checked, set_up_connected);
    return g_test_run();
}
