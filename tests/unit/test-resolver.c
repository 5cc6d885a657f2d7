/*
 * The resolver, asked through real sockets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include "proto/dns.h"
#include "uplink/resolver.h"

#define WAIT_S 20

typedef struct Fixture {
    Loop *loop;
    Resolver *resolver;
    char *dir, *conf;
    uint16_t port;
    int udp, tcp;           /* the name server, both at @port */
    DnsMessage query;       /* that it got */
    struct sockaddr_storage client;
    socklen_t client_len;
    unsigned n_answers;
    uint32_t token;
    bool failed;
    DnsMessage answer;
    size_t answer_len;
} Fixture;

static void on_answer(void *opaque, uint32_t token, const uint8_t *msg,
                      size_t len, int64_t now_ms)
{
    Fixture *f = opaque;

    f->n_answers++;
    f->token = token;
    f->failed = !msg;
    f->answer_len = len;
    if (msg) {
        g_assert_true(dns_parse(msg, len, &f->answer));
    }
}

static int bind_to(int type, uint16_t *port)
{
    IpEndpoint at = { ip_addr_v4(INADDR_LOOPBACK), *port };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&at, &ss);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (bind(fd, (struct sockaddr *)&ss, len) < 0) {
        close(fd);
        return -1;
    }
    len = sizeof(ss);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&ss, &len), ==, 0);
    ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, &at);
    *port = at.port;
    return fd;
}

static void set_servers(Fixture *f, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void set_servers(Fixture *f, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_assert_true(g_file_set_contents(f->conf, text, -1, NULL));
}

static void set_up(Fixture *f, const void *unused)
{
    f->loop = loop_new(NULL, NULL);
    f->dir = g_dir_make_tmp("test-uplink-XXXXXX", NULL);
    f->conf = g_build_filename(f->dir, "resolv.conf", NULL);
    f->resolver = resolver_new(f->loop, f->conf, on_answer, f);
    /* A port that is free for UDP may not be for TCP. */
    do {
        f->port = 0;
        f->udp = bind_to(SOCK_DGRAM, &f->port);
        f->tcp = bind_to(SOCK_STREAM, &f->port);
        if (f->tcp < 0) {
            close(f->udp);
        }
    } while (f->tcp < 0);
    g_assert_cmpint(listen(f->tcp, 8), ==, 0);
    set_servers(f, "nameserver 127.0.0.1#%u\n", f->port);
}

static void tear_down(Fixture *f, const void *unused)
{
    resolver_free(f->resolver);
    loop_free(f->loop);
    close(f->udp);
    close(f->tcp);
    g_unlink(f->conf);
    g_rmdir(f->dir);
    g_free(f->conf);
    g_free(f->dir);
}

static gboolean too_long(gpointer unused)
{
    g_error("nothing happened within %d s", WAIT_S);
    return G_SOURCE_REMOVE;
}

static void iterate(void)
{
    guint watchdog = g_timeout_add_seconds(WAIT_S, too_long, NULL);

    g_main_context_iteration(NULL, TRUE);
    g_source_remove(watchdog);
}

static size_t build_query(uint8_t buf[512])
{
    DnsName name;

    g_assert_true(dns_name_from_text("www.example.com", &name));
    return dns_query_build(buf, 512, 4711, &name, DNS_TYPE_A, 0);
}

static void ask(Fixture *f, bool by_tcp)
{
    uint8_t buf[512];
    size_t len = build_query(buf);

    g_assert_true(resolver_query(f->resolver, 99, buf, len, by_tcp,
                                 loop_now_ms()));
    g_assert_cmpuint(f->n_answers, ==, 0);
}

static void server_receive(Fixture *f)
{
    uint8_t buf[512];
    ssize_t n;

    f->client_len = sizeof(f->client);
    while ((n = recvfrom(f->udp, buf, sizeof(buf), 0,
                         (struct sockaddr *)&f->client,
                         &f->client_len)) < 0) {
        iterate();
    }
    g_assert_true(dns_parse(buf, n, &f->query));
}

static size_t server_build(Fixture *f, uint8_t buf[512], uint16_t flags,
                           DnsRcode rcode)
{
    IpAddr addr = ip_addr_v4(0xc0000250);
    DnsBuilder b;

    dns_reply_begin(&b, buf, 512, &f->query, DNS_FLAG_RA | flags, rcode, 1232);
    if (rcode == DNS_RCODE_NOERROR) {
        dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 60, &addr);
    }
    return dns_reply_finish(&b);
}

static void server_send(Fixture *f, const uint8_t *msg, size_t len)
{
    g_assert_cmpint(sendto(f->udp, msg, len, 0, (struct sockaddr *)&f->client,
                           f->client_len), ==, (ssize_t)len);
}

static void server_answer(Fixture *f, uint16_t flags, DnsRcode rcode)
{
    uint8_t buf[512];

    server_send(f, buf, server_build(f, buf, flags, rcode));
}

static void wait_answer(Fixture *f)
{
    while (f->n_answers == 0) {
        iterate();
    }
    g_assert_cmpuint(f->n_answers, ==, 1);
    g_assert_cmpuint(f->token, ==, 99);
}

