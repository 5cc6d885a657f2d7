/*
 * The privileged process as the engine sees it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "priv/message.h"
#include "vmnet/error.h"

/* Answers to requests that had been given up before this one. */
#define STALE_MAX 16

struct Priv {
    int fd;
    uint32_t seq;
};

/* Returns: bytes received; @ret_fd: what came along, or -1. */
static ssize_t receive(int fd, PrivAnswer *answer, int *ret_fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { answer, sizeof(*answer) };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    struct cmsghdr *cmsg;
    ssize_t len;

    *ret_fd = -1;
    do {
        len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    } while (len < 0 && errno == EINTR);
    if (len < 0) {
        return len;
    }
    cmsg = CMSG_FIRSTHDR(&msg);
    if (cmsg && cmsg->cmsg_level == SOL_SOCKET &&
        cmsg->cmsg_type == SCM_RIGHTS &&
        cmsg->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(ret_fd, CMSG_DATA(cmsg), sizeof(int));
    }
    return len;
}

/* @request: the head of @len bytes */
static bool exchange(Priv *priv, PrivRequest *request, size_t len,
                     PrivAnswer *answer, int *ret_fd)
{
    unsigned i;

    request->seq = ++priv->seq;
    if (send(priv->fd, request, len, MSG_NOSIGNAL) < 0) {
        return false;
    }
    for (i = 0; i < STALE_MAX; i++) {
        ssize_t n = receive(priv->fd, answer, ret_fd);

        if (n == sizeof(*answer) && answer->seq == request->seq) {
            return true;
        }
        if (*ret_fd >= 0) {
            close(*ret_fd);
        }
        if (n <= 0) {
            errno = n ? errno : EPIPE;
            return false;
        }
    }
    errno = EPROTO;
    return false;
}

static const struct {
    VmnetStatus status;
    const char *text;
} outcomes[] = {
    [PRIV_BAD_REQUEST] = { VMNET_INVALID_ARGUMENT, "is no name of one" },
    [PRIV_NOT_ALLOWED] = { VMNET_NOT_AUTHORIZED,
        "the system instance does not let guests join it (--bridged, "
        "vmnet-policy(5))" },
    [PRIV_NO_INTERFACE] = { VMNET_INVALID_ARGUMENT, "does not exist" },
    [PRIV_WRONG_KIND] = { VMNET_INVALID_ARGUMENT,
        "is neither a bridge nor an Ethernet interface that guests could "
        "join" },
    [PRIV_IS_DOWN] = { VMNET_SETUP_INCOMPLETE, "is down" },
    [PRIV_HAS_MASTER] = { VMNET_SHARING_SERVICE_BUSY,
        "is a port of a bridge or bond: name that instead" },
    [PRIV_NOT_OURS] = { VMNET_NOT_AUTHORIZED, "was not made here" },
    [PRIV_TOO_MANY] = { VMNET_FAILURE, "there are too many interfaces" },
    [PRIV_NO_KERNEL] = { VMNET_SETUP_INCOMPLETE,
        "the kernel was not told what to forward; vmnetd's log says why" },
    [PRIV_EXISTS] = { VMNET_SHARING_SERVICE_BUSY, "exists already" },
    [PRIV_SLOW_BRIDGE] = { VMNET_SETUP_INCOMPLETE,
        "is a bridge with STP, on which ports wait for its forward delay" },
};

static void set_error(GError **error, const char *ifname,
                      const PrivAnswer *answer)
{
    if (answer->outcome < G_N_ELEMENTS(outcomes) &&
        outcomes[answer->outcome].text) {
        g_set_error(error, VMNET_ERROR, outcomes[answer->outcome].status,
                    "interface '%s': %s", ifname,
                    outcomes[answer->outcome].text);
    } else {
        g_set_error(error, VMNET_ERROR,
                    vmnet_status_from_errno(answer->errnum),
                    "interface '%s': %s", ifname, g_strerror(answer->errnum));
    }
}

/* Returns: whether it was done; then @ret_fd and @ret_name are what was made. */
static bool ask(Priv *priv, PrivRequest *request, size_t len,
                const char *ifname, int *ret_fd, char ret_name[IF_NAMESIZE],
                GError **error)
{
    PrivAnswer answer;

    *ret_fd = -1;
    if (strlen(ifname) >= sizeof(request->ifname)) {
        answer.outcome = PRIV_NO_INTERFACE;
        set_error(error, ifname, &answer);
        return false;
    }
    strcpy(request->ifname, ifname);
    if (!exchange(priv, request, len, &answer, ret_fd)) {
        g_set_error(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                    "interface '%s': the privileged process does not answer: "
                    "%s", ifname, g_strerror(errno));
        return false;
    }
    if (answer.outcome != PRIV_DONE) {
        set_error(error, ifname, &answer);
        return false;
    }
    answer.ifname[IF_NAMESIZE - 1] = '\0';
    memcpy(ret_name, answer.ifname, IF_NAMESIZE);
    return true;
}

