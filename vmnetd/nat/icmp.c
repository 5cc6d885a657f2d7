/*
 * Echo requests of guests, by ping sockets
 *
 * A flow is a guest's address and echo identifier, and a destination.  The
 * kernel puts an identifier of its own into what leaves (icmp(7)); the guest's
 * is put back into the answer.  Where net.ipv4.ping_group_range keeps us from
 * making such sockets nobody answers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/nat-int.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/errqueue.h>
#include "proto/cursor.h"

#define ICMP_IDLE_MS (60 * 1000)
/* Answers read at once; the rest waits for its own turn. */
#define ICMP_BATCH 64

typedef struct IcmpFlow {
    Flow flow;
    Nat *nat;
    int fd;
    LoopWatch *watch;
    NatWait wait;
    uint16_t last_seq;
    size_t max_len;         /* of a request so far, from its ICMP header on */
    bool is_failing;        /* could not receive: watched edge-triggered */
} IcmpFlow;

static void icmp_free(IcmpFlow *f)
{
    g_clear_pointer(&f->watch, loop_watch_free);
    nat_wait_cancel(f->nat, &f->wait);
    flow_table_remove(&f->flow);
    close(f->fd);
    g_free(f);
}

void icmp_timer(Nat *nat, Flow *flow, int64_t now_ms)
{
    icmp_free((IcmpFlow *)flow);
}

void icmp_close_flow(Nat *nat, Flow *flow, int64_t now_ms)
{
    icmp_free((IcmpFlow *)flow);
}

static bool is_v4(const IcmpFlow *f)
{
    return f->flow.guest.addr.family == AF_INET;
}

/* @len bytes of an echo reply, header included, lie in the big buffer. */
static void icmp_answer(IcmpFlow *f, uint8_t *reply, size_t len,
                        int64_t now_ms)
{
    Nat *nat = f->nat;
    IpHeaders headers = nat_headers(nat, &f->flow, IPPROTO_ICMP);
    size_t n;
    uint16_t seq = reply[6] << 8 | reply[7];
    uint32_t rest = (uint32_t)f->flow.guest.port << 16 | seq;
    uint8_t *frame = nat_big(nat, 1);

    headers.dont_fragment = false;
    n = icmp_build(frame, NAT_BIG_BYTES, &headers,
                   is_v4(f) ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY, 0, rest,
                   reply + ICMP_HEADER_LEN, len - ICMP_HEADER_LEN);
    if (n == 0) {
        return;
    }
    headers.proto = is_v4(f) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    nat_out_packet(nat, &headers, frame, n, now_ms);
}

/* A kernel without memory is asked again when the next answer comes. */
static void icmp_set_failing(IcmpFlow *f, bool is_failing)
{
    if (f->is_failing != is_failing) {
        f->is_failing = is_failing;
        loop_watch_set_events(f->watch,
                              is_failing ? EPOLLIN | EPOLLET : EPOLLIN);
    }
}

static void icmp_read(IcmpFlow *f, int64_t now_ms)
{
    Nat *nat = f->nat;
    uint8_t *reply = nat_big(nat, 0);
    /* An answer is as long as its request. */
    unsigned n_frames = frag_count(f->flow.guest.addr.family, f->max_len,
                                   nat->config.mtu_bytes), i;
    NatHead head = nat_head(nat, &f->flow, is_v4(f) ? IPPROTO_ICMP
                                                    : IPPROTO_ICMPV6);
    ssize_t n;

    if (n_frames > 1) {
        nat_head_of_fragments(&head);
    }
    for (i = 0; i < ICMP_BATCH; i++) {
        if (nat_room_frames(nat, &f->wait, &head, 14 + nat->config.mtu_bytes,
                            n_frames, now_ms) < n_frames) {
            nat_wait(nat, &f->wait);
            loop_watch_set_events(f->watch, 0);
            return;
        }
        n = recv(f->fd, reply, NAT_BIG_BYTES, MSG_DONTWAIT);
        if (n < 0) {
            icmp_set_failing(f, errno != EAGAIN && errno != EINTR);
            return;
        }
        if (n >= ICMP_HEADER_LEN &&
            reply[0] == (is_v4(f) ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY)) {
            icmp_answer(f, reply, n, now_ms);
        }
    }
}

