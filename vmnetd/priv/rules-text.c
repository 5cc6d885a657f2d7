/*
 * The rules of one network as text for nft
 *
 * Theory of operation
 * -------------------
 * A network is one table, whose rules go by the name of its tap; what is called
 * PRIV_GATEWAY_PREFIX* are the taps of all networks.
 *
 *   guest -> tap -- source -- to the host ------- input
 *                          `- beyond -- forward - leaving -- masquerade -> out
 *   uplink ------ forwards -- forward ----------- entering --------------> tap
 *   the host's own programs - output: forwards -- masquerade ------------> tap
 *
 * source    addresses that are not the network's end here, before connection
 *           tracking; so do those of 127.0.0.0/8, which the tap otherwise lets
 *           pass where a forward is bound to loopback (route_localnet)
 * input     each table guards its own gateway's addresses against the taps of
 *           all others
 * opened    an interface that forwards only since there are networks forwards to
 *           networks only: its neighbours have not gained a router.  What is
 *           translated or known passes: others' containers, say
 * leaving   to where routes lead, or only by the external interface; never to
 *           another network, but for what is published by a forward
 * entering  answers, what a forward lets in, and where guests' own addresses are
 *           routed, all
 *
 * forwards  also for 127.0.0.1, not for ::1: the kernel routes no answer there that
 *           comes in elsewhere, and has no route_localnet for IPv6
 *
 * A verdict of another's table stands beside ours: an accept here lets nothing
 * pass that is dropped there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/rules-text.h"

#include <stdio.h>
#include <string.h>

#include "vmnet/error.h"

#define ANY_TAP "\"" PRIV_GATEWAY_PREFIX "*\""
#define REFUSE "reject with icmpx admin-prohibited"

bool rules_text_is_name(const char *ifname)
{
    size_t len = strnlen(ifname, IF_NAMESIZE);
    const char *c;

    for (c = ifname; *c; c++) {
        if (!g_ascii_isalnum(*c) && !strchr("_-.@+", *c)) {
            return false;
        }
    }
    return len > 0 && len < IF_NAMESIZE && ifname[0] != '.' &&
           strcmp(ifname, "all") != 0 && strcmp(ifname, "default") != 0;
}

/* A word to nft: what is not so would have to be quoted, and cannot be. */
static bool is_table_name(const char *name)
{
    return strnlen(name, IF_NAMESIZE) < IF_NAMESIZE &&
           g_str_has_prefix(name, PRIV_GATEWAY_PREFIX) &&
           name[strlen(PRIV_GATEWAY_PREFIX)] && !strpbrk(name, "@+") &&
           rules_text_is_name(name);
}

static bool is_forward(const PrivRules *rules, const PrivForward *forward)
{
    const IpAddr *guest = &forward->guest.addr;
    const IpAddr *host = &forward->host.addr;
    const IpPrefix *prefix = guest->family == AF_INET ? &rules->prefix
                                                      : &rules->prefix6;

    return (forward->proto == IPPROTO_TCP || forward->proto == IPPROTO_UDP) &&
           forward->host.port && forward->guest.port &&
           prefix->addr.family != AF_UNSPEC &&
           ip_prefix_contains(prefix, guest) &&
           (host->family == AF_UNSPEC ||
            (host->family == guest->family && !ip_addr_is_group(host) &&
             (host->family == AF_INET || !ip_addr_is_loopback(host))));
}

static bool are_addresses(const PrivRules *rules)
{
    if (rules->prefix.addr.family != AF_INET || rules->prefix.len < 8 ||
        rules->prefix.len > 30 ||
        !ip_prefix_contains(&rules->prefix, &rules->gateway)) {
        return false;
    }
    return rules->prefix6.addr.family == AF_UNSPEC ||
           (rules->prefix6.addr.family == AF_INET6 &&
            rules->prefix6.len == 64 &&
            (rules->gateway6.family == AF_UNSPEC ||
             ip_prefix_contains(&rules->prefix6, &rules->gateway6)));
}

