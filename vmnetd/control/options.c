/*
 * vmnetd's command line: ordered, each heavy option one QMP command
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "control/options.h"

#include <getopt.h>
#include <stdio.h>

#include "control/client.h"
#include "control/export.h"
#include "control/log.h"
#include "control/netdev.h"
#include "qapi/keyval.h"
#include "qapi/qapi-visit.h"
#include "vmnet/error.h"

#define IDLE_S_DEFAULT 120
#define IDLE_S_MAX (7 * 24 * 3600)

enum {
    OPTION_NETDEV = 256,
    OPTION_EXPORT,
    OPTION_SOCKET,
    OPTION_PIDFILE,
    OPTION_IDLE_TIMEOUT,
    OPTION_LOG_FILE,
    OPTION_LOG_LEVEL,
    OPTION_STATE_DIR,
    OPTION_RESOLV_CONF,
    OPTION_NO_SUPERVISOR,
    OPTION_SYSTEM,
    OPTION_USER,
    OPTION_GROUP,
    OPTION_RUNTIME_DIR,
    OPTION_BRIDGED,
    OPTION_POLICY,
};

static const struct option long_options[] = {
    { "netdev", required_argument, NULL, OPTION_NETDEV },
    { "export", required_argument, NULL, OPTION_EXPORT },
    { "socket", required_argument, NULL, OPTION_SOCKET },
    { "pidfile", required_argument, NULL, OPTION_PIDFILE },
    { "idle-timeout", required_argument, NULL, OPTION_IDLE_TIMEOUT },
    { "log-file", required_argument, NULL, OPTION_LOG_FILE },
    { "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
    { "state-dir", required_argument, NULL, OPTION_STATE_DIR },
    { "resolv-conf", required_argument, NULL, OPTION_RESOLV_CONF },
    { "no-supervisor", no_argument, NULL, OPTION_NO_SUPERVISOR },
    { "system", no_argument, NULL, OPTION_SYSTEM },
    { "user", required_argument, NULL, OPTION_USER },
    { "group", required_argument, NULL, OPTION_GROUP },
    { "runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR },
    { "bridged", required_argument, NULL, OPTION_BRIDGED },
    { "policy", required_argument, NULL, OPTION_POLICY },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 }
};

static const char help_text[] =
"Usage: vmnetd [OPTION]...\n"
"Networks for virtual machines, without privileges.\n"
"\n"
"Options take effect in the order in which they are written; a netdev comes\n"
"before its export.  Each of these is a QMP command of the same arguments:\n"
"\n"
"  --netdev TYPE,id=ID[,OPTION=VALUE]...\n"
"                         make a netdev (netdev_add) that lives as long as\n"
"                         vmnetd; TYPE is vmnet-shared, vmnet-host or\n"
"                         vmnet-bridged (with --system)\n"
"  --export TYPE,id=ID,netdev=ID[,addr.type=unix,addr.path=PATH]\n"
"                         let a VMM reach it (export-add); TYPE is stream,\n"
"                         dgram, vhost-user or tap\n"
"\n"
"Where things are:\n"
"\n"
"  --socket PATH          QMP socket (default: $VMNET_SOCKET, else\n"
"                         $XDG_RUNTIME_DIR/vmnet/vmnetd.sock)\n"
"  --state-dir DIR        leases and choices (default: $XDG_STATE_HOME/vmnet);\n"
"                         one vmnetd per directory\n"
"  --log-file PATH        log there rather than to standard error\n"
"  --log-level LEVEL      error, warning, message (default), info, debug\n"
"  --pidfile PATH         write the process id there\n"
"  --resolv-conf PATH     name servers (default: /etc/resolv.conf)\n"
"\n"
"For the whole machine, started by root, whose rights it gives up but for a\n"
"small process that makes interfaces:\n"
"\n"
"  --system               the system instance: guests can join the networks of\n"
"                         host interfaces (vmnet-bridged)\n"
"  --user USER            whom it becomes (default: vmnet)\n"
"  --group GROUP          whose members may use it (default: vmnet)\n"
"  --bridged IFNAME       guests may join this interface's network, and those\n"
"                         of further --bridged alone (default: any that the\n"
"                         policy names)\n"
"  --policy PATH          who may do what, see vmnet-policy(5) (default:\n"
"                         /etc/vmnet/policy.yaml); read again on SIGHUP\n"
"  --runtime-dir DIR      sockets (default: /run/vmnet); --state-dir is\n"
"                         /var/lib/vmnet unless given\n"
"\n"
"How it lives:\n"
"\n"
"  --idle-timeout SECONDS leave after so long without client, netdev and\n"
"                         network; 0: never (default: 120)\n"
"  --no-supervisor        no parent that starts the engine again when it dies\n"
"\n"
"  -h, --help             show this and exit\n"
"  -V, --version          show the version and exit\n"
"\n"
"A socket passed by systemd (LISTEN_FDS) takes the place of --socket.\n"
"Most users do not start vmnetd: vmnet-run(1) does.  See vmnetd(8).\n";

void options_print_help(void)
{
    fputs(help_text, stdout);
}

static bool parse_idle(Options *options, const char *text, GError **error)
{
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, 0, IDLE_S_MAX, &value, NULL)) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "--idle-timeout '%s': is not a number of seconds, 0 to %d",
                    text, IDLE_S_MAX);
        return false;
    }
    options->idle_s = value;
    return true;
}

static bool parse_level(Options *options, const char *text, GError **error)
{
    if (!log_level_parse(text, &options->log_level)) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "--log-level '%s': is not one of error, warning, message, "
                    "info, debug", text);
        return false;
    }
    return true;
}

/* vmnetd leaves the directory it was started in: paths must not depend on it. */
static bool parse_path(const char **ret_path, const char *option,
                       const char *text, GError **error)
{
    if (text[0] != '/') {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "%s '%s': is not an absolute path", option, text);
        return false;
    }
    *ret_path = text;
    return true;
}

