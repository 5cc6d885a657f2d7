/*
 * Frames for a receiver that takes less: cut into segments, sums completed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/segment.h"

#include "proto/checksum.h"
#include "proto/cursor.h"
#include "proto/tcp.h"

/* Offsets in the headers of IPv4, IPv6, TCP and UDP of what segments change */
enum {
    IPV4_TOTAL_LEN = 2,
    IPV4_ID = 4,
    IPV4_CHECKSUM = 10,
    IPV4_ADDRS = 12,
    IPV6_PAYLOAD_LEN = 4,
    IPV6_ADDRS = 8,
    IPV6_HEADER_LEN = 40,
    TCP_SEQ = 4,
    TCP_FLAGS = 13,
    UDP_LEN = 4,
};

/* Where in a frame's iovec the next byte of data lies. */
typedef struct DataCursor {
    const struct iovec *iov;
    unsigned n_iov;
    size_t offset;
} DataCursor;

static uint16_t get_u16(const uint8_t *at)
{
    return at[0] << 8 | at[1];
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)get_u16(at) << 16 | get_u16(at + 2);
}

static void data_skip(DataCursor *data, size_t len)
{
    data->offset += len;
    while (data->n_iov > 0 && data->offset >= data->iov->iov_len) {
        data->offset -= data->iov->iov_len;
        data->iov++;
        data->n_iov--;
    }
}

/*
 * Describe the next @len bytes with at most @max elements, and step over them.
 *
 * Returns: elements; more than @max: they do not suffice, nothing was done.
 */
static unsigned data_take(DataCursor *data, size_t len, struct iovec *ret_iov,
                          unsigned max)
{
    DataCursor at = *data;
    unsigned n = 0;

    while (len > 0) {
        size_t piece = MIN(len, at.iov->iov_len - at.offset);

        if (n == max) {
            return max + 1;
        }
        ret_iov[n++] = (struct iovec) {
            (uint8_t *)at.iov->iov_base + at.offset, piece
        };
        len -= piece;
        data_skip(&at, piece);
    }
    *data = at;
    return n;
}

/* The IP header of segment @index with @l4_len bytes behind it. */
static void fill_ip(uint8_t *header, const Offload *offload, unsigned index,
                    uint32_t l4_len)
{
    uint8_t *l3 = header + offload->l3_off;
    uint16_t l3_len = offload->l4_off - offload->l3_off;
    uint16_t check;

    if (offload->is_ipv6) {
        writer_put_u16(l3 + IPV6_PAYLOAD_LEN,
                       l3_len - IPV6_HEADER_LEN + l4_len);
        return;
    }
    writer_put_u16(l3 + IPV4_TOTAL_LEN, l3_len + l4_len);
    writer_put_u16(l3 + IPV4_ID, get_u16(l3 + IPV4_ID) + index);
    writer_put_u16(l3 + IPV4_CHECKSUM, 0);
    check = csum_fold(csum_add(0, l3, l3_len));
    memcpy(l3 + IPV4_CHECKSUM, &check, sizeof(check));
}

/* The TCP or UDP header of segment @index, but for its checksum. */
static void fill_transport(uint8_t *header, const Offload *offload,
                           unsigned index, uint32_t l4_len)
{
    uint8_t *l4 = header + offload->l4_off;
    uint8_t clear = 0;

    if (offload->proto == IPPROTO_UDP) {
        writer_put_u16(l4 + UDP_LEN, l4_len);
        return;
    }
    writer_put_u32(l4 + TCP_SEQ, get_u32(l4 + TCP_SEQ) +
                                 index * (uint32_t)offload->gso_size);
    if (index + 1 < offload->n_segments) {
        clear |= TCP_FIN | TCP_PSH;
    }
    if (index > 0) {
        clear |= TCP_CWR;
    }
    l4[TCP_FLAGS] &= ~clear;
}

static uint32_t pseudo_sum(const uint8_t *header, const Offload *offload,
                           uint32_t l4_len)
{
    const uint8_t *l3 = header + offload->l3_off;
    uint8_t tail[8];
    uint32_t sum;

    writer_put_u32(tail, l4_len);
    writer_put_u32(tail + 4, offload->proto);
    sum = csum_add(0, tail, sizeof(tail));
    return offload->is_ipv6 ? csum_add(sum, l3 + IPV6_ADDRS, 32)
                            : csum_add(sum, l3 + IPV4_ADDRS, 8);
}

/*
 * The checksum of @frame, whose headers are @header and whose data of @len
 * bytes follows, padding not counted.
 */
