/*
 * Tests for the core of QEMU's netdevs, against a vmnetd of their own
 *
 *   core --- vmnetd (host network) --- core
 *
 * The owner is a loop around poll(): it does what QEMU's main loop would.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmnet-core.h"
#include "vmnet-probe.h"

#define FRAME_BYTES 64
#define LONG_FRAME_BYTES 8000

typedef struct Owner {
    VmnetCore *core;
    int fds[VMNET_CORE_WATCH__MAX];
    int timer_ms;               /* -1: none */
    bool scheduled;
    bool up;
    bool again;
    guint n_rooms;
    guint nic_room;             /* frames that the NIC takes yet */
    GPtrArray *frames;          /* GBytes */
    GPtrArray *events;
} Owner;

static void owner_watch(void *opaque, VmnetCoreWatch which, int fd)
{
    ((Owner *)opaque)->fds[which] = fd;
}

static void owner_set_timer(void *opaque, int delay_ms)
{
    ((Owner *)opaque)->timer_ms = delay_ms;
}

static void owner_schedule(void *opaque)
{
    ((Owner *)opaque)->scheduled = true;
}

static bool owner_receive(void *opaque, const uint8_t *frame, size_t size)
{
    Owner *owner = opaque;

    g_ptr_array_add(owner->frames, g_bytes_new(frame, size));
    g_assert_cmpuint(owner->nic_room, >, 0);
    return --owner->nic_room > 0;
}

static void owner_room(void *opaque)
{
    ((Owner *)opaque)->n_rooms++;
}

static void owner_link(void *opaque, bool up, bool again)
{
    Owner *owner = opaque;

    g_assert_true(owner->up != up);
    owner->up = up;
    owner->again = again;
}

static void owner_event(void *opaque, const char *name, const char *data)
{
    g_ptr_array_add(((Owner *)opaque)->events, g_strdup(name));
}

static const VmnetCoreOps owner_ops = {
    .watch = owner_watch,
    .set_timer = owner_set_timer,
    .schedule = owner_schedule,
    .receive = owner_receive,
    .room = owner_room,
    .link = owner_link,
    .event = owner_event,
};

static Owner *owner_new_config(const VmnetCoreConfig *config)
{
    Owner *owner = g_new0(Owner, 1);

    memset(owner->fds, -1, sizeof(owner->fds));
    owner->timer_ms = -1;
    owner->nic_room = G_MAXUINT;
    owner->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    owner->events = g_ptr_array_new_with_free_func(g_free);
    owner->core = vmnet_core_new(config, &owner_ops, owner);
    return owner;
}

static Owner *owner_new_with(const char *options, bool may_start)
{
    VmnetCoreConfig config = { .options = options, .may_start = may_start };

    return owner_new_config(&config);
}

static Owner *owner_new(void)
{
    return owner_new_with("{\"type\": \"vmnet-host\", \"id\": \"net0\","
                          " \"network\": \"test\", \"mtu\": 9000}", true);
}

static void owner_free(Owner *owner)
{
    vmnet_core_free(owner->core);
    g_assert_cmpint(owner->fds[0], ==, -1);
    g_assert_cmpint(owner->fds[1], ==, -1);
    g_ptr_array_unref(owner->frames);
    g_ptr_array_unref(owner->events);
    g_free(owner);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Owner, owner_free)

static void owner_start(Owner *owner)
{
    g_autoptr(GError) error = NULL;

    vmnet_core_start(owner->core, VMNET_CORE_START_MS, false, &error);
    g_assert_no_error(error);
    g_assert_true(owner->up);
    vmnet_core_set_receiving(owner->core, true);
}

