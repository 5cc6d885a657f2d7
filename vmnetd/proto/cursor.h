/*
 * Checked reading and writing of bytes, with a sticky error
 *
 * Parse or build straight through and test once at the end: after the first
 * access past the end every read yields 0 (or NULL) and every write does
 * nothing.  Numbers are in network byte order on the wire and in host order
 * in C.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_CURSOR_H
#define VMNETD_PROTO_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Cursor: what is left to read is [@p, @end). */
typedef struct Cursor {
    const uint8_t *p, *end;
    bool error;
} Cursor;

static inline Cursor cursor_new(const void *data, size_t len)
{
    const uint8_t *p = data;

    return (Cursor){ .p = p, .end = len > 0 ? p + len : p };
}

static inline size_t cursor_left(const Cursor *c)
{
    return c->error ? 0 : (size_t)(c->end - c->p);
}

/** cursor_bytes: step over @len bytes. Returns: the first; NULL: too few. */
static inline const uint8_t *cursor_bytes(Cursor *c, size_t len)
{
    const uint8_t *bytes = c->p;

    if (c->error || len > (size_t)(c->end - c->p)) {
        c->error = true;
        return NULL;
    }
    c->p += len;
    return bytes;
}

/** cursor_sub: a cursor of its own over the next @len bytes. */
static inline Cursor cursor_sub(Cursor *c, size_t len)
{
    const uint8_t *bytes = cursor_bytes(c, len);
    Cursor sub = { .p = bytes, .end = bytes, .error = !bytes };

    if (bytes) {
        sub.end = bytes + len;
    }
    return sub;
}

static inline void cursor_copy(Cursor *c, void *dst, size_t len)
{
    const uint8_t *bytes = cursor_bytes(c, len);

    if (bytes) {
        memcpy(dst, bytes, len);
    } else {
        memset(dst, 0, len);
    }
}

static inline uint8_t cursor_u8(Cursor *c)
{
    const uint8_t *b = cursor_bytes(c, 1);

    return b ? b[0] : 0;
}

static inline uint16_t cursor_u16(Cursor *c)
{
    const uint8_t *b = cursor_bytes(c, 2);

    return b ? b[0] << 8 | b[1] : 0;
}

static inline uint32_t cursor_u32(Cursor *c)
{
    const uint8_t *b = cursor_bytes(c, 4);

    return b ? (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3] : 0;
}

static inline uint64_t cursor_u64(Cursor *c)
{
    uint64_t high = cursor_u32(c);

    return high << 32 | cursor_u32(c);
}

/** Writer: [@start, @p) is written, up to @end may be. */
typedef struct Writer {
    uint8_t *start, *p, *end;
    bool error;
} Writer;

static inline Writer writer_new(void *buf, size_t size)
{
    uint8_t *p = buf;

    return (Writer){ .start = p, .p = p, .end = p + size };
}

/** writer_len: bytes written so far. */
static inline size_t writer_len(const Writer *w)
{
    return w->p - w->start;
}

/** writer_room: step over @len bytes, to be filled in. NULL: too few left. */
static inline uint8_t *writer_room(Writer *w, size_t len)
{
    uint8_t *room = w->p;

    if (w->error || len > (size_t)(w->end - w->p)) {
        w->error = true;
        return NULL;
    }
    w->p += len;
    return room;
}

static inline void writer_bytes(Writer *w, const void *bytes, size_t len)
{
    uint8_t *room = writer_room(w, len);

    if (!w->error && len > 0) {
        memcpy(room, bytes, len);
    }
}

static inline void writer_zero(Writer *w, size_t len)
{
    uint8_t *room = writer_room(w, len);

    if (room) {
        memset(room, 0, len);
    }
}

/** writer_put_u16: overwrite what is at @at. */
static inline void writer_put_u16(uint8_t *at, uint16_t value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static inline void writer_put_u32(uint8_t *at, uint32_t value)
{
    writer_put_u16(at, value >> 16);
    writer_put_u16(at + 2, value);
}

static inline void writer_u8(Writer *w, uint8_t value)
{
    writer_bytes(w, &value, 1);
}

static inline void writer_u16(Writer *w, uint16_t value)
{
    uint8_t *room = writer_room(w, 2);

    if (room) {
        writer_put_u16(room, value);
    }
}

static inline void writer_u32(Writer *w, uint32_t value)
{
    uint8_t *room = writer_room(w, 4);

    if (room) {
        writer_put_u32(room, value);
    }
}

#endif
