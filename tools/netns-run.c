/*
 * vmnet-run --netns: outside: the network, the lease, signals, the end
 *
 * One loop from the fork on: a signal ends a child that is not yet COMMAND as
 * well, and the exit status is always the child's.  Ctrl-C reaches both of us
 * from the terminal; only what somebody sends to us is passed on.
 *
 * The netdev belongs to our connection.  Should vmnetd die, we connect to its
 * successor and make it again, with the same tap.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "netns.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run-args.h"
#include "vmnet/error.h"

/* For a lease, before COMMAND is executed */
#define LEASE_TIMEOUT_MS 15000

/* Between attempts to find vmnetd again, and for one. */
#define RECONNECT_MS 500
#define RECONNECT_TIMEOUT_MS 1000

#define FRAME_MAX 2048

static const int forwarded[] = {
    SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGWINCH, SIGALRM,
};

/**
 * Netns:
 * @child: 0 once it has ended with @status
 * @channel: to it, until it is told to go; then -1
 * @netdev: arguments of netdev_add
 * @reconnect_ms: when to look for vmnetd again; 0: it is there
 * @give_up_ms: when a lease has to be there; 0: there was one
 */
typedef struct Netns {
    Run *run;
    pid_t child;
    int status;
    int channel, signals;
    NetnsFds fds;
    JsonValue *netdev;
    char *network, *subnet;
    DhcpClient dhcp;
    bool dhcp_runs;
    int64_t reconnect_ms, give_up_ms;
} Netns;

/* In ms; it runs while the host sleeps, as leases do. */
static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

/* The network */

static JsonValue *export_args(const char *id)
{
    JsonValue *args = json_dict(), *addr = json_dict();

    json_dict_set_string(addr, "type", "fd");
    json_dict_set_string(addr, "str", "netns-tap");
    json_dict_set_string(args, "type", "tap");
    json_dict_set_string(args, "id", id);
    json_dict_set_string(args, "netdev", id);
    json_dict_set(args, "addr", addr);
    return args;
}

static bool execute(Netns *netns, const char *command, JsonValue *args,
                    GError **error)
{
    g_autoptr(JsonValue) result = vmnet_client_execute(netns->run->client,
                                                       command, args, error);

    return result != NULL;
}

static bool make_netdev(Netns *netns, GError **error)
{
    const char *id = json_dict_get_string(netns->netdev, "id");

    return vmnet_client_send_fd(netns->run->client, "netns-tap",
                                netns->fds.tap, VMNET_COMMAND_TIMEOUT_MS,
                                error) &&
           execute(netns, "netdev_add", json_ref(netns->netdev), error) &&
           execute(netns, "export-add", export_args(id), error);
}

/* What vmnetd says of our netdev.  (transfer full): NULL with @error */
static JsonValue *query_netdev(Netns *netns, GError **error)
{
    g_autoptr(JsonValue) list = vmnet_client_execute(netns->run->client,
                                                     "query-netdevs", NULL,
                                                     error);
    const char *id = json_dict_get_string(netns->netdev, "id");
    size_t i;

    for (i = 0; list && i < json_list_size(list); i++) {
        const JsonValue *info = json_list_get(list, i);

        if (!g_strcmp0(json_dict_get_string(info, "id"), id)) {
            return json_ref((JsonValue *)info);
        }
    }
    if (list) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "netdev '%s' has gone again", id);
    }
    return NULL;
}

static bool join_network(Netns *netns, GError **error)
{
    g_autoptr(JsonValue) info = NULL;
    int64_t mtu = 1500;
    MacAddr mac;

    if (!make_netdev(netns, error)) {
        return false;
    }
    info = query_netdev(netns, error);
    if (!info) {
        return false;
    }
    json_dict_get_int(info, "mtu", &mtu);
    if (!mac_parse(json_dict_get_string(info, "mac") ?: "", &mac)) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "vmnetd tells no MAC address");
        return false;
    }
    /* The same, should vmnetd have to be told again. */
    json_dict_set_string(netns->netdev, "mac",
                         json_dict_get_string(info, "mac"));
    netns->network = g_strdup(json_dict_get_string(info, "network"));
    netns->subnet = g_strdup(json_dict_get_string(info, "subnet"));
    if (!netns_link_setup(&netns->fds, &mac, mtu, error)) {
        return false;
    }
    dhcp_client_init(&netns->dhcp, &mac, g_random_int(), netns->run->name,
                     now());
    netns->dhcp_runs = true;
    netns->give_up_ms = now() + LEASE_TIMEOUT_MS;
    return true;
}

