/*
 * Leases as text: gateway_save() and gateway_load()
 *
 *   vmnet-leases 1
 *   lease 192.168.107.5 52:54:00:12:34:56 bound 1700000000 01525400123456 web
 *   end 1
 *
 * A line a lease: address, MAC, state, wall-clock seconds when it ends or
 * ended, client-id in hexadecimal and host name, "-" for none.  The last line
 * counts them, so that half a file is recognized.
 *
 * Theory of operation: a file is read whole before anything is believed; one
 * wrong line and nothing is loaded.  Leases of another subnet are no damage:
 * they are passed over.  The clock that the file was written by may have been
 * wrong, or ours may be: a lease never lasts longer than leases of this
 * network do, and one that seems to have ended long ago is still its client's
 * while fresh addresses are left.
 *
 * Offers are not kept: a client that was not told will ask again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway-internal.h"

#include <errno.h>
#include "limits.h"

#define FILE_MAGIC "vmnet-leases"
#define FILE_VERSION 1
#define FILE_FIELDS 7
/* 4096 leases with the longest client-ids. */
#define FILE_SIZE_MAX (LIMIT_LEASES * 1024)

static GQuark file_error_quark(void)
{
    return g_quark_from_static_string("vmnet-lease-file");
}

/* Writing */

static void save_hex(GString *text, const uint8_t *data, size_t len)
{
    size_t i;

    if (len == 0) {
        g_string_append_c(text, '-');
    }
    for (i = 0; i < len; i++) {
        g_string_append_printf(text, "%02x", data[i]);
    }
}

static bool is_kept(const LeaseEntry *entry)
{
    LeaseState state = entry->lease.state;

    return state == LEASE_BOUND || state == LEASE_EXPIRED ||
           state == LEASE_RELEASED || state == LEASE_DECLINED ||
           (state == LEASE_OFFERED && entry->was_bound);
}

static void save_lease(const Gateway *gw, const LeaseEntry *entry,
                       GString *text)
{
    const Lease *lease = &entry->lease;
    LeaseState state = lease->state == LEASE_OFFERED ? LEASE_EXPIRED :
                       lease->state;
    char addr[IP_STRLEN], mac[MAC_STRLEN];

    g_string_append_printf(text, "lease %s %s %s %" PRId64 " ",
                           ip_addr_format(&lease->addr, addr),
                           mac_format(&lease->mac, mac),
                           lease_state_str(state),
                           gw->wall_offset_s + entry->expires_ms / 1000);
    save_hex(text, lease->client_id, lease->client_id_len);
    g_string_append_printf(text, " %s\n",
                           lease->hostname[0] ? lease->hostname : "-");
}

char *gateway_save(Gateway *gw)
{
    g_autoptr(GPtrArray) list = lease_table_list(gw->leases);
    GString *text = g_string_new(NULL);
    unsigned i, n = 0;

    g_string_append_printf(text, "%s %d\n", FILE_MAGIC, FILE_VERSION);
    for (i = 0; i < list->len; i++) {
        const LeaseEntry *entry = g_ptr_array_index(list, i);

        if (is_kept(entry)) {
            save_lease(gw, entry, text);
            n++;
        }
    }
    g_string_append_printf(text, "end %u\n", n);
    return g_string_free(text, FALSE);
}

/* Reading */

static bool parse_number(const char *field, int64_t min, int64_t max,
                         int64_t *ret)
{
    char *end;
    int64_t value;

    errno = 0;
    value = g_ascii_strtoll(field, &end, 10);
    if (errno != 0 || end == field || *end || value < min || value > max) {
        return false;
    }
    *ret = value;
    return true;
}

static bool parse_state(const char *field, LeaseState *ret_state)
{
    unsigned i;

    for (i = 0; i < LEASE__MAX; i++) {
        if (strcmp(field, lease_state_str(i)) == 0) {
            *ret_state = i;
            return i != LEASE_OFFERED && i != LEASE_RESERVED;
        }
    }
    return false;
}

