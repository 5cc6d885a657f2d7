/*
 * Settings of the host's network (/proc/sys/net) that are changed for a while
 *
 * The record is a file of lines "PATH FOUND CHANGED UNLESS", oldest first; "-":
 * none.  It is replaced whole, and kept in a directory that root alone can
 * write: whoever could would be given settings of his choice.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmnet/error.h"

#define RECORD "settings"
#define RECORD_NEW "settings.new"
#define RECORD_MAX (256 * 1024)
#define NONE "-"

/** Setting: @changed: NONE: by another one, at that one's time */
typedef struct Setting {
    char *path, *unless;
    char found[SETTING_VALUE_MAX], changed[SETTING_VALUE_MAX];
} Setting;

static int dir_fd = -1;
static GPtrArray *settings;     /* (element-type Setting); NULL: not read */

static bool fail(GError **error, const char *what)
{
    int errnum = errno;

    g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errnum), "%s: %s",
                what, g_strerror(errnum));
    return false;
}

static void setting_free(void *opaque)
{
    Setting *setting = opaque;

    g_free(setting->path);
    g_free(setting->unless);
    g_free(setting);
}

/* One setting */

static int open_setting(const char *path, int flags)
{
    g_autofree char *full = g_build_filename(SETTINGS_ROOT, path, NULL);

    return open(full, flags | O_CLOEXEC | O_NOFOLLOW);
}

bool settings_get(const char *path, char ret_value[SETTING_VALUE_MAX])
{
    int fd = open_setting(path, O_RDONLY);
    ssize_t len = fd < 0 ? -1 : read(fd, ret_value, SETTING_VALUE_MAX - 1);

    if (fd >= 0) {
        close(fd);
    }
    if (len <= 0) {
        return false;
    }
    ret_value[len] = '\0';
    g_strchomp(ret_value);
    return true;
}

