/*
 * How fast libvmnet's transport is, beside a socketpair
 *
 *     bench-transport FRAME-BYTES SECONDS
 *
 *   socketpair   sendmmsg --> recvmmsg, two threads
 *   hop          interface --> daemon, whose gateway only counts such frames
 *   pair         interface --> daemon --> interface, two threads here
 *
 * All with batches of 64 packets, each a virtio header and a frame.  Prints a
 * line of JSON: packets per second.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvmnet/client-private.h"
#include "vmnet/vmnet.h"

#define BATCH 64
#define HEADER VMNET_VIRTIO_HEADER_BYTES
#define PACKET_MAX (HEADER + 18 + 65535)
#define SNDBUF_BYTES (4 * 1024 * 1024)
#define TIMEOUT_MS 20000

/**
 * Side: a sender or a receiver.
 * @packet_bytes: header and frame
 * @n: packets it got rid of, or got
 */
typedef struct Side {
    VmnetInterface *interface;
    int fd;
    size_t packet_bytes;
    guint64 n;
} Side;

static int stop;

static void die(const char *what, const GError *error)
{
    fprintf(stderr, "bench-transport: %s: %s\n", what,
            error ? error->message : "");
    exit(1);
}

/* The frames of a batch: one memory to send from, one each to receive in. */
static guint8 *make_batch(VmnetPacket packets[BATCH], struct iovec iov[BATCH],
                          size_t bytes, bool shared)
{
    guint8 *memory = g_malloc0(shared ? bytes : bytes * BATCH);
    unsigned i;

    for (i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){ memory + (shared ? 0 : i * bytes), bytes };
        packets[i] = (VmnetPacket){ &iov[i], 1, bytes };
    }
    return memory;
}

static void make_messages(struct mmsghdr msgs[BATCH], struct iovec iov[BATCH])
{
    unsigned i;

    memset(msgs, 0, BATCH * sizeof(*msgs));
    for (i = 0; i < BATCH; i++) {
        msgs[i].msg_hdr.msg_iov = &iov[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
    }
}

/* The socketpair */

static void *socket_sender(void *opaque)
{
    Side *side = opaque;
    struct mmsghdr msgs[BATCH];
    struct iovec iov[BATCH];
    VmnetPacket packets[BATCH];
    g_autofree guint8 *memory = make_batch(packets, iov, side->packet_bytes,
                                           true);

    make_messages(msgs, iov);
    while (!g_atomic_int_get(&stop)) {
        sendmmsg(side->fd, msgs, BATCH, 0);
    }
    shutdown(side->fd, SHUT_RDWR);
    return NULL;
}

static void *socket_receiver(void *opaque)
{
    Side *side = opaque;
    struct mmsghdr msgs[BATCH];
    struct iovec iov[BATCH];
    VmnetPacket packets[BATCH];
    g_autofree guint8 *memory = make_batch(packets, iov, PACKET_MAX, false);
    int n;

    make_messages(msgs, iov);
    do {
        n = recvmmsg(side->fd, msgs, BATCH, MSG_WAITFORONE, NULL);
        side->n += MAX(n, 0);
    } while (n > 0 && msgs[n - 1].msg_len && !g_atomic_int_get(&stop));
    shutdown(side->fd, SHUT_RDWR);
    return NULL;
}

/* Interfaces */

static void on_event(VmnetInterface *interface, VmnetInterfaceEvents events,
                     guint64 n_estimated, gpointer unused)
{
}

static void wait_for(VmnetInterface *interface)
{
    struct pollfd pfd = { vmnet_interface_get_fd(interface), POLLIN, 0 };

    if (poll(&pfd, 1, 100) > 0) {
        vmnet_interface_dispatch(interface);
    }
}

static void set_frame(guint8 *packet, const guint8 dst[6], guint8 src)
{
    const guint8 rest[] = { 2, 0, 0, 0, 0, src, 0x88, 0xb5 };

    memcpy(packet + HEADER, dst, 6);
    memcpy(packet + HEADER + 6, rest, sizeof(rest));
}

static guint8 destination[6];

static void *interface_sender(void *opaque)
{
    Side *side = opaque;
    struct iovec iov[BATCH];
    VmnetPacket packets[BATCH];
    g_autofree guint8 *memory = make_batch(packets, iov, side->packet_bytes,
                                           true);
    GError *error = NULL;

    set_frame(memory, destination, 1);
    vmnet_interface_set_event_callback(side->interface,
                                       VMNET_INTERFACE_ROOM_AVAILABLE,
                                       on_event, NULL);
    while (!g_atomic_int_get(&stop)) {
        guint n = BATCH;

        if (!vmnet_interface_write(side->interface, packets, &n, &error)) {
            die("write", error);
        }
        side->n += n;
        if (n < BATCH) {
            wait_for(side->interface);
        }
    }
    return NULL;
}

static void *interface_receiver(void *opaque)
{
    Side *side = opaque;
    struct iovec iov[BATCH];
    VmnetPacket packets[BATCH];
    g_autofree guint8 *memory = make_batch(packets, iov, PACKET_MAX, false);
    GError *error = NULL;

    vmnet_interface_set_event_callback(side->interface,
                                       VMNET_INTERFACE_PACKETS_AVAILABLE,
                                       on_event, NULL);
    while (!g_atomic_int_get(&stop)) {
        guint n = BATCH;

        if (!vmnet_interface_read(side->interface, packets, &n, &error)) {
            die("read", error);
        }
        side->n += n;
        if (n == 0) {
            wait_for(side->interface);
        }
    }
    return NULL;
}

/* Rounds */

static void run(void *(*sender)(void *), Side *from,
                void *(*receiver)(void *), Side *to, double seconds)
{
    pthread_t threads[2];

    g_atomic_int_set(&stop, 0);
    pthread_create(&threads[0], NULL, sender, from);
    if (receiver) {
        pthread_create(&threads[1], NULL, receiver, to);
    }
    g_usleep(seconds * G_USEC_PER_SEC);
    g_atomic_int_set(&stop, 1);
    pthread_join(threads[0], NULL);
    if (receiver) {
        pthread_join(threads[1], NULL);
    }
}

static double socketpair_rate(size_t bytes, double seconds)
{
    int sndbuf = SNDBUF_BYTES, pair[2];
    Side from = { .packet_bytes = bytes }, to = { 0 };

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0) {
        die("socketpair", NULL);
    }
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
    from.fd = pair[0];
    to.fd = pair[1];
    run(socket_sender, &from, socket_receiver, &to, seconds);
    close(pair[0]);
    close(pair[1]);
    return to.n / seconds;
}

