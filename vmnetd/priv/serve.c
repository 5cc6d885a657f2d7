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
 *              policy allows, and taps by which the host is on a network of
 *              private addresses: PRIV_LINKS_MAX at most
 *   forward    between these networks and where the host's routes lead, and
 *              what comes to the host at ports that users may have
 *   open       packet sockets on interfaces that it allows
 *   remove     what was made here
 *   reload     the policy, which is root's file and not the engine's
 *
 * No address or route of an interface of the host's changes, and of its settings
 * those that forwarding needs (rules.h), until it is over.
 *
 * What is left behind: PRIV_RESET, the first request of every engine, removes
 * what one had that was killed at whatever moment.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/serve-internal.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "priv/rules.h"

void priv_set_outcome(PrivResult *result, PrivOutcome outcome)
{
    result->answer.outcome = outcome;
}

bool priv_went_well(PrivResult *result, int errnum)
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

/* Requests */

/* Flags are for one kind alone. */
static bool has_name_and(const PrivRequest *request, uint32_t flags)
{
    return !(request->flags & ~flags) && priv_is_name(request->ifname);
}

/* Returns: whether no address comes with it. */
static bool has_name_alone(const PrivRequest *request)
{
    return has_name_and(request, 0) &&
           priv_is_all_zero(request->mac, sizeof(request->mac));
}

static bool has_nothing(const PrivRequest *request)
{
    return !request->flags &&
           priv_is_all_zero(request->mac, sizeof(request->mac)) &&
           priv_is_all_zero(request->ifname, IF_NAMESIZE);
}

static bool is_of_packet(const PrivRequest *request)
{
    return has_name_and(request, PRIV_OWN_MAC) &&
           priv_is_all_zero(request->mac, sizeof(request->mac));
}

static bool has_mac(const PrivRequest *request)
{
    return has_name_and(request, PRIV_PRIVATE) && !(request->mac[0] & 1) &&
           !priv_is_all_zero(request->mac, sizeof(request->mac));
}

/* What is left of rules is logged: no engine could do anything about it. */
static int remove_made(PrivServer *server)
{
    g_autoptr(GError) error = NULL;

    if (!priv_rules_sweep(&error)) {
        g_warning("priv: rules are left behind: %s", error->message);
    }
    return priv_remove_macvtaps(server);
}

static void do_reset(PrivServer *server, const PrivRequest *request,
                     PrivResult *result)
{
    priv_went_well(result, remove_made(server));
}

/**
 * Kind: of request
 * @what: for the log
 * @n_bytes: of the whole request, which begins with a PrivRequest
 * @is_wellformed: not that it is allowed
 */
typedef struct Kind {
    const char *what;
    size_t n_bytes;
    bool (*is_wellformed)(const PrivRequest *request);
    void (*run)(PrivServer *server, const PrivRequest *request,
                PrivResult *result);
} Kind;

static const Kind kinds[] = {
    [PRIV_RESET] = { "removal of all", sizeof(PrivRequest), has_nothing,
                     do_reset },
    [PRIV_BRIDGE_TAP] = { "tap on bridge", sizeof(PrivRequest), has_name_alone,
                          priv_do_bridge_tap },
    [PRIV_MACVTAP] = { "macvtap on", sizeof(PrivRequest), has_mac,
                       priv_do_macvtap },
    [PRIV_REMOVE] = { "removal of", sizeof(PrivRequest), has_name_alone,
                      priv_do_remove },
    [PRIV_GATEWAY_TAP] = { "host's tap", sizeof(PrivGatewayRequest),
                           priv_is_gateway, priv_do_gateway_tap },
    [PRIV_RULES] = { "rules of", sizeof(PrivRulesRequest), priv_is_rules,
                     priv_do_rules },
    [PRIV_NO_RULES] = { "removal of rules of", sizeof(PrivRequest),
                        has_name_alone, priv_do_no_rules },
    [PRIV_PACKET] = { "packet socket on", sizeof(PrivRequest), is_of_packet,
                      priv_do_packet },
    [PRIV_RELOAD] = { "policy read again", sizeof(PrivRequest), has_nothing,
                      priv_do_reload },
};

/* Returns: NULL: it makes no sense. */
static const Kind *kind_of(const PrivRequest *request, size_t n_bytes)
{
    const Kind *kind;

    if (n_bytes < sizeof(*request) || request->type >= G_N_ELEMENTS(kinds)) {
        return NULL;
    }
    kind = &kinds[request->type];
    return kind->run && n_bytes == kind->n_bytes &&
           kind->is_wellformed(request) &&
           priv_is_all_zero(request->zero, sizeof(request->zero)) ? kind : NULL;
}

/* One line a grant and a refusal: who reads the log knows what was made. */
static void audit(const Kind *kind, const PrivRequest *request,
                  const PrivResult *result)
{
    static const char *const why[] = {
        [PRIV_NOT_ALLOWED] = "not allowed", [PRIV_NO_INTERFACE] = "not there",
        [PRIV_WRONG_KIND] = "of another kind", [PRIV_IS_DOWN] = "down",
        [PRIV_HAS_MASTER] = "another's port", [PRIV_NOT_OURS] = "not ours",
        [PRIV_TOO_MANY] = "too many", [PRIV_EXISTS] = "there already",
        [PRIV_NO_KERNEL] = "not made",
        [PRIV_SLOW_BRIDGE] = "ports wait for STP",
    };
    const PrivAnswer *answer = &result->answer;

    if (!kind) {
        g_message("priv: refused: a request that makes no sense");
    } else if (answer->outcome != PRIV_DONE) {
        g_message("priv: refused: %s '%s': %s", kind->what, request->ifname,
                  answer->outcome == PRIV_FAILED ? g_strerror(answer->errnum)
                                                 : why[answer->outcome]);
    } else if (request->type != PRIV_RESET) {
        g_message("priv: granted: %s '%s'%s%s", kind->what, request->ifname,
                  answer->ifname[0] ? ": " : "", answer->ifname);
    }
}

static bool send_answer(int fd, PrivResult *result)
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
    /* With room for the largest. */
    union {
        PrivRequest head;
        PrivGatewayRequest gateway;
        PrivRulesRequest rules;
    } message = { 0 };
    const PrivRequest *request = &message.head;
    PrivResult result = { .made_fd = -1 };
    const Kind *kind = NULL;
    struct iovec iov = { &message, sizeof(message) };
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
    if (!(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        kind = kind_of(request, len);
    }
    if (kind) {
        kind->run(server, request, &result);
    } else {
        priv_set_outcome(&result, PRIV_BAD_REQUEST);
    }
    audit(kind, request, &result);
    result.answer.seq = request->seq;
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
    priv_policy_start(&server);
    while (serve_one(&server)) {
    }
    errnum = remove_made(&server);
    if (errnum) {
        g_warning("priv: what was made is left behind: %s", g_strerror(errnum));
    }
    policy_free(server.file);
    close(server.nl);
}
