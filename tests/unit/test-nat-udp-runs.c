/*
 * Many UDP datagrams at a time through the translator: runs to the kernel
 * (UDP_SEGMENT), merged ones from it (UDP_GRO)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "limits.h"
#include "nat-tcp-paths.h"
#include "switch/segment.h"
#include "udp-merged.h"

#define MERGED_MAX 65536

/* Where the bytes of all datagrams of a test come from, in their order. */
static uint8_t data[128 * 1024];

/* ---- the outside ---- */

/* One message of the kernel's: @len of data from @from on, merged of @size. */
static void expect_message(int fd, size_t from, size_t len, size_t size)
{
    static uint8_t buf[MERGED_MAX];
    size_t got_size = 0;
    ssize_t n = udp_receive_merged(fd, buf, sizeof(buf), &got_size, NULL, 0);

    g_assert_cmpint(n, >=, 0);
    g_assert_cmpmem(buf, n, data + from, len);
    g_assert_cmpuint(got_size, ==, size);
}

/* Datagrams of @size from @from on, merged or not, until @to. */
static void expect_datagrams(int fd, size_t from, size_t to, size_t size)
{
    uint8_t buf[2048];

    for (; from < to; from += size) {
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        g_assert_cmpmem(buf, n, data + from, MIN(size, to - from));
    }
}

/* @len bytes of data in datagrams of @size, in one go. */
static void outside_send(int fd, const struct sockaddr_storage *ss,
                         socklen_t ss_len, size_t len, uint16_t size)
{
    struct iovec iov = { data, len };
    union {
        struct cmsghdr header;
        uint8_t buf[CMSG_SPACE(sizeof(uint16_t))];
    } control = {
        .header = { CMSG_LEN(sizeof(size)), IPPROTO_UDP, UDP_SEGMENT },
    };
    struct msghdr msg = {
        .msg_name = (void *)ss, .msg_namelen = ss_len,
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof(control),
    };

    memcpy(CMSG_DATA(&control.header), &size, sizeof(size));
    g_assert_cmpint(sendmsg(fd, &msg, 0), ==, (ssize_t)len);
}

/* ---- the guest ---- */

/* The datagram of @len bytes of data from @from on; the batch goes on. */
static void input_udp(Guest *g, uint16_t dport, size_t from, size_t len)
{
    IpHeaders headers = guest_headers(g);
    g_autofree uint8_t *buf = g_malloc(UDP_HEADROOM + len);
    size_t n = udp_build(buf, UDP_HEADROOM + len, &headers, 5000, dport,
                         data + from, len);

    g_assert_cmpuint(n, >, 0);
    g_assert_cmpint(guest_input(g, buf, n), ==, NAT_OK);
}

/* A frame that is to be cut into datagrams of @size. */
static void input_uncut(Guest *g, uint16_t dport, size_t len, uint16_t size)
{
    IpHeaders headers = guest_headers(g);
    g_autofree uint8_t *buf = g_malloc(UDP_HEADROOM + len);
    size_t n = udp_headers_build_partial(buf, &headers, 5000, dport, len);
    struct virtio_net_hdr_v1 vnet = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
        .gso_size = GUINT16_TO_LE(size), .hdr_len = GUINT16_TO_LE(n),
        .csum_start = GUINT16_TO_LE(n - UDP_HEADER_LEN),
        .csum_offset = GUINT16_TO_LE(UDP_CHECKSUM_OFFSET),
    };

    memcpy(buf + n, data, len);
    g_assert_cmpint(guest_input_vnet(g, buf, n + len, &vnet), ==, NAT_OK);
}

/* The guest has said something: where the outside sends to. */
static int outside_known(Guest *g, uint16_t *ret_port,
                         struct sockaddr_storage *ret_ss, socklen_t *ret_len)
{
    int fd = outside_socket(g, SOCK_DGRAM, ret_port);
    char byte;

