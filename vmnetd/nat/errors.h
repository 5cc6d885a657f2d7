/*
 * What a guest is told when the host's socket fails
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NAT_ERRORS_H
#define VMNETD_NAT_ERRORS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * NatErrorTcp: the answer to a SYN whose connect() failed.
 * NAT_ERROR_SILENT: our own want; the guest's next SYN may have more luck
 */
typedef enum NatErrorTcp {
    NAT_ERROR_SILENT,
    NAT_ERROR_RST,
    NAT_ERROR_ICMP,
} NatErrorTcp;

/** IcmpCode: type and code, of ICMP (RFC 792) or ICMPv6 (RFC 4443). */
typedef struct IcmpCode {
    uint8_t type, code;
} IcmpCode;

/** NatError: @v4 and @v6 are what a datagram gets, unless @tcp is silent. */
typedef struct NatError {
    int errnum;
    NatErrorTcp tcp;
    IcmpCode v4, v6;
} NatError;

/** nat_error_find: never NULL; an errno that is not in the table: RST. */
const NatError *nat_error_find(int errnum);
/** nat_error_is_hosts: this host lacks something, or forbids it. */
bool nat_error_is_hosts(int errnum);
/** nat_error_row: row @i of the table, for its test; NULL: there are fewer. */
const NatError *nat_error_row(unsigned i);

#endif
