/*
 * vmnetctl: see and steer the networks of vmnetd
 *
 * Each command is a line of the table below and a function in ctl-*.c.  None
 * of them starts a daemon, unless the last one died and virtual machines wait.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "standard-fds.h"
#include "text.h"
#include "vmnet/error.h"

#define DEFAULT_LOG_LINES 50

typedef struct CtlCommand {
    const char *name;
    const char *subname;    /* second word; NULL: none */
    int min_args;
    int max_args;
    bool without_daemon;    /* works without one, too */
    CtlFunc *func;
    const char *arguments;
    const char *help;
} CtlCommand;

static const CtlCommand commands[] = {
    { "status", NULL, 0, 0, true, ctl_overview, "",
      "what runs, at a glance; the same without a command" },
    { "leases", NULL, 0, 0, false, ctl_leases, "",
      "addresses of guests" },
    { "forward", "add", 1, 1, false, ctl_forward_add,
      "[tcp:|udp:][ADDR:]PORT-GUEST:PORT", "let the outside in" },
    { "forward", "list", 0, 0, false, ctl_forward_list, "",
      "forwards" },
    { "forward", "remove", 1, 1, false, ctl_forward_remove,
      "[tcp:|udp:][ADDR:]PORT", "remove a forward" },
    { "connect", NULL, 2, 2, false, ctl_connect, "GUEST PORT",
      "join stdin and stdout to a guest's TCP port" },
    { "log", NULL, 0, 0, true, ctl_log, "",
      "the end of the daemon's log" },
    { "stop", NULL, 0, 0, false, ctl_stop, "",
      "end the daemon, and every network" },
    { "qmp", NULL, 0, 2, false, ctl_qmp, "[COMMAND [JSON]]",
      "a QMP command, or those on stdin" },
};

bool ctl_fail(GError **error, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (error) {
        *error = g_error_new_valist(VMNET_ERROR, VMNET_FAILURE, format, ap);
    }
    va_end(ap);
    return false;
}

JsonValue *ctl_query(Ctl *ctl, const char *command, GError **error)
{
    return vmnet_client_execute(ctl->client, command, NULL, error);
}

void ctl_print_json(const JsonValue *value)
{
    g_autofree char *text = json_to_pretty(value);

    puts(text);
    fflush(stdout);
}

int64_t ctl_int(const JsonValue *dict, const char *key)
{
    int64_t value = 0;

    json_dict_get_int(dict, key, &value);
    return value;
}

static void complain(const char *text)
{
    g_autofree char *escaped = text_escape(text);

    fprintf(stderr, "vmnetctl: %s\n", escaped);
}

static void print_help(void)
{
    size_t i;

    puts("Usage: vmnetctl [OPTIONS] [COMMAND [ARGUMENTS]]\n"
         "See and steer the networks of vmnetd.\n");
    for (i = 0; i < G_N_ELEMENTS(commands); i++) {
        const CtlCommand *command = &commands[i];
        g_autofree char *usage = g_strdup_printf(
            "%s%s%s%s%s", command->name, command->subname ? " " : "",
            command->subname ?: "", *command->arguments ? " " : "",
            command->arguments);

        printf("  %-46s  %s\n", usage, command->help);
    }
    puts("\n"
         "      --json             print JSON\n"
         "      --network NETWORK  only leases, or the guest, of that network\n"
         "      --persistent       keep the forward on disk\n"
         "  -n, --lines N          lines of the log (default: 50)\n"
         "  -h, --help             print this\n"
         "      --version          print the version\n"
         "\n"
         "GUEST is a host name, an address, a machine's name or a netdev\n"
         "(VM/ID).  Exit status: 0, or 1 if it failed or no vmnetd runs.");
}

