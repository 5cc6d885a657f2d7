/*
 * QTest of the vmnet netdevs on Linux: packets, by the registers of an e1000
 *
 *   this test: driver, IP, DHCP --- QEMU: e1000 --- vmnetd
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include <arpa/inet.h>
#include "libqtest.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "qemu/bswap.h"
#include "vmnet-daemon.h"
#include "vmnet-frames.h"
#if QEMU_VERSION_MAJOR >= 10
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#else
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"
#endif

#define E1000_SLOT 5
#define RING_SIZE 16
#define BUFFER_BYTES VMNET_FRAME_BYTES

/* Registers and bits of the 82540EM, of those that are needed here */
#define REG_STATUS 0x0008
#define REG_RCTL 0x0100
#define REG_TCTL 0x0400
#define REG_RX_RING 0x2800
#define REG_TX_RING 0x3800
#define RING_LOW 0x00
#define RING_LEN 0x08
#define RING_HEAD 0x10
#define RING_TAIL 0x18
#define RCTL_ENABLE (1 << 1)
#define RCTL_PROMISCUOUS (1 << 3)
#define RCTL_BROADCAST (1 << 15)
#define TCTL_ENABLE (1 << 1)
#define TX_END_OF_PACKET (1 << 0)
#define TX_REPORT_STATUS (1 << 3)
#define DESC_DONE (1 << 0)
#define DESC_BYTES 16
#define DESC_LENGTH 8
#define DESC_COMMAND 11
#define DESC_STATUS 12

typedef struct Machine {
    TestNic port;
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *nic;
    QPCIBar bar;
    uint64_t rx_ring, rx_buffers;
    uint64_t tx_ring, tx_buffer;
    unsigned rx_next, rx_tail, tx_next;
} Machine;

static void write_reg(Machine *m, uint64_t reg, uint32_t value)
{
    qpci_io_writel(m->nic, m->bar, reg, value);
}

static void set_ring(Machine *m, uint64_t reg, uint64_t ring)
{
    write_reg(m, reg + RING_LOW, ring);
    write_reg(m, reg + RING_LOW + 4, ring >> 32);
    write_reg(m, reg + RING_LEN, RING_SIZE * DESC_BYTES);
    write_reg(m, reg + RING_HEAD, 0);
    write_reg(m, reg + RING_TAIL, 0);
}

/* Give the NIC room for @n more frames. */
static void give_room(Machine *m, unsigned n)
{
    for (; n > 0; n--) {
        uint64_t desc = m->rx_ring + m->rx_tail * DESC_BYTES;

        qtest_writeq(m->qts, desc, m->rx_buffers + m->rx_tail * BUFFER_BYTES);
        qtest_writeq(m->qts, desc + 8, 0);
        m->rx_tail = (m->rx_tail + 1) % RING_SIZE;
    }
    write_reg(m, REG_RX_RING + RING_TAIL, m->rx_tail);
}

static void transmit(TestNic *port, const uint8_t *frame, size_t size)
{
    Machine *m = container_of(port, Machine, port);
    uint64_t desc = m->tx_ring + m->tx_next * DESC_BYTES;

    qtest_memwrite(m->qts, m->tx_buffer, frame, size);
    qtest_writeq(m->qts, desc, m->tx_buffer);
    qtest_writeq(m->qts, desc + 8, 0);
    qtest_writew(m->qts, desc + DESC_LENGTH, size);
    qtest_writeb(m->qts, desc + DESC_COMMAND,
                 TX_END_OF_PACKET | TX_REPORT_STATUS);
    m->tx_next = (m->tx_next + 1) % RING_SIZE;
    write_reg(m, REG_TX_RING + RING_TAIL, m->tx_next);
    g_assert_cmpint(qtest_readb(m->qts, desc + DESC_STATUS) & DESC_DONE, ==,
                    DESC_DONE);
}

/* The next frame, if it has come; 0: none yet. */
static size_t receive(TestNic *port, uint8_t *frame)
{
    Machine *m = container_of(port, Machine, port);
    uint64_t desc = m->rx_ring + m->rx_next * DESC_BYTES;
    size_t size;

    if (!(qtest_readb(m->qts, desc + DESC_STATUS) & DESC_DONE)) {
        return 0;
    }
    size = qtest_readw(m->qts, desc + DESC_LENGTH);
    g_assert_cmpuint(size, <=, BUFFER_BYTES);
    qtest_memread(m->qts, m->rx_buffers + m->rx_next * BUFFER_BYTES, frame,
                  size);
    qtest_writeb(m->qts, desc + DESC_STATUS, 0);
    m->rx_next = (m->rx_next + 1) % RING_SIZE;
    give_room(m, 1);
    return size;
}

