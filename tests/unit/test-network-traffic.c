/*
 * What goes through a network
 *
 *   guest A --+                                  +-- service on 127.0.0.1
 *             |-- switch -- gateway -- uplink ---|
 *   guest B --+                                  +-- name server
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network-service.h"
#include "uplink/uplink-internal.h"

static void test_guests_reach_each_other(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) a = net_guest_new(network, 1);
    g_autoptr(NetGuest) b = net_guest_new(network, 2);
    IpHeaders headers;
    uint8_t buf[200];
    MacAddr mac;
    Lease lease;

    net_guest_dhcp(a);
    net_guest_dhcp(b);
    g_assert_cmpuint(f->n_leases, ==, 2);
    g_assert_true(network_lease_by_port(network, net_guest_port(b), &lease));
    g_assert_true(ip_addr_equal(&lease.addr, &b->addr));

    mac = net_guest_arp(a, &a->gateway);
    g_assert_true(mac_equal(&mac, &a->gateway_mac));

    headers = net_guest_headers(a, &b->addr);
    headers.proto = IPPROTO_UDP;
    headers.eth_dst = b->mac;
    net_guest_send(a, buf, udp_build(buf, sizeof(buf), &headers, 1, 7, "hi", 2));
    net_guest_receive_ip(b, IPPROTO_UDP);
    g_assert_true(ip_addr_equal(&b->ip.src, &a->addr));
    network_unref(network);
}

/* A connection of @guest's to @listener; the service's end. */
static int connect_service(NetGuest *guest, int listener, uint16_t port)
{
    IpEndpoint to = { guest->gateway, port };

    g_assert_cmphex(net_guest_tcp_connect(guest, &to), ==, TCP_SYN | TCP_ACK);
    return service_accept(listener);
}

/* Frames from @other, which @guest does not take, until its port is full. */
static void fill_port(NetGuest *guest, NetGuest *other)
{
    SwitchPort *port = port_switch_port(guest->port);
    IpHeaders headers = net_guest_headers(other, &guest->addr);
    static const uint8_t payload[1400];
    uint8_t buf[1500];
    size_t len;

    headers.proto = IPPROTO_UDP;
    headers.eth_dst = guest->mac;
    len = udp_build(buf, sizeof(buf), &headers, 1, 7, payload, sizeof(payload));
    while (switch_port_room(port, NULL) >= sizeof(buf)) {
        net_guest_send(other, buf, len);
        net_settle();
    }
}

/* A guest that takes nothing holds up its own flow, which loses nothing. */
static void test_full_guest_holds_up_its_own(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) full = net_guest_new(network, 1);
    g_autoptr(NetGuest) other = net_guest_new(network, 2);
    IpEndpoint at;
    int listener = service_socket(SOCK_STREAM | SOCK_NONBLOCK, &at);
    int fds[2];

    net_guest_dhcp(full);
    net_guest_dhcp(other);
    fds[0] = connect_service(full, listener, at.port);
    fds[1] = connect_service(other, listener, at.port);
    fill_port(full, other);
    g_assert_cmpint(write(fds[0], "late", 4), ==, 4);
    net_settle();
    g_assert_cmpint(write(fds[1], "answer", 6), ==, 6);
    guest_expect_data(other, "answer");
    guest_expect_data(full, "late");
    close(fds[0]);
    close(fds[1]);
    close(listener);
    network_unref(network);
}

static void test_tcp_to_the_host(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    IpEndpoint at, to;
    int listener = service_socket(SOCK_STREAM | SOCK_NONBLOCK, &at);
    int fd;

    net_guest_dhcp(guest);
    to = (IpEndpoint){ guest->gateway, at.port };
    g_assert_cmphex(net_guest_tcp_connect(guest, &to), ==, TCP_SYN | TCP_ACK);
    fd = service_accept(listener);
    net_guest_tcp_send(guest, TCP_ACK | TCP_PSH, "question", 8);
    service_expect(fd, "question");
    g_assert_cmpint(write(fd, "answer", 6), ==, 6);
    guest_expect_data(guest, "answer");
    close(fd);
    close(listener);
    network_unref(network);
}

static void test_loopback_services_are_out_of_reach(Fixture *f,
                                                    const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);
    Network *network = acquire(f, &config);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    IpEndpoint at, to;
    int listener = service_socket(SOCK_STREAM | SOCK_NONBLOCK, &at);

    net_guest_dhcp(guest);
    to = (IpEndpoint){ guest->gateway, at.port };
    guest->peer = to.addr;
    guest->dport = to.port;
    net_guest_tcp_send(guest, TCP_SYN, NULL, 0);
    /* A reset, or "prohibited" where the host has nothing but loopback. */
    do {
        net_guest_receive(guest);
    } while (net_guest_answer_arp(guest) || guest->parse != IP_PARSE_OK ||
             (guest->ip.proto != IPPROTO_TCP &&
              guest->ip.proto != IPPROTO_ICMP));
    g_assert_cmpint(accept(listener, NULL, NULL), ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
    close(listener);
    network_unref(network);
}

/* The listener of DNS over TCP is for flows of guests, and for nobody else. */
static void test_dns_listener_takes_only_flows(Fixture *f, const void *unused)
{
    Network *network = with_loopback(f);
    IpEndpoint at = { ip_addr_v4(INADDR_LOOPBACK),
                      network->uplink->policy.dns4_port };
    int fd;

    g_assert_cmpuint(at.port, !=, 0);
    fd = service_connect(&at);
    service_expect(fd, "");
    close(fd);
    network_unref(network);
}

