/*
 * Guests that say they are the gateway where only some receivers look: behind
 * tags and SNAP, behind extension headers, in fragments
 *
 * A row is a frame in pieces: tags, the first next header of an IPv6 packet and
 * all that is behind.  Lengths are filled in.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "switch/guard.h"
#include "switch/offload.h"

#define PASSES SWITCH_DROP__MAX
#define FOREIGN SWITCH_DROP_FOREIGN_SOURCE
#define REFUSED SWITCH_DROP_REFUSED
#define MALFORMED SWITCH_DROP_MALFORMED

#define IP6_LEN 40

typedef struct Bytes {
    const char *data;
    size_t len;
} Bytes;

#define BYTES(text) { text, sizeof(text) - 1 }

/* What receivers take off, and what they do not. */
#define PRIORITY "\x81\x00\xe0\x00"
#define PRIORITY_AD "\x88\xa8\x00\x00"
#define VLAN_5 "\x81\x00\x00\x05"
#define VLAN_5_AD "\x88\xa8\xe0\x05"
/* 802.3: a length, LLC and SNAP; the type follows. */
#define SNAP "\0\x24\xaa\xaa\3\0\0\0"
#define SNAP_TUNNEL "\0\x24\xaa\xaa\3\0\0\xf8"
#define SNAP_CISCO "\0\x24\xaa\xaa\3\0\0\x0c"

#define ARP(spa)                                                            \
    "\x08\x06" "\0\1\x08\0\6\4\0\2" "\2\0\0\0\0\x66" spa                    \
    "\2\0\0\0\0\1" "\xc0\xa8\x6b\x03"
#define GATEWAY4 "\xc0\xa8\x6b\x01"
#define OWN4 "\xc0\xa8\x6b\x66"

#define IP4(src, proto, fragment)                                           \
    "\x08\x00" "\x45\0\0\x24\0\1" fragment "\x40" proto "\0\0" src         \
    "\xc0\xa8\x6b\x03"
#define ICMP "\1"
#define UDP "\x11"
#define REDIRECT "\5\1\0\0\xc0\xa8\x6b\x66" "eight of"
#define DHCP_REPLY "\0\x43\0\x44\0\x10\0\0" "\2\1\6\0\0\0\0\1"
#define MORE "\x20\0"

/* Extension headers; "next" is what follows them. */
#define TCP "\x06"
#define ICMP6 "\x3a"
#define HOP "\x00"
#define ROUTING "\x2b"
#define FRAGMENT "\x2c"
#define AUTH "\x33"
#define DEST "\x3c"
#define ESP "\x32"
#define HOP_ALERT(next) next "\0\5\2\0\0\1\0"
#define OPTIONS(next) next "\0\1\4\0\0\0\0"
#define OPTIONS_200(next) next "\x18\1\xc4" ZEROS_100 ZEROS_96
#define ROUTE(next, type, left) next "\0" type left "\0\0\0\0"
#define CUT(next, offset) next "\0" offset "\0\0\0\7"
#define AUTH_8(next) next "\0\0\0\0\0\0\1"
#define ZEROS_12 "\0\0\0\0\0\0\0\0\0\0\0\0"
#define ZEROS_48 ZEROS_12 ZEROS_12 ZEROS_12 ZEROS_12
#define ZEROS_96 ZEROS_48 ZEROS_48
#define ZEROS_100 ZEROS_96 "\0\0\0\0"
#define WHOLE "\0\0"
#define FIRST "\0\1"
#define SECOND "\0\x19"
#define LAST "\0\x18"

#define ADVERT(last)                                                        \
    "\x88\0\0\0\x20\0\0\0" "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0" last        \
    "\2\1\2\0\0\0\0\x66"
#define CLAIM ADVERT("\1")
#define OWN ADVERT("\x66")
#define SOLICIT "\x87\0\0\0\0\0\0\0" "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define ECHO "\x80\0\0\0\0\1\0\1" "sixteen bytes..."
#define REPORT "\x8f\0\0\0\0\0\0\1" "\4\0\0\0"

