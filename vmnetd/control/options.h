/*
 * vmnetd's command line: ordered, each heavy option one QMP command
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_OPTIONS_H
#define VMNETD_CONTROL_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include "control/control.h"

/** OptionCommand: --netdev or --export, in the order of the command line. */
typedef struct OptionCommand {
    const char *option;
    const char *text;
} OptionCommand;

/**
 * Options: strings belong to argv.
 * @idle_s: 0: leave never
 * @commands: of OptionCommand
 * @system: the system instance; @user, @group, @runtime_dir and @bridged are
 *     for it alone, NULL: not given
 * @bridged: (element-type utf8): NULL-terminated
 * @policy: for the system instance; NULL: POLICY_PATH, which need not be there
 */
typedef struct Options {
    const char *socket;
    const char *pidfile;
    const char *log_file;
    const char *state_dir;
    const char *resolv_conf;
    unsigned idle_s;
    GLogLevelFlags log_level;
    const char *user, *group, *runtime_dir, *policy;
    GPtrArray *bridged;
    bool system;
    bool no_supervisor;
    bool help;
    bool version;
    GArray *commands;
} Options;

/**
 * options_parse: reads @argv, does nothing.
 *
 * Returns: false with @error; what getopt_long(3) found wrong it has printed
 * already, and @error is NULL.
 */
bool options_parse(Options *options, int argc, char **argv, GError **error);
void options_clear(Options *options);
void options_print_help(void);

/** options_bridged: NULL-terminated; NULL: all interfaces. */
const char *const *options_bridged(const Options *options);

/** options_apply: do --netdev and --export; @error names the one that failed. */
bool options_apply(const Options *options, Control *control, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

#endif
