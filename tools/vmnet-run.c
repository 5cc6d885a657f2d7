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
 * All that can be wrong with the command line is found before a daemon is
 * started.  Netdevs have lifetime=export: they outlive our connection, which is
 * CLOEXEC and ends with execve(), and go when the VMM has gone.  Descriptors
 * that the arguments name lose CLOEXEC at the last moment; what the caller
 * gave us beyond that is his to pass on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmnet/client-private.h"
#include "libvmnet/paths.h"
#include "qapi/keyval.h"
#include "qapi/qapi-types.h"
#include "qapi/qapi-visit.h"
#include "run-args.h"
#include "run-version.h"
#include "text.h"
#include "vmnet/error.h"

/* Exit statuses, as those of env(1). */
enum {
    EXIT_OWN_FAILURE = 125,
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
};

#define DEFAULT_FD 3
#define FD_MAX 1023

typedef struct Run {
    bool quiet;
    bool verbose;
    bool dry_run;
    const char *network;    /* --network: NULL: from the arguments */
    VmnetPort port;
    int fd;
    char **argv;            /* COMMAND and its arguments */
    int argc;
    char *program;          /* COMMAND's path */
    VmnetClient *client;
    GPtrArray *interfaces;  /* of VmnetInterface: made, not yet handed over */
} Run;

static void G_GNUC_PRINTF(1, 2) complain(const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *escaped = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    escaped = text_escape(text);
    fprintf(stderr, "vmnet-run: %s\n", escaped);
}

static void G_GNUC_PRINTF(2, 3) tell(bool wanted, const char *format, ...)
{
    g_autofree char *text = NULL;
    g_autofree char *escaped = NULL;
    va_list ap;

    if (!wanted) {
        return;
    }
    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    escaped = text_escape(text);
    fprintf(stderr, "vmnet: %s\n", escaped);
}

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

static int execute(Run *run, char **argv)
{
    int errnum, status;

    execv(run->program, argv);
    errnum = errno;
    status = errnum == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    complain("cannot execute '%s': %s", run->program, g_strerror(errnum));
    return status;
}

/* Netdevs */

/* Take back what was made: nobody will use it. */
static void undo(Run *run)
{
    guint i;

    for (i = 0; i < run->interfaces->len; i++) {
        vmnet_interface_stop(g_ptr_array_index(run->interfaces, i),
                             run->client, NULL);
    }
}

static bool connect_daemon(Run *run, GError **error)
{
    run->client = vmnet_client_connect(VMNET_CONNECT_START, error);
    if (!run->client) {
        return false;
    }
    if (vmnet_client_get_notice(run->client)) {
        tell(!run->quiet, "%s", vmnet_client_get_notice(run->client));
    }
    return true;
}

/* Most of vmnetd's errors name the netdev themselves. */
static void name_netdev(GError **error, const char *id)
{
    if (!g_str_has_prefix((*error)->message, "netdev '")) {
        g_prefix_error(error, "netdev '%s': ", id);
    }
}

static VmnetInterface *make_interface(Run *run, const char *id,
                                      JsonValue *netdev, VmnetPort port,
                                      bool by_path, GError **error)
{
    VmnetInterface *interface;

    if (!json_dict_get(netdev, "lifetime")) {
        json_dict_set_string(netdev, "lifetime", "export");
    }
    interface = vmnet_interface_start_json(run->client, json_ref(netdev), port,
                                           by_path, error);
    if (!interface) {
        name_netdev(error, id);
        return NULL;
    }
    g_ptr_array_add(run->interfaces, interface);
    tell(!run->quiet, "%s on %s%s%s, %s; see vmnetctl", id,
         vmnet_interface_get_network(interface),
         vmnet_interface_get_subnet(interface) ? " " : "",
         vmnet_interface_get_subnet(interface) ?: "",
         port == VMNET_PORT_DGRAM ? "dgram" : "stream");
    return interface;
}

static bool keep_fd(int fd, GError **error)
{
    if (fcntl(fd, F_SETFD, 0) < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "cannot pass descriptor %d: %s", fd, g_strerror(errno));
        return false;
    }
    return true;
}

/* --network: one connected socket as a descriptor */

/*
 * "shared", "host" or a type such as "vmnet-bridged", with options after it;
 * any other name is that of a shared network.
 */
static char *network_options(const char *network)
{
    g_autofree char *name = g_strndup(network, strcspn(network, ","));
    const char *rest = network + strlen(name);

    if (strcmp(name, "shared") == 0 || strcmp(name, "host") == 0 ||
        strcmp(name, "bridged") == 0) {
        return g_strdup_printf("vmnet-%s,id=net0%s", name, rest);
    }
    if (g_str_has_prefix(name, "vmnet-") || name[0] == '{') {
        return g_strdup_printf("%s,id=net0%s", name, rest);
    }
    return g_strdup_printf("vmnet-shared,id=net0,network=%s%s", name, rest);
}