static void fill_checksum(Frame *frame, uint8_t *header,
                          const Offload *offload, uint32_t len, bool complete)
{
    uint8_t *field = header + offload->csum_at;
    uint16_t header_len = offload->header_len - offload->l4_off;
    uint32_t sum = 0;
    uint16_t check;

    /* In a packet that is carried the field holds the pseudo header's sum. */
    if (offload->proto) {
        sum = pseudo_sum(header, offload, header_len + len);
        writer_put_u16(field, 0);
    }
    if (!complete) {
        check = ~csum_fold(sum);
        memcpy(field, &check, sizeof(check));
        return;
    }
    sum = csum_add(sum, header + offload->l4_off, header_len);
    sum = csum_combine(sum, csum_add_iov(0, frame->iov + 1, frame->n_iov - 1,
                                         0, len));
    check = csum_fold(sum);
    if (check == 0 && offload->proto != IPPROTO_TCP) {
        check = 0xffff; /* RFC 768: 0 would say that there is none */
    }
    memcpy(field, &check, sizeof(check));
}

/* The virtio_net_hdr of a segment whose sum is left to its receiver. */
static struct virtio_net_hdr_v1 partial_vnet(const Offload *offload)
{
    return (struct virtio_net_hdr_v1) {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = GUINT16_TO_LE(offload->l4_off),
        .csum_offset = GUINT16_TO_LE(offload->csum_at - offload->l4_off),
    };
}

/*
 * Add segment @index, whose data is next in @data.
 *
 * Returns: false: there is no place.
 */
static bool add_segment(SegmentBatch *batch, const Frame *source,
                        const Offload *offload, unsigned index,
                        DataCursor *data, bool complete)
{
    uint8_t *header = batch->headers[batch->n_frames];
    struct iovec *iov = batch->iov + batch->n_iov;
    unsigned max = G_N_ELEMENTS(batch->iov) - batch->n_iov;
    Frame *frame = &batch->frames[batch->n_frames];
    uint32_t done = offload->header_len + index * (uint32_t)offload->gso_size;
    uint32_t len = source->len - done;
    uint32_t summed = offload->end - done;
    unsigned n;

    if (batch->n_frames == FRAME_BATCH_MAX || max == 0) {
        return false;
    }
    if (index + 1 < offload->n_segments) {
        len = summed = offload->gso_size;
    }
    n = data_take(data, len, iov + 1, max - 1);
    if (n > max - 1) {
        return false;
    }
    frame_peek(source, 0, header, offload->header_len);
    iov[0] = (struct iovec) { header, offload->header_len };
    *frame = (Frame) {
        .iov = iov,
        .n_iov = n + 1,
        .len = offload->header_len + len,
        .src_port = source->src_port,
    };
    if (offload->gso_size) {
        uint32_t l4_len = offload->header_len - offload->l4_off + len;

        fill_ip(header, offload, index, l4_len);
        fill_transport(header, offload, index, l4_len);
    }
    if (!complete) {
        frame->vnet = partial_vnet(offload);
    }
    fill_checksum(frame, header, offload, summed, complete);
    batch->n_iov += frame->n_iov;
    batch->n_frames++;
    return true;
}

/* Add @frame with the memory that it has. */
static bool add_whole(SegmentBatch *batch, const Frame *frame, unsigned takes)
{
    Frame *copy = &batch->frames[batch->n_frames];

    if (batch->n_frames == FRAME_BATCH_MAX) {
        return false;
    }
    *copy = *frame;
    if (!(takes & SWITCH_OFFLOAD_CSUM)) {
        memset(&copy->vnet, 0, sizeof(copy->vnet));
    }
    batch->n_frames++;
    return true;
}

bool segment_batch_add(SegmentBatch *batch, const Frame *frame,
                       const Offload *offload, unsigned takes)
{
    bool complete = !(takes & SWITCH_OFFLOAD_CSUM);
    DataCursor data = { frame->iov, frame->n_iov, 0 };
    unsigned i = frame->n_sent;

    /* Nothing to be made, only a DATA_VALID that is not passed on, perhaps. */
    if (offload->csum_at == 0 || (!(offload->needs & ~takes) && i == 0)) {
        return add_whole(batch, frame, takes);
    }
    data_skip(&data, offload->header_len + i * (size_t)offload->gso_size);
    for (; i < offload->n_segments; i++) {
        if (!add_segment(batch, frame, offload, i, &data, complete)) {
            return false;
        }
    }
    return true;
}