/* One turn of the main loop for all owners; timers are due at once. */
static void turn(Owner **owners, guint n)
{
    struct pollfd fds[8];
    guint i, w;

    for (i = 0; i < n; i++) {
        for (w = 0; w < VMNET_CORE_WATCH__MAX; w++) {
            fds[2 * i + w] = (struct pollfd){ owners[i]->fds[w], POLLIN, 0 };
        }
    }
    poll(fds, 2 * n, 5);
    for (i = 0; i < n; i++) {
        for (w = 0; w < VMNET_CORE_WATCH__MAX; w++) {
            if (fds[2 * i + w].revents && owners[i]->fds[w] == fds[2 * i + w].fd) {
                vmnet_core_dispatch(owners[i]->core, w);
            }
        }
        if (owners[i]->scheduled) {
            owners[i]->scheduled = false;
            vmnet_core_work(owners[i]->core);
        }
        if (owners[i]->timer_ms >= 0) {
            owners[i]->timer_ms = -1;
            vmnet_core_timeout(owners[i]->core);
        }
    }
}

/* Turn until @condition, for ten seconds at most. */
#define RUN_UNTIL(owners, condition)                                        \
    do {                                                                    \
        gint64 end_ = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;         \
        while (!(condition) && g_get_monotonic_time() < end_) {             \
            turn(owners, G_N_ELEMENTS(owners));                             \
        }                                                                   \
        g_assert_true(condition);                                           \
    } while (0)

/* A broadcast frame of an unassigned type, with a number in it. */
static void make_frame(uint8_t *frame, size_t size, uint8_t from, uint32_t number)
{
    memset(frame, 0x5a, size);
    memset(frame, 0xff, 6);
    memcpy(frame + 6, (uint8_t[]){ 0x52, 0x54, 0, 0, 0, from }, 6);
    memcpy(frame + 12, (uint8_t[]){ 0x88, 0xb5 }, 2);
    memcpy(frame + 14, &number, sizeof(number));
}

static bool send_frame(Owner *owner, size_t size, uint8_t from, uint32_t number)
{
    g_autofree uint8_t *frame = g_malloc(size);
    struct iovec iov[3] = {
        { frame, 9 }, { frame + 9, 0 }, { frame + 9, size - 9 },
    };

    make_frame(frame, size, from, number);
    return vmnet_core_send(owner->core, iov, G_N_ELEMENTS(iov));
}

/* Numbers of the frames of our type among those that came. */
static guint n_numbered(const Owner *owner, size_t size, uint32_t *ret_last)
{
    guint n = 0;
    guint i;

    for (i = 0; i < owner->frames->len; i++) {
        gsize len;
        const uint8_t *frame = g_bytes_get_data(owner->frames->pdata[i], &len);

        if (frame[12] == 0x88 && frame[13] == 0xb5) {
            g_assert_cmpuint(len, ==, size);
            memcpy(ret_last, frame + 14, sizeof(*ret_last));
            g_assert_cmpuint(*ret_last, ==, n);
            n++;
        }
    }
    return n;
}

/* The processes of the daemon that @core talks to. */
static void find_daemon(VmnetCore *core, pid_t *ret_pid, pid_t *ret_parent)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *json = vmnet_core_command(core, "query-daemon", NULL, &error);
    const char *pid, *parent;

    g_assert_no_error(error);
    pid = strstr(json, "\"pid\":");
    parent = strstr(json, "\"supervisor-pid\":");
    g_assert_true(pid && parent);
    *ret_pid = atoi(pid + strlen("\"pid\":"));
    *ret_parent = atoi(parent + strlen("\"supervisor-pid\":"));
    g_assert_cmpint(*ret_pid, >, 1);
}

/* Stop @pid, and wait until it is. */
static void stop_process(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    bool stopped = false;

    g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
    while (!stopped) {
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        stopped = strstr(text, ") T ") != NULL;
    }
}

static void test_frames(size_t size)
{
    g_autoptr(Owner) a = owner_new();
    g_autoptr(Owner) b = owner_new();
    Owner *both[] = { a, b };
    VmnetCoreCounters counters;
    uint32_t last = 0;
    guint i;

    owner_start(a);
    owner_start(b);
    for (i = 0; i < 200; i++) {
        while (!send_frame(a, size, 1, i)) {
            turn(both, 2);
        }
        if (i % 5 == 4) {       /* long ones fill a socket soon */
            RUN_UNTIL(both, n_numbered(b, size, &last) == i + 1);
        }
    }
    g_assert_cmpuint(last, ==, 199);
    vmnet_core_get_counters(a->core, &counters);
    g_assert_cmpuint(counters.tx_frames, ==, 200);
    g_assert_cmpuint(counters.tx_bytes, ==, 200 * size);
    g_assert_cmpuint(counters.tx_dropped, ==, 0);
    vmnet_core_get_counters(b->core, &counters);
    g_assert_cmpuint(counters.rx_frames, >=, 200);
}

