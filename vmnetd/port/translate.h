/*
 * MAC translation: guests on an uplink that carries frames of one address only
 *
 *   guests --- switch --- | translate | --- an interface, of address W
 *   own addresses         IP --> MAC        all of them from W, to W
 *
 * Theory of operation
 * -------------------
 * A wireless client may send and receive under its own MAC address alone.  So
 * whatever leaves has that one as its source, and neighbours are told it:
 * ARP and neighbour discovery name W as the guest's link-layer address.  What
 * comes for W belongs to the guest that has its IP destination, which is known
 * from the guests' own ARP, neighbour discovery and DHCP requests.  A DHCP
 * server that answers to a client's MAC address would not reach it: the
 * broadcast flag is set in what clients ask (RFC 2131 4.1).
 *
 * The host's own addresses are nobody's to claim: its traffic comes for W, too.
 * Frames between guests do not come by here.
 *
 * What cannot be had: other protocols than IPv4, IPv6 and ARP; VLAN tags;
 * DHCP servers that go by the source of a frame; a guest that is a bridge.
 *
 * A pure data structure: no socket, no clock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_TRANSLATE_H
#define VMNETD_PORT_TRANSLATE_H

#include "proto/addr.h"
#include "proto/frame.h"

typedef struct Translate Translate;

/** The longest beginning of a frame that is rewritten, in bytes. */
#define TRANSLATE_HEAD_MAX 2048

/**
 * TranslateConfig:
 * @is_own: whether the host itself has @addr
 */
typedef struct TranslateConfig {
    bool (*is_own)(void *opaque, const IpAddr *addr);
    void *opaque;
} TranslateConfig;

Translate *translate_new(const TranslateConfig *config);
void translate_free(Translate *translate);

/** translate_set_mac: the interface's own address, before the first frame. */
void translate_set_mac(Translate *translate, const MacAddr *mac);
/** translate_forget: the port of id @port is gone. */
void translate_forget(Translate *translate, uint32_t port);

/**
 * translate_output: @frame is about to leave by the interface.
 * @head: what it is to begin with instead
 *
 * Returns: bytes of @head; 0: the frame cannot be translated.
 */
size_t translate_output(Translate *translate, const Frame *frame,
                        uint8_t head[TRANSLATE_HEAD_MAX]);

/**
 * translate_input: the frame of @len bytes at @data has come in; its addresses
 * are set to the guest's.
 *
 * Returns: false: it is for no guest.
 */
bool translate_input(const Translate *translate, uint8_t *data, size_t len);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Translate, translate_free)

#endif
