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
#include "libvmnet/standard-fds.h"
#include "text.h"
#include "vmnet/error.h"

#define DEFAULT_LOG_LINES 50

enum {
    TAKES_NETWORK = 1 << 0,
    TAKES_PERSISTENT = 1 << 1,
    TAKES_LINES = 1 << 2,
    TAKES_FOLLOW = 1 << 3,
    WITHOUT_DAEMON = 1 << 4,        /* works without one, too */
    TAKES_JSON = 1 << 5,
};

typedef struct CtlCommand {
    const char *name;
    const char *subname;    /* second word; NULL: none */
    int min_args;
    int max_args;
    unsigned flags;         /* the options that it takes */
    CtlFunc *func;
    const char *arguments;
    const char *help;
} CtlCommand;

static const CtlCommand commands[] = {
    { "status", NULL, 0, 0, WITHOUT_DAEMON | TAKES_JSON, ctl_overview, "",
      "what runs, at a glance; the same without a command" },
    { "leases", NULL, 0, 0, TAKES_JSON | TAKES_NETWORK, ctl_leases, "",
      "addresses of guests" },
    { "forward", "add", 1, 1, TAKES_JSON | TAKES_NETWORK | TAKES_PERSISTENT,
      ctl_forward_add, "[tcp:|udp:][ADDR:]PORT-GUEST:PORT",
      "let the outside in" },
    { "forward", "list", 0, 0, TAKES_JSON | TAKES_NETWORK, ctl_forward_list, "",
      "forwards" },
    { "forward", "remove", 1, 1, TAKES_JSON, ctl_forward_remove,
      "[tcp:|udp:][ADDR:]PORT", "remove a forward" },
    { "connect", NULL, 2, 2, TAKES_NETWORK, ctl_connect, "GUEST PORT",
      "join stdin and stdout to a guest's TCP port" },
    { "log", NULL, 0, 0, WITHOUT_DAEMON | TAKES_JSON | TAKES_LINES | TAKES_FOLLOW,
      ctl_log, "", "the end of the daemon's log" },
    { "stop", NULL, 0, 0, TAKES_JSON, ctl_stop, "",
      "end the daemon, and every network" },
    { "qmp", NULL, 0, 2, TAKES_JSON, ctl_qmp, "[COMMAND [JSON]]",
      "a QMP command, or those on stdin" },
};

/* Options that not every command takes. */
static const struct {
    unsigned flag;
    const char *name;
    const char *usage;
    const char *help;
} special_options[] = {
    { TAKES_JSON, "--json", "    --json", "print JSON" },
    { TAKES_NETWORK, "--network", "    --network NETWORK",
      "only what is on that network" },
    { TAKES_PERSISTENT, "--persistent", "    --persistent",
      "keep the forward on disk" },
    { TAKES_LINES, "--lines", "-n, --lines N", "so many lines (default: 50)" },
    { TAKES_FOLLOW, "--follow", "-f, --follow",
      "go on with what is added" },
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

static char *command_usage(const CtlCommand *command)
{
    return g_strdup_printf("%s%s%s%s%s", command->name,
                           command->subname ? " " : "", command->subname ?: "",
                           *command->arguments ? " " : "", command->arguments);
}

/* @name: of one command, or NULL for all */
static void print_help(const char *name)
{
    unsigned flags = 0;
    size_t i;

    printf("Usage: vmnetctl [OPTIONS] %s\n"
           "See and steer the networks of vmnetd.\n\n",
           name ?: "[COMMAND [ARGUMENTS]]");
    for (i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *usage = command_usage(&commands[i]);

        if (!name || strcmp(name, commands[i].name) == 0) {
            printf("  %-46s  %s\n", usage, commands[i].help);
            flags |= commands[i].flags;
        }
    }
    puts("\n      --system           ask the system instance of vmnetd");
    for (i = 0; i < G_N_ELEMENTS(special_options); i++) {
        if (flags & special_options[i].flag) {
            printf("  %-21s  %s\n", special_options[i].usage,
                   special_options[i].help);
        }
    }
    puts("  -h, --help             print this, or COMMAND's part of it\n"
         "      --version          print the version\n"
         "\n"
         "GUEST is a host name, an address, a machine's name or a netdev\n"
         "(VM/ID).  Exit status: 0, or 1 if it failed or no vmnetd runs.");
}

static bool is_command(const char *name)
{
    size_t i;

    for (i = 0; name && i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return true;
        }
    }
    return false;
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

/* An option that was written is honoured or refused. */
static bool check_usage(const Ctl *ctl, const CtlCommand *command, int argc)
{
    g_autofree char *usage = command_usage(command);
    g_autofree char *text = NULL;
    size_t i;

    if (argc < command->min_args || argc > command->max_args) {
        text = g_strdup_printf("usage: vmnetctl %s", usage);
    }
    for (i = 0; !text && i < G_N_ELEMENTS(special_options); i++) {
        if (ctl->given & ~command->flags & special_options[i].flag) {
            text = g_strdup_printf("'%s%s%s' does not take %s", command->name,
                                   command->subname ? " " : "",
                                   command->subname ?: "",
                                   special_options[i].name);
        }
    }
    if (text) {
        complain(text);
    }
    return !text;
}

static int run_command(Ctl *ctl, const CtlCommand *command, int argc,
                       char **argv)
{
    g_autoptr(GError) error = NULL;
    bool done;

    if (!check_usage(ctl, command, argc)) {
        return EXIT_FAILURE;
    }
    ctl->client = vmnet_client_connect(ctl->system ? VMNET_CONNECT_SYSTEM
                                                   : VMNET_CONNECT_RECOVER,
                                       VMNET_CONNECT_TIMEOUT_MS,
                                       &ctl->no_daemon);
    if (!ctl->client && !(command->flags & WITHOUT_DAEMON)) {
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
    OPTION_SYSTEM,
};

static const struct option long_options[] = {
    { "json", no_argument, NULL, OPTION_JSON },
    { "network", required_argument, NULL, OPTION_NETWORK },
    { "persistent", no_argument, NULL, OPTION_PERSISTENT },
    { "system", no_argument, NULL, OPTION_SYSTEM },
    { "lines", required_argument, NULL, 'n' },
    { "follow", no_argument, NULL, 'f' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL },
};

static bool parse_lines(Ctl *ctl, const char *text)
{
    guint64 lines;

    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT, &lines, NULL)) {
        g_autofree char *why = g_strdup_printf(
            "--lines '%s': is not a number from 1 to %d", text, G_MAXINT);

        complain(why);
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
    while ((c = getopt_long(argc, argv, "n:fhV", long_options, NULL)) != -1) {
        switch (c) {
        case OPTION_JSON:
            ctl->json = true;
            ctl->given |= TAKES_JSON;
            break;
        case OPTION_NETWORK:
            ctl->network = optarg;
            ctl->given |= TAKES_NETWORK;
            break;
        case OPTION_PERSISTENT:
            ctl->persistent = true;
            ctl->given |= TAKES_PERSISTENT;
            break;
        case OPTION_SYSTEM:
            ctl->system = true;
            break;
        case 'n':
            if (!parse_lines(ctl, optarg)) {
                return false;
            }
            ctl->given |= TAKES_LINES;
            break;
        case 'f':
            ctl->follow = true;
            ctl->given |= TAKES_FOLLOW;
            break;
        case 'h':
            ctl->help = true;
            break;
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
    if (ctl.help) {
        print_help(is_command(argv[0]) ? argv[0] : NULL);
        return EXIT_SUCCESS;
    }
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