static void reconnect(Netns *netns)
{
    Run *run = netns->run;

    g_clear_pointer(&run->client, vmnet_client_unref);
    run->client = vmnet_client_connect(VMNET_CONNECT_RECOVER,
                                       RECONNECT_TIMEOUT_MS, NULL);
    if (run->client && make_netdev(netns, NULL)) {
        run_tell(run->verbose, "vmnetd is back");
        netns->reconnect_ms = 0;
    } else {
        netns->reconnect_ms = now() + RECONNECT_MS;
    }
}

/* The lease */

static char *resolv_conf(const DhcpLease *lease)
{
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned i;

    if (lease->domain[0]) {
        g_string_append_printf(text, "search %s\n", lease->domain);
    }
    for (i = 0; i < lease->n_dns; i++) {
        IpAddr addr = { .family = AF_INET, .v4 = lease->dns[i] };
        char buf[IP_STRLEN];

        g_string_append_printf(text, "nameserver %s\n",
                               ip_addr_format(&addr, buf));
    }
    if (lease->n_dns == 0) {
        g_string_assign(text, "\n");
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void let_go(Netns *netns)
{
    const DhcpLease *lease = &netns->dhcp.lease;
    g_autofree char *text = resolv_conf(lease);
    IpAddr addr = { .family = AF_INET, .v4 = lease->address };
    char buf[IP_STRLEN];

    run_tell(!netns->run->quiet, "%s on %s%s%s, tap, %s; see vmnetctl",
             NETNS_INTERFACE, netns->network, netns->subnet ? " " : "",
             netns->subnet ?: "", ip_addr_format(&addr, buf));
    if (send(netns->channel, text, strlen(text), MSG_NOSIGNAL) < 0) {
        run_complain("cannot start COMMAND: %s", g_strerror(errno));
    }
    close(netns->channel);
    netns->channel = -1;
    netns->give_up_ms = 0;
}

static bool take_lease(Netns *netns, GError **error)
{
    if (!netns_link_configure(&netns->fds, &netns->dhcp.lease, error)) {
        return false;
    }
    if (netns->channel >= 0) {
        let_go(netns);
    }
    return true;
}

static bool read_packets(Netns *netns, GError **error)
{
    uint8_t frame[FRAME_MAX];
    unsigned i;

    for (i = 0; i < 64; i++) {
        ssize_t len = recv(netns->fds.packet, frame, sizeof(frame),
                           MSG_DONTWAIT);

        if (len < 0) {
            break;
        }
        if (dhcp_client_input(&netns->dhcp, frame, len, now()) &&
            !take_lease(netns, error)) {
            return false;
        }
    }
    return true;
}

static void step_dhcp(Netns *netns)
{
    uint8_t frame[DHCP_CLIENT_FRAME_MAX];
    size_t len = dhcp_client_step(&netns->dhcp, now(), frame);

    /* What is not sent is sent again. */
    if (len && send(netns->fds.packet, frame, len, MSG_DONTWAIT) < 0) {
        run_tell(netns->run->verbose, "DHCP: %s", g_strerror(errno));
    }
}

/* Signals and the end */

static void reap(Netns *netns)
{
    int status;

    if (netns->child > 0 && waitpid(netns->child, &status, WNOHANG) > 0) {
        netns->child = 0;
        netns->status = WIFEXITED(status) ? WEXITSTATUS(status)
                                          : 128 + WTERMSIG(status);
    }
}

static void read_signals(Netns *netns)
{
    struct signalfd_siginfo info;

    while (read(netns->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            reap(netns);
        } else if (info.ssi_code <= 0 && netns->child > 0) {
            kill(netns->child, info.ssi_signo);
        }
    }
}

static int open_signals(sigset_t *ret_before)
{
    sigset_t set;
    size_t i;

    /* Whoever started us may ignore it: then nobody would be told of the end. */
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (i = 0; i < G_N_ELEMENTS(forwarded); i++) {
        sigaddset(&set, forwarded[i]);
    }
    sigprocmask(SIG_BLOCK, &set, ret_before);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The loop */

static int timeout_ms(const Netns *netns)
{
    int64_t next = INT64_MAX;

    if (netns->dhcp_runs) {
        next = MIN(next, netns->dhcp.next_ms);
    }
    if (netns->give_up_ms) {
        next = MIN(next, netns->give_up_ms);
    }
    if (netns->reconnect_ms) {
        next = MIN(next, netns->reconnect_ms);
    }
    return next == INT64_MAX ? -1 : CLAMP(next - now(), 0, G_MAXINT);
}

/* Descriptors are there, or the child has closed its end. */
static bool take_fds(Netns *netns, GError **error)
{
    netns->fds = netns_receive_fds(netns->channel);
    if (netns->fds.tap < 0) {
        close(netns->channel);
        netns->channel = -1;
        return true;
    }
    return join_network(netns, error);
}

static bool do_timers(Netns *netns, GError **error)
{
    int64_t now_ms = now();

    if (netns->dhcp_runs) {
        step_dhcp(netns);
    }
    if (netns->reconnect_ms && now_ms >= netns->reconnect_ms) {
        reconnect(netns);
    }
    if (netns->give_up_ms && now_ms >= netns->give_up_ms) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "network '%s': no address by DHCP within %d s",
                    netns->network, LEASE_TIMEOUT_MS / 1000);
        return false;
    }
    return true;
}

static bool run_once(Netns *netns, GError **error)
{
    VmnetClient *client = netns->run->client;
    struct pollfd pfds[] = {
        { netns->signals, POLLIN, 0 },
        { netns->fds.tap < 0 ? netns->channel : -1, POLLIN, 0 },
        { netns->fds.packet, POLLIN, 0 },
        { client && !netns->reconnect_ms ? vmnet_client_get_fd(client) : -1,
          POLLIN, 0 },
    };

    if (poll(pfds, G_N_ELEMENTS(pfds), timeout_ms(netns)) < 0 &&
        errno != EINTR) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE, "poll: %s",
                    g_strerror(errno));
        return false;
    }
    read_signals(netns);
    if (netns->child == 0) {
        return true;
    }
    if (pfds[3].revents && !vmnet_client_dispatch(client)) {
        netns->reconnect_ms = now();
    }
    return (!pfds[1].revents || take_fds(netns, error)) &&
           (!pfds[2].revents || read_packets(netns, error)) &&
           do_timers(netns, error);
}