/* As above, for what has a descriptor. */
static int ask_fd(Priv *priv, PrivRequest *request, size_t len,
                  const char *ifname, char ret_name[IF_NAMESIZE],
                  GError **error)
{
    int fd;

    if (!ask(priv, request, len, ifname, &fd, ret_name, error)) {
        return -1;
    }
    if (fd < 0) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "interface '%s': no descriptor came", ifname);
    }
    return fd;
}

int priv_bridge_tap(Priv *priv, const char *bridge, GError **error)
{
    PrivRequest request = { .type = PRIV_BRIDGE_TAP };
    char name[IF_NAMESIZE];

    return ask_fd(priv, &request, sizeof(request), bridge, name, error);
}

int priv_macvtap(Priv *priv, const char *ifname, const MacAddr *mac,
                 bool is_private, char ret_name[IF_NAMESIZE], GError **error)
{
    PrivRequest request = {
        .type = PRIV_MACVTAP,
        .flags = is_private ? PRIV_PRIVATE : 0,
    };

    memcpy(request.mac, mac->b, sizeof(request.mac));
    return ask_fd(priv, &request, sizeof(request), ifname, ret_name, error);
}

/* Of AF_UNSPEC nothing is written. */
static void write_addr(uint8_t *bytes, const IpAddr *addr)
{
    uint32_t v4 = htonl(addr->v4);

    if (addr->family == AF_INET) {
        memcpy(bytes, &v4, sizeof(v4));
    } else if (addr->family == AF_INET6) {
        memcpy(bytes, &addr->v6, sizeof(addr->v6));
    }
}

int priv_gateway_tap(Priv *priv, const PrivNetwork *network, GError **error)
{
    PrivGatewayRequest request = {
        .head.type = PRIV_GATEWAY_TAP,
        .gateway.mtu_bytes = network->mtu_bytes,
        .gateway.prefix4_len = network->prefix_len,
    };
    char name[IF_NAMESIZE];

    memcpy(request.head.mac, network->mac.b, sizeof(request.head.mac));
    write_addr(request.gateway.gateway4, &network->gateway);
    write_addr(request.gateway.gateway6, &network->gateway6);
    return ask_fd(priv, &request.head, sizeof(request), network->name, name,
                  error);
}

int priv_packet(Priv *priv, const char *ifname, bool own_mac, GError **error)
{
    PrivRequest request = {
        .type = PRIV_PACKET,
        .flags = own_mac ? PRIV_OWN_MAC : 0,
    };
    char name[IF_NAMESIZE];

    return ask_fd(priv, &request, sizeof(request), ifname, name, error);
}

static void ask_or_warn(Priv *priv, PrivType type, const char *ifname,
                        const char *what)
{
    PrivRequest request = { .type = type };
    g_autoptr(GError) error = NULL;
    char name[IF_NAMESIZE];
    int fd;

    if (!ask(priv, &request, sizeof(request), ifname, &fd, name, &error)) {
        g_warning("%s: %s", what, error->message);
    }
    if (fd >= 0) {
        close(fd);
    }
}

void priv_remove(Priv *priv, const char *name)
{
    ask_or_warn(priv, PRIV_REMOVE, name, "removing");
}

void priv_reload(Priv *priv)
{
    ask_or_warn(priv, PRIV_RELOAD, "", "reading the policy again");
}

void priv_no_rules(Priv *priv, const char *name)
{
    ask_or_warn(priv, PRIV_NO_RULES, name, "removing rules");
}

bool priv_set_rules(Priv *priv, const PrivRules *rules, GError **error)
{
    PrivRulesRequest request = {
        .head.type = PRIV_RULES,
        .head.flags = (rules->mode == PRIV_RULES_SHARED ? PRIV_SHARED : 0) |
                      (rules->nat44 ? PRIV_NAT44 : 0) |
                      (rules->nat66 ? PRIV_NAT66 : 0),
        .gateway.mtu_bytes = rules->mtu_bytes,
        .gateway.prefix4_len = rules->prefix.len,
        .n_forwards = rules->n_forwards,
    };
    char name[IF_NAMESIZE];
    unsigned i;
    int fd;

    write_addr(request.gateway.gateway4, &rules->gateway);
    write_addr(request.gateway.gateway6, &rules->gateway6);
    memcpy(request.external, rules->external, IF_NAMESIZE);
    for (i = 0; i < rules->n_forwards; i++) {
        const PrivForward *forward = &rules->forwards[i];
        PrivForwardEntry *entry = &request.forwards[i];

        entry->proto = forward->proto;
        entry->family = forward->guest.addr.family;
        entry->host_port = forward->host.port;
        entry->guest_port = forward->guest.port;
        write_addr(entry->host, &forward->host.addr);
        write_addr(entry->guest, &forward->guest.addr);
    }
    return ask(priv, &request.head, sizeof(request), rules->name, &fd, name,
               error);
}

Priv *priv_new(int fd)
{
    const struct timeval timeout = { .tv_sec = PRIV_TIMEOUT_S };
    Priv *priv = g_new0(Priv, 1);

    priv->fd = fd;
    /* An engine before this one had numbers of its own. */
    priv->seq = g_random_int();
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    ask_or_warn(priv, PRIV_RESET, "", "removing");
    return priv;
}

void priv_free(Priv *priv)
{
    if (!priv) {
        return;
    }
    close(priv->fd);
    g_free(priv);
}
