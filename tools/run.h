/*
 * vmnet-run: one run of it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_RUN_H
#define TOOLS_RUN_H

#include <glib.h>
#include <stdbool.h>

#include "libvmnet/client-private.h"
#include "run-args.h"

/* Exit statuses, as those of env(1). */
enum {
    EXIT_OWN_FAILURE = 125,
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
};

#define DEFAULT_FD 3

typedef struct Run {
    bool quiet;
    bool system;            /* --system */
    bool verbose;
    bool dry_run;
    bool netns;             /* --netns */
    const char *name;       /* --name: NULL: none */
    const char *network;    /* --network: NULL: from the arguments */
    RunPort port;
    int fd;
    int own_stderr;         /* a copy, where a socket takes its place; -1: none */
    char **argv;            /* COMMAND and its arguments */
    int argc;
    char *program;          /* COMMAND's path */
    VmnetClient *client;
    GPtrArray *interfaces;  /* of VmnetInterface: made, not yet handed over */
} Run;

/**
 * run_with_fd: execute the command with a socket on --network.
 * run_with_args: execute it with the networks that its arguments ask for.
 *
 * Returns: an exit status; not at all if the command was executed.
 */
int run_with_fd(Run *run);
int run_with_args(Run *run);

/** run_parse_network: --network's value as arguments of netdev_add. */
JsonValue *run_parse_network(const char *network, GError **error);
/** run_connect: to vmnetd, which is started. */
bool run_connect(Run *run, GError **error);

/** run_complain: "vmnet-run: ..." on standard error, escaped. */
void run_complain(const char *format, ...) G_GNUC_PRINTF(1, 2);

/** run_tell: "vmnet: ..." on standard error, escaped, if @wanted. */
void run_tell(bool wanted, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
