/*
 * The policy: what a file says, which rule decides, and what is refused
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/policy.h"

#define ALICE 1001
#define BOB 1002
#define STAFF 2001
#define KVM 2002

static bool fake_user(const char *name, uint32_t *ret_uid)
{
    *ret_uid = !strcmp(name, "alice") ? ALICE : BOB;
    return !strcmp(name, "alice") || !strcmp(name, "bob");
}

static bool fake_group(const char *name, uint32_t *ret_gid)
{
    *ret_gid = STAFF;
    return !strcmp(name, "staff");
}

static const PolicyNames fake_names = { fake_user, fake_group };

static Policy *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    Policy *policy = policy_parse("policy.yaml", text, strlen(text),
                                  &fake_names, &error);

    g_assert_no_error(error);
    return policy;
}

/* The line of the rule that decides; 0: there is none. */
static unsigned decides(const Policy *policy, uid_t uid, gid_t gid,
                        const char *network)
{
    static const gid_t others[] = { 5, STAFF };
    const PolicyPeer peer = {
        .uid = uid, .gid = gid, .groups = others,
        .n_groups = uid == BOB ? 2 : 0,
    };
    const PolicyRule *rule = policy_find(policy, &peer, network);

    return rule ? rule->line : 0;
}

static void test_first_rule_decides(void)
{
    g_autoptr(Policy) policy = parse(
        "rules:\n"
        "- user: alice\n"
        "  networks: [lab, test-?]\n"
        "  create: yes\n"
        "- group: staff\n"
        "  networks: lab\n"
        "  use: yes\n"
        "- group: 2002\n"
        "- user: '*'\n"
        "  networks: shared\n"
        "  use: yes\n");

    g_assert_cmpuint(decides(policy, ALICE, STAFF, "lab"), ==, 2);
    g_assert_cmpuint(decides(policy, ALICE, ALICE, "test-1"), ==, 2);
    g_assert_cmpuint(decides(policy, ALICE, ALICE, "test-12"), ==, 0);
    g_assert_cmpuint(decides(policy, ALICE, ALICE, "shared"), ==, 9);
    /* by a further group, by the first one, and by neither */
    g_assert_cmpuint(decides(policy, BOB, BOB, "lab"), ==, 5);
    g_assert_cmpuint(decides(policy, 7, STAFF, "lab"), ==, 5);
    g_assert_cmpuint(decides(policy, 7, 7, "lab"), ==, 0);
    g_assert_cmpuint(decides(policy, 7, KVM, "shared"), ==, 8);
    g_assert_cmpuint(decides(policy, 7, 7, "shared"), ==, 9);
}

static void test_all_keys(void)
{
    g_autoptr(Policy) policy = parse(
        "# a comment\n"
        "rules:\n"
        "  - user: bob\n"
        "    use: true\n"
        "    create: off\n"
        "    netdevs: 3\n"
        "    bridge:\n"
        "      - eth0\n"
        "      - \"br*\"\n"
        "    ports-below-1024: on\n"
        "  - {group: staff, bridge: wlan0}\n"
        "  - user: 4294967294\n");
    const PolicyRule *rule = g_ptr_array_index(policy->rules, 0);
    g_autofree char *text = policy_rule_describe(policy, rule);

    g_assert_cmpuint(policy->rules->len, ==, 3);
    g_assert_true(rule->use && !rule->create && rule->low_ports);
    g_assert_cmpuint(rule->netdevs, ==, 3);
    g_assert_cmpstr(text, ==, "policy.yaml:3 (user bob)");
    g_assert_true(policy_rule_bridges(rule, "eth0"));
    g_assert_true(policy_rule_bridges(rule, "br17"));
    g_assert_false(policy_rule_bridges(rule, "eth1"));
    g_assert_false(policy_rule_bridges(rule, "wlan0"));
    g_assert_true(policy_bridges(policy, "wlan0"));
    g_assert_false(policy_bridges(policy, "eth1"));
    g_assert_true(policy_has_low_ports(policy));

    rule = g_ptr_array_index(policy->rules, 1);
    g_assert_true(rule->use && !rule->create && !rule->low_ports);
    g_assert_cmpuint(rule->netdevs, ==, POLICY_NETDEVS_DEFAULT);
    rule = g_ptr_array_index(policy->rules, 2);
    g_assert_cmpuint(rule->id, ==, UINT32_MAX - 1);
    g_assert_false(rule->use);
}

