/*
 * Each errno of the host's sockets, as what a guest gets for it
 *
 *   Nat --> connect(), getsockopt(SO_ERROR), sendmsg() of this file, which fail
 *
 * The expectations are written out here once more: a row of the table without
 * one, or with another one, fails.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat-guest.h"
#include <netinet/ip_icmp.h>
#include <sys/syscall.h>
#include "nat/errors.h"

typedef struct Expected {
    int errnum;
    NatErrorTcp tcp;
    uint8_t v4_code, v6_code;
} Expected;

/* In the order of the table. */
static const Expected expected[] = {
    { ECONNREFUSED, NAT_ERROR_RST, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT },
    { ECONNRESET, NAT_ERROR_RST, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT },
    { ECONNABORTED, NAT_ERROR_RST, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT },
    { EPIPE, NAT_ERROR_RST, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH_NOPORT },
    { ETIMEDOUT, NAT_ERROR_ICMP, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR },
    { EHOSTUNREACH, NAT_ERROR_ICMP, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR },
    { EHOSTDOWN, NAT_ERROR_ICMP, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR },
    { ENONET, NAT_ERROR_ICMP, ICMP_HOST_ISOLATED, ICMP6_DST_UNREACH_ADDR },
    { ENETUNREACH, NAT_ERROR_ICMP, ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE },
    { ENETDOWN, NAT_ERROR_ICMP, ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE },
    { EADDRNOTAVAIL, NAT_ERROR_ICMP, ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE },
    { EAFNOSUPPORT, NAT_ERROR_ICMP, ICMP_NET_UNREACH, ICMP6_DST_UNREACH_NOROUTE },
    { EACCES, NAT_ERROR_ICMP, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADMIN },
    { EPERM, NAT_ERROR_ICMP, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH_ADMIN },
    { ENOPROTOOPT, NAT_ERROR_ICMP, ICMP_PROT_UNREACH, ICMP6_DST_UNREACH_NOPORT },
    { EPROTO, NAT_ERROR_ICMP, ICMP_PROT_UNREACH, ICMP6_DST_UNREACH_NOPORT },
    { EOPNOTSUPP, NAT_ERROR_ICMP, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR },
    { EMFILE, NAT_ERROR_SILENT, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR },
    { ENFILE, NAT_ERROR_SILENT, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR },
    { ENOMEM, NAT_ERROR_SILENT, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR },
    { ENOBUFS, NAT_ERROR_SILENT, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR },
    { EAGAIN, NAT_ERROR_SILENT, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR },
};

/* An errno that the table has not. */
static const Expected other = {
    ENOTTY, NAT_ERROR_RST, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH_ADDR
};

static struct {
    int at_connect, at_so_error, at_send;
} faults;

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (faults.at_connect) {
        errno = faults.at_connect;
        return -1;
    }
    return syscall(SYS_connect, fd, addr, len);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    if (faults.at_so_error && level == SOL_SOCKET && name == SO_ERROR) {
        memcpy(value, &faults.at_so_error, sizeof(int));
        return 0;
    }
    return syscall(SYS_getsockopt, fd, level, name, value, len);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (faults.at_send) {
        errno = faults.at_send;
        return -1;
    }
    return syscall(SYS_sendmsg, fd, msg, flags);
}

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
    if (faults.at_send) {
        errno = faults.at_send;
        return -1;
    }
    return syscall(SYS_sendmmsg, fd, msgs, n, flags);
}

/* ---- what the guest gets ---- */

static void expect_rst(Guest *g)
{
    TcpHeader tcp;
    g_autoptr(GuestFrame) f = guest_get_tcp(g, &tcp);

    g_assert_cmphex(tcp.flags, ==, TCP_RST | TCP_ACK);
    g_assert_true(ip_addr_equal(&f->ip.src, &g->outside));
    g_assert_cmpuint(tcp.sport, ==, g->dport);
    g_assert_cmpuint(tcp.dport, ==, g->sport);
    g_assert_cmpuint(tcp.seq, ==, 0);
    g_assert_cmpuint(tcp.ack, ==, g->seq);
    g_assert_cmpuint(tcp.payload_len, ==, 0);
}

