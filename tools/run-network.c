/*
 * vmnet-run: netdevs are made, and the command executed
 *
 * Either its arguments ask for them, or --network does.  Netdevs have
 * lifetime=export: they outlive our connection, which is CLOEXEC and ends with
 * execve(), and go when the VMM has gone.  Descriptors that the arguments name
 * lose CLOEXEC at the last moment; what the caller gave us beyond that is his
 * to pass on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libvmnet/paths.h"
#include "qapi/keyval.h"
#include "qapi/qapi-types.h"
#include "qapi/qapi-visit.h"
#include "run-args.h"
#include "run-version.h"
#include "text.h"
#include "vmnet/error.h"

void run_complain(const char *format, ...)
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

void run_tell(bool wanted, const char *format, ...)
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

static int execute(Run *run, char **argv)
{
    int errnum, status;

    execv(run->program, argv);
    errnum = errno;
    if (run->own_stderr >= 0) {
        dup2(run->own_stderr, STDERR_FILENO);
    }
    status = errnum == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    run_complain("cannot execute '%s': %s", run->program, g_strerror(errnum));
    return status;
}

/* Take back what was made: nobody will use it. */
static void undo(Run *run)
{
    guint i;

    for (i = 0; i < run->interfaces->len; i++) {
        vmnet_interface_stop(g_ptr_array_index(run->interfaces, i),
                             VMNET_COMMAND_TIMEOUT_MS, NULL);
    }
}

bool run_connect(Run *run, GError **error)
{
    run->client = vmnet_client_connect(run->system ? VMNET_CONNECT_SYSTEM
                                                   : VMNET_CONNECT_START,
                                       VMNET_CONNECT_TIMEOUT_MS, error);
    if (!run->client) {
        return false;
    }
    if (vmnet_client_get_notice(run->client)) {
        run_tell(!run->quiet, "%s", vmnet_client_get_notice(run->client));
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

static VmnetPort vmnet_port(RunPort port)
{
    return port == RUN_PORT_VHOST_USER ? VMNET_PORT_VHOST_USER
           : port == RUN_PORT_DGRAM ? VMNET_PORT_DGRAM : VMNET_PORT_STREAM;
}

/*
 * Rules of hostfwd that name no address of the host, [PROTO]::PORT-..., are
 * open to all who reach it: as in QEMU, but whoever wrote one hears of it.
 */
static void tell_open_forwards(const Run *run, const char *id,
                               const JsonValue *netdev)
{
    const JsonValue *rules = json_dict_get(netdev, "hostfwd");
    g_autoptr(GString) open = g_string_new(NULL);
    size_t i;

    for (i = 0; rules && i < json_list_size(rules); i++) {
        const char *rule = json_get_string(json_list_get(rules, i));

        if (rule[strcspn(rule, ":")] && rule[strcspn(rule, ":") + 1] == ':') {
            g_string_append_printf(open, "%s%s", open->len ? ", " : "", rule);
        }
    }
    if (open->len) {
        run_tell(!run->quiet, "%s: hostfwd %s: on all addresses of this host; "
                 "127.0.0.1 before a port keeps it to this host", id, open->str);
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
                                           by_path ? VMNET_INTERFACE_BY_PATH : 0,
                                           error);
    if (!interface) {
        name_netdev(error, id);
        return NULL;
    }
    g_ptr_array_add(run->interfaces, interface);
    run_tell(!run->quiet, "%s on %s%s%s, %s; see vmnetctl", id,
         vmnet_interface_get_network(interface),
         vmnet_interface_get_subnet(interface) ? " " : "",
         vmnet_interface_get_subnet(interface) ?: "",
         port == VMNET_PORT_VHOST_USER ? "vhost-user" :
         port == VMNET_PORT_DGRAM ? "dgram" : "stream");
    tell_open_forwards(run, id, netdev);
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

/*
 * @path as a VMM takes it: one that is longer than sun_path by way of its
 * directory, as a descriptor that the VMM inherits: it is there whenever the
 * VMM connects again.
 */
static char *short_path(const char *path, GError **error)
{
    struct sockaddr_un addr;
    g_autofree char *dir = NULL;
    g_autofree char *name = NULL;
    int fd;

    if (!path || strlen(path) < sizeof(addr.sun_path)) {
        return g_strdup(path);
    }
    dir = g_path_get_dirname(path);
    name = g_path_get_basename(path);
    fd = open(dir, O_PATH | O_DIRECTORY);
    if (fd < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE, "cannot open '%s': %s",
                    dir, g_strerror(errno));
        return NULL;
    }
    return g_strdup_printf("/proc/self/fd/%d/%s", fd, name);
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
    if (network[0] == '{') {
        return g_strdup(network);
    }
    if (g_str_has_prefix(name, "vmnet-")) {
        return g_strdup_printf("%s,id=net0%s", name, rest);
    }
    return g_strdup_printf("vmnet-shared,id=net0,network=%s%s", name, rest);
}

JsonValue *run_parse_network(const char *network, GError **error)
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

/* For what there is to say when the socket is where standard error was. */
static bool keep_stderr(Run *run, GError **error)
{
    run->own_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (run->own_stderr < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "cannot keep standard error: %s", g_strerror(errno));
        return false;
    }
    return true;
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

int run_with_fd(Run *run)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonValue) netdev = NULL;
    VmnetInterface *interface = NULL;
    int fd;

    netdev = run_parse_network(run->network, &error);
    if (netdev && run->dry_run) {
        g_autofree char *line = run_args_quote(run->argv);

        puts(line);
        return 0;
    }
    if (netdev && run_connect(run, &error)) {
        interface = make_interface(run, json_dict_get_string(netdev, "id"),
                                   netdev, vmnet_port(run->port), false, &error);
    }
    if (!interface) {
        run_complain("%s", error->message);
        return EXIT_OWN_FAILURE;
    }
    /* The connection may sit where the socket is to be.  From here on the
     * netdev lives as long as the socket. */
    fd = vmnet_interface_steal_fd(interface);
    g_ptr_array_set_size(run->interfaces, 0);
    g_clear_pointer(&run->client, vmnet_client_unref);
    /* Before: it may take the place of our standard error. */
    run_tell(run->verbose, "descriptor %d: %s", run->fd,
         run->port == RUN_PORT_DGRAM ?
         "one frame a datagram" : "4-byte big-endian length, then the frame");
    if ((run->fd == STDERR_FILENO && !keep_stderr(run, &error)) ||
        !place_fd(fd, run->fd, &error)) {
        run_complain("%s", error->message);
        return EXIT_OWN_FAILURE;
    }
    return execute(run, run->argv);
}

