/*
 * The host's routes by rtnetlink
 *
 * Theory of operation: one socket is a member of the groups that tell of
 * changes, another asks.  What a notification says is not looked at, since the
 * kernel tells nothing of IPv4 routes that go with their interface, and loses
 * messages to those who read slowly: any of them leads, a moment later, to one
 * more dump of everything.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "uplink/host.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Changes come in flocks: when an interface comes up, a dozen. */
#define SETTLE_MS 200
/* Bytes of one read; the kernel's dumps come in pieces of up to 32 KiB. */
#define READ_BYTES 32768
/* Reads of one dump: 128 MiB of routes. */
#define DUMP_READS_MAX 4096
/* Notifications that are thrown away at one time. */
#define DRAIN_READS_MAX 64

struct Host {
    int notify_fd, ask_fd;
    uint32_t seq;
    LoopWatch *watch;
    LoopTimer *settle;
    HostTable *table;
    const char *own_prefix;
    bool warned;
    void (*changed)(void *opaque);
    void *opaque;
};

static int netlink_open(uint32_t groups, int flags)
{
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = groups };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        int saved_errno = errno;

        close(fd);
        errno = saved_errno;
        return -1;
    }
    return fd;
}

static void warn_once(Host *host, const char *what, int errnum)
{
    if (!host->warned) {
        g_warning("routes of the host are not known: cannot %s: %s", what,
                  g_strerror(errnum));
        host->warned = true;
    }
}

static bool dump_request(Host *host)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg rtm;
    } request = {
        .header.nlmsg_len = sizeof(request),
        .header.nlmsg_type = RTM_GETROUTE,
        .header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
        .header.nlmsg_seq = ++host->seq,
        .rtm.rtm_family = AF_UNSPEC,
    };

    return send(host->ask_fd, &request, sizeof(request), 0) ==
           sizeof(request);
}

/* Messages of a dump before this one, which was given up, have another number. */
static bool is_of_dump(const void *msgs, size_t len, uint32_t seq)
{
    const struct nlmsghdr *header = msgs;

    return len >= sizeof(*header) && header->nlmsg_seq == seq;
}

static bool is_networks(const void *own_prefix, uint32_t ifindex)
{
    char name[IF_NAMESIZE];

    return if_indextoname(ifindex, name) && g_str_has_prefix(name, own_prefix);
}

static HostTable *dump_read(Host *host)
{
    g_autoptr(HostTable) table = host_table_new();
    g_autofree uint8_t *buf = g_malloc(READ_BYTES);
    bool done = false;
    unsigned i;

    for (i = 0; i < DUMP_READS_MAX && !done; i++) {
        struct sockaddr_nl from = { 0 };
        socklen_t from_len = sizeof(from);
        ssize_t len = recvfrom(host->ask_fd, buf, READ_BYTES, MSG_TRUNC,
                               (struct sockaddr *)&from, &from_len);

        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len <= 0) {
            return NULL;
        }
        /* From the kernel, whole, and of this dump? */
        if (from.nl_pid != 0 || len > READ_BYTES ||
            !is_of_dump(buf, len, host->seq)) {
            continue;
        }
        if (!host_table_add(table, buf, len, &done)) {
            errno = EPROTO;
            return NULL;
        }
    }
    host_table_ignore(table, is_networks, host->own_prefix);
    host_table_finish(table);
    return g_steal_pointer(&table);
}

static void host_read(Host *host)
{
    HostTable *table = NULL;

    if (host->ask_fd >= 0 && dump_request(host)) {
        table = dump_read(host);
    }
    if (!table) {
        warn_once(host, "ask the kernel for routes", errno);
        return;
    }
    host_table_free(host->table);
    host->table = table;
}

static void on_settled(void *opaque, int64_t now_ms)
{
    Host *host = opaque;

    host_read(host);
    host->changed(host->opaque);
}

static void on_notify(void *opaque, uint32_t events, int64_t now_ms)
{
    Host *host = opaque;
    char buf[256];
    unsigned i;

    for (i = 0; i < DRAIN_READS_MAX; i++) {
        /* ENOBUFS says that some were lost: that is news as well. */
        if (recv(host->notify_fd, buf, sizeof(buf), MSG_DONTWAIT) < 0 &&
            errno != EINTR && errno != ENOBUFS) {
            break;
        }
    }
    loop_timer_arm(host->settle, now_ms + SETTLE_MS);
}

static void open_sockets(Host *host, Loop *loop)
{
    const struct timeval timeout = { .tv_sec = 1 };
    g_autoptr(GError) error = NULL;

    host->ask_fd = netlink_open(0, 0);
    if (host->ask_fd < 0) {
        warn_once(host, "open a netlink socket", errno);
        return;
    }
    setsockopt(host->ask_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
               sizeof(timeout));

    host->notify_fd = netlink_open(RTMGRP_LINK |
                                   RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
                                   RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE,
                                   SOCK_NONBLOCK);
    if (host->notify_fd < 0) {
        warn_once(host, "follow changes by netlink", errno);
        return;
    }
    host->watch = loop_watch_new(loop, host->notify_fd, EPOLLIN, on_notify,
                                 host, &error);
    if (!host->watch) {
        g_warning("changes of the host's routes are not followed: %s",
                  error->message);
    }
}

Host *host_new(Loop *loop, const char *own_prefix,
               void (*changed)(void *opaque), void *opaque)
{
    Host *host = g_new0(Host, 1);

    host->own_prefix = own_prefix;
    host->ask_fd = -1;
    host->notify_fd = -1;
    host->changed = changed;
    host->opaque = opaque;
    host->settle = loop_timer_new(loop, on_settled, host);
    host->table = host_table_new();
    open_sockets(host, loop);
    host_read(host);
    return host;
}

void host_free(Host *host)
{
    if (!host) {
        return;
    }
    if (host->watch) {
        loop_watch_free(host->watch);
    }
    loop_timer_free(host->settle);
    if (host->notify_fd >= 0) {
        close(host->notify_fd);
    }
    if (host->ask_fd >= 0) {
        close(host->ask_fd);
    }
    host_table_free(host->table);
    g_free(host);
}

const HostTable *host_table(const Host *host)
{
    return host->table;
}
