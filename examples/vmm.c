/*
 * A virtual machine's network card, for a VMM with a main loop of its own
 *
 *     vmm OPTIONS FD
 *
 * FD stands for the card: a connected SOCK_SEQPACKET socket, a frame a record.
 * Nothing in here waits but poll().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <vmnet/vmnet.h>

#define FRAME_BYTES 65553

static guint8 frame[FRAME_BYTES];
static struct iovec iov = { frame, sizeof(frame) };
static gboolean card_waits, ended;

static void from_network(VmnetInterface *interface, int card)
{
    VmnetPacket packet = { &iov, 1, 0 };
    guint n = 1;

    while (vmnet_interface_read(interface, &packet, &n, NULL) && n) {
        send(card, frame, packet.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void from_card(VmnetInterface *interface, int card)
{
    ssize_t len = recv(card, frame, sizeof(frame), MSG_DONTWAIT);
    VmnetPacket packet = { &iov, 1, MAX(len, 0) };
    guint n = 1;

    ended = len == 0;
    if (len > 0 && vmnet_interface_write(interface, &packet, &n, NULL)) {
        card_waits = n == 0;    /* full: this one is lost, the next one waits */
    }
}

static void on_event(VmnetInterface *interface, VmnetInterfaceEvents events,
                     guint64 n_estimated, gpointer user_data)
{
    if (events & VMNET_INTERFACE_PACKETS_AVAILABLE) {
        from_network(interface, GPOINTER_TO_INT(user_data));
    }
    card_waits &= !(events & VMNET_INTERFACE_ROOM_AVAILABLE);
}

static void on_started(VmnetInterface *interface, const GError *error,
                       gpointer user_data)
{
    fprintf(stderr, "%s\n", error ? error->message : "started");
    ended = error != NULL;
}

int main(int argc, char **argv)
{
    int card = argc > 2 ? atoi(argv[2]) : -1;
    g_autoptr(VmnetClient) client = vmnet_client_connect_async(
        VMNET_CONNECT_START, VMNET_CONNECT_TIMEOUT_MS, NULL, NULL, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmnetInterface) interface = NULL;

    if (!client || card < 0) {
        return 2;
    }
    interface = vmnet_interface_start_async(
        client, argv[1], VMNET_PORT_PACKETS, 0, 0, VMNET_CONNECT_TIMEOUT_MS,
        on_started, NULL, &error);
    if (!interface) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    vmnet_interface_set_event_callback(
        interface, VMNET_INTERFACE_PACKETS_AVAILABLE |
        VMNET_INTERFACE_ROOM_AVAILABLE | VMNET_INTERFACE_LOST, on_event,
        GINT_TO_POINTER(card));
    while (!ended) {
        struct pollfd fds[] = {
            { vmnet_client_get_fd(client), POLLIN, 0 },
            { vmnet_interface_get_fd(interface), POLLIN, 0 },
            { card_waits ? -1 : card, POLLIN, 0 },
        };

        poll(fds, G_N_ELEMENTS(fds), -1);
        if (fds[0].revents && !vmnet_client_dispatch(client)) {
            return 1;
        }
        if (fds[1].revents && !vmnet_interface_dispatch(interface)) {
            return 1;
        }
        if (fds[2].revents && vmnet_interface_get_state(interface) ==
                              VMNET_INTERFACE_RUNNING) {
            from_card(interface, card);
        }
    }
    return 0;
}
