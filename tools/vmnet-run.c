/*
 * vmnet-run: execute a VMM with a network
 *
 * Theory of operation
 *
 *   find COMMAND (126, 127)  ->  scan its arguments  ->  no netdev: execute it
 *        |
 *        v
 *   connect to vmnetd, or start it; netdev_add and export-add per netdev;
 *   rewrite the arguments; execute COMMAND in our place
 *
 * What is wrong with the command line itself is found before a daemon is
 * started; what a network's options mean is the daemon's to judge.  Here are our
 * own options and the way to COMMAND; the rest is in run-network.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <getopt.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmnet/standard-fds.h"
#include "netns.h"
#include "run.h"

#define FD_MAX 1023

/* COMMAND */

static bool is_program(const char *path, int *ret_status)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        return false;
    }
    if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0) {
        *ret_status = EXIT_NOT_EXECUTABLE;
        return false;
    }
    return true;
}

/*
 * Where execvp() would find @command; as it, a file that may not be executed
 * is passed over as long as another can be found.
 */
static char *find_program(const char *command, int *ret_status)
{
    const char *path = g_getenv("PATH") ?: "/bin:/usr/bin";
    g_auto(GStrv) dirs = NULL;
    size_t i;

    *ret_status = EXIT_NOT_FOUND;
    if (strchr(command, '/')) {
        return is_program(command, ret_status) ? g_strdup(command) : NULL;
    }
    dirs = g_strsplit(path, ":", -1);
    for (i = 0; *command && dirs[i]; i++) {
        g_autofree char *file = g_build_filename(*dirs[i] ? dirs[i] : ".",
                                                 command, NULL);

        if (is_program(file, ret_status)) {
            return g_steal_pointer(&file);
        }
    }
    return NULL;
}

/* Our own options */

enum {
    OPTION_NETWORK = 256,
    OPTION_FD,
    OPTION_PORT,
    OPTION_DRY_RUN,
    OPTION_SYSTEM,
    OPTION_NETNS,
    OPTION_NAME,
};

static const struct option long_options[] = {
    { "network", required_argument, NULL, OPTION_NETWORK },
    { "fd", required_argument, NULL, OPTION_FD },
    { "port", required_argument, NULL, OPTION_PORT },
    { "netns", no_argument, NULL, OPTION_NETNS },
    { "name", required_argument, NULL, OPTION_NAME },
    { "dry-run", no_argument, NULL, OPTION_DRY_RUN },
    { "system", no_argument, NULL, OPTION_SYSTEM },
    { "quiet", no_argument, NULL, 'q' },
    { "verbose", no_argument, NULL, 'v' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL },
};

static void print_help(void)
{
    puts(
"Usage: vmnet-run [OPTIONS] [--] COMMAND [ARGUMENTS]\n"
"Execute a virtual machine monitor with networks from vmnetd.\n"
"\n"
"Every '-netdev vmnet-shared,id=net0,...', '-netdev vmnet-host,...' and\n"
"'-nic vmnet-shared,...' among the ARGUMENTS is made and replaced by what\n"
"COMMAND understands; vmnetd is started if it does not run.\n"
"\n"
"  -q, --quiet            do not say which networks were joined\n"
"  -v, --verbose          explain what is done\n"
"      --system           use the system instance of vmnetd: vmnet-bridged\n"
"      --dry-run          print the command line, make and execute nothing\n"
"      --network NETWORK  for other VMMs: give COMMAND a socket on NETWORK:\n"
"                         shared, host or a name, and options after a comma\n"
"      --fd N             as descriptor N (default: 3)\n"
"      --port KIND        auto, vhost-user, stream or dgram: how netdevs are\n"
"                         reached (default: auto, vhost-user where it works);\n"
"                         with --network stream or dgram (default: stream)\n"
"      --netns            not a VMM: execute COMMAND in a network namespace whose\n"
"                         eth0 is on NETWORK (default: shared)\n"
"      --name NAME        its host name, by which others on NETWORK find it\n"
"  -h, --help             print this\n"
"      --version          print the version\n"
"\n"
"Exit status: COMMAND's; 125 if vmnet-run failed, 126 if COMMAND cannot be\n"
"executed, 127 if it is not found.");
}