static bool refuse(GError **error, const char *what)
{
    g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT, "rules: %s", what);
    return false;
}

bool rules_text_check(const PrivRules *rules, GError **error)
{
    unsigned i;

    if (!is_table_name(rules->name)) {
        return refuse(error, "not a name of a network's interface");
    }
    if (!are_addresses(rules)) {
        return refuse(error, "addresses that are no network's");
    }
    if (rules->external[0] && (rules->mode != PRIV_RULES_SHARED ||
                               !memchr(rules->external, 0, IF_NAMESIZE) ||
                               !rules_text_is_name(rules->external))) {
        return refuse(error, "external interface of no such name");
    }
    if (rules->n_forwards > PRIV_FORWARDS_MAX) {
        return refuse(error, "too many forwards");
    }
    for (i = 0; i < rules->n_forwards; i++) {
        if (!is_forward(rules, &rules->forwards[i])) {
            return refuse(error, "a forward that leads nowhere");
        }
    }
    return true;
}

static bool has_ipv6(const PrivRules *rules)
{
    return rules->prefix6.addr.family == AF_INET6;
}

static bool is_shared(const PrivRules *rules)
{
    return rules->mode == PRIV_RULES_SHARED;
}

G_GNUC_PRINTF(2, 3)
static void add(GString *text, const char *format, ...)
{
    va_list args;

    g_string_append(text, "\t\t");
    va_start(args, format);
    g_string_append_vprintf(text, format, args);
    va_end(args);
    g_string_append_c(text, '\n');
}

static void begin(GString *text, const char *chain)
{
    g_string_append_printf(text, "\tchain %s {\n", chain);
}

static void begin_hook(GString *text, const char *chain, const char *hook)
{
    begin(text, chain);
    add(text, "type %s; policy accept;", hook);
}

static void end(GString *text)
{
    g_string_append(text, "\t}\n");
}

/* Printed by hand: the host's bits are none of a prefix's. */
static char *prefix_text(const IpPrefix *prefix, char buf[IP_STRLEN + 4])
{
    IpPrefix masked = *prefix;
    char addr[IP_STRLEN];

    if (masked.addr.family == AF_INET) {
        masked.addr.v4 &= ip_len_to_mask(masked.len);
    } else {
        memset(masked.addr.v6.s6_addr + 8, 0, 8);
    }
    snprintf(buf, IP_STRLEN + 4, "%s/%u", ip_addr_format(&masked.addr, addr),
             masked.len);
    return buf;
}

static void add_source(GString *text, const PrivRules *rules)
{
    char addr[IP_STRLEN], prefix[IP_STRLEN + 4];

    begin_hook(text, "source", "filter hook prerouting priority raw");
    add(text, "iifname != \"%s\" accept", rules->name);
    add(text, "ip daddr 127.0.0.0/8 drop");
    add(text, "ip saddr %s drop", ip_addr_format(&rules->gateway, addr));
    add(text, "ip saddr != %s drop", prefix_text(&rules->prefix, prefix));
    if (has_ipv6(rules)) {
        if (rules->gateway6.family == AF_INET6) {
            add(text, "ip6 saddr %s drop",
                ip_addr_format(&rules->gateway6, addr));
        }
        add(text, "ip6 saddr != { ::, %s, fe80::/10 } drop",
            prefix_text(&rules->prefix6, prefix));
    } else {
        add(text, "ip6 saddr != { ::, fe80::/10 } drop");
    }
    if (!is_shared(rules)) {
        /* Here, since the tap does not forward: nobody would say why. */
        add(text, "fib daddr type != { local, broadcast, anycast, multicast } "
            REFUSE);
    }
    end(text);
}

