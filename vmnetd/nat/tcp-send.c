/*
 * TCP segments without data: acknowledgements, windows, SYN, FIN and RST
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/tcp-int.h"
#include <poll.h>
#include <string.h>
#include <linux/sock_diag.h>

/* Full segments to an ACK: of a stream, and before it is one. */
#define ACK_SEGMENTS 8
#define ACK_SEGMENTS_SLOW 2
/* A guest's send buffer is larger, as a rule. */
#define ACK_BYTES_MAX (256 * 1024)
#define ACK_DELAY_MS 4
/* A socket is asked for its room again when a share of it may be used up. */
#define ROOM_SHARE 16
/* What the kernel may charge for a message beside twice its bytes. */
#define WRITE_OVERHEAD 4096

void tcp_room_use(TcpFlow *f, uint32_t n)
{
    f->room_used += n ? 2 * n + WRITE_OVERHEAD : 0;
}

/* Ask the socket. Returns: false: it is nearly full, and takes nothing now. */
static bool tcp_ask_room(TcpFlow *f)
{
    uint32_t mem[SK_MEMINFO_VARS] = { 0 }, queued, buffer;
    socklen_t len = sizeof(mem);
    struct pollfd pfd = { .fd = f->fd, .events = POLLOUT };

    f->room_used = 0;
    if (getsockopt(f->fd, SOL_SOCKET, SO_MEMINFO, mem, &len) < 0) {
        f->room = 2 * 0xffff;
        return true;
    }
    queued = mem[SK_MEMINFO_WMEM_QUEUED];
    buffer = mem[SK_MEMINFO_SNDBUF];
    f->room = buffer > queued ? buffer - queued : 0;
    /* Asking arms EPOLLOUT, and tells the kernel that its buffer is what
     * limits us: it grows only for those who want more. */
    return f->room >= queued / 2 || poll(&pfd, 1, 0) != 0;
}

/*
 * The window for the guest: half of the socket's free buffer, because the
 * kernel charges more than the bytes; never less than was told before unless
 * the socket is full.  What is written takes a known part of it at most: the
 * kernel is asked again when that could matter, and after each 0.
 */
uint32_t tcp_window(TcpFlow *f)
{
    bool takes = true;
    uint32_t wnd;

    if (f->blocked || f->fd < 0) {
        return 0;
    }
    if (f->room_used >= f->room / ROOM_SHARE) {
        takes = tcp_ask_room(f);
    }
    wnd = MIN((f->room - f->room_used) / 2, LIMIT_NAT_WINDOW_BYTES);
    if (!takes && wnd < f->mss) {
        wnd = f->room = 0;                      /* RFC 1122 4.2.3.3 */
    }
    if (tcp_seq_gt(f->rcv_edge, f->rcv_nxt) && wnd < f->rcv_edge - f->rcv_nxt) {
        wnd = f->rcv_edge - f->rcv_nxt;
    }
    return wnd;
}

/* The window field; what it tells is remembered. */
uint16_t tcp_tell_window(TcpFlow *f, bool syn, uint32_t wnd)
{
    uint8_t scale = syn ? 0 : f->rcv_scale;
    uint16_t field = MIN(wnd >> scale, 0xffff);

    f->rcv_wnd = (uint32_t)field << scale;
    f->rcv_edge = f->rcv_nxt + f->rcv_wnd;
    return field;
}

TcpHeader tcp_header(const TcpFlow *f, uint8_t flags, uint32_t seq)
{
    return (TcpHeader){
        .sport = f->flow.outside.port, .dport = f->flow.guest.port,
        .seq = seq, .flags = flags,
        .ack = flags & TCP_ACK ? f->rcv_nxt : 0,
    };
}

void tcp_send_control(TcpFlow *f, uint8_t flags, uint32_t seq, int64_t now_ms)
{
    Nat *nat = f->nat;
    uint8_t *buf = nat_out_reserve(nat, TCP_HEADROOM, now_ms);
    IpHeaders headers = nat_headers(nat, &f->flow, IPPROTO_TCP);
    TcpHeader tcp = tcp_header(f, flags, seq);

    if (!buf || mac_is_zero(&f->flow.mac)) {
        return;         /* nobody has heard of this flow yet */
    }
    if (flags & TCP_SYN) {
        tcp.mss = tcp_our_mss(f);
        tcp.has_wscale = f->rcv_scale > 0;
        tcp.wscale = f->rcv_scale;
        tcp.sack_permitted = f->sack;
    }
    if (!(flags & TCP_RST)) {
        tcp.window = tcp_tell_window(f, flags & TCP_SYN, tcp_window(f));
    }
    if (flags & TCP_ACK) {
        tcp_acks_sent(f);
    }
    if (f->sack && flags == TCP_ACK) {
        tcp.n_sack = tcp_hold_blocks(f, tcp.sack);
    }
    nat_out_commit(nat, tcp_headers_build(buf, &headers, &tcp, 0, 0, false));
}

