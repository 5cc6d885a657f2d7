/*
 * Where the policy of the system instance comes from
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/policy-source.h"

/*
 * Whom root puts into the group may run networks, which the host sees as one
 * more program of a user's; the networks of the host's interfaces and the ports
 * of its services are for those to whom root gives them by name.
 */
static Policy *make_default(const PolicySource *source)
{
    Policy *policy = policy_new(source->path);
    const char *const *ifname;
    PolicyRule *rule;

    policy->is_default = true;
    if (!source->has_group) {
        return policy;
    }
    rule = policy_add_rule(policy);
    rule->who = POLICY_GROUP;
    rule->id = source->gid;
    rule->name = g_strdup(source->group);
    rule->use = rule->create = true;
    g_ptr_array_add(rule->networks, g_strdup("*"));
    for (ifname = source->bridged; ifname && *ifname; ifname++) {
        g_ptr_array_add(rule->bridge, g_strdup(*ifname));
    }
    return policy;
}

static Policy *load(const PolicySource *source, bool *ret_is_absent,
                    GError **error)
{
    g_autoptr(GError) err = NULL;
    Policy *policy = policy_load(source->path, &policy_names, ret_is_absent,
                                 &err);

    if (!policy && *ret_is_absent && !source->is_required) {
        return make_default(source);
    }
    if (!policy) {
        g_propagate_error(error, g_steal_pointer(&err));
    }
    return policy;
}

Policy *policy_source_load(const PolicySource *source, GError **error)
{
    bool is_absent;

    return load(source, &is_absent, error);
}

static void say_loaded(const PolicySource *source, const Policy *policy,
                       bool is_absent)
{
    if (is_absent) {
        g_message("policy: there is no %s: the default is in force",
                  source->path);
    } else {
        g_message("policy: %u rules of %s are in force", policy->rules->len,
                  source->path);
    }
}

Policy *policy_source_start(const PolicySource *source)
{
    g_autoptr(GError) error = NULL;
    bool is_absent;
    Policy *policy = load(source, &is_absent, &error);

    if (!policy) {
        g_critical("policy: %s; only root is served until it has been mended "
                   "and SIGHUP sent", error->message);
        return policy_new(source->path);
    }
    say_loaded(source, policy, is_absent);
    return policy;
}

Policy *policy_source_reload(const PolicySource *source, const Policy *current)
{
    g_autoptr(GError) error = NULL;
    bool is_absent;
    g_autoptr(Policy) policy = load(source, &is_absent, &error);

    if (!policy) {
        g_warning("policy: %s; the former one stays in force", error->message);
        return NULL;
    }
    /* Perhaps only for the moment of a replacement. */
    if (is_absent && !current->is_default) {
        g_warning("policy: %s is gone; the former one stays in force until "
                  "vmnetd is started anew", source->path);
        return NULL;
    }
    say_loaded(source, policy, is_absent);
    return g_steal_pointer(&policy);
}
