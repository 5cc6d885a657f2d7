/*
 * What tests of the vmnet netdevs say to QEMU, and expect it to say
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "qapi/error.h"
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

#define WAIT_S 10

void vmnet_add(QTestState *qts, const char *options)
{
    qtest_qmp_assert_success(qts, "{'execute': 'netdev_add', 'arguments': %p}",
                             qobject_from_json(options, &error_abort));
}

QDict *vmnet_query(QTestState *qts)
{
    QDict *response = qtest_qmp(qts, "{'execute': 'query-vmnet'}");
    QList *list = qdict_get_qlist(response, "return");
    QDict *netdev;

    g_assert_nonnull(list);
    g_assert_cmpuint(qlist_size(list), ==, 1);
    netdev = qobject_to(QDict, qlist_peek(list));
    qobject_ref(netdev);
    qobject_unref(response);
    return netdev;
}

QDict *vmnet_query_until(QTestState *qts, const char *member,
                         const char *value)
{
    gint64 end = g_get_monotonic_time() + WAIT_S * G_USEC_PER_SEC;

    for (;;) {
        QDict *netdev = vmnet_query(qts);
        const char *now = qdict_get_try_str(netdev, member);

        if (now && (!value || !strcmp(now, value))) {
            return netdev;
        }
        if (g_get_monotonic_time() > end) {
            g_error("%s is '%s' instead of '%s'", member, now ?: "absent",
                    value ?: "there");
        }
        qobject_unref(netdev);
        g_usleep(2000);
    }
}

void vmnet_expect_error(QDict *response, const char *text)
{
    QDict *error = qdict_get_qdict(response, "error");

    if (!error) {
        g_error("no error, but there should be '%s'", text);
    }
    g_assert_cmpstr(qdict_get_str(error, "desc"), ==, text);
    qobject_unref(response);
}

void vmnet_expect_refusal(const char *const *arguments, const char *text)
{
    g_autofree char *message = NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    int status;

    g_ptr_array_add(argv, (char *)getenv("QTEST_QEMU_BINARY"));
    for (; *arguments; arguments++) {
        g_ptr_array_add(argv, (char *)*arguments);
    }
    g_ptr_array_add(argv, NULL);
    g_assert_true(g_spawn_sync(NULL, (char **)argv->pdata, NULL,
                               G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                               &message, &status, NULL));
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    if (!strstr(message, text)) {
        g_error("'%s' instead of '%s'", message, text);
    }
}

/* Of a process's threads: when they could have run, but others did. */
static gint64 waited_us_of(const char *process)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/task", process);
    GDir *threads = g_dir_open(path, 0, NULL);
    const char *thread;
    gint64 sum_us = 0;

    while (threads && (thread = g_dir_read_name(threads))) {
        g_autofree char *file = g_strdup_printf("%s/%s/schedstat", path,
                                                thread);
        g_autofree char *text = NULL;

        if (g_file_get_contents(file, &text, NULL, NULL)) {
            const char *second = strchr(text, ' ');

            sum_us += second ? g_ascii_strtoll(second, NULL, 10) / 1000 : 0;
        }
    }
    if (threads) {
        g_dir_close(threads);
    }
    return sum_us;
}

/* Of us and of our children, QEMU among them. */
static gint64 waited_us(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) children = NULL;
    gint64 sum_us = waited_us_of("self");
    char **child;

    if (!g_file_get_contents("/proc/thread-self/children", &text, NULL, NULL)) {
        return sum_us;
    }
    children = g_strsplit(g_strstrip(text), " ", -1);
    for (child = children; *child; child++) {
        sum_us += waited_us_of(*child);
    }
    return sum_us;
}

void vmnet_clock_start(VmnetClock *clock)
{
    clock->begin_us = g_get_monotonic_time();
    clock->begin_waited_us = waited_us();
}

void vmnet_expect_within(const VmnetClock *clock, int limit_ms)
{
    gint64 took_us = g_get_monotonic_time() - clock->begin_us;
    gint64 waited = waited_us() - clock->begin_waited_us;

    /* A thread that has ended takes its share along. */
    g_assert_cmpint((took_us - MAX(waited, 0)) / 1000, <, limit_ms);
}