static VmnetInterface *start(VmnetClient *client, const char *id)
{
    g_autofree char *options = g_strdup_printf(
        "vmnet-host,network=bench,mtu=65520,id=%s", id);
    GError *error = NULL;
    VmnetInterface *interface = vmnet_interface_start(
        client, options, VMNET_PORT_PACKETS, VMNET_INTERFACE_VIRTIO_HEADER, 0,
        TIMEOUT_MS, &error);

    if (!interface) {
        die("start", error);
    }
    return interface;
}

/* Frames of netdev @id that the daemon has taken in. */
static guint64 frames_taken(VmnetClient *client, const char *id)
{
    g_autoptr(JsonValue) list = vmnet_client_execute(client, "query-netdevs",
                                                     NULL, NULL);
    size_t i;
    int64_t n;

    for (i = 0; list && i < json_list_size(list); i++) {
        const JsonValue *info = json_list_get(list, i);

        if (g_strcmp0(json_dict_get_string(info, "id"), id) == 0 &&
            json_dict_get_int(info, "tx-frames", &n)) {
            return n;
        }
    }
    die("query-netdevs", NULL);
    return 0;
}

static void read_mac(VmnetClient *client)
{
    g_autoptr(JsonValue) list = vmnet_client_execute(client, "query-networks",
                                                     NULL, NULL);
    const char *mac = json_dict_get_string(json_list_get(list, 0), "mac");
    unsigned i, byte;

    for (i = 0; i < 6; i++) {
        sscanf(mac + 3 * i, "%2x", &byte);
        destination[i] = byte;
    }
}

static double hop_rate(VmnetClient *client, Side *from, double seconds)
{
    guint64 before = frames_taken(client, "a");

    read_mac(client);
    run(interface_sender, from, NULL, NULL, seconds);
    return (frames_taken(client, "a") - before) / seconds;
}

static double pair_rate(Side *from, Side *to, double seconds)
{
    static const guint8 mac[6] = { 2, 0, 0, 0, 0, 2 };
    guint8 memory[HEADER + 60] = "";
    struct iovec iov = { memory, sizeof(memory) };
    VmnetPacket packet = { &iov, 1, sizeof(memory) };
    guint n = 1;

    memset(destination, 0xff, sizeof(destination));
    set_frame(memory, destination, 2);
    vmnet_interface_write(to->interface, &packet, &n, NULL);
    memcpy(destination, mac, sizeof(mac));
    run(interface_sender, from, interface_receiver, to, seconds);
    return to->n / seconds;
}

int main(int argc, char **argv)
{
    size_t bytes = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    double seconds = argc > 2 ? g_ascii_strtod(argv[2], NULL) : 0;
    Side from = { .packet_bytes = HEADER + bytes }, to = { 0 };
    GError *error = NULL;
    VmnetClient *client;
    double base, hop, pair;

    if (bytes < 60 || bytes > 65534 || seconds <= 0) {
        fprintf(stderr, "usage: bench-transport FRAME-BYTES SECONDS\n");
        return 2;
    }
    client = vmnet_client_connect(VMNET_CONNECT_START, TIMEOUT_MS, &error);
    if (!client) {
        die("connect", error);
    }
    from.interface = start(client, "a");
    to.interface = start(client, "b");
    hop = hop_rate(client, &from, seconds);
    pair = pair_rate(&from, &to, seconds);
    base = socketpair_rate(HEADER + bytes, seconds);
    printf("{\"bytes\": %zu, \"socketpair\": %.0f, \"hop\": %.0f, "
           "\"pair\": %.0f}\n", bytes, base, hop, pair);
    return 0;
}
