/*
 * What a network is to find again, as a key file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/state.h"

#include <string.h>

#include "limits.h"
#include "proto/random.h"
#include "network/subnet.h"
#include "vmnet/error.h"

#define GROUP "network"
#define FORWARDS "forwards"
#define VERSION 1
/* Hexadecimal digits of the key. */
#define KEY_DIGITS 32

void network_prefix6_random(IpPrefix *ret_prefix)
{
    IpPrefix prefix = { .addr.family = AF_INET6, .len = 64 };

    /* fd, 40 random bits; subnet 0. */
    prefix.addr.v6.s6_addr[0] = 0xfd;
    random_bytes(&prefix.addr.v6.s6_addr[1], 5);
    *ret_prefix = prefix;
}

void network_state_init(NetworkState *state)
{
    memset(state, 0, sizeof(*state));
    state->addresses.prefix.addr.family = AF_UNSPEC;
    network_prefix6_random(&state->prefix6);
    random_bytes(state->mac.b, sizeof(state->mac.b));
    state->mac.b[0] = (state->mac.b[0] & ~1) | 2;
    random_bytes(state->hash_key, sizeof(state->hash_key));
    state->forwards = g_array_new(FALSE, TRUE, sizeof(NetworkForwardConfig));
}

void network_state_clear(NetworkState *state)
{
    g_clear_pointer(&state->forwards, g_array_unref);
}

NetworkAddresses network_addresses_of(const IpPrefix *subnet)
{
    uint32_t net = subnet->addr.v4 & ip_len_to_mask(subnet->len);
    uint32_t broadcast = net | ~ip_len_to_mask(subnet->len);

    return (NetworkAddresses){
        .prefix = { ip_addr_v4(net), subnet->len },
        .gateway = net + 1,
        .pool_first = net + 2,
        .pool_last = broadcast - 1,
    };
}

/* Writing */

static void set_v4(GKeyFile *file, const char *key, uint32_t v4)
{
    IpAddr addr = ip_addr_v4(v4);
    char text[IP_STRLEN];

    g_key_file_set_string(file, GROUP, key, ip_addr_format(&addr, text));
}

static void set_addresses(GKeyFile *file, const NetworkAddresses *addresses)
{
    if (addresses->prefix.addr.family != AF_INET) {
        return;
    }
    set_v4(file, "gateway", addresses->gateway);
    set_v4(file, "subnet-mask", ip_len_to_mask(addresses->prefix.len));
    set_v4(file, "pool-first", addresses->pool_first);
    set_v4(file, "pool-last", addresses->pool_last);
    g_key_file_set_boolean(file, GROUP, "subnet-written", addresses->written);
}

/* PROTO HOST PORT GUEST PORT; HOST "*": every address. */
static char *forward_format(const NetworkForwardConfig *forward)
{
    char host[IP_STRLEN], guest[IP_STRLEN];
    bool is_any = forward->host.addr.family == AF_UNSPEC;

    return g_strdup_printf("%s %s %u %s %u",
                           forward->proto == IPPROTO_UDP ? "udp" : "tcp",
                           is_any ? "*" :
                           ip_addr_format(&forward->host.addr, host),
                           forward->host.port,
                           ip_addr_format(&forward->guest.addr, guest),
                           forward->guest.port);
}

char *network_state_format(const NetworkState *state)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    char key[KEY_DIGITS + 1], mac[MAC_STRLEN];
    g_autofree char *prefix6 = subnet_format(&state->prefix6);
    unsigned i;

    g_key_file_set_integer(file, GROUP, "version", VERSION);
    set_addresses(file, &state->addresses);
    g_key_file_set_string(file, GROUP, "ipv6-prefix", prefix6);
    g_key_file_set_boolean(file, GROUP, "ipv6-prefix-written",
                           state->prefix6_written);
    g_key_file_set_string(file, GROUP, "mac", mac_format(&state->mac, mac));
    for (i = 0; i < sizeof(state->hash_key); i++) {
        g_snprintf(key + 2 * i, 3, "%02x", state->hash_key[i]);
    }
    g_key_file_set_string(file, GROUP, "hash-key", key);

    for (i = 0; i < state->forwards->len; i++) {
        g_autofree char *name = g_strdup_printf("%u", i + 1);
        g_autofree char *text = forward_format(
            &g_array_index(state->forwards, NetworkForwardConfig, i));

        g_key_file_set_string(file, FORWARDS, name, text);
    }
    return g_key_file_to_data(file, NULL, NULL);
}

/* Reading */

static bool refuse(GError **error, const char *key)
{
    g_set_error(error, VMNET_ERROR, VMNET_FAILURE, "bad value of '%s'", key);
    return false;
}

static bool get_v4(GKeyFile *file, const char *key, uint32_t *ret_v4)
{
    g_autofree char *text = g_key_file_get_string(file, GROUP, key, NULL);
    IpAddr addr;

    if (!text || !ip_addr_parse(text, &addr) || addr.family != AF_INET) {
        return false;
    }
    *ret_v4 = addr.v4;
    return true;
}

