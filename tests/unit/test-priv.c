/*
 * The privileged process: what it makes, and all that it must refuse
 *
 *   test (the engine's side) -- socketpair -- child: priv_serve()
 *
 * in a network namespace of the test's own, with
 *
 *   br0 (bridge)   eth0 -- peer (veth)   port0 (veth, a port of br0)
 *   down0 (bridge, down)   stp0 (bridge with STP)   other0 (dummy or bridge that the policy forbids)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "priv/links.h"
#include "priv/message.h"
#include "priv/priv.h"
#include "priv/rights.h"
#include "priv/serve.h"
#include "vmnet/error.h"

#define MARK 0x80000001u
#define OTHER_MARK 0x80000002u

static const char *const allowed[] = {
    "br0", "eth0", "port0", "down0", "stp0", "lo", "missing", NULL
};

typedef struct Fixture {
    int fd, nl;
    pid_t server;
} Fixture;

static void run(const char *command)
{
    g_autoptr(GError) error = NULL;
    int status = 0;

    g_spawn_command_line_sync(command, NULL, NULL, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
}

static void start_server(Fixture *f, uint32_t mark)
{
    const PrivPolicy policy = {
        .bridged = allowed, .mark = mark, .first_port = 1024,
    };
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    f->server = fork();
    if (f->server == 0) {
        close(fds[0]);
        if (!rights_keep_network(NULL)) {
            _exit(1);
        }
        priv_serve(fds[1], &policy);
        _exit(0);
    }
    close(fds[1]);
    f->fd = fds[0];
}

static void end_server(Fixture *f)
{
    int status;

    if (f->fd >= 0) {
        close(f->fd);
    }
    g_assert_cmpint(waitpid(f->server, &status, 0), ==, f->server);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static void set_up(Fixture *f, const void *unused)
{
    g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
    run("ip link add br0 type bridge");
    run("ip link add eth0 type veth peer name peer");
    run("ip link add port0 type veth peer name peer2");
    run("ip link set port0 master br0");
    run("ip link add down0 type bridge");
    run("ip link add other0 type bridge");
    run("ip link add stp0 up type bridge stp_state 1");
    run("ip link set lo up");
    run("ip link set br0 mtu 1400 up");
    run("ip link set peer up");
    run("ip link set eth0 up");
    run("ip link set port0 up");
    run("ip link set other0 up");
    f->nl = links_open();
    start_server(f, MARK);
}

static void tear_down(Fixture *f, const void *unused)
{
    end_server(f);
    close(f->nl);
}

static bool count_one(void *opaque, const Link *link)
{
    *(unsigned *)opaque += g_str_has_prefix(link->name, PRIV_LINK_PREFIX);
    return true;
}

static unsigned count_made(Fixture *f)
{
    unsigned n = 0;

    g_assert_cmpint(links_each(f->nl, count_one, &n), ==, 0);
    return n;
}

/* The answer to @len bytes, which must bring no descriptor. */
static PrivAnswer ask_bytes(Fixture *f, const void *bytes, size_t len)
{
    char control[CMSG_SPACE(sizeof(int))];
    PrivAnswer answer = { 0 };
    struct iovec iov = { &answer, sizeof(answer) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control, .msg_controllen = sizeof(control),
    };

    g_assert_cmpint(send(f->fd, bytes, len, 0), ==, len);
    g_assert_cmpint(recvmsg(f->fd, &msg, 0), ==, sizeof(answer));
    g_assert_null(CMSG_FIRSTHDR(&msg));
    return answer;
}

static PrivAnswer ask(Fixture *f, const PrivRequest *request)
{
    PrivAnswer answer = ask_bytes(f, request, sizeof(*request));

    g_assert_cmpuint(answer.seq, ==, request->seq);
    return answer;
}

static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

static PrivRequest request_of(PrivType type, const char *ifname)
{
    PrivRequest request = { .type = type, .seq = 7 };

    g_strlcpy(request.ifname, ifname, sizeof(request.ifname));
    if (type == PRIV_MACVTAP) {
        memcpy(request.mac, guest_mac, 6);
    }
    return request;
}