static void test_short_frames(void)
{
    test_frames(FRAME_BYTES);
}

static void test_long_frames(void)
{
    test_frames(LONG_FRAME_BYTES);
}

static void test_bad_frames(void)
{
    g_autoptr(Owner) a = owner_new();
    uint8_t frame[14] = { 0 };
    struct iovec runt = { frame, 13 };
    g_autofree uint8_t *huge = g_malloc0(70000);
    struct iovec too_long = { huge, 70000 };
    struct iovec overflow[2] = { { huge, SIZE_MAX }, { huge, 2 } };
    VmnetCoreCounters counters;

    owner_start(a);
    g_assert_true(vmnet_core_send(a->core, &runt, 1));
    g_assert_true(vmnet_core_send(a->core, &too_long, 1));
    g_assert_true(vmnet_core_send(a->core, overflow, 2));
    g_assert_true(vmnet_core_send(a->core, NULL, 0));
    vmnet_core_get_counters(a->core, &counters);
    g_assert_cmpuint(counters.tx_dropped, ==, 4);
    g_assert_cmpuint(counters.tx_frames, ==, 0);
}

static void test_full_nic(void)
{
    g_autoptr(Owner) a = owner_new();
    g_autoptr(Owner) b = owner_new();
    Owner *both[] = { a, b };
    uint32_t last;
    guint i;

    owner_start(a);
    owner_start(b);
    RUN_UNTIL(both, !b->scheduled);
    b->nic_room = b->frames->len = 0;
    b->nic_room = 1;
    for (i = 0; i < 20; i++) {
        g_assert_true(send_frame(a, FRAME_BYTES, 1, i));
    }
    for (i = 1; i <= 20; i++) {
        RUN_UNTIL(both, n_numbered(b, FRAME_BYTES, &last) == i);
        g_assert_cmpuint(b->nic_room, ==, 0);
        turn(both, 2);
        g_assert_cmpuint(n_numbered(b, FRAME_BYTES, &last), ==, i);
        b->nic_room = 1;
        vmnet_core_receive_again(b->core);
    }
}

static void test_stopped_machine(void)
{
    g_autoptr(Owner) a = owner_new();
    g_autoptr(Owner) b = owner_new();
    Owner *both[] = { a, b };
    uint32_t last;
    guint i;

    owner_start(a);
    owner_start(b);
    vmnet_core_set_receiving(b->core, false);
    turn(both, 2);
    g_ptr_array_set_size(b->frames, 0);
    for (i = 0; i < 10; i++) {
        g_assert_true(send_frame(a, FRAME_BYTES, 1, i));
    }
    for (i = 0; i < 20; i++) {
        turn(both, 2);
    }
    g_assert_cmpuint(b->frames->len, ==, 0);
    vmnet_core_set_receiving(b->core, true);
    RUN_UNTIL(both, n_numbered(b, FRAME_BYTES, &last) == 10);
}

/* A daemon that is stopped: the sender is told, and waits for room. */
static void test_back_pressure(size_t size)
{
    g_autoptr(Owner) a = owner_new();
    Owner *one[] = { a };
    VmnetCoreCounters counters;
    pid_t daemon, parent;
    guint n = 0;

    owner_start(a);
    find_daemon(a->core, &daemon, &parent);
    stop_process(daemon);
    while (n < 100000 && send_frame(a, size, 1, n)) {
        n++;
    }
    g_assert_cmpuint(n, <, 100000);
    g_assert_cmpuint(a->n_rooms, ==, 0);
    g_assert_false(send_frame(a, size, 1, n));
    kill(daemon, SIGCONT);
    RUN_UNTIL(one, a->n_rooms > 0);
    g_assert_cmpuint(a->n_rooms, ==, 1);
    /* Room for some frames is not always room for the longest. */
    while (!send_frame(a, size, 1, n)) {
        guint before = a->n_rooms;

        RUN_UNTIL(one, a->n_rooms > before);
    }
    vmnet_core_get_counters(a->core, &counters);
    g_assert_cmpuint(counters.tx_frames, ==, n + 1);
    g_assert_cmpuint(counters.tx_dropped, ==, 0);
}

