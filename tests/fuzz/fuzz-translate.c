/*
 * Fuzz target: MAC translation
 *
 * The input is records: a byte (bit 7: it comes in; else the guest that sends
 * it), two of length, a frame.  Whatever guests and the network send: what
 * leaves is from the interface's own address and as long as it was, and of what
 * comes in nothing changes but MAC addresses that name the receiver.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "port/translate.h"
#include "proto/eth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD_HEAD 3
#define ARP_TARGET_OFF 32

static const MacAddr own = { { 2, 0, 0, 0, 0, 0xee } };

static bool host_has(void *opaque, const IpAddr *addr)
{
    return addr->family == AF_INET && addr->v4 == 0x0a370002;
}

static void output(Translate *translate, uint32_t port, const uint8_t *data,
                   size_t len)
{
    struct iovec iov = { (void *)data, len };
    uint8_t head[TRANSLATE_HEAD_MAX];
    Frame frame;
    size_t n;

    frame_init(&frame, &iov, 1);
    frame.src_port = port + 1;
    n = translate_output(translate, &frame, head);
    g_assert_cmpuint(n, <=, len);
    g_assert_true(n == 0 || (n >= ETH_HEADER_LEN &&
                             !memcmp(head + 6, &own, sizeof(own))));
    g_assert_true(n == 0 || !memcmp(head, data, 6));
}

static void input(Translate *translate, const uint8_t *data, size_t len)
{
    g_autofree uint8_t *frame = g_malloc(len + 1);
    bool taken, is_arp = len > ARP_TARGET_OFF && data[12] == 8 && data[13] == 6;
    size_t i;

    memcpy(frame, data, len);
    taken = translate_input(translate, frame, len);
    g_assert_true(!taken || !memcmp(data, &own, sizeof(own)) ||
                  mac_is_group(data));
    for (i = sizeof(MacAddr); i < len; i++) {
        if (!is_arp || i < ARP_TARGET_OFF ||
            i >= ARP_TARGET_OFF + sizeof(MacAddr)) {
            g_assert_cmpuint(frame[i], ==, data[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const TranslateConfig config = { .is_own = host_has };
    g_autoptr(Translate) translate = translate_new(&config);

    translate_set_mac(translate, &own);
    while (size > RECORD_HEAD) {
        size_t len = data[1] << 8 | data[2];
        uint8_t what = data[0];

        data += RECORD_HEAD;
        size -= RECORD_HEAD;
        len = MIN(len, size);
        if (what & 0x80) {
            input(translate, data, len);
        } else if (len > 0) {
            output(translate, what, data, len);
        }
        data += len;
        size -= len;
    }
    translate_forget(translate, 1);
    return 0;
}