/* Start QEMU, with @more arguments. */
static void boot(Machine *m, const char *netdev, uint8_t number,
                 const char *more)
{
    m->port.transmit = transmit;
    m->port.receive = receive;
    memcpy(m->port.mac, (uint8_t[]){ 0x52, 0x54, 0, 0x77, 0, number }, 6);
    m->qts = qtest_initf("-M pc -nodefaults -netdev %s,id=n -device e1000,"
                         "netdev=n,id=nic,mac=52:54:00:77:00:%02x,addr=%d %s",
                         netdev, number, E1000_SLOT, more);
    pc_alloc_init(&m->alloc, m->qts, ALLOC_NO_FLAGS);
}

static void find_nic(Machine *m)
{
    m->bus = qpci_new_pc(m->qts, &m->alloc);
    m->nic = qpci_device_find(m->bus, QPCI_DEVFN(E1000_SLOT, 0));
    g_assert_nonnull(m->nic);
    qpci_device_enable(m->nic);
    m->bar = qpci_iomap(m->nic, 0, NULL);
}

static Machine *machine_new(const char *netdev, uint8_t number, unsigned room)
{
    Machine *m = g_new0(Machine, 1);

    boot(m, netdev, number, "");
    find_nic(m);
    m->rx_ring = guest_alloc(&m->alloc, RING_SIZE * DESC_BYTES);
    m->tx_ring = guest_alloc(&m->alloc, RING_SIZE * DESC_BYTES);
    m->rx_buffers = guest_alloc(&m->alloc, RING_SIZE * BUFFER_BYTES);
    m->tx_buffer = guest_alloc(&m->alloc, BUFFER_BYTES);
    set_ring(m, REG_RX_RING, m->rx_ring);
    set_ring(m, REG_TX_RING, m->tx_ring);
    write_reg(m, REG_TCTL, TCTL_ENABLE);
    write_reg(m, REG_RCTL, RCTL_ENABLE | RCTL_PROMISCUOUS | RCTL_BROADCAST);
    give_room(m, room);
    /* It takes frames a while after it was told to. */
    qtest_clock_step(m->qts, 2 * 1000000000LL);
    return m;
}

static void machine_free(Machine *m)
{
    g_free(m->nic);
    qpci_free_pc(m->bus);
    alloc_destroy(&m->alloc);
    qtest_quit(m->qts);
    g_free(m);
}

/* An event of the guest's lease, and what it tells. */
static void expect_lease_event(Machine *m, const char *name, uint32_t address)
{
    QDict *event = qtest_qmp_eventwait_ref(m->qts, name);
    QDict *lease = qdict_get_qdict(event, "data");
    struct in_addr in = { htonl(address) };

    g_assert_cmpstr(qdict_get_str(lease, "address"), ==, inet_ntoa(in));
    g_assert_cmpstr(qdict_get_str(lease, "netdev"), ==, "n");
    g_assert_cmpstr(qdict_get_str(lease, "mac"), ==, "52:54:00:77:00:01");
    qobject_unref(event);
}

/* What a guest does first, and last; and QMP tells of it. */
static void test_dhcp_arp_ping(void)
{
    Machine *m = machine_new("vmnet-shared", 1, RING_SIZE - 1);
    uint32_t gateway, address = vmnet_get_address(&m->port, &gateway);
    QDict *response, *netdev;
    uint8_t mac[6];

    vmnet_resolve(&m->port, address, gateway, mac);
    vmnet_ping(&m->port, address, gateway, mac);
    expect_lease_event(m, "VMNET_LEASE_ADDED", address);

    response = qtest_qmp(m->qts, "{'execute': 'query-vmnet'}");
    netdev = qobject_to(QDict, qlist_peek(qdict_get_qlist(response, "return")));
    g_assert_cmpint(qdict_get_int(netdev, "tx-frames"), >=, 4);
    g_assert_cmpint(qdict_get_int(netdev, "rx-frames"), >=, 4);
    g_assert_cmpint(qdict_get_int(netdev, "tx-dropped"), ==, 0);
    qobject_unref(response);

    vmnet_release_address(&m->port, address, gateway);
    expect_lease_event(m, "VMNET_LEASE_REMOVED", address);
    machine_free(m);
}

static bool await(Machine *m, VmnetMatch *match, const void *what,
                  uint8_t *frame, gint64 wait_us)
{
    return vmnet_await(&m->port, match, what, frame, wait_us);
}

static bool is_number(const uint8_t *frame, size_t size, const void *number)
{
    return size >= 60 && lduw_be_p(frame + 12) == 0x88b5
           && frame[14] == *(const uint8_t *)number;
}

static void send_number(Machine *m, const uint8_t *to, uint8_t number)
{
    uint8_t frame[60] = { 0 };

    vmnet_ethernet(&m->port, frame, to, 0x88b5);
    frame[14] = number;
    transmit(&m->port, frame, sizeof(frame));
}

