/*
 * Giving up rights, for good
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmnet/error.h"

#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define KEPT_BY_PRIV (CAP_BIT(CAP_NET_ADMIN) | CAP_BIT(CAP_NET_RAW))
/* Capabilities are numbered from 0 on; two words of them fit the interface. */
#define CAPS_MAX 64

static bool fail(GError **error, const char *what)
{
    g_set_error(error, VMNET_ERROR, VMNET_NOT_AUTHORIZED,
                "giving up rights: %s: %s", what, g_strerror(errno));
    return false;
}

static bool get_effective(uint64_t *ret_caps)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

    if (syscall(SYS_capget, &header, data) < 0) {
        return false;
    }
    *ret_caps = data[0].effective | (uint64_t)data[1].effective << 32;
    return true;
}

static bool set_all(uint64_t caps)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        { .effective = caps, .permitted = caps },
        { .effective = caps >> 32, .permitted = caps >> 32 },
    };

    return syscall(SYS_capset, &header, data) == 0;
}

/* What no program that is executed can get back either. */
static bool drop_bounding(uint64_t kept)
{
    unsigned cap;

    for (cap = 0; cap < CAPS_MAX; cap++) {
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) < 0) {
            return true; /* the kernel knows no more */
        }
        if (!(kept & CAP_BIT(cap)) &&
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            return false;
        }
    }
    return true;
}

bool rights_can_configure(void)
{
    uint64_t caps;

    return geteuid() == 0 && get_effective(&caps) &&
           (caps & KEPT_BY_PRIV) == KEPT_BY_PRIV;
}

bool rights_keep_network(GError **error)
{
    if (!drop_bounding(KEPT_BY_PRIV)) {
        return fail(error, "bounding set");
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return set_all(KEPT_BY_PRIV) || fail(error, "capset");
}

bool rights_drop(uid_t uid, gid_t gid, GError **error)
{
    g_assert(uid != 0);
    if (!drop_bounding(0)) {
        return fail(error, "bounding set");
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (setgroups(0, NULL) < 0) {
        return fail(error, "setgroups");
    }
    if (setresgid(gid, gid, gid) < 0) {
        return fail(error, "setresgid");
    }
    if (setresuid(uid, uid, uid) < 0) {
        return fail(error, "setresuid");
    }
    /* They went with uid 0, unless secure bits of our parent's say otherwise. */
    return set_all(0) || fail(error, "capset");
}
