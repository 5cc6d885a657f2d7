/*
 * Fuzz target: messages of vhost-user: header, payload, number of descriptors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>

#include "port/vhost-user-msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replies(const VuMessage *msg)
{
    uint8_t buf[VU_REPLY_MAX];
    VuMessage again;

    g_assert(vu_build_u64(buf, msg->request, msg->u.u64) == sizeof(buf));
    /* An answer is not taken for a request. */
    g_assert(vu_parse_header(buf, &again));
    g_assert(again.request == msg->request && again.size == 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VuMessage msg;
    unsigned n_fds;
    uint8_t *payload;

    if (size < VU_HEADER_LEN + 1 || vu_parse_header(data, &msg)) {
        return 0;
    }
    n_fds = data[VU_HEADER_LEN] % (VU_REGIONS_MAX + 1);
    if (size - VU_HEADER_LEN - 1 < msg.size) {
        return 0;
    }
    /* Of its very length: a sanitizer sees a step beyond. */
    payload = g_memdup2(data + VU_HEADER_LEN + 1, msg.size);
    if (!vu_parse_payload(payload, n_fds, &msg)) {
        g_assert(msg.u.regions.n <= VU_REGIONS_MAX ||
                 msg.request != VU_SET_MEM_TABLE);
        g_assert(vu_request_str(msg.request));
        replies(&msg);
    }
    g_free(payload);
    return 0;
}
