/*
 * QEMU's version
 *
 * The cache is a file of lines "DEVICE:INODE:MTIME MAJOR.MINOR", newest first
 * and bounded.  It is replaced as a whole: two writers lose a line, never the
 * file, and a lost line is asked again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "run-version.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvmnet/file.h"
#include "libvmnet/paths.h"

#define ASK_TIMEOUT_MS 10000
#define ANSWER_BYTES 4096
#define CACHE_NAME "versions"
#define CACHE_LINES 32
#define CACHE_BYTES (64 * 1024)

QemuReconnect qemu_version_reconnect(const QemuVersion *version)
{
    if (version->major < 8) {
        return QEMU_RECONNECT_NONE;
    }
    if (version->major > 9 || (version->major == 9 && version->minor >= 2)) {
        return QEMU_RECONNECT_MS;
    }
    return QEMU_RECONNECT_SECONDS;
}

bool qemu_version_is_asked(const char *command)
{
    g_autofree char *base = g_path_get_basename(command);

    return g_str_has_prefix(base, "qemu-system-") ||
           strcmp(base, "qemu-kvm") == 0 || strcmp(base, "kvm") == 0;
}

/* "MAJOR.MINOR", whatever follows. */
static bool parse_numbers(const char *text, QemuVersion *ret)
{
    QemuVersion version;

    if (sscanf(text, "%3d.%3d", &version.major, &version.minor) != 2 ||
        version.major < 0 || version.minor < 0) {
        return false;
    }
    *ret = version;
    return true;
}

bool qemu_version_parse(const char *text, QemuVersion *ret)
{
    static const char before[] = "version ";
    const char *at = strstr(text, before);

    return at && parse_numbers(at + strlen(before), ret);
}

/* Asking */

/* Up to @size - 1 bytes until end of file; false if time is up. */
static bool read_answer(int fd, char *buf, size_t size)
{
    int64_t deadline_us = g_get_monotonic_time() + ASK_TIMEOUT_MS * 1000;
    size_t len = 0;

    while (len < size - 1) {
        int64_t left_us = deadline_us - g_get_monotonic_time();
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        ssize_t n;

        if (left_us <= 0) {
            return false;
        }
        if (poll(&pfd, 1, left_us / 1000 + 1) <= 0) {
            continue;
        }
        n = read(fd, buf + len, size - 1 - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        len += n;
    }
    buf[len] = '\0';
    return true;
}

static bool ask(const char *path, QemuVersion *ret)
{
    char *argv[] = { (char *)path, (char *)"--version", NULL };
    char answer[ANSWER_BYTES];
    bool answered;
    GPid pid;
    int out;

    if (!g_spawn_async_with_pipes(NULL, argv, NULL,
                                  G_SPAWN_DO_NOT_REAP_CHILD |
                                  G_SPAWN_STDERR_TO_DEV_NULL,
                                  NULL, NULL, &pid, NULL, &out, NULL, NULL)) {
        return false;
    }
    answered = read_answer(out, answer, sizeof(answer));
    close(out);
    kill(pid, SIGKILL);     /* it has answered, or never will */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        continue;
    }
    return answered && qemu_version_parse(answer, ret);
}

/* Remembering */

static char *cache_path(bool create)
{
    g_autofree char *dir = vmnet_paths_state_dir(create, NULL);

    return dir ? g_build_filename(dir, CACHE_NAME, NULL) : NULL;
}

static char *cache_read(void)
{
    g_autofree char *path = cache_path(false);
    char *text = path ? vmnet_file_read(path, CACHE_BYTES, NULL) : NULL;

    return text ?: g_strdup("");
}

static char *cache_key(const char *program)
{
    struct stat st;

    if (stat(program, &st) < 0) {
        return NULL;
    }
    return g_strdup_printf("%llx:%llu:%lld.%09ld ",
                           (unsigned long long)st.st_dev,
                           (unsigned long long)st.st_ino,
                           (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

bool qemu_version_recall(const char *text, const char *key, QemuVersion *ret)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", CACHE_LINES + 1);
    size_t i;

    for (i = 0; lines[i]; i++) {
        if (g_str_has_prefix(lines[i], key) &&
            parse_numbers(lines[i] + strlen(key), ret)) {
            return true;
        }
    }
    return false;
}

/* Not being able to write is no error: it will be asked again. */
static void cache_add(const char *text, const char *key,
                      const QemuVersion *version)
{
    g_autofree char *path = cache_path(true);
    g_auto(GStrv) lines = g_strsplit(text, "\n", CACHE_LINES);
    GString *out = g_string_new(NULL);
    size_t i;

    g_string_printf(out, "%s%d.%d\n", key, version->major, version->minor);
    for (i = 0; lines[i] && i < CACHE_LINES - 1; i++) {
        if (*lines[i] && !g_str_has_prefix(lines[i], key)) {
            g_string_append_printf(out, "%s\n", lines[i]);
        }
    }
    if (path) {
        g_file_set_contents_full(path, out->str, out->len,
                                 G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
    }
    g_string_free(out, TRUE);
}

bool qemu_version_get(const char *path, QemuVersion *ret)
{
    g_autofree char *key = cache_key(path);
    g_autofree char *cache = cache_read();

    if (key && qemu_version_recall(cache, key, ret)) {
        return true;
    }
    if (!ask(path, ret)) {
        *ret = QEMU_VERSION_OLDEST;
        return false;
    }
    if (key) {
        cache_add(cache, key, ret);
    }
    return true;
}
