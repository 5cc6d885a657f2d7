/*
 * DNS queries to the host's name servers
 *
 * Theory of operation: each outstanding query has a connected UDP socket of
 * its own, on a port that the kernel picks at random, and an id of its own: a
 * forger has to guess both, and the question (RFC 5452 9).  The kernel's error
 * on the socket tells at once of a server that is not there.
 *
 *   UDP --answer---------------------------------> reply
 *    | ^  `--TC, and the client came by TCP--> TCP ---> reply
 *    | `--- refused, or 1 s without an answer: the next server
 *    `----- 4 s, or every server refused: no answer
 *
 * The server that answered last is asked first, so that one that is dead costs
 * a second once and not with every name.  Nothing is cached: the host's own
 * resolver does that where there is one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/resolver.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limits.h"
#include "proto/dns.h"
#include "uplink/resolv-conf.h"

#define NEXT_SERVER_MS 1000
#define GIVE_UP_MS 4000
/* Datagrams looked at per event: others than the answer are forged. */
#define READS_MAX 8
#define MESSAGE_BYTES 65535

typedef struct Query {
    Resolver *resolver;
    uint32_t token;
    bool by_tcp;            /* the client's way */
    bool is_tcp;            /* ours, now */
    uint16_t client_id;
    DnsMessage question;    /* with our id in its header */
    uint8_t *msg;           /* two bytes of length, then the query */
    size_t len;             /* of the query */
    unsigned server;        /* index in the resolver's list */
    unsigned n_tried;
    uint32_t failed;        /* bit N: server N did not take it, or cannot help */
    int64_t next_ms, give_up_ms;

    int fd;
    LoopWatch *watch;
    size_t n_sent;          /* TCP: bytes of @msg that are out */
    GByteArray *answer;     /* TCP: what came so far, with its length */
} Query;

struct Resolver {
    Loop *loop;
    LoopTimer *timer;
    ResolvConf conf;
    unsigned first;         /* server to begin with */
    GPtrArray *queries;
    ResolverReply reply;
    void *opaque;
    uint8_t buf[MESSAGE_BYTES];
};

static void query_disconnect(Query *query)
{
    if (query->watch) {
        loop_watch_free(query->watch);
        query->watch = NULL;
    }
    if (query->fd >= 0) {
        close(query->fd);
        query->fd = -1;
    }
    g_clear_pointer(&query->answer, g_byte_array_unref);
    query->n_sent = 0;
}

static void query_free(void *opaque)
{
    Query *query = opaque;

    query_disconnect(query);
    g_free(query->msg);
    g_free(query);
}

static void resolver_arm(Resolver *r)
{
    int64_t due_ms = INT64_MAX;
    unsigned i;

    for (i = 0; i < r->queries->len; i++) {
        Query *query = g_ptr_array_index(r->queries, i);

        due_ms = MIN(due_ms, MIN(query->next_ms, query->give_up_ms));
    }
    if (due_ms == INT64_MAX) {
        loop_timer_disarm(r->timer);
    } else {
        loop_timer_arm(r->timer, due_ms);
    }
}

/* @msg NULL: no answer. @query is gone afterwards. */
static void query_finish(Query *query, uint8_t *msg, size_t len,
                         int64_t now_ms)
{
    Resolver *r = query->resolver;
    uint32_t token = query->token;

    if (msg) {
        dns_set_id(msg, query->client_id);
        r->first = query->server;
    }
    /* The answer may lie in the query's own memory. */
    r->reply(r->opaque, token, msg, len, now_ms);
    g_ptr_array_remove_fast(r->queries, query);
    resolver_arm(r);
}

static void on_event(void *opaque, uint32_t events, int64_t now_ms);

