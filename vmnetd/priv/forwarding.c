/*
 * IP forwarding, for networks and the interfaces that guests leave by
 *
 * Theory of operation
 * -------------------
 * IPv4 asks the interface that a packet came in by (conf.NAME.forwarding): the
 * tap for what guests send, and the uplink for the answers to that.  So both
 * are set, and conf.all.forwarding, which would open every interface, is not.
 * Uplinks are the interfaces that routes lead to, or the external one alone.
 *
 * IPv6 asks conf.all.forwarding or, since Linux 6.17, force_forwarding of the
 * interface that a packet came in by, which is used where it is there: a host's
 * other interfaces notice nothing.  Before that there is only the former, with
 * which an interface stops to accept router advertisements: those that accept
 * them as hosts are told to go on (accept_ra 2).  All that the switch changes
 * beside itself is put back after it.
 *
 * The tap's own conf.NAME.forwarding is for IPv6 the router flag in answers to
 * neighbour solicitations: a guest forgets a router that does not set it.
 *
 * Who becomes a router in this way is one for networks only: see "opened" in
 * rules-text.c.  Not if the host is one already, or becomes one: then somebody
 * else wants it, and has rules for it.
 *
 * VMNET_NO_FORCE_FORWARDING (tests) does without force_forwarding.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/forwarding.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "priv/message.h"
#include "priv/netlink.h"
#include "priv/settings.h"

#define ALL4 "ipv4/conf/all/forwarding"
#define ALL6 "ipv6/conf/all/forwarding"
/* Interfaces that one network's guests leave by. */
#define UPLINKS_MAX 64

/**
 * Forwarding:
 * @uplinks4, @uplinks6: (element-type utf8): interfaces to be opened
 * @has_force: there is force_forwarding
 */
struct Forwarding {
    const PrivRules *rules;
    GPtrArray *uplinks4, *uplinks6;
    bool has_force;
    RulesOpened opened;
};

static char *path_of(const char *family, const char *ifname, const char *name)
{
    return g_strdup_printf("%s/conf/%s/%s", family, ifname, name);
}

static bool is_set(const char *path)
{
    char value[SETTING_VALUE_MAX];

    return settings_get(path, value) && strcmp(value, "0") != 0;
}

/* Uplinks */

static bool has_name(const GPtrArray *names, const char *name)
{
    return g_ptr_array_find_with_equal_func((GPtrArray *)names, name,
                                            g_str_equal, NULL);
}

static void add_uplink(GPtrArray *uplinks, const char *name)
{
    if (uplinks->len < UPLINKS_MAX && rules_text_is_name(name) &&
        strcmp(name, "lo") != 0 &&
        !g_str_has_prefix(name, PRIV_GATEWAY_PREFIX) &&
        !g_str_has_prefix(name, PRIV_LINK_PREFIX) && !has_name(uplinks, name)) {
        g_ptr_array_add(uplinks, g_strdup(name));
    }
}

static void add_uplink_index(GPtrArray *uplinks, uint32_t ifindex)
{
    char name[IF_NAMESIZE];

    if (ifindex && if_indextoname(ifindex, name)) {
        add_uplink(uplinks, name);
    }
}

static bool is_link_local(const struct rtmsg *route, NetlinkAttrs attrs)
{
    NetlinkAttrs dst = netlink_find(attrs, RTA_DST);

    return route->rtm_family == AF_INET6 && dst.len == sizeof(struct in6_addr) &&
           IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)dst.data);
}

/* Of a route that chooses between several. */
static void add_next_hops(GPtrArray *uplinks, NetlinkAttrs hops)
{
    const uint8_t *at = hops.data;
    size_t left = hops.len;

    while (left >= sizeof(struct rtnexthop)) {
        struct rtnexthop hop;

        memcpy(&hop, at, sizeof(hop));
        if (hop.rtnh_len < sizeof(hop) ||
            (size_t)RTNH_ALIGN(hop.rtnh_len) > left) {
            break;
        }
        add_uplink_index(uplinks, hop.rtnh_ifindex);
        at += RTNH_ALIGN(hop.rtnh_len);
        left -= RTNH_ALIGN(hop.rtnh_len);
    }
}