static bool get_addresses(GKeyFile *file, NetworkAddresses *ret_addresses)
{
    NetworkAddresses a = { 0 };
    uint32_t mask, net;
    int len;

    if (!g_key_file_has_key(file, GROUP, "gateway", NULL)) {
        return true;    /* net-uuid */
    }
    if (!get_v4(file, "gateway", &a.gateway) ||
        !get_v4(file, "subnet-mask", &mask) ||
        !get_v4(file, "pool-first", &a.pool_first) ||
        !get_v4(file, "pool-last", &a.pool_last)) {
        return false;
    }
    len = ip_mask_to_len(mask);
    net = a.gateway & mask;
    a.prefix = (IpPrefix){ ip_addr_v4(net), len < 0 ? 0 : len };
    a.written = g_key_file_get_boolean(file, GROUP, "subnet-written", NULL);
    if (len < 8 || len > 30 || !subnet_is_private(&a.prefix) ||
        a.gateway == net || a.pool_first <= a.gateway ||
        a.pool_last < a.pool_first || a.pool_last >= (net | ~mask)) {
        return false;
    }
    *ret_addresses = a;
    return true;
}

static bool get_prefix6(GKeyFile *file, NetworkState *state)
{
    g_autofree char *text = g_key_file_get_string(file, GROUP, "ipv6-prefix",
                                                  NULL);
    char *slash = text ? strchr(text, '/') : NULL;
    IpAddr addr;

    if (!slash || strcmp(slash, "/64") != 0) {
        return false;
    }
    *slash = '\0';
    if (!ip_addr_parse(text, &addr) || addr.family != AF_INET6 ||
        addr.v6.s6_addr[0] != 0xfd) {
        return false;
    }
    memset(&addr.v6.s6_addr[8], 0, 8);
    state->prefix6.addr = addr;
    state->prefix6_written = g_key_file_get_boolean(file, GROUP,
                                                    "ipv6-prefix-written",
                                                    NULL);
    return true;
}

static bool get_mac(GKeyFile *file, MacAddr *ret_mac)
{
    g_autofree char *text = g_key_file_get_string(file, GROUP, "mac", NULL);

    return text && mac_parse(text, ret_mac) && !mac_is_group(ret_mac->b) &&
           !mac_is_zero(ret_mac);
}

static bool get_key(GKeyFile *file, uint8_t ret_key[16])
{
    g_autofree char *text = g_key_file_get_string(file, GROUP, "hash-key",
                                                  NULL);
    unsigned i;

    if (!text || strlen(text) != KEY_DIGITS) {
        return false;
    }
    for (i = 0; i < KEY_DIGITS; i++) {
        if (!g_ascii_isxdigit(text[i])) {
            return false;
        }
    }
    for (i = 0; i < 16; i++) {
        ret_key[i] = g_ascii_xdigit_value(text[2 * i]) << 4 |
                     g_ascii_xdigit_value(text[2 * i + 1]);
    }
    return true;
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &value, NULL)) {
        return false;
    }
    *ret_port = value;
    return true;
}

static bool forward_parse(const char *text, NetworkForwardConfig *ret_forward)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 6);
    NetworkForwardConfig forward = { .persistent = true };

    if (g_strv_length(words) != 5) {
        return false;
    }
    forward.proto = strcmp(words[0], "udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP;
    forward.host.addr.family = AF_UNSPEC;
    if ((forward.proto == IPPROTO_TCP && strcmp(words[0], "tcp") != 0) ||
        (strcmp(words[1], "*") != 0 &&
         !ip_addr_parse(words[1], &forward.host.addr)) ||
        !parse_port(words[2], &forward.host.port) ||
        !ip_addr_parse(words[3], &forward.guest.addr) ||
        !parse_port(words[4], &forward.guest.port)) {
        return false;
    }
    *ret_forward = forward;
    return true;
}

static bool get_forwards(GKeyFile *file, GArray *forwards)
{
    g_auto(GStrv) keys = g_key_file_get_keys(file, FORWARDS, NULL, NULL);
    unsigned i;

    for (i = 0; keys && keys[i] && i < LIMIT_FORWARDS; i++) {
        g_autofree char *text = g_key_file_get_string(file, FORWARDS, keys[i],
                                                      NULL);
        NetworkForwardConfig forward;

        if (!text || !forward_parse(text, &forward)) {
            return false;
        }
        g_array_append_val(forwards, forward);
    }
    return true;
}

bool network_state_parse(const char *text, size_t len,
                         NetworkState *ret_state, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_auto(NetworkState) state = { 0 };

    if (!g_key_file_load_from_data(file, text, len, G_KEY_FILE_NONE, error)) {
        return false;
    }
    if (g_key_file_get_integer(file, GROUP, "version", NULL) != VERSION) {
        return refuse(error, "version");
    }
    network_state_init(&state);
    if (!get_addresses(file, &state.addresses)) {
        return refuse(error, "gateway, subnet-mask, pool-first or pool-last");
    }
    if (!get_prefix6(file, &state)) {
        return refuse(error, "ipv6-prefix");
    }
    if (!get_mac(file, &state.mac)) {
        return refuse(error, "mac");
    }
    if (!get_key(file, state.hash_key)) {
        return refuse(error, "hash-key");
    }
    if (!get_forwards(file, state.forwards)) {
        return refuse(error, FORWARDS);
    }
    network_state_clear(ret_state);
    *ret_state = state;
    state.forwards = NULL;
    return true;
}