static void test_back_pressure_short(void)
{
    test_back_pressure(FRAME_BYTES);
}

static void test_back_pressure_long(void)
{
    test_back_pressure(LONG_FRAME_BYTES);
}

static void test_daemon_that_does_not_answer(void)
{
    g_autoptr(Owner) a = owner_new();
    g_autoptr(Owner) b = owner_new();
    g_autoptr(Owner) c = owner_new();
    Owner *two[] = { a, b };
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    pid_t daemon, parent;
    gint64 begin;

    owner_start(a);
    find_daemon(a->core, &daemon, &parent);
    stop_process(daemon);
    begin = g_get_monotonic_time();
    g_assert_true(vmnet_core_start(b->core, VMNET_CORE_WAIT_MS, true, NULL));
    g_assert_false(vmnet_core_start(c->core, VMNET_CORE_WAIT_MS, false, &error));
    g_assert_null(vmnet_core_command(a->core, "query-version", NULL, NULL));
    g_assert_cmpint(g_get_monotonic_time() - begin, <,
                    (3 * VMNET_CORE_WAIT_MS + 200) * 1000);
    g_assert_cmpstr(error->message, ==, "vmnetd did not answer in 200 ms");
    g_assert_cmpint(vmnet_core_get_state(b->core), ==, VMNET_CORE_CONNECTING);
    g_assert_cmpint(vmnet_core_get_state(c->core), ==, VMNET_CORE_STOPPED);
    text = vmnet_core_describe(b->core);
    g_assert_cmpstr(text, ==, "state=connecting");
    g_assert_false(b->up);

    begin = g_get_monotonic_time();
    vmnet_core_stop(a->core);
    g_assert_cmpint(g_get_monotonic_time() - begin, <,
                    (VMNET_CORE_WAIT_MS + 200) * 1000);
    kill(daemon, SIGCONT);
    RUN_UNTIL(two, b->up);
    g_assert_false(b->again);
}

/* A machine whose NIC has headers, and takes @offloads. */
static Owner *owner_new_header(size_t header_len, unsigned offloads)
{
    VmnetCoreConfig config = {
        .options = "{\"type\": \"vmnet-host\", \"id\": \"net0\","
                   " \"network\": \"header\"}",
        .may_start = true, .header = true,
    };
    Owner *owner = owner_new_config(&config);

    vmnet_core_set_header_len(owner->core, header_len);
    vmnet_core_set_offloads(owner->core, offloads);
    owner_start(owner);
    return owner;
}

#define TSO_PAYLOAD 5000
#define TSO_MSS 1460
#define TCP_FRAME_BYTES (14 + 20 + 20)

/* TCP to be cut and summed, to everybody, behind a header of @header_len. */
static void send_tso(Owner *owner, size_t header_len, uint16_t ip_id)
{
    static const uint8_t header[VMNET_CORE_HEADER_BYTES] = {
        1, 1, TCP_FRAME_BYTES, 0, TSO_MSS & 0xff, TSO_MSS >> 8, 34, 0, 16, 0,
    };
    static const uint8_t ip[] = {
        0x45, 0, (TSO_PAYLOAD + 40) >> 8, (TSO_PAYLOAD + 40) & 0xff, 0, 0,
        0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10,
    };
    uint8_t frame[TCP_FRAME_BYTES + TSO_PAYLOAD] = { 0 };
    struct iovec iov[] = {
        { (void *)header, header_len }, { frame, sizeof(frame) },
    };
    uint32_t sum = 0;
    guint i;

    make_frame(frame, sizeof(frame), 1, 0);
    memset(frame + 14, 0, TCP_FRAME_BYTES - 14);
    memcpy(frame + 12, (uint8_t[]){ 8, 0 }, 2);
    memcpy(frame + 14, ip, sizeof(ip));
    frame[18] = ip_id >> 8;
    frame[19] = ip_id;
    for (i = 14; i < 34; i += 2) {
        sum += frame[i] << 8 | frame[i + 1];
    }
    sum = ~((sum & 0xffff) + (sum >> 16));
    frame[24] = sum >> 8;
    frame[25] = sum;
    g_assert_true(vmnet_core_send(owner->core, iov, G_N_ELEMENTS(iov)));
}

