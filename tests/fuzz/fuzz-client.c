/*
 * Fuzz target: what a daemon says to libvmnet
 *
 * The first byte's lowest bit: 0: the bytes behind it are what is heard from
 * the greeting on; 1: what a client hears that has connected, and waits for
 * answers: to a command, and to the start of an interface.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libvmnet/client-int.h"
#include "vmnet/vmnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a socket takes at once. */
#define SAID_MAX 65536
#define TURNS 64

static void on_command(VmnetClient *client, const char *result,
                       const GError *error, gpointer unused)
{
    g_assert_true(!result != !error);
}

static void on_network(VmnetNetwork *network, const GError *error,
                       gpointer unused)
{
    struct in_addr subnet, mask;
    struct in6_addr prefix;
    guint8 len;

    g_assert_true(!network != !error);
    if (network) {
        vmnet_network_get_ipv4_subnet(network, &subnet, &mask);
        vmnet_network_get_ipv6_prefix(network, &prefix, &len);
    }
    vmnet_network_unref(network);
}

static void on_event(VmnetClient *client, const char *event, const char *data,
                     gpointer unused)
{
    g_assert_nonnull(event);
    g_assert_nonnull(data);
}

static void hear_greeting(VmnetClient *client)
{
    unsigned state = 0;
    JsonValue *message;

    client_io_receive(client);
    while ((message = g_queue_pop_head(&client->messages))) {
        g_autoptr(GError) error = NULL;
        GreetResult result = greet_message(client, message, &state, &error);

        json_unref(message);
        g_assert_true((result == GREET_FAILED) == (error != NULL));
        if (result != GREET_GOES_ON) {
            break;
        }
    }
}

static void hear_answers(VmnetClient *client)
{
    g_autoptr(VmnetInterface) interface = NULL;
    unsigned i;

    client_set_connected(client);
    vmnet_client_set_event_callback(client, on_event, NULL);
    vmnet_client_command_async(client, "query-x", NULL, -1, 1000, on_command,
                               NULL, NULL);
    interface = vmnet_interface_start_async(client, "vmnet-host,id=n0",
                                            VMNET_PORT_PACKETS, 0, 0, 1000,
                                            NULL, NULL, NULL);
    vmnet_network_acquire_async(client, "host", 1000, on_network, NULL, NULL);
    for (i = 0; i < TURNS && vmnet_client_dispatch(client); i++) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(VmnetClient) client = NULL;
    int pair[2];

    if (size < 1 || size > SAID_MAX ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return 0;
    }
    client = vmnet_client_new(NULL);
    g_assert_nonnull(client);
    client->path = g_strdup("fuzz");
    client_io_attach(client, pair[0]);
    g_assert_cmpint(send(pair[1], data + 1, size - 1, MSG_DONTWAIT), ==,
                    size - 1);
    shutdown(pair[1], SHUT_WR);
    if (data[0] & 1) {
        hear_answers(client);
    } else {
        hear_greeting(client);
    }
    close(pair[1]);
    return 0;
}
