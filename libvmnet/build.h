/*
 * Which source this was built from
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_BUILD_H
#define LIBVMNET_BUILD_H

/**
 * vmnet_build_id: git's description of the source, else the version.  A daemon
 * and its clients compare it, to say so where they differ; what decides
 * whether they can talk is VMNET_PROTOCOL.
 *
 * Returns: static
 */
const char *vmnet_build_id(void);

#endif
