/*
 * QTest of the vmnet netdevs on Linux: packets, by the queues of virtio-net
 *
 *   this test: driver, IP, DHCP, TCP --- QEMU: virtio-net-pci --- vmnetd
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <arpa/inet.h>
#include "libqtest.h"
#include "qemu/bswap.h"
#include "vmnet-daemon.h"
#include "vmnet-machine.h"

#define LARGE_BYTES (69632 - VMNET_HEADER_BYTES)
#define TAKES_TSO ((1ULL << VIRTIO_NET_F_GUEST_CSUM) \
                   | (1ULL << VIRTIO_NET_F_GUEST_TSO4))
#define SENDS_TSO ((1ULL << VIRTIO_NET_F_CSUM) \
                   | (1ULL << VIRTIO_NET_F_HOST_TSO4))

/* What a guest does first, and @features do not change it. */
static void test_dhcp_arp_ping(gconstpointer features)
{
    Machine *m = machine_new("vmnet-shared", 1, *(const uint64_t *)features);
    uint32_t gateway, address = vmnet_get_address(&m->port, &gateway);
    uint8_t mac[6];

    vmnet_resolve(&m->port, address, gateway, mac);
    vmnet_ping(&m->port, address, gateway, mac);
    machine_free(m);
}

#define TSO_MSS 1460
#define TSO_PAYLOAD 5000
#define TCP_FRAME_BYTES (14 + 20 + 20)

/* TCP to everybody, to be cut and summed */
static void send_tso(Machine *m)
{
    const struct virtio_net_hdr_v1 header = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = cpu_to_le16(TCP_FRAME_BYTES),
        .gso_size = cpu_to_le16(TSO_MSS),
        .csum_start = cpu_to_le16(34), .csum_offset = cpu_to_le16(16),
    };
    uint8_t frame[TCP_FRAME_BYTES + TSO_PAYLOAD] = { 0 };

    vmnet_ethernet(&m->port, frame, vmnet_broadcast, 0x0800);
    vmnet_ipv4(frame, 6, 0xc0000201, 0xc0000202, sizeof(frame) - 14);
    frame[46] = 0x50;
    frame[47] = 0x10;
    machine_transmit(m, &header, frame, sizeof(frame));
}

/* The next TCP frame: its size */
static size_t await_tcp(Machine *m, struct virtio_net_hdr_v1 *header)
{
    gint64 end = g_get_monotonic_time() + VMNET_WAIT_US;
    uint8_t frame[64];

    do {
        size_t size = machine_receive(m, header, frame, sizeof(frame));

        if (size >= TCP_FRAME_BYTES && lduw_be_p(frame + 12) == 0x0800
            && frame[23] == 6) {
            return size;
        }
    } while (g_get_monotonic_time() < end);
    g_assert_not_reached();
}

