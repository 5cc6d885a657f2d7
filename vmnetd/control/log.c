/*
 * The log: one line a message, to a file or standard error
 *
 * Nothing here waits: a file is written with O_APPEND, a pipe or terminal only
 * if it takes the line now.  A flood costs at most RATE_PER_S lines a second
 * after a burst, and says how many it swallowed.  A file that has grown to
 * LOG_BYTES becomes FILE.1, and the next one begins; supervisor and engine
 * write to one file, and each looks whether it still is the one at its path.
 * Where the engine may make no files, they cannot do so: there FILE.1 is open
 * from the start, is given what is in the file, and the file is cut.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmnet/error.h"

#define LOG_BYTES (4 * 1024 * 1024)
#define LINE_BYTES 2048
#define COPY_BYTES 16384
#define RATE_BURST 100
#define RATE_PER_S 4

/* The only state of a process that GLib lets us not pass around. */
static struct {
    GMutex lock;
    char *path;             /* NULL: nobody looks how long the file is */
    int fd;
    int old_fd;             /* FILE.1 that is copied to; -1: files are renamed */
    GLogLevelFlags max_level;
    int64_t filled_us;
    int64_t tokens;
    unsigned swallowed;
} log_state = { .fd = STDERR_FILENO, .old_fd = -1, .tokens = RATE_BURST };

static const struct {
    const char *name;
    GLogLevelFlags level;
} levels[] = {
    { "error", G_LOG_LEVEL_CRITICAL },
    { "warning", G_LOG_LEVEL_WARNING },
    { "message", G_LOG_LEVEL_MESSAGE },
    { "info", G_LOG_LEVEL_INFO },
    { "debug", G_LOG_LEVEL_DEBUG },
};

bool log_level_parse(const char *name, GLogLevelFlags *ret_level)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (!strcmp(levels[i].name, name)) {
            *ret_level = levels[i].level;
            return true;
        }
    }
    return false;
}

static const char *level_name(GLogLevelFlags level)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (level & levels[i].level) {
            return levels[i].name;
        }
    }
    return "error";
}

static int open_file(const char *path, int access)
{
    return open(path, access | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
                0600);
}

static char *old_path(void)
{
    return g_strconcat(log_state.path, ".1", NULL);
}

/* Milliseconds, once in LOG_BYTES.  What does not fit on the disk is lost. */
static void cut_file(void)
{
    char block[COPY_BYTES];
    off_t at = 0;
    ssize_t n;

    if (ftruncate(log_state.old_fd, 0) < 0) {
        return;
    }
    while ((n = pread(log_state.fd, block, sizeof(block), at)) > 0
           && pwrite(log_state.old_fd, block, n, at) == n) {
        at += n;
    }
    if (ftruncate(log_state.fd, 0) < 0) {
        g_clear_pointer(&log_state.path, g_free);   /* it may only grow */
    }
}

/* Follow the file at its path, and begin a new one when it is long enough. */
static void check_file(void)
{
    g_autofree char *old = NULL;
    struct stat ours, there;
    int fd;

    if (!log_state.path || fstat(log_state.fd, &ours) < 0) {
        return;
    }
    if (log_state.old_fd >= 0) {
        if (ours.st_size >= LOG_BYTES) {
            cut_file();
        }
        return;
    }
    if (stat(log_state.path, &there) == 0 && there.st_ino == ours.st_ino
        && there.st_dev == ours.st_dev) {
        if (ours.st_size < LOG_BYTES || !S_ISREG(ours.st_mode)) {
            return;
        }
        old = old_path();
        if (rename(log_state.path, old) < 0) {
            return;
        }
    }
    fd = open_file(log_state.path, O_WRONLY | O_APPEND);
    if (fd >= 0) {
        close(log_state.fd);
        log_state.fd = fd;
    }
}