bool settings_put(const char *path, const char *value, GError **error)
{
    int fd = open_setting(path, O_WRONLY);
    bool ok = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);

    if (!ok) {
        fail(error, path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool is_overruled(const Setting *setting)
{
    char value[SETTING_VALUE_MAX];

    return strcmp(setting->unless, NONE) != 0 &&
           settings_get(setting->unless, value) && strcmp(value, "0") != 0;
}

/* Returns: whether what was changed is still there to be put back. */
static bool is_as_changed(const Setting *setting)
{
    char value[SETTING_VALUE_MAX];

    return settings_get(setting->path, value) &&
           strcmp(value, setting->found) != 0 &&
           (!strcmp(setting->changed, NONE) ||
            !strcmp(setting->changed, value)) && !is_overruled(setting);
}

/* The record */

static bool remove_record(GError **error)
{
    unlinkat(dir_fd, RECORD_NEW, 0); /* of one that was killed, if any */
    return unlinkat(dir_fd, RECORD, 0) == 0 || errno == ENOENT ||
           fail(error, RECORD);
}

static bool write_record(GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned i;
    int fd;
    bool ok;

    for (i = 0; i < settings->len; i++) {
        const Setting *setting = g_ptr_array_index(settings, i);

        g_string_append_printf(text, "%s %s %s %s\n", setting->path,
                               setting->found, setting->changed,
                               setting->unless);
    }
    if (!text->len) {
        return remove_record(error);
    }
    fd = openat(dir_fd, RECORD_NEW,
                O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    ok = fd >= 0 && write(fd, text->str, text->len) == (ssize_t)text->len &&
         renameat(dir_fd, RECORD_NEW, dir_fd, RECORD) == 0;
    if (!ok) {
        fail(error, RECORD);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static void read_record(void);

static Setting *find(const char *path)
{
    unsigned i;

    read_record();
    for (i = 0; i < settings->len; i++) {
        Setting *setting = g_ptr_array_index(settings, i);

        if (!strcmp(setting->path, path)) {
            return setting;
        }
    }
    return NULL;
}

static Setting *record(const char *path, const char *found, const char *changed,
                       const char *unless)
{
    Setting *setting;

    if (settings->len >= SETTINGS_MAX) {
        return NULL;
    }
    setting = g_new0(Setting, 1);
    setting->path = g_strdup(path);
    setting->unless = g_strdup(unless ?: NONE);
    g_strlcpy(setting->found, found, SETTING_VALUE_MAX);
    g_strlcpy(setting->changed, changed, SETTING_VALUE_MAX);
    g_ptr_array_add(settings, setting);
    return setting;
}

/* Root wrote it; a wrong line is none all the same. */
static bool is_path(const char *path)
{
    return (g_str_has_prefix(path, "ipv4/conf/") ||
            g_str_has_prefix(path, "ipv6/conf/")) && !strstr(path, "/../");
}

static void read_line(const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 5);

    if (g_strv_length(words) == 4 && is_path(words[0]) &&
        (!strcmp(words[3], NONE) || is_path(words[3])) && !find(words[0])) {
        record(words[0], words[1], words[2], words[3]);
    }
}

/* At first use: it is of the process that has died before this one. */
static void read_record(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    size_t len = 0;
    ssize_t got;
    unsigned i;
    int fd;

    if (settings) {
        return;
    }
    settings = g_ptr_array_new_with_free_func(setting_free);
    fd = openat(dir_fd, RECORD, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    text = g_malloc(RECORD_MAX + 1);
    while (len < RECORD_MAX &&
           (got = read(fd, text + len, RECORD_MAX - len)) > 0) {
        len += got;
    }
    close(fd);
    text[len] = '\0';
    lines = g_strsplit(text, "\n", SETTINGS_MAX + 1);
    for (i = 0; lines[i]; i++) {
        read_line(lines[i]);
    }
}

bool settings_open(const char *dir, GError **error)
{
    struct stat st;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        return fail(error, dir);
    }
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0 || fstat(dir_fd, &st) < 0) {
        return fail(error, dir);
    }
    if (st.st_uid != 0 || (st.st_mode & 022)) {
        errno = EPERM;
        fail(error, dir);
        settings_close();
        return false;
    }
    return true;
}

int settings_dir(void)
{
    return dir_fd;
}

void settings_close(void)
{
    g_clear_pointer(&settings, g_ptr_array_unref);
    if (dir_fd >= 0) {
        close(dir_fd);
        dir_fd = -1;
    }
}

static bool too_many(GError **error)
{
    errno = ENOSPC;
    return fail(error, RECORD);
}

bool settings_change(const char *path, const char *value, const char *unless,
                     GError **error)
{
    Setting *setting = find(path);
    char found[SETTING_VALUE_MAX], other[SETTING_VALUE_MAX];

    if (!settings_get(path, found)) {
        return fail(error, path);
    }
    if (!strcmp(found, value)) {
        return true;
    }
    if (setting) {
        g_strlcpy(setting->changed, value, SETTING_VALUE_MAX);
    } else {
        if (unless && (!settings_get(unless, other) || strcmp(other, "0"))) {
            unless = NULL;
        }
        setting = record(path, found, value, unless);
    }
    if (!setting) {
        return too_many(error);
    }
    return write_record(error) && settings_put(path, value, error);
}

bool settings_note(const char *path, GError **error)
{
    char found[SETTING_VALUE_MAX];

    if (find(path) || !settings_get(path, found)) {
        return true;
    }
    if (!record(path, found, NONE, NULL)) {
        return too_many(error);
    }
    return write_record(error);
}

bool settings_is_changed(const char *path)
{
    const Setting *setting = find(path);

    return setting && is_as_changed(setting);
}

GPtrArray *settings_changed_interfaces(const char *family, const char *name)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    unsigned i;

    read_record();
    for (i = 0; i < settings->len; i++) {
        const Setting *setting = g_ptr_array_index(settings, i);
        g_auto(GStrv) words = g_strsplit(setting->path, "/", 5);

        if (g_strv_length(words) == 4 && !strcmp(words[0], family) &&
            !strcmp(words[3], name) && is_as_changed(setting)) {
            g_ptr_array_add(names, g_strdup(words[2]));
        }
    }
    return names;
}

/* "ipv4/conf/NAME/forwarding" */
static bool is_of(const Setting *setting, const char *ifname)
{
    g_auto(GStrv) words = g_strsplit(setting->path, "/", 4);

    return g_strv_length(words) == 4 && !strcmp(words[2], ifname);
}

bool settings_restore(const char *ifname, GError **error)
{
    bool ok = true;
    unsigned i;

    read_record();
    for (i = settings->len; i > 0; i--) {
        const Setting *setting = g_ptr_array_index(settings, i - 1);

        if (ifname && !is_of(setting, ifname)) {
            continue;
        }
        if (is_as_changed(setting) &&
            !settings_put(setting->path, setting->found, ok ? error : NULL)) {
            ok = false;
        } else {
            g_ptr_array_remove_index(settings, i - 1);
        }
    }
    return write_record(ok ? error : NULL) && ok;
}