/* Frames of TCP that came, and the size of the first, with its header. */
static guint n_tcp(const Owner *owner, size_t header_len, size_t *ret_size)
{
    guint n = 0;
    guint i;

    for (i = 0; i < owner->frames->len; i++) {
        gsize len;
        const uint8_t *frame = g_bytes_get_data(owner->frames->pdata[i], &len);

        if (len > header_len + 23 && frame[header_len + 12] == 8
            && frame[header_len + 23] == 6) {
            *ret_size = n ? *ret_size : len;
            n++;
        }
    }
    return n;
}

/* What is to be cut comes whole to who takes that, behind its own header. */
static void test_offloads(void)
{
    const unsigned all = VMNET_OFFLOAD_CSUM | VMNET_OFFLOAD_TSO4;
    const guint n_cut = (TSO_PAYLOAD + TSO_MSS - 1) / TSO_MSS;
    g_autoptr(Owner) a = owner_new_header(12, 0);
    g_autoptr(Owner) b = owner_new_header(10, all);
    g_autoptr(Owner) c = owner_new_header(0, 0);
    Owner *three[] = { a, b, c };
    size_t size;

    send_tso(a, 12, 1);
    RUN_UNTIL(three, n_tcp(b, 10, &size) == 1 && n_tcp(c, 0, &size) == n_cut);
    g_assert_cmpuint(size, ==, TCP_FRAME_BYTES + TSO_MSS);
    n_tcp(b, 10, &size);
    g_assert_cmpuint(size, ==, 10 + TCP_FRAME_BYTES + TSO_PAYLOAD);
}

/* A guest that changes its mind all the time, and a daemon that is busy: one
 * request waits, and the last word counts. */
static void test_offloads_that_change(void)
{
    const unsigned all = VMNET_OFFLOAD_CSUM | VMNET_OFFLOAD_TSO4;
    g_autoptr(Owner) a = owner_new_header(12, 0);
    g_autoptr(Owner) b = owner_new_header(12, 0);
    Owner *both[] = { a, b };
    pid_t daemon, parent;
    size_t size = 0;
    uint16_t id = 0;
    guint i;

    find_daemon(a->core, &daemon, &parent);
    stop_process(daemon);
    for (i = 0; i < 100000; i++) {
        vmnet_core_set_offloads(b->core, i % 2 ? 0 : all);
    }
    vmnet_core_set_offloads(b->core, all);
    kill(daemon, SIGCONT);
    while (size != 12 + TCP_FRAME_BYTES + TSO_PAYLOAD) {
        g_ptr_array_set_size(b->frames, 0);
        send_tso(a, 12, id++);
        RUN_UNTIL(both, n_tcp(b, 12, &size) >= 1);
        g_assert_cmpuint(id, <, 1000);
    }
}