/* Only a driver that said that it takes it gets what is to be cut. */
static void test_offloads(void)
{
    Machine *a = machine_new("vmnet-host,network=tso", 1, SENDS_TSO);
    Machine *b = machine_new("vmnet-host,network=tso", 2, TAKES_TSO);
    Machine *c = machine_new("vmnet-host,network=tso", 3, 0);
    struct virtio_net_hdr_v1 header;
    size_t size;
    unsigned n = 0, tries = 0;

    /* Features are told to vmnetd while the driver goes on. */
    do {
        send_tso(a);
        size = await_tcp(b, &header);
        n++;
    } while (size == TCP_FRAME_BYTES + TSO_MSS && n < 20);
    g_assert_cmpuint(size, ==, TCP_FRAME_BYTES + TSO_PAYLOAD);
    g_assert_cmpint(header.gso_type, ==, VIRTIO_NET_HDR_GSO_TCPV4);
    g_assert_cmpint(le16_to_cpu(header.gso_size), ==, TSO_MSS);
    g_assert_cmpint(header.flags, ==, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    size = await_tcp(c, &header);
    g_assert_cmpuint(size, ==, TCP_FRAME_BYTES + TSO_MSS);
    g_assert_cmpint(header.gso_type, ==, VIRTIO_NET_HDR_GSO_NONE);
    g_assert_cmpint(header.flags, ==, 0);

    /* After a reset it has not said so. */
    machine_start_driver(b, 0);
    do {
        send_tso(a);
        size = await_tcp(b, &header);
    } while (size == TCP_FRAME_BYTES + TSO_PAYLOAD && ++tries < 20);
    g_assert_cmpuint(size, ==, TCP_FRAME_BYTES + TSO_MSS);
    machine_free(a);
    machine_free(b);
    machine_free(c);
}

static bool is_announcement(const uint8_t *frame, size_t size, const void *mac)
{
    return size >= 60 && lduw_be_p(frame + 12) == 0x8035
           && !memcmp(frame + 6, mac, 6) && !memcmp(frame + 22, mac, 6);
}

/* QEMU makes the frame, and it has no header, whatever the driver has. */
static void test_announce(void)
{
    Machine *a = machine_new("vmnet-host,network=hear", 1, 0);
    Machine *b = machine_new("vmnet-host,network=hear", 2, TAKES_TSO);
    uint8_t frame[VMNET_FRAME_BYTES];

    qtest_qmp_assert_success(b->qts, "{'execute': 'announce-self',"
                             " 'arguments': {'initial': 50, 'max': 550,"
                             " 'rounds': 10, 'step': 50}}");
    g_assert_true(vmnet_await(&a->port, is_announcement, b->port.mac, frame,
                              VMNET_WAIT_US));
    machine_free(a);
    machine_free(b);
}

/* A driver that is reset after its netdev has gone */
static void test_hot_unplug(void)
{
    Machine *m = machine_new("vmnet-shared", 4, TAKES_TSO);

    qtest_qmp_assert_success(m->qts, "{'execute': 'netdev_del',"
                             " 'arguments': {'id': 'n'}}");
    machine_start_driver(m, 0);
    qtest_qmp_assert_success(m->qts, "{'execute': 'query-status'}");
    machine_free(m);
}

/* A frame as long as QEMU knows any is dropped, and the next one is not. */
static void test_large(void)
{
    Machine *m = machine_new("vmnet-shared", 7, SENDS_TSO);
    g_autofree uint8_t *frame = g_malloc0(LARGE_BYTES);
    uint64_t usual = m->tx_buffer;
    uint32_t gateway;

    m->tx_buffer = guest_alloc(&m->alloc, VMNET_HEADER_BYTES + LARGE_BYTES);
    vmnet_ethernet(&m->port, frame, vmnet_broadcast, 0x88b5);
    m->port.transmit(&m->port, frame, LARGE_BYTES);
    m->tx_buffer = usual;
    vmnet_get_address(&m->port, &gateway);
    machine_free(m);
}

typedef struct Port {
    uint8_t protocol;
    uint16_t number;
} Port;

/* From a server's port to ours, 4000; of TCP only what has data, or SYN */
static bool is_from_port(const uint8_t *frame, size_t size, const void *what)
{
    const Port *port = what;

    return size >= 54 && lduw_be_p(frame + 12) == 0x0800
           && frame[23] == port->protocol
           && lduw_be_p(frame + 34) == port->number
           && lduw_be_p(frame + 36) == 4000
           && (port->protocol == 17 || frame[47] & 2
               || lduw_be_p(frame + 16) > 40);
}

/* A server on the host's loopback, with a port of the kernel's choice */
static int serve(int kind, uint16_t *ret_port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct timeval wait = { .tv_sec = VMNET_WAIT_US / G_USEC_PER_SEC };
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, len), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&addr, &len), ==, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

typedef struct Peer {
    uint8_t mac[6];
    uint32_t own, address;
} Peer;

static void find_peer(Machine *m, Peer *peer)
{
    peer->own = vmnet_get_address(&m->port, &peer->address);
    vmnet_resolve(&m->port, peer->own, peer->address, peer->mac);
}

static void test_udp(void)
{
    Machine *m = machine_new("vmnet-shared,host-loopback=on,network=out", 5, 0);
    Port port = { .protocol = 17 };
    uint8_t frame[VMNET_FRAME_BYTES] = { 0 };
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    int fd = serve(SOCK_DGRAM, &port.number);
    char text[16] = "";
    Peer peer;

    find_peer(m, &peer);
    vmnet_ethernet(&m->port, frame, peer.mac, 0x0800);
    vmnet_ipv4(frame, 17, peer.own, peer.address, 20 + 8 + 18);
    stw_be_p(frame + 34, 4000);
    stw_be_p(frame + 36, port.number);
    stw_be_p(frame + 38, 8 + 18);
    memcpy(frame + 42, "question", 8);
    m->port.transmit(&m->port, frame, 60);
    g_assert_cmpint(recvfrom(fd, text, sizeof(text), MSG_TRUNC,
                             (struct sockaddr *)&from, &len), ==, 18);
    g_assert_cmpmem(text, 8, "question", 8);
    g_assert_cmpint(sendto(fd, "answer", 6, 0, (struct sockaddr *)&from, len),
                    ==, 6);
    g_assert_true(vmnet_await(&m->port, is_from_port, &port, frame,
                              VMNET_WAIT_US));
    g_assert_cmpmem(frame + 42, 6, "answer", 6);
    close(fd);
    machine_free(m);
}