static JsonValue *parse_network(const char *network, GError **error)
{
    g_autofree char *options = network_options(network);
    g_autoptr(JsonValue) value = NULL;
    g_autoptr(Netdev) netdev = NULL;
    QapiInput input = QAPI_INPUT_KEYVAL;

    value = keyval_parse(options, "type", &input, error);
    if (!value || !qapi_decode_Netdev(value, input, &netdev, error)) {
        g_prefix_error(error, "--network %s: ", network);
        return NULL;
    }
    return qapi_encode_Netdev(netdev);
}

static bool place_fd(int from, int to, GError **error)
{
    if (from == to) {
        return keep_fd(to, error);
    }
    if (dup2(from, to) < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "cannot make the socket descriptor %d: %s", to,
                    g_strerror(errno));
        close(from);
        return false;
    }
    close(from);
    return true;
}

static int run_with_fd(Run *run)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonValue) netdev = NULL;
    VmnetInterface *interface = NULL;

    netdev = parse_network(run->network, &error);
    if (netdev && run->dry_run) {
        g_autofree char *line = run_args_quote(run->argv);

        puts(line);
        return 0;
    }
    if (netdev && connect_daemon(run, &error)) {
        interface = make_interface(run, json_dict_get_string(netdev, "id"),
                                   netdev, run->port, false, &error);
    }
    if (!interface) {
        complain("%s", error->message);
        return EXIT_OWN_FAILURE;
    }
    /* The connection may sit where the socket is to be.  From here on the
     * netdev lives as long as the socket. */
    g_clear_pointer(&run->client, vmnet_client_free);
    if (!place_fd(vmnet_interface_steal_fd(interface), run->fd, &error)) {
        complain("%s", error->message);
        return EXIT_OWN_FAILURE;
    }
    tell(run->verbose, "descriptor %d: %s", run->fd,
         run->port == VMNET_PORT_DGRAM ?
         "one frame a datagram" : "4-byte big-endian length, then the frame");
    return execute(run, run->argv);
}

/* Without it: what the arguments ask for */

static void explain_version(const Run *run, const QemuVersion *version,
                            bool known)
{
    switch (qemu_version_reconnect(version)) {
    case QEMU_RECONNECT_NONE:
        tell(run->verbose, "%s %s %d.%d: it cannot connect again, should "
             "vmnetd die (QEMU 8.0 and later do)", run->program,
             known ? "is QEMU" : "is treated as QEMU", version->major,
             version->minor);
        break;
    case QEMU_RECONNECT_SECONDS:
    case QEMU_RECONNECT_MS:
        tell(run->verbose, "%s is QEMU %d.%d: it connects again, should "
             "vmnetd die", run->program, version->major, version->minor);
        break;
    }
}

static QemuVersion learn_version(const Run *run)
{
    QemuVersion version = QEMU_VERSION_OLDEST;
    bool known = qemu_version_is_asked(run->argv[0]) &&
                 qemu_version_get(run->program, &version);

    explain_version(run, &version, known);
    return version;
}

/* What --dry-run shows: of the right form, and the same every time.  The
 * daemon, which is not asked, chooses others. */
static bool imagine_target(const RunNetdev *netdev, int *fd, RunTarget *target,
                           GError **error)
{
    const char *seed = json_dict_get_string(netdev->args, "mac-seed");
    g_autofree char *socket = vmnet_paths_socket(error);
    g_autofree char *dir = socket ? g_path_get_dirname(socket) : NULL;
    g_autofree char *name = g_strdup_printf("%s.sock", netdev->id);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256,
                                                          seed, -1);

    if (!dir) {
        return false;
    }
    if (netdev->kind == RUN_NIC) {
        target->fd = (*fd)++;
    } else {
        target->path = g_build_filename(dir, name, NULL);
    }
    target->mac = netdev->mac ? g_strdup(netdev->mac) :
        g_strdup_printf("52:54:00:%.2s:%.2s:%.2s", hash, hash + 2, hash + 4);
    return true;
}

static bool make_target(Run *run, const RunNetdev *netdev, RunTarget *target,
                        GError **error)
{
    bool by_path = netdev->kind == RUN_NETDEV;
    VmnetInterface *interface;

    interface = make_interface(run, netdev->id, netdev->args,
                               VMNET_PORT_STREAM, by_path, error);
    if (!interface) {
        return false;
    }
    target->path = g_strdup(vmnet_interface_get_path(interface));
    target->mac = g_strdup(vmnet_interface_get_mac(interface));
    target->fd = by_path ? -1 : vmnet_interface_steal_fd(interface);
    if (target->mac) {
        tell(run->verbose, "%s: MAC address %s", netdev->id, target->mac);
    }
    return by_path || keep_fd(target->fd, error);
}

