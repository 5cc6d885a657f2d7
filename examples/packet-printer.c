/*
 * Print the packets that reach an interface
 *
 *     packet-printer [OPTIONS] [COUNT]
 *
 * OPTIONS are those of QEMU's -netdev, such as vmnet-shared,id=printer.  Ends
 * after COUNT packets (default: never).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <vmnet/vmnet.h>

#define BATCH 32

static unsigned long n_left;

static void print_packet(const guint8 *p, gsize size)
{
    printf("%02x:%02x:%02x:%02x:%02x:%02x > %02x:%02x:%02x:%02x:%02x:%02x, "
           "type %02x%02x, %zu bytes\n", p[6], p[7], p[8], p[9], p[10], p[11],
           p[0], p[1], p[2], p[3], p[4], p[5], p[12], p[13], size);
    fflush(stdout);
}

static void on_event(VmnetInterface *interface, VmnetInterfaceEvents events,
                     guint64 n_estimated, gpointer user_data)
{
    gsize max = vmnet_interface_get_max_packet_size(interface);
    g_autofree guint8 *memory = g_malloc(BATCH * max);
    struct iovec iov[BATCH];
    VmnetPacket packets[BATCH];
    guint i, n = BATCH;

    for (i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){ memory + i * max, max };
        packets[i] = (VmnetPacket){ &iov[i], 1, 0 };
    }
    if (!vmnet_interface_read(interface, packets, &n, NULL)) {
        return;     /* the end: dispatch says so */
    }
    for (i = 0; i < n && n_left; i++, n_left--) {
        print_packet(packets[i].iov->iov_base, packets[i].size);
    }
}

int main(int argc, char **argv)
{
    const char *options = argc > 1 ? argv[1] : "vmnet-shared,id=printer";
    g_autoptr(GError) error = NULL;
    g_autoptr(VmnetClient) client = NULL;
    g_autoptr(VmnetInterface) interface = NULL;
    struct pollfd pfd = { .events = POLLIN };

    n_left = argc > 2 ? strtoul(argv[2], NULL, 10) : G_MAXULONG;
    client = vmnet_client_connect(VMNET_CONNECT_START,
                                  VMNET_CONNECT_TIMEOUT_MS, &error);
    if (client) {
        interface = vmnet_interface_start(client, options, VMNET_PORT_PACKETS,
                                          0, 0, VMNET_COMMAND_TIMEOUT_MS,
                                          &error);
    }
    if (!interface) {
        fprintf(stderr, "packet-printer: %s\n", error->message);
        return 1;
    }
    printf("on %s, MTU %u\n", vmnet_interface_get_network(interface),
           vmnet_interface_get_mtu(interface));
    fflush(stdout);
    vmnet_interface_set_event_callback(interface,
                                       VMNET_INTERFACE_PACKETS_AVAILABLE,
                                       on_event, NULL);
    pfd.fd = vmnet_interface_get_fd(interface);
    while (n_left && vmnet_interface_dispatch(interface)) {
        poll(&pfd, 1, n_left ? -1 : 0);
    }
    return n_left ? 1 : 0;
}
