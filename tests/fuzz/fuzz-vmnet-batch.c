/*
 * Fuzz target: frames between a NIC, the netdev in QEMU, and a daemon
 *
 * Bytes 0 and 1 choose the header's length on the daemon's and the NIC's side.
 * Packets follow, each of a byte that says whose it is, two of its length, and
 * what there is of it: the daemon's, sent as they are, or the guest's, which lie
 * in pieces of as many bytes as the first byte says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvmnet/interface-int.h"
#include "vmnet-batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACKETS_MAX 128
#define PIECES_MAX 80
#define MTU_BYTES 1500

static const size_t nic_header_lens[] = { 0, 10, 12 };

/* The daemon gets frames that fit, behind its header. */
static void hear(int daemon, size_t header_len)
{
    static uint8_t memory[VMNET_FRAME_BYTES_MAX + 1];
    ssize_t len;

    while ((len = recv(daemon, memory, sizeof(memory), MSG_DONTWAIT)) > 0) {
        g_assert_cmpint(len, >=, header_len + ETHERNET_HEADER_BYTES);
        g_assert_cmpint(len, <=, VMNET_FRAME_BYTES_MAX);
    }
}

static void say(VmnetTx *tx, VmnetInterface *interface, const uint8_t *data,
                size_t size, size_t piece, size_t header_len)
{
    struct iovec iov[PIECES_MAX];
    size_t n = 0, at = 0, bytes = 0;

    while (at < size && n < PIECES_MAX) {
        size_t len = n + 1 < PIECES_MAX && piece ? MIN(piece, size - at)
                                                 : size - at;

        iov[n].iov_base = (void *)(data + at);
        iov[n++].iov_len = len;
        at += len;
    }
    if (vmnet_tx_add(tx, interface, iov, n, header_len, &bytes)
        == VMNET_TX_TAKEN) {
        g_assert_cmpuint(bytes, ==, size - header_len);
    }
}

/* The NIC gets memory that it may read, of a frame at least. */
static void take(VmnetRx *rx, VmnetInterface *interface, size_t header_len)
{
    volatile uint8_t sum = 0;
    const uint8_t *frame;
    size_t size, i;

    if (!vmnet_rx_fill(rx, interface)) {
        return;
    }
    while (vmnet_rx_next(rx, header_len, &frame, &size)) {
        g_assert_cmpuint(size, >=, ETHERNET_HEADER_BYTES);
        for (i = 0; i < size; i++) {
            sum += frame[i];
        }
    }
    g_assert_true(vmnet_rx_is_empty(rx));
}

static void exchange(VmnetInterface *interface, int daemon, size_t nic_header,
                     const uint8_t *data, size_t size)
{
    size_t header = interface->flags ? VMNET_VIRTIO_HEADER_BYTES : 0;
    g_autoptr(VmnetTx) tx = vmnet_tx_new(header);
    g_autoptr(VmnetRx) rx = vmnet_rx_new(
        header, vmnet_interface_get_max_packet_size(interface));
    unsigned n;

    for (n = 0; n < PACKETS_MAX && size >= 3; n++) {
        size_t len = MIN((size_t)(data[1] | data[2] << 8), size - 3);

        if (data[0] & 1) {
            g_assert_cmpint(send(daemon, data + 3, len, MSG_DONTWAIT), <=,
                            (ssize_t)len);
        } else {
            say(tx, interface, data + 3, len, data[0] >> 1, nic_header);
        }
        if (n % 8 == 7) {
            vmnet_tx_flush(tx, interface);
            hear(daemon, header);
            take(rx, interface, nic_header);
        }
        data += 3 + len;
        size -= 3 + len;
    }
    vmnet_tx_flush(tx, interface);
    hear(daemon, header);
    take(rx, interface, nic_header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VmnetInterface interface = {
        .refs = 1, .id = (char *)"fuzz", .state = VMNET_INTERFACE_RUNNING,
        .port = VMNET_PORT_PACKETS, .mtu_bytes = MTU_BYTES, .peer_fd = -1,
    };
    int pair[2];

    if (size < 2 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC
                               | SOCK_NONBLOCK, 0, pair) < 0) {
        return 0;
    }
    interface.fd = pair[0];
    interface.flags = data[0] & 1 ? VMNET_INTERFACE_VIRTIO_HEADER : 0;
    g_assert_true(interface_io_init(&interface, NULL));
    interface_io_run(&interface);
    exchange(&interface, pair[1],
             nic_header_lens[data[1] % G_N_ELEMENTS(nic_header_lens)],
             data + 2, size - 2);
    interface_io_clear(&interface);
    close(pair[0]);
    close(pair[1]);
    return 0;
}
