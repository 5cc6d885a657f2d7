/*
 * Forwards: who comes in, to whom, and what is refused
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network-service.h"

static void test_forward_follows_a_lease(Fixture *f, const void *mode)
{
    NetworkConfig config = config_of(GPOINTER_TO_INT(mode));
    Network *network = acquire(f, &config);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    NetworkForwardConfig forward_config = {
        .proto = IPPROTO_TCP,
        .host.addr = ip_addr_v4(INADDR_LOOPBACK),
        .guest.port = 80,
        .port = net_guest_port(guest),
    };
    NetworkForward *forward = network_forward_new(network, &forward_config,
                                                  NULL);
    TcpHeader tcp;
    int fd;

    g_assert_nonnull(forward);
    network_forward_info(forward, &forward_config);
    g_assert_cmpuint(forward_config.host.port, !=, 0);
    g_assert_cmpint(forward_config.guest.addr.family, ==, AF_UNSPEC);

    /* Nobody there yet: a reset. */
    fd = service_connect(&forward_config.host);
    service_expect(fd, "");
    close(fd);

    net_guest_dhcp(guest);
    network_forward_info(forward, &forward_config);
    g_assert_true(ip_addr_equal(&forward_config.guest.addr, &guest->addr));
    g_assert_cmpuint(f->n_moved, ==, 1);
    network_forwards_follow(network, net_guest_port(guest));
    g_assert_cmpuint(f->n_moved, ==, 1); /* it is where it was */

    fd = service_connect(&forward_config.host);
    guest->sport = 80;
    net_guest_tcp_receive(guest, &tcp);
    g_assert_cmphex(tcp.flags, ==, TCP_SYN);
    g_assert_true(ip_addr_equal(&guest->ip.src, &guest->gateway));
    guest->peer = guest->ip.src;
    guest->dport = tcp.sport;
    net_guest_tcp_send(guest, TCP_SYN | TCP_ACK, NULL, 0);
    g_assert_cmpint(write(fd, "GET", 3), ==, 3);
    guest_expect_data(guest, "GET");
    net_guest_tcp_send(guest, TCP_ACK | TCP_PSH, "page", 4);
    service_expect(fd, "page");
    close(fd);
    network_forward_free(forward);
    network_unref(network);
}

/* Without a host address: both families at one port, one guest. */
static void test_forward_on_all_addresses(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    NetworkForwardConfig config = {
        .proto = IPPROTO_TCP, .host.addr.family = AF_UNSPEC, .guest.port = 80,
    };
    NetworkForward *forward;
    IpEndpoint to = { .port = 0 };
    unsigned i;

    net_guest_dhcp(guest);
    config.guest.addr = guest->addr;
    forward = network_forward_new(network, &config, NULL);
    g_assert_nonnull(forward);
    network_forward_info(forward, &config);
    g_assert_cmpint(config.host.addr.family, ==, AF_UNSPEC);
    to.port = config.host.port;
    for (i = 0; i < 2; i++) {
        TcpHeader tcp;
        int fd;

        to.addr = i ? ip_addr_v6(&in6addr_loopback)
                    : ip_addr_v4(INADDR_LOOPBACK);
        if (i && !socket_has_v6()) {
            break;
        }
        fd = service_connect(&to);
        guest->sport = 80;
        net_guest_tcp_receive(guest, &tcp);
        g_assert_cmphex(tcp.flags, ==, TCP_SYN);
        g_assert_true(ip_addr_equal(&guest->ip.src, &guest->gateway));
        close(fd);
    }
    network_forward_free(forward);
    network_unref(network);
}

static void test_udp_forward(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    NetworkForwardConfig config = {
        .proto = IPPROTO_UDP, .host.addr.family = AF_UNSPEC, .guest.port = 53,
        .port = net_guest_port(guest),
    };
    NetworkForward *forward = network_forward_new(network, &config, NULL);
    struct sockaddr_storage ss;
    IpEndpoint own, to;
    UdpDatagram udp;
    socklen_t len;
    int fd = service_socket(SOCK_DGRAM | SOCK_NONBLOCK, &own);

    g_assert_nonnull(forward);
    net_guest_dhcp(guest);
    network_forward_info(forward, &config);
    to = (IpEndpoint){ ip_addr_v4(INADDR_LOOPBACK), config.host.port };
    len = ip_endpoint_to_sockaddr(&to, &ss);
    g_assert_cmpint(sendto(fd, "ask", 3, 0, (struct sockaddr *)&ss, len), ==, 3);
    net_guest_receive_ip(guest, IPPROTO_UDP);
    g_assert_true(udp_parse(&guest->frame, &guest->ip, &udp));
    g_assert_cmpuint(udp.dport, ==, 53);
    g_assert_true(ip_addr_equal(&guest->ip.src, &guest->gateway));

    to = (IpEndpoint){ guest->ip.src, udp.sport };
    guest->sport = 53;
    net_guest_udp(guest, &to, "answer", 6);
    service_expect(fd, "answer");
    close(fd);
    network_forward_free(forward);
    network_unref(network);
}

