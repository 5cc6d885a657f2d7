/*
 * A QMP session: whatever a client sends
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <sys/socket.h>
#include <unistd.h>

#include "control/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Fuzzed {
    QmpSession *session;
} Fuzzed;

static bool cmd_negotiate(void *opaque, const JsonValue *args, JsonValue **ret,
                          GError **error)
{
    return qmp_session_negotiate(((Fuzzed *)opaque)->session, NULL, error);
}

static bool cmd_echo(void *opaque, const JsonValue *args, JsonValue **ret,
                     GError **error)
{
    *ret = json_ref((JsonValue *)args);
    return true;
}

static const QmpCommand commands[] = {
    { "qmp_capabilities", cmd_negotiate, 0 },
    { "echo", cmd_echo, 0 },
    { NULL, NULL, 0 },
};

static void on_closed(void *opaque)
{
    g_clear_pointer(&((Fuzzed *)opaque)->session, qmp_session_free);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(JsonValue) greeting = json_dict();
    g_autoptr(Loop) loop = loop_new(NULL, NULL);
    Fuzzed fuzzed = { NULL };
    QmpSessionConfig config = {
        .loop = loop, .commands = commands, .greeting = greeting,
        .client = &fuzzed, .closed = on_closed,
    };
    int fds[2];

    if (size > 65536 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds)) {
        return 0;
    }
    config.fd = fds[1];
    fuzzed.session = qmp_session_new(&config, NULL);
    if (size && send(fds[0], data, size, MSG_NOSIGNAL) < 0) {
        size = 0;
    }
    while (g_main_context_iteration(NULL, FALSE)) {
        continue;
    }
    close(fds[0]);
    while (g_main_context_iteration(NULL, FALSE)) {
        continue;
    }
    g_assert_null(fuzzed.session);
    return 0;
}