    input_udp(g, *ret_port, 0, 1);
    guest_flush(g);
    *ret_len = sizeof(*ret_ss);
    g_assert_cmpint(recvfrom(fd, &byte, 1, 0, (struct sockaddr *)ret_ss,
                             ret_len), ==, 1);
    return fd;
}

/*
 * What the switch makes of a frame for a guest that takes no offload: datagrams
 * of @size, checksums right, which are the data from *@from on.
 */
static void expect_cut(const GuestFrame *f, size_t *from, size_t size)
{
    SegmentBatch *batch = g_new(SegmentBatch, 1);
    Frame frame = f->frame;
    SwitchDrop reason;
    Offload offload;
    bool is_whole;
    unsigned i;

    g_assert_true(offload_check(&frame, 1500, &offload, &reason));
    do {
        segment_batch_clear(batch);
        is_whole = segment_batch_add(batch, &frame, &offload, 0);
        for (i = 0; i < batch->n_frames; i++) {
            uint8_t got[2048];
            UdpDatagram udp;
            IpPacket ip;

            g_assert_cmpint(ip_packet_parse(&batch->frames[i], &ip), ==,
                            IP_PARSE_OK);
            g_assert_true(udp_parse(&batch->frames[i], &ip, &udp));
            g_assert_cmpuint(udp.payload_len, <=, size);
            frame_peek(&batch->frames[i], udp.payload_off, got,
                       udp.payload_len);
            g_assert_cmpmem(got, udp.payload_len, data + *from,
                            udp.payload_len);
            *from += udp.payload_len;
        }
        frame.n_sent += batch->n_frames;
    } while (!is_whole);
    g_free(batch);
}

/* ---- from the guest ---- */

static void test_equal_are_one_message(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    unsigned i;

    g_assert_true(udp_merge(fd));
    for (i = 0; i < 10; i++) {
        input_udp(g, port, i * 1000, 1000);
    }
    input_udp(g, port, 10000, 70);          /* ends the run */
    input_udp(g, port, 10070, 70);
    input_udp(g, port, 10140, 1);
    guest_flush(g);
    expect_message(fd, 0, 10070, 1000);
    expect_message(fd, 10070, 71, 70);
    close(fd);
}

/* More than the kernel takes in one message; where they lie does not matter. */
static void test_many(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    unsigned i;

    for (i = 0; i < 100; i++) {
        g->piece_len = i % 3 ? 100 : 0;
        input_udp(g, port, i * 1200, 1200);
        if (i == 80) {
            guest_flush(g);
        }
    }
    guest_flush(g);
    expect_datagrams(fd, 0, 100 * 1200, 1200);
    close(fd);
}

/* Each length, empty ones too, to each target: all arrive, in order. */
static void test_unequal(Guest *g)
{
    static const size_t lens[] = { 5, 5, 9, 0, 9, 9, 3, 3, 0, 0, 4000, 1, 5000 };
    uint16_t port[2];
    int fd[2];
    uint8_t buf[8192];
    size_t from = 0, i, j;

    for (j = 0; j < 2; j++) {
        fd[j] = outside_socket(g, SOCK_DGRAM, &port[j]);
    }
    for (i = 0; i < G_N_ELEMENTS(lens); i++) {
        input_udp(g, port[0], from, lens[i]);
        input_udp(g, port[1], from, lens[i]);
        input_udp(g, port[1], from, lens[i]);
        from += lens[i];
    }
    guest_flush(g);
    for (i = 0, from = 0; i < G_N_ELEMENTS(lens); from += lens[i++]) {
        for (j = 0; j < 3; j++) {
            ssize_t n = recv(fd[j > 0], buf, sizeof(buf), 0);

            g_assert_cmpmem(buf, n, data + from, lens[i]);
        }
    }
    for (j = 0; j < 2; j++) {
        g_assert_cmpint(recv(fd[j], buf, 1, MSG_DONTWAIT), <, 0);
        close(fd[j]);
    }
}

