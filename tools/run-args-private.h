/*
 * What the parts of run-args share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_RUN_ARGS_PRIVATE_H
#define TOOLS_RUN_ARGS_PRIVATE_H

#include "run-args.h"

/** run_args_parse_json: @text if it is a JSON object, else NULL. */
JsonValue *run_args_parse_json(const char *text);

/** run_identity_scan: remember what @option tells of the machine, if any. */
void run_identity_scan(RunArgs *args, const char *option, const char *value);

/** run_identity_apply: give each netdev vm and mac-seed, if the user has not. */
void run_identity_apply(RunArgs *args);

#endif
