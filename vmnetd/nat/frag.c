/*
 * Fragments
 *
 * Theory of operation
 *
 * A packet that is being put together is a buffer that grows to the last byte
 * seen, and an ordered array of the pieces that are there.  A new piece lies
 * between two others, or repeats one exactly, or the packet is dropped.  The
 * headers in front (Ethernet, IP, extension headers) are those of the first
 * fragment.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/frag.h"
#include <string.h>
#include "limits.h"
#include "proto/checksum.h"

#define FRAG_TIMEOUT_MS 30000
/* 64 KiB in pieces of 1280 bytes are 52; smaller ones are nobody's friend. */
#define FRAG_PIECES_MAX 64
#define FRAG_HEADERS_MAX 256
#define IP_LEN_MAX 65535

typedef struct FragPiece {
    uint32_t start, end;
} FragPiece;

struct FragPacket {
    GList link;                 /* in FragTable.packets, the oldest at the head */
    IpPacket ip;                /* of the first fragment; else of any */
    uint32_t port_id;
    int64_t deadline_ms;
    FragPiece pieces[FRAG_PIECES_MAX];
    unsigned n_pieces;
    uint32_t total;             /* 0: the last fragment is missing */
    bool poisoned;              /* overlapped: swallow the rest (RFC 5722) */
    uint8_t headers[FRAG_HEADERS_MAX];
    unsigned headers_len;       /* 0: the first fragment is missing */
    uint8_t *data;
    uint32_t size;
    struct iovec iov[2];
};

struct FragTable {
    GQueue packets;
    size_t bytes;
};

FragTable *frag_table_new(void)
{
    return g_new0(FragTable, 1);
}

void frag_packet_free(FragPacket *packet)
{
    if (packet) {
        g_free(packet->data);
        g_free(packet);
    }
}

static size_t packet_bytes(const FragPacket *packet)
{
    return sizeof(*packet) + packet->size;
}

/* Take @packet out of the table; it is the caller's. */
static FragPacket *table_steal(FragTable *table, FragPacket *packet)
{
    g_queue_unlink(&table->packets, &packet->link);
    table->bytes -= packet_bytes(packet);
    return packet;
}

void frag_table_free(FragTable *table)
{
    if (!table) {
        return;
    }
    while (table->packets.head) {
        frag_packet_free(table_steal(table, table->packets.head->data));
    }
    g_free(table);
}

static bool packet_matches(const FragPacket *packet, const IpPacket *ip, uint32_t port_id)
{
    /* RFC 791: the protocol belongs to the key; RFC 8200 4.5: it does not. */
    return packet->ip.frag_id == ip->frag_id && packet->port_id == port_id &&
           ip_addr_equal(&packet->ip.src, &ip->src) &&
           ip_addr_equal(&packet->ip.dst, &ip->dst) &&
           (ip->src.family == AF_INET6 || packet->ip.proto == ip->proto);
}

static FragPacket *table_find(FragTable *table, const IpPacket *ip, uint32_t port_id)
{
    GList *link;

    for (link = table->packets.head; link; link = link->next) {
        if (packet_matches(link->data, ip, port_id)) {
            return link->data;
        }
    }
    return NULL;
}

/* What one port has in the table; @oldest: of its packets, but not @keep. */
typedef struct PortShare {
    uint32_t port_id;
    unsigned n;
    FragPacket *oldest;
} PortShare;

/* The oldest packet, other than @keep, of the port that has the most. */
static FragPacket *table_victim(FragTable *table, const FragPacket *keep)
{
    PortShare shares[LIMIT_REASSEMBLY_PACKETS + 1], *most = NULL;
    unsigned n_shares = 0, i;
    GList *link;

    for (link = table->packets.head; link; link = link->next) {
        FragPacket *packet = link->data;

        for (i = 0; i < n_shares && shares[i].port_id != packet->port_id; i++) {
        }
        if (i == n_shares) {
            shares[n_shares++] = (PortShare){ .port_id = packet->port_id };
        }
        shares[i].n++;
        if (!shares[i].oldest && packet != keep) {
            shares[i].oldest = packet;
        }
    }
    for (i = 0; i < n_shares; i++) {
        if (shares[i].oldest && (!most || shares[i].n > most->n)) {
            most = &shares[i];
        }
    }
    return most ? most->oldest : NULL;
}

