/*
 * The policy's text: a subset of YAML 1.1, read by libyaml's events
 *
 *   rules:                       one mapping with one key
 *   - user: alice                rules: mappings of scalars, or of lists of them
 *     networks: [shared, lab*]
 *
 * What is not in that subset is refused where it begins: anchors, aliases,
 * tags, further documents, a key twice.  Nothing nests deeper than this, so
 * no more of it is read either.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "policy/policy.h"

#include <net/if.h>
#include <string.h>

#include "limits.h"
#include "vmnet/error.h"

#ifdef HAVE_YAML
#include <yaml.h>

#define QUOTE_STARS "a name that begins with * is written in quotes: \"*\""

/* What a user or group can be called: useradd(8). */
#define NAME_BYTES_MAX 256

/* @line: of @event, from 1 on */
typedef struct Reader {
    const char *path;
    const PolicyNames *names;
    yaml_parser_t parser;
    yaml_event_t event;
    unsigned line;
    GError **error;
} Reader;

G_GNUC_PRINTF(3, 4)
static bool refuse_at(Reader *reader, unsigned line, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(reader->error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                "%s:%u: %s", reader->path, line, text);
    return false;
}

#define refuse(reader, ...) refuse_at(reader, (reader)->line, __VA_ARGS__)

/* Events */

/* Anchors are what aliases stand for; neither is needed here. */
static bool has_no_extras(const Reader *reader)
{
    const yaml_event_t *event = &reader->event;

    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return !event->data.scalar.anchor && !event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return !event->data.sequence_start.anchor &&
               !event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return !event->data.mapping_start.anchor &&
               !event->data.mapping_start.tag;
    case YAML_ALIAS_EVENT:
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        break;
    }
    return true;
}

static bool next(Reader *reader)
{
    yaml_parser_t *parser = &reader->parser;

    yaml_event_delete(&reader->event);
    if (!yaml_parser_parse(parser, &reader->event)) {
        bool is_star = !g_strcmp0(parser->context, "while scanning an alias");

        return refuse_at(reader, parser->problem_mark.line + 1, "%s", is_star
                         ? QUOTE_STARS : parser->problem ?: "is not YAML");
    }
    reader->line = reader->event.start_mark.line + 1;
    if (reader->event.type == YAML_ALIAS_EVENT) {
        return refuse(reader, QUOTE_STARS);
    }
    return has_no_extras(reader) ||
           refuse(reader, "anchors and tags are not for here");
}

/* The next one is of type @type, else it is not @what, which was expected. */
static bool expect(Reader *reader, yaml_event_type_t type, const char *what)
{
    return next(reader) && (reader->event.type == type ||
                            refuse(reader, "%s is expected", what));
}

static const char *scalar(const Reader *reader)
{
    return (const char *)reader->event.data.scalar.value;
}

/* The scalar that was read is a line of text of up to @max bytes. */
static bool check_scalar(Reader *reader, const char *key, size_t max)
{
    size_t len = reader->event.data.scalar.length, i;

    if (len == 0 || len > max) {
        return refuse(reader, "'%s' expects 1 to %zu characters", key, max);
    }
    for (i = 0; i < len; i++) {
        if (!g_ascii_isgraph(scalar(reader)[i])) {
            return refuse(reader, "'%s' has a character that is no letter, "
                          "digit or sign of ASCII", key);
        }
    }
    return true;
}

static bool expect_scalar(Reader *reader, const char *key, size_t max)
{
    return expect(reader, YAML_SCALAR_EVENT, "a value") &&
           check_scalar(reader, key, max);
}

/* Values */

static bool read_switch(Reader *reader, const char *key, bool *ret_value)
{
    static const char *const yes[] = { "yes", "true", "on", NULL };
    static const char *const no[] = { "no", "false", "off", NULL };

    if (!expect_scalar(reader, key, NAME_BYTES_MAX)) {
        return false;
    }
    *ret_value = g_strv_contains(yes, scalar(reader));
    return *ret_value || g_strv_contains(no, scalar(reader)) ||
           refuse(reader, "'%s' is yes or no, not '%s'", key, scalar(reader));
}

static bool read_number(Reader *reader, const char *key, unsigned max,
                        unsigned *ret_value)
{
    guint64 value;

    if (!expect_scalar(reader, key, NAME_BYTES_MAX)) {
        return false;
    }
    if (!g_ascii_string_to_unsigned(scalar(reader), 10, 0, max, &value, NULL)) {
        return refuse(reader, "'%s' is a number from 0 to %u, not '%s'", key,
                      max, scalar(reader));
    }
    *ret_value = value;
    return true;
}

