/*
 * The system instance's policy: rules, and which one decides
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "policy/policy.h"

static void rule_free(void *opaque)
{
    PolicyRule *rule = opaque;

    g_ptr_array_unref(rule->networks);
    g_ptr_array_unref(rule->bridge);
    g_free(rule->name);
    g_free(rule);
}

Policy *policy_new(const char *path)
{
    Policy *policy = g_new0(Policy, 1);

    policy->path = g_strdup(path);
    policy->rules = g_ptr_array_new_with_free_func(rule_free);
    return policy;
}

void policy_free(Policy *policy)
{
    if (!policy) {
        return;
    }
    g_ptr_array_unref(policy->rules);
    g_free(policy->path);
    g_free(policy);
}

PolicyRule *policy_add_rule(Policy *policy)
{
    PolicyRule *rule = g_new0(PolicyRule, 1);

    rule->networks = g_ptr_array_new_with_free_func(g_free);
    rule->bridge = g_ptr_array_new_with_free_func(g_free);
    rule->netdevs = POLICY_NETDEVS_DEFAULT;
    g_ptr_array_add(policy->rules, rule);
    return rule;
}

/* The last star takes one character more whenever what follows does not fit;
 * earlier ones need not be looked at again. */
bool policy_pattern_match(const char *pattern, const char *text)
{
    const char *after_star = NULL, *taken = NULL;

    while (*text) {
        if (*pattern == '*') {
            after_star = ++pattern;
            taken = text;
        } else if (*pattern && (*pattern == '?' || *pattern == *text)) {
            pattern++;
            text++;
        } else if (after_star) {
            pattern = after_star;
            text = ++taken;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return !*pattern;
}

static bool matches_any(const GPtrArray *patterns, const char *text)
{
    unsigned i;

    for (i = 0; i < patterns->len; i++) {
        if (policy_pattern_match(g_ptr_array_index(patterns, i), text)) {
            return true;
        }
    }
    return false;
}

static bool is_in_group(const PolicyPeer *peer, gid_t gid)
{
    unsigned i;

    for (i = 0; i < peer->n_groups; i++) {
        if (peer->groups[i] == gid) {
            return true;
        }
    }
    return peer->gid == gid;
}

static bool is_for(const PolicyRule *rule, const PolicyPeer *peer)
{
    switch (rule->who) {
    case POLICY_EVERYBODY:
        return true;
    case POLICY_USER:
        return peer->uid == rule->id;
    case POLICY_GROUP:
        return is_in_group(peer, rule->id);
    }
    return false;
}

const PolicyRule *policy_find(const Policy *policy, const PolicyPeer *peer,
                              const char *network)
{
    unsigned i;

    for (i = 0; i < policy->rules->len; i++) {
        const PolicyRule *rule = g_ptr_array_index(policy->rules, i);

        if (is_for(rule, peer) && matches_any(rule->networks, network)) {
            return rule;
        }
    }
    return NULL;
}

bool policy_rule_bridges(const PolicyRule *rule, const char *ifname)
{
    return rule->use && matches_any(rule->bridge, ifname);
}

bool policy_bridges(const Policy *policy, const char *ifname)
{
    unsigned i;

    for (i = 0; i < policy->rules->len; i++) {
        if (policy_rule_bridges(g_ptr_array_index(policy->rules, i), ifname)) {
            return true;
        }
    }
    return false;
}

bool policy_has_low_ports(const Policy *policy)
{
    unsigned i;

    for (i = 0; i < policy->rules->len; i++) {
        const PolicyRule *rule = g_ptr_array_index(policy->rules, i);

        if (rule->use && rule->low_ports) {
            return true;
        }
    }
    return false;
}

char *policy_rule_describe(const Policy *policy, const PolicyRule *rule)
{
    static const char *const kinds[] = {
        [POLICY_EVERYBODY] = "everybody", [POLICY_USER] = "user ",
        [POLICY_GROUP] = "group ",
    };
    const char *name = rule->who == POLICY_EVERYBODY ? "" : rule->name;

    if (policy->is_default) {
        return g_strdup_printf("the default (%s%s; there is no %s)",
                               kinds[rule->who], name, policy->path);
    }
    return g_strdup_printf("%s:%u (%s%s)", policy->path, rule->line,
                           kinds[rule->who], name);
}
