/*
 * The host's interfaces on networks: taps that have the gateway's addresses
 *
 * Whoever has the engine can put the host on networks of private addresses, by
 * interfaces with names of ours.  The MAC address of such an interface is the
 * gateway's.  IPv6 is left out where the host has none.
 *
 * Rules are for interfaces that were made here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "priv/serve-internal.h"
#include "priv/settings.h"

/* RFC 791 3.1; what a network may have at most. */
#define MTU_MIN 576
#define MTU_MAX 65520
/* A gateway and a guest at least. */
#define PREFIX4_LEN_MIN 8
#define PREFIX4_LEN_MAX 30
#define PREFIX6_LEN 64

static uint32_t gateway_v4(const PrivGateway *gateway)
{
    const uint8_t *b = gateway->gateway4;

    return (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

static bool has_ipv6(const PrivGateway *gateway)
{
    return !priv_is_all_zero(gateway->gateway6, sizeof(gateway->gateway6));
}

/* RFC 1918 3 */
static bool is_private(uint32_t v4, unsigned len)
{
    return (v4 >> 24 == 10 && len >= 8) || (v4 >> 20 == 0xac1 && len >= 12) ||
           (v4 >> 16 == 0xc0a8 && len >= 16);
}

static bool is_gateway4(uint32_t v4, unsigned len)
{
    uint32_t mask;

    if (len < PREFIX4_LEN_MIN || len > PREFIX4_LEN_MAX ||
        !is_private(v4, len)) {
        return false;
    }
    mask = ip_len_to_mask(len);
    return (v4 & ~mask) != 0 && (v4 & ~mask) != ~mask;
}

/* The first address of an RFC 4193 prefix. */
static bool is_gateway6(const uint8_t addr[16])
{
    return addr[0] == 0xfd && priv_is_all_zero(addr + 8, 7) && addr[15] == 1;
}

static bool is_gateway(const char ifname[IF_NAMESIZE],
                       const PrivGateway *gateway)
{
    return priv_is_name(ifname) &&
           g_str_has_prefix(ifname, PRIV_GATEWAY_PREFIX) &&
           is_gateway4(gateway_v4(gateway), gateway->prefix4_len) &&
           (!has_ipv6(gateway) || is_gateway6(gateway->gateway6)) &&
           gateway->mtu_bytes >= MTU_MIN && gateway->mtu_bytes <= MTU_MAX &&
           !gateway->zero;
}

bool priv_is_gateway(const PrivRequest *head)
{
    const PrivGatewayRequest *request = (const PrivGatewayRequest *)head;

    return !head->flags && !(head->mac[0] & 1) &&
           !priv_is_all_zero(head->mac, sizeof(head->mac)) &&
           is_gateway(head->ifname, &request->gateway);
}

/*
 * The link-local address is what the host asks from on behalf of others
 * (RFC 4861 7.2.2), so it is needed for what comes from outside.
 */
static int add_ipv6(PrivServer *server, int ifindex,
                    const PrivGateway *gateway)
{
    IpAddr addr = { .family = AF_INET6 }, link_local;
    int errnum;

    ip_addr_parse("fe80::1", &link_local);
    memcpy(&addr.v6, gateway->gateway6, sizeof(addr.v6));
    errnum = links_add_address(server->nl, ifindex, &link_local, PREFIX6_LEN);
    if (errnum == 0) {
        errnum = links_add_address(server->nl, ifindex, &addr, PREFIX6_LEN);
    }
    if (errnum == EACCES || errnum == EOPNOTSUPP || errnum == EAFNOSUPPORT) {
        g_message("priv: the host has no IPv6 on an interface of ours: %s",
                  g_strerror(errnum));
        return 0;
    }
    return errnum;
}

/* Who has the tap can speak as a router: the host is not to hear of one. */
static int hear_no_routers(const char *name)
{
    g_autofree char *path = g_strdup_printf("ipv6/conf/%s/accept_ra", name);
    char value[SETTING_VALUE_MAX];

    if (!settings_get(path, value)) {
        return 0; /* a host without IPv6 */
    }
    return settings_put(path, "0", NULL) ? 0 : EPERM;
}

static int set_up(PrivServer *server, const char *name,
                  const PrivGatewayRequest *request)
{
    const PrivGateway *gateway = &request->gateway;
    IpAddr addr = ip_addr_v4(gateway_v4(gateway));
    Link tap;
    int errnum = links_get(server->nl, name, &tap);

    if (errnum == 0) {
        errnum = links_set_group(server->nl, tap.ifindex, server->policy->mark);
    }
    if (errnum == 0) {
        errnum = links_set_mac(server->nl, tap.ifindex, request->head.mac);
    }
    if (errnum == 0) {
        errnum = links_set_mtu(server->nl, tap.ifindex, gateway->mtu_bytes);
    }
    if (errnum == 0) {
        links_no_ipv6(server->nl, tap.ifindex); /* a host may have no IPv6 */
        errnum = links_add_address(server->nl, tap.ifindex, &addr,
                                   gateway->prefix4_len);
    }
    if (errnum == 0 && has_ipv6(gateway)) {
        errnum = add_ipv6(server, tap.ifindex, gateway);
    }
    if (errnum == 0) {
        errnum = hear_no_routers(name);
    }
    return errnum ? errnum : links_set_up(server->nl, tap.ifindex, 0);
}

void priv_do_gateway_tap(PrivServer *server, const PrivRequest *head,
                         PrivResult *result)
{
    const PrivGatewayRequest *request = (const PrivGatewayRequest *)head;
    int errnum;

    if (!priv_has_place(server, result)) {
        return;
    }
    errnum = priv_make_tap(head->ifname, result->answer.ifname,
                           &result->made_fd);
    if (errnum == EBUSY) {
        priv_set_outcome(result, PRIV_EXISTS);
    } else if (priv_went_well(result, errnum)) {
        priv_went_well(result, set_up(server, result->answer.ifname, request));
    }
}

/* Rules */

static bool is_forward(const PrivForwardEntry *entry)
{
    bool is_v4 = entry->family == AF_INET;

    return (entry->proto == IPPROTO_TCP || entry->proto == IPPROTO_UDP) &&
           (is_v4 || entry->family == AF_INET6) && entry->host_port &&
           entry->guest_port &&
           (!is_v4 || (priv_is_all_zero(entry->host + 4, 12) &&
                       priv_is_all_zero(entry->guest + 4, 12)));
}

bool priv_is_rules(const PrivRequest *head)
{
    const PrivRulesRequest *request = (const PrivRulesRequest *)head;
    bool has_external = request->external[0];
    unsigned i;

    if ((head->flags & ~(PRIV_SHARED | PRIV_NAT44 | PRIV_NAT66)) ||
        !priv_is_all_zero(head->mac, sizeof(head->mac)) ||
        !is_gateway(head->ifname, &request->gateway) ||
        !(has_external ? priv_is_name(request->external)
                       : priv_is_all_zero(request->external, IF_NAMESIZE)) ||
        ((has_external || head->flags) && !(head->flags & PRIV_SHARED)) ||
        request->n_forwards > PRIV_FORWARDS_MAX) {
        return false;
    }
    for (i = 0; i < request->n_forwards; i++) {
        if (!is_forward(&request->forwards[i])) {
            return false;
        }
    }
    return priv_is_all_zero(request->forwards + i, (PRIV_FORWARDS_MAX - i) *
                            sizeof(request->forwards[0]));
}

static IpAddr read_addr(uint8_t family, const uint8_t bytes[16])
{
    IpAddr addr = { .family = family };

    if (family == AF_INET) {
        return ip_addr_v4((uint32_t)bytes[0] << 24 | bytes[1] << 16 |
                          bytes[2] << 8 | bytes[3]);
    }
    memcpy(&addr.v6, bytes, sizeof(addr.v6));
    return addr;
}

static void read_rules(const PrivRulesRequest *request, PrivRules *rules)
{
    const PrivGateway *gateway = &request->gateway;
    unsigned i;

    *rules = (PrivRules) {
        .mode = request->head.flags & PRIV_SHARED ? PRIV_RULES_SHARED
                                                  : PRIV_RULES_HOST,
        .prefix = { ip_addr_v4(gateway_v4(gateway) &
                               ip_len_to_mask(gateway->prefix4_len)),
                    gateway->prefix4_len },
        .gateway = ip_addr_v4(gateway_v4(gateway)),
        .nat44 = request->head.flags & PRIV_NAT44,
        .nat66 = request->head.flags & PRIV_NAT66,
        .mtu_bytes = gateway->mtu_bytes,
        .n_forwards = request->n_forwards,
    };
    memcpy(rules->name, request->head.ifname, IF_NAMESIZE);
    memcpy(rules->external, request->external, IF_NAMESIZE);
    if (has_ipv6(gateway)) {
        rules->gateway6 = read_addr(AF_INET6, gateway->gateway6);
        rules->prefix6 = (IpPrefix) { rules->gateway6, PREFIX6_LEN };
        rules->prefix6.addr.v6.s6_addr[15] = 0;
    }
    for (i = 0; i < request->n_forwards; i++) {
        const PrivForwardEntry *entry = &request->forwards[i];

        rules->forwards[i] = (PrivForward) {
            .proto = entry->proto,
            .host = { read_addr(entry->family, entry->host), entry->host_port },
            .guest = { read_addr(entry->family, entry->guest),
                       entry->guest_port },
        };
    }
}

/* A port of the system's stays whose it is. */
static bool are_ports_allowed(const PrivServer *server,
                              const PrivRulesRequest *request)
{
    unsigned i;

    for (i = 0; i < request->n_forwards; i++) {
        if (request->forwards[i].host_port < server->policy->first_port) {
            return false;
        }
    }
    return true;
}

static bool is_our_tap(PrivServer *server, const char *ifname,
                       PrivResult *result)
{
    Link link;
    int errnum = links_get(server->nl, ifname, &link);

    if (errnum == ENODEV) {
        priv_set_outcome(result, PRIV_NO_INTERFACE);
        return false;
    }
    if (!priv_went_well(result, errnum)) {
        return false;
    }
    if (strcmp(link.kind, "tun") != 0 ||
        link.group != server->policy->mark) {
        priv_set_outcome(result, PRIV_NOT_OURS);
        return false;
    }
    return true;
}

void priv_do_rules(PrivServer *server, const PrivRequest *head,
                   PrivResult *result)
{
    const PrivRulesRequest *request = (const PrivRulesRequest *)head;
    g_autoptr(GError) error = NULL;
    PrivRules rules;

    if (!is_our_tap(server, head->ifname, result)) {
        return;
    }
    if (!are_ports_allowed(server, request)) {
        priv_set_outcome(result, PRIV_NOT_ALLOWED);
        return;
    }
    read_rules(request, &rules);
    if (!priv_rules_install(&rules, &error)) {
        g_warning("priv: interface '%s': %s", rules.name, error->message);
        priv_set_outcome(result, PRIV_NO_KERNEL);
    }
}

/* Those of a tap that is gone may be removed as well: they have our mark. */
void priv_do_no_rules(PrivServer *server, const PrivRequest *head,
                      PrivResult *result)
{
    g_autoptr(GError) error = NULL;

    if (!g_str_has_prefix(head->ifname, PRIV_GATEWAY_PREFIX)) {
        priv_set_outcome(result, PRIV_NOT_OURS);
    } else if (!priv_rules_remove(head->ifname, &error)) {
        g_warning("priv: interface '%s': %s", head->ifname, error->message);
        priv_set_outcome(result, PRIV_NO_KERNEL);
    }
}
