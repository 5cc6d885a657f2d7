/*
 * The resolver, asked through real sockets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "resolver-fixture.h"

static void test_answer(Fixture *f, const void *unused)
{
    ask(f, false);
    server_receive(f, f->server);
    server_answer(f->server, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmpuint(f->answer.header.id, ==, 4711);
    g_assert_cmpuint(f->answer.header.n_answers, ==, 1);
}

static void test_ids_and_ports_differ(Fixture *f, const void *unused)
{
    uint16_t ports[2], ids[2];
    unsigned i;

    /* Four bytes of both: one in 2^28 for equal ones. */
    for (i = 0; i < 2; i++) {
        IpEndpoint client;

        ask(f, false);
        server_receive(f, f->server);
        ip_endpoint_from_sockaddr((struct sockaddr *)&f->server->client, f->server->client_len,
                                  &client);
        ports[i] = client.port;
        ids[i] = f->server->query.header.id;
    }
    g_assert_true(ports[0] != ports[1] || ids[0] != ids[1]);
}

static void test_forged_answers_are_passed_over(Fixture *f, const void *unused)
{
    DnsName name;
    uint8_t buf[512];
    size_t len;

    ask(f, false);
    server_receive(f, f->server);

    /* Another id. */
    len = server_build(f->server, buf, 0, DNS_RCODE_NOERROR);
    dns_set_id(buf, f->server->query.header.id ^ 1);
    server_send(f->server, buf, len);
    /* A query, not an answer. */
    g_assert_true(dns_name_from_text("www.example.com", &name));
    len = dns_query_build(buf, sizeof(buf), f->server->query.header.id, &name,
                          DNS_TYPE_A, 0);
    server_send(f->server, buf, len);
    /* Another question. */
    {
        DnsMessage right = f->server->query;

        g_assert_true(dns_name_from_text("www.example.net", &f->server->query.qname));
        len = server_build(f->server, buf, 0, DNS_RCODE_NOERROR);
        server_send(f->server, buf, len);
        f->server->query = right;
    }
    /* Cut. */
    len = server_build(f->server, buf, 0, DNS_RCODE_NOERROR);
    server_send(f->server, buf, len - 1);
    server_send(f->server, buf, 3);

    server_answer(f->server, 0, DNS_RCODE_NXDOMAIN);
    wait_answer(f);
    g_assert_cmpint(dns_rcode(f->answer.header.flags), ==, DNS_RCODE_NXDOMAIN);
}