/* Frames go elsewhere: by a socket that answers, in the old place after a loss. */
static void test_vhost_user(void)
{
    VmnetCoreConfig config = {
        .options = "{\"type\": \"vmnet-host\", \"id\": \"net0\","
                   " \"vm\": \"vhost\"}",
        .may_start = true, .vhost_user = true,
    };
    g_autoptr(Owner) a = owner_new_config(&config);
    Owner *one[] = { a };
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL, *text = NULL;
    pid_t daemon, parent;

    g_assert_null(vmnet_core_get_path(a->core));
    owner_start(a);
    vmnet_core_set_offloads(a->core, VMNET_OFFLOAD_CSUM);
    vmnet_core_work(a->core);
    g_assert_cmpint(a->fds[VMNET_CORE_FRAMES], ==, -1);
    text = vmnet_core_describe(a->core);
    g_assert_nonnull(strstr(text, ",port=vhost-user,state=up"));
    path = g_strdup(vmnet_core_get_path(a->core));
    vmnet_probe_vhost_user(path, 10000, &error);
    g_assert_no_error(error);

    find_daemon(a->core, &daemon, &parent);
    stop_process(daemon);
    g_assert_false(vmnet_probe_vhost_user(path, VMNET_CORE_WAIT_MS, NULL));
    if (parent > 1) {
        kill(parent, SIGKILL);
    }
    kill(daemon, SIGKILL);
    RUN_UNTIL(one, !a->up);
    RUN_UNTIL(one, a->up);
    g_assert_cmpstr(vmnet_core_get_path(a->core), ==, path);
    vmnet_probe_vhost_user(path, 10000, &error);
    g_assert_no_error(error);
}

/* Both processes killed: a new daemon, the same netdev. */
static void test_lost_daemon(void)
{
    g_autoptr(Owner) a = owner_new();
    g_autoptr(Owner) b = owner_new();
    Owner *both[] = { a, b };
    VmnetCoreCounters counters;
    pid_t daemon, parent;
    uint32_t last;

    owner_start(a);
    owner_start(b);
    find_daemon(a->core, &daemon, &parent);
    if (parent > 1) {
        kill(parent, SIGKILL);
    }
    kill(daemon, SIGKILL);
    RUN_UNTIL(both, !a->up && !b->up);
    g_assert_true(send_frame(a, FRAME_BYTES, 1, 0));
    RUN_UNTIL(both, a->up && b->up);
    g_assert_true(a->again && b->again);
    vmnet_core_get_counters(a->core, &counters);
    g_assert_cmpuint(counters.reconnects, ==, 1);
    g_assert_cmpuint(counters.tx_dropped, >=, 1);
    vmnet_core_work(a->core);
    g_ptr_array_set_size(b->frames, 0);
    g_assert_true(send_frame(a, FRAME_BYTES, 1, 0));
    RUN_UNTIL(both, n_numbered(b, FRAME_BYTES, &last) == 1);
}

static void test_refused(void)
{
    static const struct {
        const char *options, *error;
    } table[] = {
        { "{\"type\": \"vmnet-shared\", \"id\": \"n\", \"mtu\": 1}",
          "netdev 'n': mtu 1 is not in 576 to 65520" },
        { "{\"type\": \"vmnet-shared\", \"id\": \"n\","
          " \"start-address\": \"192.168.9.1\"}",
          "'start-address', 'end-address', 'subnet-mask' should be provided "
          "together" },
        { "{\"type\": \"vmnet-host\", \"id\": \"n\", \"net-uuid\": \"x\"}",
          "Invalid UUID provided in 'net-uuid'" },
    };
    guint i;

    for (i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(Owner) a = owner_new_with(table[i].options, true);
        g_autoptr(GError) error = NULL;

        g_assert_false(vmnet_core_start(a->core, VMNET_CORE_START_MS, true,
                                        &error));
        g_assert_cmpstr(error->message, ==, table[i].error);
        g_assert_cmpint(vmnet_core_get_state(a->core), ==, VMNET_CORE_STOPPED);
        g_assert_cmpint(a->timer_ms, ==, -1);
        g_assert_false(a->up);
    }
}

