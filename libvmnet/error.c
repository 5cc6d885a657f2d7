/*
 * The error domain
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>

#include "vmnet/error.h"

G_DEFINE_QUARK(vmnet-error-quark, vmnet_error)

VmnetStatus vmnet_status_from_errno(int errnum)
{
    switch (errnum) {
    case ENOMEM:
        return VMNET_MEM_FAILURE;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
        return VMNET_INVALID_ARGUMENT;
    case ENOENT:
    case ECONNREFUSED:
        return VMNET_SETUP_INCOMPLETE;
    case EACCES:
        return VMNET_INVALID_ACCESS;
    case EPERM:
        return VMNET_NOT_AUTHORIZED;
    case EMSGSIZE:
        return VMNET_PACKET_TOO_BIG;
    case ENOBUFS:
        return VMNET_BUFFER_EXHAUSTED;
    case EADDRINUSE:
    case EADDRNOTAVAIL:
    case EBUSY:
    case EAGAIN:
        return VMNET_SHARING_SERVICE_BUSY;
    default:
        return VMNET_FAILURE;
    }
}
