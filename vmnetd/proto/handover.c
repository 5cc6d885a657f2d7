/*
 * What one daemon hands over to the next
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/handover.h"

#include <unistd.h>

#define NO_FD UINT32_MAX
/* Nothing that ages is remembered for longer. */
#define AGE_MAX_MS (INT64_C(1) << 40)

Handover *handover_new(void)
{
    Handover *out = g_new0(Handover, 1);

    out->bytes = g_byte_array_new();
    out->fds = g_array_new(FALSE, FALSE, sizeof(int));
    return out;
}

void handover_free(Handover *out)
{
    if (out) {
        g_byte_array_unref(out->bytes);
        g_array_unref(out->fds);
        g_free(out);
    }
}

void handover_bytes(Handover *out, const void *bytes, size_t len)
{
    g_byte_array_append(out->bytes, bytes, len);
}

void handover_u8(Handover *out, uint8_t value)
{
    handover_bytes(out, &value, 1);
}

void handover_u16(Handover *out, uint16_t value)
{
    uint8_t bytes[2];

    writer_put_u16(bytes, value);
    handover_bytes(out, bytes, sizeof(bytes));
}

void handover_u32(Handover *out, uint32_t value)
{
    uint8_t bytes[4];

    writer_put_u32(bytes, value);
    handover_bytes(out, bytes, sizeof(bytes));
}

void handover_u64(Handover *out, uint64_t value)
{
    handover_u32(out, value >> 32);
    handover_u32(out, value);
}

unsigned handover_begin(Handover *out, HandoverTag tag)
{
    handover_u16(out, tag);
    handover_u32(out, 0);
    return out->bytes->len;
}

void handover_end(Handover *out, unsigned begin)
{
    writer_put_u32(out->bytes->data + begin - 4,
                   out->bytes->len - begin);
}

void handover_mac(Handover *out, const MacAddr *mac)
{
    handover_bytes(out, mac, sizeof(*mac));
}

void handover_addr(Handover *out, const IpAddr *addr)
{
    handover_u8(out, addr->family == AF_INET ? 4 :
                      addr->family == AF_INET6 ? 6 : 0);
    if (addr->family == AF_INET) {
        handover_u32(out, addr->v4);
    } else if (addr->family == AF_INET6) {
        handover_bytes(out, &addr->v6, sizeof(addr->v6));
    }
}

void handover_endpoint(Handover *out, const IpEndpoint *ep)
{
    handover_addr(out, &ep->addr);
    handover_u16(out, ep->port);
}

void handover_fd(Handover *out, int fd)
{
    handover_u32(out, fd < 0 ? NO_FD : out->fds->len);
    if (fd >= 0) {
        g_array_append_val(out->fds, fd);
    }
}

void handover_age(Handover *out, int64_t then_ms, int64_t now_ms)
{
    handover_u64(out, CLAMP(now_ms - then_ms, 0, AGE_MAX_MS));
}

bool handover_next(Cursor *c, uint16_t *ret_tag, Cursor *ret_body)
{
    if (cursor_left(c) == 0) {
        return false;
    }
    *ret_tag = cursor_u16(c);
    *ret_body = cursor_sub(c, cursor_u32(c));
    return !c->error;
}

void handover_read_mac(Cursor *c, MacAddr *ret_mac)
{
    cursor_copy(c, ret_mac, sizeof(*ret_mac));
}

void handover_read_addr(Cursor *c, IpAddr *ret_addr)
{
    struct in6_addr v6;

    *ret_addr = (IpAddr){ 0 };
    switch (cursor_u8(c)) {
    case 0:
        break;
    case 4:
        *ret_addr = ip_addr_v4(cursor_u32(c));
        break;
    case 6:
        cursor_copy(c, &v6, sizeof(v6));
        *ret_addr = ip_addr_v6(&v6);
        break;
    default:
        c->error = true;
    }
}

void handover_read_endpoint(Cursor *c, IpEndpoint *ret_ep)
{
    handover_read_addr(c, &ret_ep->addr);
    ret_ep->port = cursor_u16(c);
}

int64_t handover_read_age(Cursor *c, int64_t now_ms)
{
    uint64_t age_ms = cursor_u64(c);

    return now_ms - (int64_t)MIN(age_ms, (uint64_t)AGE_MAX_MS);
}

int handover_take_fd(HandoverFds *fds, Cursor *c)
{
    uint32_t i = cursor_u32(c);
    int fd = -1;

    if (!c->error && i < fds->n) {
        fd = fds->fds[i];
        fds->fds[i] = -1;
    }
    return fd;
}

void handover_fds_close(HandoverFds *fds)
{
    unsigned i;

    for (i = 0; i < fds->n; i++) {
        if (fds->fds[i] >= 0) {
            close(fds->fds[i]);
            fds->fds[i] = -1;
        }
    }
}
