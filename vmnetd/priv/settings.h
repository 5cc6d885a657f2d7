/*
 * Settings of the host's network (/proc/sys/net) that are changed for a while
 *
 *   found --> recorded in a file --> changed ..... put back --> forgotten
 *
 * The file is written first: whoever is killed at any moment is cleaned up
 * after by the next.  A setting that another has changed since stays so.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_SETTINGS_H
#define VMNETD_PRIV_SETTINGS_H

#include <glib.h>
#include <stdbool.h>

#define SETTINGS_ROOT "/proc/sys/net"
/** Changed at one time: far more than a host with a VPN or two needs. */
#define SETTINGS_MAX 1024
/** Of a value and its NUL. */
#define SETTING_VALUE_MAX 16

/**
 * settings_open: the record is read when it is needed, by this process or by a
 * child of its.
 * @dir: made if missing; of root and nobody else
 */
bool settings_open(const char *dir, GError **error);
void settings_close(void);
/** settings_dir: its descriptor. */
int settings_dir(void);

/** settings_get: @path: below SETTINGS_ROOT.  Returns: whether it is there. */
bool settings_get(const char *path, char ret_value[SETTING_VALUE_MAX]);

/** settings_put: not recorded: of an interface that is ours, and goes with it. */
bool settings_put(const char *path, const char *value, GError **error);
/**
 * settings_change: what is so already is left alone and not recorded.
 * @unless: another, "0" now, that leaves nothing to be put back once it is not;
 *     NULL: none
 */
bool settings_change(const char *path, const char *value, const char *unless,
                     GError **error);

/**
 * settings_note: one that a later settings_change() of another changes too, so
 * that it is put back after that one.
 */
bool settings_note(const char *path, GError **error);

/** settings_is_changed: it would be put back now. */
bool settings_is_changed(const char *path);

/**
 * settings_changed_interfaces: those of which "FAMILY/conf/NAME/@setting" is
 * changed.
 *
 * Returns: (transfer full) (element-type utf8): their names
 */
GPtrArray *settings_changed_interfaces(const char *family, const char *setting);

/**
 * settings_restore: put back, the last first.
 * @ifname: only those of that interface; NULL: all
 */
bool settings_restore(const char *ifname, GError **error);

#endif