static const struct {
    PrivType type;
    const char *ifname;
    PrivOutcome outcome;
} refusals[] = {
    { PRIV_BRIDGE_TAP, "other0", PRIV_NOT_ALLOWED },
    { PRIV_BRIDGE_TAP, "missing", PRIV_NO_INTERFACE },
    { PRIV_BRIDGE_TAP, "down0", PRIV_IS_DOWN },
    { PRIV_BRIDGE_TAP, "stp0", PRIV_SLOW_BRIDGE },
    { PRIV_BRIDGE_TAP, "eth0", PRIV_WRONG_KIND },
    { PRIV_BRIDGE_TAP, "lo", PRIV_WRONG_KIND },
    { PRIV_BRIDGE_TAP, "br*", PRIV_NOT_ALLOWED },
    { PRIV_BRIDGE_TAP, "../br0", PRIV_BAD_REQUEST },
    { PRIV_BRIDGE_TAP, "br%d", PRIV_BAD_REQUEST },
    { PRIV_BRIDGE_TAP, "br 0", PRIV_BAD_REQUEST },
    { PRIV_BRIDGE_TAP, "\xff", PRIV_BAD_REQUEST },
    { PRIV_BRIDGE_TAP, "..", PRIV_BAD_REQUEST },
    { PRIV_BRIDGE_TAP, "", PRIV_BAD_REQUEST },
    { PRIV_MACVTAP, "other0", PRIV_NOT_ALLOWED },
    { PRIV_MACVTAP, "missing", PRIV_NO_INTERFACE },
    { PRIV_MACVTAP, "port0", PRIV_HAS_MASTER },
    { PRIV_MACVTAP, "br0", PRIV_WRONG_KIND },
    { PRIV_MACVTAP, "lo", PRIV_WRONG_KIND },
    { PRIV_PACKET, "other0", PRIV_NOT_ALLOWED },
    { PRIV_PACKET, "missing", PRIV_NO_INTERFACE },
    { PRIV_PACKET, "port0", PRIV_HAS_MASTER },
    { PRIV_PACKET, "br0", PRIV_WRONG_KIND },
    { PRIV_PACKET, "lo", PRIV_WRONG_KIND },
    { PRIV_PACKET, "down0", PRIV_IS_DOWN },
    { PRIV_REMOVE, "eth0", PRIV_NOT_OURS },
    { PRIV_REMOVE, "br0", PRIV_NOT_OURS },
    { PRIV_REMOVE, "missing", PRIV_NO_INTERFACE },
};

static void test_refused(Fixture *f, const void *unused)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(refusals); i++) {
        PrivRequest request = request_of(refusals[i].type, refusals[i].ifname);

        g_test_message("row %zu", i);
        g_assert_cmpuint(ask(f, &request).outcome, ==, refusals[i].outcome);
    }
    g_assert_cmpuint(count_made(f), ==, 0);
}

