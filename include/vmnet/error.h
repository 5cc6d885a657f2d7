/*
 * GError domain of vmnet, with the status codes of Apple's vmnet.framework
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VMNET_ERROR_H
#define VMNET_ERROR_H

#include <glib.h>

G_BEGIN_DECLS

/**
 * VmnetStatus: codes of %VMNET_ERROR.  Names and values are those of
 * vmnet_return_t, so that a program that knows Apple's framework can switch
 * over them; the message is what a person should see.
 *
 * @VMNET_SUCCESS: never in a GError.
 * @VMNET_FAILURE: anything that has no code of its own.
 * @VMNET_MEM_FAILURE: no memory.
 * @VMNET_INVALID_ARGUMENT: an option, name, address or path that is refused.
 * @VMNET_SETUP_INCOMPLETE: no daemon runs, or it could not be started, or it
 *     is one that cannot be spoken with.
 * @VMNET_INVALID_ACCESS: a directory, socket or peer that is not ours.
 * @VMNET_PACKET_TOO_BIG: a frame over the interface's maximum.
 * @VMNET_BUFFER_EXHAUSTED: the kernel has no room now.
 * @VMNET_TOO_MANY_PACKETS: a batch over the interface's maximum.
 * @VMNET_SHARING_SERVICE_BUSY: a subnet, port or lock that others use.
 * @VMNET_NOT_AUTHORIZED: a mode that needs rights which this user has not.
 */
typedef enum VmnetStatus {
    VMNET_SUCCESS = 1000,
    VMNET_FAILURE = 1001,
    VMNET_MEM_FAILURE = 1002,
    VMNET_INVALID_ARGUMENT = 1003,
    VMNET_SETUP_INCOMPLETE = 1004,
    VMNET_INVALID_ACCESS = 1005,
    VMNET_PACKET_TOO_BIG = 1006,
    VMNET_BUFFER_EXHAUSTED = 1007,
    VMNET_TOO_MANY_PACKETS = 1008,
    VMNET_SHARING_SERVICE_BUSY = 1009,
    VMNET_NOT_AUTHORIZED = 1010,
} VmnetStatus;

#define VMNET_ERROR (vmnet_error_quark())
/** vmnet_error_quark: the domain, %VMNET_ERROR; from any thread. */
GQuark vmnet_error_quark(void);

/**
 * vmnet_status_from_errno: the status that says most about @errnum (of
 * errno(3)); %VMNET_FAILURE where none fits.
 */
VmnetStatus vmnet_status_from_errno(int errnum);

G_END_DECLS

#endif