static void add_input(GString *text, const PrivRules *rules)
{
    char addr[IP_STRLEN], prefix[IP_STRLEN + 4];

    begin_hook(text, "input", "filter hook input priority filter");
    if (!is_shared(rules)) {
        add(text, "ct state established,related accept");
        add(text, "iifname \"%s\" fib daddr type local ip daddr != %s " REFUSE,
            rules->name, ip_addr_format(&rules->gateway, addr));
        add(text, "iifname \"%s\" fib daddr type local "
            "fib daddr . iif type != local " REFUSE, rules->name);
    }
    add(text, "iifname \"%s\" accept", rules->name);
    add(text, "iifname " ANY_TAP " ip daddr %s " REFUSE,
        prefix_text(&rules->prefix, prefix));
    if (has_ipv6(rules)) {
        add(text, "iifname " ANY_TAP " ip6 daddr %s " REFUSE,
            prefix_text(&rules->prefix6, prefix));
    }
    end(text);
}

/* Forwarding */

static void add_opened_rule(GString *text, const char *nfproto,
                            const GPtrArray *names)
{
    GString *list = g_string_new(NULL);
    unsigned i;

    for (i = 0; names && i < names->len; i++) {
        g_string_append_printf(list, "%s\"%s\"", i ? ", " : "",
                               (const char *)g_ptr_array_index(names, i));
    }
    if (list->len) {
        add(text, "meta nfproto %s iifname { %s } oifname != " ANY_TAP
            " goto opened", nfproto, list->str);
    }
    g_string_free(list, TRUE);
}

static void add_forward(GString *text, const PrivRules *rules,
                        const RulesOpened *opened)
{
    begin(text, "opened");
    add(text, "ct state established,related accept");
    add(text, "ct status dnat accept");
    add(text, "drop");
    end(text);

    begin_hook(text, "forward", "filter hook forward priority filter");
    add_opened_rule(text, "ipv4", opened->v4);
    if (opened->all6) {
        add(text, "meta nfproto ipv6 iifname != " ANY_TAP " oifname != " ANY_TAP
            " goto opened");
    } else {
        add_opened_rule(text, "ipv6", opened->v6);
    }
    add(text, "iifname \"%s\" goto leaving", rules->name);
    add(text, "oifname \"%s\" goto entering", rules->name);
    end(text);
}

static void add_clamp(GString *text)
{
    add(text, "tcp flags & (syn | rst) == syn tcp option maxseg size set rt "
        "mtu");
}

static void add_leaving(GString *text, const PrivRules *rules)
{
    begin(text, "leaving");
    if (is_shared(rules)) {
        add_clamp(text);
        /* It would leave with the guest's own address. */
        add(text, "ct state invalid drop");
        add(text, "oifname " ANY_TAP " ct status dnat accept");
        add(text, "oifname " ANY_TAP " " REFUSE);
        if (!has_ipv6(rules)) {
            add(text, "meta nfproto ipv6 " REFUSE);
        }
        if (rules->external[0]) {
            add(text, "oifname != \"%s\" " REFUSE, rules->external);
        }
        add(text, "accept");
    } else {
        add(text, REFUSE);
    }
    end(text);
}

static void add_entering(GString *text, const PrivRules *rules)
{
    begin(text, "entering");
    if (is_shared(rules)) {
        add_clamp(text);
        add(text, "ct state established,related accept");
        add(text, "ct status dnat accept");
        add(text, "iifname " ANY_TAP " " REFUSE);
        if (rules->nat44) {
            add(text, "meta nfproto ipv4 drop");
        }
        if (rules->nat66 || !has_ipv6(rules)) {
            add(text, "meta nfproto ipv6 drop");
        }
        if (rules->external[0]) {
            add(text, "iifname != \"%s\" drop", rules->external);
        }
    } else {
        add(text, "drop");
    }
    end(text);
}

/* Address translation */

