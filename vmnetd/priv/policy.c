/*
 * What the policy's file says to a process that does not know who asks
 *
 * The engine says for whom it makes something, but here it is nobody's word:
 * an interface may be joined if a rule lets anybody join it.  A file that was
 * not there when the instance started allows all, as root may do all; one that
 * is wrong, or gone, when this process is started again allows nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/serve-internal.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

/* Returns: whether @server's policy is what the file says. */
static bool load(PrivServer *server, bool is_first)
{
    const PrivPolicy *policy = server->policy;
    g_autoptr(GError) error = NULL;
    bool is_absent;
    Policy *file = policy_load(policy->path, NULL, &is_absent, &error);

    if (file) {
        policy_free(server->file);
        server->file = file;
        return true;
    }
    if (is_absent && !policy->is_required && !server->file) {
        return true;
    }
    g_warning("priv: policy: %s; %s", error->message, is_first
              ? "no interface is joined" : "the former one stays in force");
    return false;
}

void priv_policy_start(PrivServer *server)
{
    if (server->policy->path && !load(server, true)) {
        server->file = policy_new(server->policy->path);
    }
}

bool priv_policy_bridges(const PrivServer *server, const char *ifname)
{
    const char *const *name = server->policy->bridged;

    while (name && *name && strcmp(*name, ifname) != 0) {
        name++;
    }
    return (!name || *name) &&
           (!server->file || policy_bridges(server->file, ifname));
}

void priv_do_reload(PrivServer *server, const PrivRequest *request,
                    PrivResult *result)
{
    if (server->policy->path && !load(server, false)) {
        priv_went_well(result, EINVAL);
    }
}
