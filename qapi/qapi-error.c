/*
 * GError domain with QMP's error classes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "qapi/qapi-error.h"

G_DEFINE_QUARK(qapi-error, qapi_error)

const char *qapi_error_class_str(const GError *error)
{
    static const char *const classes[] = {
        [QAPI_ERROR_GENERIC] = "GenericError",
        [QAPI_ERROR_COMMAND_NOT_FOUND] = "CommandNotFound",
        [QAPI_ERROR_DEVICE_NOT_ACTIVE] = "DeviceNotActive",
        [QAPI_ERROR_DEVICE_NOT_FOUND] = "DeviceNotFound",
        [QAPI_ERROR_KVM_MISSING_CAP] = "KVMMissingCap",
    };

    if (error->domain != QAPI_ERROR || error->code < 0
        || error->code >= (int)G_N_ELEMENTS(classes)) {
        return classes[QAPI_ERROR_GENERIC];
    }
    return classes[error->code];
}