static void add_one_forward(GString *text, const PrivForward *forward)
{
    const IpAddr *host = &forward->host.addr;
    bool is_v4 = forward->guest.addr.family == AF_INET;
    const char *family = is_v4 ? "ip" : "ip6";
    char addr[IP_STRLEN], match[IP_STRLEN + 32];

    if (host->family == AF_UNSPEC || ip_addr_is_any(host)) {
        snprintf(match, sizeof(match), "%s",
                 is_v4 ? "meta nfproto ipv4" : "ip6 daddr != ::1");
    } else {
        snprintf(match, sizeof(match), "%s daddr %s", family,
                 ip_addr_format(host, addr));
    }
    add(text, "%s %s dport %u dnat %s to %s%s%s:%u", match,
        forward->proto == IPPROTO_TCP ? "tcp" : "udp", forward->host.port,
        family, is_v4 ? "" : "[", ip_addr_format(&forward->guest.addr, addr),
        is_v4 ? "" : "]", forward->guest.port);
}

static void add_forwards(GString *text, const PrivRules *rules)
{
    unsigned i;

    begin(text, "forwards");
    for (i = 0; i < rules->n_forwards; i++) {
        add_one_forward(text, &rules->forwards[i]);
    }
    end(text);

    if (is_shared(rules)) {
        begin_hook(text, "prerouting", "nat hook prerouting priority dstnat");
        add(text, "fib daddr type local jump forwards");
        end(text);
    }
    begin_hook(text, "output", "nat hook output priority -100");
    add(text, "fib daddr type local jump forwards");
    end(text);
}

static void add_postrouting(GString *text, const PrivRules *rules)
{
    const char *name = rules->name;

    begin_hook(text, "postrouting", "nat hook postrouting priority srcnat");
    if (is_shared(rules) && rules->nat44) {
        add(text, "iifname \"%s\" oifname != " ANY_TAP
            " meta nfproto ipv4 masquerade", name);
    }
    if (is_shared(rules) && rules->nat66 && has_ipv6(rules)) {
        add(text, "iifname \"%s\" oifname != " ANY_TAP
            " meta nfproto ipv6 masquerade", name);
    }
    if (rules->n_forwards) {
        /* The host, and guests that come by its address, are the gateway. */
        add(text, "oifname \"%s\" iifname " ANY_TAP
            " ct status dnat masquerade", name);
        add(text, "oifname \"%s\" fib saddr type local ct status dnat "
            "masquerade", name);
    }
    end(text);
}

/* Of a translated packet they would name what must not be named. */
static void add_redirects(GString *text, const PrivRules *rules)
{
    begin_hook(text, "redirects", "filter hook output priority filter");
    add(text, "oifname \"%s\" icmp type redirect drop", rules->name);
    add(text, "oifname \"%s\" icmpv6 type nd-redirect drop", rules->name);
    end(text);
}

bool rules_text_needs_localnet(const PrivRules *rules)
{
    unsigned i;

    for (i = 0; i < rules->n_forwards; i++) {
        const PrivForward *forward = &rules->forwards[i];
        const IpAddr *host = &forward->host.addr;

        if (forward->guest.addr.family == AF_INET &&
            (host->family == AF_UNSPEC || ip_addr_is_any(host) ||
             ip_addr_is_loopback(host))) {
            return true;
        }
    }
    return false;
}

char *rules_text_table(const PrivRules *rules, const RulesOpened *opened,
                       const char *comment, bool replaces)
{
    GString *text = g_string_new(NULL);

    if (replaces) {
        g_string_append_printf(text, "delete table inet %s\n", rules->name);
    }
    /* Not "add": one that another has made meanwhile is not taken over. */
    g_string_append_printf(text, "create table inet %s { comment \"%s\"; }\n"
                           "table inet %s {\n", rules->name, comment,
                           rules->name);
    add_source(text, rules);
    add_input(text, rules);
    add_leaving(text, rules);
    add_entering(text, rules);
    add_forward(text, rules, opened);
    if (rules->n_forwards) {
        add_forwards(text, rules);
    }
    add_postrouting(text, rules);
    add_redirects(text, rules);
    g_string_append(text, "}\n");
    return g_string_free(text, FALSE);
}
