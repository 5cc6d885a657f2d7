/*
 * DNS over TCP for guests
 *
 * Each message has two bytes of length in front (RFC 1035 4.2.2).  A client
 * may ask again before it has its answer, and answers may overtake each other
 * (RFC 7766 6.2.1.1, 7): every query that the gateway was handed is answered
 * to the connection that it came from, or cancelled with it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/dns-listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limits.h"
#include "proto/dns-stream.h"

/* RFC 7766 6.2.3: some seconds. */
#define IDLE_MS 10000
#define READ_BYTES 4096
/* Accepted per event; the rest waits in the kernel. */
#define ACCEPTS_MAX 16

typedef struct DnsConn {
    DnsListener *listener;
    uint32_t port;          /* the guest's */
    int fd;
    LoopWatch *watch;
    GByteArray *in, *out;
    unsigned n_asked;       /* queries without an answer so far */
    bool ended;             /* the client sends no more */
    int64_t active_ms;
} DnsConn;

typedef struct DnsSocket {
    DnsListener *listener;
    int fd;
    uint16_t port;
    LoopWatch *watch;
} DnsSocket;

struct DnsListener {
    Loop *loop;
    Gateway *gateway;
    DnsListenerOps ops;
    void *opaque;
    DnsSocket v4, v6;
    GPtrArray *conns;
    LoopTimer *timer;
    bool asking;
};

static void conn_free(void *opaque)
{
    DnsConn *conn = opaque;

    if (conn->n_asked > 0) {
        gateway_dns_cancel(conn->listener->gateway, conn);
    }
    if (conn->watch) {
        loop_watch_free(conn->watch);
    }
    close(conn->fd);
    g_byte_array_unref(conn->in);
    g_byte_array_unref(conn->out);
    g_free(conn);
}

static void conn_close(DnsConn *conn)
{
    g_ptr_array_remove_fast(conn->listener->conns, conn);
}

static void conn_update_events(DnsConn *conn)
{
    bool is_full = conn->n_asked >= LIMIT_DNS_TCP_QUERIES ||
                   conn->out->len >= LIMIT_DNS_TCP_OUTPUT_BYTES;

    loop_watch_set_events(conn->watch,
                          (conn->ended || is_full ? 0 : EPOLLIN) |
                          (conn->out->len > 0 ? EPOLLOUT : 0));
}

/* GatewayDnsReply. The bytes leave from the loop: nobody is freed in here. */
static void on_reply(void *opaque, const uint8_t *msg, size_t len)
{
    DnsConn *conn = opaque;
    uint8_t prefix[2];

    conn->n_asked--;
    if (msg && len <= G_MAXUINT16) {
        writer_put_u16(prefix, len);
        g_byte_array_append(conn->out, prefix, sizeof(prefix));
        g_byte_array_append(conn->out, msg, len);
    }
    if (conn->watch) {
        conn_update_events(conn);
    }
}

/* Hand whole messages to the gateway. Returns: false: it is not DNS. */
static bool conn_ask(DnsConn *conn, int64_t now_ms)
{
    DnsListener *listener = conn->listener;
    DnsStream next = DNS_STREAM_MESSAGE;
    size_t off = 0;

    while (conn->in->len > off && conn->n_asked < LIMIT_DNS_TCP_QUERIES) {
        const uint8_t *at = conn->in->data + off;
        size_t len;

        next = dns_stream_next(at, conn->in->len - off, &len);
        if (next != DNS_STREAM_MESSAGE) {
            break;
        }
        conn->n_asked++;
        listener->asking = true;
        gateway_dns_query(listener->gateway, conn->port,
                          at + DNS_STREAM_PREFIX_LEN, len, on_reply, conn, now_ms);
        listener->asking = false;
        off += DNS_STREAM_PREFIX_LEN + len;
    }
    if (off > 0) {
        g_byte_array_remove_range(conn->in, 0, off);
    }
    return next != DNS_STREAM_BAD;
}

