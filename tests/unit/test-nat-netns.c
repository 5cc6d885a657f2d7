/*
 * What depends on the host's network: packets that are too big for a link, echo
 * by ping sockets, and strangers, who need an address of their own
 *
 *   Guest --> Nat --> lo of a network namespace: MTU 1300, pings allowed, and
 *                     STRANGER6 beside ::1
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <linux/ipv6.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include "nat-guest.h"

#define LINK_MTU 1300
#define STRANGER4 "127.0.0.2"
#define STRANGER6 "2001:db8:2::2"

static const char *no_namespace;

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* An address is tentative until the kernel's worker has looked at it. */
static bool can_be_bound(const IpAddr *addr)
{
    struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_addr = addr->v6 };
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int64_t end_us = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
    bool ok;

    g_assert_cmpint(fd, >=, 0);
    while (!(ok = bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == 0) &&
           errno == EADDRNOTAVAIL && g_get_monotonic_time() < end_us) {
        g_usleep(1000);
    }
    close(fd);
    return ok;
}

static bool add_stranger6(void)
{
    struct in6_ifreq request = { .ifr6_prefixlen = 128 };
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok;
    IpAddr addr;

    g_assert_cmpint(fd, >=, 0);
    g_assert_true(ip_addr_parse(STRANGER6, &addr));
    request.ifr6_addr = addr.v6;
    request.ifr6_ifindex = if_nametoindex("lo");
    ok = ioctl(fd, SIOCSIFADDR, &request) == 0;
    close(fd);
    return ok && can_be_bound(&addr);
}