static bool add_pattern(Reader *reader, const char *key, size_t max,
                        GPtrArray *patterns)
{
    if (!check_scalar(reader, key, max)) {
        return false;
    }
    if (strpbrk(scalar(reader), "[]{}\\/")) {
        return refuse(reader, "'%s': '%s' is no name with * and ?", key,
                      scalar(reader));
    }
    if (patterns->len >= POLICY_PATTERNS_MAX) {
        return refuse(reader, "'%s' has more than %d entries", key,
                      POLICY_PATTERNS_MAX);
    }
    g_ptr_array_add(patterns, g_strdup(scalar(reader)));
    return true;
}

/* One pattern, or a list of them. */
static bool read_patterns(Reader *reader, const char *key, size_t max,
                          GPtrArray *patterns)
{
    if (!next(reader)) {
        return false;
    }
    if (reader->event.type == YAML_SCALAR_EVENT) {
        return add_pattern(reader, key, max, patterns);
    }
    if (reader->event.type != YAML_SEQUENCE_START_EVENT) {
        return refuse(reader, "'%s' is a name or a list of names", key);
    }
    for (;;) {
        if (!next(reader)) {
            return false;
        }
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) {
            return true;
        }
        if (reader->event.type != YAML_SCALAR_EVENT) {
            return refuse(reader, "'%s' is a list of names", key);
        }
        if (!add_pattern(reader, key, max, patterns)) {
            return false;
        }
    }
}

/* (uid_t)-1 and (gid_t)-1 are nobody's. */
static bool read_who(Reader *reader, const char *key, PolicyRule *rule,
                     PolicyWho who)
{
    const PolicyNames *names = reader->names;
    const char *text;
    guint64 id;
    bool found;

    if (rule->name) {
        return refuse(reader, "a rule has 'user' or 'group', not both");
    }
    if (!expect_scalar(reader, key, NAME_BYTES_MAX)) {
        return false;
    }
    text = scalar(reader);
    rule->name = g_strdup(text);
    rule->who = who;
    if (!strcmp(text, "*")) {
        rule->who = POLICY_EVERYBODY;
        return true;
    }
    if (g_ascii_isdigit(text[0])) {
        if (!g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX - 1, &id,
                                        NULL)) {
            return refuse(reader, "'%s' is no number of a %s", text, key);
        }
        rule->id = id;
        return true;
    }
    found = !names || (who == POLICY_USER ? names->user(text, &rule->id)
                                          : names->group(text, &rule->id));
    return found || refuse(reader, "there is no %s '%s'", key, text);
}

/* Rules */

static bool read_user(Reader *reader, const char *key, PolicyRule *rule)
{
    return read_who(reader, key, rule, POLICY_USER);
}

static bool read_group(Reader *reader, const char *key, PolicyRule *rule)
{
    return read_who(reader, key, rule, POLICY_GROUP);
}

static bool read_networks(Reader *reader, const char *key, PolicyRule *rule)
{
    return read_patterns(reader, key, LIMIT_NETWORK_NAME_BYTES,
                         rule->networks);
}

static bool read_bridge(Reader *reader, const char *key, PolicyRule *rule)
{
    return read_patterns(reader, key, IF_NAMESIZE - 1, rule->bridge);
}

static bool read_use(Reader *reader, const char *key, PolicyRule *rule)
{
    return read_switch(reader, key, &rule->use);
}

static bool read_create(Reader *reader, const char *key, PolicyRule *rule)
{
    return read_switch(reader, key, &rule->create);
}

static bool read_netdevs(Reader *reader, const char *key, PolicyRule *rule)
{
    return read_number(reader, key, POLICY_NETDEVS_MAX, &rule->netdevs);
}

static bool read_low_ports(Reader *reader, const char *key, PolicyRule *rule)
{
    return read_switch(reader, key, &rule->low_ports);
}

static const struct {
    const char *key;
    bool (*read)(Reader *reader, const char *key, PolicyRule *rule);
} rule_keys[] = {
    { "user", read_user },
    { "group", read_group },
    { "networks", read_networks },
    { "use", read_use },
    { "create", read_create },
    { "bridge", read_bridge },
    { "netdevs", read_netdevs },
    { "ports-below-1024", read_low_ports },
};