static bool conn_read(DnsConn *conn)
{
    uint8_t buf[READ_BYTES];
    ssize_t n = recv(conn->fd, buf, sizeof(buf), 0);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (n == 0) {
        conn->ended = true;
    }
    g_byte_array_append(conn->in, buf, n);
    return true;
}

static bool conn_write(DnsConn *conn)
{
    ssize_t n;

    if (conn->out->len == 0) {
        return true;
    }
    n = send(conn->fd, conn->out->data, conn->out->len, MSG_NOSIGNAL);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    g_byte_array_remove_range(conn->out, 0, n);
    return true;
}

static void on_conn(void *opaque, uint32_t events, int64_t now_ms)
{
    DnsConn *conn = opaque;

    conn->active_ms = now_ms;
    if ((events & EPOLLERR) ||
        ((events & (EPOLLIN | EPOLLHUP)) && !conn->ended && !conn_read(conn)) ||
        !conn_ask(conn, now_ms) || !conn_write(conn) ||
        (conn->ended && conn->n_asked == 0 && conn->out->len == 0)) {
        conn_close(conn);
        return;
    }
    if ((events & EPOLLHUP) && conn->ended) {
        conn_close(conn);   /* reported until the end of days otherwise */
        return;
    }
    conn_update_events(conn);
}

static unsigned n_of_port(const DnsListener *listener, uint32_t port)
{
    unsigned i, n = 0;

    for (i = 0; i < listener->conns->len; i++) {
        n += ((DnsConn *)g_ptr_array_index(listener->conns, i))->port == port;
    }
    return n;
}

/* At the limit the guest that has the most makes room, by the connection that
 * was silent for longest. */
static void make_room(DnsListener *listener)
{
    DnsConn *victim = NULL;
    unsigned i, most = 0;

    if (listener->conns->len < LIMIT_DNS_TCP_CONNS) {
        return;
    }
    for (i = 0; i < listener->conns->len; i++) {
        DnsConn *conn = g_ptr_array_index(listener->conns, i);
        unsigned n = n_of_port(listener, conn->port);

        if (n > most ||
            (n == most && conn->active_ms < victim->active_ms)) {
            most = n;
            victim = conn;
        }
    }
    conn_close(victim);
}

static void conn_new(DnsListener *listener, int fd, uint32_t port,
                     int64_t now_ms)
{
    DnsConn *conn;

    make_room(listener);
    conn = g_new0(DnsConn, 1);
    conn->listener = listener;
    conn->port = port;
    conn->fd = fd;
    conn->in = g_byte_array_new();
    conn->out = g_byte_array_new();
    conn->active_ms = now_ms;
    g_ptr_array_add(listener->conns, conn);
    conn->watch = loop_watch_new(listener->loop, fd, EPOLLIN, on_conn, conn,
                                 NULL);
    if (!conn->watch) {
        conn_close(conn);
        return;
    }
    if (listener->conns->len == 1) {
        loop_timer_arm(listener->timer, now_ms + IDLE_MS);
    }
}

static void on_timer(void *opaque, int64_t now_ms)
{
    DnsListener *listener = opaque;
    unsigned i;

    for (i = listener->conns->len; i-- > 0;) {
        DnsConn *conn = g_ptr_array_index(listener->conns, i);

        if (now_ms - conn->active_ms >= IDLE_MS) {
            conn_close(conn);
        }
    }
    if (listener->conns->len > 0) {
        loop_timer_arm(listener->timer, now_ms + IDLE_MS);
    }
}