static void read_route(void *opaque, const struct nlmsghdr *message)
{
    GPtrArray *uplinks = opaque;
    const struct rtmsg *route = NLMSG_DATA(message);
    NetlinkAttrs attrs = netlink_attrs(message, sizeof(*route));

    if (message->nlmsg_type != RTM_NEWROUTE || !attrs.len ||
        route->rtm_type != RTN_UNICAST || (route->rtm_flags & RTM_F_CLONED) ||
        is_link_local(route, attrs)) {
        return;
    }
    add_uplink_index(uplinks, netlink_u32(attrs, RTA_OIF, 0));
    add_next_hops(uplinks, netlink_find(attrs, RTA_MULTIPATH));
}

static GPtrArray *find_uplinks(const PrivRules *rules, sa_family_t family)
{
    const struct rtmsg header = { .rtm_family = family };
    NetlinkRequest request = netlink_request(RTM_GETROUTE, &header,
                                             sizeof(header));
    GPtrArray *uplinks = g_ptr_array_new_with_free_func(g_free);

    if (rules->mode != PRIV_RULES_SHARED) {
        return uplinks;
    }
    if (rules->external[0]) {
        add_uplink(uplinks, rules->external);
    } else {
        netlink_dump(NETLINK_ROUTE, &request, read_route, uplinks);
    }
    return uplinks;
}

/* Plan */

static bool is_on(const char *family, const char *ifname, const char *name)
{
    g_autofree char *path = path_of(family, ifname, name);

    return is_set(path) && !settings_is_changed(path);
}

/* Those to be opened, and those that a former plan has opened. */
static GPtrArray *plan_opened(const char *family, const char *name,
                              const GPtrArray *uplinks)
{
    g_autoptr(GPtrArray) before = settings_changed_interfaces(family, name);
    GPtrArray *opened = g_ptr_array_new_with_free_func(g_free);
    unsigned i;

    for (i = 0; i < before->len; i++) {
        add_uplink(opened, g_ptr_array_index(before, i));
    }
    for (i = 0; i < uplinks->len; i++) {
        const char *ifname = g_ptr_array_index(uplinks, i);

        if (!is_on(family, ifname, name)) {
            add_uplink(opened, ifname);
        }
    }
    return opened;
}

static bool wants_ipv6(const PrivRules *rules)
{
    char value[SETTING_VALUE_MAX];

    return rules->mode == PRIV_RULES_SHARED &&
           rules->prefix6.addr.family == AF_INET6 &&
           settings_get(ALL6, value);
}

/* Somebody else's doing. */
static bool is_router6(void)
{
    return is_set(ALL6) && !settings_is_changed(ALL6);
}

Forwarding *forwarding_plan(const PrivRules *rules)
{
    Forwarding *plan = g_new0(Forwarding, 1);
    char value[SETTING_VALUE_MAX];

    plan->rules = rules;
    plan->has_force = !g_getenv("VMNET_NO_FORCE_FORWARDING") &&
                      settings_get("ipv6/conf/all/force_forwarding", value);
    plan->uplinks4 = find_uplinks(rules, AF_INET);
    plan->uplinks6 = wants_ipv6(rules) && !is_router6()
                     ? find_uplinks(rules, AF_INET6)
                     : g_ptr_array_new_with_free_func(g_free);
    if (!is_set(ALL4)) {
        plan->opened.v4 = plan_opened("ipv4", "forwarding", plan->uplinks4);
    }
    if (plan->has_force && !is_router6()) {
        plan->opened.v6 = plan_opened("ipv6", "force_forwarding",
                                      plan->uplinks6);
    }
    plan->opened.all6 = !plan->has_force && !is_router6() &&
                        (wants_ipv6(rules) || settings_is_changed(ALL6));
    return plan;
}

