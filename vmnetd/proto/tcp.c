/*
 * TCP headers (RFC 9293) with the options of RFC 7323 and RFC 2018
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/tcp.h"

#include "proto/checksum.h"
#include "proto/cursor.h"

typedef enum TcpOption {
    TCP_OPTION_END = 0,
    TCP_OPTION_NOP = 1,
    TCP_OPTION_MSS = 2,
    TCP_OPTION_WSCALE = 3,
    TCP_OPTION_SACK_PERMITTED = 4,
    TCP_OPTION_SACK = 5,
    TCP_OPTION_TIMESTAMP = 8,
} TcpOption;

/* Bytes of each option with its kind and length */
#define TCP_OPTION_MSS_LEN 4
#define TCP_OPTION_WSCALE_LEN 3
#define TCP_OPTION_SACK_PERMITTED_LEN 2
#define TCP_OPTION_TIMESTAMP_LEN 10

static void tcp_sack_parse(TcpHeader *tcp, Cursor *data)
{
    while (cursor_left(data) >= 8 && tcp->n_sack < TCP_BLOCKS_MAX) {
        TcpBlock *block = &tcp->sack[tcp->n_sack++];

        block->start = cursor_u32(data);
        block->end = cursor_u32(data);
    }
}

static void tcp_option_parse(TcpHeader *tcp, uint8_t kind, Cursor *data)
{
    bool syn = tcp->flags & TCP_SYN;
    size_t len = cursor_left(data) + 2;

    if (kind == TCP_OPTION_MSS && len == TCP_OPTION_MSS_LEN && syn) {
        tcp->mss = cursor_u16(data);
    } else if (kind == TCP_OPTION_WSCALE && len == TCP_OPTION_WSCALE_LEN &&
               syn) {
        tcp->has_wscale = true;
        tcp->wscale = cursor_u8(data);
        tcp->wscale = MIN(tcp->wscale, TCP_WSCALE_MAX);
    } else if (kind == TCP_OPTION_SACK_PERMITTED &&
               len == TCP_OPTION_SACK_PERMITTED_LEN && syn) {
        tcp->sack_permitted = true;
    } else if (kind == TCP_OPTION_SACK) {
        tcp_sack_parse(tcp, data);
    } else if (kind == TCP_OPTION_TIMESTAMP &&
               len == TCP_OPTION_TIMESTAMP_LEN) {
        tcp->has_timestamp = true;
        tcp->ts_value = cursor_u32(data);
        tcp->ts_echo = cursor_u32(data);
    }
}

static void tcp_options_parse(TcpHeader *tcp, Cursor c)
{
    while (cursor_left(&c) > 0) {
        uint8_t kind = cursor_u8(&c);
        uint8_t len;
        Cursor data;

        if (kind == TCP_OPTION_END) {
            return;
        }
        if (kind == TCP_OPTION_NOP) {
            continue;
        }
        len = cursor_u8(&c);
        if (len < 2) {
            return;
        }
        data = cursor_sub(&c, len - 2);
        if (data.error) {
            return;
        }
        tcp_option_parse(tcp, kind, &data);
    }
}

bool tcp_parse(const Frame *frame, const IpPacket *ip, TcpHeader *ret_tcp)
{
    uint8_t buf[TCP_HEADER_MAX];
    TcpHeader tcp = { 0 };
    size_t have;
    Cursor c;

    if (ip->proto != IPPROTO_TCP || ip->is_fragment) {
        return false;
    }
    have = frame_peek(frame, ip->l4_off, buf, MIN(sizeof(buf), ip->l4_len));
    c = cursor_new(buf, have);
    tcp.sport = cursor_u16(&c);
    tcp.dport = cursor_u16(&c);
    tcp.seq = cursor_u32(&c);
    tcp.ack = cursor_u32(&c);
    tcp.data_off = (cursor_u8(&c) >> 4) * 4;
    tcp.flags = cursor_u8(&c);
    tcp.window = cursor_u16(&c);
    cursor_u16(&c); /* checksum */
    tcp.urgent = cursor_u16(&c);
    if (c.error || tcp.data_off < TCP_HEADER_MIN || tcp.data_off > have) {
        return false;
    }
    tcp_options_parse(&tcp, cursor_sub(&c, tcp.data_off - TCP_HEADER_MIN));
    tcp.payload_off = ip->l4_off + tcp.data_off;
    tcp.payload_len = ip->l4_len - tcp.data_off;
    *ret_tcp = tcp;
    return true;
}

