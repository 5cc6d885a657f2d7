/*
 * A resolver with several name servers: slow, dead and unwilling ones
 *
 * A test says how old its query is, so that the next server's second is over
 * sooner; what is dead or silent is so for good.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "resolver-fixture.h"

#include "limits.h"

/* Of the second that a server has before the next is asked, what is left. */
#define ALMOST_NEXT_MS 900
#define ALMOST_OVER_MS 3900

static void use_servers(Fixture *f, unsigned n)
{
    if (n == 2) {
        set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                    f->server[0].port, f->server[1].port);
    } else {
        set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n"
                    "nameserver 127.0.0.1#%u\n", f->server[0].port,
                    f->server[1].port, f->server[2].port);
    }
}

/* What is on its way has been looked at; it was no answer. */
static void expect_no_answer(Fixture *f)
{
    /* The kernel has put it into the resolver's socket within sendto(). */
    while (g_main_context_iteration(NULL, FALSE)) {
        /* again */
    }
    g_assert_cmpuint(f->n_answers, ==, 0);
}

static void expect_rcode(Fixture *f, DnsRcode rcode)
{
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmpuint(f->answer.header.id, ==, 4711);
    g_assert_cmpint(dns_rcode(f->answer.header.flags), ==, rcode);
}

/* Two healthy servers that need more than a second: the first's counts. */
static void test_both_slow_first_answers(Fixture *f, const void *unused)
{
    use_servers(f, 2);
    ask_before(f, false, ALMOST_NEXT_MS);
    server_receive(f, &f->server[0]);
    server_receive(f, &f->server[1]);
    server_answer(&f->server[0], 0, DNS_RCODE_NOERROR);
    expect_rcode(f, DNS_RCODE_NOERROR);
}

static void test_both_slow_second_answers(Fixture *f, const void *unused)
{
    use_servers(f, 2);
    ask_before(f, false, ALMOST_NEXT_MS);
    server_receive(f, &f->server[0]);
    server_receive(f, &f->server[1]);
    server_answer(&f->server[1], 0, DNS_RCODE_NXDOMAIN);
    expect_rcode(f, DNS_RCODE_NXDOMAIN);
    /* The other's comes too late, and to nobody. */
    server_answer(&f->server[0], 0, DNS_RCODE_NOERROR);
    while (g_main_context_iteration(NULL, FALSE)) {
        /* again */
    }
    g_assert_cmpuint(f->n_answers, ==, 1);
}

/* All three are asked, one a second, and then the first again, as it was. */
static void test_three_slow(Fixture *f, const void *unused)
{
    struct sockaddr_storage first;

    use_servers(f, 3);
    ask_before(f, false, ALMOST_NEXT_MS);
    server_receive(f, &f->server[0]);
    first = f->server[0].client;
    server_receive(f, &f->server[1]);
    server_receive(f, &f->server[2]);
    server_receive(f, &f->server[0]);
    g_assert_cmpmem(&first, f->server[0].client_len, &f->server[0].client,
                    f->server[0].client_len);
    server_answer(&f->server[1], 0, DNS_RCODE_NOERROR);
    expect_rcode(f, DNS_RCODE_NOERROR);
}

/* Who answered last is asked first, though it is not the first of the file. */
static void test_who_helped_is_first(Fixture *f, const void *unused)
{
    test_both_slow_second_answers(f, NULL);
    f->n_answers = 0;
    ask(f, false);
    server_receive(f, &f->server[1]);
    server_answer(&f->server[1], 0, DNS_RCODE_NOERROR);
    expect_rcode(f, DNS_RCODE_NOERROR);
}

static void test_unwilling_waits_for_slow(Fixture *f, const void *rcode)
{
    use_servers(f, 2);
    ask_before(f, false, ALMOST_NEXT_MS);
    server_receive(f, &f->server[0]);
    server_receive(f, &f->server[1]);
    server_answer(&f->server[1], 0, GPOINTER_TO_INT(rcode));
    expect_no_answer(f);
    server_answer(&f->server[0], 0, DNS_RCODE_NOERROR);
    expect_rcode(f, DNS_RCODE_NOERROR);
}

