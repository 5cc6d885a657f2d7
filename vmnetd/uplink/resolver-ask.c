/*
 * One name server, asked for one query
 *
 * A connected socket on a port that the kernel picks at random: the kernel's
 * error on it tells at once of a server that is not there, and datagrams from
 * elsewhere never arrive.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/resolver-ask.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nat/errors.h"
#include "proto/dns-stream.h"

/* Datagrams looked at per event: others than the answer are forged. */
#define READS_MAX 8

struct Ask {
    const AskQuery *query;
    ResolvServer server;
    int fd;
    LoopWatch *watch;
    bool is_tcp;
    size_t n_sent;          /* TCP: bytes of the query that are out */
    GByteArray *answer;     /* TCP: what came so far, with its length */
};

static void ask_disconnect(Ask *ask)
{
    g_clear_pointer(&ask->watch, loop_watch_free);
    if (ask->fd >= 0) {
        close(ask->fd);
        ask->fd = -1;
    }
}

void ask_free(Ask *ask)
{
    if (!ask) {
        return;
    }
    ask_disconnect(ask);
    g_clear_pointer(&ask->answer, g_byte_array_unref);
    g_free(ask);
}

/* What the host lacks is told; a server that is not there is not. */
static void ask_fault(const Ask *ask, const char *call)
{
    IpEndpoint server;

    if (nat_error_is_hosts(errno) &&
        ip_endpoint_from_sockaddr((const struct sockaddr *)&ask->server.addr,
                                  ask->server.len, &server)) {
        fault_log(ask->query->faults, "DNS server", &server, call, errno,
                  loop_now_ms());
    }
}

static void ask_failed(Ask *ask, int64_t now_ms)
{
    ask->query->done(ask->query->opaque, ask, NULL, 0, NULL, now_ms);
}

static bool is_answer(const Ask *ask, const uint8_t *msg, size_t len,
                      DnsMessage *ret_answer)
{
    const DnsMessage *question = &ask->query->question;

    return dns_parse(msg, len, ret_answer) &&
           (ret_answer->header.flags & DNS_FLAG_QR) &&
           ret_answer->header.id == question->header.id &&
           dns_same_question(question, ret_answer);
}

/* ---- UDP ---- */

static void on_udp_event(void *opaque, uint32_t events, int64_t now_ms)
{
    Ask *ask = opaque;
    const AskQuery *query = ask->query;
    DnsMessage answer;
    unsigned i;

    for (i = 0; i < READS_MAX; i++) {
        ssize_t len = recv(ask->fd, query->buf, ASK_MESSAGE_BYTES, 0);

        if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (len < 0) {
            ask_fault(ask, "recv");
            ask_failed(ask, now_ms);
            return;
        }
        if (is_answer(ask, query->buf, len, &answer)) {
            query->done(query->opaque, ask, query->buf, len, &answer, now_ms);
            return;
        }
    }
}

/* ---- TCP ---- */

/* Returns: false: the connection is of no use. */
static bool tcp_send(Ask *ask)
{
    const AskQuery *query = ask->query;
    size_t total = query->len + 2;
    ssize_t n;

    if (ask->n_sent == total) {
        return true;
    }
    n = send(ask->fd, query->msg + ask->n_sent, total - ask->n_sent,
             MSG_NOSIGNAL);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    ask->n_sent += n;
    if (ask->n_sent == total) {
        loop_watch_set_events(ask->watch, EPOLLIN);
    }
    return true;
}

static bool tcp_receive(Ask *ask)
{
    ssize_t n = recv(ask->fd, ask->query->buf, ASK_MESSAGE_BYTES, 0);

    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    g_byte_array_append(ask->answer, ask->query->buf, n);
    return n > 0;
}

static void on_tcp_event(void *opaque, uint32_t events, int64_t now_ms)
{
    Ask *ask = opaque;
    DnsStream next;
    DnsMessage answer;
    uint8_t *msg;
    size_t len;

    if (!tcp_send(ask) ||
        ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !tcp_receive(ask))) {
        ask_failed(ask, now_ms);
        return;
    }
    next = dns_stream_next(ask->answer->data, ask->answer->len, &len);
    if (next == DNS_STREAM_PART) {
        return;
    }
    msg = ask->answer->data + DNS_STREAM_PREFIX_LEN;
    if (next == DNS_STREAM_BAD || !is_answer(ask, msg, len, &answer)) {
        ask_failed(ask, now_ms);
        return;
    }
    ask->query->done(ask->query->opaque, ask, msg, len, &answer, now_ms);
}

/* ---- either ---- */

static bool ask_connect(Ask *ask, int type)
{
    const struct sockaddr *addr = (const struct sockaddr *)&ask->server.addr;

    ask->fd = socket(addr->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (ask->fd < 0) {
        ask_fault(ask, "socket");
        return false;
    }
    if (connect(ask->fd, addr, ask->server.len) < 0 && errno != EINPROGRESS) {
        ask_fault(ask, "connect");
        return false;
    }
    return true;
}

bool ask_again(Ask *ask)
{
    ssize_t n;

    if (ask->is_tcp) {
        return true;
    }
    n = send(ask->fd, ask->query->msg + 2, ask->query->len, MSG_NOSIGNAL);
    if (n < 0) {
        ask_fault(ask, "send");
    }
    return n == (ssize_t)ask->query->len;
}

bool ask_by_tcp(Ask *ask)
{
    ask_disconnect(ask);
    ask->is_tcp = true;
    ask->answer = g_byte_array_new();
    if (!ask_connect(ask, SOCK_STREAM)) {
        return false;
    }
    ask->watch = loop_watch_new(ask->query->loop, ask->fd, EPOLLIN | EPOLLOUT,
                                on_tcp_event, ask, NULL);
    return ask->watch != NULL;
}

bool ask_is_tcp(const Ask *ask)
{
    return ask->is_tcp;
}

Ask *ask_new(const AskQuery *query, const ResolvServer *server)
{
    g_autoptr(Ask) ask = g_new0(Ask, 1);

    ask->query = query;
    ask->server = *server;
    ask->fd = -1;
    if (!ask_connect(ask, SOCK_DGRAM) || !ask_again(ask)) {
        return NULL;
    }
    ask->watch = loop_watch_new(query->loop, ask->fd, EPOLLIN, on_udp_event,
                                ask, NULL);
    return ask->watch ? g_steal_pointer(&ask) : NULL;
}