static void table_shrink(FragTable *table, const FragPacket *keep)
{
    FragPacket *victim;

    while (table->packets.length > LIMIT_REASSEMBLY_PACKETS ||
           table->bytes > LIMIT_REASSEMBLY_BYTES) {
        victim = table_victim(table, keep);
        if (!victim) {
            return;
        }
        frag_packet_free(table_steal(table, victim));
    }
}

static FragPacket *table_add(FragTable *table, const IpPacket *ip, uint32_t port_id,
          int64_t now_ms)
{
    FragPacket *packet = g_new0(FragPacket, 1);

    packet->link.data = packet;
    packet->ip = *ip;
    packet->port_id = port_id;
    packet->deadline_ms = now_ms + FRAG_TIMEOUT_MS;
    g_queue_push_tail_link(&table->packets, &packet->link);
    table->bytes += packet_bytes(packet);
    table_shrink(table, packet);
    return packet;
}

/* Drop the data, remember that the packet is bad until its time is over. */
static FragVerdict packet_poison(FragTable *table, FragPacket *packet)
{
    table->bytes -= packet->size;
    g_clear_pointer(&packet->data, g_free);
    packet->size = 0;
    packet->poisoned = true;
    return FRAG_MALFORMED;
}

static bool packet_grow(FragTable *table, FragPacket *packet, uint32_t end)
{
    uint32_t size = packet->size ? packet->size : 4096;
    uint8_t *data;

    if (end <= packet->size) {
        return true;
    }
    while (size < end) {
        size *= 2;
    }
    data = g_try_realloc(packet->data, size);
    if (!data) {
        return false;
    }
    packet->data = data;
    table->bytes += size - packet->size;
    packet->size = size;
    table_shrink(table, packet);
    return true;
}

typedef enum PieceFit { PIECE_FITS, PIECE_REPEATED, PIECE_OVERLAPS } PieceFit;

/* Where does [@start, @end) go?  @ret_pos: index in pieces. */
static PieceFit packet_fit(const FragPacket *packet, uint32_t start, uint32_t end,
           unsigned *ret_pos)
{
    unsigned i;

    for (i = 0; i < packet->n_pieces; i++) {
        const FragPiece *piece = &packet->pieces[i];

        if (piece->start == start && piece->end == end) {
            return PIECE_REPEATED;
        }
        if (piece->end <= start) {
            continue;
        }
        if (piece->start >= end) {
            break;
        }
        return PIECE_OVERLAPS;
    }
    *ret_pos = i;
    return PIECE_FITS;
}

static bool packet_is_complete(const FragPacket *packet)
{
    uint32_t at = 0;
    unsigned i;

    if (!packet->total || !packet->headers_len) {
        return false;
    }
    for (i = 0; i < packet->n_pieces; i++) {
        if (packet->pieces[i].start != at) {
            return false;
        }
        at = packet->pieces[i].end;
    }
    return at == packet->total;
}

/* The last fragment says how long the packet is; nothing may contradict it. */
static bool packet_total_fits(FragPacket *packet, const IpPacket *ip, uint32_t end)
{
    unsigned n = packet->n_pieces;

    if (packet->total && end > packet->total) {
        return false;
    }
    if (!ip->more_fragments) {
        if ((packet->total && packet->total != end) ||
            (n && packet->pieces[n - 1].end > end)) {
            return false;
        }
        packet->total = end;
    }
    return true;
}

static bool packet_take_headers(FragPacket *packet, const Frame *frame, const IpPacket *ip)
{
    if (ip->l4_off > sizeof(packet->headers) ||
        frame_peek(frame, 0, packet->headers, ip->l4_off) != ip->l4_off) {
        return false;
    }
    packet->headers_len = ip->l4_off;
    packet->ip = *ip;
    return true;
}