/* Two machines of one network, in order and both ways. */
static void test_two_machines(void)
{
    Machine *a = machine_new("vmnet-host,network=pair", 1, RING_SIZE - 1);
    Machine *b = machine_new("vmnet-host,network=pair", 2, RING_SIZE - 1);
    uint8_t frame[BUFFER_BYTES];
    uint8_t i;

    for (i = 0; i < 40; i++) {
        send_number(a, i ? b->port.mac : vmnet_broadcast, i);
        g_assert_true(await(b, is_number, &i, frame, VMNET_WAIT_US));
        send_number(b, a->port.mac, i);
        g_assert_true(await(a, is_number, &i, frame, VMNET_WAIT_US));
    }
    machine_free(a);
    machine_free(b);
}

/* A NIC without room holds frames up; none is lost and none comes twice. */
static void test_full_nic(void)
{
    Machine *a = machine_new("vmnet-host,network=full", 1, RING_SIZE - 1);
    Machine *b = machine_new("vmnet-host,network=full", 2, 2);
    uint8_t frame[BUFFER_BYTES];
    uint8_t i, hello = 255;

    send_number(b, vmnet_broadcast, hello);
    g_assert_true(await(a, is_number, &hello, frame, VMNET_WAIT_US));
    for (i = 0; i < 30; i++) {
        send_number(a, b->port.mac, i);
    }
    for (i = 0; i < 30; i++) {
        g_assert_true(await(b, is_number, &i, frame, VMNET_WAIT_US));
    }
    machine_free(a);
    machine_free(b);
}

/* What comes while the machine is stopped is there when it goes on. */
static void test_stop_cont(void)
{
    Machine *a = machine_new("vmnet-host,network=stop", 1, RING_SIZE - 1);
    Machine *b = machine_new("vmnet-host,network=stop", 2, RING_SIZE - 1);
    uint8_t frame[BUFFER_BYTES];
    uint8_t first = 1, second = 2;

    send_number(b, vmnet_broadcast, first);
    g_assert_true(await(a, is_number, &first, frame, VMNET_WAIT_US));
    qtest_qmp_assert_success(b->qts, "{'execute': 'stop'}");
    send_number(a, b->port.mac, second);
    g_assert_false(await(b, is_number, &second, frame, G_USEC_PER_SEC / 5));
    qtest_qmp_assert_success(b->qts, "{'execute': 'cont'}");
    g_assert_true(await(b, is_number, &second, frame, VMNET_WAIT_US));
    machine_free(a);
    machine_free(b);
}

static void test_isolated(void)
{
    Machine *a = machine_new("vmnet-host,network=alone,isolated=on", 1,
                             RING_SIZE - 1);
    Machine *b = machine_new("vmnet-host,network=alone,isolated=on", 2,
                             RING_SIZE - 1);
    uint8_t frame[BUFFER_BYTES];
    uint32_t gateway, address;
    uint8_t number = 9, mac[6];

    address = vmnet_get_address(&b->port, &gateway);
    send_number(a, vmnet_broadcast, number);
    g_assert_false(await(b, is_number, &number, frame, G_USEC_PER_SEC / 5));
    vmnet_resolve(&b->port, address, gateway, mac);
    machine_free(a);
    machine_free(b);
}

/* net-uuid: those with the same one are among themselves. */
static void test_net_uuid(void)
{
    static const char one[] =
        "vmnet-host,net-uuid=8c1b4d3e-0000-4000-8000-000000000001";
    static const char other[] =
        "vmnet-host,net-uuid=8c1b4d3e-0000-4000-8000-000000000002";
    Machine *a = machine_new(one, 1, RING_SIZE - 1);
    Machine *b = machine_new(one, 2, RING_SIZE - 1);
    Machine *c = machine_new(other, 3, RING_SIZE - 1);
    uint8_t frame[BUFFER_BYTES];
    uint8_t number = 5;

    send_number(a, vmnet_broadcast, number);
    g_assert_true(await(b, is_number, &number, frame, VMNET_WAIT_US));
    g_assert_false(await(c, is_number, &number, frame, G_USEC_PER_SEC / 5));
    machine_free(a);
    machine_free(b);
    machine_free(c);
}

static bool is_prohibited(const uint8_t *frame, size_t size, const void *unused)
{
    return size >= 42 && lduw_be_p(frame + 12) == 0x0800 && frame[23] == 1
           && frame[34] == 3 && frame[35] == 13;
}

