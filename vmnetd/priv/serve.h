/*
 * The privileged process: answers the requests of message.h, does nothing else
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_SERVE_H
#define VMNETD_PRIV_SERVE_H

#include <stdbool.h>
#include <stdint.h>

/** Interfaces at one time: LIMIT_NETDEVS, each with one. */
#define PRIV_LINKS_MAX 1024

/**
 * PrivPolicy:
 * @bridged: NULL-terminated: interfaces that may be bridged to; NULL: all
 * @path: of the policy's file, which must be there if it @is_required;
 *     NULL: none
 * @mark: of this instance: interfaces of group @mark are its own; not 0
 * @first_port: of those that users may have
 */
typedef struct PrivPolicy {
    const char *const *bridged;
    const char *path;
    bool is_required;
    uint32_t mark;
    uint16_t first_port;
} PrivPolicy;

/** priv_mark: of the instance whose state is in @state_dir. */
uint32_t priv_mark(const char *state_dir);

/**
 * priv_serve: answer requests on @fd until its other end is closed everywhere;
 * then remove what was made.
 */
void priv_serve(int fd, const PrivPolicy *policy);

#endif
