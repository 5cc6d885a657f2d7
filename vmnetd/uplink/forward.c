/*
 * Forwards: listening sockets of the host whose connections and datagrams go
 * to a guest
 *
 * A TCP forward without a host address listens on both families at one port.
 * A connection of the family that its guest has no address of is carried as
 * well, as from the gateway: sockets know no difference, and "localhost" is
 * ::1 to most programs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/uplink-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmnet/error.h"

/* Accepted per event, so that one forward is not all that is done. */
#define ACCEPTS_MAX 16
/* How long accept() rests after the process ran out of something. */
#define BACKOFF_MS 100
/* Ports tried to find one that is free in both families. */
#define ANY_PORT_TRIES 16
#define BACKLOG 128

typedef enum ForwardFamily { FORWARD_V4, FORWARD_V6, FORWARD__MAX } ForwardFamily;

typedef struct Listener {
    UplinkForward *forward;
    int fd;                     /* TCP; -1: none */
    LoopWatch *watch;
    LoopTimer *backoff;
    NatUdpForward *udp;
    bool has_warned;            /* that accept() failed: once */
} Listener;

/* @client: who alone may come; AF_UNSPEC: everybody */
struct UplinkForward {
    Uplink *uplink;
    uint8_t proto;
    IpEndpoint host, guest, client;
    Listener listeners[FORWARD__MAX];
};

static void listener_close(Listener *listener)
{
    if (listener->watch) {
        loop_watch_free(listener->watch);
    }
    if (listener->backoff) {
        loop_timer_free(listener->backoff);
    }
    if (listener->fd >= 0) {
        close(listener->fd);
    }
    nat_udp_forward_free(listener->udp);
    memset(listener, 0, sizeof(*listener));
    listener->fd = -1;
}

/* Accepting */

static bool may_come(const UplinkForward *forward, const IpEndpoint *peer)
{
    const IpEndpoint *client = &forward->client;

    return client->addr.family == AF_UNSPEC ||
           (client->port == peer->port &&
            client->addr.family == peer->addr.family &&
            ip_addr_equal(&client->addr, &peer->addr));
}

/* The client gets a reset: nobody is there to speak with. */
static void refuse(int fd)
{
    const struct linger at_once = { .l_onoff = 1 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

static void accepted(UplinkForward *forward, int fd,
                     const struct sockaddr *addr, socklen_t len,
                     int64_t now_ms)
{
    Uplink *uplink = forward->uplink;
    IpEndpoint peer;

    if (forward->guest.addr.family == AF_UNSPEC ||
        !ip_endpoint_from_sockaddr(addr, len, &peer) ||
        !may_come(forward, &peer)) {
        refuse(fd);
        return;
    }
    if (peer.addr.family != forward->guest.addr.family) {
        peer.addr = forward->guest.addr.family == AF_INET ?
                    uplink->policy.gateway4 : uplink->policy.gateway6;
    }
    nat_tcp_accept(uplink->nat, fd, &peer, &forward->guest, now_ms);
}

static void on_backoff(void *opaque, int64_t now_ms)
{
    Listener *listener = opaque;

    loop_watch_set_events(listener->watch, EPOLLIN);
}

/* It would be reported again at once. */
static void listener_rest(Listener *listener, int errnum, int64_t now_ms)
{
    char text[IP_STRLEN];

    loop_watch_set_events(listener->watch, 0);
    loop_timer_arm(listener->backoff, now_ms + BACKOFF_MS);
    if (!listener->has_warned) {
        listener->has_warned = true;
        g_warning("forward on %s port %u: accept: %s",
                  ip_addr_format(&listener->forward->host.addr, text),
                  listener->forward->host.port, g_strerror(errnum));
    }
}

static void on_connection(void *opaque, uint32_t events, int64_t now_ms)
{
    Listener *listener = opaque;
    unsigned i;

    for (i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);
        int fd = accept4(listener->fd, (struct sockaddr *)&ss, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            accepted(listener->forward, fd, (struct sockaddr *)&ss, len,
                     now_ms);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            listener_rest(listener, errno, now_ms);
            return;
        }
    }
}

/* Binding */

/* The first port that a user without rights may bind. */
static unsigned unprivileged_port_start(void)
{
    g_autofree char *text = NULL;
    guint64 value = 1024;

    if (g_file_get_contents("/proc/sys/net/ipv4/ip_unprivileged_port_start",
                            &text, NULL, NULL)) {
        g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXUINT16,
                                   &value, NULL);
    }
    return value;
}

