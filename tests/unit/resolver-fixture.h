/*
 * A resolver, and name servers on real sockets that answer as a test says
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_RESOLVER_FIXTURE_H
#define TESTS_UNIT_RESOLVER_FIXTURE_H

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include "proto/dns.h"
#include "uplink/resolver.h"

#define WAIT_S 20
#define N_SERVERS 3

typedef struct Server {
    uint16_t port;
    int udp, tcp;           /* both at @port */
    DnsMessage query;       /* that it got */
    struct sockaddr_storage client;
    socklen_t client_len;
} Server;

typedef struct Fixture {
    Loop *loop;
    ResolverQuota *quota;
    Resolver *resolver;
    char *dir, *conf;
    Server server[N_SERVERS];   /* resolv.conf has the first of them */
    unsigned n_answers;
    uint32_t token;
    bool failed;
    DnsMessage answer;
    size_t answer_len;
} Fixture;

static inline void on_answer(void *opaque, uint32_t token, const uint8_t *msg,
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

static inline int bind_to(int type, uint16_t *port)
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

/* A port at which nobody is: bound, and closed. */
static inline uint16_t dead_port(void)
{
    uint16_t port = 0;

    close(bind_to(SOCK_DGRAM, &port));
    return port;
}

static inline void set_servers(Fixture *f, const char *format, ...)
    G_GNUC_PRINTF(2, 3);
static inline void set_servers(Fixture *f, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_assert_true(g_file_set_contents(f->conf, text, -1, NULL));
}

static inline void server_start(Server *s)
{
    /* A port that is free for UDP may not be for TCP. */
    do {
        s->port = 0;
        s->udp = bind_to(SOCK_DGRAM, &s->port);
        s->tcp = bind_to(SOCK_STREAM, &s->port);
        if (s->tcp < 0) {
            close(s->udp);
        }
    } while (s->tcp < 0);
    g_assert_cmpint(listen(s->tcp, 8), ==, 0);
}

/* From now on nobody is at its port. */
static inline void server_stop(Server *s)
{
    close(s->udp);
    close(s->tcp);
    s->udp = s->tcp = -1;
}

static inline void set_up(Fixture *f, const void *unused)
{
    unsigned i;

    f->loop = loop_new(NULL, NULL);
    f->dir = g_dir_make_tmp("test-uplink-XXXXXX", NULL);
    f->conf = g_build_filename(f->dir, "resolv.conf", NULL);
    f->quota = resolver_quota_new(1024);
    f->resolver = resolver_new(f->loop, f->conf, f->quota, on_answer, f);
    for (i = 0; i < N_SERVERS; i++) {
        server_start(&f->server[i]);
    }
    set_servers(f, "nameserver 127.0.0.1#%u\n", f->server->port);
}

static inline void tear_down(Fixture *f, const void *unused)
{
    unsigned i;

    resolver_free(f->resolver);
    resolver_quota_free(f->quota);
    loop_free(f->loop);
    for (i = 0; i < N_SERVERS; i++) {
        if (f->server[i].udp >= 0) {
            server_stop(&f->server[i]);
        }
    }
    g_unlink(f->conf);
    g_rmdir(f->dir);
    g_free(f->conf);
    g_free(f->dir);
}

static inline gboolean too_long(gpointer unused)
{
    g_error("nothing happened within %d s", WAIT_S);
    return G_SOURCE_REMOVE;
}

static inline void iterate(void)
{
    guint watchdog = g_timeout_add_seconds(WAIT_S, too_long, NULL);

    g_main_context_iteration(NULL, TRUE);
    g_source_remove(watchdog);
}

static inline size_t build_query(uint8_t buf[512])
{
    DnsName name;

    g_assert_true(dns_name_from_text("www.example.com", &name));
    return dns_query_build(buf, 512, 4711, &name, DNS_TYPE_A, 0);
}

/* @age_ms: the query came so long ago: what waits for it is nearer */
static inline void ask_before(Fixture *f, bool by_tcp, int64_t age_ms)
{
    uint8_t buf[512];
    size_t len = build_query(buf);

    g_assert_true(resolver_query(f->resolver, 99, buf, len, by_tcp,
                                 loop_now_ms() - age_ms));
    g_assert_cmpuint(f->n_answers, ==, 0);
}

static inline void ask(Fixture *f, bool by_tcp)
{
    ask_before(f, by_tcp, 0);
}

static inline void server_receive(Fixture *f, Server *s)
{
    uint8_t buf[512];
    ssize_t n;

    s->client_len = sizeof(s->client);
    while ((n = recvfrom(s->udp, buf, sizeof(buf), 0,
                         (struct sockaddr *)&s->client,
                         &s->client_len)) < 0) {
        iterate();
    }
    g_assert_true(dns_parse(buf, n, &s->query));
}

static inline size_t server_build(Server *s, uint8_t buf[512], uint16_t flags,
                                  DnsRcode rcode)
{
    IpAddr addr = ip_addr_v4(0xc0000250);
    DnsBuilder b;

    dns_reply_begin(&b, buf, 512, &s->query, DNS_FLAG_RA | flags, rcode, 1232);
    if (rcode == DNS_RCODE_NOERROR) {
        dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 60, &addr);
    }
    return dns_reply_finish(&b);
}

static inline void server_send(Server *s, const uint8_t *msg, size_t len)
{
    g_assert_cmpint(sendto(s->udp, msg, len, 0, (struct sockaddr *)&s->client,
                           s->client_len), ==, (ssize_t)len);
}

static inline void server_answer(Server *s, uint16_t flags, DnsRcode rcode)
{
    uint8_t buf[512];

    server_send(s, buf, server_build(s, buf, flags, rcode));
}

static inline void wait_answer(Fixture *f)
{
    while (f->n_answers == 0) {
        iterate();
    }
    g_assert_cmpuint(f->n_answers, ==, 1);
    g_assert_cmpuint(f->token, ==, 99);
}

#endif