/* The unwilling one is asked first: the next at once, not a second later. */
static void test_unwilling_then_next_at_once(Fixture *f, const void *rcode)
{
    int64_t start_ms = loop_now_ms();

    use_servers(f, 3);
    ask(f, false);
    server_receive(f, &f->server[0]);
    server_answer(&f->server[0], 0, GPOINTER_TO_INT(rcode));
    server_receive(f, &f->server[1]);
    server_answer(&f->server[1], 0, GPOINTER_TO_INT(rcode));
    server_receive(f, &f->server[2]);
    g_assert_cmpint(loop_now_ms() - start_ms, <, 1000);
    server_answer(&f->server[2], 0, DNS_RCODE_NOERROR);
    expect_rcode(f, DNS_RCODE_NOERROR);
}

/* Nobody helps: what was said last is told, as soon as nobody is left. */
static void test_all_unwilling(Fixture *f, const void *unused)
{
    int64_t start_ms = loop_now_ms();

    use_servers(f, 3);
    ask(f, false);
    server_receive(f, &f->server[0]);
    server_answer(&f->server[0], 0, DNS_RCODE_SERVFAIL);
    server_receive(f, &f->server[1]);
    server_answer(&f->server[1], 0, DNS_RCODE_NOTIMP);
    server_receive(f, &f->server[2]);
    server_answer(&f->server[2], 0, DNS_RCODE_REFUSED);
    expect_rcode(f, DNS_RCODE_REFUSED);
    g_assert_cmpint(loop_now_ms() - start_ms, <, 1000);
}

/* ... and when the other is silent, at the end. */
static void test_unwilling_and_silent(Fixture *f, const void *unused)
{
    use_servers(f, 2);
    ask_before(f, false, ALMOST_OVER_MS);
    server_receive(f, &f->server[0]);
    server_answer(&f->server[0], 0, DNS_RCODE_REFUSED);
    expect_rcode(f, DNS_RCODE_REFUSED);
}

/* A dead one has said nothing: the unwilling one's word is the answer. */
static void test_unwilling_and_dead(Fixture *f, const void *unused)
{
    server_stop(&f->server[1]);
    use_servers(f, 2);
    ask(f, false);
    server_receive(f, &f->server[0]);
    server_answer(&f->server[0], 0, DNS_RCODE_SERVFAIL);
    expect_rcode(f, DNS_RCODE_SERVFAIL);
}

/* Dies as it is waited for, beside one that is slow. */
static void test_dead_beside_slow(Fixture *f, const void *unused)
{
    server_stop(&f->server[1]);
    use_servers(f, 3);
    ask_before(f, false, ALMOST_NEXT_MS);
    server_receive(f, &f->server[0]);
    /* The second is not there: the third has its turn at once. */
    server_receive(f, &f->server[2]);
    expect_no_answer(f);
    server_answer(&f->server[0], 0, DNS_RCODE_NOERROR);
    expect_rcode(f, DNS_RCODE_NOERROR);
}

static void test_all_dead(Fixture *f, const void *unused)
{
    int64_t start_ms = loop_now_ms();
    unsigned i;

    for (i = 0; i < N_SERVERS; i++) {
        server_stop(&f->server[i]);
    }
    use_servers(f, 3);
    ask(f, false);
    wait_answer(f);
    g_assert_true(f->failed);
    g_assert_cmpint(loop_now_ms() - start_ms, <, 1000);
}

/* A connection that the one server keeps waiting costs the other nothing. */
static void test_slow_tcp_beside_udp(Fixture *f, const void *unused)
{
    int fd;

    use_servers(f, 2);
    ask_before(f, true, ALMOST_NEXT_MS);
    server_receive(f, &f->server[0]);
    server_receive(f, &f->server[1]);
    server_answer(&f->server[0], DNS_FLAG_TC, DNS_RCODE_NOERROR);
    while ((fd = accept4(f->server[0].tcp, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        iterate();
    }
    server_answer(&f->server[1], 0, DNS_RCODE_NOERROR);
    expect_rcode(f, DNS_RCODE_NOERROR);
    g_assert_cmphex(f->answer.header.flags & DNS_FLAG_TC, ==, 0);
    close(fd);
}

/* Other servers while a query waits: they are asked, from the beginning. */
static void test_servers_change(Fixture *f, const void *unused)
{
    use_servers(f, 2);
    ask_before(f, false, ALMOST_NEXT_MS);
    server_receive(f, &f->server[0]);
    set_servers(f, "# another\nnameserver 127.0.0.1#%u\n", f->server[2].port);
    server_receive(f, &f->server[2]);
    server_answer(&f->server[2], 0, DNS_RCODE_NOERROR);
    expect_rcode(f, DNS_RCODE_NOERROR);
}

static unsigned count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir)) {
        n++;
    }
    return n;
}