/* Without it: what the arguments ask for */

static void explain_version(const Run *run, const QemuVersion *version,
                            bool known)
{
    switch (qemu_version_reconnect(version)) {
    case QEMU_RECONNECT_NONE:
        run_tell(run->verbose, "%s %s %d.%d: by -netdev stream it cannot "
             "connect again, should vmnetd die (QEMU 8.0 and later do)", run->program,
             known ? "is QEMU" : "is treated as QEMU", version->major,
             version->minor);
        break;
    case QEMU_RECONNECT_SECONDS:
    case QEMU_RECONNECT_MS:
        run_tell(run->verbose, "%s is QEMU %d.%d: it connects again, should "
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

static bool is_by_path(const RunNetdev *netdev)
{
    return netdev->kind == RUN_NETDEV && netdev->port != RUN_PORT_DGRAM;
}

/* What --dry-run shows: of the right form, and the same every time.  The
 * daemon, which is not asked, chooses others. */
static bool imagine_target(const Run *run, const RunNetdev *netdev, int *fd,
                           RunTarget *target, GError **error)
{
    const char *seed = json_dict_get_string(netdev->args, "mac-seed");
    g_autofree char *socket = run->system ? vmnet_paths_system_socket(error)
                                          : vmnet_paths_socket(error);
    g_autofree char *dir = socket ? g_path_get_dirname(socket) : NULL;
    g_autofree char *name = g_strdup_printf("%s.sock", netdev->id);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256,
                                                          seed, -1);

    if (!dir) {
        return false;
    }
    if (!is_by_path(netdev)) {
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
    bool by_path = is_by_path(netdev);
    VmnetInterface *interface;

    interface = make_interface(run, netdev->id, netdev->args,
                               vmnet_port(netdev->port), by_path, error);
    if (!interface) {
        return false;
    }
    if (netdev->why) {
        run_tell(run->verbose, "%s: %s, since %s", netdev->id,
                 run_port_str(netdev->port), netdev->why);
    }
    target->path = short_path(vmnet_interface_get_path(interface), error);
    if (by_path && !target->path) {
        return false;
    }
    target->mac = g_strdup(vmnet_interface_get_mac(interface));
    target->fd = by_path ? -1 : vmnet_interface_steal_fd(interface);
    if (target->mac) {
        run_tell(run->verbose, "%s: MAC address %s", netdev->id, target->mac);
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

    if (!run->dry_run && !run_connect(run, error)) {
        return false;
    }
    for (i = 0; i < args->netdevs->len; i++) {
        const RunNetdev *netdev = g_ptr_array_index(args->netdevs, i);

        if (run->dry_run ?
            !imagine_target(run, netdev, &fd, &targets[i], error) :
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
    run_tell(run->verbose, "executing %s", line);
    status = execute(run, argv);
    undo(run);
    return status;
}

int run_with_args(Run *run)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(RunArgs) args = run_args_scan(run->argc, run->argv, &error);
    g_auto(GStrv) argv = NULL;
    QemuVersion version;
    RunTarget *targets;
    int status;

    if (!args) {
        run_complain("%s", error->message);
        return EXIT_OWN_FAILURE;
    }
    if (args->netdevs->len == 0) {
        run_tell(run->verbose, "no argument asks for a vmnet network");
        return finish(run, run->argv);
    }
    version = learn_version(run);
    targets = g_new0(RunTarget, args->netdevs->len);
    if (run_args_choose(args, run->port, &version, &error) &&
        make_targets(run, args, targets, &error)) {
        argv = run_args_rewrite(args, &version, targets);
        status = finish(run, argv);
    } else {
        run_complain("%s", error->message);
        undo(run);
        status = EXIT_OWN_FAILURE;
    }
    free_targets(targets, args->netdevs->len);
    return status;
}