/* From the gateway, about what the guest sent. */
static void expect_icmp(Guest *g, const Expected *e, uint8_t proto)
{
    bool v4 = g->family == AF_INET;
    IpAddr gateway = guest_gateway(g, g->family);
    g_autoptr(GuestFrame) f = guest_get(g);
    const uint8_t *icmp_bytes = f->data + 14 + (v4 ? 20 : 40);
    IcmpMessage icmp;
    IcmpQuote quote;

    g_assert_cmpuint(icmp_bytes[0], ==, v4 ? 3 : 1);
    g_assert_cmpuint(icmp_bytes[1], ==, v4 ? e->v4_code : e->v6_code);
    g_assert_true(icmp_parse(&f->frame, &f->ip, &icmp));
    g_assert_cmpuint(icmp.rest, ==, 0);
    g_assert_true(ip_addr_equal(&f->ip.src, &gateway));
    g_assert_true(ip_addr_equal(&f->ip.dst, &g->addr));
    g_assert_true(icmp_quote_parse(&f->frame, &f->ip, &icmp, &quote));
    g_assert_cmpuint(quote.proto, ==, proto);
    g_assert_true(ip_addr_equal(&quote.src, &g->addr));
    g_assert_true(ip_addr_equal(&quote.dst, &g->outside));
    g_assert_cmpuint(quote.sport, ==, g->sport);
    g_assert_cmpuint(quote.dport, ==, g->dport);
    if (proto == IPPROTO_TCP) {
        g_assert_cmpuint(quote.seq, ==, g->seq - 1);
    }
}

static void expect_tcp_failure(Guest *g, const Expected *e)
{
    NatStats stats;

    switch (e->tcp) {
    case NAT_ERROR_SILENT:
        break;
    case NAT_ERROR_RST:
        expect_rst(g);
        break;
    case NAT_ERROR_ICMP:
        expect_icmp(g, e, IPPROTO_TCP);
        break;
    }
    guest_expect_nothing(g);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.tcp_flows, ==, 0);
}

/* ---- where the errno comes from ---- */

static void syn(Guest *g, uint16_t port)
{
    g->sport++;
    g->dport = port;
    guest_tcp(g, TCP_SYN, NULL, 0);
}

static void fail_at_connect(Guest *g, const Expected *e)
{
    faults.at_connect = e->errnum;
    syn(g, 80);
    faults.at_connect = 0;
    expect_tcp_failure(g, e);
}

/* A port that refuses: what the socket says then is this file's. */
static void fail_later(Guest *g, const Expected *e)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_STREAM, &port);
    NatStats stats;

    faults.at_so_error = e->errnum;
    syn(g, port);
    do {
        guest_iterate(g);
        nat_stats(g->nat, &stats);
    } while (stats.tcp_flows);
    faults.at_so_error = 0;
    expect_tcp_failure(g, e);
    close(fd);
}

static void fail_datagram(Guest *g, const Expected *e)
{
    IpHeaders headers = guest_headers(g);
    uint8_t buf[UDP_HEADROOM + 1];

    g->dport = 9;
    g_assert_cmpint(guest_input(g, buf, udp_build(buf, sizeof(buf), &headers,
                                                  g->sport, g->dport, "x", 1)),
                    ==, NAT_OK);
    faults.at_send = e->errnum;
    guest_flush(g);
    faults.at_send = 0;
    if (e->tcp != NAT_ERROR_SILENT) {
        expect_icmp(g, e, IPPROTO_UDP);
    }
    guest_expect_nothing(g);
}

/* ---- the rows ---- */

static void test_rows(void)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(expected); i++) {
        const NatError *row = nat_error_row(i);

        g_assert_nonnull(row);
        g_assert_true(nat_error_find(row->errnum) == row);
        g_assert_cmpint(row->errnum, ==, expected[i].errnum);
        g_assert_cmpint(row->tcp, ==, expected[i].tcp);
    }
    g_assert_null(nat_error_row(i));
}

typedef struct Case {
    void (*fail)(Guest *g, const Expected *e);
    sa_family_t family;
} Case;

static void run(gconstpointer data)
{
    const Case *c = data;
    GuestPath path = { .family = c->family };
    g_autoptr(Guest) g = guest_new(&path);
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_test_message("%s", g_strerror(expected[i].errnum));
        c->fail(g, &expected[i]);
    }
    c->fail(g, &other);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        Case c;
    } cases[] = {
        { "/nat-errors/v4/connect", { fail_at_connect, AF_INET } },
        { "/nat-errors/v6/connect", { fail_at_connect, AF_INET6 } },
        { "/nat-errors/v4/later", { fail_later, AF_INET } },
        { "/nat-errors/v6/later", { fail_later, AF_INET6 } },
        { "/nat-errors/v4/datagram", { fail_datagram, AF_INET } },
        { "/nat-errors/v6/datagram", { fail_datagram, AF_INET6 } },
    };
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nat-errors/rows", test_rows);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_add_data_func(cases[i].name, &cases[i].c, run);
    }
    return g_test_run();
}