static void tcp_options_build(Writer *w, const TcpHeader *tcp)
{
    unsigned i;

    if (tcp->mss > 0) {
        writer_u8(w, TCP_OPTION_MSS);
        writer_u8(w, TCP_OPTION_MSS_LEN);
        writer_u16(w, tcp->mss);
    }
    if (tcp->has_wscale) {
        writer_u8(w, TCP_OPTION_NOP);
        writer_u8(w, TCP_OPTION_WSCALE);
        writer_u8(w, TCP_OPTION_WSCALE_LEN);
        writer_u8(w, tcp->wscale);
    }
    if (tcp->sack_permitted) {
        writer_u8(w, TCP_OPTION_NOP);
        writer_u8(w, TCP_OPTION_NOP);
        writer_u8(w, TCP_OPTION_SACK_PERMITTED);
        writer_u8(w, TCP_OPTION_SACK_PERMITTED_LEN);
    }
    if (tcp->has_timestamp) {
        writer_u8(w, TCP_OPTION_NOP);
        writer_u8(w, TCP_OPTION_NOP);
        writer_u8(w, TCP_OPTION_TIMESTAMP);
        writer_u8(w, TCP_OPTION_TIMESTAMP_LEN);
        writer_u32(w, tcp->ts_value);
        writer_u32(w, tcp->ts_echo);
    }
    if (tcp->n_sack > 0) {
        writer_u8(w, TCP_OPTION_NOP);
        writer_u8(w, TCP_OPTION_NOP);
        writer_u8(w, TCP_OPTION_SACK);
        writer_u8(w, 2 + 8 * tcp->n_sack);
        for (i = 0; i < tcp->n_sack; i++) {
            writer_u32(w, tcp->sack[i].start);
            writer_u32(w, tcp->sack[i].end);
        }
    }
}

size_t tcp_header_build(uint8_t buf[TCP_HEADER_MAX], const TcpHeader *tcp)
{
    Writer w = writer_new(buf + TCP_HEADER_MIN,
                          TCP_HEADER_MAX - TCP_HEADER_MIN);
    size_t len;

    tcp_options_build(&w, tcp);
    len = TCP_HEADER_MIN + writer_len(&w);

    writer_put_u16(buf, tcp->sport);
    writer_put_u16(buf + 2, tcp->dport);
    writer_put_u32(buf + 4, tcp->seq);
    writer_put_u32(buf + 8, tcp->ack);
    buf[12] = len / 4 << 4;
    buf[13] = tcp->flags;
    writer_put_u16(buf + 14, tcp->window);
    writer_put_u16(buf + TCP_CHECKSUM_OFFSET, 0);
    writer_put_u16(buf + 18, tcp->urgent);
    return len;
}

size_t tcp_headers_build(uint8_t buf[TCP_HEADROOM], const IpHeaders *headers,
                         const TcpHeader *tcp, size_t payload_len,
                         uint32_t payload_sum, bool partial)
{
    size_t l3_len = ip_headers_len(headers->src.family);
    uint8_t *l4 = buf + l3_len;
    size_t header_len = tcp_header_build(l4, tcp);
    size_t l4_len = header_len + payload_len;
    IpHeaders h = *headers;
    uint16_t check;
    uint32_t sum;

    h.proto = IPPROTO_TCP;
    ip_headers_build(buf, &h, l4_len);
    if (partial) {
        check = ip_checksum_partial(&h.src, &h.dst, IPPROTO_TCP, l4_len);
    } else {
        sum = ip_pseudo_sum(&h.src, &h.dst, IPPROTO_TCP, l4_len);
        sum = csum_add(sum, l4, header_len);
        check = csum_fold(csum_combine(sum, payload_sum));
    }
    memcpy(l4 + TCP_CHECKSUM_OFFSET, &check, sizeof(check));
    return l3_len + header_len;
}