/* Every byte of a request that means nothing must be 0. */
static void test_malformed(Fixture *f, const void *unused)
{
    static const uint32_t types[] = { 0, 5, 6, 99, 0xffffffff };
    PrivRequest bad[13];
    uint8_t bytes[2 * sizeof(PrivRequest)] = { 0 };
    unsigned n = 0, i;

    bad[n] = request_of(PRIV_BRIDGE_TAP, "br0");
    bad[n++].flags = PRIV_PRIVATE;
    bad[n] = request_of(PRIV_BRIDGE_TAP, "br0");
    bad[n++].mac[5] = 1;
    bad[n] = request_of(PRIV_BRIDGE_TAP, "br0");
    bad[n++].zero[1] = 1;
    bad[n] = request_of(PRIV_BRIDGE_TAP, "br0");
    bad[n++].ifname[8] = 'x';
    bad[n] = request_of(PRIV_BRIDGE_TAP, "br0");
    memset(bad[n++].ifname, 'x', IF_NAMESIZE);
    bad[n] = request_of(PRIV_MACVTAP, "eth0");
    bad[n++].flags = PRIV_OWN_MAC;
    bad[n] = request_of(PRIV_MACVTAP, "eth0");
    memset(bad[n++].mac, 0, 6);
    bad[n] = request_of(PRIV_MACVTAP, "eth0");
    bad[n++].mac[0] = 1;
    bad[n] = request_of(PRIV_PACKET, "eth0");
    bad[n++].flags = PRIV_PRIVATE;
    bad[n] = request_of(PRIV_PACKET, "eth0");
    bad[n++].mac[5] = 1;
    bad[n++] = request_of(PRIV_RESET, "eth0");
    bad[n++] = request_of(PRIV_RELOAD, "eth0");
    bad[n] = request_of(PRIV_RESET, "");
    bad[n++].flags = 1;
    g_assert_cmpuint(n, ==, G_N_ELEMENTS(bad));
    for (i = 0; i < n; i++) {
        g_test_message("%u", i);
        g_assert_cmpuint(ask(f, &bad[i]).outcome, ==, PRIV_BAD_REQUEST);
    }
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        PrivRequest request = request_of(types[i], "br0");

        g_assert_cmpuint(ask(f, &request).outcome, ==, PRIV_BAD_REQUEST);
    }
    bad[0] = request_of(PRIV_BRIDGE_TAP, "br0");
    memcpy(bytes, &bad[0], sizeof(bad[0]));
    for (i = 1; i < sizeof(bytes); i++) {
        if (i != sizeof(PrivRequest)) {
            g_assert_cmpuint(ask_bytes(f, bytes, i).outcome, ==,
                             PRIV_BAD_REQUEST);
        }
    }
    g_assert_cmpuint(count_made(f), ==, 0);
}

/* A descriptor beside a good request: refused, and not kept. */
static void test_descriptor(Fixture *f, const void *unused)
{
    PrivRequest request = request_of(PRIV_BRIDGE_TAP, "br0");
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec iov = { &request, sizeof(request) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
    };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    PrivAnswer answer;
    int fds[2], byte;

    g_assert_cmpint(pipe(fds), ==, 0);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fds[1], sizeof(int));
    g_assert_cmpint(sendmsg(f->fd, &msg, 0), ==, sizeof(request));
    g_assert_cmpint(recv(f->fd, &answer, sizeof(answer), 0), ==,
                    sizeof(answer));
    g_assert_cmpuint(answer.outcome, ==, PRIV_BAD_REQUEST);
    close(fds[1]);
    g_assert_cmpint(read(fds[0], &byte, 1), ==, 0);
    close(fds[0]);
    g_assert_cmpuint(count_made(f), ==, 0);
}

static PrivGatewayRequest gateway_request(void)
{
    static const uint8_t gateway6[16] = { 0xfd, 1, 2, 3, [15] = 1 };
    PrivGatewayRequest request = {
        .head = request_of(PRIV_GATEWAY_TAP, "vmnet-test"),
        .gateway = {
            .gateway4 = { 192, 168, 107, 1 }, .prefix4_len = 24,
            .mtu_bytes = 1500,
        },
    };

    memcpy(request.head.mac, guest_mac, 6);
    memcpy(request.gateway.gateway6, gateway6, 16);
    return request;
}

static PrivOutcome ask_gateway(Fixture *f, const PrivGatewayRequest *request)
{
    return ask_bytes(f, request, sizeof(*request)).outcome;
}

/* Neither other names nor addresses that could be anybody's, nor bytes that
 * mean nothing. */
