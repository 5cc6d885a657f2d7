/*
 * What a guest's network stack says, for tests that are the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNET_FRAMES_H
#define VMNET_FRAMES_H

#define VMNET_FRAME_BYTES 2048
#define VMNET_WAIT_US (10 * G_USEC_PER_SEC)

/**
 * TestNic: a driver of some NIC.
 * @receive: the next frame of up to VMNET_FRAME_BYTES; 0: none has come yet
 */
typedef struct TestNic TestNic;
struct TestNic {
    void (*transmit)(TestNic *nic, const uint8_t *frame, size_t size);
    size_t (*receive)(TestNic *nic, uint8_t *frame);
    uint8_t mac[6];
};

typedef bool VmnetMatch(const uint8_t *frame, size_t size, const void *what);

extern const uint8_t vmnet_broadcast[6];

/** vmnet_await: the frame that @match wants; others are passed over. */
bool vmnet_await(TestNic *nic, VmnetMatch *match, const void *what,
                 uint8_t *frame, gint64 wait_us);
/** vmnet_checksum: of an even number of bytes */
uint16_t vmnet_checksum(const uint8_t *data, size_t size);
/** vmnet_ethernet: the header, from @nic */
void vmnet_ethernet(TestNic *nic, uint8_t *frame, const uint8_t *to,
                    uint16_t type);
/** vmnet_ipv4: the header at 14; @size of it and what follows */
void vmnet_ipv4(uint8_t *frame, uint8_t protocol, uint32_t from, uint32_t to,
                size_t size);
/** vmnet_get_address: by DHCP; and the gateway's */
uint32_t vmnet_get_address(TestNic *nic, uint32_t *ret_gateway);
void vmnet_release_address(TestNic *nic, uint32_t address, uint32_t gateway);
/** vmnet_resolve: by ARP */
void vmnet_resolve(TestNic *nic, uint32_t own, uint32_t address,
                   uint8_t *ret_mac);
void vmnet_ping(TestNic *nic, uint32_t own, uint32_t address,
                const uint8_t *mac);

#endif
