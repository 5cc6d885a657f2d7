/*
 * DNS queries to the host's name servers
 *
 * Theory of operation: each server that is asked for a query has a connected
 * UDP socket, on a port that the kernel picks at random, and each query an id
 * of its own: a forger has to guess both, and the question (RFC 5452 9).
 *
 *    0 s  server A     Sockets stay open as further servers are asked: a helpful
 *    1 s  server B     answer of any of them ends the query, however slow it is.
 *    2 s  A again      One that refuses or answers SERVFAIL, REFUSED or NOTIMP
 *    3 s  B again      makes the next be asked at once; those outstanding are
 *    4 s  the end      waited for.
 *
 * A network has LIMIT_DNS_SOCKETS of them.  Where these are open, a query that
 * asks a further server gives up the one that it asked first, and a new query
 * takes one of a query that has several.  A server that answers by TCP is not
 * given up as long as there is another.  Where all that the daemon may have are
 * open, the network with the most gives one, of its oldest query if need be.
 *
 * At the end, or when every server has failed, the last unhelpful answer is the
 * answer, if there was one.  Truncated answers are asked for again by TCP where
 * the client came by TCP.
 *
 * The server that helped last is asked first, so that one that is dead costs a
 * second once and not with every name.  Nothing is cached: the host's own
 * resolver does that where there is one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/resolver.h"

#include <string.h>

#include "limits.h"
#include "proto/random.h"
#include "uplink/resolv-conf.h"
#include "uplink/resolver-ask.h"

#define NEXT_SERVER_MS 1000
#define GIVE_UP_MS 4000

typedef struct Query {
    Resolver *resolver;
    uint32_t token;
    bool by_tcp;            /* the client's way */
    uint16_t client_id;
    AskQuery ask;
    Ask *asked[RESOLV_SERVERS_MAX];     /* by index of the server */
    unsigned next;          /* server to be asked */
    unsigned generation;    /* of the servers that this counts */
    uint32_t failed;        /* bit N: server N did not take it, or cannot help */
    GByteArray *no_help;    /* the last answer of one that cannot */
    int64_t next_ms, give_up_ms;
} Query;

struct ResolverQuota {
    GQueue resolvers;
    unsigned max, n_asks;   /* of all of them */
};

struct Resolver {
    Loop *loop;
    ResolverQuota *quota;
    GList link;             /* in @quota */
    LoopTimer *timer;
    ResolvConf conf;
    unsigned generation;    /* changes with the servers */
    unsigned first;         /* server to begin with */
    GPtrArray *queries;
    unsigned n_asks;        /* of all queries */
    ResolverReply reply;
    void *opaque;
    FaultLog faults;
    uint8_t buf[ASK_MESSAGE_BYTES];
};

static void query_drop_ask(Query *query, unsigned server)
{
    if (query->asked[server]) {
        g_clear_pointer(&query->asked[server], ask_free);
        query->resolver->n_asks--;
        query->resolver->quota->n_asks--;
    }
}

static void query_drop_asked(Query *query)
{
    unsigned i;

    for (i = 0; i < RESOLV_SERVERS_MAX; i++) {
        query_drop_ask(query, i);
    }
}

static void query_free(void *opaque)
{
    Query *query = opaque;

    query_drop_asked(query);
    g_clear_pointer(&query->no_help, g_byte_array_unref);
    g_free(query->ask.msg);
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
    unsigned at;

    if (msg) {
        dns_set_id(msg, query->client_id);
    }
    /*
     * The answer may lie in the query's own memory, and the reply may bring a
     * new query, which looks for sockets among the others.
     */
    if (g_ptr_array_find(r->queries, query, &at)) {
        g_ptr_array_steal_index_fast(r->queries, at);
    }
    r->reply(r->opaque, query->token, msg, len, now_ms);
    query_free(query);
    resolver_arm(r);
}

/* Nobody has helped. */
static void query_give_up(Query *query, int64_t now_ms)
{
    if (query->no_help) {
        query_finish(query, query->no_help->data, query->no_help->len, now_ms);
    } else {
        query_finish(query, NULL, 0, now_ms);
    }
}

/* Servers that are waited for. */
static unsigned query_n_asked(const Query *query)
{
    unsigned i, n = 0;

    for (i = 0; i < RESOLV_SERVERS_MAX; i++) {
        n += query->asked[i] != NULL;
    }
    return n;
}

/*
 * Servers are asked in turn: the one asked first is the first from next on.  The
 * last one stays if it was continued by TCP: it has answered.
 */
