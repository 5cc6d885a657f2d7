/*
 * IP addresses as people write them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "ip-text.h"

#include <arpa/inet.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>

/* Number of bytes of the address: 4 or 16; 0 if @text is none. */
static unsigned parse(const char *text, uint8_t bytes[16])
{
    if (inet_pton(AF_INET, text, bytes) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

bool ip_text_is_address(const char *text)
{
    uint8_t bytes[16];

    return parse(text, bytes) != 0;
}

bool ip_text_in_subnet(const char *address, const char *subnet)
{
    const char *slash = subnet ? strchr(subnet, '/') : NULL;
    g_autofree char *net = slash ? g_strndup(subnet, slash - subnet) : NULL;
    uint8_t a[16], b[16];
    guint64 bits;
    unsigned len, i;

    len = address && net ? parse(address, a) : 0;
    if (!len || parse(net, b) != len ||
        !g_ascii_string_to_unsigned(slash + 1, 10, 0, len * 8, &bits, NULL)) {
        return false;
    }
    for (i = 0; i < bits; i++) {
        if ((a[i / 8] ^ b[i / 8]) & (0x80 >> i % 8)) {
            return false;
        }
    }
    return true;
}
