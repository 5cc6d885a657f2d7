/*
 * UDP datagrams from guests
 *
 * Theory of operation
 *
 *   frames --> runs of equally long datagrams --> sendmmsg()
 *
 * The datagrams of a socket gather until the batch ends or another socket's
 * come.  Those that follow each other to one target and are equally long, the
 * last perhaps shorter, are a run: the kernel gets it as one message with
 * UDP_SEGMENT (Linux 4.18), which goes through its stack as one packet.  A frame
 * that the guest leaves to be cut is a run from the start.
 *
 * Where a run is not taken (datagrams longer than the way's MTU, a way that
 * cannot sum them up) its datagrams are sent one by one, so that each has its
 * own error or is fragmented, and no run of such datagrams is tried again.
 *
 * Payload stays where it is, if frames stay until the batch ends; else it is
 * copied.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/udp-int.h"
#include <errno.h>
#include <string.h>
#include <netinet/in.h>

/* What the kernel takes in one message: UDP_MAX_SEGMENTS, of which later
 * kernels have more, and an IP packet of either family. */
#define RUN_DATAGRAMS_MAX 64
#define RUN_BYTES_MAX (65535 - 40 - UDP_HEADER_LEN)
/* In how many pieces of memory: UIO_MAXIOV */
#define IOV_MAX_PIECES 1024
/* Longer ones are not copied but sent at once. */
#define COPY_MAX 4096
#define COPY_BYTES (64 * 1024)

/**
 * UdpRun:
 * @seen: where the guest sends to
 * @iov, @n_iov: of UdpGather.iov
 * @n, @size, @len: datagrams; bytes of each but the last; bytes of all
 */
typedef struct UdpRun {
    IpEndpoint seen, target;
    IpAddr source;
    unsigned iov, n_iov;
    unsigned n;
    uint32_t size, len;
} UdpRun;

typedef union SendControl {
    struct cmsghdr align;
    uint8_t buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
                CMSG_SPACE(sizeof(uint16_t))];
} SendControl;

typedef struct UdpMessage {
    struct sockaddr_storage target;
    SendControl control;
} UdpMessage;

/**
 * UdpGather:
 * @sock: whose datagrams these are; NULL: there are none
 */
struct UdpGather {
    UdpSocket *sock;
    bool dont_fragment;
    UdpRun runs[FRAME_BATCH_MAX];
    unsigned n_runs;
    struct iovec iov[IOV_MAX_PIECES];
    unsigned n_iov;
    size_t n_copied;
    struct mmsghdr msgs[FRAME_BATCH_MAX];
    UdpMessage messages[FRAME_BATCH_MAX];
    uint8_t copy[COPY_BYTES];
};

/* ---- what the kernel is told ---- */

/* Pass on whether the guest lets its datagrams be fragmented. */
static void udp_set_pmtu(UdpSocket *sock, bool dont_fragment)
{
    bool v4 = sock->guest.addr.family == AF_INET;
    int value = dont_fragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;

    G_STATIC_ASSERT(IP_PMTUDISC_DO == IPV6_PMTUDISC_DO);
    G_STATIC_ASSERT(IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT);
    if (sock->pmtu != value) {
        sock->pmtu = value;
        setsockopt(sock->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
                   v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &value,
                   sizeof(value));
    }
}

static void put_control(struct msghdr *msg, int level, int type,
                        const void *data, size_t len)
{
    struct cmsghdr *cmsg = (struct cmsghdr *)((uint8_t *)msg->msg_control +
                                              msg->msg_controllen);

    cmsg->cmsg_level = level;
    cmsg->cmsg_type = type;
    cmsg->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(cmsg), data, len);
    msg->msg_controllen += CMSG_SPACE(len);
}