static void test_no_daemon(void)
{
    g_autoptr(Owner) a = owner_new_with("{\"type\": \"vmnet-shared\","
                                        " \"id\": \"n\"}", false);
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmnet-core-XXXXXX", NULL);
    g_autofree char *old = g_strdup(g_getenv("VMNET_SOCKET"));
    g_autofree char *path = g_build_filename(dir, "none", NULL);

    g_setenv("VMNET_SOCKET", path, TRUE);
    g_assert_false(vmnet_core_start(a->core, VMNET_CORE_START_MS, false, &error));
    g_assert_true(g_str_has_prefix(error->message, "no vmnetd runs"));
    if (old) {
        g_setenv("VMNET_SOCKET", old, TRUE);
    } else {
        g_unsetenv("VMNET_SOCKET");
    }
    g_rmdir(dir);
}

static void test_stop(void)
{
    g_autoptr(Owner) a = owner_new();

    vmnet_core_stop(a->core);
    owner_start(a);
    vmnet_core_stop(a->core);
    vmnet_core_stop(a->core);
    g_assert_true(send_frame(a, FRAME_BYTES, 1, 0));
    g_assert_null(vmnet_core_command(a->core, "query-version", NULL, NULL));
    a->up = false;
    owner_start(a);
}

static void new_session(gpointer unused)
{
    setsid();
}

/* @dir goes when this process has gone, in whatever way: its end is the end of
 * a shell's input.  A daemon that outlives it may be writing for a moment. */
static void remove_at_the_end(const char *dir)
{
    const char *const argv[] = {
        "sh", "-c", "read -r _; for _ in 1 2 3; do rm -rf \"$0\" 2>/dev/null && "
        "break; sleep 1; done", dir, NULL
    };
    int input;

    g_assert_true(g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
                                           G_SPAWN_SEARCH_PATH, new_session,
                                           NULL, NULL, &input, NULL, NULL,
                                           NULL));
}

/* A daemon that runs for these tests, in folders of their own. */
static void make_home(void)
{
    g_autofree char *dir = g_dir_make_tmp("vmnet-core-XXXXXX", NULL);
    g_autofree char *state = g_build_filename(dir, "state", NULL);

    g_assert_nonnull(dir);
    g_mkdir(state, 0700);
    g_setenv("XDG_RUNTIME_DIR", dir, TRUE);
    g_setenv("XDG_STATE_HOME", state, TRUE);
    g_unsetenv("VMNET_SOCKET");
    remove_at_the_end(dir);
}

static void end_process(pid_t pid)
{
    struct pollfd ended = { .fd = syscall(SYS_pidfd_open, pid, 0),
                            .events = POLLIN };

    if (ended.fd >= 0) {
        kill(pid, SIGTERM);
        poll(&ended, 1, 10000);
        close(ended.fd);
    }
}

static void end_home(void)
{
    g_autoptr(Owner) last = owner_new();
    pid_t daemon, parent;

    owner_start(last);
    find_daemon(last->core, &daemon, &parent);
    vmnet_core_stop(last->core);
    if (parent > 1) {
        end_process(parent);
    }
    end_process(daemon);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    make_home();
    g_test_add_func("/vmnet-core/no-daemon", test_no_daemon);
    g_test_add_func("/vmnet-core/refused", test_refused);
    g_test_add_func("/vmnet-core/short-frames", test_short_frames);
    g_test_add_func("/vmnet-core/long-frames", test_long_frames);
    g_test_add_func("/vmnet-core/bad-frames", test_bad_frames);
    g_test_add_func("/vmnet-core/full-nic", test_full_nic);
    g_test_add_func("/vmnet-core/stopped-machine", test_stopped_machine);
    g_test_add_func("/vmnet-core/back-pressure/short", test_back_pressure_short);
    g_test_add_func("/vmnet-core/back-pressure/long", test_back_pressure_long);
    g_test_add_func("/vmnet-core/no-answer", test_daemon_that_does_not_answer);
    g_test_add_func("/vmnet-core/vhost-user", test_vhost_user);
    g_test_add_func("/vmnet-core/lost-daemon", test_lost_daemon);
    g_test_add_func("/vmnet-core/offloads", test_offloads);
    g_test_add_func("/vmnet-core/offloads-that-change", test_offloads_that_change);
    g_test_add_func("/vmnet-core/stop", test_stop);
    status = g_test_run();
    end_home();
    return status;
}
