/*
 * vmnetctl: the daemon's log, its end and what is added to it
 *
 * To follow it is to follow its path: a log that has grown long enough becomes
 * FILE.1, and a new one begins.  The folder is watched, since it stays.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "libvmnet/paths.h"
#include "text.h"

#define TAIL_BYTES (256 * 1024)
#define READ_BYTES 16384

/* Where the daemon says, or would if it ran. */

static char *log_path(Ctl *ctl, GError **error)
{
    g_autoptr(JsonValue) daemon = NULL;
    g_autofree char *dir = NULL;
    const char *path;

    if (!ctl->client) {
        dir = vmnet_paths_state_dir(false, error);
        return dir ? g_build_filename(dir, "vmnetd.log", NULL) : NULL;
    }
    daemon = ctl_query(ctl, "query-daemon", error);
    if (!daemon) {
        return NULL;
    }
    path = json_dict_get_string(daemon, "log-file");
    if (!path) {
        ctl_fail(error, "vmnetd (pid %d) logs to its standard error",
                 (int)ctl_int(daemon, "pid"));
    }
    return g_strdup(path);
}

static bool fail_log(GError **error, const Ctl *ctl, const char *path)
{
    if (errno == ENOENT && !ctl->client) {
        return ctl_fail(error, "no vmnetd runs, and there is no log '%s' of "
                        "one that ran", path);
    }
    return ctl_fail(error, "log '%s': %s", path, g_strerror(errno));
}

/* Text read, and the part of it that is no whole line yet. */
typedef struct Log {
    const char *path;
    int fd;
    GString *text;
} Log;

/* The last TAIL_BYTES of the file. */
static bool read_tail(Log *log)
{
    off_t size = lseek(log->fd, 0, SEEK_END);
    ssize_t n;

    if (size < 0 || lseek(log->fd, MAX(size - TAIL_BYTES, 0), SEEK_SET) < 0) {
        return false;
    }
    g_string_set_size(log->text, TAIL_BYTES);
    n = read(log->fd, log->text->str, TAIL_BYTES);
    g_string_truncate(log->text, MAX(n, 0));
    return n >= 0;
}

/* Where the last @n_lines lines of @text begin. */
static const char *last_lines(const char *text, int n_lines)
{
    const char *p = text + strlen(text);

    if (p > text && p[-1] == '\n') {
        p--;
    }
    while (p > text) {
        if (p[-1] == '\n' && --n_lines == 0) {
            break;
        }
        p--;
    }
    return p;
}

static void print_line(const Ctl *ctl, const char *line)
{
    g_autofree char *escaped = text_escape(line);
    g_autoptr(JsonValue) value = NULL;
    g_autofree char *json = NULL;

    if (ctl->json) {
        value = json_dict();
        json_dict_set_string(value, "line", escaped);
        json = json_to_text(value);
    }
    puts(json ?: escaped);
}

static void print_tail(const Ctl *ctl, const Log *log)
{
    g_auto(GStrv) lines = g_strsplit(last_lines(log->text->str, ctl->lines),
                                     "\n", -1);
    g_autoptr(JsonValue) result = json_dict();
    JsonValue *list = json_list();
    size_t i;

    for (i = 0; lines[i] && (*lines[i] || lines[i + 1]); i++) {
        g_autofree char *escaped = text_escape(lines[i]);

        json_list_append(list, json_string(escaped));
        if (ctl->follow || !ctl->json) {
            print_line(ctl, lines[i]);
        }
    }
    json_dict_set_string(result, "path", log->path);
    json_dict_set(result, "lines", list);
    if (ctl->json && !ctl->follow) {
        ctl_print_json(result);
    }
    fflush(stdout);
}

/* Following it */

static void print_whole_lines(const Ctl *ctl, Log *log)
{
    char *newline;

    while ((newline = memchr(log->text->str, '\n', log->text->len))) {
        *newline = '\0';
        print_line(ctl, log->text->str);
        g_string_erase(log->text, 0, newline - log->text->str + 1);
    }
    fflush(stdout);
}

/* What has been added; one that does not end its line is kept back. */
static void read_more(const Ctl *ctl, Log *log)
{
    char buf[READ_BYTES];
    ssize_t n;

    while ((n = read(log->fd, buf, sizeof(buf))) > 0) {
        g_string_append_len(log->text, buf, n);
        print_whole_lines(ctl, log);
        if (log->text->len > TAIL_BYTES) {
            g_string_truncate(log->text, 0);    /* this is no log */
        }
    }
}

static bool is_replaced(const Log *log)
{
    struct stat ours, there;

    return stat(log->path, &there) == 0 &&
           (fstat(log->fd, &ours) < 0 || ours.st_ino != there.st_ino ||
            ours.st_dev != there.st_dev);
}

/* What the old file still got before the new one was there is read first. */
static bool go_on_with_next(const Ctl *ctl, Log *log)
{
    int fd = open(log->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return false;
    }
    read_more(ctl, log);
    close(log->fd);
    log->fd = fd;
    g_string_truncate(log->text, 0);
    return true;
}

/* Until nobody reads any more what is written, or a signal ends it. */
static bool follow(const Ctl *ctl, Log *log, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(log->path);
    struct pollfd fds[] = {
        { .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .events = POLLIN },
        { .fd = STDOUT_FILENO },
    };
    char events[READ_BYTES];

    if (fds[0].fd < 0 || inotify_add_watch(fds[0].fd, dir, IN_MODIFY |
                                           IN_CREATE | IN_MOVED_TO) < 0) {
        ctl_fail(error, "log '%s': inotify: %s", log->path, g_strerror(errno));
        if (fds[0].fd >= 0) {
            close(fds[0].fd);
        }
        return false;
    }
    g_string_truncate(log->text, 0);
    do {
        read_more(ctl, log);
        if (is_replaced(log) && go_on_with_next(ctl, log)) {
            continue;
        }
        if (poll(fds, G_N_ELEMENTS(fds), -1) > 0 && fds[0].revents) {
            while (read(fds[0].fd, events, sizeof(events)) > 0) {
                continue;
            }
        }
    } while (!fds[1].revents && !ferror(stdout));
    close(fds[0].fd);
    return true;
}

bool ctl_log(Ctl *ctl, int argc, char **argv, GError **error)
{
    g_autofree char *path = log_path(ctl, error);
    Log log = { .path = path, .fd = -1 };
    bool done;

    if (!path) {
        return false;
    }
    log.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (log.fd < 0) {
        return fail_log(error, ctl, path);
    }
    log.text = g_string_new(NULL);
    done = read_tail(&log) || fail_log(error, ctl, path);
    if (done) {
        print_tail(ctl, &log);
    }
    if (done && ctl->follow) {
        /* A daemon does not leave while it has clients. */
        g_clear_pointer(&ctl->client, vmnet_client_unref);
        done = follow(ctl, &log, error);
    }
    close(log.fd);
    g_string_free(log.text, TRUE);
    return done;
}
