/*
 * What the files of exports share among themselves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_EXPORT_PRIVATE_H
#define VMNETD_CONTROL_EXPORT_PRIVATE_H

#include "control/export.h"

/**
 * ExportDriver: what a kind of export does differently.
 * @socket_type: of the socket that is made at a path
 * @types: socket types that a descriptor may have, ended by 0
 */
struct ExportDriver {
    const char *name;
    PortKind kind;
    int socket_type;
    int types[3];
};

/** export_driver: that of @type; static. */
const ExportDriver *export_driver(ExportType type);

/**
 * export_open: make or take the socket that @export's options name (export-open.c).
 * @path: (nullable) instead of the one in the options
 *
 * Returns: false with @error; a descriptor of @client's is still there then.
 */
bool export_open(ControlExport *export, Client *client, const char *path,
                 GError **error);

/** export_check_tap: what the options say of a tap fits together. */
bool export_check_tap(const ExportOptions *options, GError **error);
/** export_open_tap: as export_open(), of type tap. */
bool export_open_tap(ControlExport *export, Client *client, GError **error);
/**
 * export_take_fd: a descriptor by name, as getfd gave it; on the command line by
 * number, as vmnetd inherited it (QEMU's rule: names do not begin with a digit).
 */
int export_take_fd(Client *client, const char *name, GError **error);

/** export_attached: the port has a VMM, @vmm (contents transferred). */
void export_attached(ControlExport *export, PeerProcess *vmm);
/** export_attach: a VMM is there: give @fd (transfer full) to the port. */
bool export_attach(ControlExport *export, int fd, GError **error);
/** export_watch: look for VMMs, unless nothing could be done with one. */
void export_watch(ControlExport *export);

/** export_find: @client's, or another's as VM/ID. NULL with @error: none. */
ControlExport *export_find(Client *client, const char *id, GError **error);

/** export_kind: of the port's link. */
PortKind export_kind(const ControlExport *export);
/** export_check_offloads: what the options say of them fits together. */
bool export_check_offloads(const ExportOptions *options, GError **error);
/** export_apply_offloads: tell the port, whose VMM is connected. */
void export_apply_offloads(ControlExport *export);
/** export_offloads: for ExportInfo. (transfer full) (nullable) */
ExportOffloadList *export_offloads(const ControlExport *export);

/** export_on_timer: what the export's timer calls. */
void export_on_timer(void *opaque, int64_t now_ms);

/** export_fd_is_datagram: whether @fd is a SOCK_DGRAM socket. */
bool export_fd_is_datagram(int fd);

#endif
