/*
 * What a restarted daemon makes again: netdevs of lifetime "export", their
 * exports, and the forwards that were added
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_RECORD_H
#define VMNETD_CONTROL_RECORD_H

#include "control/control.h"

typedef struct Record Record;

Record *record_new(Control *control);
/** record_free: an orderly end: the file is removed. */
void record_free(Record *record);

/** record_changed: write it soon, within this turn of the main loop. */
void record_changed(Control *control);

/**
 * record_some: what the record has of @netdevs (of ControlNetdev) and of the
 * forwards to them.  One whose export came as a descriptor is not in it.
 */
JsonValue *record_some(const GPtrArray *netdevs);
/**
 * record_make_again: make what a record has.  What cannot be made again is a
 * warning each.  Returns: how many netdevs were made.
 */
unsigned record_make_again(Control *control, const JsonValue *record);

/**
 * record_restore: make again what a daemon that died has left behind.
 *
 * What cannot be made again is a warning each.  A file of another boot, another
 * version or another user is ignored.
 */
void record_restore(Control *control);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Record, record_free)

#endif
