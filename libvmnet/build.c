/*
 * Which source this was built from
 *
 * The only file that includes the generated header: a commit recompiles this.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "libvmnet/build.h"
#include "build-id.h"

const char *vmnet_build_id(void)
{
    return VMNET_BUILD_ID;
}