static void put_source(struct msghdr *msg, const IpAddr *source)
{
    if (source->family == AF_INET) {
        struct in_pktinfo info = { .ipi_spec_dst.s_addr = g_htonl(source->v4) };

        put_control(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else if (source->family == AF_INET6) {
        struct in6_pktinfo info = { .ipi6_addr = source->v6 };

        put_control(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

static void message_init(struct msghdr *msg, UdpMessage *message,
                         const UdpRun *run, struct iovec *iov, unsigned n_iov)
{
    memset(&message->control, 0, sizeof(message->control));
    *msg = (struct msghdr){
        .msg_name = &message->target,
        .msg_namelen = ip_endpoint_to_sockaddr(&run->target, &message->target),
        .msg_iov = iov, .msg_iovlen = n_iov,
        .msg_control = &message->control,
    };
    put_source(msg, &run->source);
}

static void message_init_run(struct msghdr *msg, UdpMessage *message,
                             UdpGather *gather, const UdpRun *run)
{
    uint16_t size = run->size;

    message_init(msg, message, run, gather->iov + run->iov, run->n_iov);
    if (run->n > 1) {
        put_control(msg, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size));
    }
}

/* ---- errors ---- */

/* The datagram of @len bytes from @offset of @all on, as an ICMP error quotes
 * it. */
static void udp_quote(UdpSocket *sock, const UdpRun *run, const Frame *all,
                      uint32_t offset, uint32_t len, IcmpCode code,
                      int64_t now_ms)
{
    uint8_t quote[UDP_HEADROOM + ICMP6_ERROR_PACKET_MAX];
    struct iovec iov[IOV_MAX_PIECES];
    IpHeaders headers = {
        .ttl = 64, .src = sock->guest.addr, .dst = run->seen.addr,
        .dont_fragment = sock->pmtu == IP_PMTUDISC_DO,
    };
    unsigned n_iov = len ? frame_slice(all, offset, iov, IOV_MAX_PIECES) : 0;
    size_t n = udp_headers_build(quote, &headers, sock->guest.port,
                                 run->seen.port, iov, n_iov, len);

    n += frame_peek(all, offset, quote + n, MIN(len, ICMP6_ERROR_PACKET_MAX));
    nat_out_icmp_error(sock->nat, &sock->mac, &sock->guest.addr, code,
                       sock->link_mtu, NULL, quote + 14, n - 14, now_ms);
}

/*
 * Returns: 0 or errno. The error queue has been read then; sock->link_mtu is not
 * 0 if this very datagram was too big for the link that it would take.
 */
static int udp_try_send(UdpSocket *sock, const struct msghdr *msg,
                        int64_t now_ms)
{
    int error;

    sock->link_mtu = 0;
    if (sendmsg(sock->fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        return 0;
    }
    error = errno;
    nat_fault(sock->nat, &sock->guest, "sendmsg", error);
    udp_read_errors(sock, now_ms);
    return error;
}

/* A datagram of @run: @len bytes from @offset of @all on. */
static void udp_send_one(UdpSocket *sock, const UdpRun *run, const Frame *all,
                         uint32_t offset, uint32_t len, int64_t now_ms)
{
    bool v4 = sock->guest.addr.family == AF_INET;
    struct iovec iov[IOV_MAX_PIECES];
    unsigned n = len ? frame_slice(all, offset, iov, IOV_MAX_PIECES) : 0, i;
    size_t left = len;
    UdpMessage message;
    struct msghdr msg;
    int first, error;

    for (i = 0; i < n && left; i++) {
        iov[i].iov_len = MIN(iov[i].iov_len, left);
        left -= iov[i].iov_len;
    }
    message_init(&msg, &message, run, iov, i);
    first = udp_try_send(sock, &msg, now_ms);
    if (first == 0 || first == EAGAIN) {
        return;
    }
    /* It may be the error of a datagram before: then once again. */
    error = sock->link_mtu ? first : udp_try_send(sock, &msg, now_ms);
    if (sock->link_mtu) {
        udp_quote(sock, run, all, offset, len,
                  v4 ? (IcmpCode){ ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED }
                     : (IcmpCode){ ICMP6_PACKET_TOO_BIG, 0 }, now_ms);
    } else if (error == first && first != EMSGSIZE &&
               nat_error_find(first)->tcp != NAT_ERROR_SILENT) {
        udp_quote(sock, run, all, offset, len,
                  v4 ? nat_error_find(first)->v4 : nat_error_find(first)->v6,
                  now_ms);
    }
}

/* Not the target's or the way's error, but that of the run as such. */
static bool run_is_refused(int errnum)
{
    return errnum == EINVAL || errnum == EMSGSIZE || errnum == EIO ||
           errnum == EOPNOTSUPP || errnum == ENOPROTOOPT;
}

/* @run could not be sent, or is not even to be tried as one message. */
static void run_send_singly(UdpGather *gather, UdpRun *run, int64_t now_ms)
{
    Frame all;
    uint32_t offset = 0;
    unsigned i;

    frame_init(&all, gather->iov + run->iov, run->n_iov);
    for (i = 0; i < run->n; i++, offset += run->size) {
        udp_send_one(gather->sock, run, &all, offset,
                     MIN(run->size, run->len - offset), now_ms);
    }
}

static void run_failed(UdpGather *gather, UdpRun *run, struct msghdr *msg,
                       int error, int64_t now_ms)
{
    UdpSocket *sock = gather->sock;

    if (run->n > 1 && error != EAGAIN && !run_is_refused(error)) {
        error = udp_try_send(sock, msg, now_ms);    /* not ours, perhaps */
    }
    if (error == 0 || error == EAGAIN) {
        return;
    }
    if (run->n > 1 && run_is_refused(error)) {
        sock->run_max = run->size - 1;
    }
    run_send_singly(gather, run, now_ms);
}

/* ---- gathering ---- */

static void gather_clear(UdpGather *gather)
{
    gather->sock = NULL;
    gather->n_runs = gather->n_iov = 0;
    gather->n_copied = 0;
}

void udp_gather_flush(Nat *nat, int64_t now_ms)
{
    UdpGather *gather = nat->udp_gather;
    UdpSocket *sock = gather ? gather->sock : NULL;
    unsigned i;
    int n, error;

    if (!sock) {
        return;
    }
    udp_set_pmtu(sock, gather->dont_fragment);
    for (i = 0; i < gather->n_runs; i++) {
        message_init_run(&gather->msgs[i].msg_hdr, &gather->messages[i],
                         gather, &gather->runs[i]);
    }
    for (i = 0; i < gather->n_runs; i += MAX(n, 1)) {
        UdpRun *run = &gather->runs[i];

        if (run->n > 1 && run->size > sock->run_max) {
            n = 1;
            run_send_singly(gather, run, now_ms);
            continue;
        }
        n = sendmmsg(sock->fd, gather->msgs + i, gather->n_runs - i,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            error = errno;
            nat_fault(sock->nat, &sock->guest, "sendmmsg", error);
            udp_read_errors(sock, now_ms);
            run_failed(gather, run, &gather->msgs[i].msg_hdr, error, now_ms);
        }
    }
    gather_clear(gather);
}

void udp_gather_forget(UdpSocket *sock)
{
    UdpGather *gather = sock->nat->udp_gather;

    if (gather && gather->sock == sock) {
        gather_clear(gather);
    }
}

void udp_gather_free(Nat *nat)
{
    g_clear_pointer(&nat->udp_gather, g_free);
}

/*
 * Describe @len bytes of @frame from @offset on with the next elements; where
 * the frame does not stay, by a copy.  Returns: elements; 0: there is no place.
 */
static unsigned gather_pieces(UdpGather *gather, const Frame *frame,
                              uint32_t offset, uint32_t len, bool copy)
{
    struct iovec *iov = gather->iov + gather->n_iov;
    unsigned max = IOV_MAX_PIECES - gather->n_iov, n, i;
    uint8_t *at = gather->copy + gather->n_copied;

    if (copy) {
        if (max == 0 || len > COPY_BYTES - gather->n_copied ||
            frame_peek(frame, offset, at, len) != len) {
            return 0;
        }
        gather->n_copied += len;
        iov[0] = (struct iovec){ at, len };
        return 1;
    }
    n = frame_slice(frame, offset, iov, max);
    for (i = 0; i < n && len; i++) {
        iov[i].iov_len = MIN(iov[i].iov_len, len);
        len -= iov[i].iov_len;
    }
    return len ? 0 : i;
}

/* The run that @add, @n datagrams, goes on with; NULL: it is a new one. */
static UdpRun *gather_last_run(UdpGather *gather, const UdpRun *add)
{
    UdpRun *run = gather->n_runs ? &gather->runs[gather->n_runs - 1] : NULL;

    if (!run || add->len == 0 || run->len == 0 ||
        run->len % run->size != 0 ||        /* a shorter one ended it */
        !(add->size == run->size || (add->n == 1 && add->len < run->size)) ||
        run->size > gather->sock->run_max ||
        run->n + add->n > RUN_DATAGRAMS_MAX ||
        run->len + add->len > RUN_BYTES_MAX ||
        run->seen.port != add->seen.port ||
        run->target.port != add->target.port ||
        !ip_addr_equal(&run->seen.addr, &add->seen.addr) ||
        !ip_addr_equal(&run->target.addr, &add->target.addr) ||
        !ip_addr_equal(&run->source, &add->source)) {
        return NULL;
    }
    return run;
}

/* Returns: false: there is no place. */
static bool gather_add(UdpGather *gather, const UdpRun *add,
                       const Frame *frame, uint32_t offset, bool copy)
{
    UdpRun *run = gather_last_run(gather, add);
    unsigned n_iov = 0;

    if (!run && gather->n_runs == FRAME_BATCH_MAX) {
        return false;
    }
    if (add->len) {
        n_iov = gather_pieces(gather, frame, offset, add->len, copy);
        if (n_iov == 0) {
            return false;
        }
    }
    if (run) {
        run->n += add->n;
        run->len += add->len;
    } else {
        run = &gather->runs[gather->n_runs++];
        *run = *add;
        run->iov = gather->n_iov;
    }
    run->n_iov += n_iov;
    gather->n_iov += n_iov;
    return true;
}

static UdpGather *gather_for(UdpSocket *sock, bool dont_fragment,
                             int64_t now_ms)
{
    Nat *nat = sock->nat;

    if (!nat->udp_gather) {
        nat->udp_gather = g_new0(UdpGather, 1);
    } else if (nat->udp_gather->sock &&
               (nat->udp_gather->sock != sock ||
                nat->udp_gather->dont_fragment != dont_fragment)) {
        udp_gather_flush(nat, now_ms);
    }
    nat->udp_gather->sock = sock;
    nat->udp_gather->dont_fragment = dont_fragment;
    return nat->udp_gather;
}

void udp_socket_send(UdpSocket *sock, const Frame *frame, const IpPacket *ip,
                     const UdpDatagram *udp, const IpEndpoint *target,
                     const IpAddr *source, int64_t now_ms)
{
    Nat *nat = sock->nat;
    bool dont_fragment = ip->src.family == AF_INET ? ip->dont_fragment
                                                   : !nat->reassembled;
    bool stays = nat->config.hold_frames && !nat->reassembled;
    bool copy = !stays && udp->payload_len <= COPY_MAX;
    UdpRun add = {
        .seen = { ip->dst, udp->dport }, .target = *target, .source = *source,
        .size = udp_cut_size(frame, udp),
    };
    uint32_t done = 0;

    do {
        add.len = MIN(udp->payload_len - done, add.size * RUN_DATAGRAMS_MAX);
        add.n = add.len ? (add.len - 1) / add.size + 1 : 1;
        if (!gather_add(gather_for(sock, dont_fragment, now_ms), &add, frame,
                        udp->payload_off + done, copy)) {
            udp_gather_flush(nat, now_ms);
            gather_add(gather_for(sock, dont_fragment, now_ms), &add, frame,
                       udp->payload_off + done, copy);
        }
        done += add.len;
    } while (done < udp->payload_len);
    if (!stays && !copy) {
        udp_gather_flush(nat, now_ms);
    }
}