typedef struct Row {
    const char *name;
    Bytes tags, packet;     /* @packet of another kind begins with its type */
    const char *next;       /* of IPv6 */
    SwitchDrop wanted;
    bool from_gateway;
} Row;

#define ARP_ROW(name, tags, spa, wanted) \
    { name, BYTES(tags), BYTES(ARP(spa)), NULL, wanted, false }
#define IP4_ROW(name, tags, packet, wanted) \
    { name, BYTES(tags), BYTES(packet), NULL, wanted, false }
#define IP6_ROW(name, tags, next, packet, wanted) \
    { name, BYTES(tags), BYTES(packet), next, wanted, false }
#define FROM_GATEWAY_ROW(name, next, packet, wanted) \
    { name, BYTES(""), BYTES(packet), next, wanted, true }

#define NINE_OPTIONS                                                        \
    OPTIONS(DEST) OPTIONS(DEST) OPTIONS(DEST) OPTIONS(DEST) OPTIONS(DEST)   \
    OPTIONS(DEST) OPTIONS(DEST) OPTIONS(DEST) OPTIONS(ICMP6)

static const Row rows[] = {
    ARP_ROW("tags/priority-arp", PRIORITY, GATEWAY4, FOREIGN),
    ARP_ROW("tags/priority-ad-arp", PRIORITY_AD, GATEWAY4, FOREIGN),
    ARP_ROW("tags/two-arp", PRIORITY_AD PRIORITY, GATEWAY4, FOREIGN),
    ARP_ROW("tags/three-arp", PRIORITY PRIORITY PRIORITY, GATEWAY4, REFUSED),
    ARP_ROW("tags/own-arp", PRIORITY, OWN4, PASSES),
    ARP_ROW("tags/vlan-arp", VLAN_5, GATEWAY4, PASSES),
    ARP_ROW("tags/vlan-ad-arp", VLAN_5_AD, GATEWAY4, PASSES),
    ARP_ROW("tags/priority-behind-vlan", VLAN_5 PRIORITY, GATEWAY4, PASSES),
    ARP_ROW("tags/vlan-behind-priority", PRIORITY VLAN_5, GATEWAY4, PASSES),
    IP6_ROW("tags/priority-na", PRIORITY, ICMP6, CLAIM, FOREIGN),
    IP6_ROW("tags/priority-ad-na", PRIORITY_AD, ICMP6, CLAIM, FOREIGN),
    IP6_ROW("tags/two-na", PRIORITY PRIORITY, ICMP6, CLAIM, FOREIGN),
    IP6_ROW("tags/own-na", PRIORITY, ICMP6, OWN, PASSES),
    IP6_ROW("tags/vlan-na", VLAN_5, ICMP6, CLAIM, PASSES),

    ARP_ROW("snap/arp", SNAP, GATEWAY4, FOREIGN),
    ARP_ROW("snap/tunnel-arp", SNAP_TUNNEL, GATEWAY4, FOREIGN),
    ARP_ROW("snap/tagged-arp", PRIORITY SNAP, GATEWAY4, FOREIGN),
    ARP_ROW("snap/own-arp", SNAP, OWN4, PASSES),
    ARP_ROW("snap/of-another-vendor", SNAP_CISCO, GATEWAY4, PASSES),
    ARP_ROW("snap/vlan-arp", VLAN_5 SNAP, GATEWAY4, PASSES),
    ARP_ROW("snap/tag-inside", SNAP PRIORITY, GATEWAY4, REFUSED),
    IP4_ROW("snap/redirect", SNAP, IP4(GATEWAY4, ICMP, WHOLE) REDIRECT,
            FOREIGN),
    IP6_ROW("snap/na", SNAP, ICMP6, CLAIM, FOREIGN),
    IP6_ROW("snap/own-na", SNAP, ICMP6, OWN, PASSES),

    IP4_ROW("ipv4/redirect", "", IP4(GATEWAY4, ICMP, WHOLE) REDIRECT, FOREIGN),
    IP4_ROW("ipv4/redirect-tagged", PRIORITY,
            IP4(GATEWAY4, ICMP, WHOLE) REDIRECT, FOREIGN),
    IP4_ROW("ipv4/redirect-cut", "", IP4(GATEWAY4, ICMP, MORE) REDIRECT,
            FOREIGN),
    IP4_ROW("ipv4/redirect-own", "", IP4(OWN4, ICMP, WHOLE) REDIRECT, PASSES),
    IP4_ROW("ipv4/redirect-vlan", VLAN_5, IP4(GATEWAY4, ICMP, WHOLE) REDIRECT,
            PASSES),
    IP4_ROW("ipv4/dhcp-reply", "", IP4(GATEWAY4, UDP, WHOLE) DHCP_REPLY,
            FOREIGN),
    IP4_ROW("ipv4/dhcp-reply-own", "", IP4(OWN4, UDP, WHOLE) DHCP_REPLY,
            PASSES),
    IP4_ROW("ipv4/tcp-own", "", IP4(OWN4, TCP, WHOLE) ECHO, PASSES),

    IP6_ROW("headers/nine", "", DEST, NINE_OPTIONS CLAIM, REFUSED),
    IP6_ROW("headers/nine-own", "", DEST, NINE_OPTIONS OWN, REFUSED),
    IP6_ROW("headers/type-0", "", ROUTING, ROUTE(ICMP6, "\0", "\0") CLAIM,
            REFUSED),
    IP6_ROW("headers/route", "", ROUTING, ROUTE(ICMP6, "\4", "\1") CLAIM,
            REFUSED),
    IP6_ROW("headers/route-done", "", ROUTING, ROUTE(ICMP6, "\4", "\0") CLAIM,
            FOREIGN),
    IP6_ROW("headers/route-done-own", "", ROUTING, ROUTE(ICMP6, "\4", "\0") OWN,
            PASSES),
    IP6_ROW("headers/hop-late", "", DEST, OPTIONS(HOP) OPTIONS(ICMP6) CLAIM,
            REFUSED),
    IP6_ROW("headers/longer-than-packet", "", DEST, ICMP6 "\x90\1\4\0\0\0\0"
            CLAIM, MALFORMED),
    /* Where a port has not copied them they are another's a moment later. */
    IP6_ROW("headers/long", "", DEST, OPTIONS_200(ICMP6) CLAIM, REFUSED),
    IP6_ROW("headers/long-own", "", DEST, OPTIONS_200(ICMP6) OWN, REFUSED),
    IP6_ROW("headers/long-tcp", "", DEST, OPTIONS_200(TCP) ECHO, REFUSED),
    IP6_ROW("headers/authenticated", "", AUTH, AUTH_8(ICMP6) CLAIM, FOREIGN),

    IP6_ROW("fragments/whole", "", FRAGMENT, CUT(ICMP6, WHOLE) CLAIM, FOREIGN),
    IP6_ROW("fragments/whole-own", "", FRAGMENT, CUT(ICMP6, WHOLE) OWN, PASSES),
    IP6_ROW("fragments/claim", "", FRAGMENT, CUT(ICMP6, FIRST) CLAIM, REFUSED),
    IP6_ROW("fragments/own", "", FRAGMENT, CUT(ICMP6, FIRST) OWN, REFUSED),
    IP6_ROW("fragments/solicit", "", FRAGMENT, CUT(ICMP6, FIRST) SOLICIT,
            REFUSED),
    IP6_ROW("fragments/behind-options", "", FRAGMENT,
            CUT(DEST, FIRST) OPTIONS(ICMP6) CLAIM, REFUSED),
    IP6_ROW("fragments/options-only", "", FRAGMENT,
            CUT(DEST, FIRST) OPTIONS(ICMP6), MALFORMED),
    IP6_ROW("fragments/options-cut", "", FRAGMENT,
            CUT(DEST, FIRST) ICMP6 "\1\1\14\0\0\0\0", MALFORMED),
    IP6_ROW("fragments/of-fragment", "", FRAGMENT,
            CUT(FRAGMENT, FIRST) CUT(ICMP6, FIRST) CLAIM, REFUSED),
    IP6_ROW("fragments/ping", "", FRAGMENT, CUT(ICMP6, FIRST) ECHO, PASSES),
    IP6_ROW("fragments/second", "", FRAGMENT, CUT(ICMP6, SECOND) CLAIM, PASSES),
    IP6_ROW("fragments/last", "", FRAGMENT, CUT(ICMP6, LAST) "rest", PASSES),
    IP6_ROW("fragments/tcp", "", FRAGMENT, CUT(TCP, FIRST) ECHO, PASSES),
    IP6_ROW("fragments/authenticated", "", FRAGMENT,
            CUT(AUTH, FIRST) AUTH_8(TCP) ECHO, PASSES),
    FROM_GATEWAY_ROW("fragments/ping-of-the-gateway", FRAGMENT,
                     CUT(ICMP6, FIRST) ECHO, FOREIGN),

    IP6_ROW("others/report", "", HOP, HOP_ALERT(ICMP6) REPORT, PASSES),
    IP6_ROW("others/report-tagged", PRIORITY, HOP, HOP_ALERT(ICMP6) REPORT,
            PASSES),
    IP6_ROW("others/ping", "", ICMP6, ECHO, PASSES),
    IP6_ROW("others/esp", "", ESP, ECHO, PASSES),
    FROM_GATEWAY_ROW("others/tcp-of-the-gateway", TCP, ECHO, FOREIGN),
};

