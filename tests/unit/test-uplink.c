/*
 * What a guest may reach, what the host's tables say, which name servers there are
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>
#include "uplink/policy.h"
#include "uplink/resolv-conf.h"

static IpAddr addr_of(const char *text)
{
    IpAddr addr = { .family = AF_UNSPEC };

    if (text) {
        g_assert_true(ip_addr_parse(text, &addr));
    }
    return addr;
}

/* ---- policy ---- */

typedef enum Flags {
    HOST_LOOPBACK = 1 << 0,
    HOST_ONLY = 1 << 1,
    BARE_HOST = 1 << 2,     /* nothing but loopback */
} Flags;

/**
 * PolicyCase: @target NULL: refused; "same": as it is
 */
typedef struct PolicyCase {
    const char *dst;
    uint16_t port;
    unsigned flags;
    const char *target;
    uint16_t target_port;
} PolicyCase;

static const PolicyCase policy_cases[] = {
    /* The outside. */
    { "192.0.2.80", 80, 0, "same", 80 },
    { "2001:db8::80", 80, 0, "same", 80 },
    { "10.1.2.3", 80, 0, "same", 80 },
    { "fd00:9::1", 80, 0, "same", 80 },
    { "198.51.100.7", 80, 0, "same", 80 },  /* the host by its own name */

    /* Each form of loopback. */
    { "127.0.0.1", 80, 0, NULL, 0 },
    { "127.0.0.53", 53, 0, NULL, 0 },
    { "127.255.255.255", 80, 0, NULL, 0 },
    { "0.0.0.0", 80, 0, NULL, 0 },
    { "0.0.0.1", 80, 0, NULL, 0 },
    { "0.255.255.255", 80, 0, NULL, 0 },
    { "::", 80, 0, NULL, 0 },
    { "::1", 80, 0, NULL, 0 },
    { "::ffff:127.0.0.1", 80, 0, NULL, 0 },
    { "::ffff:0.0.0.0", 80, 0, NULL, 0 },
    { "::ffff:192.0.2.80", 80, 0, NULL, 0 },
    /* The same with host-loopback=on: by the gateway's address only. */
    { "127.0.0.1", 80, HOST_LOOPBACK, NULL, 0 },
    { "::1", 80, HOST_LOOPBACK, NULL, 0 },
    { "0.0.0.0", 80, HOST_LOOPBACK, NULL, 0 },
    { "::ffff:127.0.0.1", 80, HOST_LOOPBACK, NULL, 0 },

    /* Nobody in particular. */
    { "224.0.0.1", 80, 0, NULL, 0 },
    { "239.255.255.255", 80, 0, NULL, 0 },
    { "240.0.0.1", 80, 0, NULL, 0 },
    { "255.255.255.255", 80, 0, NULL, 0 },
    { "198.51.100.255", 80, 0, NULL, 0 },   /* a network of the host's */
    { "ff02::1", 80, 0, NULL, 0 },
    { "ff0e::1", 80, 0, NULL, 0 },

    /* Not to be forwarded: RFC 3927 7, RFC 4291 2.5.6. */
    { "169.254.169.254", 80, 0, NULL, 0 },
    { "fe80::1", 80, 0, NULL, 0 },
    { "febf::1", 80, 0, NULL, 0 },

    /* This network and others. */
    { "192.168.107.2", 80, 0, NULL, 0 },
    { "192.168.108.1", 80, 0, NULL, 0 },
    { "192.168.108.77", 80, 0, NULL, 0 },
    { "fd00:107::2", 80, 0, NULL, 0 },
    { "fd00:108::1", 80, 0, NULL, 0 },

    /* The gateway stands for the host. */
    { "192.168.107.1", 80, 0, "198.51.100.7", 80 },
    { "fd00:107::1", 80, 0, "2001:db8:7::7", 80 },
    { "192.168.107.1", 80, HOST_LOOPBACK, "127.0.0.1", 80 },
    { "fd00:107::1", 80, HOST_LOOPBACK, "::1", 80 },
    { "192.168.107.1", 80, BARE_HOST, NULL, 0 },
    { "fd00:107::1", 80, BARE_HOST, NULL, 0 },
    { "192.168.107.1", 80, BARE_HOST | HOST_LOOPBACK, "127.0.0.1", 80 },
    { "192.168.107.1", 53, 0, "127.0.0.1", 4053 },
    { "fd00:107::1", 53, BARE_HOST, "::1", 6053 },

    /* Host mode. */
    { "192.0.2.80", 80, HOST_ONLY, NULL, 0 },
    { "2001:db8::80", 80, HOST_ONLY, NULL, 0 },
    { "198.51.100.7", 80, HOST_ONLY, NULL, 0 },
    { "192.168.107.1", 80, HOST_ONLY, "198.51.100.7", 80 },
};

