/*
 * A VMM's command line: which of its arguments ask for a vmnet network, and
 * what becomes of them
 *
 * Scanning makes nothing and starts nothing; rewriting is given what was made.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_RUN_ARGS_H
#define TOOLS_RUN_ARGS_H

#include <glib.h>
#include <stdbool.h>

#include "qapi/json.h"
#include "run-memory.h"
#include "run-version.h"

typedef enum RunNetdevKind {
    RUN_NETDEV,     /* -netdev: becomes one of RunPort */
    RUN_NIC,        /* -nic: becomes -nic socket, by descriptor */
} RunNetdevKind;

/** RunPort: what a netdev becomes, or with --port is to become. */
typedef enum RunPort {
    RUN_PORT_AUTO,          /* vhost-user where that works, else stream */
    RUN_PORT_STREAM,        /* -netdev stream, by path */
    RUN_PORT_DGRAM,         /* -netdev dgram, by descriptor */
    RUN_PORT_VHOST_USER,    /* -netdev vhost-user and a -chardev, by path */
    RUN_PORT__MAX
} RunPort;

/** RunMacPlace: how the NIC of a netdev is told its address. */
typedef enum RunMacPlace {
    RUN_MAC_NONE,           /* it has one, or there is no NIC to tell */
    RUN_MAC_DEVICE,         /* -device: ",mac=" */
    RUN_MAC_DEVICE_JSON,    /* -device '{...}': "mac" */
    RUN_MAC_NET_NIC,        /* -net nic: ",macaddr=" */
    RUN_MAC_NIC,            /* -nic itself: ",mac=" */
} RunMacPlace;

/** RunNetdev: one argument that asks for a network. */
typedef struct RunNetdev {
    RunNetdevKind kind;
    int value_index;        /* of the option's value in argv */
    char *id;
    JsonValue *args;        /* of netdev_add, without lifetime */
    GPtrArray *nic_options; /* RUN_NIC: of char *: what is QEMU's, as written */
    char *mac;              /* that the user wrote, anywhere; NULL: none */
    RunMacPlace mac_place;
    int mac_index;          /* argv index of what it is added to */
    bool has_virtio_nic;
    RunPort port;           /* never AUTO; STREAM until run_args_choose() */
    char *why;              /* AUTO chose that; NULL: it was asked for */
} RunNetdev;

/** RunArgs: a command line that was looked at. */
typedef struct RunArgs {
    int argc;
    char **argv;            /* borrowed; argv[0] is the command */
    GPtrArray *netdevs;     /* of RunNetdev */
    char *name;             /* -name, -uuid, the first disk; NULL: not given */
    char *uuid;
    char *disk;             /* absolute */
    RunMemory *memory;
    char **memory_args;     /* to be added; NULL: none */
} RunArgs;

/** RunTarget: what was made for one netdev. */
typedef struct RunTarget {
    char *path;             /* -netdev stream and vhost-user */
    int fd;                 /* -nic, and -netdev dgram */
    char *mac;              /* NULL: not known */
} RunTarget;

/**
 * run_args_scan: find the netdevs in @argv, which must outlive the result.
 *
 * Every netdev's options are checked against the schema; vm, mac-seed and mac
 * are filled in from the rest of the command line.
 *
 * Returns: (transfer full): NULL with an @error that names the argument.
 */
RunArgs *run_args_scan(int argc, char **argv, GError **error);
void run_args_free(RunArgs *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunArgs, run_args_free)

/** run_port_str: as --port has it. */
const char *run_port_str(RunPort port);
/** run_port_parse: false, @ret untouched, if @text is none. */
bool run_port_parse(const char *text, RunPort *ret);

/**
 * run_args_choose: what each netdev becomes.
 * @wanted: of --port
 *
 * Returns: false with @error if @wanted is not possible for one of them.
 */
bool run_args_choose(RunArgs *args, RunPort wanted, const QemuVersion *version,
                     GError **error);

/**
 * run_args_rewrite: the command line to execute.
 * @targets: one for each of @args->netdevs
 *
 * Returns: (transfer full): ended by NULL
 */
char **run_args_rewrite(const RunArgs *args, const QemuVersion *version,
                        const RunTarget *targets);

/** run_args_quote: @argv as a line for a shell.  (transfer full) */
char *run_args_quote(char **argv);

#endif