/* The guest's request, of which only numbers are left, in an error. */
static void icmp_error(IcmpFlow *f, const struct sock_extended_err *ee,
                       int64_t now_ms)
{
    const NatError *error = nat_error_find(ee->ee_errno);
    bool icmp = ee->ee_origin == SO_EE_ORIGIN_ICMP ||
                ee->ee_origin == SO_EE_ORIGIN_ICMP6;
    IcmpCode code = is_v4(f) ? error->v4 : error->v6;
    IpHeaders headers = {
        .src = f->flow.guest.addr, .dst = f->flow.outside.addr, .ttl = 64,
    };
    uint32_t rest = (uint32_t)f->flow.guest.port << 16 | f->last_seq;
    IpEndpoint offender;
    IpAddr from = { 0 };
    uint8_t quote[IP_HEADROOM + ICMP_HEADER_LEN];
    size_t n;

    if (icmp) {
        code = (IcmpCode){ ee->ee_type, ee->ee_code };
        if (ip_endpoint_from_sockaddr(SO_EE_OFFENDER(ee),
                                      sizeof(struct sockaddr_in6),
                                      &offender)) {
            from = f->nat->ops.peer_seen(f->nat->opaque, &offender.addr);
        }
    }
    n = icmp_build(quote, sizeof(quote), &headers,
                   is_v4(f) ? ICMP_ECHO : ICMP6_ECHO_REQUEST, 0, rest, NULL, 0);
    if (n) {
        nat_out_icmp_error(f->nat, &f->flow.mac, &f->flow.guest.addr, code,
                           ee->ee_errno == EMSGSIZE ? ee->ee_info : 0, &from,
                           quote + 14, n - 14, now_ms);
    }
}

static void icmp_read_errors(IcmpFlow *f, int64_t now_ms)
{
    union {
        struct cmsghdr align;
        uint8_t buf[CMSG_SPACE(sizeof(struct sock_extended_err) +
                               sizeof(struct sockaddr_in6))];
    } control;
    uint8_t data[128];
    unsigned i;

    for (i = 0; i < ICMP_BATCH; i++) {
        struct iovec iov = { data, sizeof(data) };
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1,
            .msg_control = &control, .msg_controllen = sizeof(control),
        };
        struct cmsghdr *cmsg;

        if (recvmsg(f->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            return;
        }
        cmsg = CMSG_FIRSTHDR(&msg);
        if (cmsg && (cmsg->cmsg_type == IP_RECVERR ||
                     cmsg->cmsg_type == IPV6_RECVERR)) {
            icmp_error(f, (struct sock_extended_err *)CMSG_DATA(cmsg), now_ms);
        }
    }
}