static bool parse_fd(Run *run, const char *text)
{
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, 0, FD_MAX, &value, NULL)) {
        run_complain("--fd '%s': is not a descriptor from 0 to %d", text, FD_MAX);
        return false;
    }
    run->fd = value;
    return true;
}

static bool parse_port(Run *run, const char *text)
{
    if (!run_port_parse(text, &run->port)) {
        run_complain("--port '%s': is not auto, vhost-user, stream or dgram",
                     text);
        return false;
    }
    return true;
}

/* A DNS label (RFC 1123 2.1): what else is sent nobody can ask for. */
static bool parse_name(Run *run, const char *text)
{
    size_t len = strlen(text);
    bool ok = len > 0 && len < 64 && text[0] != '-' && text[len - 1] != '-';
    size_t i;

    for (i = 0; i < len; i++) {
        ok = ok && (g_ascii_isalnum(text[i]) || text[i] == '-');
    }
    if (!ok) {
        run_complain("--name '%s': is not a host name of 1 to 63 letters, digits "
                     "and hyphens", text);
        return false;
    }
    run->name = text;
    return true;
}

/* Returns: whether to go on; else *ret_status is the exit status. */
static bool parse_options(Run *run, int argc, char **argv, int *ret_status)
{
    bool fd_given = false, port_given = false;
    int c;

    *ret_status = EXIT_OWN_FAILURE;
    while ((c = getopt_long(argc, argv, "+qvhV", long_options, NULL)) != -1) {
        switch (c) {
        case OPTION_NETWORK:
            run->network = optarg;
            break;
        case OPTION_FD:
            fd_given = true;
            if (!parse_fd(run, optarg)) {
                return false;
            }
            break;
        case OPTION_PORT:
            port_given = true;
            if (!parse_port(run, optarg)) {
                return false;
            }
            break;
        case OPTION_NETNS:
            run->netns = true;
            break;
        case OPTION_NAME:
            if (!parse_name(run, optarg)) {
                return false;
            }
            break;
        case OPTION_DRY_RUN:
            run->dry_run = true;
            break;
        case OPTION_SYSTEM:
            run->system = true;
            break;
        case 'q':
            run->quiet = true;
            break;
        case 'v':
            run->verbose = true;
            break;
        case 'h':
            print_help();
            *ret_status = 0;
            return false;
        case 'V':
            puts("vmnet-run " VMNET_VERSION);
            *ret_status = 0;
            return false;
        default:    /* getopt has said why */
            return false;
        }
    }
    if (run->netns && (fd_given || port_given)) {
        run_complain("--fd and --port do not go together with --netns");
        return false;
    }
    if (run->name && !run->netns) {
        run_complain("--name needs --netns");
        return false;
    }
    if (fd_given && !run->network) {
        run_complain("--fd needs --network");
        return false;
    }
    if (run->network && run->port == RUN_PORT_VHOST_USER) {
        run_complain("--port vhost-user does not go together with --network");
        return false;
    }
    if (optind == argc) {
        run_complain("no COMMAND given, see 'vmnet-run --help'");
        return false;
    }
    run->argv = argv + optind;
    run->argc = argc - optind;
    return true;
}

int main(int argc, char **argv)
{
    Run run = { .fd = DEFAULT_FD, .own_stderr = -1 };
    int status;

    standard_fds_open();
    argv[0] = (char *)"vmnet-run";      /* in getopt's messages */
    if (!parse_options(&run, argc, argv, &status)) {
        return status;
    }
    run.program = find_program(run.argv[0], &status);
    if (!run.program) {
        run_complain("'%s': %s", run.argv[0], status == EXIT_NOT_FOUND ?
                 "command not found" : "is not executable");
        return status;
    }
    run.interfaces = g_ptr_array_new_with_free_func(
        (GDestroyNotify)vmnet_interface_unref);
    status = run.netns ? run_in_netns(&run)
             : run.network ? run_with_fd(&run) : run_with_args(&run);
    g_ptr_array_unref(run.interfaces);
    vmnet_client_unref(run.client);
    g_free(run.program);
    return status;
}
