/*
 * Where the policy of the system instance comes from
 *
 *   start     the file; without one, the default
 *   reload    the file, if it is right; else what was in force stays
 *   an engine that is started again finds a file that is wrong, or that has
 *             gone since the instance started: nothing is allowed until it
 *             has been mended
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_POLICY_SOURCE_H
#define VMNETD_CONTROL_POLICY_SOURCE_H

#include "policy/policy.h"

#define POLICY_PATH "/etc/vmnet/policy.yaml"

/**
 * PolicySource:
 * @path: of the file
 * @is_required: it must be there: root named it, or it was there before
 * @has_group, @gid, @group: whose members the default is for
 * @bridged: (nullable): interfaces that the default lets them join
 */
typedef struct PolicySource {
    const char *path;
    bool is_required;
    bool has_group;
    gid_t gid;
    const char *group;
    const char *const *bridged;
} PolicySource;

/** policy_source_load: Returns: NULL with @error. */
Policy *policy_source_load(const PolicySource *source, GError **error);
/** policy_source_start: never NULL; what is wrong is in the log. */
Policy *policy_source_start(const PolicySource *source);
/** policy_source_reload: NULL: @current stays; the log says why. */
Policy *policy_source_reload(const PolicySource *source, const Policy *current);

#endif
