/*
 * vmnetctl: the daemon itself: its end, its QMP
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

#define STOP_TIMEOUT_MS 10000

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
    g_autofree char *text = vmnet_client_command(ctl->client, command,
                                                 arguments,
                                                 VMNET_COMMAND_TIMEOUT_MS,
                                                 error);
    g_autoptr(JsonValue) result = text ? json_parse(text, strlen(text), error)
                                       : NULL;

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
