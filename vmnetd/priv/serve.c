/*
 * The privileged process: answers the requests of message.h, does nothing else
 *
 * Theory of operation
 * -------------------
 * It is forked before the engine gives up its rights, and keeps two of root's
 * (rights.h).  A request is a struct of a fixed size.  Each is checked here as
 * if the engine belonged to an enemy, who could then:
 *
 *   make       taps that join bridges, and macvtaps on interfaces, that the
 *              policy allows: PRIV_LINKS_MAX at most
 *   remove     what was made here
 *
 * No address, route or setting of an interface of the host's changes.
 *
 * What is left behind: a tap goes with its last descriptor, which is the
 * engine's.  A macvtap stays; it is marked as this instance's in the request
 * that makes it (its group), so that PRIV_RESET, the first request of every
 * engine, finds those of one that was killed at whatever moment.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "priv/links.h"
#include "priv/message.h"

/* Interfaces get an index from here on: /dev/tapINDEX is then nobody else's,
 * in whatever namespace. */
#define INDEX_FIRST (1 << 24)
#define INDEX_RANGE_MASK ((1 << 29) - 1)
/* A bridge takes the lowest address of its ports for its own. */
#define TAP_MAC_FIRST 0xfe

typedef struct PrivServer {
    int fd, nl;
    const PrivPolicy *policy;
} PrivServer;

/** Result: @made_fd: -1, or for the engine, closed after that */
typedef struct Result {
    PrivAnswer answer;
    int made_fd;
} Result;

static void set_outcome(Result *result, PrivOutcome outcome)
{
    result->answer.outcome = outcome;
}

/* Returns: whether @errnum is 0, so that one can go on. */
static bool went_well(Result *result, int errnum)
{
    if (errnum) {
        result->answer.outcome = PRIV_FAILED;
        result->answer.errnum = errnum;
    }
    return !errnum;
}

uint32_t priv_mark(const char *state_dir)
{
    return g_str_hash(state_dir) | 1u << 31;
}

/* Checks */

static bool is_name(const char ifname[IF_NAMESIZE])
{
    size_t len = strnlen(ifname, IF_NAMESIZE), i;

    if (len == 0 || len == IF_NAMESIZE || !strcmp(ifname, ".") ||
        !strcmp(ifname, "..")) {
        return false;
    }
    for (i = 0; i < len; i++) {
        if (!g_ascii_isgraph(ifname[i]) || strchr("/:%", ifname[i])) {
            return false;
        }
    }
    for (; i < IF_NAMESIZE && !ifname[i]; i++) {
    }
    return i == IF_NAMESIZE;
}

static bool is_all_zero(const uint8_t *bytes, size_t n)
{
    while (n > 0 && !bytes[n - 1]) {
        n--;
    }
    return n == 0;
}

static bool is_wellformed(const PrivRequest *request)
{
    bool has_mac = !is_all_zero(request->mac, sizeof(request->mac));

    if (!is_all_zero(request->zero, sizeof(request->zero))) {
        return false;
    }
    switch ((PrivType)request->type) {
    case PRIV_RESET:
        return !request->flags && !has_mac && !request->ifname[0];
    case PRIV_BRIDGE_TAP:
    case PRIV_REMOVE:
        return !request->flags && !has_mac && is_name(request->ifname);
    case PRIV_MACVTAP:
        return !(request->flags & ~PRIV_PRIVATE) && has_mac &&
               !(request->mac[0] & 1) && is_name(request->ifname);
    }
    return false;
}

static bool is_allowed(const PrivPolicy *policy, const char *ifname)
{
    const char *const *name = policy->bridged;

    while (name && *name && strcmp(*name, ifname) != 0) {
        name++;
    }
    return !name || *name;
}

static bool has_our_name(const Link *link)
{
    return g_str_has_prefix(link->name, PRIV_LINK_PREFIX);
}