static int supervise(Netns *netns)
{
    g_autoptr(GError) error = NULL;

    while (netns->child > 0) {
        if (!run_once(netns, &error)) {
            run_complain("%s", error->message);
            kill(netns->child, SIGKILL);
            waitpid(netns->child, NULL, 0);
            return EXIT_OWN_FAILURE;
        }
    }
    return netns->status;
}

static bool start_child(Netns *netns, GError **error)
{
    int pair[2] = { -1, -1 };
    sigset_t mask;

    netns->signals = open_signals(&mask);
    if (netns->signals < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
        (netns->child = fork()) < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "cannot start a process: %s", g_strerror(errno));
        return false;
    }
    if (netns->child == 0) {
        close(pair[0]);
        _exit(netns_child(netns->run, pair[1], &mask));
    }
    close(pair[1]);
    netns->channel = pair[0];
    return true;
}

static JsonValue *netdev_args(const Run *run, GError **error)
{
    JsonValue *netdev = run_parse_network(run->network ?: "shared", error);

    if (!netdev) {
        return NULL;
    }
    /* It is made again by us, and by nobody else. */
    json_dict_set_string(netdev, "lifetime", "client");
    /* The first that is free of always the same addresses: leases are not used
     * up by namespaces that come and go, and a name comes back to its own. */
    if (!json_dict_get(netdev, "mac-seed")) {
        g_autofree char *seed = g_strconcat("netns", run->name ? "/" : NULL,
                                            run->name, NULL);

        json_dict_set_string(netdev, "mac-seed", seed);
    }
    return netdev;
}

int run_in_netns(Run *run)
{
    g_autoptr(GError) error = NULL;
    Netns netns = { .run = run, .channel = -1, .signals = -1,
                    .fds = { -1, -1, -1 } };
    int status = EXIT_OWN_FAILURE;

    netns.netdev = netdev_args(run, &error);
    if (netns.netdev && run->dry_run) {
        g_autofree char *line = run_args_quote(run->argv);

        puts(line);
        status = 0;
    } else if (netns.netdev && run_connect(run, &error) &&
               start_child(&netns, &error)) {
        status = supervise(&netns);
    } else {
        run_complain("%s", error->message);
    }
    json_unref(netns.netdev);
    g_free(netns.network);
    g_free(netns.subnet);
    return status;
}
