/*
 * A machine with a virtio-net-pci on a vmnet netdev, and its driver
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "standard-headers/linux/virtio_config.h"
#include "vmnet-machine.h"

#define NIC_SLOT 5
#define BUFFER_BYTES (65550 + VMNET_HEADER_BYTES)
#define N_BUFFERS 32

static void give_room(Machine *m, uint64_t buffer)
{
    uint32_t head = qvirtqueue_add(m->qts, m->rx, buffer, BUFFER_BYTES, true,
                                   false);

    qvirtqueue_kick(m->qts, &m->dev->vdev, m->rx, head);
}

void machine_transmit(Machine *m, const struct virtio_net_hdr_v1 *header,
                      const uint8_t *frame, size_t size)
{
    uint32_t head;

    qtest_memwrite(m->qts, m->tx_buffer, header, VMNET_HEADER_BYTES);
    qtest_memwrite(m->qts, m->tx_buffer + VMNET_HEADER_BYTES, frame, size);
    head = qvirtqueue_add(m->qts, m->tx, m->tx_buffer,
                          VMNET_HEADER_BYTES + size, false, false);
    qvirtqueue_kick(m->qts, &m->dev->vdev, m->tx, head);
    qvirtio_wait_used_elem(m->qts, &m->dev->vdev, m->tx, head, NULL,
                           VMNET_WAIT_US);
}

static void transmit(TestNic *port, const uint8_t *frame, size_t size)
{
    const struct virtio_net_hdr_v1 header = { 0 };

    machine_transmit(container_of(port, Machine, port), &header, frame, size);
}

size_t machine_receive(Machine *m, struct virtio_net_hdr_v1 *header,
                       uint8_t *frame, size_t max)
{
    uint32_t desc, len;
    uint64_t buffer;

    if (!qvirtqueue_get_buf(m->qts, m->rx, &desc, &len)) {
        return 0;
    }
    buffer = qtest_readq(m->qts, m->rx->desc
                                 + desc * sizeof(struct vring_desc));
    g_assert_cmpuint(len, >, VMNET_HEADER_BYTES);
    qtest_memread(m->qts, buffer, header, VMNET_HEADER_BYTES);
    qtest_memread(m->qts, buffer + VMNET_HEADER_BYTES, frame,
                  MIN(len - VMNET_HEADER_BYTES, max));
    give_room(m, buffer);
    return len - VMNET_HEADER_BYTES;
}

static size_t receive(TestNic *port, uint8_t *frame)
{
    struct virtio_net_hdr_v1 header;

    return machine_receive(container_of(port, Machine, port), &header, frame,
                        VMNET_FRAME_BYTES);
}

void machine_start_driver(Machine *m, uint64_t features)
{
    QVirtioDevice *vdev = &m->dev->vdev;
    uint64_t offered;
    unsigned i;

    qvirtio_pci_device_enable(m->dev);
    qvirtio_start_device(vdev);
    offered = qvirtio_get_features(vdev);
    features |= 1ULL << VIRTIO_F_VERSION_1;
    g_assert_cmphex(offered & features, ==, features);
    qvirtio_set_features(vdev, features);
    m->rx = qvirtqueue_setup(vdev, &m->alloc, 0);
    m->tx = qvirtqueue_setup(vdev, &m->alloc, 1);
    qvirtio_set_driver_ok(vdev);
    for (i = 0; i < N_BUFFERS; i++) {
        give_room(m, guest_alloc(&m->alloc, BUFFER_BYTES));
    }
    m->tx_buffer = guest_alloc(&m->alloc, BUFFER_BYTES);
}

Machine *machine_new_with(const char *options, const char *netdev,
                          uint8_t number, uint64_t features)
{
    Machine *m = g_new0(Machine, 1);
    QPCIAddress address = { .devfn = QPCI_DEVFN(NIC_SLOT, 0) };

    m->port.transmit = transmit;
    m->port.receive = receive;
    memcpy(m->port.mac, (uint8_t[]){ 0x52, 0x54, 0, 0x78, 0, number }, 6);
    m->qts = qtest_initf("-nodefaults %s -netdev %s,id=n -device "
                         "virtio-net-pci,netdev=n,id=nic,romfile=,addr=%d,"
                         "mac=52:54:00:78:00:%02x", options, netdev, NIC_SLOT,
                         number);
    pc_alloc_init(&m->alloc, m->qts, ALLOC_NO_FLAGS);
    m->bus = qpci_new_pc(m->qts, &m->alloc);
    m->dev = virtio_pci_new(m->bus, &address);
    g_assert_nonnull(m->dev);
    machine_start_driver(m, features);
    return m;
}

Machine *machine_new(const char *netdev, uint8_t number, uint64_t features)
{
    return machine_new_with("-M pc", netdev, number, features);
}

void machine_free(Machine *m)
{
    qvirtqueue_cleanup(m->dev->vdev.bus, m->rx, &m->alloc);
    qvirtqueue_cleanup(m->dev->vdev.bus, m->tx, &m->alloc);
    qvirtio_pci_device_disable(m->dev);
    g_free(m->dev->pdev);
    g_free(m->dev);
    qpci_free_pc(m->bus);
    alloc_destroy(&m->alloc);
    qtest_quit(m->qts);
    g_free(m);
}
