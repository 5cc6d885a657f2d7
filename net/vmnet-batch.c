/*
 * Batches of frames between a NIC and a libvmnet interface
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "vmnet-batch.h"

#include <string.h>

/*
 * Frames up to this are copied to be sent together: a system call for each
 * would cost more.
 */
#define SHORT_FRAME_BYTES 2048
/* Longer ones go out of the NIC's own pieces, unless there are more. */
#define LONG_FRAME_PIECES 64
#define ETHERNET_HEADER_BYTES 14
/* What both lengths of the header have in common; num_buffers follows. */
#define COMMON_HEADER_BYTES 10

struct VmnetTx {
    size_t header_len;
    guint n;
    VmnetPacket packets[VMNET_BATCH_FRAMES];
    struct iovec iov[VMNET_BATCH_FRAMES];
    uint8_t frames[VMNET_BATCH_FRAMES][VMNET_VIRTIO_HEADER_BYTES
                                       + SHORT_FRAME_BYTES];
    uint8_t bounce[VMNET_FRAME_BYTES_MAX];
};

struct VmnetRx {
    size_t header_len;
    size_t max_bytes;
    guint next;
    guint n;
    VmnetPacket packets[VMNET_BATCH_FRAMES];
    struct iovec iov[VMNET_BATCH_FRAMES];
    uint8_t *memory;
};

VmnetTx *vmnet_tx_new(size_t header_len)
{
    VmnetTx *tx = g_new0(VmnetTx, 1);
    guint i;

    tx->header_len = header_len;
    for (i = 0; i < VMNET_BATCH_FRAMES; i++) {
        tx->packets[i].iov = &tx->iov[i];
        tx->packets[i].n_iov = 1;
    }
    return tx;
}

void vmnet_tx_free(VmnetTx *tx)
{
    g_free(tx);
}

void vmnet_tx_clear(VmnetTx *tx)
{
    tx->n = 0;
}

bool vmnet_tx_is_empty(const VmnetTx *tx)
{
    return tx->n == 0;
}

/* Copy up to @size bytes from @offset of @iov; how many there were. */
static size_t copy_from(const struct iovec *iov, size_t n_iov, size_t offset,
                        uint8_t *to, size_t size)
{
    size_t done = 0;
    size_t i;

    for (i = 0; i < n_iov && done < size; i++) {
        size_t len;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        len = MIN(iov[i].iov_len - offset, size - done);
        memcpy(to + done, (const uint8_t *)iov[i].iov_base + offset, len);
        done += len;
        offset = 0;
    }
    return done;
}

static size_t total_bytes(const struct iovec *iov, size_t n_iov)
{
    size_t sum = 0;
    size_t i;

    for (i = 0; i < n_iov; i++) {
        if (iov[i].iov_len > VMNET_FRAME_BYTES_MAX - sum) {
            return SIZE_MAX;
        }
        sum += iov[i].iov_len;
    }
    return sum;
}

/* Write @n packets from @first of the gathered ones; how many were taken. */
static bool write_packets(VmnetInterface *interface, const VmnetPacket *packets,
                          guint n, guint *ret_taken)
{
    *ret_taken = n;
    return vmnet_interface_write(interface, packets, ret_taken, NULL);
}

VmnetTxVerdict vmnet_tx_flush(VmnetTx *tx, VmnetInterface *interface)
{
    guint taken;
    guint i;

    if (tx->n == 0) {
        return VMNET_TX_TAKEN;
    }
    if (!write_packets(interface, tx->packets, tx->n, &taken)) {
        tx->n = 0;
        return VMNET_TX_GONE;
    }
    if (taken == tx->n) {
        tx->n = 0;
        return VMNET_TX_TAKEN;
    }
    /* What is left moves to the front: a batch is full rarely. */
    for (i = 0; i < tx->n - taken; i++) {
        tx->packets[i].size = tx->packets[i + taken].size;
        tx->iov[i].iov_len = tx->iov[i + taken].iov_len;
        tx->iov[i].iov_base = tx->frames[i];
        memmove(tx->frames[i], tx->iov[i + taken].iov_base, tx->iov[i].iov_len);
    }
    tx->n -= taken;
    return VMNET_TX_FULL;
}

static void gather(VmnetTx *tx, const uint8_t *header, const struct iovec *iov,
                   size_t n_iov, size_t offset, size_t size)
{
    uint8_t *to = tx->frames[tx->n];

    memcpy(to, header, tx->header_len);
    copy_from(iov, n_iov, offset, to + tx->header_len, size);
    tx->iov[tx->n].iov_base = to;
    tx->iov[tx->n].iov_len = tx->header_len + size;
    tx->packets[tx->n].size = tx->header_len + size;
    tx->n++;
}

/* Send out of the NIC's own pieces: false if there are too many. */
static bool borrow(const struct iovec *iov, size_t n_iov, size_t offset,
                   struct iovec *pieces, guint *n_pieces)
{
    size_t i;