static bool parse_hex(const char *field, uint8_t *buf, size_t size,
                      uint8_t *ret_len)
{
    size_t i, len = strlen(field);

    if (strcmp(field, "-") == 0) {
        *ret_len = 0;
        return true;
    }
    if (len == 0 || len % 2 != 0 || len / 2 > size) {
        return false;
    }
    for (i = 0; i < len; i += 2) {
        int high = g_ascii_xdigit_value(field[i]);
        int low = g_ascii_xdigit_value(field[i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        buf[i / 2] = high << 4 | low;
    }
    *ret_len = len / 2;
    return true;
}

static bool parse_hostname(const char *field, char ret_name[64])
{
    if (strcmp(field, "-") == 0) {
        ret_name[0] = '\0';
        return true;
    }
    /* What it would be made into is what it must be. */
    lease_name_sanitize((const uint8_t *)field, strlen(field), ret_name);
    return ret_name[0] && strcmp(field, ret_name) == 0;
}

/* Returns: what is wrong with the line, or NULL. */
static const char *parse_lease(char **fields, Lease *lease)
{
    if (!ip_addr_parse(fields[1], &lease->addr) ||
        lease->addr.family != AF_INET) {
        return "not an IPv4 address";
    }
    if (!mac_parse(fields[2], &lease->mac) || mac_is_group(lease->mac.b)) {
        return "not a MAC address";
    }
    if (!parse_state(fields[3], &lease->state)) {
        return "not a state";
    }
    if (!parse_number(fields[4], INT32_MIN, (int64_t)1 << 40,
                      &lease->expires_s)) {
        return "not a time";
    }
    if (!parse_hex(fields[5], lease->client_id, sizeof(lease->client_id),
                   &lease->client_id_len)) {
        return "not a client-id";
    }
    if (!parse_hostname(fields[6], lease->hostname)) {
        return "not a host name";
    }
    if (mac_is_zero(&lease->mac) != (lease->state == LEASE_DECLINED)) {
        return "no client, or one too many";
    }
    return NULL;
}

/* Returns: what is wrong, or NULL. @leases takes a lease more. */
static const char *parse_lease_line(const char *line, GArray *leases)
{
    g_auto(GStrv) fields = g_strsplit(line, " ", FILE_FIELDS + 1);
    const char *wrong;
    Lease lease = { 0 };

    if (g_strv_length(fields) != FILE_FIELDS ||
        strcmp(fields[0], "lease") != 0) {
        return "not a lease of seven fields";
    }
    wrong = parse_lease(fields, &lease);
    if (!wrong && leases->len >= LIMIT_LEASES) {
        wrong = "too many leases";
    }
    if (!wrong) {
        g_array_append_val(leases, lease);
    }
    return wrong;
}

/* No address and no MAC may be there twice. */
static bool has_duplicates(const GArray *leases)
{
    g_autoptr(GHashTable) addrs = g_hash_table_new(g_direct_hash,
                                                   g_direct_equal);
    g_autoptr(GHashTable) macs = g_hash_table_new_full(g_int64_hash,
                                                       g_int64_equal, g_free,
                                                       NULL);
    unsigned i;

    for (i = 0; i < leases->len; i++) {
        const Lease *lease = &g_array_index(leases, Lease, i);
        uint64_t mac = 0;

        memcpy(&mac, lease->mac.b, sizeof(lease->mac.b));
        if (!g_hash_table_add(addrs, GUINT_TO_POINTER(lease->addr.v4)) ||
            (mac != 0 && !g_hash_table_add(macs, g_memdup2(&mac, 8)))) {
            return true;
        }
    }
    return false;
}

/* Returns: what is wrong in line @ret_line (from 1), or NULL. */
static const char *parse_file(char **lines, GArray *leases, unsigned *ret_line)
{
    g_autofree char *first = g_strdup_printf("%s %d", FILE_MAGIC,
                                             FILE_VERSION);
    const char *wrong = NULL;
    int64_t n;
    unsigned i;

    *ret_line = 1;
    if (!lines[0] || strcmp(lines[0], first) != 0) {
        return "not a lease file of this version";
    }
    for (i = 1; lines[i] && !g_str_has_prefix(lines[i], "end ") &&
         (lines[i][0] || lines[i + 1]); i++) {
        *ret_line = i + 1;
        wrong = parse_lease_line(lines[i], leases);
        if (wrong) {
            return wrong;
        }
    }
    *ret_line = i + 1;
    if (!lines[i] || !g_str_has_prefix(lines[i], "end ") ||
        !parse_number(lines[i] + strlen("end "), 0, LIMIT_LEASES, &n) ||
        n != leases->len) {
        return "file is not complete";
    }
    if (!lines[i + 1] || lines[i + 1][0] || lines[i + 2]) {
        return "text behind the end";
    }
    return has_duplicates(leases) ? "an address or MAC is there twice" : NULL;
}

/* Would we give it still? */
static bool is_usable(Gateway *gw, const Lease *lease)
{
    LeaseEntry *entry = lease_table_by_addr(gw->leases, lease->addr.v4);

    if (!gateway_may_be_guest(gw, &lease->addr)) {
        return false;
    }
    if (entry) {
        return entry->lease.state == LEASE_RESERVED &&
               mac_equal(&entry->reserved_mac, &lease->mac);
    }
    return lease->addr.v4 >= gw->config.pool_first &&
           lease->addr.v4 <= gw->config.pool_last;
}

/* How long a lease still has to go, in ms; negative: since when it has not. */
static int64_t lease_left_ms(const Gateway *gw, const Lease *lease)
{
    int64_t wall_s = gw->wall_offset_s + gw->now_ms / 1000;
    int64_t left_s = lease->expires_s - wall_s;

    return MIN(left_s, (int64_t)gw->config.lease_s) * 1000;
}

static void load_lease(Gateway *gw, const Lease *lease)
{
    int64_t left_ms = lease_left_ms(gw, lease);
    LeaseState state = lease->state;
    LeaseEntry *entry;

    if (!is_usable(gw, lease)) {
        return;
    }
    entry = lease_table_by_addr(gw->leases, lease->addr.v4);
    if (!entry) {
        entry = lease_table_add(gw->leases, lease->addr.v4);
    }
    if (!entry) {
        return;
    }
    if (state == LEASE_DECLINED) {
        lease_table_quarantine(gw->leases, entry, 0, gw->now_ms + left_ms);
        return;
    }
    if (state == LEASE_BOUND && left_ms <= 0) {
        state = LEASE_EXPIRED;
    } else if (state != LEASE_BOUND) {
        left_ms = MIN(left_ms, 0);
    }
    lease_table_assign(gw->leases, entry, &lease->mac, lease->client_id,
                       lease->client_id_len);
    entry->was_bound = true;
    lease_table_set_state(gw->leases, entry, state, gw->now_ms + left_ms);
    lease_table_set_name(gw->leases, entry, lease->hostname);
}

bool gateway_load(Gateway *gw, const char *text, size_t len, GError **error)
{
    g_autoptr(GArray) leases = g_array_new(FALSE, FALSE, sizeof(Lease));
    g_autofree char *copy = NULL;
    g_auto(GStrv) lines = NULL;
    const char *wrong;
    unsigned i, line = 1;

    if (len == 0 || len > FILE_SIZE_MAX || memchr(text, '\0', len)) {
        g_set_error(error, file_error_quark(), 0,
                    "line 1: not a lease file of this version");
        return false;
    }
    copy = g_strndup(text, len);
    lines = g_strsplit(copy, "\n", LIMIT_LEASES + 4);
    wrong = parse_file(lines, leases, &line);
    if (wrong) {
        g_set_error(error, file_error_quark(), 0, "line %u: %s", line, wrong);
        return false;
    }
    gateway_measure_wall(gw);
    for (i = 0; i < leases->len; i++) {
        load_lease(gw, &g_array_index(leases, Lease, i));
    }
    return true;
}