static bool is_our_macvtap(const PrivServer *server, const Link *link)
{
    return has_our_name(link) && !strcmp(link->kind, "macvtap") &&
           link->group == server->policy->mark;
}

/* What both kinds want of an interface. */
static bool check_lower(PrivServer *server, const PrivRequest *request,
                        Link *ret_link, Result *result)
{
    int errnum;

    if (!is_allowed(server->policy, request->ifname)) {
        set_outcome(result, PRIV_NOT_ALLOWED);
        return false;
    }
    errnum = links_get(server->nl, request->ifname, ret_link);
    if (errnum == ENODEV) {
        set_outcome(result, PRIV_NO_INTERFACE);
        return false;
    }
    if (!went_well(result, errnum)) {
        return false;
    }
    if (ret_link->type != ARPHRD_ETHER || has_our_name(ret_link)) {
        set_outcome(result, PRIV_WRONG_KIND);
        return false;
    }
    if (!(ret_link->flags & IFF_UP)) {
        set_outcome(result, PRIV_IS_DOWN);
        return false;
    }
    return true;
}

typedef struct Count {
    const PrivServer *server;
    unsigned n;
} Count;

static bool count_one(void *opaque, const Link *link)
{
    Count *count = opaque;

    count->n += has_our_name(link);
    return true;
}

static bool has_place(PrivServer *server, Result *result)
{
    Count count = { .server = server };

    if (!went_well(result, links_each(server->nl, count_one, &count))) {
        return false;
    }
    if (count.n >= PRIV_LINKS_MAX) {
        set_outcome(result, PRIV_TOO_MANY);
    }
    return count.n < PRIV_LINKS_MAX;
}

/* Taps */

/* A new one: the kernel chooses a name that nothing has. */
static int make_tap(char ret_name[IF_NAMESIZE], int *ret_fd)
{
    struct ifreq ifr = { .ifr_name = PRIV_LINK_PREFIX "%d" };
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int errnum;

    ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0) {
        errnum = errno;
        if (fd >= 0) {
            close(fd);
        }
        return errnum;
    }
    memcpy(ret_name, ifr.ifr_name, IF_NAMESIZE);
    *ret_fd = fd;
    return 0;
}

static int join_bridge(PrivServer *server, const char *name, const Link *bridge)
{
    uint8_t mac[6] = { 0 };
    Link tap;
    int errnum = links_get(server->nl, name, &tap);

    if (errnum == 0 && getrandom(mac, sizeof(mac), 0) < 0) {
        errnum = errno;
    }
    mac[0] = TAP_MAC_FIRST;
    if (errnum == 0) {
        errnum = links_set_mac(server->nl, tap.ifindex, mac);
    }
    /* A smaller one would become the bridge's. */
    if (errnum == 0) {
        errnum = links_set_mtu(server->nl, tap.ifindex, bridge->mtu_bytes);
    }
    if (errnum == 0) {
        links_no_ipv6(server->nl, tap.ifindex); /* a host may have no IPv6 */
        errnum = links_set_master(server->nl, tap.ifindex, bridge->ifindex);
    }
    return errnum ? errnum : links_set_up(server->nl, tap.ifindex, 0);
}

static void do_bridge_tap(PrivServer *server, const PrivRequest *request,
                          Result *result)
{
    Link bridge;

    if (!check_lower(server, request, &bridge, result)) {
        return;
    }
    if (strcmp(bridge.kind, "bridge") != 0) {
        set_outcome(result, PRIV_WRONG_KIND);
        return;
    }
    if (has_place(server, result) &&
        went_well(result, make_tap(result->answer.ifname, &result->made_fd))) {
        went_well(result, join_bridge(server, result->answer.ifname, &bridge));
    }
}

/* Macvtaps */