/* Queries to silent servers, more than there are sockets for two of each. */
static void test_silent_servers_and_sockets(Fixture *f, const void *unused)
{
    unsigned before = count_fds(), n = LIMIT_DNS_SOCKETS * 3 / 4, i;

    use_servers(f, 2);
    for (i = 0; i < n; i++) {
        ask_before(f, false, 1000);
    }
    for (i = 0; i < n; i++) {
        server_receive(f, &f->server[1]);
    }
    g_assert_cmpuint(count_fds(), <=, before + LIMIT_DNS_SOCKETS);

    /* The last answer that is waited for, and a new query, which has a socket. */
    server_answer(&f->server[1], 0, DNS_RCODE_NOERROR);
    expect_rcode(f, DNS_RCODE_NOERROR);
    f->n_answers = 0;
    ask(f, false);
    server_receive(f, &f->server[1]);
    g_assert_cmpuint(count_fds(), <=, before + LIMIT_DNS_SOCKETS);
    server_answer(&f->server[1], 0, DNS_RCODE_NXDOMAIN);
    expect_rcode(f, DNS_RCODE_NXDOMAIN);
}

/* A query that has no socket yet takes one of a query that has two. */
static void test_new_query_has_a_socket(Fixture *f, const void *unused)
{
    unsigned before = count_fds(), n = LIMIT_DNS_SOCKETS / 2, i;

    use_servers(f, 2);
    for (i = 0; i < n; i++) {
        ask_before(f, false, 1000);
    }
    for (i = 0; i < n; i++) {
        server_receive(f, &f->server[1]);
    }
    g_assert_cmpuint(count_fds(), ==, before + LIMIT_DNS_SOCKETS);
    for (i = 0; i < n; i++) {
        server_receive(f, &f->server[0]);
    }
    ask(f, false);
    server_receive(f, &f->server[0]);
    g_assert_cmpuint(count_fds(), ==, before + LIMIT_DNS_SOCKETS);
    server_answer(&f->server[0], 0, DNS_RCODE_NXDOMAIN);
    expect_rcode(f, DNS_RCODE_NXDOMAIN);
}

#define ADD(name, func, data) \
    g_test_add("/resolver-servers/" name, Fixture, data, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("both-slow/first-answers", test_both_slow_first_answers, NULL);
    ADD("both-slow/second-answers", test_both_slow_second_answers, NULL);
    ADD("three-slow", test_three_slow, NULL);
    ADD("who-helped-is-first", test_who_helped_is_first, NULL);
    ADD("servfail-waits-for-slow", test_unwilling_waits_for_slow,
        GINT_TO_POINTER(DNS_RCODE_SERVFAIL));
    ADD("refused-waits-for-slow", test_unwilling_waits_for_slow,
        GINT_TO_POINTER(DNS_RCODE_REFUSED));
    ADD("notimp-waits-for-slow", test_unwilling_waits_for_slow,
        GINT_TO_POINTER(DNS_RCODE_NOTIMP));
    ADD("servfail-then-next-at-once", test_unwilling_then_next_at_once,
        GINT_TO_POINTER(DNS_RCODE_SERVFAIL));
    ADD("all-unwilling", test_all_unwilling, NULL);
    ADD("unwilling-and-silent", test_unwilling_and_silent, NULL);
    ADD("unwilling-and-dead", test_unwilling_and_dead, NULL);
    ADD("dead-beside-slow", test_dead_beside_slow, NULL);
    ADD("all-dead", test_all_dead, NULL);
    ADD("slow-tcp-beside-udp", test_slow_tcp_beside_udp, NULL);
    ADD("servers-change", test_servers_change, NULL);
    ADD("silent-servers-and-sockets", test_silent_servers_and_sockets, NULL);
    ADD("new-query-has-a-socket", test_new_query_has_a_socket, NULL);
    return g_test_run();
}