void forwarding_free(Forwarding *plan)
{
    if (!plan) {
        return;
    }
    g_ptr_array_unref(plan->uplinks4);
    g_ptr_array_unref(plan->uplinks6);
    g_clear_pointer(&plan->opened.v4, g_ptr_array_unref);
    g_clear_pointer(&plan->opened.v6, g_ptr_array_unref);
    g_free(plan);
}

const RulesOpened *forwarding_opened(const Forwarding *plan)
{
    return &plan->opened;
}

/* Apply */

static bool set_one(const char *family, const char *ifname, const char *name,
                    const char *value, const char *unless, GError **error)
{
    g_autofree char *path = path_of(family, ifname, name);

    return settings_change(path, value, unless, error);
}

static bool set_tap(const Forwarding *plan, GError **error)
{
    const PrivRules *rules = plan->rules;
    const char *name = rules->name;
    const char *routes = rules->mode == PRIV_RULES_SHARED ? "1" : "0";
    const char *routes6 = wants_ipv6(rules) ? "1" : "0";
    const char *localnet = rules_text_needs_localnet(rules) ? "1" : "0";
    g_autofree char *accept_ra = path_of("ipv6", name, "accept_ra");
    char value[SETTING_VALUE_MAX];

    if (!set_one("ipv4", name, "route_localnet", localnet, NULL, error) ||
        !set_one("ipv4", name, "forwarding", routes, NULL, error)) {
        return false;
    }
    if (!settings_get(accept_ra, value)) {
        return true; /* a host without IPv6, or an MTU below its 1280 */
    }
    return set_one("ipv6", name, "accept_ra", "0", NULL, error) &&
           set_one("ipv6", name, "forwarding", routes6, NULL, error) &&
           (!plan->has_force ||
            set_one("ipv6", name, "force_forwarding", routes6, NULL, error));
}

/* They may be gone since; whatever else fails is told. */
static bool set_uplinks(const GPtrArray *uplinks, const char *family,
                        const char *name, const char *unless, GError **error)
{
    unsigned i;

    for (i = 0; i < uplinks->len; i++) {
        const char *ifname = g_ptr_array_index(uplinks, i);

        if (if_nametoindex(ifname) &&
            !set_one(family, ifname, name, "1", unless, error)) {
            return false;
        }
    }
    return true;
}

/* What goes with the switch for all: its other effects, noted or averted. */
static bool prepare_all6(const char *ifname, GError **error)
{
    g_autofree char *accept_ra = path_of("ipv6", ifname, "accept_ra");
    g_autofree char *forwarding = path_of("ipv6", ifname, "forwarding");
    char value[SETTING_VALUE_MAX];

    if (is_set(forwarding)) {
        return settings_note(forwarding, error);
    }
    return !settings_get(accept_ra, value) || strcmp(value, "1") != 0 ||
           settings_change(accept_ra, "2", NULL, error);
}

static bool set_all6(GError **error)
{
    DIR *dir;
    const struct dirent *entry;
    bool ok = true;

    if (is_set(ALL6)) {
        return true;
    }
    dir = opendir(SETTINGS_ROOT "/ipv6/conf");
    while (ok && dir && (entry = readdir(dir))) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "all") != 0) {
            ok = prepare_all6(entry->d_name, error);
        }
    }
    if (dir) {
        closedir(dir);
    }
    return ok && settings_change(ALL6, "1", NULL, error);
}

bool forwarding_apply(const Forwarding *plan, GError **error)
{
    if (!set_tap(plan, error) ||
        !set_uplinks(plan->uplinks4, "ipv4", "forwarding", ALL4, error)) {
        return false;
    }
    if (!wants_ipv6(plan->rules)) {
        return true;
    }
    return plan->has_force
           ? set_uplinks(plan->uplinks6, "ipv6", "force_forwarding", NULL,
                         error)
           : set_all6(error);
}