static void test_gateway_malformed(Fixture *f, const void *unused)
{
    static const uint8_t addrs[][5] = {
        { 8, 8, 8, 8, 24 }, { 127, 0, 0, 1, 8 }, { 192, 168, 107, 1, 15 },
        { 192, 168, 107, 0, 24 }, { 192, 168, 107, 255, 24 },
        { 172, 16, 0, 1, 11 }, { 10, 0, 0, 1, 7 }, { 10, 0, 0, 1, 31 },
        { 10, 0, 0, 1, 0 }, { 10, 0, 0, 1, 255 }, { 0, 0, 0, 0, 24 },
    };
    PrivGatewayRequest bad[12];
    unsigned n = 0, i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        bad[i] = gateway_request();
    }
    strcpy(bad[n++].head.ifname, "eth0");
    strcpy(bad[n++].head.ifname, "vmnet%d");
    strcpy(bad[n++].head.ifname, "vmnet-a/b");
    bad[n++].head.flags = PRIV_PRIVATE;
    bad[n++].head.mac[0] |= 1;
    memset(bad[n++].head.mac, 0, 6);
    bad[n++].gateway.mtu_bytes = 575;
    bad[n++].gateway.mtu_bytes = 65521;
    bad[n++].gateway.zero = 1;
    bad[n++].gateway.gateway6[0] = 0x20;
    bad[n++].gateway.gateway6[8] = 1;
    bad[n++].gateway.gateway6[15] = 2;
    g_assert_cmpuint(n, ==, G_N_ELEMENTS(bad));
    for (i = 0; i < n; i++) {
        g_test_message("%u", i);
        g_assert_cmpuint(ask_gateway(f, &bad[i]), ==, PRIV_BAD_REQUEST);
    }
    for (i = 0; i < G_N_ELEMENTS(addrs); i++) {
        PrivGatewayRequest request = gateway_request();

        g_test_message("address %u", i);
        memcpy(request.gateway.gateway4, addrs[i], 4);
        request.gateway.prefix4_len = addrs[i][4];
        g_assert_cmpuint(ask_gateway(f, &request), ==, PRIV_BAD_REQUEST);
    }
    bad[0] = gateway_request();
    g_assert_cmpuint(ask_bytes(f, &bad[0], sizeof(bad[0]) - 1).outcome, ==,
                     PRIV_BAD_REQUEST);
    run("ip link add vmnet-test type bridge");
    g_assert_cmpuint(ask_gateway(f, &bad[0]), ==, PRIV_EXISTS);
    run("ip link show type bridge vmnet-test");
}

/* What comes of ethertype 0x8800: the kernel may send frames of its own. */
static ssize_t recv_of(int fd, uint8_t buf[70], int timeout_ms)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    ssize_t len = -1;

    while (poll(&poll_fd, 1, timeout_ms) > 0) {
        len = recv(fd, buf, 70, 0);
        if (len < 0 || buf[22] == 0x88) {
            return len;
        }
    }
    return -1;
}

static Priv *client_of(Fixture *f)
{
    Priv *priv = priv_new(f->fd);

    f->fd = -1;
    return priv;
}

static void test_bridge_tap(Fixture *f, const void *unused)
{
    g_autoptr(Priv) priv = client_of(f);
    g_autoptr(GError) error = NULL;
    Link bridge, tap;
    int fd;

    fd = priv_bridge_tap(priv, "br0", &error);
    g_assert_no_error(error);
    g_assert_cmpint(links_get(f->nl, PRIV_LINK_PREFIX "0", &tap), ==, 0);
    g_assert_cmpint(links_get(f->nl, "br0", &bridge), ==, 0);
    g_assert_cmpuint(tap.master, ==, bridge.ifindex);
    g_assert_true(tap.flags & IFF_UP);
    g_assert_cmpuint(tap.mtu_bytes, ==, 1400);
    g_assert_cmpuint(bridge.mtu_bytes, ==, 1400);
    close(fd);
    g_assert_cmpint(priv_bridge_tap(priv, "eth0", &error), ==, -1);
    g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT);
    g_clear_error(&error);
    /* By that answer the server has closed its copy, too. */
    g_assert_cmpuint(count_made(f), ==, 0);
    g_assert_cmpint(priv_bridge_tap(priv, "a-name-that-is-too-long", &error),
                    ==, -1);
    g_assert_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT);
}

