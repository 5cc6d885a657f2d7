/*
 * The system instance's policy: which user may do what on which network
 *
 * A policy is a list of rules.  The first one that is for a user and a network
 * decides everything about them; where none is, nothing is allowed.  Root is
 * never asked: who calls these functions sees to that.
 *
 *   - group: vmnet              who: a user, a group, or "*" for everybody
 *     networks: [shared, lab*]
 *     create: yes               rights, all refused unless they are written
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_POLICY_POLICY_H
#define VMNETD_POLICY_POLICY_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Bounds of a file.  Each name of a rule is looked up when it is read. */
#define POLICY_FILE_BYTES (64 * 1024)
#define POLICY_RULES_MAX 256
#define POLICY_PATTERNS_MAX 64
#define POLICY_NETDEVS_MAX 1024
/* Of a user who has no number in his rule. */
#define POLICY_NETDEVS_DEFAULT 64
/* Host ports below this one need a right: as binding them does. */
#define POLICY_LOW_PORTS 1024

typedef enum PolicyWho {
    POLICY_EVERYBODY,
    POLICY_USER,
    POLICY_GROUP,
} PolicyWho;

/**
 * PolicyRule:
 * @line: where it is in the file
 * @who, @id: whom it is for: a uid, a gid
 * @name: (owned): as it was written
 * @networks: (element-type utf8): patterns of names
 * @bridge: (element-type utf8): patterns of host interfaces to join
 * @use: join a network that runs
 * @create: start one; has @use
 * @netdevs: that one user has at one time by this rule
 * @low_ports: forward from ports below POLICY_LOW_PORTS of the host
 */
typedef struct PolicyRule {
    unsigned line;
    PolicyWho who;
    uint32_t id;
    char *name;
    GPtrArray *networks, *bridge;
    bool use, create, low_ports;
    unsigned netdevs;
} PolicyRule;

/** Policy: @path: (owned): where it is from; @is_default: it is not there */
typedef struct Policy {
    char *path;
    bool is_default;
    GPtrArray *rules;
} Policy;

/** PolicyPeer: @gid: of the process; @groups: the others that it is in */
typedef struct PolicyPeer {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    unsigned n_groups;
} PolicyPeer;

/**
 * PolicyNames: how names become numbers; false: there is none of that name.
 * NULL instead of it: nobody asks whom a rule is for, names stay names.
 */
typedef struct PolicyNames {
    bool (*user)(const char *name, uint32_t *ret_uid);
    bool (*group)(const char *name, uint32_t *ret_gid);
} PolicyNames;

/** policy_names: those of this host, getpwnam(3) and getgrnam(3). */
extern const PolicyNames policy_names;

/** policy_new: without rules: nothing is allowed. */
Policy *policy_new(const char *path);
void policy_free(Policy *policy);
/** policy_add_rule: an empty one at the end (transfer none). */
PolicyRule *policy_add_rule(Policy *policy);

/**
 * policy_parse: a file's text.
 *
 * Returns: NULL with @error: "PATH:LINE: " and what is wrong there.
 */
Policy *policy_parse(const char *path, const char *text, size_t len,
                     const PolicyNames *names, GError **error);

/**
 * policy_load: read @path, which must be root's, and writable by nobody else.
 * @ret_is_absent: set where there is no such file
 *
 * Returns: NULL with @error.
 */
Policy *policy_load(const char *path, const PolicyNames *names,
                    bool *ret_is_absent, GError **error);

/** policy_find: the rule that decides; NULL: none. */
const PolicyRule *policy_find(const Policy *policy, const PolicyPeer *peer,
                              const char *network);

/** policy_rule_bridges: whether @rule lets somebody join @ifname. */
bool policy_rule_bridges(const PolicyRule *rule, const char *ifname);

/**
 * policy_bridges: whether any rule does: all that a process can check which
 * does not know, or not believe, who asks.
 */
bool policy_bridges(const Policy *policy, const char *ifname);
/** policy_has_low_ports: the same of forwards. */
bool policy_has_low_ports(const Policy *policy);

/** policy_rule_describe: "PATH:LINE (group vmnet)" (transfer full) */
char *policy_rule_describe(const Policy *policy, const PolicyRule *rule);

/**
 * policy_pattern_match: `*` is any run of characters, `?` any one; all others
 * are themselves.  Costs at most the product of both lengths.
 */
bool policy_pattern_match(const char *pattern, const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Policy, policy_free)

#endif