static bool query_drop_first(Query *query)
{
    unsigned n_asked = query_n_asked(query), i;
    bool by_tcp;

    for (by_tcp = false; !by_tcp || n_asked > 1; by_tcp = true) {
        for (i = 0; i < RESOLV_SERVERS_MAX; i++) {
            unsigned server = (query->next + i) % RESOLV_SERVERS_MAX;
            Ask *ask = query->asked[server];

            if (ask && ask_is_tcp(ask) == by_tcp) {
                query_drop_ask(query, server);
                return true;
            }
        }
    }
    return false;
}

/* Of a query that has several. */
static bool resolver_drop_spare(Resolver *r)
{
    unsigned i;

    for (i = 0; i < r->queries->len; i++) {
        Query *query = g_ptr_array_index(r->queries, i);

        if (query_n_asked(query) > 1) {
            return query_drop_first(query);
        }
    }
    return false;
}

/* Whose reply comes from the timer: the caller is another resolver's. */
static void resolver_end_oldest(Resolver *r)
{
    Query *oldest = NULL;
    unsigned i;

    for (i = 0; i < r->queries->len; i++) {
        Query *query = g_ptr_array_index(r->queries, i);

        if (query_n_asked(query) > 0 &&
            (!oldest || query->give_up_ms < oldest->give_up_ms)) {
            oldest = query;
        }
    }
    query_drop_asked(oldest);
    oldest->give_up_ms = 0;
    resolver_arm(r);
}

static Resolver *quota_biggest(const ResolverQuota *quota)
{
    Resolver *biggest = quota->resolvers.head->data;
    const GList *l;

    for (l = quota->resolvers.head->next; l; l = l->next) {
        Resolver *r = l->data;

        if (r->n_asks > biggest->n_asks) {
            biggest = r;
        }
    }
    return biggest;
}

/* For one more server that @query asks. Returns: false: there is none. */
static bool query_make_room(Query *query)
{
    Resolver *r = query->resolver, *biggest;

    if (r->n_asks < LIMIT_DNS_SOCKETS && r->quota->n_asks < r->quota->max) {
        return true;
    }
    if (query_n_asked(query) > 0) {
        return query_drop_first(query);
    }
    if (resolver_drop_spare(r)) {
        return true;
    }
    biggest = quota_biggest(r->quota);
    if (r->n_asks >= LIMIT_DNS_SOCKETS || biggest->n_asks <= r->n_asks) {
        return false;
    }
    if (!resolver_drop_spare(biggest)) {
        resolver_end_oldest(biggest);
    }
    return true;
}

static bool query_ask_server(Query *query, unsigned server)
{
    Resolver *r = query->resolver;
    Ask *ask = query->asked[server];

    if (ask && !ask_again(ask)) {
        query_drop_ask(query, server);
    } else if (!ask) {
        query->asked[server] = query_make_room(query)
            ? ask_new(&query->ask, &r->conf.servers[server]) : NULL;
        r->n_asks += query->asked[server] != NULL;
        r->quota->n_asks += query->asked[server] != NULL;
    }
    if (!query->asked[server]) {
        query->failed |= 1u << server;
    }
    return query->asked[server] != NULL;
}

/* The servers may be others than when @query was last here. */
static void query_follow_conf(Query *query)
{
    Resolver *r = query->resolver;

    if (resolv_conf_refresh(&r->conf)) {
        r->first = 0;
        r->generation++;
    }
    if (query->generation != r->generation) {
        query->generation = r->generation;
        query->next = r->first;
        query->failed = 0;
        query_drop_asked(query);
    }
}

/*
 * Ask the server that is next, of those that have not failed; once around, the
 * first again.  False: there is none.
 */
static bool query_ask(Query *query, int64_t now_ms)
{
    Resolver *r = query->resolver;
    unsigned i;

    query_follow_conf(query);
    query->next_ms = now_ms + NEXT_SERVER_MS;
    for (i = 0; i < r->conf.n_servers; i++) {
        unsigned server = query->next;

        query->next = (server + 1) % r->conf.n_servers;
        if (!(query->failed & 1u << server) &&
            query_ask_server(query, server)) {
            return true;
        }
    }
    return false;
}

static void query_next_server(Query *query, int64_t now_ms)
{
    if (!query_ask(query, now_ms)) {
        query_give_up(query, now_ms);
    } else {
        resolver_arm(query->resolver);
    }
}

/* A server that has neither failed nor been asked yet. */
static bool query_has_fresh(const Query *query)
{
    unsigned i;

    for (i = 0; i < query->resolver->conf.n_servers; i++) {
        if (!query->asked[i] && !(query->failed & 1u << i)) {
            return true;
        }
    }
    return false;
}

/* @server did not take the query, or cannot help: others may. */
static void query_failed(Query *query, unsigned server, int64_t now_ms)
{
    query->failed |= 1u << server;
    query_drop_ask(query, server);
    if (query_has_fresh(query) || query_n_asked(query) == 0) {
        query_next_server(query, now_ms);
    }
}