static void test_gateway_tap(Fixture *f, const void *unused)
{
    g_autoptr(Priv) priv = client_of(f);
    g_autoptr(GError) error = NULL;
    PrivNetwork network = {
        .name = "vmnet-test", .gateway = ip_addr_v4(0x0a090801),
        .prefix_len = 24, .mtu_bytes = 9000,
    };
    Link tap;
    int fd;

    memcpy(network.mac.b, guest_mac, 6);
    ip_addr_parse("fd01:2:3::1", &network.gateway6);
    fd = priv_gateway_tap(priv, &network, &error);
    g_assert_no_error(error);
    g_assert_cmpint(links_get(f->nl, "vmnet-test", &tap), ==, 0);
    g_assert_true(tap.flags & IFF_UP);
    g_assert_cmpuint(tap.mtu_bytes, ==, 9000);
    g_assert_cmpuint(tap.group, ==, MARK);
    run("sh -c 'ip addr show vmnet-test | grep \"inet 10.9.8.1/24 brd\"'");
    run("sh -c 'ip addr show vmnet-test | grep \"inet6 fd01:2:3::1/64\"'");
    run("sh -c 'ip addr show vmnet-test | grep \"inet6 fe80::1/64\"'");
    run("sh -c '! ip addr show vmnet-test | grep tentative'");
    g_assert_cmpint(priv_gateway_tap(priv, &network, &error), ==, -1);
    g_assert_error(error, VMNET_ERROR, VMNET_SHARING_SERVICE_BUSY);
    close(fd);
    g_assert_cmpint(links_get(f->nl, "vmnet-test", &tap), ==, ENODEV);
}

static PrivRulesRequest rules_request(void)
{
    PrivRulesRequest request = {
        .head = request_of(PRIV_RULES, "vmnet-test"),
        .gateway = gateway_request().gateway,
        .external = "eth0",
        .n_forwards = 1,
        .forwards[0] = {
            .proto = IPPROTO_TCP, .family = AF_INET,
            .host_port = 8080, .guest_port = 80,
            .guest = { 192, 168, 107, 5 },
        },
    };

    request.head.flags = PRIV_SHARED | PRIV_NAT44;
    return request;
}

static PrivOutcome ask_rules(Fixture *f, const PrivRulesRequest *request)
{
    return ask_bytes(f, request, sizeof(*request)).outcome;
}

static void test_rules_malformed(Fixture *f, const void *unused)
{
    PrivRulesRequest bad[17];
    unsigned n = 0, i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        bad[i] = rules_request();
    }
    strcpy(bad[n++].head.ifname, "eth0");
    bad[n++].head.flags = PRIV_SHARED | 8;
    bad[n++].head.flags = PRIV_NAT44;
    bad[n++].head.flags = 0;            /* with an external interface */
    bad[n++].head.mac[0] = 2;
    bad[n++].gateway.prefix4_len = 33;
    strcpy(bad[n++].external, "eth 0");
    bad[n++].external[15] = 'x';
    memset(bad[n++].external, 'x', IF_NAMESIZE);
    bad[n++].n_forwards = PRIV_FORWARDS_MAX + 1;
    bad[n++].n_forwards = UINT32_MAX;
    bad[n++].n_forwards = 0;            /* with something in the first */
    bad[n++].forwards[0].proto = IPPROTO_ICMP;
    bad[n++].forwards[0].family = AF_UNSPEC;
    bad[n++].forwards[0].host_port = 0;
    bad[n++].forwards[0].guest[4] = 1;
    bad[n++].forwards[PRIV_FORWARDS_MAX - 1].host[15] = 1;
    g_assert_cmpuint(n, ==, G_N_ELEMENTS(bad));
    for (i = 0; i < n; i++) {
        g_test_message("%u", i);
        g_assert_cmpuint(ask_rules(f, &bad[i]), ==, PRIV_BAD_REQUEST);
    }
    g_assert_cmpuint(ask_bytes(f, &bad[0], sizeof(bad[0]) - 1).outcome, ==,
                     PRIV_BAD_REQUEST);
}

