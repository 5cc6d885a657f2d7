/*
 * Frames on their way to guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/nat-int.h"
#include <string.h>

void nat_out_init(Nat *nat)
{
    NatStage *stage = &nat->stage;

    stage->slot_size = (TCP_HEADROOM + nat->config.mtu_bytes + 63) & ~63u;
    stage->n_slots = CLAMP(NAT_STAGE_BYTES / stage->slot_size, 4,
                           FRAME_BATCH_MAX);
    stage->slots = g_malloc(MAX(stage->n_slots * stage->slot_size,
                                NAT_STAGE_BYTES));
}

void nat_out_clear(Nat *nat)
{
    g_clear_pointer(&nat->stage.slots, g_free);
    g_clear_pointer(&nat->stage.big, g_free);
}

void nat_output(Nat *nat, Frame *frames, unsigned n, int64_t now_ms)
{
    nat->n_output += n;
    nat->outputting = true;
    nat->ops.output(nat->opaque, frames, n, now_ms);
    nat->outputting = false;
}

void nat_out_flush(Nat *nat, int64_t now_ms)
{
    NatOut *out = &nat->out;
    unsigned n = out->n;

    g_assert(!nat->in_input);
    if (n) {
        out->n = 0;
        out->used = 0;
        nat_output(nat, out->frames, n, now_ms);
    }
}

uint8_t *nat_out_reserve(Nat *nat, size_t len, int64_t now_ms)
{
    NatOut *out = &nat->out;

    if (len > sizeof(out->buf)) {
        return NULL;
    }
    if (out->n == FRAME_BATCH_MAX || len > sizeof(out->buf) - out->used) {
        if (nat->in_input) {
            return NULL;    /* the guest asks again, or not */
        }
        nat_out_flush(nat, now_ms);
    }
    return out->buf + out->used;
}

void nat_out_commit(Nat *nat, size_t len)
{
    NatOut *out = &nat->out;

    out->iov[out->n] = (struct iovec){ out->buf + out->used, len };
    frame_init(&out->frames[out->n], &out->iov[out->n], 1);
    out->n++;
    out->used = MIN((out->used + len + 7) & ~(size_t)7, sizeof(out->buf));
}

IpHeaders nat_headers(Nat *nat, const Flow *flow, uint8_t proto)
{
    return (IpHeaders){
        .eth_src = nat->config.gateway_mac, .eth_dst = flow->mac,
        .src = flow->outside.addr, .dst = flow->guest.addr,
        .proto = proto, .ttl = 64, .dont_fragment = true,
    };
}

NatHead nat_head(Nat *nat, const Flow *flow, uint8_t proto)
{
    bool has_ports = proto == IPPROTO_TCP || proto == IPPROTO_UDP;

    return (NatHead){
        .ip = nat_headers(nat, flow, proto),
        .sport = has_ports ? flow->outside.port : 0,
        .dport = has_ports ? flow->guest.port : 0,
    };
}

void nat_head_of_fragments(NatHead *head)
{
    head->sport = head->dport = 0;
    if (head->ip.src.family == AF_INET6) {
        head->ip.proto = IPPROTO_FRAGMENT;
    }
}

void nat_out_icmp_error(Nat *nat, const MacAddr *mac, const IpAddr *guest,
                        IcmpCode code, uint32_t rest, const IpAddr *from,
                        const uint8_t *quote, size_t quote_len,
                        int64_t now_ms)
{
    bool v4 = guest->family == AF_INET;
    IpHeaders headers = {
        .eth_src = nat->config.gateway_mac, .eth_dst = *mac,
        .src = v4 ? nat->config.gateway4 : nat->config.gateway6,
        .dst = *guest, .ttl = 64,
    };
    uint8_t *buf = nat_out_reserve(nat, ICMP6_ERROR_FRAME_MAX, now_ms);
    size_t len;

    if (from && from->family == guest->family) {
        headers.src = *from;
    }
    if (!buf || headers.src.family != guest->family) {
        return;
    }
    len = icmp_error_build_quote(buf, &headers, code.type, code.code, rest,
                                 quote, quote_len);
    nat_out_commit(nat, len);
}

uint8_t *nat_big(Nat *nat, unsigned i)
{
    if (!nat->stage.big) {
        nat->stage.big = g_malloc((size_t)NAT_N_BIG * NAT_BIG_BYTES);
    }
    return nat->stage.big + (size_t)i * NAT_BIG_BYTES;
}

/* @l4: transport header and payload of a packet over the MTU. */
static void nat_out_fragments(Nat *nat, const IpHeaders *headers,
                              const uint8_t *l4, size_t l4_len, int64_t now_ms)
{
    uint8_t heads[FRAME_BATCH_MAX][FRAG_HEADER_MAX];
    struct iovec iov[FRAME_BATCH_MAX][2];
    Frame frames[FRAME_BATCH_MAX];
    uint32_t mtu = nat->config.mtu_bytes, id6 = ++nat->ip6_id;
    unsigned n = frag_count(headers->src.family, l4_len, mtu), i, batch = 0;
    IpHeaders h = *headers;

    h.id = ++nat->ip_id;
    nat_out_flush(nat, now_ms);
    for (i = 0; i < n; i++) {
        size_t offset, len, head = frag_build(heads[batch], &h, id6, l4_len,
                                              mtu, i, &offset, &len);

        iov[batch][0] = (struct iovec){ heads[batch], head };
        iov[batch][1] = (struct iovec){ (void *)(l4 + offset), len };
        frame_init(&frames[batch], iov[batch], 2);
        if (++batch == FRAME_BATCH_MAX || i == n - 1) {
            nat_output(nat, frames, batch, now_ms);
            batch = 0;
        }
    }
}

void nat_out_packet(Nat *nat, const IpHeaders *headers, uint8_t *frame,
                    size_t len, int64_t now_ms)
{
    size_t at = ip_headers_len(headers->src.family);
    struct iovec iov = { frame, len };
    Frame one;

    if (len - 14 > nat->config.mtu_bytes) {
        nat_out_fragments(nat, headers, frame + at, len - at, now_ms);
        return;
    }
    frame_init(&one, &iov, 1);
    nat_out_flush(nat, now_ms);
    nat_output(nat, &one, 1, now_ms);
}

NatRoom nat_room(Nat *nat, NatWait *wait, const NatHead *head, int64_t now_ms)
{
    NatRoom room;

    nat_out_flush(nat, now_ms);     /* what is queued takes some of it */
    room = nat->ops.room(nat->opaque, head, now_ms);
    wait->port_id = room.port_id;
    return room;
}

unsigned nat_room_frames(Nat *nat, NatWait *wait, const NatHead *head,
                         size_t len, unsigned max, int64_t now_ms)
{
    return MIN(nat_room(nat, wait, head, now_ms).bytes /
               (len + NAT_FRAME_OVERHEAD), max);
}
