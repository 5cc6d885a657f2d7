/*
 * Batches of frames between a NIC and a libvmnet interface
 *
 * Both sides put a virtio_net_hdr before a frame, or none, and need not agree
 * in its length: what one has more is added as zeroes, what it has less is cut
 * off.  A side without headers is never given a frame that needs one, since
 * then nobody was told of offloads.
 *
 *     NIC's pieces --> vmnet_tx_add() -> vmnet_tx_flush() --> interface
 *     NIC's buffer <-- vmnet_rx_next() <- vmnet_rx_fill() <-- interface
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NET_VMNET_BATCH_H
#define NET_VMNET_BATCH_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <vmnet/interface.h>

/** VMNET_BATCH_FRAMES: what vmnetd's switch takes at once too. */
#define VMNET_BATCH_FRAMES 64
/** VMNET_FRAME_BYTES_MAX: 64 KiB, Ethernet with a VLAN tag, header */
#define VMNET_FRAME_BYTES_MAX (65535 + 18 + VMNET_VIRTIO_HEADER_BYTES)

typedef struct VmnetTx VmnetTx;
typedef struct VmnetRx VmnetRx;

/**
 * VmnetTxVerdict: of vmnet_tx_add().
 * @VMNET_TX_TAKEN: its pieces are not needed any more.
 * @VMNET_TX_FULL: not taken: the interface has no room.
 * @VMNET_TX_BAD: it is no frame, or too long; never to be sent.
 * @VMNET_TX_GONE: the interface is.
 */
typedef enum VmnetTxVerdict {
    VMNET_TX_TAKEN,
    VMNET_TX_FULL,
    VMNET_TX_BAD,
    VMNET_TX_GONE,
} VmnetTxVerdict;

/**
 * vmnet_tx_new:
 * @header_len: of the interface's frames, 0 or %VMNET_VIRTIO_HEADER_BYTES
 */
VmnetTx *vmnet_tx_new(size_t header_len);
void vmnet_tx_free(VmnetTx *tx);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmnetTx, vmnet_tx_free)

/**
 * vmnet_tx_add: gather a short frame; write a long one, behind the others.
 * @header_len: of this frame
 * @ret_bytes: length of the frame without header, if taken
 */
VmnetTxVerdict vmnet_tx_add(VmnetTx *tx, VmnetInterface *interface,
                            const struct iovec *iov, size_t n_iov,
                            size_t header_len, size_t *ret_bytes);

/** vmnet_tx_flush: write what was gathered; TAKEN, FULL or GONE. */
VmnetTxVerdict vmnet_tx_flush(VmnetTx *tx, VmnetInterface *interface);

/** vmnet_tx_clear: forget what was gathered. */
void vmnet_tx_clear(VmnetTx *tx);
bool vmnet_tx_is_empty(const VmnetTx *tx);

/**
 * vmnet_rx_new:
 * @header_len: of the interface's frames
 * @max_bytes: of one of them
 */
VmnetRx *vmnet_rx_new(size_t header_len, size_t max_bytes);
void vmnet_rx_free(VmnetRx *rx);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmnetRx, vmnet_rx_free)

/** vmnet_rx_fill: read a batch, once all of the last one are out. */
bool vmnet_rx_fill(VmnetRx *rx, VmnetInterface *interface);

/**
 * vmnet_rx_next: the next frame of the batch.
 * @header_len: that the caller wants before it
 *
 * Returns: false if there is none.
 */
bool vmnet_rx_next(VmnetRx *rx, size_t header_len, const uint8_t **ret_frame,
                   size_t *ret_size);
bool vmnet_rx_is_empty(const VmnetRx *rx);

#endif