/* Only for what was made here, and for ports that users may have. */
static void test_rules_refused(Fixture *f, const void *unused)
{
    PrivRulesRequest request = rules_request();
    PrivRequest none = request_of(PRIV_NO_RULES, "eth0");
    Link tap;

    g_assert_cmpuint(ask(f, &none).outcome, ==, PRIV_NOT_OURS);
    g_assert_cmpuint(ask_rules(f, &request), ==, PRIV_NO_INTERFACE);
    run("ip tuntap add vmnet-test mode tap");
    g_assert_cmpuint(ask_rules(f, &request), ==, PRIV_NOT_OURS);
    g_assert_cmpint(links_get(f->nl, "vmnet-test", &tap), ==, 0);
    g_assert_cmpint(links_set_group(f->nl, tap.ifindex, MARK), ==, 0);
    request.forwards[0].host_port = 1023;
    g_assert_cmpuint(ask_rules(f, &request), ==, PRIV_NOT_ALLOWED);
    request.forwards[0].host_port = 1024;
    /* This process has not opened them. */
    g_assert_cmpuint(ask_rules(f, &request), ==, PRIV_NO_KERNEL);
}

/* Its filter cannot be taken off, and hears one interface alone. */
static void test_packet(Fixture *f, const void *unused)
{
    g_autoptr(Priv) priv = client_of(f);
    g_autoptr(GError) error = NULL;
    struct sockaddr_ll addr = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
    };
    uint8_t frame[60] = { 0x52, 0x54, 0, 1, 2, 3 };
    uint8_t buf[10 + sizeof(frame)];
    int fd = priv_packet(priv, "eth0", false, &error), value = 0;
    int peer = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    g_assert_no_error(error);
    g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &value,
                               sizeof(value)), ==, -1);
    addr.sll_ifindex = if_nametoindex("peer");
    frame[12] = 0x88;
    g_assert_cmpint(sendto(peer, frame, sizeof(frame), 0, (void *)&addr,
                           sizeof(addr)), ==, sizeof(frame));
    g_assert_cmpint(recv_of(fd, buf, 5000), ==, sizeof(buf));
    g_assert_cmpmem(buf + 10, 6, frame, 6);
    /* On another interface, there is nothing to be heard. */
    addr.sll_ifindex = if_nametoindex("peer");
    g_assert_cmpint(bind(fd, (void *)&addr, sizeof(addr)), ==, 0);
    addr.sll_ifindex = if_nametoindex("eth0");
    g_assert_cmpint(sendto(peer, frame, sizeof(frame), 0, (void *)&addr,
                           sizeof(addr)), ==, sizeof(frame));
    g_assert_cmpint(recv_of(fd, buf, 100), ==, -1);
    close(peer);
    close(fd);
}

/* The kernel may have no macvtap. */
static int make_macvtap(Priv *priv, char name[IF_NAMESIZE])
{
    const MacAddr mac = { { 0x52, 0x54, 0, 1, 2, 3 } };
    g_autoptr(GError) error = NULL;
    int fd = priv_macvtap(priv, "eth0", &mac, false, name, &error);

    if (fd < 0) {
        g_test_skip(error->message);
    }
    return fd;
}

static void test_macvtap(Fixture *f, const void *unused)
{
    const MacAddr mac = { { 0x52, 0x54, 0, 1, 2, 3 } };
    g_autoptr(Priv) priv = client_of(f);
    g_autoptr(GError) error = NULL;
    char name[IF_NAMESIZE], second[IF_NAMESIZE];
    Link link;
    int fd = make_macvtap(priv, name);

    if (fd < 0) {
        return;
    }
    g_assert_cmpint(links_get(f->nl, name, &link), ==, 0);
    g_assert_cmpstr(link.kind, ==, "macvtap");
    g_assert_cmpuint(link.group, ==, MARK);
    g_assert_true(link.flags & IFF_UP);
    /* One address, one macvtap. */
    g_assert_cmpint(priv_macvtap(priv, "eth0", &mac, false, second, &error),
                    ==, -1);
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_cmpuint(count_made(f), ==, 1);
    close(fd);
    g_assert_cmpuint(count_made(f), ==, 1);
    priv_remove(priv, name);
    g_assert_cmpuint(count_made(f), ==, 0);
}