/* Our groups are those that may ping. Returns: (nullable): what did not work */
static const char *make_namespace(void)
{
    struct ifreq request = { .ifr_name = "lo" };
    int fd;
    bool ok;

    if (unshare(CLONE_NEWNET) < 0) {
        return "needs root for network namespaces";
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(fd, >=, 0);
    request.ifr_flags = IFF_UP;
    ok = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    request.ifr_mtu = LINK_MTU;
    ok = ok && ioctl(fd, SIOCSIFMTU, &request) == 0;
    close(fd);
    if (!ok || !add_stranger6()) {
        return "needs a loopback interface that takes an address";
    }
    return write_text("/proc/sys/net/ipv4/ping_group_range",
                            "0 2147483647") ? NULL : "needs a /proc/sys";
}

/* A datagram of @len bytes; over IPv4 the host may fragment it or not. */
static void input_udp(Guest *g, uint16_t dport, size_t len, bool dont_fragment)
{
    static uint8_t payload[4096], buf[UDP_HEADROOM + sizeof(payload)];
    IpHeaders headers = guest_headers(g);
    size_t n;

    headers.dont_fragment = dont_fragment;
    n = udp_build(buf, sizeof(buf), &headers, 5000, dport, payload, len);
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpint(guest_input(g, buf, n), ==, NAT_OK);
}

static void send_udp(Guest *g, uint16_t dport, size_t len, bool dont_fragment)
{
    input_udp(g, dport, len, dont_fragment);
    guest_flush(g);
}

static GuestFrame *get_icmp(Guest *g, IcmpMessage *ret_icmp)
{
    GuestFrame *f = guest_get(g);

    g_assert_true(icmp_parse(&f->frame, &f->ip, ret_icmp));
    return f;
}

/* The guest learns the MTU of the link that its datagram does not fit. */
static void test_too_big(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    bool v4 = g->family == AF_INET;
    char buf[2000];
    unsigned i;

    for (i = 0; i < 2; i++) {       /* known to the socket by the second one */
        g_autoptr(GuestFrame) f = NULL;
        IcmpMessage icmp;
        IcmpQuote quote;

        send_udp(g, port, 1400, true);
        f = get_icmp(g, &icmp);
        g_assert_cmpuint(icmp.type, ==, v4 ? ICMP_DEST_UNREACH
                                           : ICMP6_PACKET_TOO_BIG);
        g_assert_cmpuint(icmp.code, ==, v4 ? ICMP_FRAG_NEEDED : 0);
        g_assert_cmpuint(icmp.rest, ==, LINK_MTU);
        g_assert_true(icmp_quote_parse(&f->frame, &f->ip, &icmp, &quote));
        g_assert_true(ip_addr_equal(&quote.src, &g->addr));
        g_assert_true(ip_addr_equal(&quote.dst, &g->outside));
        g_assert_cmpuint(quote.sport, ==, 5000);
        g_assert_cmpuint(quote.dport, ==, port);
        guest_expect_nothing(g);
    }
    send_udp(g, port, 1200, true);
    g_assert_cmpint(recv(fd, buf, sizeof(buf), 0), ==, 1200);
    guest_expect_nothing(g);
    if (v4) {
        send_udp(g, port, 1400, false);
        g_assert_cmpint(recv(fd, buf, sizeof(buf), 0), ==, 1400);
        guest_expect_nothing(g);
    }
    close(fd);
}

/* The link takes no run of them: each has its error, or leaves in fragments. */
static void test_run_too_big(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    bool v4 = g->family == AF_INET;
    char buf[2000];
    unsigned i, j;

    for (i = 0; i < 2; i++) {
        for (j = 0; j < 5; j++) {
            input_udp(g, port, 1400, true);
        }
        guest_flush(g);
        for (j = 0; j < 5; j++) {
            g_autoptr(GuestFrame) f = NULL;
            IcmpMessage icmp;

            f = get_icmp(g, &icmp);
            g_assert_cmpuint(icmp.type, ==, v4 ? ICMP_DEST_UNREACH
                                               : ICMP6_PACKET_TOO_BIG);
            g_assert_cmpuint(icmp.rest, ==, LINK_MTU);
        }
        guest_expect_nothing(g);
        for (j = 0; j < 5; j++) {
            input_udp(g, port, v4 ? 1400 : 1200, false);
        }
        guest_flush(g);
        for (j = 0; j < 5; j++) {
            g_assert_cmpint(recv(fd, buf, sizeof(buf), 0), ==,
                            v4 ? 1400 : 1200);
        }
        guest_expect_nothing(g);
    }
    close(fd);
}

/* RFC 4787 REQ-8: only addresses that the guest has sent to. */
static void test_strangers(Guest *g)
{
    const char *stranger = g->family == AF_INET ? STRANGER4 : STRANGER6;
    IpAddr known = g->loopback;
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    uint16_t port, unused;
    int fd = outside_socket(g, SOCK_DGRAM, &port), other;
    g_autoptr(GuestFrame) f = NULL;
    UdpDatagram udp;
    char buf[16];

    send_udp(g, port, 3, true);
    g_assert_cmpint(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&ss,
                             &len), ==, 3);
    g_assert_true(ip_addr_parse(stranger, &g->loopback));
    other = outside_socket(g, SOCK_DGRAM, &unused);
    g->loopback = known;
    g_assert_cmpint(sendto(other, "stranger", 8, 0, (struct sockaddr *)&ss,
                           len), ==, 8);
    guest_iterate(g);
    guest_expect_nothing(g);
    g_assert_cmpint(sendto(fd, "known", 5, 0, (struct sockaddr *)&ss, len), ==,
                    5);
    f = guest_get(g);
    g_assert_true(udp_parse(&f->frame, &f->ip, &udp));
    g_assert_cmpmem(f->data + udp.payload_off, udp.payload_len, "known", 5);
    guest_expect_nothing(g);
    close(other);
    close(fd);
}

static void send_echo(Guest *g, uint32_t rest, size_t len)
{
    static uint8_t payload[2048], buf[IP_HEADROOM + 8 + sizeof(payload)];
    IpHeaders headers = guest_headers(g);
    size_t n;

    memset(payload, 'e', sizeof(payload));
    n = icmp_build(buf, sizeof(buf), &headers,
                   g->family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST, 0,
                   rest, payload, len);
    g_assert_cmpint(guest_input(g, buf, n), ==, NAT_OK);
    guest_flush(g);
}

