/*
 * The greeting, and what it says
 *
 *   daemon: {"QMP": {"version": ...}}   or an error, if it has too many clients
 *   client: qmp_capabilities            daemon: {}
 *   client: query-version               only where the greeting lacks ours
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "libvmnet/build.h"
#include "libvmnet/client-int.h"

enum { AWAIT_GREETING, AWAIT_CAPABILITIES, AWAIT_VERSION };

static char *version_text(const JsonValue *version)
{
    const JsonValue *triple = json_dict_get(version, "qemu");
    int64_t major = 0, minor = 0, micro = 0;

    if (triple) {
        json_dict_get_int(triple, "major", &major);
        json_dict_get_int(triple, "minor", &minor);
        json_dict_get_int(triple, "micro", &micro);
    }
    return g_strdup_printf("%d.%d.%d", (int)major, (int)minor, (int)micro);
}

static bool not_vmnetd(const VmnetClient *client, GError **error)
{
    g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                "what listens on '%s' is not vmnetd", client->path);
    return false;
}

static bool check_protocol(VmnetClient *client, const JsonValue *version,
                           GError **error)
{
    const char *build = json_dict_get_string(version, "build");
    int64_t protocol;

    g_free(client->version);
    client->version = version_text(version);
    if (!json_dict_get_int(version, "protocol", &protocol)) {
        return not_vmnetd(client, error);
    }
    if (protocol != VMNET_PROTOCOL) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "vmnetd at '%s' is version %s and speaks protocol %"
                    G_GINT64_FORMAT ", this program is version %s and speaks "
                    "protocol %d; end that vmnetd (its own `vmnetctl stop`) "
                    "and try again", client->path, client->version, protocol,
                    VMNET_VERSION, VMNET_PROTOCOL);
        return false;
    }
    if (build && strcmp(build, vmnet_build_id()) != 0) {
        g_free(client->notice);
        client->notice = g_strdup_printf(
            "vmnetd runs build %s (version %s), this program is build %s; "
            "`vmnetctl stop` ends it, the next start takes the new one",
            build, client->version, vmnet_build_id());
    }
    return true;
}

static bool ask(VmnetClient *client, const char *command, GError **error)
{
    g_autoptr(JsonValue) request = json_dict();

    json_dict_set_string(request, "execute", command);
    return client_io_push(client, request, -1, true, error);
}

static GreetResult take_greeting(VmnetClient *client, const JsonValue *message,
                                 unsigned *state, GError **error)
{
    const JsonValue *qmp = json_dict_get(message, "QMP");
    const JsonValue *version = qmp ? json_dict_get(qmp, "version") : NULL;

    if (json_dict_get(message, "error")) {
        client_take_result(message, error);
        return GREET_FAILED;
    }
    if (!qmp) {
        not_vmnetd(client, error);
        return GREET_FAILED;
    }
    if (version && json_dict_get(version, "protocol") &&
        !check_protocol(client, version, error)) {
        return GREET_FAILED;
    }
    *state = AWAIT_CAPABILITIES;
    return ask(client, "qmp_capabilities", error) ? GREET_GOES_ON
                                                  : GREET_FAILED;
}

GreetResult greet_message(VmnetClient *client, const JsonValue *message,
                          unsigned *state, GError **error)
{
    const JsonValue *result;

    if (*state == AWAIT_GREETING) {
        return take_greeting(client, message, state, error);
    }
    if (json_dict_get(message, "event")) {
        return GREET_GOES_ON;
    }
    result = client_take_result(message, error);
    if (!result) {
        if (error && !*error) {
            not_vmnetd(client, error);
        }
        return GREET_FAILED;
    }
    if (*state == AWAIT_VERSION) {
        return check_protocol(client, result, error) ? GREET_DONE
                                                     : GREET_FAILED;
    }
    if (client->version) {
        return GREET_DONE;
    }
    *state = AWAIT_VERSION;
    return ask(client, "query-version", error) ? GREET_GOES_ON : GREET_FAILED;
}