static void add_prefix(GArray *prefixes, const char *addr, uint8_t len)
{
    IpPrefix prefix = { addr_of(addr), len };

    g_array_append_val(prefixes, prefix);
}

static void add_addr(GArray *addrs, const char *text)
{
    IpAddr addr = addr_of(text);

    g_array_append_val(addrs, addr);
}

static GArray *forbidden_new(void)
{
    GArray *forbidden = g_array_new(FALSE, FALSE, sizeof(IpPrefix));

    add_prefix(forbidden, "192.168.107.0", 24);
    add_prefix(forbidden, "192.168.108.0", 24);
    add_prefix(forbidden, "fd00:107::", 64);
    add_prefix(forbidden, "fd00:108::", 64);
    return forbidden;
}

static HostTable *host_new_for_test(bool is_bare)
{
    HostTable *host = host_table_new();

    if (!is_bare) {
        add_addr(host->own, "198.51.100.7");
        add_addr(host->own, "2001:db8:7::7");
        add_addr(host->broadcasts, "198.51.100.255");
        host->address4 = addr_of("198.51.100.7");
        host->address6 = addr_of("2001:db8:7::7");
        host->default4_ifindex = 2;
        host->default6_ifindex = 2;
    }
    return host;
}

static Policy policy_for(unsigned flags, const GArray *forbidden,
                         const HostTable *host)
{
    return (Policy){
        .gateway4 = addr_of("192.168.107.1"),
        .gateway6 = addr_of("fd00:107::1"),
        .forbidden = forbidden,
        .host = host,
        .dns4_port = 4053,
        .dns6_port = 6053,
        .host_loopback = flags & HOST_LOOPBACK,
        .host_only = flags & HOST_ONLY,
    };
}

static void check_policy(const PolicyCase *c)
{
    g_autoptr(GArray) forbidden = forbidden_new();
    g_autoptr(HostTable) host = host_new_for_test(c->flags & BARE_HOST);
    const Policy policy = policy_for(c->flags, forbidden, host);
    const IpEndpoint dst = { addr_of(c->dst), c->port };
    bool is_same = c->target && strcmp(c->target, "same") == 0;
    const char *target = is_same ? c->dst : c->target;
    NatRoute route;
    IpAddr wanted;

    g_test_message("%s port %u, flags %u", c->dst, c->port, c->flags);
    if (!target) {
        g_assert_false(policy_route(&policy, IPPROTO_TCP, &dst, &route));
        g_assert_false(policy_route(&policy, IPPROTO_UDP, &dst, &route));
        return;
    }
    wanted = addr_of(target);
    g_assert_true(policy_route(&policy, IPPROTO_TCP, &dst, &route));
    g_assert_true(ip_addr_equal(&route.target.addr, &wanted));
    g_assert_cmpuint(route.target.port, ==, c->target_port);
}

static void test_policy(void)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(policy_cases); i++) {
        check_policy(&policy_cases[i]);
    }
}

static void test_dns_is_spliced_for_tcp_only(void)
{
    g_autoptr(GArray) forbidden = forbidden_new();
    g_autoptr(HostTable) host = host_new_for_test(false);
    Policy policy = policy_for(0, forbidden, host);
    const IpEndpoint dst = { addr_of("192.168.107.1"), 53 };
    NatRoute route;

    g_assert_true(policy_route(&policy, IPPROTO_UDP, &dst, &route));
    g_assert_cmpuint(route.target.port, ==, 53);
    policy.dns4_port = 0;
    g_assert_true(policy_route(&policy, IPPROTO_TCP, &dst, &route));
    g_assert_cmpuint(route.target.port, ==, 53);
    g_assert_false(ip_addr_is_loopback(&route.target.addr));
}