static bool is_no_help(const DnsMessage *answer)
{
    DnsRcode rcode = dns_rcode(answer->header.flags);

    return rcode == DNS_RCODE_SERVFAIL || rcode == DNS_RCODE_REFUSED ||
           rcode == DNS_RCODE_NOTIMP;
}

static void query_keep(Query *query, const uint8_t *msg, size_t len)
{
    g_clear_pointer(&query->no_help, g_byte_array_unref);
    query->no_help = g_byte_array_new_take(g_memdup2(msg, len), len);
}

static void query_by_tcp(Query *query, unsigned server, int64_t now_ms)
{
    if (!ask_by_tcp(query->asked[server])) {
        query_failed(query, server, now_ms);
        return;
    }
    /* A server that speaks TCP is not given up for being slow. */
    query->next_ms = query->give_up_ms;
    resolver_arm(query->resolver);
}

static void on_done(void *opaque, Ask *ask, uint8_t *msg, size_t len,
                    const DnsMessage *answer, int64_t now_ms)
{
    Query *query = opaque;
    Resolver *r = query->resolver;
    unsigned server = 0;

    while (query->asked[server] != ask) {
        server++;
    }
    if (!answer) {
        query_failed(query, server, now_ms);
    } else if (is_no_help(answer)) {
        query_keep(query, msg, len);
        query_failed(query, server, now_ms);
    } else if ((answer->header.flags & DNS_FLAG_TC) && query->by_tcp &&
               !ask_is_tcp(ask)) {
        query_by_tcp(query, server, now_ms);
    } else {
        if (query->generation == r->generation) {
            r->first = server;
        }
        query_finish(query, msg, len, now_ms);
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
            query_give_up(query, now_ms);
        } else if (query->next_ms <= now_ms) {
            query_next_server(query, now_ms);
        }
    }
    resolver_arm(r);
}

static Query *query_new(Resolver *r, const uint8_t *msg, size_t len,
                        const DnsMessage *question)
{
    Query *query = g_new0(Query, 1);
    uint16_t id;

    random_bytes(&id, sizeof(id));
    query->resolver = r;
    query->generation = r->generation;
    query->next = r->first;
    query->client_id = question->header.id;
    query->ask = (AskQuery){
        .loop = r->loop, .buf = r->buf, .question = *question,
        .msg = g_malloc(len + 2), .len = len,
        .done = on_done, .opaque = query,
        .faults = &r->faults,
    };
    query->ask.question.header.id = id;
    query->ask.msg[0] = len >> 8;
    query->ask.msg[1] = len;
    memcpy(query->ask.msg + 2, msg, len);
    dns_set_id(query->ask.msg + 2, id);
    return query;
}

bool resolver_query(Resolver *r, uint32_t token, const uint8_t *msg,
                    size_t len, bool by_tcp, int64_t now_ms)
{
    DnsMessage question;
    Query *query;

    if (r->queries->len >= LIMIT_DNS_PER_NETWORK || len > ASK_MESSAGE_BYTES ||
        !dns_parse(msg, len, &question) ||
        (question.header.flags & DNS_FLAG_QR)) {
        return false;
    }
    query = query_new(r, msg, len, &question);
    query->token = token;
    query->by_tcp = by_tcp;
    query->give_up_ms = now_ms + GIVE_UP_MS;
    g_ptr_array_add(r->queries, query);

    if (!query_ask(query, now_ms)) {
        /* Say so from the timer: the caller is not ready for it. */
        query->give_up_ms = now_ms;
    }
    resolver_arm(r);
    return true;
}

ResolverQuota *resolver_quota_new(unsigned max)
{
    ResolverQuota *quota = g_new0(ResolverQuota, 1);

    quota->max = max;
    return quota;
}

void resolver_quota_free(ResolverQuota *quota)
{
    if (quota) {
        g_assert(quota->resolvers.length == 0);
        g_free(quota);
    }
}

unsigned resolver_quota_used(const ResolverQuota *quota)
{
    return quota->n_asks;
}

Resolver *resolver_new(Loop *loop, const char *resolv_conf,
                       ResolverQuota *quota, ResolverReply reply, void *opaque)
{
    Resolver *r = g_new0(Resolver, 1);

    r->loop = loop;
    r->quota = quota;
    r->link.data = r;
    g_queue_push_tail_link(&quota->resolvers, &r->link);
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
    g_queue_unlink(&r->quota->resolvers, &r->link);
    loop_timer_free(r->timer);
    resolv_conf_clear(&r->conf);
    g_free(r);
}