/* The character device of interface @ifindex, called @name. */
static int open_macvtap(int ifindex, const char *name, int *ret_fd)
{
    char path[32];
    struct ifreq ifr = { 0 };
    int fd, errnum = 0;

    snprintf(path, sizeof(path), "/dev/tap%d", ifindex);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno;
    }
    if (ioctl(fd, TUNGETIFF, &ifr) < 0) {
        errnum = errno;
    } else if (strncmp(ifr.ifr_name, name, IF_NAMESIZE) != 0) {
        errnum = EBADFD;
    }
    if (errnum) {
        close(fd);
        return errnum;
    }
    *ret_fd = fd;
    return 0;
}

static int random_index(void)
{
    uint32_t value = 0;

    if (getrandom(&value, sizeof(value), 0) < 0) {
        return INDEX_FIRST;
    }
    return INDEX_FIRST + (value & INDEX_RANGE_MASK);
}

static void do_macvtap(PrivServer *server, const PrivRequest *request,
                       Result *result)
{
    LinkMacvtap macvtap = {
        .index = random_index(),
        .group = server->policy->mark,
        .is_private = request->flags & PRIV_PRIVATE,
    };
    Link lower, made;
    int errnum;

    if (!check_lower(server, request, &lower, result)) {
        return;
    }
    if ((lower.flags & IFF_LOOPBACK) || !strcmp(lower.kind, "bridge") ||
        !strcmp(lower.kind, "macvtap")) {
        set_outcome(result, PRIV_WRONG_KIND);
        return;
    }
    if (lower.master) {
        set_outcome(result, PRIV_HAS_MASTER);
        return;
    }
    macvtap.lower = lower.ifindex;
    memcpy(macvtap.mac, request->mac, sizeof(macvtap.mac));
    if (!has_place(server, result) ||
        !went_well(result, links_make_macvtap(server->nl, &macvtap))) {
        return;
    }
    errnum = links_get_index(server->nl, macvtap.index, &made);
    if (errnum == 0) {
        links_no_ipv6(server->nl, made.ifindex); /* a host may have no IPv6 */
        /* Without that, groups that a guest has joined stay outside: ND's. */
        errnum = links_set_up(server->nl, made.ifindex, IFF_ALLMULTI);
    }
    if (errnum == 0) {
        memcpy(result->answer.ifname, made.name, IF_NAMESIZE);
        errnum = open_macvtap(made.ifindex, made.name, &result->made_fd);
    }
    if (!went_well(result, errnum)) {
        links_remove(server->nl, macvtap.index);
    }
}

/* Removing */

static void do_remove(PrivServer *server, const PrivRequest *request,
                      Result *result)
{
    Link link;
    int errnum = links_get(server->nl, request->ifname, &link);

    if (errnum == ENODEV) {
        set_outcome(result, PRIV_NO_INTERFACE);
    } else if (!went_well(result, errnum)) {
        return;
    } else if (!is_our_macvtap(server, &link)) {
        set_outcome(result, PRIV_NOT_OURS);
    } else {
        went_well(result, links_remove(server->nl, link.ifindex));
    }
}

typedef struct Found {
    const PrivServer *server;
    int ifindex;
} Found;

static bool find_ours(void *opaque, const Link *link)
{
    Found *found = opaque;

    if (is_our_macvtap(found->server, link)) {
        found->ifindex = link->ifindex;
    }
    return !found->ifindex;
}

static int remove_all(PrivServer *server)
{
    unsigned i;

    for (i = 0; i < PRIV_LINKS_MAX; i++) {
        Found found = { .server = server };
        int errnum = links_each(server->nl, find_ours, &found);

        if (errnum || !found.ifindex) {
            return errnum;
        }
        errnum = links_remove(server->nl, found.ifindex);
        if (errnum && errnum != ENODEV) {
            return errnum;
        }
    }
    return 0;
}

/* Requests */

