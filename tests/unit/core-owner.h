/*
 * The owner of a core of QEMU's netdevs, and a vmnetd of the test's own
 *
 *   core --- vmnetd (host network) --- core
 *
 * The owner is a loop around poll(): it does what QEMU's main loop would.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_CORE_OWNER_H
#define TESTS_UNIT_CORE_OWNER_H

#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmnet-core.h"

#define FRAME_BYTES 64

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

static inline void owner_watch(void *opaque, VmnetCoreWatch which, int fd)
{
    ((Owner *)opaque)->fds[which] = fd;
}

static inline void owner_set_timer(void *opaque, int delay_ms)
{
    ((Owner *)opaque)->timer_ms = delay_ms;
}

static inline void owner_schedule(void *opaque)
{
    ((Owner *)opaque)->scheduled = true;
}

static inline bool owner_receive(void *opaque, const uint8_t *frame, size_t size)
{
    Owner *owner = opaque;

    g_ptr_array_add(owner->frames, g_bytes_new(frame, size));
    g_assert_cmpuint(owner->nic_room, >, 0);
    return --owner->nic_room > 0;
}

static inline void owner_room(void *opaque)
{
    ((Owner *)opaque)->n_rooms++;
}

static inline void owner_link(void *opaque, bool up, bool again)
{
    Owner *owner = opaque;

    g_assert_true(owner->up != up);
    owner->up = up;
    owner->again = again;
}

static inline void owner_event(void *opaque, const char *name, const char *data)
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

static inline Owner *owner_new_config(const VmnetCoreConfig *config)
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

static inline Owner *owner_new_with(const char *options, bool may_start)
{
    VmnetCoreConfig config = { .options = options, .may_start = may_start };

    return owner_new_config(&config);
}

static inline Owner *owner_new(void)
{
    return owner_new_with("{\"type\": \"vmnet-host\", \"id\": \"net0\","
                          " \"network\": \"test\", \"mtu\": 9000}", true);
}

static inline void owner_free(Owner *owner)
{
    vmnet_core_free(owner->core);
    g_assert_cmpint(owner->fds[0], ==, -1);
    g_assert_cmpint(owner->fds[1], ==, -1);
    g_ptr_array_unref(owner->frames);
    g_ptr_array_unref(owner->events);
    g_free(owner);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Owner, owner_free)

static inline void owner_start(Owner *owner)
{
    g_autoptr(GError) error = NULL;

    vmnet_core_start(owner->core, VMNET_CORE_START_MS, false, &error);
    g_assert_no_error(error);
    g_assert_true(owner->up);
    vmnet_core_set_receiving(owner->core, true);
}

/* One turn of the main loop for all owners; timers are due at once. */
static inline void turn(Owner **owners, guint n)
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
static inline void make_frame(uint8_t *frame, size_t size, uint8_t from,
                              uint32_t number)
{
    memset(frame, 0x5a, size);
    memset(frame, 0xff, 6);
    memcpy(frame + 6, (uint8_t[]){ 0x52, 0x54, 0, 0, 0, from }, 6);
    memcpy(frame + 12, (uint8_t[]){ 0x88, 0xb5 }, 2);
    memcpy(frame + 14, &number, sizeof(number));
}

static inline bool send_frame(Owner *owner, size_t size, uint8_t from,
                              uint32_t number)
{
    g_autofree uint8_t *frame = g_malloc(size);
    struct iovec iov[3] = {
        { frame, 9 }, { frame + 9, 0 }, { frame + 9, size - 9 },
    };

    make_frame(frame, size, from, number);
    return vmnet_core_send(owner->core, iov, G_N_ELEMENTS(iov));
}

/* Numbers of the frames of our type among those that came. */
static inline guint n_numbered(const Owner *owner, size_t size,
                               uint32_t *ret_last)
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
static inline void find_daemon(VmnetCore *core, pid_t *ret_pid,
                               pid_t *ret_parent)
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
static inline void stop_process(pid_t pid)
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

static inline void new_session(gpointer unused)
{
    setsid();
}

/* @dir goes when this process has gone, in whatever way: its end is the end of
 * a shell's input.  A daemon that outlives it may be writing for a moment. */
static inline void remove_at_the_end(const char *dir)
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
static inline void make_home(void)
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

static inline void end_process(pid_t pid)
{
    struct pollfd ended = { .fd = syscall(SYS_pidfd_open, pid, 0),
                            .events = POLLIN };

    if (ended.fd >= 0) {
        kill(pid, SIGTERM);
        poll(&ended, 1, 10000);
        close(ended.fd);
    }
}

static inline void end_home(void)
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

/* Run what main() has added, with a daemon for it. */
static inline int run_tests(void)
{
    int status;

    make_home();
    status = g_test_run();
    end_home();
    return status;
}

#endif
