/*
 * Tests for the states of the core of QEMU's netdevs: daemons that refuse, do
 * not answer, and are lost
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core-owner.h"
#include "vmnet-probe.h"

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmnet-core/no-daemon", test_no_daemon);
    g_test_add_func("/vmnet-core/refused", test_refused);
    g_test_add_func("/vmnet-core/no-answer", test_daemon_that_does_not_answer);
    g_test_add_func("/vmnet-core/vhost-user", test_vhost_user);
    g_test_add_func("/vmnet-core/lost-daemon", test_lost_daemon);
    g_test_add_func("/vmnet-core/stop", test_stop);
    return run_tests();
}