static void on_accept(void *opaque, uint32_t events, int64_t now_ms)
{
    DnsSocket *sock = opaque;
    DnsListener *listener = sock->listener;
    unsigned i;

    for (i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof(ss);
        IpEndpoint peer;
        uint32_t port;
        int fd = accept4(sock->fd, (struct sockaddr *)&ss, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
            /* Flows hold the descriptors, and recycle them: guests ask
             * again by then.  Not to spin until then, let one go. */
            if (listener->conns->len > 0) {
                conn_close(g_ptr_array_index(listener->conns, 0));
                continue;
            }
            loop_watch_set_events(sock->watch, EPOLLIN | EPOLLET);
            return;
        }
        if (fd < 0) {
            return;
        }
        if (!ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, &peer) ||
            !listener->ops.is_ours(listener->opaque, &peer, &port)) {
            close(fd);
            continue;
        }
        conn_new(listener, fd, port, now_ms);
    }
}

/* Returns: NULL, or the call that failed. */
static const char *socket_listen(DnsSocket *sock, const struct sockaddr *addr,
                                 socklen_t len)
{
    sock->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                      0);
    if (sock->fd < 0) {
        return "socket";
    }
    if (bind(sock->fd, addr, len) < 0) {
        return "bind";
    }
    return listen(sock->fd, LIMIT_DNS_TCP_CONNS) < 0 ? "listen" : NULL;
}

static bool socket_open(DnsSocket *sock, const IpAddr *addr)
{
    IpEndpoint endpoint = { .addr = *addr };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&endpoint, &ss);
    const char *call = socket_listen(sock, (struct sockaddr *)&ss, len);
    char text[IP_STRLEN];

    if (call) {
        /* A host without that family serves the other one. */
        if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL) {
            g_warning("DNS over TCP for guests, on %s: %s: %s",
                      ip_addr_format(addr, text), call, g_strerror(errno));
        }
        return false;
    }
    len = sizeof(ss);
    if (getsockname(sock->fd, (struct sockaddr *)&ss, &len) < 0 ||
        !ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, &endpoint)) {
        return false;
    }
    sock->watch = loop_watch_new(sock->listener->loop, sock->fd, EPOLLIN,
                                 on_accept, sock, NULL);
    sock->port = sock->watch ? endpoint.port : 0;
    return sock->watch;
}

static void socket_close(DnsSocket *sock)
{
    if (sock->watch) {
        loop_watch_free(sock->watch);
    }
    if (sock->fd >= 0) {
        close(sock->fd);
    }
    sock->watch = NULL;
    sock->fd = -1;
}

static void socket_init(DnsListener *listener, DnsSocket *sock,
                        const IpAddr *addr)
{
    sock->listener = listener;
    if (!socket_open(sock, addr)) {
        socket_close(sock);
    }
}

DnsListener *dns_listener_new(Loop *loop, Gateway *gateway,
                              const DnsListenerOps *ops, void *opaque)
{
    DnsListener *listener = g_new0(DnsListener, 1);
    const IpAddr loopback4 = ip_addr_v4(INADDR_LOOPBACK);
    const IpAddr loopback6 = ip_addr_v6(&in6addr_loopback);

    listener->loop = loop;
    listener->gateway = gateway;
    listener->ops = *ops;
    listener->opaque = opaque;
    listener->conns = g_ptr_array_new_with_free_func(conn_free);
    listener->timer = loop_timer_new(loop, on_timer, listener);
    socket_init(listener, &listener->v4, &loopback4);
    socket_init(listener, &listener->v6, &loopback6);
    return listener;
}

void dns_listener_free(DnsListener *listener)
{
    if (!listener) {
        return;
    }
    g_ptr_array_unref(listener->conns);
    loop_timer_free(listener->timer);
    socket_close(&listener->v4);
    socket_close(&listener->v6);
    g_free(listener);
}

void dns_listener_port_gone(DnsListener *listener, uint32_t id)
{
    unsigned i;

    for (i = listener->conns->len; i-- > 0;) {
        DnsConn *conn = g_ptr_array_index(listener->conns, i);

        if (conn->port == id) {
            conn_close(conn);
        }
    }
}

uint16_t dns_listener_port(const DnsListener *listener, sa_family_t family)
{
    return family == AF_INET ? listener->v4.port : listener->v6.port;
}

bool dns_listener_is_asking(const DnsListener *listener)
{
    return listener->asking;
}