static void free_targets(RunTarget *targets, guint n)
{
    guint i;

    for (i = 0; i < n; i++) {
        g_free(targets[i].path);
        g_free(targets[i].mac);
    }
    g_free(targets);
}

static bool make_targets(Run *run, const RunArgs *args, RunTarget *targets,
                         GError **error)
{
    int fd = DEFAULT_FD;
    guint i;

    if (!run->dry_run && !connect_daemon(run, error)) {
        return false;
    }
    for (i = 0; i < args->netdevs->len; i++) {
        const RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);

        if (run->dry_run ?
            !imagine_target(netdev, &fd, &targets[i], error) :
            !make_target(run, netdev, &targets[i], error)) {
            return false;
        }
    }
    return true;
}

static int finish(Run *run, char **argv)
{
    g_autofree char *line = run_args_quote(argv);
    int status;

    if (run->dry_run) {
        puts(line);
        return 0;
    }
    tell(run->verbose, "executing %s", line);
    status = execute(run, argv);
    undo(run);
    return status;
}

static int run_with_args(Run *run)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(RunArgs) args = run_args_scan(run->argc, run->argv, &error);
    g_auto(GStrv) argv = NULL;
    QemuVersion version;
    RunTarget *targets;
    int status;

    if (!args) {
        complain("%s", error->message);
        return EXIT_OWN_FAILURE;
    }
    if (args->netdevs->len == 0) {
        tell(run->verbose, "no argument asks for a vmnet network");
        return finish(run, run->argv);
    }
    version = learn_version(run);
    targets = g_new0(RunTarget, args->netdevs->len);
    if (make_targets(run, args, targets, &error)) {
        argv = run_args_rewrite(args, &version, targets);
        status = finish(run, argv);
    } else {
        complain("%s", error->message);
        undo(run);
        status = EXIT_OWN_FAILURE;
    }
    free_targets(targets, args->netdevs->len);
    return status;
}

/* Our own options */

enum {
    OPTION_NETWORK = 256,
    OPTION_FD,
    OPTION_PORT,
    OPTION_DRY_RUN,
};

static const struct option long_options[] = {
    { "network", required_argument, NULL, OPTION_NETWORK },
    { "fd", required_argument, NULL, OPTION_FD },
    { "port", required_argument, NULL, OPTION_PORT },
    { "dry-run", no_argument, NULL, OPTION_DRY_RUN },
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
"      --dry-run          print the command line, make and execute nothing\n"
"      --network NETWORK  for other VMMs: give COMMAND a socket on NETWORK:\n"
"                         shared, host or a name, and options after a comma\n"
"      --fd N             as descriptor N (default: 3)\n"
"      --port stream|dgram\n"
"                         length and frame, or a frame a datagram\n"
"                         (default: stream)\n"
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
        complain("--fd '%s': is not a descriptor from 0 to %d", text, FD_MAX);
        return false;
    }
    run->fd = value;
    return true;
}

static bool parse_port(Run *run, const char *text)
{
    if (strcmp(text, "stream") == 0) {
        run->port = VMNET_PORT_STREAM;
    } else if (strcmp(text, "dgram") == 0) {
        run->port = VMNET_PORT_DGRAM;
    } else {
        complain("--port '%s': is neither 'stream' nor 'dgram'", text);
        return false;
    }
    return true;
}

/* Returns: whether to go on; else *ret_status is the exit status. */
static bool parse_options(Run *run, int argc, char **argv, int *ret_status)
{
    bool fd_given = false;
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
            fd_given = true;
            if (!parse_port(run, optarg)) {
                return false;
            }
            break;
        case OPTION_DRY_RUN:
            run->dry_run = true;
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
    if (fd_given && !run->network) {
        complain("--fd and --port need --network");
        return false;
    }
    if (optind == argc) {
        complain("no COMMAND given, see 'vmnet-run --help'");
        return false;
    }
    run->argv = argv + optind;
    run->argc = argc - optind;
    return true;
}

int main(int argc, char **argv)
{
    Run run = { .fd = DEFAULT_FD };
    int status;

    argv[0] = (char *)"vmnet-run";      /* in getopt's messages */
    if (!parse_options(&run, argc, argv, &status)) {
        return status;
    }
    run.program = find_program(run.argv[0], &status);
    if (!run.program) {
        complain("'%s': %s", run.argv[0], status == EXIT_NOT_FOUND ?
                 "command not found" : "is not executable");
        return status;
    }
    run.interfaces = g_ptr_array_new_with_free_func(
        (GDestroyNotify)vmnet_interface_free);
    status = run.network ? run_with_fd(&run) : run_with_args(&run);
    g_ptr_array_unref(run.interfaces);
    vmnet_client_free(run.client);
    g_free(run.program);
    return status;
}