/* A segment, its checksum left to the network */
static void send_tcp(Machine *m, const Peer *peer, uint16_t port, uint8_t flags,
                     uint32_t seq, uint32_t ack, const char *data)
{
    const struct virtio_net_hdr_v1 header = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = cpu_to_le16(34), .csum_offset = cpu_to_le16(16),
    };
    uint8_t frame[VMNET_FRAME_BYTES] = { 0 };
    size_t size = 20 + strlen(data);
    uint8_t pseudo[12];

    vmnet_ethernet(&m->port, frame, peer->mac, 0x0800);
    vmnet_ipv4(frame, 6, peer->own, peer->address, 20 + size);
    stw_be_p(frame + 34, 4000);
    stw_be_p(frame + 36, port);
    stl_be_p(frame + 38, seq);
    stl_be_p(frame + 42, ack);
    frame[46] = 0x50;
    frame[47] = flags;
    stw_be_p(frame + 48, 65535);
    memcpy(frame + 54, data, strlen(data));
    memcpy(pseudo, frame + 26, 8);
    stw_be_p(pseudo + 8, 6);
    stw_be_p(pseudo + 10, size);
    stw_be_p(frame + 50, ~vmnet_checksum(pseudo, sizeof(pseudo)));
    machine_transmit(m, &header, frame, 34 + size);
}

static void test_tcp(void)
{
    Machine *m = machine_new("vmnet-shared,host-loopback=on,network=out", 6,
                             1ULL << VIRTIO_NET_F_CSUM);
    Port port = { .protocol = 6 };
    uint8_t frame[VMNET_FRAME_BYTES];
    int server = serve(SOCK_STREAM, &port.number);
    char text[16] = "";
    uint32_t ack;
    Peer peer;
    int fd;

    g_assert_cmpint(listen(server, 1), ==, 0);
    find_peer(m, &peer);
    send_tcp(m, &peer, port.number, 0x02, 1000, 0, "");
    g_assert_true(vmnet_await(&m->port, is_from_port, &port, frame,
                              VMNET_WAIT_US));
    g_assert_cmphex(frame[47] & 0x17, ==, 0x12);
    ack = ldl_be_p(frame + 38) + 1;
    send_tcp(m, &peer, port.number, 0x18, 1001, ack, "question");
    fd = accept(server, NULL, NULL);
    g_assert_cmpint(recv(fd, text, 8, MSG_WAITALL), ==, 8);
    g_assert_cmpstr(text, ==, "question");
    g_assert_cmpint(send(fd, "answer", 6, 0), ==, 6);
    do {
        g_assert_true(vmnet_await(&m->port, is_from_port, &port, frame,
                                  VMNET_WAIT_US));
    } while (frame[47] & 2);
    g_assert_cmphex((uint32_t)ldl_be_p(frame + 38), ==, ack);
    g_assert_cmpmem(frame + 34 + (frame[46] >> 4) * 4, 6, "answer", 6);
    close(fd);
    close(server);
    machine_free(m);
}

int main(int argc, char **argv)
{
    static const uint64_t none = 0, all = TAKES_TSO | SENDS_TSO;
    int status;

    g_test_init(&argc, &argv, NULL);
    if (!vmnet_daemon_start()) {
        return 0;
    }
    qtest_add_data_func("/vmnet/virtio/dhcp-arp-ping", &none,
                        test_dhcp_arp_ping);
    qtest_add_data_func("/vmnet/virtio/dhcp-arp-ping-offloads", &all,
                        test_dhcp_arp_ping);
    qtest_add_func("/vmnet/virtio/offloads", test_offloads);
    qtest_add_func("/vmnet/virtio/announce", test_announce);
    qtest_add_func("/vmnet/virtio/hot-unplug", test_hot_unplug);
    qtest_add_func("/vmnet/virtio/large", test_large);
    qtest_add_func("/vmnet/virtio/udp", test_udp);
    qtest_add_func("/vmnet/virtio/tcp", test_tcp);
    status = g_test_run();
    vmnet_daemon_end();
    return status;
}