static void set_bind_error(GError **error, uint8_t proto,
                           const IpEndpoint *host, int errnum)
{
    char text[IP_STRLEN];
    bool is_v6 = host->addr.family == AF_INET6;
    unsigned start = unprivileged_port_start();
    g_autofree char *mend = NULL;

    if ((errnum == EACCES || errnum == EPERM) && host->port < start) {
        mend = g_strdup_printf(": ports below %u need rights; use one from %u "
                               "on, or let the administrator set sysctl "
                               "net.ipv4.ip_unprivileged_port_start=%u",
                               start, start, host->port);
    }
    g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errnum),
                "cannot listen on %s%s%s:%u/%s: %s%s", is_v6 ? "[" : "",
                ip_addr_format(&host->addr, text), is_v6 ? "]" : "",
                host->port, proto == IPPROTO_TCP ? "tcp" : "udp",
                g_strerror(errnum), mend ? mend : "");
}

static int socket_new(uint8_t proto, sa_family_t family)
{
    static const int one = 1;
    bool is_tcp = proto == IPPROTO_TCP;
    int fd = socket(family, (is_tcp ? SOCK_STREAM : SOCK_DGRAM) |
                            SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -1;
    }
    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    /* For UDP it would let two sockets share a port, and one starve. */
    if (is_tcp) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    return fd;
}

/* Returns: a socket bound to @host, or -1 with errno; @host gets its port. */
static int socket_bind(uint8_t proto, IpEndpoint *host)
{
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(host, &ss);
    int fd = socket_new(proto, host->addr.family);
    int saved_errno;

    if (fd < 0) {
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&ss, len) == 0 &&
        (proto != IPPROTO_TCP || listen(fd, BACKLOG) == 0)) {
        len = sizeof(ss);
        if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
            ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, host)) {
            return fd;
        }
    }
    saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return -1;
}

static bool is_family_missing(int errnum)
{
    return errnum == EAFNOSUPPORT || errnum == EADDRNOTAVAIL ||
           errnum == EPROTONOSUPPORT;
}

/* Both families at one port; @host names it, or 0, and gets it. */
static bool bind_both(uint8_t proto, IpEndpoint *host, int fds[FORWARD__MAX],
                      GError **error)
{
    IpEndpoint v4 = { ip_addr_v4(INADDR_ANY), host->port };
    IpEndpoint v6 = { ip_addr_v6(&in6addr_any), host->port };
    IpEndpoint *failed = &v4;

    fds[FORWARD_V4] = socket_bind(proto, &v4);
    if (fds[FORWARD_V4] >= 0 || is_family_missing(errno)) {
        v6.port = v4.port;
        fds[FORWARD_V6] = socket_bind(proto, &v6);
        if (fds[FORWARD_V6] >= 0 ||
            (is_family_missing(errno) && fds[FORWARD_V4] >= 0)) {
            host->port = fds[FORWARD_V6] >= 0 ? v6.port : v4.port;
            return true;
        }
        failed = &v6;
    }
    set_bind_error(error, proto, failed, errno);
    if (fds[FORWARD_V4] >= 0) {
        close(fds[FORWARD_V4]);
        fds[FORWARD_V4] = -1;
    }
    return false;
}

static bool bind_any(uint8_t proto, IpEndpoint *host, int fds[FORWARD__MAX],
                     GError **error)
{
    unsigned tries = host->port ? 1 : ANY_PORT_TRIES;

    /* A port that is free for IPv4 may be taken for IPv6. */
    while (tries-- > 0) {
        g_clear_error(error);
        if (bind_both(proto, host, fds, error)) {
            return true;
        }
    }
    return false;
}

static bool bind_all(uint8_t proto, IpEndpoint *host, int fds[FORWARD__MAX],
                     GError **error)
{
    ForwardFamily i = host->addr.family == AF_INET6 ? FORWARD_V6 : FORWARD_V4;

    if (host->addr.family == AF_UNSPEC) {
        return bind_any(proto, host, fds, error);
    }
    fds[i] = socket_bind(proto, host);
    if (fds[i] < 0) {
        set_bind_error(error, proto, host, errno);
        return false;
    }
    return true;
}