typedef struct PeerCase {
    const char *peer;
    unsigned flags;
    const char *seen;
} PeerCase;

static const PeerCase peer_cases[] = {
    { "127.0.0.1", 0, "192.168.107.1" },
    { "127.9.9.9", 0, "192.168.107.1" },
    { "198.51.100.7", 0, "192.168.107.1" },
    { "198.51.100.8", 0, "198.51.100.8" },
    { "169.254.7.7", 0, "192.168.107.1" },
    { "::1", 0, "fd00:107::1" },
    { "fe80::77", 0, "fd00:107::1" },
    { "2001:db8:7::7", 0, "fd00:107::1" },
    { "2001:db8::9", 0, "2001:db8::9" },
    /* Whom a guest has no route to is the gateway. */
    { "198.51.100.8", HOST_ONLY, "192.168.107.1" },
    { "2001:db8::9", HOST_ONLY, "fd00:107::1" },
    { "198.51.100.8", BARE_HOST, "198.51.100.8" },
    { "2001:db8::9", BARE_HOST, "fd00:107::1" },
};

static void test_peer_seen(void)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(peer_cases); i++) {
        const PeerCase *c = &peer_cases[i];
        g_autoptr(HostTable) host = host_new_for_test(c->flags & BARE_HOST);
        const Policy policy = policy_for(c->flags, NULL, host);
        IpAddr peer = addr_of(c->peer), wanted = addr_of(c->seen);
        IpAddr seen = policy_peer_seen(&policy, &peer);

        g_assert_true(ip_addr_equal(&seen, &wanted));
    }
}

/* ---- the host's tables ---- */

/* Routes as the kernel writes them, one behind the other. */
typedef struct Dump {
    uint8_t data[4096];
    size_t len;
} Dump;

static void dump_attr(Dump *dump, uint16_t type, const void *data, size_t len)
{
    struct rtattr attr = { .rta_len = RTA_LENGTH(len), .rta_type = type };

    memcpy(dump->data + dump->len, &attr, sizeof(attr));
    memcpy(dump->data + dump->len + RTA_LENGTH(0), data, len);
    dump->len += RTA_SPACE(len);
}

static void dump_route(Dump *dump, uint8_t type, uint8_t proto,
                       const char *dst, uint8_t len, uint32_t ifindex)
{
    struct nlmsghdr header = { .nlmsg_type = RTM_NEWROUTE };
    IpAddr addr = addr_of(dst);
    struct rtmsg rtm = { .rtm_family = addr.family, .rtm_dst_len = len,
                         .rtm_type = type, .rtm_protocol = proto };
    uint32_t v4 = addr.family == AF_INET ? htonl(addr.v4) : 0;
    size_t start = dump->len;

    dump->len += NLMSG_LENGTH(sizeof(rtm));
    if (len > 0 && addr.family == AF_INET) {
        dump_attr(dump, RTA_DST, &v4, sizeof(v4));
    } else if (len > 0) {
        dump_attr(dump, RTA_DST, &addr.v6, sizeof(addr.v6));
    }
    dump_attr(dump, RTA_OIF, &ifindex, sizeof(ifindex));
    header.nlmsg_len = dump->len - start;
    memcpy(dump->data + start, &header, sizeof(header));
    memcpy(dump->data + start + NLMSG_HDRLEN, &rtm, sizeof(rtm));
}

static void dump_done(Dump *dump)
{
    struct nlmsghdr header = { .nlmsg_type = NLMSG_DONE,
                               .nlmsg_len = NLMSG_LENGTH(4) };

    memcpy(dump->data + dump->len, &header, sizeof(header));
    dump->len += NLMSG_SPACE(4);
}