static void do_request(PrivServer *server, const PrivRequest *request,
                       Result *result)
{
    if (!is_wellformed(request)) {
        set_outcome(result, PRIV_BAD_REQUEST);
        return;
    }
    switch ((PrivType)request->type) {
    case PRIV_RESET:
        went_well(result, remove_all(server));
        break;
    case PRIV_BRIDGE_TAP:
        do_bridge_tap(server, request, result);
        break;
    case PRIV_MACVTAP:
        do_macvtap(server, request, result);
        break;
    case PRIV_REMOVE:
        do_remove(server, request, result);
        break;
    }
}

/* One line a grant and a refusal: who reads the log knows what was made. */
static void audit(const PrivRequest *request, const Result *result)
{
    static const char *const what[] = {
        [PRIV_RESET] = "removal of all", [PRIV_BRIDGE_TAP] = "tap on bridge",
        [PRIV_MACVTAP] = "macvtap on", [PRIV_REMOVE] = "removal of",
    };
    static const char *const why[] = {
        [PRIV_NOT_ALLOWED] = "not allowed", [PRIV_NO_INTERFACE] = "not there",
        [PRIV_WRONG_KIND] = "of another kind", [PRIV_IS_DOWN] = "down",
        [PRIV_HAS_MASTER] = "another's port", [PRIV_NOT_OURS] = "not ours",
        [PRIV_TOO_MANY] = "too many",
    };
    const PrivAnswer *answer = &result->answer;

    if (answer->outcome == PRIV_BAD_REQUEST) {
        g_message("priv: refused: a request that makes no sense");
    } else if (answer->outcome != PRIV_DONE) {
        g_message("priv: refused: %s '%s': %s", what[request->type],
                  request->ifname, answer->outcome == PRIV_FAILED
                  ? g_strerror(answer->errnum) : why[answer->outcome]);
    } else if (request->type != PRIV_RESET) {
        g_message("priv: granted: %s '%s'%s%s", what[request->type],
                  request->ifname, answer->ifname[0] ? ": " : "",
                  answer->ifname);
    }
}

static bool send_answer(int fd, Result *result)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec iov = { &result->answer, sizeof(result->answer) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (result->made_fd >= 0) {
        struct cmsghdr *cmsg;

        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &result->made_fd, sizeof(int));
    }
    return sendmsg(fd, &msg, MSG_NOSIGNAL) == sizeof(result->answer);
}

/* Returns: false: nobody is there any more. */
static bool serve_one(PrivServer *server)
{
    PrivRequest request = { 0 };
    Result result = { .made_fd = -1 };
    struct iovec iov = { &request, sizeof(request) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t len;
    bool ok;

    do {
        /* Without room for them, descriptors are closed by the kernel. */
        len = recvmsg(server->fd, &msg, 0);
    } while (len < 0 && errno == EINTR);
    if (len <= 0) {
        return false;
    }
    if (len != sizeof(request) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        set_outcome(&result, PRIV_BAD_REQUEST);
    } else {
        do_request(server, &request, &result);
    }
    audit(&request, &result);
    result.answer.seq = request.seq;
    if (result.answer.outcome != PRIV_DONE && result.made_fd >= 0) {
        close(result.made_fd);
        result.made_fd = -1;
    }
    if (result.answer.outcome != PRIV_DONE) {
        memset(result.answer.ifname, 0, sizeof(result.answer.ifname));
    }
    ok = send_answer(server->fd, &result);
    if (result.made_fd >= 0) {
        close(result.made_fd);
    }
    return ok;
}

void priv_serve(int fd, const PrivPolicy *policy)
{
    PrivServer server = { .fd = fd, .nl = links_open(), .policy = policy };
    int errnum;

    if (server.nl < 0) {
        g_critical("priv: netlink: %s", g_strerror(errno));
        return;
    }
    while (serve_one(&server)) {
    }
    errnum = remove_all(&server);
    if (errnum) {
        g_warning("priv: what was made is left behind: %s", g_strerror(errnum));
    }
    close(server.nl);
}