void tcp_send_rst(Nat *nat, const IpPacket *ip, const TcpHeader *tcp,
                  int64_t now_ms)
{
    uint8_t *buf;
    IpHeaders headers = {
        .eth_src = nat->config.gateway_mac, .eth_dst = ip->eth_src,
        .src = ip->dst, .dst = ip->src, .ttl = 64, .dont_fragment = true,
    };
    TcpHeader rst = { .sport = tcp->dport, .dport = tcp->sport };

    if (tcp->flags & TCP_RST) {
        return;
    }
    /* RFC 9293 3.10.7.1 */
    if (tcp->flags & TCP_ACK) {
        rst.seq = tcp->ack;
        rst.flags = TCP_RST;
    } else {
        rst.ack = tcp->seq + tcp->payload_len + !!(tcp->flags & TCP_SYN) +
                  !!(tcp->flags & TCP_FIN);
        rst.flags = TCP_RST | TCP_ACK;
    }
    buf = nat_out_reserve(nat, TCP_HEADROOM, now_ms);
    if (buf) {
        nat_out_commit(nat, tcp_headers_build(buf, &headers, &rst, 0, 0,
                                              false));
    }
}

/* A sequence number that the guest accepts, whatever it has lost. */
static uint32_t tcp_ack_seq(const TcpFlow *f)
{
    uint32_t edge = f->snd_una + f->snd_wnd;

    return tcp_seq_lt(edge, f->snd_max) ? edge : f->snd_max;
}

void tcp_acks_sent(TcpFlow *f)
{
    f->ack_sent = f->rcv_nxt;
    f->ack_now = f->ack_later = false;
    f->ack_ms = FLOW_NEVER;
}

/*
 * Each ACK costs the guest an interrupt, so that a stream has one per
 * ACK_SEGMENTS segments.  But a guest that can have less than that in flight
 * would wait for the timer every time.  When the timer had to help, ACKs are
 * frequent until a stream has come again, a longer one each time, as long as
 * the number is never reached; a guest that does reach it has only paused.
 */
static bool tcp_is_stream(const TcpFlow *f)
{
    return f->streak >= f->streak_min;
}

/*
 * RFC 9293 3.8.6.3: full segments may share an ACK.  What ends a write may be
 * all that there is, except in a stream of so large segments that every second
 * or third ends one.
 */
bool tcp_ack_may_wait(const TcpFlow *f, uint32_t len, bool push)
{
    bool is_large = f->seg_max > ACK_BYTES_MAX / ACK_SEGMENTS;

    return !f->held && !f->blocked &&
           ((tcp_is_stream(f) && is_large) || (len >= f->seg_max && !push));
}

void tcp_ack_late(TcpFlow *f)
{
    if (tcp_is_stream(f)) {
        f->streak_min = MIN(2 * f->streak_min, TCP_STREAK_BYTES_MAX);
    }
    f->streak = 0;
    f->ack_ms = FLOW_NEVER;
    f->ack_now = true;
}

static void tcp_delay_ack(TcpFlow *f, int64_t now_ms)
{
    uint32_t due = f->rcv_nxt - f->ack_sent;
    unsigned n = tcp_is_stream(f) ? ACK_SEGMENTS : ACK_SEGMENTS_SLOW;

    if (due >= MAX(MIN(n * f->seg_max, ACK_BYTES_MAX), f->seg_max) ||
        due >= f->rcv_edge - f->rcv_nxt) {
        f->ack_now = true;
        if (tcp_is_stream(f)) {
            f->streak_min = TCP_STREAK_BYTES;
        }
    } else if (f->ack_ms == FLOW_NEVER) {
        f->ack_ms = now_ms + ACK_DELAY_MS;
    }
}

/* Acknowledgements and window updates that no data has carried. */
void tcp_send_acks(TcpFlow *f, int64_t now_ms)
{
    uint32_t told = f->rcv_edge - f->rcv_nxt;
    bool update = false;

    if (f->window_now && !f->blocked) {
        f->window_now = false;
        if (told < 2u * f->mss) {
            f->room = 0;                        /* ask the socket */
        }
        /* Worth a packet if the guest could be waiting for it. */
        update = f->dropped || (told < 2u * f->mss && tcp_window(f) > told);
    }
    if (f->ack_later && !f->ack_now) {
        tcp_delay_ack(f, now_ms);
    }
    if (!f->ack_now && !update && !f->dup_now) {
        return;
    }
    tcp_send_control(f, TCP_ACK, tcp_ack_seq(f), now_ms);
    if (update && f->dropped) {
        f->dropped = false;
        f->dup_now = 3;
    } else if (f->dup_now) {
        f->dup_now--;           /* the first of them has just left */
    }
    for (; f->dup_now; f->dup_now--) {
        tcp_send_control(f, TCP_ACK, tcp_ack_seq(f), now_ms);
    }
}