static void append(GByteArray *frame, const char *bytes, size_t len)
{
    g_byte_array_append(frame, (const uint8_t *)bytes, len);
}

static GByteArray *build(const Row *row)
{
    static const char macs[] = "\x33\x33\0\0\0\1\2\0\0\0\0\x66";
    static const char addrs[] =
        "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x66"
        "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1";
    GByteArray *frame = g_byte_array_new();

    append(frame, macs, 12);
    append(frame, row->tags.data, row->tags.len);
    if (row->next) {
        append(frame, "\x86\xdd\x60\0\0\0\0", 7);
        append(frame, (char[]){ row->packet.len, row->next[0], -1 }, 3);
        append(frame, addrs, 32);
        frame->data[frame->len - 17] = row->from_gateway ? 1 : 0x66;
    }
    append(frame, row->packet.data, row->packet.len);
    return frame;
}

static SwitchDrop check(const GByteArray *bytes, size_t piece,
                        bool has_gateway)
{
    const uint8_t link_local[16] = { 0xfe, 0x80, [15] = 1 };
    IpAddr addrs[SWITCH_GATEWAY_ADDRS_MAX] = { { 0 } };
    g_autofree struct iovec *iov = g_new(struct iovec, bytes->len);
    SwitchDrop reason;
    unsigned n = 0;
    Frame frame;
    size_t at;

    if (has_gateway) {
        addrs[0] = ip_addr_v4(0xc0a86b01);
        addrs[2].family = AF_INET6;
        memcpy(&addrs[2].v6, link_local, sizeof(link_local));
    }
    for (at = 0; at < bytes->len; at += piece) {
        iov[n++] = (struct iovec){ bytes->data + at,
                                   MIN(piece, bytes->len - at) };
    }
    frame_init(&frame, iov, n);
    return guard_check(addrs, &frame, bytes->data, &reason) ? PASSES : reason;
}

static void test_row(const void *data)
{
    const Row *row = data;
    g_autoptr(GByteArray) frame = build(row);

    g_assert_cmpint(check(frame, frame->len, true), ==, row->wanted);
    g_assert_cmpint(check(frame, 1, true), ==, row->wanted);
    /* A bridged network's frames are its own business. */
    g_assert_cmpint(check(frame, frame->len, false), ==, PASSES);
}

/* Wherever a frame ends and however it lies: nothing is read past its end. */
static void test_cut(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GByteArray) frame = build(&rows[i]);

        for (; frame->len >= ETH_HEADER_LEN; frame->len--) {
            g_autoptr(GByteArray) copy = g_byte_array_new_take(
                g_memdup2(frame->data, frame->len), frame->len);

            g_assert_cmpint(check(copy, copy->len, true), ==,
                            check(copy, 1, true));
        }
    }
}

int main(int argc, char **argv)
{
    size_t i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/guard/%s", rows[i].name);

        g_test_add_data_func(path, &rows[i], test_row);
    }
    g_test_add_func("/guard/cut", test_cut);
    return g_test_run();
}