/* Host mode: an address, and the gateway's, and nobody beyond. */
static void test_host(void)
{
    Machine *m = machine_new("vmnet-host", 1, RING_SIZE - 1);
    uint32_t gateway, address = vmnet_get_address(&m->port, &gateway);
    uint8_t frame[BUFFER_BYTES] = { 0 };
    uint8_t mac[6];

    vmnet_resolve(&m->port, address, gateway, mac);
    vmnet_ping(&m->port, address, gateway, mac);
    vmnet_ethernet(&m->port, frame, mac, 0x0800);
    vmnet_ipv4(frame, 17, address, 0xc6336407, 20 + 8 + 18);
    stw_be_p(frame + 34, 4000);
    stw_be_p(frame + 36, 53);
    stw_be_p(frame + 38, 8 + 18);
    m->port.transmit(&m->port, frame, 60);
    g_assert_true(await(m, is_prohibited, NULL, frame, VMNET_WAIT_US));
    machine_free(m);
}

/* vmnetd dies and comes back: packets flow, with the address of before. */
static void test_daemon_back(void)
{
    Machine *m = machine_new("vmnet-shared", 3, RING_SIZE - 1);
    uint32_t gateway, address = vmnet_get_address(&m->port, &gateway);
    QDict *response = NULL, *netdev;
    uint8_t mac[6];

    vmnet_daemon_kill();
    vmnet_daemon_restart();
    do {
        qobject_unref(response);
        response = qtest_qmp(m->qts, "{'execute': 'query-vmnet'}");
        netdev = qobject_to(QDict,
                            qlist_peek(qdict_get_qlist(response, "return")));
    } while (qdict_get_int(netdev, "reconnects") == 0);
    qobject_unref(response);
    /* The NIC takes its time to see the link. */
    qtest_clock_step(m->qts, 2 * 1000000000LL);
    vmnet_resolve(&m->port, address, gateway, mac);
    g_assert_cmphex(vmnet_get_address(&m->port, &gateway), ==, address);
    machine_free(m);
}

/* To a second QEMU: the driver goes on where it was, with its address. */
static void test_migration(void)
{
    Machine *a = machine_new("vmnet-shared", 5, RING_SIZE - 1);
    Machine *b = g_new0(Machine, 1);
    uint32_t gateway, address = vmnet_get_address(&a->port, &gateway);
    g_autofree char *uri = g_strdup_printf("unix:%s/migrate",
                                           vmnet_daemon_folder());
    g_autofree char *incoming = g_strdup_printf("-incoming %s", uri);
    uint8_t mac[6];

    boot(b, "vmnet-shared", 5, incoming);
    qtest_qmp_assert_success(a->qts, "{'execute': 'migrate',"
                             " 'arguments': {'uri': %s}}", uri);
    qtest_qmp_eventwait(a->qts, "STOP");
    qtest_qmp_eventwait(b->qts, "RESUME");
    find_nic(b);
    b->rx_ring = a->rx_ring;
    b->rx_buffers = a->rx_buffers;
    b->tx_ring = a->tx_ring;
    b->tx_buffer = a->tx_buffer;
    b->rx_next = a->rx_next;
    b->rx_tail = a->rx_tail;
    b->tx_next = a->tx_next;
    machine_free(a);
    qtest_clock_step(b->qts, 2 * 1000000000LL);
    vmnet_resolve(&b->port, address, gateway, mac);
    vmnet_ping(&b->port, address, gateway, mac);
    g_assert_cmphex(vmnet_get_address(&b->port, &gateway), ==, address);
    machine_free(b);
}

/* With the NIC in front, netdev_del leaves a NIC without a cable. */
static void test_hot_unplug(void)
{
    Machine *m = machine_new("vmnet-shared", 4, RING_SIZE - 1);
    uint32_t gateway;

    vmnet_get_address(&m->port, &gateway);
    qtest_qmp_assert_success(m->qts, "{'execute': 'netdev_del',"
                             " 'arguments': {'id': 'n'}}");
    send_number(m, vmnet_broadcast, 1);
    qtest_qmp_assert_success(m->qts, "{'execute': 'query-status'}");
    machine_free(m);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    if (!vmnet_daemon_start()) {
        return 0;
    }
    qtest_add_func("/vmnet/packets/dhcp-arp-ping", test_dhcp_arp_ping);
    qtest_add_func("/vmnet/packets/two-machines", test_two_machines);
    qtest_add_func("/vmnet/packets/full-nic", test_full_nic);
    qtest_add_func("/vmnet/packets/stop-cont", test_stop_cont);
    qtest_add_func("/vmnet/packets/isolated", test_isolated);
    qtest_add_func("/vmnet/packets/net-uuid", test_net_uuid);
    qtest_add_func("/vmnet/packets/host", test_host);
    qtest_add_func("/vmnet/packets/daemon-back", test_daemon_back);
    qtest_add_func("/vmnet/packets/hot-unplug", test_hot_unplug);
    qtest_add_func("/vmnet/packets/migration", test_migration);
    status = g_test_run();
    vmnet_daemon_end();
    return status;
}