static void icmp_event(void *opaque, uint32_t events, int64_t now_ms)
{
    IcmpFlow *f = opaque;
    Nat *nat = f->nat;
    int error;
    socklen_t len = sizeof(error);

    if (events & EPOLLERR) {
        icmp_read_errors(f, now_ms);
        /* One that found no room in the queue would come for ever. */
        getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
    if (events & EPOLLIN) {
        icmp_read(f, now_ms);
    }
    nat_done(nat, now_ms);
}

static void icmp_resume(Nat *nat, void *owner, int64_t now_ms)
{
    IcmpFlow *f = owner;

    f->is_failing = false;
    loop_watch_set_events(f->watch, EPOLLIN);
    icmp_read(f, now_ms);
}

/* A connected ping socket; -1: not allowed, or no way there. */
static int icmp_socket(Nat *nat, const IpEndpoint *guest, const NatRoute *route,
                       uint32_t port_id, int64_t now_ms)
{
    static const int one = 1;
    bool v4 = route->target.addr.family == AF_INET;
    int fd = nat_socket(nat, route->target.addr.family, SOCK_DGRAM,
                        v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, port_id, now_ms);
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&route->target, &ss);

    if (fd < 0) {
        nat_fault(nat, guest, "socket", errno);
        return -1;
    }
    setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
               v4 ? IP_RECVERR : IPV6_RECVERR, &one, sizeof(one));
    if (!nat_bind(fd, route) ||
        connect(fd, (struct sockaddr *)&ss, len) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static IcmpFlow *icmp_new(Nat *nat, int fd, const FlowKey *key,
                          const SavedFlow *flow, int64_t now_ms)
{
    g_autoptr(GError) error = NULL;
    IcmpFlow *f = g_new0(IcmpFlow, 1);

    f->nat = nat;
    f->fd = fd;
    f->flow.key = *key;
    f->flow.guest = flow->guest;
    f->flow.outside = flow->outside;
    f->flow.mac = flow->mac;
    f->wait.owner = f;
    f->wait.resume = icmp_resume;
    flow_table_add(nat->flows, &f->flow, flow->port_id, now_ms);
    f->watch = loop_watch_new(nat->config.loop, fd, EPOLLIN,
                              icmp_event, f, &error);
    if (!f->watch) {
        icmp_free(f);
        return NULL;
    }
    return f;
}

static IcmpFlow *icmp_open(Nat *nat, const Frame *frame, const IpPacket *ip,
                           const FlowKey *key, const NatRoute *route,
                           uint16_t id, int64_t now_ms)
{
    SavedFlow flow = {
        .guest = { ip->src, id }, .outside = { ip->dst, 0 },
        .port_id = frame->src_port,
    };
    IcmpFlow *f;
    int fd;

    nat_make_room(nat, frame->src_port, now_ms);
    fd = icmp_socket(nat, &flow.guest, route, frame->src_port, now_ms);
    if (fd < 0) {
        return NULL;
    }
    f = icmp_new(nat, fd, key, &flow, now_ms);
    nat->stats.flows_made += f != NULL;
    return f;
}

static void icmp_send(IcmpFlow *f, const Frame *frame, const IpPacket *ip,
                      const IcmpMessage *icmp)
{
    uint8_t header[ICMP_HEADER_LEN] = { icmp->type };
    struct iovec iov[FRAME_BATCH_MAX] = { { header, sizeof(header) } };
    struct msghdr msg = { .msg_iov = iov };
    size_t left = icmp->payload_len;
    unsigned i = 1, n = 1;

    writer_put_u32(header + 4, icmp->rest);
    if (left) {
        n += frame_slice(frame, icmp->payload_off, iov + 1,
                         G_N_ELEMENTS(iov) - 1);
    }
    for (; i < n && left; i++) {
        iov[i].iov_len = MIN(iov[i].iov_len, left);
        left -= iov[i].iov_len;
    }
    if (left == 0) {
        msg.msg_iovlen = i;
        sendmsg(f->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void icmp_used(IcmpFlow *f, int64_t now_ms)
{
    flow_touch(&f->flow, FLOW_TRANSIENT, now_ms);
    flow_set_deadline(&f->flow, now_ms + ICMP_IDLE_MS);
}

void icmp_save(const Flow *flow, Handover *out, int64_t now_ms)
{
    const IcmpFlow *f = (const IcmpFlow *)flow;

    handover_fd(out, f->fd);
    handover_u16(out, f->last_seq);
    handover_u32(out, f->max_len);
}

bool icmp_load(Nat *nat, Cursor *c, HandoverFds *fds, const SavedFlow *saved,
               int64_t now_ms)
{
    int fd = handover_take_fd(fds, c);
    uint16_t last_seq = cursor_u16(c);
    uint32_t max_len = cursor_u32(c);
    IcmpFlow *f;
    FlowKey key;

    flow_key_init(&key, FLOW_ICMP, &saved->guest, &saved->outside);
    if (c->error || saved->outside.addr.family != saved->guest.addr.family ||
        !nat_fd_is(fd, SOCK_DGRAM, saved->guest.addr.family) ||
        !nat_may_load(nat, &key, saved)) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    f = icmp_new(nat, fd, &key, saved, now_ms);
    if (!f) {
        return false;
    }
    f->last_seq = last_seq;
    f->max_len = MIN(max_len, NAT_BIG_BYTES);
    icmp_used(f, saved->last_ms);
    return true;
}

NatVerdict icmp_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                      int64_t now_ms)
{
    bool v4 = ip->src.family == AF_INET;
    IpEndpoint guest = { .addr = ip->src }, outside = { .addr = ip->dst };
    uint8_t proto = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    IcmpMessage icmp;
    NatRoute route = { 0 };
    IcmpFlow *f;
    FlowKey key;

    if (ip->proto != proto) {
        return NAT_REFUSED;
    }
    if (!icmp_parse(frame, ip, &icmp)) {
        return NAT_MALFORMED;
    }
    if (icmp.type != (v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST)) {
        return NAT_OK;      /* a guest's errors concern nobody outside */
    }
    guest.port = icmp_echo_id(&icmp);
    flow_key_init(&key, FLOW_ICMP, &guest, &outside);
    f = (IcmpFlow *)flow_table_find(nat->flows, &key);
    if (!f) {
        if (!nat->ops.route(nat->opaque, proto, &outside, &route)) {
            nat->stats.flows_refused++;
            return NAT_REFUSED;
        }
        f = icmp_open(nat, frame, ip, &key, &route, guest.port, now_ms);
        if (!f) {
            nat->stats.flows_refused++;
            return NAT_OK;
        }
    }
    f->flow.mac = ip->eth_src;
    f->last_seq = icmp_echo_seq(&icmp);
    f->max_len = MAX(f->max_len, ICMP_HEADER_LEN + icmp.payload_len);
    icmp_used(f, now_ms);
    icmp_send(f, frame, ip, &icmp);
    return NAT_OK;
}