/* One query to a name server of ours, which answers it with an address. */
static void name_server_serve(int server)
{
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    IpAddr addr = ip_addr_v4(v4("192.0.2.80"));
    uint8_t buf[512], answer[512];
    DnsMessage query;
    DnsBuilder b;
    ssize_t n;

    while ((n = recvfrom(server, buf, sizeof(buf), 0,
                         (struct sockaddr *)&from, &from_len)) < 0) {
        net_iterate();
    }
    g_assert_true(dns_parse(buf, n, &query));
    dns_reply_begin(&b, answer, sizeof(answer), &query, DNS_FLAG_RA,
                    DNS_RCODE_NOERROR, 1232);
    dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 60, &addr);
    n = dns_reply_finish(&b);
    g_assert_cmpint(sendto(server, answer, n, 0, (struct sockaddr *)&from,
                           from_len), ==, n);
}

/* @query has two bytes of length in front. */
static void guest_ask(NetGuest *g, bool by_tcp, const uint8_t *query,
                      size_t len)
{
    const IpEndpoint gateway = { g->gateway, DNS_PORT };

    if (by_tcp) {
        g_assert_cmphex(net_guest_tcp_connect(g, &gateway), ==,
                        TCP_SYN | TCP_ACK);
        net_guest_tcp_send(g, TCP_ACK | TCP_PSH, query, len + 2);
    } else {
        net_guest_udp(g, &gateway, query + 2, len);
    }
}

static void guest_expect_answer(NetGuest *g, bool by_tcp, DnsMessage *ret_msg)
{
    UdpDatagram udp;
    TcpHeader tcp;

    if (by_tcp) {
        net_guest_tcp_receive(g, &tcp);
        g_assert_true(dns_parse(g->data + tcp.payload_off + 2,
                                tcp.payload_len - 2, ret_msg));
    } else {
        net_guest_receive_ip(g, IPPROTO_UDP);
        g_assert_true(udp_parse(&g->frame, &g->ip, &udp));
        g_assert_true(dns_parse(g->data + udp.payload_off, udp.payload_len,
                                ret_msg));
    }
}

static void test_dns(Fixture *f, const void *by_tcp)
{
    Network *network = with_loopback(f);
    g_autoptr(NetGuest) guest = net_guest_new(network, 1);
    IpEndpoint at;
    int server = service_socket(SOCK_DGRAM | SOCK_NONBLOCK, &at);
    g_autofree char *conf = g_strdup_printf("nameserver 127.0.0.1#%u\n",
                                            at.port);
    uint8_t query[514];
    DnsMessage msg;
    DnsName name;
    size_t len;

    g_assert_true(g_file_set_contents(f->resolv_conf, conf, -1, NULL));
    net_guest_dhcp(guest);
    g_assert_true(dns_name_from_text("www.example.com", &name));
    len = dns_query_build(query + 2, sizeof(query) - 2, 77, &name, DNS_TYPE_A,
                          0);
    query[0] = len >> 8;
    query[1] = len;

    guest_ask(guest, by_tcp, query, len);
    name_server_serve(server);
    guest_expect_answer(guest, by_tcp, &msg);
    g_assert_cmpuint(msg.header.id, ==, 77);
    g_assert_cmpuint(msg.header.n_answers, ==, 1);
    close(server);
    network_unref(network);
}

static void test_uuid_network_has_no_gateway(Fixture *f, const void *unused)
{
    NetworkConfig config = config_of(NETWORK_MODE_HOST);
    NetworkForwardConfig forward = { .proto = IPPROTO_TCP, .guest.port = 80 };
    g_autoptr(GError) error = NULL;
    NetworkInfo info;
    Network *network;

    config.net_uuid = "6D5F0A2E-5b1c-4c4e-9a57-0c1f2a3b4c5d";
    network = acquire(f, &config);
    network_info(network, &info);
    g_assert_cmpstr(info.name, ==, "host-6d5f0a2e-5b1c-4c4e-9a57-0c1f2a3b4c5d");
    g_assert_cmpint(info.gateway4.family, ==, AF_UNSPEC);
    g_assert_false(info.dhcp || info.dns);
    {
        g_autoptr(NetGuest) a = net_guest_new(network, 1);
        g_autoptr(NetGuest) b = net_guest_new(network, 2);

        net_guest_dhcp_send(a, DHCP4_DISCOVER, 0, 0);
        /* The other guest hears it; the one that asked, nothing. */
        net_guest_receive(b);
        net_settle();
        g_assert_false(net_guest_readable(a));
    }
    forward.guest.addr = ip_addr_v4(v4("192.168.1.1"));
    g_assert_null(network_forward_new(network, &forward, &error));
    g_assert_nonnull(strstr(error->message, "it has no gateway"));
    network_unref(network);
}

#define ADD(name, data, func) \
    g_test_add("/network/" name, Fixture, data, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("guests-reach-each-other", NULL, test_guests_reach_each_other);
    ADD("tcp-to-the-host", NULL, test_tcp_to_the_host);
    ADD("full-guest-holds-up-its-own", NULL, test_full_guest_holds_up_its_own);
    ADD("loopback-services-are-out-of-reach", NULL,
        test_loopback_services_are_out_of_reach);
    ADD("dns-listener-takes-only-flows", NULL,
        test_dns_listener_takes_only_flows);
    ADD("dns/udp", NULL, test_dns);
    ADD("dns/tcp", GINT_TO_POINTER(1), test_dns);
    ADD("net-uuid-has-no-gateway", NULL, test_uuid_network_has_no_gateway);
    return g_test_run();
}
