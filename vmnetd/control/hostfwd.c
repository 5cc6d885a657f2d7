/*
 * hostfwd: [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/hostfwd.h"

#include <string.h>

#include "qapi/qapi-error.h"

/* No rule is longer than two bracketed addresses, two ports and a protocol. */
#define FIELD_BYTES 64

/*
 * Copy up to @separator, which is skipped; one within brackets does not count.
 */
static bool next_field(const char **text, char separator, char field[FIELD_BYTES])
{
    const char *p = *text;
    bool in_brackets = false;
    size_t len;

    for (; *p && (in_brackets || *p != separator); p++) {
        in_brackets = *p == '[' || (in_brackets && *p != ']');
    }
    len = p - *text;
    if (*p != separator || len >= FIELD_BYTES) {
        return false;
    }
    memcpy(field, *text, len);
    field[len] = '\0';
    *text = p + 1;
    return true;
}

static bool parse_address(const char *text, IpAddr *ret_addr)
{
    size_t len = strlen(text);
    char inner[FIELD_BYTES];
    IpAddr addr;

    if (!len) {
        memset(ret_addr, 0, sizeof(*ret_addr));
        ret_addr->family = AF_UNSPEC;
        return true;
    }
    if (text[0] != '[') {
        if (!ip_addr_parse(text, &addr) || addr.family != AF_INET) {
            return false;
        }
    } else {
        if (len < 2 || len > FIELD_BYTES || text[len - 1] != ']') {
            return false;
        }
        memcpy(inner, text + 1, len - 2);
        inner[len - 2] = '\0';
        if (!ip_addr_parse(inner, &addr) || addr.family != AF_INET6) {
            return false;
        }
    }
    *ret_addr = addr;
    return true;
}

static bool parse_port(const char *text, unsigned min, uint16_t *ret_port)
{
    guint64 port;

    if (!g_ascii_string_to_unsigned(text, 10, min, UINT16_MAX, &port, NULL)) {
        return false;
    }
    *ret_port = port;
    return true;
}

static bool parse_protocol(const char *text, uint8_t *ret_proto)
{
    if (!text[0] || !strcmp(text, "tcp")) {
        *ret_proto = IPPROTO_TCP;
        return true;
    }
    if (!strcmp(text, "udp")) {
        *ret_proto = IPPROTO_UDP;
        return true;
    }
    return false;
}

/* Forwards do not change the family; an address that is not written has none. */
static bool same_family(const IpAddr *a, const IpAddr *b)
{
    return a->family == AF_UNSPEC || b->family == AF_UNSPEC
           || a->family == b->family;
}

/* Returns: what is wrong, or NULL. */
static const char *parse(const char *text, HostfwdRule *rule)
{
    char field[FIELD_BYTES];

    if (!next_field(&text, ':', field)) {
        return "No : separators";
    }
    if (!parse_protocol(field, &rule->proto)) {
        return "Bad protocol name";
    }
    if (!next_field(&text, ':', field)) {
        return "Missing : separator";
    }
    if (!parse_address(field, &rule->host.addr)) {
        return "Bad host address";
    }
    if (!next_field(&text, '-', field)) {
        return "Bad host port separator";
    }
    if (!parse_port(field, 0, &rule->host.port)) {
        return "Bad host port";
    }
    if (!next_field(&text, ':', field)) {
        return "Missing guest address";
    }
    if (!parse_address(field, &rule->guest.addr)
        || !same_family(&rule->host.addr, &rule->guest.addr)) {
        return "Bad guest address";
    }
    if (!parse_port(text, 1, &rule->guest.port)) {
        return "Bad guest port";
    }
    return NULL;
}

bool hostfwd_parse(const char *text, HostfwdRule *ret_rule, GError **error)
{
    HostfwdRule rule;
    const char *reason = parse(text, &rule);

    if (reason) {
        g_set_error(error, QAPI_ERROR, QAPI_ERROR_GENERIC,
                    "Invalid host forwarding rule '%s' (%s)", text, reason);
        return false;
    }
    *ret_rule = rule;
    return true;
}

static void append_address(GString *text, const IpAddr *addr)
{
    char printed[IP_STRLEN];

    if (addr->family != AF_UNSPEC) {
        g_string_append_printf(text, addr->family == AF_INET6 ? "[%s]" : "%s",
                               ip_addr_format(addr, printed));
    }
}

char *hostfwd_format(const HostfwdRule *rule)
{
    GString *text = g_string_new(rule->proto == IPPROTO_UDP ? "udp:" : "tcp:");

    append_address(text, &rule->host.addr);
    g_string_append_printf(text, ":%u-", rule->host.port);
    append_address(text, &rule->guest.addr);
    g_string_append_printf(text, ":%u", rule->guest.port);
    return g_string_free(text, FALSE);
}
