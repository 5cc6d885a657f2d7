/*
 * Exports: how a VMM reaches a netdev
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_EXPORT_H
#define VMNETD_CONTROL_EXPORT_H

#include "control/control.h"
#include "control/peer-process.h"

typedef struct ExportDriver ExportDriver;

/**
 * ControlExport:
 * @path: of its socket, or of the VMM's where it connects; NULL: descriptors
 * @listen_fd: where VMMs come from, -1: none
 * @watch: on @listen_fd, while nobody is connected or somebody may knock
 * @waiting_fd: a VMM that came while another was connected; see export.c
 */
struct ControlExport {
    Control *control;
    ControlNetdev *netdev;
    Client *owner;
    char *id;
    const ExportDriver *driver;
    ExportOptions *options;
    char *path;
    bool made_socket;
    dev_t socket_dev;
    ino_t socket_ino;
    bool connected;
    int listen_fd;
    LoopWatch *watch;
    int waiting_fd;
    LoopTimer *timer;
};

/**
 * export_new: validates, then opens; the netdev holds it.
 * @path: (nullable) where it was before (from the record), rather than a name
 *     of the daemon's choice
 *
 * Returns: (transfer none): NULL with @error: nothing was made, the
 * descriptor named is still the client's.
 */
ControlExport *export_new(Client *client, const ExportOptions *options,
                          const char *path, GError **error);
/** export_free: disconnects the VMM, removes the socket that it made. */
void export_free(ControlExport *export);

/** export_disconnected: the VMM went (from the port). */
void export_disconnected(ControlExport *export, const char *reason);

/** export_has_caller: a VMM has come that was not let in yet. */
bool export_has_caller(const ControlExport *export);

/** export_full_id: VM/ID. (transfer full) */
char *export_full_id(const ControlExport *export);
/** export_info: as @client sees it. (transfer full) */
ExportInfo *export_info(const ControlExport *export, const Client *client);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ControlExport, export_free)

#endif
