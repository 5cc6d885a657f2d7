/*
 * Services and clients on the host, at the other end from a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_NETWORK_SERVICE_H
#define TESTS_UNIT_NETWORK_SERVICE_H

#include "network-fixture.h"

static inline Network *with_loopback(Fixture *f)
{
    NetworkConfig config = config_of(NETWORK_MODE_SHARED);

    config.host_loopback = NETWORK_ON;
    return acquire(f, &config);
}

static inline int service_socket(int type, IpEndpoint *ret_at)
{
    struct sockaddr_storage ss;
    socklen_t len;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    *ret_at = (IpEndpoint){ ip_addr_v4(INADDR_LOOPBACK), 0 };
    len = ip_endpoint_to_sockaddr(ret_at, &ss);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&ss, len), ==, 0);
    if (type & SOCK_STREAM) {
        g_assert_cmpint(listen(fd, 8), ==, 0);
    }
    len = sizeof(ss);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&ss, &len), ==, 0);
    ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, ret_at);
    return fd;
}

static inline int service_connect(const IpEndpoint *to)
{
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(to, &ss);
    int fd = socket(to->addr.family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(connect(fd, (struct sockaddr *)&ss, len), ==, 0);
    return fd;
}

static inline bool socket_has_v6(void)
{
    struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6,
                                 .sin6_addr = in6addr_loopback };
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 &&
              bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* Accept or read with the loop running meanwhile. */
static inline int service_accept(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0 &&
           errno == EAGAIN) {
        net_iterate();
    }
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static inline void service_expect(int fd, const char *text)
{
    char buf[64] = { 0 };
    ssize_t n;

    while ((n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT)) < 0 &&
           errno == EAGAIN) {
        net_iterate();
    }
    g_assert_cmpstr(buf, ==, text);
}

static inline void guest_expect_data(NetGuest *g, const char *text)
{
    TcpHeader tcp;

    net_guest_tcp_receive(g, &tcp);
    g_assert_cmpmem(g->data + tcp.payload_off, tcp.payload_len, text,
                    strlen(text));
    net_guest_tcp_send(g, TCP_ACK, NULL, 0);
}

#endif