static void test_next_server_when_refused(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                dead_port(), f->server->port);
    ask(f, false);
    server_receive(f, f->server);
    server_answer(f->server, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

/* One that is not there takes no time from one that is slow. */
static void test_slow_server_beside_a_dead_one(Fixture *f, const void *unused)
{
    struct sockaddr_storage first;

    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                dead_port(), f->server->port);
    ask(f, false);
    server_receive(f, f->server);
    first = f->server->client;
    server_receive(f, f->server);
    g_assert_cmpint(memcmp(&first, &f->server->client, f->server->client_len), ==, 0);
    server_answer(f->server, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

static void test_silence_has_an_end(Fixture *f, const void *unused)
{
    int64_t start_ms = loop_now_ms();

    ask(f, false);
    wait_answer(f);
    g_assert_true(f->failed);
    g_assert_cmpint(loop_now_ms() - start_ms, >=, 4000);
    g_assert_cmpint(loop_now_ms() - start_ms, <, 8000);
}

static void test_all_servers_refuse(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\n", dead_port());
    ask(f, false);
    wait_answer(f);
    g_assert_true(f->failed);
}

static void test_next_server_after_servfail(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                f->server->port, f->server->port);
    ask(f, false);
    server_receive(f, f->server);
    server_answer(f->server, 0, DNS_RCODE_SERVFAIL);
    server_receive(f, f->server);
    /* The last one's word counts. */
    server_answer(f->server, 0, DNS_RCODE_SERVFAIL);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmpint(dns_rcode(f->answer.header.flags), ==, DNS_RCODE_SERVFAIL);
}

static void test_next_server_after_a_second(Fixture *f, const void *unused)
{
    int64_t start_ms = loop_now_ms();
    struct sockaddr_storage first;

    set_servers(f, "nameserver 127.0.0.1#%u\n", f->server->port);
    ask(f, false);
    server_receive(f, f->server);
    first = f->server->client;
    /* Silence: once more, so that the answer to the first counts as well. */
    server_receive(f, f->server);
    g_assert_cmpint(loop_now_ms() - start_ms, >=, 1000);
    g_assert_cmpint(memcmp(&first, &f->server->client, f->server->client_len), ==, 0);
    server_answer(f->server, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

static void test_truncated_for_udp(Fixture *f, const void *unused)
{
    ask(f, false);
    server_receive(f, f->server);
    server_answer(f->server, DNS_FLAG_TC, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_cmphex(f->answer.header.flags & DNS_FLAG_TC, !=, 0);
}

/* The truncated answer has come: the same query by TCP. Returns: its socket. */
static int server_accept_tcp(Fixture *f)
{
    uint8_t buf[514];
    ssize_t n;
    int fd;

    while ((fd = accept4(f->server->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) <
           0) {
        iterate();
    }
    while ((n = recv(fd, buf, sizeof(buf), 0)) < 0) {
        iterate();
    }
    g_assert_cmpint(n, >, 2);
    g_assert_cmpint(buf[0] << 8 | buf[1], ==, n - 2);
    g_assert_true(dns_parse(buf + 2, n - 2, &f->server->query));
    return fd;
}

/* In two pieces. */
static void server_answer_tcp(Fixture *f, int fd)
{
    uint8_t buf[514];
    size_t len = server_build(f->server, buf + 2, 0, DNS_RCODE_NOERROR);

    buf[0] = len >> 8;
    buf[1] = len;
    g_assert_cmpint(send(fd, buf, 1, 0), ==, 1);
    g_main_context_iteration(NULL, FALSE);
    g_assert_cmpint(send(fd, buf + 1, len + 1, 0), ==, (ssize_t)len + 1);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmphex(f->answer.header.flags & DNS_FLAG_TC, ==, 0);
    g_assert_cmpuint(f->answer.header.id, ==, 4711);
    close(fd);
}

static void test_truncated_for_tcp(Fixture *f, const void *unused)
{
    ask(f, true);
    server_receive(f, f->server);
    server_answer(f->server, DNS_FLAG_TC, DNS_RCODE_NOERROR);
    server_answer_tcp(f, server_accept_tcp(f));
}

/* Sockets are few: not that of the server which has answered is given up. */
static void test_tcp_stays(Fixture *f, const void *unused)
{
    uint8_t buf[512];
    size_t len = build_query(buf);
    int fd;

    resolver_free(f->resolver);
    resolver_quota_free(f->quota);
    f->quota = resolver_quota_new(2);
    f->resolver = resolver_new(f->loop, f->conf, f->quota, on_answer, f);
    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                f->server[0].port, f->server[1].port);
    ask_before(f, true, 1000);
    server_receive(f, &f->server[0]);
    server_receive(f, &f->server[1]);
    server_answer(f->server, DNS_FLAG_TC, DNS_RCODE_NOERROR);
    fd = server_accept_tcp(f);
    g_assert_cmpuint(resolver_quota_used(f->quota), ==, 2);
    g_assert_true(resolver_query(f->resolver, 1, buf, len, false,
                                 loop_now_ms()));
    g_assert_cmpuint(resolver_quota_used(f->quota), ==, 2);
    server_answer_tcp(f, fd);
    g_assert_cmpuint(resolver_quota_used(f->quota), ==, 1);
}

typedef struct Count {
    unsigned n_failed;
} Count;

static void on_count(void *opaque, uint32_t token, const uint8_t *msg,
                     size_t len, int64_t now_ms)
{
    Count *count = opaque;

    g_assert_null(msg);
    count->n_failed++;
}

static void ask_many(Resolver *r, unsigned n)
{
    uint8_t buf[512];
    size_t len = build_query(buf);
    unsigned i;

    for (i = 0; i < n; i++) {
        g_assert_true(resolver_query(r, i, buf, len, false, loop_now_ms()));
    }
}

static void wait_failed(const Count *count, unsigned n)
{
    while (count->n_failed < n) {
        iterate();
    }
    g_assert_cmpuint(count->n_failed, ==, n);
}

/* The network with the most sockets gives; among equals nobody does. */
static void test_quota(Fixture *f, const void *unused)
{
    g_autoptr(ResolverQuota) quota = resolver_quota_new(4);
    Count many = { 0 }, few = { 0 };
    g_autoptr(Resolver) a = resolver_new(f->loop, f->conf, quota, on_count,
                                         &many);
    g_autoptr(Resolver) b = resolver_new(f->loop, f->conf, quota, on_count,
                                         &few);

    ask_many(a, 5);
    g_assert_cmpuint(resolver_quota_used(quota), ==, 4);
    wait_failed(&many, 1);
    ask_many(b, 2);
    g_assert_cmpuint(resolver_quota_used(quota), ==, 4);
    wait_failed(&many, 3);
    g_assert_cmpuint(few.n_failed, ==, 0);
    ask_many(b, 1);
    wait_failed(&few, 1);
    g_assert_cmpuint(many.n_failed, ==, 3);
    g_clear_pointer(&a, resolver_free);
    g_assert_cmpuint(resolver_quota_used(quota), ==, 2);
}

static void test_limit(Fixture *f, const void *unused)
{
    uint8_t buf[512];
    size_t len = build_query(buf);
    unsigned n = 0;

    while (resolver_query(f->resolver, n, buf, len, false, loop_now_ms())) {
        n++;
        g_assert_cmpuint(n, <=, 256);
    }
    g_assert_cmpuint(n, ==, 256);
    g_assert_false(resolver_query(f->resolver, 1, buf, 11, false, 0));
}

#define ADD(name, func) \
    g_test_add("/resolver/" name, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("answer", test_answer);
    ADD("ids-and-ports-differ", test_ids_and_ports_differ);
    ADD("forged-answers-are-passed-over", test_forged_answers_are_passed_over);
    ADD("next-server-when-refused", test_next_server_when_refused);
    ADD("slow-server-beside-a-dead-one", test_slow_server_beside_a_dead_one);
    ADD("silence-has-an-end", test_silence_has_an_end);
    ADD("all-servers-refuse", test_all_servers_refuse);
    ADD("next-server-after-servfail", test_next_server_after_servfail);
    ADD("next-server-after-a-second", test_next_server_after_a_second);
    ADD("truncated-for-udp", test_truncated_for_udp);
    ADD("truncated-for-tcp", test_truncated_for_tcp);
    ADD("tcp-stays", test_tcp_stays);
    ADD("limit", test_limit);
    ADD("quota", test_quota);
    return g_test_run();
}
