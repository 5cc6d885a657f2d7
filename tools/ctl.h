/*
 * vmnetctl: what its commands share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_CTL_H
#define TOOLS_CTL_H

#include <glib.h>
#include <stdbool.h>

#include "libvmnet/client-private.h"
#include "qapi/json.h"

/** Ctl: one run of the program. */
typedef struct Ctl {
    unsigned given;         /* options that not every command takes */
    bool help;              /* --help */
    bool json;              /* --json */
    bool system;            /* --system */
    const char *network;    /* --network */
    bool persistent;        /* --persistent */
    int lines;              /* --lines */
    bool follow;            /* --follow */
    VmnetClient *client;    /* NULL: no daemon runs */
    GError *no_daemon;      /* why, then */
} Ctl;

/**
 * A command: @argv begins after its name.
 *
 * Returns: whether it worked; if not and @error is set, it is printed.
 */
typedef bool CtlFunc(Ctl *ctl, int argc, char **argv, GError **error);

CtlFunc ctl_overview;
CtlFunc ctl_leases;
CtlFunc ctl_forward_add;
CtlFunc ctl_forward_list;
CtlFunc ctl_forward_remove;
CtlFunc ctl_connect;
CtlFunc ctl_log;
CtlFunc ctl_stop;
CtlFunc ctl_qmp;

/** ctl_query: execute a command without arguments. */
JsonValue *ctl_query(Ctl *ctl, const char *command, GError **error);

/** ctl_print_json: @value to stdout, indented. */
void ctl_print_json(const JsonValue *value);

/** ctl_fail: set @error to a message of ours; false, to be returned. */
bool ctl_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** ctl_int: member @key of @dict, 0 if it has none. */
int64_t ctl_int(const JsonValue *dict, const char *key);

/**
 * ctl_set_guest: name the guest @text in @args (of forward-add): by netdev,
 * if it is VM/ID or a machine's name, else by name or address, with the
 * network that it is on.
 */
bool ctl_set_guest(Ctl *ctl, JsonValue *args, const char *text,
                   GError **error);

#endif
