/*
 * Two processes share a network
 *
 *     shared-network
 *
 * The first makes a network, hands its serialization to a second process (by a
 * pipe; any way will do) and waits for a packet.  The second makes a reference
 * of that, starts an interface and sends one.  The network ends with the last
 * of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmnet/vmnet.h>

#define TIMEOUT_MS 10000

/* To all; of the type that is free for experiments (IEEE 802, 0x88b5). */
static guint8 greeting[60] = "\xff\xff\xff\xff\xff\xff"
                             "\x02\x00\x00\x00\x00\x02"
                             "\x88\xb5" "hello from the second process";

static void die(const char *who, const GError *error)
{
    fprintf(stderr, "shared-network: %s: %s\n", who, error->message);
    _exit(1);
}

static VmnetClient *connect_client(const char *who)
{
    GError *error = NULL;
    VmnetClient *client = vmnet_client_connect(VMNET_CONNECT_START,
                                               VMNET_CONNECT_TIMEOUT_MS,
                                               &error);

    if (!client) {
        die(who, error);
    }
    return client;
}

static VmnetInterface *start(VmnetNetwork *network, const char *who)
{
    GError *error = NULL;
    VmnetInterface *interface = vmnet_interface_start_with_network(
        network, "id=net0", VMNET_PORT_PACKETS, 0, 0, TIMEOUT_MS, &error);

    if (!interface) {
        die(who, error);
    }
    return interface;
}

/* The second process: a line of text is all that it has. */
static int second(int from_first)
{
    g_autoptr(VmnetClient) client = connect_client("second");
    g_autoptr(VmnetNetwork) network = NULL;
    g_autoptr(VmnetInterface) interface = NULL;
    struct iovec iov = { greeting, sizeof(greeting) };
    VmnetPacket packet = { &iov, 1, sizeof(greeting) };
    GError *error = NULL;
    char text[4096] = "";
    guint n = 1;

    if (read(from_first, text, sizeof(text) - 1) <= 0) {
        return 1;
    }
    network = vmnet_network_create_with_serialization(client, text, TIMEOUT_MS,
                                                      &error);
    if (!network) {
        die("second", error);
    }
    interface = start(network, "second");
    if (!vmnet_interface_write(interface, &packet, &n, &error)) {
        die("second", error);
    }
    /* It goes with its process: wait until the packet is through. */
    return read(from_first, text, sizeof(text)) == 0 ? 0 : 1;
}

/* Wait for the greeting among the packets. */
static bool await_greeting(VmnetInterface *interface)
{
    gsize max = vmnet_interface_get_max_packet_size(interface);
    g_autofree char *memory = g_malloc(max);
    struct iovec iov = { memory, max };
    VmnetPacket packet = { &iov, 1, 0 };
    guint n = 1;

    while (vmnet_interface_read(interface, &packet, &n, NULL)) {
        if (n && packet.size >= sizeof(greeting) &&
            memcmp(memory + 6, greeting + 6, sizeof(greeting) - 6) == 0) {
            printf("%s\n", memory + 14);
            return true;
        }
        n = 1;
        g_usleep(1000);
    }
    return false;
}

int main(void)
{
    g_autoptr(VmnetNetworkConfiguration) config =
        vmnet_network_configuration_new(VMNET_HOST_MODE);
    g_autoptr(VmnetClient) client = NULL;
    g_autoptr(VmnetNetwork) network = NULL;
    g_autoptr(VmnetInterface) interface = NULL;
    g_autofree char *text = NULL;
    GError *error = NULL;
    int pipe_fds[2], status;
    bool ok;

    if (pipe(pipe_fds) < 0) {
        return 1;
    }
    if (fork() == 0) {      /* before the library is used */
        close(pipe_fds[1]);
        return second(pipe_fds[0]);
    }
    close(pipe_fds[0]);
    vmnet_network_configuration_set_name(config, "two-processes");
    client = connect_client("first");
    network = vmnet_network_create(client, config, TIMEOUT_MS, &error);
    if (!network) {
        die("first", error);
    }
    interface = start(network, "first");
    text = vmnet_network_copy_serialization(network);
    if (write(pipe_fds[1], text, strlen(text)) < 0) {
        return 1;
    }
    ok = await_greeting(interface);
    close(pipe_fds[1]);
    wait(&status);
    return ok && status == 0 ? 0 : 1;
}