static void test_nothing_is_allowed_without_rules(void)
{
    g_autoptr(Policy) policy = parse("rules: []\n");

    g_assert_cmpuint(decides(policy, ALICE, ALICE, "shared"), ==, 0);
    g_assert_false(policy_bridges(policy, "eth0"));
    g_assert_false(policy_has_low_ports(policy));
}

static const struct {
    const char *text, *error;
} mistakes[] = {
    { "", ":1: 'rules:' is expected" },
    { "rules", ":1: 'rules:' is expected" },
    { "- user: bob\n", ":1: 'rules:' is expected" },
    { "rules:\n", ":1: a list of rules is expected" },
    { "rules: {}\n", ":1: a list of rules is expected" },
    { "rules: []\nmore: []\n", ":2: the end is expected" },
    { "rules: []\n---\nrules: []\n", ":2: the end is expected" },
    { "rule: []\n", ":1: there is no key 'rule'" },
    { "rules:\n- bob\n", ":2: a rule is expected" },
    { "rules:\n- - user: bob\n", ":2: a rule is expected" },
    { "rules:\n- user: bob\n  brigde: eth0\n", ":3: there is no key 'brigde'" },
    { "rules:\n- user: bob\n  use: yes\n  use: no\n", ":4: 'use' is there twice" },
    { "rules:\n- user: bob\n  user: bob\n", ":3: 'user' is there twice" },
    { "rules:\n- user: bob\n  group: staff\n", ":3: a rule has 'user' or 'group'" },
    { "rules:\n- use: yes\n", ":2: the rule says for nobody" },
    { "rules:\n- user: carol\n", ":2: there is no user 'carol'" },
    { "rules:\n- group: bob\n", ":2: there is no group 'bob'" },
    { "rules:\n- user: 4294967295\n", ":2: '4294967295' is no number of a user" },
    { "rules:\n- user: 12x\n", ":2: '12x' is no number of a user" },
    { "rules:\n- user: ''\n", ":2: 'user' expects 1 to 256 characters" },
    { "rules:\n- user: [bob]\n", ":2: a value is expected" },
    { "rules:\n- user: bob\n  use: maybe\n", ":3: 'use' is yes or no" },
    { "rules:\n- user: bob\n  netdevs: -1\n", ":3: 'netdevs' is a number" },
    { "rules:\n- user: bob\n  netdevs: 1025\n", ":3: 'netdevs' is a number" },
    { "rules:\n- user: bob\n  bridge: {}\n", ":3: 'bridge' is a name or a list" },
    { "rules:\n- user: bob\n  bridge: [[x]]\n", ":3: 'bridge' is a list" },
    { "rules:\n- user: bob\n  bridge: sixteencharacter\n",
      ":3: 'bridge' expects 1 to 15 characters" },
    { "rules:\n- user: bob\n  bridge: 'a[bc]'\n", ":3: 'bridge': 'a[bc]'" },
    { "rules:\n- user: bob\n  bridge: \"a\\0b\"\n", ":3: 'bridge' has a char" },
    { "rules:\n- user: bob\n  networks: a b\n", ":3: 'networks' has a char" },
    { "rules:\n- user: bob\n  bridge: *\n", ":3: a name that begins with *" },
    { "rules:\n- user: bob\n  bridge: *x\n", ":3: a name that begins with *" },
    { "rules:\n- user: &b bob\n", ":2: anchors and tags are not for here" },
    { "rules: !r []\n", ":1: anchors and tags are not for here" },
    { "rules:\n- user: bob\n  use: no\n  create: yes\n", ":2: 'use: no' takes" },
    { "rules:\n- user: bob\n\tuse: no\n", ":3: found a tab character" },
    { "rules: [", ":2: did not find expected node content" },
};

static void test_mistakes_have_a_line(void)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(mistakes); i++) {
        g_autoptr(GError) error = NULL;

        g_test_message("%s", mistakes[i].text);
        g_assert_null(policy_parse("p", mistakes[i].text,
                                   strlen(mistakes[i].text), &fake_names,
                                   &error));
        g_assert_cmpint(error->message[0], ==, 'p');
        if (!g_str_has_prefix(error->message + 1, mistakes[i].error)) {
            g_assert_cmpstr(error->message, ==, mistakes[i].error);
        }
    }
}

/* Neither user is known here: who does not look does not care. */
static void test_names_are_not_looked_up(void)
{
    static const char text[] = "rules: [{user: carol, bridge: eth0}]";
    g_autoptr(GError) error = NULL;
    g_autoptr(Policy) policy = policy_parse("p", text, strlen(text), NULL,
                                            &error);

    g_assert_no_error(error);
    g_assert_true(policy_bridges(policy, "eth0"));
}