    for (i = 0; i < n_iov; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        if (*n_pieces == LONG_FRAME_PIECES) {
            return false;
        }
        pieces[*n_pieces].iov_base = (uint8_t *)iov[i].iov_base + offset;
        pieces[*n_pieces].iov_len = iov[i].iov_len - offset;
        (*n_pieces)++;
        offset = 0;
    }
    return true;
}

static VmnetTxVerdict write_long(VmnetTx *tx, VmnetInterface *interface,
                                 uint8_t *header, const struct iovec *iov,
                                 size_t n_iov, size_t offset, size_t size)
{
    struct iovec pieces[LONG_FRAME_PIECES];
    VmnetPacket packet = { .iov = pieces, .size = tx->header_len + size };
    guint taken;

    if (tx->header_len) {
        pieces[0] = (struct iovec){ header, tx->header_len };
        packet.n_iov = 1;
    }
    if (!borrow(iov, n_iov, offset, pieces, &packet.n_iov)) {
        copy_from(iov, n_iov, offset, tx->bounce, size);
        packet.n_iov = tx->header_len ? 1 : 0;
        pieces[packet.n_iov++] = (struct iovec){ tx->bounce, size };
    }
    if (!write_packets(interface, &packet, 1, &taken)) {
        return VMNET_TX_GONE;
    }
    return taken ? VMNET_TX_TAKEN : VMNET_TX_FULL;
}

VmnetTxVerdict vmnet_tx_add(VmnetTx *tx, VmnetInterface *interface,
                            const struct iovec *iov, size_t n_iov,
                            size_t header_len, size_t *ret_bytes)
{
    uint8_t header[VMNET_VIRTIO_HEADER_BYTES] = { 0 };
    size_t size = total_bytes(iov, n_iov);
    VmnetTxVerdict verdict = VMNET_TX_TAKEN;

    if (size == SIZE_MAX || size < header_len + ETHERNET_HEADER_BYTES
        || size - header_len + tx->header_len
           > vmnet_interface_get_max_packet_size(interface)) {
        return VMNET_TX_BAD;
    }
    size -= header_len;
    copy_from(iov, n_iov, 0, header, MIN(header_len, COMMON_HEADER_BYTES));
    if (size > SHORT_FRAME_BYTES || tx->n == VMNET_BATCH_FRAMES) {
        verdict = vmnet_tx_flush(tx, interface);
    }
    if (size > SHORT_FRAME_BYTES && verdict == VMNET_TX_TAKEN) {
        verdict = write_long(tx, interface, header, iov, n_iov, header_len,
                             size);
    } else if (size <= SHORT_FRAME_BYTES && verdict != VMNET_TX_GONE) {
        /* A flush that did not take all may still have made room. */
        if (tx->n == VMNET_BATCH_FRAMES) {
            return VMNET_TX_FULL;
        }
        gather(tx, header, iov, n_iov, header_len, size);
        verdict = VMNET_TX_TAKEN;
    }
    if (verdict == VMNET_TX_TAKEN) {
        *ret_bytes = size;
    }
    return verdict;
}

VmnetRx *vmnet_rx_new(size_t header_len, size_t max_bytes)
{
    VmnetRx *rx = g_new0(VmnetRx, 1);

    rx->header_len = header_len;
    rx->max_bytes = MIN(max_bytes, VMNET_FRAME_BYTES_MAX);
    rx->memory = g_malloc(rx->max_bytes * VMNET_BATCH_FRAMES);
    return rx;
}

void vmnet_rx_free(VmnetRx *rx)
{
    if (rx) {
        g_free(rx->memory);
        g_free(rx);
    }
}

bool vmnet_rx_is_empty(const VmnetRx *rx)
{
    return rx->next == rx->n;
}

bool vmnet_rx_fill(VmnetRx *rx, VmnetInterface *interface)
{
    guint i;

    for (i = 0; i < VMNET_BATCH_FRAMES; i++) {
        rx->iov[i].iov_base = rx->memory + i * rx->max_bytes;
        rx->iov[i].iov_len = rx->max_bytes;
        rx->packets[i] = (VmnetPacket){ .iov = &rx->iov[i], .n_iov = 1 };
    }
    rx->next = 0;
    rx->n = VMNET_BATCH_FRAMES;
    if (!vmnet_interface_read(interface, rx->packets, &rx->n, NULL)) {
        rx->n = 0;
        return false;
    }
    return true;
}

bool vmnet_rx_next(VmnetRx *rx, size_t header_len, const uint8_t **ret_frame,
                   size_t *ret_size)
{
    while (rx->next < rx->n) {
        uint8_t *start = rx->memory + rx->next * rx->max_bytes;
        size_t size = MIN(rx->packets[rx->next].size, rx->max_bytes);

        rx->next++;
        if (size < rx->header_len + ETHERNET_HEADER_BYTES) {
            continue;
        }
        /* The shorter header stands right before the frame. */
        if (header_len == COMMON_HEADER_BYTES && rx->header_len > header_len) {
            memmove(start + rx->header_len - header_len, start, header_len);
        }
        *ret_frame = start + rx->header_len - MIN(header_len, rx->header_len);
        *ret_size = size - (size_t)(*ret_frame - start);
        return true;
    }
    return false;
}