static void test_answer(Fixture *f, const void *unused)
{
    ask(f, false);
    server_receive(f);
    server_answer(f, 0, DNS_RCODE_NOERROR);
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
        server_receive(f);
        ip_endpoint_from_sockaddr((struct sockaddr *)&f->client, f->client_len,
                                  &client);
        ports[i] = client.port;
        ids[i] = f->query.header.id;
    }
    g_assert_true(ports[0] != ports[1] || ids[0] != ids[1]);
}

static void test_forged_answers_are_passed_over(Fixture *f, const void *unused)
{
    DnsName name;
    uint8_t buf[512];
    size_t len;

    ask(f, false);
    server_receive(f);

    /* Another id. */
    len = server_build(f, buf, 0, DNS_RCODE_NOERROR);
    dns_set_id(buf, f->query.header.id ^ 1);
    server_send(f, buf, len);
    /* A query, not an answer. */
    g_assert_true(dns_name_from_text("www.example.com", &name));
    len = dns_query_build(buf, sizeof(buf), f->query.header.id, &name,
                          DNS_TYPE_A, 0);
    server_send(f, buf, len);
    /* Another question. */
    {
        DnsMessage right = f->query;

        g_assert_true(dns_name_from_text("www.example.net", &f->query.qname));
        len = server_build(f, buf, 0, DNS_RCODE_NOERROR);
        server_send(f, buf, len);
        f->query = right;
    }
    /* Cut. */
    len = server_build(f, buf, 0, DNS_RCODE_NOERROR);
    server_send(f, buf, len - 1);
    server_send(f, buf, 3);

    server_answer(f, 0, DNS_RCODE_NXDOMAIN);
    wait_answer(f);
    g_assert_cmpint(dns_rcode(f->answer.header.flags), ==, DNS_RCODE_NXDOMAIN);
}

/* A port at which nobody is: bound, and closed. */
static uint16_t dead_port(void)
{
    uint16_t port = 0;

    close(bind_to(SOCK_DGRAM, &port));
    return port;
}

static void test_next_server_when_refused(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                dead_port(), f->port);
    ask(f, false);
    server_receive(f);
    server_answer(f, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

/* One that is not there takes no time from one that is slow. */
static void test_slow_server_beside_a_dead_one(Fixture *f, const void *unused)
{
    struct sockaddr_storage first;

    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                dead_port(), f->port);
    ask(f, false);
    server_receive(f);
    first = f->client;
    server_receive(f);
    g_assert_cmpint(memcmp(&first, &f->client, f->client_len), ==, 0);
    server_answer(f, 0, DNS_RCODE_NOERROR);
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
                f->port, f->port);
    ask(f, false);
    server_receive(f);
    server_answer(f, 0, DNS_RCODE_SERVFAIL);
    server_receive(f);
    /* The last one's word counts. */
    server_answer(f, 0, DNS_RCODE_SERVFAIL);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmpint(dns_rcode(f->answer.header.flags), ==, DNS_RCODE_SERVFAIL);
}

static void test_next_server_after_a_second(Fixture *f, const void *unused)
{
    int64_t start_ms = loop_now_ms();
    struct sockaddr_storage first;

    set_servers(f, "nameserver 127.0.0.1#%u\n", f->port);
    ask(f, false);
    server_receive(f);
    first = f->client;
    /* Silence: once more, so that the answer to the first counts as well. */
    server_receive(f);
    g_assert_cmpint(loop_now_ms() - start_ms, >=, 1000);
    g_assert_cmpint(memcmp(&first, &f->client, f->client_len), ==, 0);
    server_answer(f, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

static void test_truncated_for_udp(Fixture *f, const void *unused)
{
    ask(f, false);
    server_receive(f);
    server_answer(f, DNS_FLAG_TC, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_cmphex(f->answer.header.flags & DNS_FLAG_TC, !=, 0);
}

static void test_truncated_for_tcp(Fixture *f, const void *unused)
{
    uint8_t buf[514];
    size_t len;
    ssize_t n;
    int fd;

    ask(f, true);
    server_receive(f);
    server_answer(f, DNS_FLAG_TC, DNS_RCODE_NOERROR);
    while ((fd = accept4(f->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) <
           0) {
        iterate();
    }
    while ((n = recv(fd, buf, sizeof(buf), 0)) < 0) {
        iterate();
    }
    g_assert_cmpint(buf[0] << 8 | buf[1], ==, n - 2);
    g_assert_true(dns_parse(buf + 2, n - 2, &f->query));

    len = server_build(f, buf + 2, 0, DNS_RCODE_NOERROR);
    buf[0] = len >> 8;
    buf[1] = len;
    /* In two pieces. */
    g_assert_cmpint(send(fd, buf, 1, 0), ==, 1);
    g_main_context_iteration(NULL, FALSE);
    g_assert_cmpint(send(fd, buf + 1, len + 1, 0), ==, (ssize_t)len + 1);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmphex(f->answer.header.flags & DNS_FLAG_TC, ==, 0);
    g_assert_cmpuint(f->answer.header.id, ==, 4711);
    close(fd);
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
    ADD("limit", test_limit);
    return g_test_run();
}