/* Nothing that the guest sends wakes the gateway: its own timer must. */
static void test_forward_asks_again(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    NetworkForwardConfig config = {
        .proto = IPPROTO_UDP, .host.addr = ip_addr_v4(INADDR_LOOPBACK),
        .guest.port = 53,
    };
    struct sockaddr_storage ss;
    NetworkForward *forward;
    NetworkInfo info;
    IpEndpoint own;
    ArpPacket arp;
    socklen_t len;
    int fd = service_socket(SOCK_DGRAM, &own);
    unsigned n = 0;

    net_guest_receive(guest);   /* the advertisement that all get */
    network_info(network, &info);
    config.guest.addr = ip_addr_v4(info.pool_first);
    forward = network_forward_new(network, &config, NULL);
    g_assert_nonnull(forward);
    network_forward_info(forward, &config);
    len = ip_endpoint_to_sockaddr(&config.host, &ss);
    g_assert_cmpint(sendto(fd, "ask", 3, 0, (struct sockaddr *)&ss, len), ==, 3);
    while (n < 2) {
        net_guest_receive(guest);
        /* ... and before the next advertisement would. */
        g_assert_false(guest->parse == IP_PARSE_OK &&
                       guest->ip.proto == IPPROTO_ICMPV6);
        n += guest->eth.type == ETH_TYPE_ARP &&
             arp_parse(guest->data + ETH_HEADER_LEN, ARP_PACKET_LEN, &arp) &&
             arp.op == ARP_REQUEST && arp.tpa == info.pool_first;
    }
    close(fd);
    network_forward_free(forward);
    network_unref(network);
}

static void test_forward_is_refused(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    IpEndpoint at;
    int listener = service_socket(SOCK_STREAM, &at);
    NetworkForwardConfig config = {
        .proto = IPPROTO_TCP, .host = at, .guest.port = 80,
    };
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    NetworkInfo info;

    network_info(network, &info);
    config.guest.addr = ip_addr_v4(info.pool_first);
    g_assert_null(network_forward_new(network, &config, &error));
    text = g_strdup_printf("cannot listen on 127.0.0.1:%u/tcp: Address already "
                           "in use", at.port);
    g_assert_cmpstr(error->message, ==, text);
    g_clear_error(&error);

    config.host.port = 0;
    config.guest.addr = ip_addr_v4(v4("8.8.8.8"));
    g_assert_null(network_forward_new(network, &config, &error));
    g_assert_cmpstr(error->message, ==, "network 'shared': 8.8.8.8 is not an "
                    "address of a guest");
    close(listener);
    network_unref(network);
}

/* As an ordinary user: said with the mend. */
static void test_forward_needs_rights(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    NetworkForwardConfig config = {
        .proto = IPPROTO_TCP,
        .host = { ip_addr_v4(INADDR_LOOPBACK), 1 },
        .guest.port = 80,
    };
    g_autoptr(GError) error = NULL;
    bool is_root = geteuid() == 0;
    NetworkForward *forward;
    NetworkInfo info;

    network_info(network, &info);
    config.guest.addr = ip_addr_v4(info.pool_first);
    g_assert_true(!is_root || seteuid(65534) == 0);
    forward = network_forward_new(network, &config, &error);
    g_assert_true(!is_root || seteuid(0) == 0);
    if (forward) {
        g_test_skip("this machine lets everybody bind port 1");
        network_forward_free(forward);
    } else {
        g_assert_true(g_str_has_prefix(error->message, "cannot listen on "
                                       "127.0.0.1:1/tcp: Permission denied: "
                                       "ports below "));
        g_assert_nonnull(strstr(error->message,
                                "net.ipv4.ip_unprivileged_port_start=1"));
    }
    network_unref(network);
}

