/*
 * What a guest may reach, what the host's tables say, which name servers there
 * are, and how the resolver asks them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>
#include "proto/dns.h"
#include "uplink/policy.h"
#include "uplink/resolv-conf.h"
#include "uplink/resolver.h"

#define WAIT_S 20

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

/* ---- resolver ---- */

typedef struct Fixture {
    Loop *loop;
    Resolver *resolver;
    char *dir, *conf;
    uint16_t port;
    int udp, tcp;           /* the name server, both at @port */
    DnsMessage query;       /* that it got */
    struct sockaddr_storage client;
    socklen_t client_len;
    unsigned n_answers;
    uint32_t token;
    bool failed;
    DnsMessage answer;
    size_t answer_len;
} Fixture;

static void on_answer(void *opaque, uint32_t token, const uint8_t *msg,
                      size_t len, int64_t now_ms)
{
    Fixture *f = opaque;

    f->n_answers++;
    f->token = token;
    f->failed = !msg;
    f->answer_len = len;
    if (msg) {
        g_assert_true(dns_parse(msg, len, &f->answer));
    }
}

static int bind_to(int type, uint16_t *port)
{
    IpEndpoint at = { ip_addr_v4(INADDR_LOOPBACK), *port };
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&at, &ss);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (bind(fd, (struct sockaddr *)&ss, len) < 0) {
        close(fd);
        return -1;
    }
    len = sizeof(ss);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&ss, &len), ==, 0);
    ip_endpoint_from_sockaddr((struct sockaddr *)&ss, len, &at);
    *port = at.port;
    return fd;
}

static void set_servers(Fixture *f, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void set_servers(Fixture *f, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_assert_true(g_file_set_contents(f->conf, text, -1, NULL));
}

static void set_up(Fixture *f, const void *unused)
{
    f->loop = loop_new(NULL, NULL);
    f->dir = g_dir_make_tmp("test-uplink-XXXXXX", NULL);
    f->conf = g_build_filename(f->dir, "resolv.conf", NULL);
    f->resolver = resolver_new(f->loop, f->conf, on_answer, f);
    /* A port that is free for UDP may not be for TCP. */
    do {
        f->port = 0;
        f->udp = bind_to(SOCK_DGRAM, &f->port);
        f->tcp = bind_to(SOCK_STREAM, &f->port);
        if (f->tcp < 0) {
            close(f->udp);
        }
    } while (f->tcp < 0);
    g_assert_cmpint(listen(f->tcp, 8), ==, 0);
    set_servers(f, "nameserver 127.0.0.1#%u\n", f->port);
}

static void tear_down(Fixture *f, const void *unused)
{
    resolver_free(f->resolver);
    loop_free(f->loop);
    close(f->udp);
    close(f->tcp);
    g_unlink(f->conf);
    g_rmdir(f->dir);
    g_free(f->conf);
    g_free(f->dir);
}

static gboolean too_long(gpointer unused)
{
    g_error("nothing happened within %d s", WAIT_S);
    return G_SOURCE_REMOVE;
}

static void iterate(void)
{
    guint watchdog = g_timeout_add_seconds(WAIT_S, too_long, NULL);

    g_main_context_iteration(NULL, TRUE);
    g_source_remove(watchdog);
}

static size_t build_query(uint8_t buf[512])
{
    DnsName name;

    g_assert_true(dns_name_from_text("www.example.com", &name));
    return dns_query_build(buf, 512, 4711, &name, DNS_TYPE_A, 0);
}

static void ask(Fixture *f, bool by_tcp)
{
    uint8_t buf[512];
    size_t len = build_query(buf);

    g_assert_true(resolver_query(f->resolver, 99, buf, len, by_tcp,
                                 loop_now_ms()));
    g_assert_cmpuint(f->n_answers, ==, 0);
}

static void server_receive(Fixture *f)
{
    uint8_t buf[512];
    ssize_t n;

    f->client_len = sizeof(f->client);
    while ((n = recvfrom(f->udp, buf, sizeof(buf), 0,
                         (struct sockaddr *)&f->client,
                         &f->client_len)) < 0) {
        iterate();
    }
    g_assert_true(dns_parse(buf, n, &f->query));
}

static size_t server_build(Fixture *f, uint8_t buf[512], uint16_t flags,
                           DnsRcode rcode)
{
    IpAddr addr = addr_of("192.0.2.80");
    DnsBuilder b;

    dns_reply_begin(&b, buf, 512, &f->query, DNS_FLAG_RA | flags, rcode, 1232);
    if (rcode == DNS_RCODE_NOERROR) {
        dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 60, &addr);
    }
    return dns_reply_finish(&b);
}