/* @seen: bits of rule_keys that this rule has had */
static bool read_pair(Reader *reader, PolicyRule *rule, unsigned *seen)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(rule_keys); i++) {
        if (strcmp(scalar(reader), rule_keys[i].key) != 0) {
            continue;
        }
        if (*seen & 1u << i) {
            return refuse(reader, "'%s' is there twice", rule_keys[i].key);
        }
        *seen |= 1u << i;
        return rule_keys[i].read(reader, rule_keys[i].key, rule);
    }
    return refuse(reader, "there is no key '%.40s': a rule has 'user' or "
                  "'group', and 'networks', 'use', 'create', 'bridge', "
                  "'netdevs', 'ports-below-1024'", scalar(reader));
}

/* What only the whole of it shows.  'create' and 'bridge' without 'use' are a
 * slip of the pen, of which nobody can say in which direction. */
static bool check_rule(Reader *reader, PolicyRule *rule, unsigned seen)
{
    static const unsigned use_bit = 1u << 3;

    if (!rule->name) {
        return refuse_at(reader, rule->line, "the rule says for nobody: 'user' "
                         "or 'group' is missing ('*' is everybody)");
    }
    if ((rule->create || rule->bridge->len || rule->low_ports) && !rule->use) {
        if (seen & use_bit) {
            return refuse_at(reader, rule->line, "'use: no' takes away what "
                             "'create', 'bridge' or 'ports-below-1024' give");
        }
        rule->use = true;
    }
    if (!rule->networks->len) {
        g_ptr_array_add(rule->networks, g_strdup("*"));
    }
    return true;
}

/* Its first event has been read. */
static bool read_rule(Reader *reader, Policy *policy)
{
    PolicyRule *rule;
    unsigned seen = 0;

    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        return refuse(reader, "a rule is expected: '- user: ...'");
    }
    if (policy->rules->len >= POLICY_RULES_MAX) {
        return refuse(reader, "there are more than %d rules",
                      POLICY_RULES_MAX);
    }
    rule = policy_add_rule(policy);
    rule->line = reader->line;
    for (;;) {
        if (!next(reader)) {
            return false;
        }
        if (reader->event.type == YAML_MAPPING_END_EVENT) {
            return check_rule(reader, rule, seen);
        }
        if (reader->event.type != YAML_SCALAR_EVENT) {
            return refuse(reader, "a key of the rule is expected");
        }
        if (!read_pair(reader, rule, &seen)) {
            return false;
        }
    }
}

static bool read_rules(Reader *reader, Policy *policy)
{
    if (!expect(reader, YAML_SEQUENCE_START_EVENT, "a list of rules")) {
        return false;
    }
    for (;;) {
        if (!next(reader)) {
            return false;
        }
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) {
            return true;
        }
        if (!read_rule(reader, policy)) {
            return false;
        }
    }
}

static bool read_stream(Reader *reader, Policy *policy)
{
    if (!expect(reader, YAML_STREAM_START_EVENT, "text") ||
        !expect(reader, YAML_DOCUMENT_START_EVENT, "'rules:'") ||
        !expect(reader, YAML_MAPPING_START_EVENT, "'rules:'") ||
        !expect(reader, YAML_SCALAR_EVENT, "'rules:'")) {
        return false;
    }
    if (strcmp(scalar(reader), "rules") != 0) {
        return refuse(reader, "there is no key '%.40s': a policy has 'rules'",
                      scalar(reader));
    }
    return read_rules(reader, policy) &&
           expect(reader, YAML_MAPPING_END_EVENT, "the end") &&
           expect(reader, YAML_DOCUMENT_END_EVENT, "the end") &&
           expect(reader, YAML_STREAM_END_EVENT, "the end");
}

Policy *policy_parse(const char *path, const char *text, size_t len,
                     const PolicyNames *names, GError **error)
{
    g_autoptr(Policy) policy = policy_new(path);
    Reader reader = { .path = path, .names = names, .error = error };
    bool ok;

    if (!yaml_parser_initialize(&reader.parser)) {
        g_error("libyaml: out of memory");
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser,
                                 (const uint8_t *)(len ? text : ""), len);
    ok = read_stream(&reader, policy);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return ok ? g_steal_pointer(&policy) : NULL;
}

#else

Policy *policy_parse(const char *path, const char *text, size_t len,
                     const PolicyNames *names, GError **error)
{
    g_set_error(error, VMNET_ERROR, VMNET_FAILURE, "policy file '%s': this "
                "vmnetd was built without libyaml and cannot read it", path);
    return NULL;
}

#endif