static void test_uncut(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port), plain;

    g_assert_true(udp_merge(fd));
    input_uncut(g, port, 60000, 1400);
    guest_flush(g);
    expect_message(fd, 0, 60000, 1400);
    /* It may be one datagram after all, or so many that two messages are. */
    input_uncut(g, port, 800, 800);
    guest_flush(g);
    expect_message(fd, 0, 800, 800);
    g->piece_len = 700;
    input_uncut(g, port, 10000, 100);
    guest_flush(g);
    expect_message(fd, 0, 6400, 100);
    expect_message(fd, 6400, 3600, 100);
    close(fd);

    plain = outside_socket(g, SOCK_DGRAM, &port);
    input_uncut(g, port, 30000, 1000);
    guest_flush(g);
    expect_datagrams(plain, 0, 30000, 1000);
    close(plain);
}

/* A run that nobody takes: an error, and what follows is sent. */
static void test_run_refused(Guest *g)
{
    uint16_t port, open_port;
    int fd = outside_socket(g, SOCK_DGRAM, &port), open_fd;
    g_autoptr(GuestFrame) f = NULL;
    IcmpMessage icmp;
    IcmpQuote quote;

    open_fd = outside_socket(g, SOCK_DGRAM, &open_port);
    close(fd);
    input_uncut(g, port, 5000, 1000);
    guest_flush(g);
    f = guest_get(g);
    g_assert_true(icmp_parse(&f->frame, &f->ip, &icmp));
    g_assert_true(icmp_quote_parse(&f->frame, &f->ip, &icmp, &quote));
    g_assert_cmpuint(quote.sport, ==, 5000);
    g_assert_cmpuint(quote.dport, ==, port);
    input_uncut(g, port, 5000, 1000);
    guest_flush(g);
    input_uncut(g, open_port, 5000, 1000);
    guest_flush(g);
    expect_datagrams(open_fd, 0, 5000, 1000);
    close(open_fd);
}

/* Of the flow that is recycled for the next one: sent all the same. */
static void test_recycled(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    IpHeaders headers = guest_headers(g);
    uint8_t buf[UDP_HEADROOM + 10];
    unsigned i;

    for (i = 0; i < 20; i++) {
        size_t n = udp_build(buf, sizeof(buf), &headers, 6000 + i, port,
                             data + 10 * i, 10);

        g_assert_cmpint(guest_input(g, buf, n), ==, NAT_OK);
    }
    guest_flush(g);
    expect_datagrams(fd, 0, 200, 10);
    close(fd);
}

/* A port that goes in the middle of a batch takes its datagrams along. */
static void test_port_gone(Guest *g)
{
    uint16_t port;
    int fd = outside_socket(g, SOCK_DGRAM, &port);
    char byte;

    input_udp(g, port, 0, 100);
    nat_port_gone(g->nat, GUEST_PORT_ID, g->now_ms);
    guest_flush(g);
    g_assert_cmpint(recv(fd, &byte, 1, MSG_DONTWAIT), <, 0);
    close(fd);
}

/* ---- for the guest ---- */

static void test_merged(Guest *g)
{
    static const unsigned offloads[] = {
        0, SWITCH_OFFLOAD_CSUM, SWITCH_OFFLOAD_CSUM | SWITCH_OFFLOAD_USO,
    };
    struct sockaddr_storage ss;
    socklen_t len;
    uint16_t port;
    int fd = outside_known(g, &port, &ss, &len);
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(offloads); i++) {
        g_autoptr(GuestFrame) f = NULL, one = NULL;
        size_t from = 0;

        g->offloads = offloads[i];
        outside_send(fd, &ss, len, 50000, 1400);
        f = guest_get(g);
        g_assert_cmpuint(f->frame.vnet.gso_type, ==,
                         VIRTIO_NET_HDR_GSO_UDP_L4);
        g_assert_cmpuint(GUINT16_FROM_LE(f->frame.vnet.gso_size), ==, 1400);
        expect_cut(f, &from, 1400);
        g_assert_cmpuint(from, ==, 50000);

        outside_send(fd, &ss, len, 600, 1400);
        one = guest_get(g);
        from = 0;
        g_assert_cmpuint(one->frame.vnet.flags, ==,
                         i ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
        expect_cut(one, &from, 600);
        guest_expect_nothing(g);
    }
    close(fd);
}