static void server_send(Fixture *f, const uint8_t *msg, size_t len)
{
    g_assert_cmpint(sendto(f->udp, msg, len, 0, (struct sockaddr *)&f->client,
                           f->client_len), ==, (ssize_t)len);
}

static void server_answer(Fixture *f, uint16_t flags, DnsRcode rcode)
{
    uint8_t buf[512];

    server_send(f, buf, server_build(f, buf, flags, rcode));
}

static void wait_answer(Fixture *f)
{
    while (f->n_answers == 0) {
        iterate();
    }
    g_assert_cmpuint(f->n_answers, ==, 1);
    g_assert_cmpuint(f->token, ==, 99);
}

static void test_answer(Fixture *f, const void *unused)
{
    ask(f, false);
    server_receive(f);
    server_answer(f, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmpuint(f->answer.header.id, ==, 4711);
    g_assert_cmpuint(f->answer.header.n_answers, ==, 1);
}

static void test_ids_and_ports_differ(Fixture *f, const void *unused)
{
    uint16_t ports[2], ids[2];
    unsigned i;

    /* Four bytes of both: one in 2^28 for equal ones. */
    for (i = 0; i < 2; i++) {
        IpEndpoint client;

        ask(f, false);
        server_receive(f);
        ip_endpoint_from_sockaddr((struct sockaddr *)&f->client, f->client_len,
                                  &client);
        ports[i] = client.port;
        ids[i] = f->query.header.id;
    }
    g_assert_true(ports[0] != ports[1] || ids[0] != ids[1]);
}

static void test_forged_answers_are_passed_over(Fixture *f, const void *unused)
{
    DnsName name;
    uint8_t buf[512];
    size_t len;

    ask(f, false);
    server_receive(f);

    /* Another id. */
    len = server_build(f, buf, 0, DNS_RCODE_NOERROR);
    dns_set_id(buf, f->query.header.id ^ 1);
    server_send(f, buf, len);
    /* A query, not an answer. */
    g_assert_true(dns_name_from_text("www.example.com", &name));
    len = dns_query_build(buf, sizeof(buf), f->query.header.id, &name,
                          DNS_TYPE_A, 0);
    server_send(f, buf, len);
    /* Another question. */
    {
        DnsMessage right = f->query;

        g_assert_true(dns_name_from_text("www.example.net", &f->query.qname));
        len = server_build(f, buf, 0, DNS_RCODE_NOERROR);
        server_send(f, buf, len);
        f->query = right;
    }
    /* Cut. */
    len = server_build(f, buf, 0, DNS_RCODE_NOERROR);
    server_send(f, buf, len - 1);
    server_send(f, buf, 3);

    server_answer(f, 0, DNS_RCODE_NXDOMAIN);
    wait_answer(f);
    g_assert_cmpint(dns_rcode(f->answer.header.flags), ==, DNS_RCODE_NXDOMAIN);
}

/* A port at which nobody is: bound, and closed. */
static uint16_t dead_port(void)
{
    uint16_t port = 0;

    close(bind_to(SOCK_DGRAM, &port));
    return port;
}

static void test_next_server_when_refused(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                dead_port(), f->port);
    ask(f, false);
    server_receive(f);
    server_answer(f, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

static void test_all_servers_refuse(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\n", dead_port());
    ask(f, false);
    wait_answer(f);
    g_assert_true(f->failed);
}

static void test_next_server_after_servfail(Fixture *f, const void *unused)
{
    set_servers(f, "nameserver 127.0.0.1#%u\nnameserver 127.0.0.1#%u\n",
                f->port, f->port);
    ask(f, false);
    server_receive(f);
    server_answer(f, 0, DNS_RCODE_SERVFAIL);
    server_receive(f);
    /* The last one's word counts. */
    server_answer(f, 0, DNS_RCODE_SERVFAIL);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmpint(dns_rcode(f->answer.header.flags), ==, DNS_RCODE_SERVFAIL);
}

static void test_next_server_after_a_second(Fixture *f, const void *unused)
{
    int64_t start_ms = loop_now_ms();

    set_servers(f, "nameserver 127.0.0.1#%u\n", f->port);
    ask(f, false);
    server_receive(f);
    /* Silence. */
    server_receive(f);
    g_assert_cmpint(loop_now_ms() - start_ms, >=, 1000);
    server_answer(f, 0, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_false(f->failed);
}

static void test_truncated_for_udp(Fixture *f, const void *unused)
{
    ask(f, false);
    server_receive(f);
    server_answer(f, DNS_FLAG_TC, DNS_RCODE_NOERROR);
    wait_answer(f);
    g_assert_cmphex(f->answer.header.flags & DNS_FLAG_TC, !=, 0);
}

static void test_truncated_for_tcp(Fixture *f, const void *unused)
{
    uint8_t buf[514];
    size_t len;
    ssize_t n;
    int fd;

    ask(f, true);
    server_receive(f);
    server_answer(f, DNS_FLAG_TC, DNS_RCODE_NOERROR);
    while ((fd = accept4(f->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) <
           0) {
        iterate();
    }
    while ((n = recv(fd, buf, sizeof(buf), 0)) < 0) {
        iterate();
    }
    g_assert_cmpint(buf[0] << 8 | buf[1], ==, n - 2);
    g_assert_true(dns_parse(buf + 2, n - 2, &f->query));

    len = server_build(f, buf + 2, 0, DNS_RCODE_NOERROR);
    buf[0] = len >> 8;
    buf[1] = len;
    /* In two pieces. */
    g_assert_cmpint(send(fd, buf, 1, 0), ==, 1);
    g_main_context_iteration(NULL, FALSE);
    g_assert_cmpint(send(fd, buf + 1, len + 1, 0), ==, (ssize_t)len + 1);
    wait_answer(f);
    g_assert_false(f->failed);
    g_assert_cmphex(f->answer.header.flags & DNS_FLAG_TC, ==, 0);
    g_assert_cmpuint(f->answer.header.id, ==, 4711);
    close(fd);
}

static void test_limit(Fixture *f, const void *unused)
{
    uint8_t buf[512];
    size_t len = build_query(buf);
    unsigned n = 0;

    while (resolver_query(f->resolver, n, buf, len, false, loop_now_ms())) {
        n++;
        g_assert_cmpuint(n, <=, 256);
    }
    g_assert_cmpuint(n, ==, 256);
    g_assert_false(resolver_query(f->resolver, 1, buf, 11, false, 0));
}

#define ADD(name, func) \
    g_test_add("/uplink/resolver/" name, Fixture, NULL, set_up, func, tear_down)

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
    ADD("answer", test_answer);
    ADD("ids-and-ports-differ", test_ids_and_ports_differ);
    ADD("forged-answers-are-passed-over", test_forged_answers_are_passed_over);
    ADD("next-server-when-refused", test_next_server_when_refused);
    ADD("all-servers-refuse", test_all_servers_refuse);
    ADD("next-server-after-servfail", test_next_server_after_servfail);
    ADD("next-server-after-a-second", test_next_server_after_a_second);
    ADD("truncated-for-udp", test_truncated_for_udp);
    ADD("truncated-for-tcp", test_truncated_for_tcp);
    ADD("limit", test_limit);
    return g_test_run();
}