static bool is_allowed(void)
{
    int64_t now_us = g_get_monotonic_time();
    int64_t fresh = (now_us - log_state.filled_us) * RATE_PER_S
                    / G_USEC_PER_SEC;

    if (fresh > 0) {
        log_state.tokens = MIN(log_state.tokens + fresh, RATE_BURST);
        log_state.filled_us = now_us;
    }
    if (log_state.tokens <= 0) {
        log_state.swallowed++;
        return false;
    }
    log_state.tokens--;
    return true;
}

static void write_line(const char *level, const char *text)
{
    struct pollfd ready = { .fd = log_state.fd, .events = POLLOUT };
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    char line[LINE_BYTES];
    int len;
    char *p;

    if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) {
        log_state.swallowed++;
        return;
    }
    len = g_snprintf(line, sizeof(line) - 1,
                     "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ vmnetd[%d] %s: %s",
                     now ? g_date_time_get_year(now) : 0,
                     now ? g_date_time_get_month(now) : 0,
                     now ? g_date_time_get_day_of_month(now) : 0,
                     now ? g_date_time_get_hour(now) : 0,
                     now ? g_date_time_get_minute(now) : 0,
                     now ? g_date_time_get_second(now) : 0,
                     now ? g_date_time_get_microsecond(now) / 1000 : 0,
                     (int)getpid(), level, text);
    len = MIN(len, (int)sizeof(line) - 2);
    /* Names come from outside: a message stays one line. */
    for (p = line; p < line + len; p++) {
        if (g_ascii_iscntrl(*p)) {
            *p = ' ';
        }
    }
    line[len++] = '\n';
    if (write(log_state.fd, line, len) < 0) {
        log_state.swallowed++;
    }
}

static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields,
                                  gsize n_fields, gpointer opaque)
{
    const char *text = NULL;
    gsize i;

    if ((level & G_LOG_LEVEL_MASK) > log_state.max_level) {
        return G_LOG_WRITER_HANDLED;
    }
    for (i = 0; i < n_fields; i++) {
        if (!strcmp(fields[i].key, "MESSAGE")) {
            text = fields[i].value;
        }
    }
    if (!text) {
        return G_LOG_WRITER_UNHANDLED;
    }
    g_mutex_lock(&log_state.lock);
    if (is_allowed()) {
        check_file();
        if (log_state.swallowed) {
            g_autofree char *note = g_strdup_printf("%u messages left out",
                                                    log_state.swallowed);

            log_state.swallowed = 0;
            write_line("warning", note);
        }
        write_line(level_name(level), text);
    }
    g_mutex_unlock(&log_state.lock);
    return G_LOG_WRITER_HANDLED;
}

int log_fd(void)
{
    return log_state.fd;
}

void log_only_write(void)
{
    g_clear_pointer(&log_state.path, g_free);
    log_state.old_fd = -1;
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static bool is_regular(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

void log_keep_file(void)
{
    g_autofree char *old = NULL;
    int fd, old_fd;

    if (!log_state.path || !is_regular(log_state.fd)) {
        return;
    }
    old = old_path();
    fd = open_file(log_state.path, O_RDWR | O_APPEND);
    old_fd = fd < 0 ? -1 : open_file(old, O_WRONLY);
    if (old_fd < 0 || !is_regular(old_fd)) {
        g_warning("log file '%s' will not be kept short: '%s': %s",
                  log_state.path, old,
                  old_fd < 0 ? g_strerror(errno) : "no regular file");
        close_fd(fd);
        close_fd(old_fd);
        log_only_write();
        return;
    }
    close(log_state.fd);
    log_state.fd = fd;
    log_state.old_fd = old_fd;
}

bool log_open(const char *path, GLogLevelFlags max_level, GError **error)
{
    if (path) {
        int fd = open_file(path, O_WRONLY | O_APPEND);

        if (fd < 0) {
            g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                        "log file '%s': %s", path, g_strerror(errno));
            return false;
        }
        log_state.fd = fd;
        log_state.path = g_strdup(path);
    }
    log_state.max_level = max_level;
    g_log_set_writer_func(write_log, NULL, NULL);
    return true;
}