/* Of a message leaves what there is room for, and what came later behind it. */
static void test_merged_waits_for_room(Guest *g)
{
    struct sockaddr_storage ss;
    socklen_t len;
    uint16_t port;
    int fd = outside_known(g, &port, &ss, &len);
    unsigned i;

    for (i = 0; i < 2; i++) {
        size_t from = 0;
        g_autoptr(GuestFrame) first = NULL, rest = NULL, small = NULL;

        g->offloads = i ? SWITCH_OFFLOAD_CSUM | SWITCH_OFFLOAD_USO : 0;
        g->room = 900;
        outside_send(fd, &ss, len, 20000, 1000);
        outside_send(fd, &ss, len, 10, 10);
        guest_iterate(g);
        guest_expect_nothing(g);
        g->room = 12 * (1000 + 62 + 16);
        nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
        first = guest_get(g);
        expect_cut(first, &from, 1000);
        g_assert_cmpuint(from, ==, 12000);
        guest_expect_nothing(g);
        g->room = 12 * (1000 + 62 + 16);
        nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
        rest = guest_get(g);
        expect_cut(rest, &from, 1000);
        g_assert_cmpuint(from, ==, 20000);
        small = guest_get(g);
        from = 0;
        expect_cut(small, &from, 1000);
        g_assert_cmpuint(from, ==, 10);
    }
    close(fd);
}

/*
 * The port tells when it has room again only if it was asked while it had
 * little: what did not fit in a turn must not wait for a turn that never comes.
 */
static void test_merged_asks_for_room(Guest *g)
{
    struct sockaddr_storage ss;
    socklen_t len;
    uint16_t port;
    int fd = outside_known(g, &port, &ss, &len);
    size_t from = 0;
    unsigned i;

    /* So short that many are read at a time. */
    for (i = 0; i < 64; i++) {
        g_autoptr(GuestFrame) f = NULL;

        outside_send(fd, &ss, len, 10, 10);
        f = guest_get(g);
    }
    for (i = 0; i < 3; i++) {
        outside_send(fd, &ss, len, 40000, 1000);
    }
    g->room = NAT_ROOM_WANTED + 1000;
    g->asked_room = SIZE_MAX;
    while (g->got.length == 0) {
        guest_iterate(g);
    }
    g_assert_cmpuint(g->asked_room, <, NAT_ROOM_WANTED);
    g->room = SIZE_MAX;
    nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
    while (from < 3 * 40000) {
        g_autoptr(GuestFrame) f = guest_get(g);
        size_t at = from % 40000;

        from -= at;
        expect_cut(f, &at, 1000);
        from += at;
    }
    guest_expect_nothing(g);
    close(fd);
}

/* Nothing is lost however little room comes at a time. */
static void test_merged_trickles(Guest *g)
{
    struct sockaddr_storage ss;
    socklen_t len;
    uint16_t port;
    int fd = outside_known(g, &port, &ss, &len);
    unsigned i, n = 0, turns = 0;
    size_t from = 0;
    NatStats stats;

    for (i = 0; i < 12; i++) {
        outside_send(fd, &ss, len, i % 3 ? 8000 : 300, 1000);
    }
    g->room = 0;
    while (n < 12) {
        g_assert_cmpuint(turns++, <, 1000);
        guest_settle(g);
        g->room += 2000;
        nat_resume(g->nat, GUEST_PORT_ID, g->now_ms);
        while (g->got.length) {
            g_autoptr(GuestFrame) f = guest_get(g);

            expect_cut(f, &from, 1000);
            if (from == (n % 3 ? 8000 : 300)) {
                from = 0;
                n++;
            }
        }
    }
    nat_stats(g->nat, &stats);
    g_assert_cmpuint(stats.datagrams_dropped, ==, 0);
    close(fd);
}