static void append_many(GString *text, const char *what, unsigned n)
{
    while (n-- > 0) {
        g_string_append(text, what);
    }
}

static void check_bound(const char *head, const char *one, unsigned max,
                        const char *tail)
{
    unsigned extra;

    for (extra = 0; extra <= 1; extra++) {
        g_autoptr(GString) text = g_string_new(head);
        g_autoptr(GError) error = NULL;
        g_autoptr(Policy) policy = NULL;

        append_many(text, one, max + extra);
        g_string_append(text, tail);
        policy = policy_parse("p", text->str, text->len, &fake_names, &error);
        g_assert_cmpuint(!policy, ==, extra);
        g_assert_true(!error || strstr(error->message, "more than"));
    }
}

static void test_bounds(void)
{
    check_bound("rules:\n", "- user: bob\n", POLICY_RULES_MAX, "");
    check_bound("rules: [{user: bob, bridge: [", "a,", POLICY_PATTERNS_MAX,
                "]}]");
}

static void test_patterns(void)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        { "eth0", "eth0", true }, { "eth0", "eth1", false },
        { "eth0", "eth00", false }, { "eth0", "eth", false },
        { "*", "", true }, { "*", "any", true }, { "?", "", false },
        { "eth?", "eth0", true }, { "eth?", "eth10", false },
        { "br*", "br", true }, { "br*", "xbr", false },
        { "*lab", "my-lab", true }, { "*lab", "lablab", true },
        { "*lab", "labs", false }, { "a*b*c", "aXbYc", true },
        { "a*b*c", "acb", false }, { "**?*", "x", true },
        { "*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          false },
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s %s", cases[i].pattern, cases[i].text);
        g_assert_true(policy_pattern_match(cases[i].pattern, cases[i].text) ==
                      cases[i].matches);
    }
}

/* Files */

static void check_refused(const char *path, const char *why)
{
    g_autoptr(GError) error = NULL;
    bool is_absent;

    g_assert_null(policy_load(path, &fake_names, &is_absent, &error));
    g_assert_false(is_absent);
    if (!strstr(error->message, why)) {
        g_assert_cmpstr(error->message, ==, why);
    }
}

static void test_whose_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("policy-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "policy.yaml", NULL);
    g_autofree char *link = g_build_filename(dir, "link.yaml", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(Policy) policy = NULL;
    bool is_absent;

    g_assert_null(policy_load(path, &fake_names, &is_absent, &error));
    g_assert_true(is_absent);
    g_clear_error(&error);
    g_file_set_contents(path, "rules: []\n", -1, &error);
    g_assert_no_error(error);
    g_assert_cmpint(symlink(path, link), ==, 0);
    check_refused(link, "symbolic links");
    check_refused(dir, "is no regular file");
    if (geteuid() != 0) {
        check_refused(path, "does not belong to root");
    } else {
        g_assert_cmpint(chmod(path, 0644), ==, 0);
        policy = policy_load(path, &fake_names, &is_absent, &error);
        g_assert_no_error(error);
        g_assert_nonnull(policy);
        g_assert_cmpint(chmod(path, 0664), ==, 0);
        check_refused(path, "can be written by others");
        g_assert_cmpint(chmod(path, 0646), ==, 0);
        check_refused(path, "can be written by others");
        g_assert_cmpint(chmod(path, 0644), ==, 0);
        g_assert_cmpint(truncate(path, POLICY_FILE_BYTES + 1), ==, 0);
        check_refused(path, "is larger than 64 KiB");
        g_assert_cmpint(chown(path, 65534, -1), ==, 0);
        check_refused(path, "does not belong to root");
    }
    g_unlink(link);
    g_unlink(path);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Policy) policy = NULL;

    g_test_init(&argc, &argv, NULL);
    policy = policy_parse("p", "rules: []", 9, &fake_names, &error);
    if (!policy) {
        g_print("1..0 # SKIP %s\n", error->message);
        return 0;
    }
    g_test_add_func("/policy/first-rule-decides", test_first_rule_decides);
    g_test_add_func("/policy/all-keys", test_all_keys);
    g_test_add_func("/policy/nothing-is-allowed-without-rules",
                    test_nothing_is_allowed_without_rules);
    g_test_add_func("/policy/mistakes-have-a-line", test_mistakes_have_a_line);
    g_test_add_func("/policy/names-are-not-looked-up",
                    test_names_are_not_looked_up);
    g_test_add_func("/policy/bounds", test_bounds);
    g_test_add_func("/policy/patterns", test_patterns);
    g_test_add_func("/policy/whose-file", test_whose_file);
    return g_test_run();
}
