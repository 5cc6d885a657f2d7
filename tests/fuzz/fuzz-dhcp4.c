/*
 * Fuzz target: DHCP messages: what is parsed is answered, and the answer must
 * parse
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/dhcp4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const Dhcp4Message *msg)
{
    static const char *const domains[] = { "vmnet.internal", "internal" };
    static Dhcp4Message again;
    uint8_t buf[1472];
    Dhcp4Builder b;
    size_t len;

    dhcp4_reply_begin(&b, buf, sizeof(buf), msg, DHCP4_OFFER, 0xc0a86b02, 0);
    dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, 0xc0a86b01);
    dhcp4_add_domains(&b, domains, G_N_ELEMENTS(domains));
    if (msg->fqdn[0] != '\0') {
        dhcp4_add_fqdn(&b, msg->fqdn_flags, msg->fqdn);
    }
    dhcp4_add_echo(&b, msg, DHCP4_OPTION_CLIENT_ID);
    dhcp4_add_echo(&b, msg, DHCP4_OPTION_RELAY_INFO);
    len = dhcp4_finish(&b);
    g_assert(len >= DHCP4_MESSAGE_MIN && len <= sizeof(buf));
    g_assert(dhcp4_parse(buf, len, &again));
    g_assert(again.xid == msg->xid && again.type == DHCP4_OFFER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Dhcp4Message msg;
    unsigned code, i;
    size_t sum = 0;

    if (!dhcp4_parse(data, size, &msg)) {
        return 0;
    }
    for (code = 0; code < G_N_ELEMENTS(msg.options); code++) {
        for (i = 0; i < msg.options[code].len; i++) {
            sum += msg.options[code].data[i];
        }
        g_assert(msg.options[code].len == 0 ||
                 msg.options[code].data + msg.options[code].len <=
                     msg.storage + sizeof(msg.storage));
    }
    g_assert(sum <= size * UINT8_MAX);
    answer(&msg);
    return 0;
}