/* The guest's own identifier comes back, not the kernel's. */
static void test_echo(Guest *g)
{
    uint8_t type = g->family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
    NatStats stats;
    unsigned i;

    for (i = 0; i < 3; i++) {
        g_autoptr(GuestFrame) f = NULL;
        IcmpMessage icmp;

        send_echo(g, 0xabcd0000 + i, 4 + i);
        f = get_icmp(g, &icmp);
        g_assert_cmpuint(icmp.type, ==, type);
        g_assert_cmphex(icmp.rest, ==, 0xabcd0000 + i);
        g_assert_true(ip_addr_equal(&f->ip.src, &g->outside));
        g_assert_cmpmem(f->data + icmp.payload_off, icmp.payload_len,
                        "eeeeeeee", 4 + i);
    }
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.icmp_flows, ==, 1);
    guest_advance(g, 61 * 1000);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.icmp_flows, ==, 0);
}

/* An answer in fragments leaves whole or not at all. */
static void test_big_echo(Guest *g)
{
    unsigned n = frag_count(g->family, 8 + 1470, 1400), i;

    g->room = 1450;
    send_echo(g, 1, 1470);
    guest_iterate(g);
    guest_expect_nothing(g);
    g->room = 4000;
    nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
    g_assert_cmpuint(g->got.length, ==, n);
    for (i = 0; i < n; i++) {
        g_autoptr(GuestFrame) f = g_queue_pop_head(&g->got);

        g_assert_true(f->ip.is_fragment);
    }
}

/* A route that says no: the ping socket's error becomes the guest's. */
static void test_echo_refused(Guest *g)
{
    NatStats stats;

    g_assert_true(ip_addr_parse(g->family == AF_INET ? "203.0.113.1"
                                                     : "2001:db8:1::1",
                                &g->loopback));
    send_echo(g, 1, 4);
    guest_expect_nothing(g);
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.icmp_flows, ==, 0);
    g_assert_cmpuint(stats.flows_refused, ==, 1);
}

typedef struct NetnsTest {
    const char *name;
    GuestPath path;
    void (*func)(Guest *g);
} NetnsTest;

static const NetnsTest tests[] = {
    { "/nat-netns/v4/too-big", { .family = AF_INET }, test_too_big },
    { "/nat-netns/v6/too-big", { .family = AF_INET6 }, test_too_big },
    { "/nat-netns/v4/run-too-big", { .family = AF_INET }, test_run_too_big },
    { "/nat-netns/v6/run-too-big", { .family = AF_INET6 }, test_run_too_big },
    { "/nat-netns/v4/strangers", { .family = AF_INET }, test_strangers },
    { "/nat-netns/v6/strangers", { .family = AF_INET6 }, test_strangers },
    { "/nat-netns/v4/echo", { .family = AF_INET }, test_echo },
    { "/nat-netns/v6/echo", { .family = AF_INET6 }, test_echo },
    { "/nat-netns/v4/big-echo", { .family = AF_INET, .mtu_bytes = 1400 },
      test_big_echo },
    { "/nat-netns/v6/big-echo", { .family = AF_INET6, .mtu_bytes = 1400 },
      test_big_echo },
    { "/nat-netns/v4/echo-refused", { .family = AF_INET }, test_echo_refused },
    { "/nat-netns/v6/echo-refused", { .family = AF_INET6 }, test_echo_refused },
};

static void run(gconstpointer data)
{
    const NetnsTest *test = data;
    g_autoptr(Guest) g = NULL;

    if (no_namespace) {
        g_test_skip(no_namespace);
        return;
    }
    g = guest_new(&test->path);
    test->func(g);
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    no_namespace = make_namespace();
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add_data_func(tests[i].name, &tests[i], run);
    }
    return g_test_run();
}