static void add_command(Options *options, const char *option, const char *text)
{
    OptionCommand command = { .option = option, .text = text };

    g_array_append_val(options->commands, command);
}

static bool parse_one(Options *options, int option, GError **error)
{
    switch (option) {
    case OPTION_NETDEV:
        add_command(options, "--netdev", optarg);
        return true;
    case OPTION_EXPORT:
        add_command(options, "--export", optarg);
        return true;
    case OPTION_SOCKET:
        return parse_path(&options->socket, "--socket", optarg, error);
    case OPTION_PIDFILE:
        return parse_path(&options->pidfile, "--pidfile", optarg, error);
    case OPTION_LOG_FILE:
        return parse_path(&options->log_file, "--log-file", optarg, error);
    case OPTION_STATE_DIR:
        return parse_path(&options->state_dir, "--state-dir", optarg, error);
    case OPTION_RESOLV_CONF:
        return parse_path(&options->resolv_conf, "--resolv-conf", optarg, error);
    case OPTION_IDLE_TIMEOUT:
        return parse_idle(options, optarg, error);
    case OPTION_LOG_LEVEL:
        return parse_level(options, optarg, error);
    case OPTION_NO_SUPERVISOR:
        options->no_supervisor = true;
        return true;
    case OPTION_SYSTEM:
        options->system = true;
        return true;
    case OPTION_USER:
        options->user = optarg;
        return true;
    case OPTION_GROUP:
        options->group = optarg;
        return true;
    case OPTION_RUNTIME_DIR:
        return parse_path(&options->runtime_dir, "--runtime-dir", optarg, error);
    case OPTION_POLICY:
        return parse_path(&options->policy, "--policy", optarg, error);
    case OPTION_BRIDGED:
        if (!options->bridged) {
            options->bridged = g_ptr_array_new();
        }
        g_ptr_array_add(options->bridged, optarg);
        return true;
    case 'h':
        options->help = true;
        return true;
    case 'V':
        options->version = true;
        return true;
    default:
        return false; /* getopt_long has said why */
    }
}

static bool check_system(const Options *options, GError **error)
{
    const char *odd = options->user ? "--user" :
                      options->group ? "--group" :
                      options->runtime_dir ? "--runtime-dir" :
                      options->policy ? "--policy" :
                      options->bridged ? "--bridged" : NULL;

    if (odd && !options->system) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "%s is for the system instance (--system)", odd);
        return false;
    }
    return true;
}

bool options_parse(Options *options, int argc, char **argv, GError **error)
{
    int option;

    options->idle_s = IDLE_S_DEFAULT;
    options->log_level = G_LOG_LEVEL_MESSAGE;
    options->commands = g_array_new(FALSE, FALSE, sizeof(OptionCommand));
    while ((option = getopt_long(argc, argv, "hV", long_options, NULL)) >= 0) {
        if (!parse_one(options, option, error)) {
            return false;
        }
    }
    if (optind < argc) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "Unexpected argument: %s", argv[optind]);
        return false;
    }
    if (options->bridged) {
        g_ptr_array_add(options->bridged, NULL);
    }
    return check_system(options, error);
}

const char *const *options_bridged(const Options *options)
{
    return options->bridged ? (const char *const *)options->bridged->pdata
                            : NULL;
}

void options_clear(Options *options)
{
    if (options->bridged) {
        g_ptr_array_unref(g_steal_pointer(&options->bridged));
    }
    g_clear_pointer(&options->commands, g_array_unref);
}

static bool apply_netdev(Client *client, const JsonValue *args, QapiInput input,
                         GError **error)
{
    g_autoptr(Netdev) options = NULL;

    return qapi_decode_Netdev(args, input, &options, error)
           && netdev_new(client, options, error);
}

static bool apply_export(Client *client, const JsonValue *args, QapiInput input,
                         GError **error)
{
    g_autoptr(ExportOptions) options = NULL;

    return qapi_decode_ExportOptions(args, input, &options, error)
           && export_new(client, options, NULL, error);
}

bool options_apply(const Options *options, Control *control, GError **error)
{
    unsigned i;

    for (i = 0; i < options->commands->len; i++) {
        OptionCommand *command = &g_array_index(options->commands,
                                                OptionCommand, i);
        g_autoptr(JsonValue) args = NULL;
        QapiInput input;
        bool ok;

        args = keyval_parse(command->text, "type", &input, error);
        if (!args) {
            ok = false;
        } else if (!strcmp(command->option, "--netdev")) {
            ok = apply_netdev(control->self, args, input, error);
        } else {
            ok = apply_export(control->self, args, input, error);
        }
        if (!ok) {
            g_prefix_error(error, "%s %s: ", command->option, command->text);
            return false;
        }
    }
    return true;
}
