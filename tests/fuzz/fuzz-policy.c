/*
 * A policy file: every rule that comes out is within its bounds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool by_length(const char *name, uint32_t *ret_id)
{
    *ret_id = strlen(name);
    return *ret_id % 7 != 0;
}

static void check_patterns(const GPtrArray *patterns)
{
    unsigned i;

    g_assert_cmpuint(patterns->len, <=, POLICY_PATTERNS_MAX);
    for (i = 0; i < patterns->len; i++) {
        const char *pattern = g_ptr_array_index(patterns, i);

        g_assert_cmpint(pattern[0], !=, '\0');
        policy_pattern_match(pattern, "bridged-enp0s31f6");
        g_assert_true(strchr(pattern, '?') ||
                      policy_pattern_match(pattern, pattern));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const PolicyNames names = { by_length, by_length };
    g_autoptr(GError) error = NULL;
    g_autoptr(Policy) policy = policy_parse("p", (const char *)data, size,
                                            &names, &error);
    unsigned i;

    g_assert_true((policy != NULL) == (error == NULL));
    if (!policy) {
        g_assert_true(g_str_has_prefix(error->message, "p:"));
        return 0;
    }
    g_assert_cmpuint(policy->rules->len, <=, POLICY_RULES_MAX);
    for (i = 0; i < policy->rules->len; i++) {
        const PolicyRule *rule = g_ptr_array_index(policy->rules, i);
        g_autofree char *text = policy_rule_describe(policy, rule);

        g_assert_cmpuint(rule->line, >, 0);
        g_assert_nonnull(rule->name);
        g_assert_cmpuint(rule->networks->len, >, 0);
        g_assert_true(rule->use || !(rule->create || rule->low_ports ||
                                     rule->bridge->len));
        g_assert_cmpuint(rule->netdevs, <=, POLICY_NETDEVS_MAX);
        check_patterns(rule->networks);
        check_patterns(rule->bridge);
    }
    return 0;
}