static void make_dump(Dump *dump)
{
    memset(dump, 0, sizeof(*dump));
    dump_route(dump, RTN_LOCAL, RTPROT_KERNEL, "127.0.0.1", 32, 1);
    dump_route(dump, RTN_LOCAL, RTPROT_KERNEL, "10.3.0.9", 32, 3);
    dump_route(dump, RTN_LOCAL, RTPROT_KERNEL, "198.51.100.7", 32, 2);
    dump_route(dump, RTN_BROADCAST, RTPROT_KERNEL, "198.51.100.255", 32, 2);
    dump_route(dump, RTN_UNICAST, RTPROT_KERNEL, "10.3.0.0", 16, 3);
    dump_route(dump, RTN_UNICAST, RTPROT_STATIC, "192.168.0.0", 16, 4);
    dump_route(dump, RTN_UNICAST, RTPROT_STATIC, "192.168.128.0", 17, 4);
    dump_route(dump, RTN_UNICAST, RTPROT_BOOT, "0.0.0.0", 0, 2);
    dump_route(dump, RTN_LOCAL, RTPROT_KERNEL, "::1", 128, 1);
    dump_route(dump, RTN_LOCAL, RTPROT_KERNEL, "fe80::5", 128, 2);
    dump_route(dump, RTN_LOCAL, RTPROT_KERNEL, "2001:db8:7::7", 128, 2);
    dump_route(dump, RTN_UNICAST, RTPROT_RA, "::", 0, 2);
}

static void test_host_table(void)
{
    g_autoptr(HostTable) table = host_table_new();
    IpAddr own = addr_of("10.3.0.9"), wanted4 = addr_of("198.51.100.7");
    IpAddr wanted6 = addr_of("2001:db8:7::7");
    IpAddr broadcast = addr_of("198.51.100.255");
    const IpPrefix in_connected = { addr_of("10.3.7.0"), 24 };
    const IpPrefix around = { addr_of("10.0.0.0"), 8 };
    const IpPrefix in_short = { addr_of("192.168.107.0"), 24 };
    const IpPrefix in_half = { addr_of("192.168.200.0"), 24 };
    Dump dump;
    bool done = false;

    make_dump(&dump);
    dump_done(&dump);
    g_assert_true(host_table_add(table, dump.data, dump.len, &done));
    g_assert_true(done);
    host_table_finish(table);

    g_assert_cmpuint(table->own->len, ==, 4);
    g_assert_true(host_table_is_own(table, &own));
    g_assert_true(host_table_is_broadcast(table, &broadcast));
    /* That of the default route's interface, and no link-local one. */
    g_assert_true(ip_addr_equal(&table->address4, &wanted4));
    g_assert_true(ip_addr_equal(&table->address6, &wanted6));
    g_assert_cmpuint(table->default6_ifindex, ==, 2);

    g_assert_nonnull(host_table_taker(table, &in_connected));
    g_assert_nonnull(host_table_taker(table, &around));
    g_assert_nonnull(host_table_taker(table, &in_half));
    g_assert_null(host_table_taker(table, &in_short));
}

/* Cut anywhere, and with lengths that lie: no more than less is known. */
static void test_host_table_damage(void)
{
    Dump dump;
    size_t i;

    make_dump(&dump);
    for (i = 0; i < dump.len; i++) {
        g_autoptr(HostTable) table = host_table_new();
        g_autofree uint8_t *cut = g_memdup2(dump.data, i);
        bool done = false;

        host_table_add(table, cut, i, &done);
    }
    for (i = 0; i < dump.len; i++) {
        g_autoptr(HostTable) table = host_table_new();
        g_autofree uint8_t *bent = g_memdup2(dump.data, dump.len);
        bool done = false;

        bent[i] ^= 0xff;
        host_table_add(table, bent, dump.len, &done);
        host_table_finish(table);
    }
}

/* ---- resolv.conf ---- */

typedef struct ResolvCase {
    const char *text;
    unsigned n;
    const char *first;      /* printed, NULL: any */
    uint16_t port;
} ResolvCase;

static const ResolvCase resolv_cases[] = {
    { "", 0, NULL, 0 },
    { "nameserver 192.0.2.53\n", 1, "192.0.2.53", 53 },
    { "nameserver 192.0.2.53", 1, "192.0.2.53", 53 },
    { "nameserver\t 192.0.2.53  # home\r\n", 1, "192.0.2.53", 53 },
    { "nameserver 127.0.0.1#5353\n", 1, "127.0.0.1", 5353 },
    { "nameserver 2001:db8::53\n", 1, "2001:db8::53", 53 },
    { "nameserver fe80::1%lo\n", 1, "fe80::1", 53 },
    { "# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nsearch x\n"
      "options rotate\nnameserver 192.0.2.3\n", 1, "192.0.2.3", 53 },
    { "nameserver 1.1.1.1\nnameserver 2.2.2.2\nnameserver 3.3.3.3\n"
      "nameserver 4.4.4.4\n", 3, "1.1.1.1", 53 },
    { "nameserver\nnameserver \nnameserver x\nnameserver 1.2.3\n", 0, NULL, 0 },
    { "nameservers 1.2.3.4\nnameserver1.2.3.4\n", 0, NULL, 0 },
    { "nameserver 1.2.3.4#0\nnameserver 1.2.3.4#65536\n"
      "nameserver 1.2.3.4#\nnameserver 1.2.3.4%lo\n", 0, NULL, 0 },
};