static bool query_connect(Query *query, int type)
{
    const ResolvServer *server = &query->resolver->conf.servers[query->server];
    const struct sockaddr *addr = (const struct sockaddr *)&server->addr;

    query->is_tcp = type == SOCK_STREAM;
    query->fd = socket(addr->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (query->fd < 0 || (connect(query->fd, addr, server->len) < 0 &&
                          errno != EINPROGRESS)) {
        return false;
    }
    if (!query->is_tcp && send(query->fd, query->msg + 2, query->len,
                               MSG_NOSIGNAL) != (ssize_t)query->len) {
        return false;
    }
    query->watch = loop_watch_new(query->resolver->loop, query->fd,
                                  query->is_tcp ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                  on_event, query, NULL);
    return query->watch != NULL;
}

/* From the same socket: the answer to what went before counts as well. */
static bool query_repeat(Query *query)
{
    return query->watch && send(query->fd, query->msg + 2, query->len,
                                MSG_NOSIGNAL) == (ssize_t)query->len;
}

/*
 * Ask by UDP: the server that is next, of those that have not failed.  The last
 * of these is asked again from the same socket, so that it may be slow.
 */
static bool query_ask(Query *query, int64_t now_ms)
{
    Resolver *r = query->resolver;
    unsigned i;

    if (resolv_conf_refresh(&r->conf)) {
        r->first = 0;
        query->failed = 0;
        query_disconnect(query);
    }
    query->next_ms = now_ms + NEXT_SERVER_MS;
    for (i = 0; i < r->conf.n_servers; i++) {
        unsigned server = (r->first + query->n_tried++) % r->conf.n_servers;

        if (query->failed & 1u << server) {
            continue;
        }
        if (server == query->server && query_repeat(query)) {
            return true;
        }
        query_disconnect(query);
        query->server = server;
        if (query_connect(query, SOCK_DGRAM)) {
            return true;
        }
        query->failed |= 1u << server;
    }
    query_disconnect(query);
    return false;
}

static void query_next_server(Query *query, int64_t now_ms)
{
    if (!query_ask(query, now_ms)) {
        query_finish(query, NULL, 0, now_ms);
    } else {
        resolver_arm(query->resolver);
    }
}

/* The server did not take the query. */
static void query_failed(Query *query, int64_t now_ms)
{
    query->failed |= 1u << query->server;
    query_disconnect(query);
    query_next_server(query, now_ms);
}

static bool is_answer(const Query *query, const uint8_t *msg, size_t len,
                      DnsMessage *ret_answer)
{
    return dns_parse(msg, len, ret_answer) &&
           (ret_answer->header.flags & DNS_FLAG_QR) &&
           ret_answer->header.id == query->question.header.id &&
           dns_same_question(&query->question, ret_answer);
}

/* A server that cannot help: ask another while there is one that may. */
static bool is_no_help(const Query *query, const DnsMessage *answer)
{
    DnsRcode rcode = dns_rcode(answer->header.flags);
    uint32_t all = (1u << query->resolver->conf.n_servers) - 1;

    return (all & ~query->failed & ~(1u << query->server)) &&
           (rcode == DNS_RCODE_SERVFAIL || rcode == DNS_RCODE_REFUSED ||
            rcode == DNS_RCODE_NOTIMP);
}

static void query_answered(Query *query, uint8_t *msg, size_t len,
                           const DnsMessage *answer, int64_t now_ms)
{
    if (is_no_help(query, answer)) {
        query_failed(query, now_ms);
        return;
    }
    if ((answer->header.flags & DNS_FLAG_TC) && query->by_tcp &&
        !query->is_tcp) {
        query_disconnect(query);
        if (!query_connect(query, SOCK_STREAM)) {
            query_failed(query, now_ms);
            return;
        }
        /* A server that speaks TCP is not given up for being slow. */
        query->next_ms = query->give_up_ms;
        resolver_arm(query->resolver);
        return;
    }
    query_finish(query, msg, len, now_ms);
}

static void on_udp_event(Query *query, int64_t now_ms)
{
    Resolver *r = query->resolver;
    DnsMessage answer;
    unsigned i;

    for (i = 0; i < READS_MAX; i++) {
        ssize_t len = recv(query->fd, r->buf, sizeof(r->buf), 0);

        if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (len < 0) {
            query_failed(query, now_ms);
            return;
        }
        if (is_answer(query, r->buf, len, &answer)) {
            query_answered(query, r->buf, len, &answer, now_ms);
            return;
        }
    }
}

/* Returns: false: the connection is of no use. */
static bool tcp_send(Query *query)
{
    size_t total = query->len + 2;
    ssize_t n;

    if (query->n_sent == total) {
        return true;
    }
    n = send(query->fd, query->msg + query->n_sent, total - query->n_sent,
             MSG_NOSIGNAL);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    query->n_sent += n;
    if (query->n_sent == total) {
        loop_watch_set_events(query->watch, EPOLLIN);
    }
    return true;
}

/* Bytes that the message will have with its length; 2 until that is known. */
static size_t tcp_wanted(const GByteArray *answer)
{
    return answer->len < 2 ? 2 : 2 + (answer->data[0] << 8 | answer->data[1]);
}

static bool tcp_receive(Query *query)
{
    Resolver *r = query->resolver;
    ssize_t n;

    if (!query->answer) {
        query->answer = g_byte_array_new();
    }
    n = recv(query->fd, r->buf, sizeof(r->buf), 0);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    g_byte_array_append(query->answer, r->buf, n);
    return n > 0;
}

static void on_tcp_event(Query *query, uint32_t events, int64_t now_ms)
{
    DnsMessage answer;
    size_t len;

    if (!tcp_send(query) ||
        ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !tcp_receive(query))) {
        query_failed(query, now_ms);
        return;
    }
    if (!query->answer || query->answer->len <= 2 ||
        query->answer->len < tcp_wanted(query->answer)) {
        return;
    }
    len = tcp_wanted(query->answer) - 2;
    if (!is_answer(query, query->answer->data + 2, len, &answer)) {
        query_failed(query, now_ms);
        return;
    }
    query_answered(query, query->answer->data + 2, len, &answer, now_ms);
}