/* What an engine and its server leave when they are killed. */
static void test_leftovers(Fixture *f, const void *unused)
{
    g_autoptr(Priv) priv = client_of(f);
    Fixture other = { .fd = -1 };
    char name[IF_NAMESIZE];
    int fd = make_macvtap(priv, name), status;

    if (fd < 0) {
        return;
    }
    kill(f->server, SIGKILL);
    g_assert_cmpint(waitpid(f->server, &status, 0), ==, f->server);
    close(fd);
    g_clear_pointer(&priv, priv_free);
    g_assert_cmpuint(count_made(f), ==, 1);

    /* Another instance lets it alone ... */
    start_server(&other, OTHER_MARK);
    priv = client_of(&other);
    priv_remove(priv, name);
    g_clear_pointer(&priv, priv_free);
    end_server(&other);
    g_assert_cmpuint(count_made(f), ==, 1);

    /* ... the same one does not. */
    start_server(f, MARK);
    priv = client_of(f);
    g_assert_cmpuint(count_made(f), ==, 0);
}

/* It removes what it made when the last engine and supervisor have gone. */
static void test_end(Fixture *f, const void *unused)
{
    Priv *priv = client_of(f);
    char name[IF_NAMESIZE];
    int fd = make_macvtap(priv, name);

    if (fd >= 0) {
        close(fd);
    }
    priv_free(priv);
    end_server(f);
    g_assert_cmpuint(count_made(f), ==, 0);
    start_server(f, MARK);
}

static void test_gone(Fixture *f, const void *unused)
{
    g_autoptr(Priv) priv = client_of(f);
    g_autoptr(GError) error = NULL;

    kill(f->server, SIGKILL);
    waitpid(f->server, NULL, 0);
    g_assert_cmpint(priv_bridge_tap(priv, "br0", &error), ==, -1);
    g_assert_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE);
    start_server(f, MARK);
}

/* After rights_drop() none is left, and none comes back. */
static void test_drop(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        bool ok = rights_drop(65534, 65534, NULL) && !rights_can_configure() &&
                  setuid(0) < 0 && unshare(CLONE_NEWNET) < 0 &&
                  geteuid() == 65534;

        _exit(!ok);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static void swallow(const char *domain, GLogLevelFlags level, const char *text,
                    void *opaque)
{
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Fixture *f, const void *unused);
    } tests[] = {
        { "/priv/refused", test_refused },
        { "/priv/malformed", test_malformed },
        { "/priv/descriptor", test_descriptor },
        { "/priv/bridge-tap", test_bridge_tap },
        { "/priv/gateway-malformed", test_gateway_malformed },
        { "/priv/gateway-tap", test_gateway_tap },
        { "/priv/rules-malformed", test_rules_malformed },
        { "/priv/rules-refused", test_rules_refused },
        { "/priv/macvtap", test_macvtap },
        { "/priv/packet", test_packet },
        { "/priv/leftovers", test_leftovers },
        { "/priv/end", test_end },
        { "/priv/gone", test_gone },
    };
    size_t i;

    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK); /* warnings are part of it */
    g_log_set_handler("vmnetd", G_LOG_LEVEL_MASK, swallow, NULL);
    if (!rights_can_configure() || unshare(CLONE_NEWNET) < 0) {
        g_print("1..0 # SKIP needs root for network namespaces\n");
        return EXIT_SUCCESS;
    }
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test,
                   tear_down);
    }
    g_test_add_func("/priv/drop", test_drop);
    return g_test_run();
}
