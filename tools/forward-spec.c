/*
 * A forward as vmnetctl takes it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "forward-spec.h"

#include <string.h>

#include "vmnet/error.h"

void forward_spec_free(ForwardSpec *spec)
{
    if (spec) {
        g_free(spec->host_address);
        g_free(spec->guest);
        g_free(spec);
    }
}

bool forward_spec_parse_port(const char *text, unsigned min, int64_t *ret,
                             GError **error)
{
    guint64 port;

    if (!g_ascii_string_to_unsigned(text, 10, min, 65535, &port, NULL)) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "port '%s' is not a number from %u to 65535", text, min);
        return false;
    }
    *ret = port;
    return true;
}

/*
 * "[ADDRESS:]PORT", the address possibly in brackets.
 * @ret_address: NULL if there is none
 */
static bool parse_endpoint(const char *text, unsigned min_port,
                           char **ret_address, int64_t *ret_port,
                           GError **error)
{
    const char *colon = strrchr(text, ':');
    const char *begin = text, *end = colon;

    if (!forward_spec_parse_port(colon ? colon + 1 : text, min_port, ret_port,
                                 error)) {
        return false;
    }
    if (colon && text[0] == '[') {
        begin++;
        end--;
        if (end < begin || *end != ']') {
            g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                        "'%s': a ']' is missing before the port", text);
            return false;
        }
    }
    *ret_address = colon && end > begin ? g_strndup(begin, end - begin) : NULL;
    return true;
}

static bool parse_host(ForwardSpec *spec, const char *text, GError **error)
{
    g_autofree char *host = g_strndup(text, strcspn(text, "-"));
    const char *rest = host;

    if (g_str_has_prefix(host, "udp:")) {
        spec->protocol = "udp";
        rest += strlen("udp:");
    } else if (g_str_has_prefix(host, "tcp:")) {
        spec->protocol = "tcp";
        rest += strlen("tcp:");
    }
    if (!parse_endpoint(rest, 0, &spec->host_address, &spec->host_port, error)) {
        g_prefix_error(error, "forward '%s': ", text);
        return false;
    }
    return true;
}

ForwardSpec *forward_spec_parse_host(const char *text, GError **error)
{
    g_autoptr(ForwardSpec) spec = g_new0(ForwardSpec, 1);

    return parse_host(spec, text, error) ? g_steal_pointer(&spec) : NULL;
}

ForwardSpec *forward_spec_parse(const char *text, GError **error)
{
    g_autoptr(ForwardSpec) spec = g_new0(ForwardSpec, 1);
    const char *dash = strchr(text, '-');

    if (!dash) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE, "forward '%s' is not "
                    "[tcp:|udp:][HOSTADDR:]HOSTPORT-GUEST:PORT", text);
        return NULL;
    }
    if (!parse_host(spec, text, error)) {
        return NULL;
    }
    if (!parse_endpoint(dash + 1, 1, &spec->guest, &spec->guest_port, error)) {
        g_prefix_error(error, "forward '%s': ", text);
        return NULL;
    }
    if (!spec->guest) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "forward '%s' names no guest before its port", text);
        return NULL;
    }
    return g_steal_pointer(&spec);
}