static void on_event(void *opaque, uint32_t events, int64_t now_ms)
{
    Query *query = opaque;

    if (query->is_tcp) {
        on_tcp_event(query, events, now_ms);
    } else {
        on_udp_event(query, now_ms);
    }
}

static void on_timer(void *opaque, int64_t now_ms)
{
    Resolver *r = opaque;
    unsigned i;

    /* Downwards: one that ends gives its place to the last, seen before. */
    for (i = r->queries->len; i-- > 0;) {
        Query *query;

        if (i >= r->queries->len) {
            continue;
        }
        query = g_ptr_array_index(r->queries, i);
        if (query->give_up_ms <= now_ms) {
            query_finish(query, NULL, 0, now_ms);
        } else if (query->next_ms <= now_ms) {
            query_next_server(query, now_ms);
        }
    }
    resolver_arm(r);
}

static uint16_t random_id(void)
{
    uint16_t id;

    /* 256 bytes or fewer are never refused once the pool is up. */
    if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id)) {
        id = g_random_int();
    }
    return id;
}

bool resolver_query(Resolver *r, uint32_t token, const uint8_t *msg,
                    size_t len, bool by_tcp, int64_t now_ms)
{
    DnsMessage question;
    Query *query;

    if (r->queries->len >= LIMIT_DNS_PER_NETWORK || len > MESSAGE_BYTES ||
        !dns_parse(msg, len, &question) ||
        (question.header.flags & DNS_FLAG_QR)) {
        return false;
    }
    query = g_new0(Query, 1);
    query->resolver = r;
    query->fd = -1;
    query->token = token;
    query->by_tcp = by_tcp;
    query->client_id = question.header.id;
    query->question = question;
    query->question.header.id = random_id();
    query->msg = g_malloc(len + 2);
    query->len = len;
    query->msg[0] = len >> 8;
    query->msg[1] = len;
    memcpy(query->msg + 2, msg, len);
    dns_set_id(query->msg + 2, query->question.header.id);
    query->give_up_ms = now_ms + GIVE_UP_MS;
    g_ptr_array_add(r->queries, query);

    if (!query_ask(query, now_ms)) {
        /* Say so from the timer: the caller is not ready for it. */
        query->give_up_ms = now_ms;
    }
    resolver_arm(r);
    return true;
}

Resolver *resolver_new(Loop *loop, const char *resolv_conf,
                       ResolverReply reply, void *opaque)
{
    Resolver *r = g_new0(Resolver, 1);

    r->loop = loop;
    r->timer = loop_timer_new(loop, on_timer, r);
    r->queries = g_ptr_array_new_with_free_func(query_free);
    r->reply = reply;
    r->opaque = opaque;
    resolv_conf_init(&r->conf, resolv_conf);
    return r;
}

void resolver_free(Resolver *r)
{
    if (!r) {
        return;
    }
    g_ptr_array_unref(r->queries);
    loop_timer_free(r->timer);
    resolv_conf_clear(&r->conf);
    g_free(r);
}