/* Merged ones over the guest's MTU: each in its own fragments. */
static void test_merged_over_mtu(Guest *g)
{
    struct sockaddr_storage ss;
    socklen_t len;
    uint16_t port;
    int fd = outside_known(g, &port, &ss, &len);
    g_autoptr(FragTable) frags = frag_table_new();
    size_t from = 0;

    outside_send(fd, &ss, len, 4 * 3000 + 500, 3000);
    while (from < 4 * 3000 + 500) {
        g_autoptr(GuestFrame) f = guest_get(g);
        FragPacket *whole = NULL;
        UdpDatagram udp;
        Frame frame = f->frame;
        IpPacket ip = f->ip;
        uint8_t got[4096];

        g_assert_cmpuint(f->len, <=, 1514);
        if (f->ip.is_fragment) {
            g_assert_cmpint(frag_input(frags, &f->frame, &f->ip, 0, &whole),
                            !=, FRAG_MALFORMED);
            if (!whole) {
                continue;
            }
            frag_packet(whole, &frame, &ip);
        }
        g_assert_true(udp_parse(&frame, &ip, &udp));
        g_assert_cmpuint(udp.payload_len, ==,
                         MIN(3000, 4 * 3000 + 500 - from));
        frame_peek(&frame, udp.payload_off, got, udp.payload_len);
        g_assert_cmpmem(got, udp.payload_len, data + from, udp.payload_len);
        from += udp.payload_len;
        if (whole) {
            frag_packet_free(whole);
        }
    }
    guest_expect_nothing(g);
    close(fd);
}

static const TcpTest tests[] = {
    { "equal-are-one-message", test_equal_are_one_message },
    { "many", test_many },
    { "unequal", test_unequal },
    { "uncut", test_uncut },
    { "run-refused", test_run_refused },
    { "recycled", test_recycled },
    { "port-gone", test_port_gone },
    { "merged", test_merged },
    { "merged-waits-for-room", test_merged_waits_for_room },
    { "merged-asks-for-room", test_merged_asks_for_room },
    { "merged-trickles", test_merged_trickles },
    { "merged-over-mtu", test_merged_over_mtu },
};

static const struct {
    const char *name;
    GuestPath path;
} paths[] = {
    { "v4", { .family = AF_INET, .flows_per_port = 1 } },
    { "v6", { .family = AF_INET6, .flows_per_port = 1 } },
    { "v4-held", { .family = AF_INET, .flows_per_port = 1,
                   .hold_frames = true } },
    { "v6-held", { .family = AF_INET6, .flows_per_port = 1,
                   .hold_frames = true } },
};

typedef struct RunsCase {
    const TcpTest *test;
    const GuestPath *path;
} RunsCase;

static void run(gconstpointer user_data)
{
    const RunsCase *c = user_data;
    g_autoptr(Guest) g = guest_new(c->path);

    c->test->func(g);
}

static bool kernel_has_runs(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = udp_merge(fd);

    close(fd);
    return has;
}

int main(int argc, char **argv)
{
    static RunsCase cases[G_N_ELEMENTS(tests)][G_N_ELEMENTS(paths)];
    unsigned i, j;

    g_test_init(&argc, &argv, NULL);
    if (!kernel_has_runs()) {
        g_printerr("no UDP_GRO: needs Linux 5.0\n");
        return 77;
    }
    fill(data, sizeof(data));
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        for (j = 0; j < G_N_ELEMENTS(paths); j++) {
            g_autofree char *name = g_strdup_printf(
                "/nat-udp-runs/%s/%s", paths[j].name, tests[i].name);

            cases[i][j] = (RunsCase){ &tests[i], &paths[j].path };
            g_test_add_data_func(name, &cases[i][j], run);
        }
    }
    return g_test_run();
}