/*
 * Datagrams keep their family: those of the one that the guest has not would
 * be lost in silence.  A lease is of IPv4.
 */
static bool restrict_udp(IpEndpoint *host, const IpEndpoint *guest,
                         GError **error)
{
    bool is_v6 = guest->addr.family == AF_INET6;

    if (host->addr.family == AF_UNSPEC) {
        host->addr = is_v6 ? ip_addr_v6(&in6addr_any) : ip_addr_v4(INADDR_ANY);
    } else if ((host->addr.family == AF_INET6) != is_v6) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "cannot forward port %u/udp: the host's address is IPv%d, "
                    "the guest's IPv%d", host->port, is_v6 ? 4 : 6,
                    is_v6 ? 6 : 4);
        return false;
    }
    return true;
}

/* @fd: (transfer full) */
static bool listener_start(Listener *listener, int fd, GError **error)
{
    UplinkForward *forward = listener->forward;
    Uplink *uplink = forward->uplink;

    if (forward->proto == IPPROTO_UDP) {
        listener->udp = nat_udp_forward(uplink->nat, fd, &forward->guest,
                                        loop_now_ms());
        if (!listener->udp) {
            g_set_error(error, VMNET_ERROR, VMNET_BUFFER_EXHAUSTED,
                        "cannot forward port %u/udp: a limit was reached",
                        forward->host.port);
        }
        return listener->udp;
    }
    listener->fd = fd;
    listener->backoff = loop_timer_new(uplink->config.loop, on_backoff,
                                       listener);
    listener->watch = loop_watch_new(uplink->config.loop, fd, EPOLLIN,
                                     on_connection, listener, error);
    return listener->watch;
}

/* All of @fds are taken. */
static bool forward_start(UplinkForward *forward, const int fds[FORWARD__MAX],
                          GError **error)
{
    bool ok = true;
    unsigned i;

    for (i = 0; i < FORWARD__MAX; i++) {
        if (fds[i] < 0) {
            continue;
        }
        if (ok) {
            ok = listener_start(&forward->listeners[i], fds[i], error);
        } else {
            close(fds[i]);
        }
    }
    return ok;
}

UplinkForward *uplink_forward_new(Uplink *uplink, uint8_t proto,
                                  const IpEndpoint *host,
                                  const IpEndpoint *guest, GError **error)
{
    UplinkForward *forward;
    int fds[FORWARD__MAX] = { -1, -1 };
    IpEndpoint bound = *host;
    unsigned i;

    if ((proto == IPPROTO_UDP && !restrict_udp(&bound, guest, error)) ||
        !bind_all(proto, &bound, fds, error)) {
        return NULL;
    }
    forward = g_new0(UplinkForward, 1);
    forward->uplink = uplink;
    forward->proto = proto;
    forward->host = bound;
    forward->guest = *guest;
    for (i = 0; i < FORWARD__MAX; i++) {
        forward->listeners[i].forward = forward;
        forward->listeners[i].fd = -1;
    }
    if (!forward_start(forward, fds, error)) {
        uplink_forward_free(forward);
        return NULL;
    }
    return forward;
}

uint16_t uplink_forward_port(const UplinkForward *forward)
{
    return forward->host.port;
}

void uplink_forward_set_guest(UplinkForward *forward, const IpAddr *guest)
{
    unsigned i;

    forward->guest.addr = *guest;
    for (i = 0; i < FORWARD__MAX; i++) {
        if (forward->listeners[i].udp) {
            nat_udp_forward_set_guest(forward->listeners[i].udp,
                                      &forward->guest);
        }
    }
}

void uplink_forward_set_client(UplinkForward *forward, const IpEndpoint *client)
{
    forward->client = *client;
}

void uplink_forward_free(UplinkForward *forward)
{
    unsigned i;

    if (!forward) {
        return;
    }
    for (i = 0; i < FORWARD__MAX; i++) {
        listener_close(&forward->listeners[i]);
    }
    g_free(forward);
}