static void test_persistent_forward(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    NetworkForwardConfig config = {
        .proto = IPPROTO_TCP, .host.addr = ip_addr_v4(INADDR_LOOPBACK),
        .guest.port = 80, .persistent = true,
    };
    g_autoptr(GPtrArray) list = NULL;
    NetworkInfo info;

    network_info(network, &info);
    config.guest.addr = ip_addr_v4(info.pool_first);
    g_assert_nonnull(network_forward_new(network, &config, NULL));
    network_unref(network);
    network_register_free(f->reg);

    register_start(f);
    network = with_loopback(f);
    list = network_forwards(network);
    g_assert_cmpuint(list->len, ==, 1);
    network_forward_info(g_ptr_array_index(list, 0), &config);
    g_assert_cmpuint(config.guest.addr.v4, ==, info.pool_first);
    network_forward_free(g_ptr_array_index(list, 0));
    network_unref(network);
    network_register_free(f->reg);

    register_start(f);
    network = with_loopback(f);
    g_ptr_array_unref(list);
    list = network_forwards(network);
    g_assert_cmpuint(list->len, ==, 0);
    network_unref(network);
}

/* A program of the host's that listens there. */
static int take_port(const IpEndpoint *at)
{
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(at, &ss);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&ss, len), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

/* The network again, whose only forward is in force or not. */
static NetworkForward *start_again(Fixture *f, Network **network, bool in_force)
{
    g_autoptr(GPtrArray) list = NULL;
    NetworkForward *forward;

    network_unref(*network);
    network_register_free(f->reg);
    register_start(f);
    if (!in_force) {
        g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "network shared: a "
                              "forward is kept, but not in force: *");
    }
    *network = with_loopback(f);
    g_test_assert_expected_messages();
    list = network_forwards(*network);
    g_assert_cmpuint(list->len, ==, 1);
    forward = g_ptr_array_index(list, 0);
    g_assert_cmpint(!network_forward_error(forward), ==, in_force);
    return forward;
}

static void test_persistent_forward_not_in_force(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    NetworkForwardConfig config = {
        .proto = IPPROTO_TCP, .host.addr = ip_addr_v4(INADDR_LOOPBACK),
        .guest.port = 80, .persistent = true,
    };
    g_autoptr(GPtrArray) list = NULL;
    NetworkForward *forward;
    NetworkInfo info;
    int fd;

    network_info(network, &info);
    config.guest.addr = ip_addr_v4(info.pool_first);
    forward = network_forward_new(network, &config, NULL);
    network_forward_info(forward, &config);
    g_assert_null(network_forward_error(forward));

    /* Somebody has its port: kept, and tried again. */
    network_forwards_stop(network);
    fd = take_port(&config.host);
    forward = start_again(f, &network, false);
    g_assert_nonnull(strstr(network_forward_error(forward),
                            "Address already in use"));
    g_assert_null(network_forward_new(network, &config, NULL));
    g_assert_cmpuint(network->state.forwards->len, ==, 1);
    close(fd);
    start_again(f, &network, true);

    /* Added again: one in the place of the other. */
    network_forwards_stop(network);
    fd = take_port(&config.host);
    start_again(f, &network, false);
    close(fd);
    g_assert_nonnull(network_forward_new(network, &config, NULL));
    list = network_forwards(network);
    g_assert_cmpuint(list->len, ==, 1);
    g_assert_null(network_forward_error(g_ptr_array_index(list, 0)));
    g_assert_cmpuint(network->state.forwards->len, ==, 1);

    network_forwards_stop(network);
    fd = take_port(&config.host);
    forward = start_again(f, &network, false);
    network_forward_free(forward);
    g_assert_cmpuint(network->state.forwards->len, ==, 0);
    close(fd);
    network_unref(network);
}

#define ADD(name, data, func) \
    g_test_add("/network/" name, Fixture, data, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("forward-follows-a-lease", GINT_TO_POINTER(NETWORK_MODE_SHARED),
        test_forward_follows_a_lease);
    ADD("forward-follows-a-lease/host", GINT_TO_POINTER(NETWORK_MODE_HOST),
        test_forward_follows_a_lease);
    ADD("forward-on-all-addresses", NULL, test_forward_on_all_addresses);
    ADD("udp-forward", NULL, test_udp_forward);
    ADD("a-forward-asks-for-its-guest-again", NULL, test_forward_asks_again);
    ADD("a-forward-is-refused", NULL, test_forward_is_refused);
    ADD("a-forward-needs-rights", NULL, test_forward_needs_rights);
    ADD("a-persistent-forward-is-kept", NULL, test_persistent_forward);
    ADD("a-persistent-forward-is-not-in-force", NULL,
        test_persistent_forward_not_in_force);
    return g_test_run();
}
