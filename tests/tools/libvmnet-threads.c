/*
 * Four threads and libvmnet, for ThreadSanitizer
 *
 *   main     dispatches a client: commands and their answers
 *   writer   writes to its first interface
 *   reader   reads from its second one
 *   other    has a client of its own: connects, starts, stops, again and again
 *
 * What the library allows at once, see the headers.  Ends with 0 when the
 * reader has read what it is to read; ThreadSanitizer ends it otherwise.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <vmnet/vmnet.h>

#define BATCH 16
#define FRAME_BYTES 1500
#define READS_WANTED 5000
#define TURNS_WANTED 5
#define TIMEOUT_MS 20000

static const guint8 reader_mac[6] = { 2, 0, 0, 0, 0, 2 };
static const guint8 writer_mac[6] = { 2, 0, 0, 0, 0, 1 };
static int n_read, n_turns, n_answers, has_failed;

static gboolean is_over(void)
{
    return g_atomic_int_get(&has_failed) ||
           (g_atomic_int_get(&n_read) >= READS_WANTED &&
            g_atomic_int_get(&n_turns) >= TURNS_WANTED);
}

static void fail(const char *what, const GError *error)
{
    fprintf(stderr, "libvmnet-threads: %s: %s\n", what,
            error ? error->message : "");
    g_atomic_int_set(&has_failed, 1);
}

static void make_frame(guint8 frame[FRAME_BYTES], const guint8 dst[6],
                       const guint8 src[6])
{
    memset(frame, 0, FRAME_BYTES);
    memcpy(frame, dst, 6);
    memcpy(frame + 6, src, 6);
    frame[12] = 0x88;
    frame[13] = 0xb5;
}

static void write_one(VmnetInterface *interface, guint8 *frame)
{
    struct iovec iov = { frame, FRAME_BYTES };
    VmnetPacket packets[BATCH];
    GError *error = NULL;
    guint i, n = BATCH;

    for (i = 0; i < BATCH; i++) {
        packets[i] = (VmnetPacket){ &iov, 1, FRAME_BYTES };
    }
    if (!vmnet_interface_write(interface, packets, &n, &error)) {
        fail("write", error);
    } else if (n < BATCH) {
        g_usleep(500);
    }
}

static void *writer(void *interface)
{
    guint8 frame[FRAME_BYTES];

    make_frame(frame, reader_mac, writer_mac);
    while (!is_over()) {
        write_one(interface, frame);
    }
    return NULL;
}

static void on_event(VmnetInterface *interface, VmnetInterfaceEvents events,
                     guint64 n_estimated, gpointer unused)
{
    static guint8 memory[BATCH][2048];
    struct iovec iov[BATCH];
    VmnetPacket packets[BATCH];
    GError *error = NULL;
    guint i, n = BATCH;

    for (i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){ memory[i], sizeof(memory[i]) };
        packets[i] = (VmnetPacket){ &iov[i], 1, 0 };
    }
    if (!vmnet_interface_read(interface, packets, &n, &error)) {
        fail("read", error);
        return;
    }
    g_atomic_int_add(&n_read, n);
}

static void *reader(void *opaque)
{
    VmnetInterface *interface = opaque;
    struct pollfd pfd = { vmnet_interface_get_fd(interface), POLLIN, 0 };
    guint8 frame[FRAME_BYTES];

    make_frame(frame, writer_mac, reader_mac);
    write_one(interface, frame);    /* so that the switch knows where we are */
    vmnet_interface_set_event_callback(interface,
                                       VMNET_INTERFACE_PACKETS_AVAILABLE,
                                       on_event, NULL);
    while (!is_over()) {
        poll(&pfd, 1, 100);
        vmnet_interface_dispatch(interface);
    }
    return NULL;
}

static void *other(void *unused)
{
    while (!is_over()) {
        GError *error = NULL;
        g_autoptr(VmnetClient) client = vmnet_client_connect(
            VMNET_CONNECT_EXISTING, TIMEOUT_MS, &error);
        g_autoptr(VmnetInterface) interface = client ?
            vmnet_interface_start(client, "vmnet-host,id=other",
                                  VMNET_PORT_PACKETS, 0, 0, TIMEOUT_MS,
                                  &error) : NULL;

        if (!interface ||
            !vmnet_interface_stop(interface, TIMEOUT_MS, &error)) {
            fail("other", error);
            break;
        }
        g_atomic_int_inc(&n_turns);
    }
    return NULL;
}

static void on_answer(VmnetClient *client, const char *result,
                      const GError *error, gpointer unused)
{
    if (error) {
        fail("query-netdevs", error);
    }
    n_answers++;
}

static void ask(VmnetClient *client)
{
    GError *error = NULL;

    if (!vmnet_client_command_async(client, "query-netdevs", NULL, -1,
                                    TIMEOUT_MS, on_answer, NULL, &error)) {
        fail("query-netdevs", error);
    }
}

static void dispatch_all(VmnetClient *client)
{
    struct pollfd pfd = { vmnet_client_get_fd(client), POLLIN, 0 };
    int asked = 0;

    while (!is_over()) {
        if (asked == n_answers) {
            ask(client);
            asked++;
        }
        poll(&pfd, 1, 100);
        vmnet_client_dispatch(client);
    }
}

static VmnetInterface *start(VmnetClient *client, const char *options)
{
    GError *error = NULL;
    VmnetInterface *interface = vmnet_interface_start(
        client, options, VMNET_PORT_PACKETS, 0, 0, TIMEOUT_MS, &error);

    if (!interface) {
        fail(options, error);
    }
    return interface;
}

int main(void)
{
    void *(*const functions[])(void *) = { writer, reader, other };
    VmnetInterface *interfaces[2];
    pthread_t threads[3];
    GError *error = NULL;
    VmnetClient *client = vmnet_client_connect(VMNET_CONNECT_START,
                                               TIMEOUT_MS, &error);
    unsigned i;

    if (!client) {
        fail("connect", error);
        return 1;
    }
    interfaces[0] = start(client, "vmnet-host,id=writer");
    interfaces[1] = start(client, "vmnet-host,id=reader");
    if (has_failed) {
        return 1;
    }
    for (i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, functions[i],
                       i < 2 ? interfaces[i] : NULL);
    }
    dispatch_all(client);
    for (i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    vmnet_interface_unref(interfaces[0]);
    vmnet_interface_unref(interfaces[1]);
    vmnet_client_unref(client);
    return has_failed;
}
