/*
 * GError domain with QMP's error classes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef QAPI_ERROR_H
#define QAPI_ERROR_H

#include <glib.h>

#define QAPI_ERROR (qapi_error_quark())
GQuark qapi_error_quark(void);

typedef enum QapiErrorClass {
    QAPI_ERROR_GENERIC,
    QAPI_ERROR_COMMAND_NOT_FOUND,
    QAPI_ERROR_DEVICE_NOT_ACTIVE,
    QAPI_ERROR_DEVICE_NOT_FOUND,
    QAPI_ERROR_KVM_MISSING_CAP,
} QapiErrorClass;

/** qapi_error_class_str: "GenericError" for any error of another domain. */
const char *qapi_error_class_str(const GError *error);

#endif