/* The command that @argv begins with; NULL after a complaint. */
static const CtlCommand *find_command(int argc, char **argv)
{
    bool known = false;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(commands); i++) {
        const CtlCommand *command = &commands[i];

        if (strcmp(argv[0], command->name) != 0) {
            continue;
        }
        known = true;
        if (!command->subname ||
            (argc > 1 && strcmp(argv[1], command->subname) == 0)) {
            return command;
        }
    }
    if (known && argc == 1) {
        complain("'forward' needs 'add', 'list' or 'remove'");
    } else {
        g_autofree char *text = g_strdup_printf(
            "unknown command '%s%s%s', see 'vmnetctl --help'", argv[0],
            known ? " " : "", known ? argv[1] : "");

        complain(text);
    }
    return NULL;
}

static int run_command(Ctl *ctl, const CtlCommand *command, int argc,
                       char **argv)
{
    g_autoptr(GError) error = NULL;
    bool done;

    if (argc < command->min_args || argc > command->max_args) {
        g_autofree char *text = g_strdup_printf(
            "usage: vmnetctl %s%s%s%s%s", command->name,
            command->subname ? " " : "", command->subname ?: "",
            *command->arguments ? " " : "", command->arguments);

        complain(text);
        return EXIT_FAILURE;
    }
    ctl->client = vmnet_client_connect(VMNET_CONNECT_RECOVER,
                                       VMNET_CONNECT_TIMEOUT_MS,
                                       &ctl->no_daemon);
    if (!ctl->client && !command->without_daemon) {
        complain(ctl->no_daemon->message);
        return EXIT_FAILURE;
    }
    if (ctl->client && vmnet_client_get_notice(ctl->client)) {
        complain(vmnet_client_get_notice(ctl->client));
    }
    done = command->func(ctl, argc, argv, &error);
    if (error) {
        complain(error->message);
    }
    if (fflush(stdout) == EOF) {
        return EXIT_FAILURE;
    }
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

enum {
    OPTION_JSON = 256,
    OPTION_NETWORK,
    OPTION_PERSISTENT,
};

static const struct option long_options[] = {
    { "json", no_argument, NULL, OPTION_JSON },
    { "network", required_argument, NULL, OPTION_NETWORK },
    { "persistent", no_argument, NULL, OPTION_PERSISTENT },
    { "lines", required_argument, NULL, 'n' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL },
};

static bool parse_lines(Ctl *ctl, const char *text)
{
    guint64 lines;

    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT, &lines, NULL)) {
        complain("--lines: not a number from 1 on");
        return false;
    }
    ctl->lines = lines;
    return true;
}

/* Options may stand anywhere.  Returns: whether to go on. */
static bool parse_options(Ctl *ctl, int argc, char **argv, int *ret_status)
{
    int c;

    *ret_status = EXIT_FAILURE;
    while ((c = getopt_long(argc, argv, "n:hV", long_options, NULL)) != -1) {
        switch (c) {
        case OPTION_JSON:
            ctl->json = true;
            break;
        case OPTION_NETWORK:
            ctl->network = optarg;
            break;
        case OPTION_PERSISTENT:
            ctl->persistent = true;
            break;
        case 'n':
            if (!parse_lines(ctl, optarg)) {
                return false;
            }
            break;
        case 'h':
            print_help();
            *ret_status = EXIT_SUCCESS;
            return false;
        case 'V':
            puts("vmnetctl " VMNET_VERSION);
            *ret_status = EXIT_SUCCESS;
            return false;
        default:    /* getopt has said why */
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static char *overview[] = { (char *)"status", NULL };
    Ctl ctl = { .lines = DEFAULT_LOG_LINES };
    const CtlCommand *command;
    int status, words;

    standard_fds_open();
    argv[0] = (char *)"vmnetctl";       /* in getopt's messages */
    if (!parse_options(&ctl, argc, argv, &status)) {
        return status;
    }
    argv += optind;
    argc -= optind;
    if (argc == 0) {
        argv = overview;
        argc = 1;
    }
    command = find_command(argc, argv);
    if (!command) {
        return EXIT_FAILURE;
    }
    words = command->subname ? 2 : 1;
    status = run_command(&ctl, command, argc - words, argv + words);
    vmnet_client_unref(ctl.client);
    g_clear_error(&ctl.no_daemon);
    return status;
}