FragVerdict frag_input(FragTable *table, const Frame *frame, const IpPacket *ip,
           int64_t now_ms, FragPacket **ret_packet)
{
    uint32_t start = ip->frag_off, end = start + ip->l4_len;
    FragPacket *packet;
    unsigned pos;

    if (ip->l4_len == 0 || (ip->more_fragments && ip->l4_len % 8) ||
        end + (ip->l4_off - ip->l3_off) > IP_LEN_MAX) {
        return FRAG_MALFORMED;
    }
    packet = table_find(table, ip, frame->src_port);
    if (!packet) {
        packet = table_add(table, ip, frame->src_port, now_ms);
    }
    if (packet->poisoned) {
        return FRAG_MALFORMED;
    }
    switch (packet_fit(packet, start, end, &pos)) {
    case PIECE_REPEATED:
        return FRAG_WAIT;
    case PIECE_OVERLAPS:
        return packet_poison(table, packet);
    case PIECE_FITS:
        break;
    }
    if (packet->n_pieces == FRAG_PIECES_MAX ||
        !packet_total_fits(packet, ip, end) ||
        !packet_grow(table, packet, end) ||
        frame_peek(frame, ip->l4_off, packet->data + start, ip->l4_len) !=
        ip->l4_len ||
        (start == 0 && !packet_take_headers(packet, frame, ip))) {
        return packet_poison(table, packet);
    }
    memmove(&packet->pieces[pos + 1], &packet->pieces[pos],
            (packet->n_pieces - pos) * sizeof(FragPiece));
    packet->pieces[pos] = (FragPiece){ start, end };
    packet->n_pieces++;
    if (!packet_is_complete(packet)) {
        return FRAG_WAIT;
    }
    *ret_packet = table_steal(table, packet);
    return FRAG_COMPLETE;
}

void frag_packet(FragPacket *packet, Frame *ret_frame, IpPacket *ret_ip)
{
    packet->iov[0] = (struct iovec){ packet->headers, packet->headers_len };
    packet->iov[1] = (struct iovec){ packet->data, packet->total };
    frame_init(ret_frame, packet->iov, 2);
    ret_frame->src_port = packet->port_id;
    *ret_ip = packet->ip;
    ret_ip->is_fragment = ret_ip->more_fragments = false;
    ret_ip->dont_fragment = false;
    ret_ip->frag_off = 0;
    ret_ip->l4_len = packet->total;
}

void frag_expire(FragTable *table, int64_t now_ms)
{
    FragPacket *packet;

    while (table->packets.head) {
        packet = table->packets.head->data;
        if (packet->deadline_ms > now_ms) {
            return;
        }
        frag_packet_free(table_steal(table, packet));
    }
}

int64_t frag_deadline(const FragTable *table)
{
    return table->packets.head
           ? ((FragPacket *)table->packets.head->data)->deadline_ms
           : INT64_MAX;
}

void frag_port_gone(FragTable *table, uint32_t port_id)
{
    GList *link, *next;

    for (link = table->packets.head; link; link = next) {
        next = link->next;
        if (((FragPacket *)link->data)->port_id == port_id) {
            frag_packet_free(table_steal(table, link->data));
        }
    }
}

/* ---- taking apart ---- */

/* Transport bytes per fragment: a multiple of 8 in all but the last. */
static size_t piece_max(sa_family_t family, uint32_t mtu_bytes)
{
    return (mtu_bytes - (family == AF_INET ? 20 : 40 + 8)) & ~7u;
}

unsigned frag_count(sa_family_t family, size_t l4_len, uint32_t mtu_bytes)
{
    size_t piece = piece_max(family, mtu_bytes);

    if (l4_len + (family == AF_INET ? 20 : 40) <= mtu_bytes) {
        return 1;
    }
    return (l4_len + piece - 1) / piece;
}

static void put_be16(uint8_t *p, uint16_t value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static void put_be32(uint8_t *p, uint32_t value)
{
    put_be16(p, value >> 16);
    put_be16(p + 2, value);
}

size_t frag_build(uint8_t *buf, const IpHeaders *headers, uint32_t id6,
           size_t l4_len, uint32_t mtu_bytes, unsigned i,
           size_t *ret_offset, size_t *ret_len)
{
    size_t piece = piece_max(headers->src.family, mtu_bytes);
    size_t offset = i * piece, len = MIN(piece, l4_len - offset), n;
    bool more = offset + len < l4_len;
    IpHeaders h = *headers;
    uint16_t check;

    *ret_offset = offset;
    *ret_len = len;
    h.dont_fragment = false;
    if (h.src.family == AF_INET) {
        n = ip_headers_build(buf, &h, len);
        put_be16(buf + 14 + 6, (more ? 0x2000 : 0) | offset / 8);
        memset(buf + 14 + 10, 0, 2);
        check = csum_fold(csum_add(0, buf + 14, 20));
        memcpy(buf + 14 + 10, &check, 2);
        return n;
    }
    h.proto = IPPROTO_FRAGMENT;
    n = ip_headers_build(buf, &h, len + 8);
    buf[n] = headers->proto;
    buf[n + 1] = 0;
    put_be16(buf + n + 2, offset | (more ? 1 : 0));
    put_be32(buf + n + 4, id6);
    return n + 8;
}
