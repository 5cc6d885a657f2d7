/*
 * A machine with a virtio-net-pci on a vmnet netdev, and its driver
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNET_MACHINE_H
#define VMNET_MACHINE_H

#include "libqos/libqos-malloc.h"
#include "libqos/virtio-pci.h"
#include "standard-headers/linux/virtio_net.h"
#include "vmnet-frames.h"

#define VMNET_HEADER_BYTES sizeof(struct virtio_net_hdr_v1)

typedef struct Machine {
    TestNic port;
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QVirtioPCIDevice *dev;
    QVirtQueue *rx, *tx;
    uint64_t tx_buffer;
} Machine;

/**
 * machine_new: the netdev is "n", the device "nic".
 * @netdev: options, without id
 * @number: last byte of its MAC address
 * @features: for machine_start_driver(), which has been called
 */
Machine *machine_new(const char *netdev, uint8_t number, uint64_t features);
/** machine_new_with: @options: in place of -M pc */
Machine *machine_new_with(const char *options, const char *netdev,
                          uint8_t number, uint64_t features);
void machine_free(Machine *m);

/**
 * machine_start_driver: reset the device; of what it offers, take @features and
 * what every driver takes.
 */
void machine_start_driver(Machine *m, uint64_t features);

/** machine_transmit: and wait until the device has taken it. */
void machine_transmit(Machine *m, const struct virtio_net_hdr_v1 *header,
                      const uint8_t *frame, size_t size);
/**
 * machine_receive: header and the first @max bytes of a frame.
 *
 * Returns: the size of the frame; 0: none has come
 */
size_t machine_receive(Machine *m, struct virtio_net_hdr_v1 *header,
                       uint8_t *frame, size_t max);

#endif