static void test_resolv_conf(void)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(resolv_cases); i++) {
        const ResolvCase *c = &resolv_cases[i];
        /* Without the NUL: a read past the end is a sanitizer's. */
        g_autofree char *text = g_memdup2(c->text, strlen(c->text));
        ResolvServer servers[RESOLV_SERVERS_MAX];
        char printed[IP_STRLEN];
        IpEndpoint server;

        g_assert_cmpuint(resolv_conf_parse(text, strlen(c->text), servers), ==,
                         c->n);
        if (c->n > 0) {
            ip_endpoint_from_sockaddr((struct sockaddr *)&servers[0].addr,
                                      servers[0].len, &server);
            g_assert_cmpstr(ip_addr_format(&server.addr, printed), ==,
                            c->first);
            g_assert_cmpuint(server.port, ==, c->port);
        }
    }
}

static uint16_t server_port(const ResolvConf *conf, unsigned i)
{
    IpEndpoint server;

    ip_endpoint_from_sockaddr((const struct sockaddr *)&conf->servers[i].addr,
                              conf->servers[i].len, &server);
    return server.port;
}

/* As systemd-resolved does it: a link, whose target is replaced by rename. */
static void test_resolv_conf_is_followed(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-uplink-XXXXXX", NULL);
    g_autofree char *link = g_build_filename(dir, "link", NULL);
    g_autofree char *file = g_build_filename(dir, "file", NULL);
    g_autofree char *other = g_build_filename(dir, "other", NULL);
    ResolvConf conf;

    resolv_conf_init(&conf, link);
    g_assert_true(resolv_conf_refresh(&conf));
    g_assert_cmpuint(conf.n_servers, ==, 1);
    g_assert_cmpuint(server_port(&conf, 0), ==, 53);

    g_assert_cmpint(symlink("file", link), ==, 0);
    g_assert_true(g_file_set_contents(file, "nameserver ::1#1001\n", -1, NULL));
    g_assert_true(resolv_conf_refresh(&conf));
    g_assert_cmpuint(server_port(&conf, 0), ==, 1001);
    g_assert_false(resolv_conf_refresh(&conf));

    /* g_file_set_contents() renames. */
    g_assert_true(g_file_set_contents(file, "nameserver ::1#1002\n", -1, NULL));
    g_assert_true(resolv_conf_refresh(&conf));
    g_assert_cmpuint(server_port(&conf, 0), ==, 1002);

    g_assert_true(g_file_set_contents(other, "nameserver ::1#1003\n", -1,
                                      NULL));
    g_assert_cmpint(g_unlink(link), ==, 0);
    g_assert_cmpint(symlink("other", link), ==, 0);
    g_assert_true(resolv_conf_refresh(&conf));
    g_assert_cmpuint(server_port(&conf, 0), ==, 1003);

    resolv_conf_clear(&conf);
    g_unlink(link);
    g_unlink(file);
    g_unlink(other);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uplink/policy/what-a-guest-may-reach", test_policy);
    g_test_add_func("/uplink/policy/dns-by-tcp-only",
                    test_dns_is_spliced_for_tcp_only);
    g_test_add_func("/uplink/policy/who-a-guest-sees", test_peer_seen);
    g_test_add_func("/uplink/host/table", test_host_table);
    g_test_add_func("/uplink/host/damage", test_host_table_damage);
    g_test_add_func("/uplink/resolv-conf/parse", test_resolv_conf);
    g_test_add_func("/uplink/resolv-conf/followed",
                    test_resolv_conf_is_followed);
    return g_test_run();
}
