/*
 * vmnetctl: the daemon itself: its log, its end, its QMP
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "libvmnet/paths.h"
#include "text.h"

#define LOG_TAIL_BYTES (256 * 1024)
#define STOP_TIMEOUT_MS 10000

/* The log: where the daemon says, or would if it ran. */

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

/* The last LOG_TAIL_BYTES of the file. */
static char *read_tail(const char *path, GError **error)
{
    g_autofree char *text = g_malloc(LOG_TAIL_BYTES + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    ssize_t n = -1;

    if (size >= 0) {
        n = pread(fd, text, LOG_TAIL_BYTES, MAX(size - LOG_TAIL_BYTES, 0));
    }
    if (n < 0) {
        ctl_fail(error, "log '%s': %s", path, g_strerror(errno));
    } else {
        text[n] = '\0';
    }
    if (fd >= 0) {
        close(fd);
    }
    return n < 0 ? NULL : g_steal_pointer(&text);
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

static void print_log(Ctl *ctl, const char *path, char **lines)
{
    g_autoptr(JsonValue) result = json_dict();
    JsonValue *list = json_list();
    size_t i;

    for (i = 0; lines[i] && (*lines[i] || lines[i + 1]); i++) {
        g_autofree char *escaped = text_escape(lines[i]);

        json_list_append(list, json_string(escaped));
        if (!ctl->json) {
            puts(escaped);
        }
    }
    json_dict_set_string(result, "path", path);
    json_dict_set(result, "lines", list);
    if (ctl->json) {
        ctl_print_json(result);
    }
}

bool ctl_log(Ctl *ctl, int argc, char **argv, GError **error)
{
    g_autofree char *path = log_path(ctl, error);
    g_autofree char *text = path ? read_tail(path, error) : NULL;
    g_auto(GStrv) lines = NULL;

    if (!text) {
        return false;
    }
    lines = g_strsplit(last_lines(text, ctl->lines), "\n", -1);
    print_log(ctl, path, lines);
    return true;
}

/* The end */

bool ctl_stop(Ctl *ctl, int argc, char **argv, GError **error)
{
    g_autoptr(JsonValue) daemon = ctl_query(ctl, "query-daemon", error);
    g_autoptr(JsonValue) result = NULL;
    g_autoptr(GError) closed = NULL;
    JsonValue *message;

    if (!daemon) {
        return false;
    }
    result = ctl_query(ctl, "quit", error);
    if (!result) {
        return false;
    }
    while ((message = vmnet_client_receive(ctl->client, STOP_TIMEOUT_MS,
                                           &closed))) {
        json_unref(message);
    }
    if (!closed) {
        return ctl_fail(error, "vmnetd (pid %d) was told to quit, and still "
                        "runs", (int)ctl_int(daemon, "pid"));
    }
    if (ctl->json) {
        ctl_print_json(result);
    } else {
        printf("vmnetd (pid %d) has ended\n", (int)ctl_int(daemon, "pid"));
    }
    return true;
}

/* QMP */

/* One line of input: a request as JSON, or COMMAND [ARGUMENTS]. */
static JsonValue *parse_request(const char *line, GError **error)
{
    size_t len = strcspn(line, " \t");
    g_autofree char *command = g_strndup(line, len);
    const char *rest = line + len + strspn(line + len, " \t");
    g_autoptr(JsonValue) request = NULL;
    JsonValue *args;

    if (line[0] == '{') {
        return json_parse(line, strlen(line), error);
    }
    request = json_dict();
    json_dict_set_string(request, "execute", command);
    if (*rest) {
        args = json_parse(rest, strlen(rest), error);
        if (!args) {
            return NULL;
        }
        json_dict_set(request, "arguments", args);
    }
    return g_steal_pointer(&request);
}

static bool execute_one(Ctl *ctl, const char *command, const char *arguments,
                        GError **error)
{
    g_autoptr(JsonValue) result = NULL;
    JsonValue *args = NULL;

    if (arguments) {
        args = json_parse(arguments, strlen(arguments), error);
        if (!args) {
            return false;
        }
    }
    result = vmnet_client_execute(ctl->client, command, args, error);
    if (!result) {
        return false;
    }
    ctl_print_json(result);
    return true;
}

static void print_message(Ctl *ctl, const JsonValue *message)
{
    g_autofree char *text = NULL;

    if (!ctl->json) {
        ctl_print_json(message);
        return;
    }
    text = json_to_text(message);
    puts(text);
    fflush(stdout);
}

/*
 * @line: without its newline; a mistake in it is told and the next one read.
 * @n_answers: one more is to come if something was sent.
 */
static bool send_line(Ctl *ctl, char *line, int *n_answers, GError **error)
{
    g_autoptr(GError) mistake = NULL;
    g_autoptr(JsonValue) request = NULL;

    g_strstrip(line);
    if (!*line || *line == '#') {
        return true;
    }
    request = parse_request(line, &mistake);
    if (!request) {
        fprintf(stderr, "vmnetctl: %s\n", mistake->message);
        return true;
    }
    ++*n_answers;
    return vmnet_client_send(ctl->client, request, error);
}

/* Print what arrives until @n_answers have come, or for ever if negative.
 * false at the end of the connection. */
static bool print_arrived(Ctl *ctl, int timeout_ms, int *n_answers,
                          GError **error)
{
    GError *err = NULL;
    JsonValue *message;

    while ((message = vmnet_client_receive(ctl->client, timeout_ms, &err))) {
        if (!json_dict_get(message, "event")) {
            --*n_answers;
        }
        print_message(ctl, message);
        json_unref(message);
        timeout_ms = *n_answers > 0 ? timeout_ms : 0;
    }
    if (err) {
        g_propagate_error(error, err);
        return false;
    }
    return true;
}

/* Lines from stdin, messages to stdout, until either ends. */
static bool converse(Ctl *ctl, GError **error)
{
    g_autoptr(GString) input = g_string_new(NULL);
    int n_answers = 0;

    for (;;) {
        struct pollfd fds[] = {
            { .fd = STDIN_FILENO, .events = POLLIN },
            { .fd = vmnet_client_get_fd(ctl->client), .events = POLLIN },
        };
        char buf[4096];
        char *newline;
        ssize_t n;

        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR) {
            return ctl_fail(error, "poll: %s", g_strerror(errno));
        }
        if (fds[1].revents && !print_arrived(ctl, 0, &n_answers, error)) {
            return false;
        }
        if (!fds[0].revents) {
            continue;
        }
        n = read(STDIN_FILENO, buf, sizeof(buf));
        if (n <= 0) {
            break;
        }
        g_string_append_len(input, buf, n);
        while ((newline = memchr(input->str, '\n', input->len))) {
            g_autofree char *line = g_strndup(input->str, newline - input->str);

            g_string_erase(input, 0, newline - input->str + 1);
            if (!send_line(ctl, line, &n_answers, error)) {
                return false;
            }
        }
    }
    if (input->len && !send_line(ctl, input->str, &n_answers, error)) {
        return false;
    }
    return n_answers <= 0 || print_arrived(ctl, STOP_TIMEOUT_MS, &n_answers,
                                           error);
}

bool ctl_qmp(Ctl *ctl, int argc, char **argv, GError **error)
{
    if (argc == 0) {
        return converse(ctl, error);
    }
    return execute_one(ctl, argv[0], argc > 1 ? argv[1] : NULL, error);
}
