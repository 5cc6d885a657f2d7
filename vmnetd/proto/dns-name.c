/*
 * DNS names: read, print, compare
 *
 * Theory of operation
 *
 * A name on the wire is a row of labels that ends with a zero or with a
 * pointer to an earlier place in the message, where it goes on.  Each pointer
 * must lead to before the place where the piece that it ends began: the
 * pieces' beginnings fall strictly, so that there is an end.  A message full
 * of pointers to pointers would still cost its length for each of its names,
 * hence the small bound on their number.
 *
 * Length bytes are below 64, and 'A' is 65: a whole wire name can be folded to
 * lower case byte by byte.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/dns.h"

#include <string.h>

/** A name has 127 labels at most; compressors use a pointer or two. */
#define DNS_POINTERS_MAX 32

#define DNS_LABEL_KIND 0xc0
#define DNS_LABEL_POINTER 0xc0

static bool name_append_label(DnsName *name, const uint8_t *label, size_t len)
{
    /* One byte is kept for the final zero. */
    if (len > DNS_LABEL_MAX || name->len + 1 + len + 1 > DNS_NAME_MAX) {
        return false;
    }
    name->wire[name->len] = len;
    memcpy(name->wire + name->len + 1, label, len);
    name->len += 1 + len;
    return true;
}

/* @base: where offsets count from; @first: the lowest that may be pointed to */
static bool name_read(Cursor *c, const uint8_t *base, uint16_t first,
                      DnsName *ret_name)
{
    const uint8_t *piece = c->p;
    unsigned n_pointers = 0;
    Cursor at = *c;
    DnsName name = { 0 };

    for (;;) {
        uint8_t len = cursor_u8(&at);
        const uint8_t *label;

        if ((len & DNS_LABEL_KIND) == DNS_LABEL_POINTER) {
            uint16_t offset = (len & ~DNS_LABEL_KIND) << 8 | cursor_u8(&at);

            if (at.error || !base || offset < first ||
                offset >= piece - base || ++n_pointers > DNS_POINTERS_MAX) {
                break;
            }
            if (n_pointers == 1) {
                c->p = at.p;
            }
            piece = at.p = base + offset;
            continue;
        }
        label = cursor_bytes(&at, len);
        if (!label || (len & DNS_LABEL_KIND) != 0) {
            break;
        }
        if (len == 0) {
            if (at.error) {
                break;
            }
            if (n_pointers == 0) {
                c->p = at.p;
            }
            name.wire[name.len++] = 0;
            *ret_name = name;
            return true;
        }
        if (!name_append_label(&name, label, len)) {
            break;
        }
    }
    c->error = true;
    return false;
}

bool dns_name_read(Cursor *c, const uint8_t *msg, DnsName *ret_name)
{
    return name_read(c, msg, DNS_HEADER_LEN, ret_name);
}

bool dns_name_read_list(Cursor *c, const uint8_t *list, DnsName *ret_name)
{
    return name_read(c, list, 0, ret_name);
}

/* One character of a label in text: itself, or escaped (RFC 1035 5.1). */
static bool text_char(const char **text, uint8_t *ret_byte)
{
    const char *p = *text;
    unsigned value, i;

    if (*p != '\\') {
        *ret_byte = *p;
        *text = p + 1;
        return true;
    }
    p++;
    if (!g_ascii_isdigit(*p)) {
        *ret_byte = *p;
        *text = p + 1;
        return *p != '\0';
    }
    for (value = 0, i = 0; i < 3; i++, p++) {
        if (!g_ascii_isdigit(*p)) {
            return false;
        }
        value = value * 10 + (*p - '0');
    }
    *ret_byte = value;
    *text = p;
    return value <= UINT8_MAX;
}

bool dns_name_from_text(const char *text, DnsName *ret_name)
{
    uint8_t label[DNS_LABEL_MAX];
    DnsName name = { 0 };
    size_t len = 0;

    if (*text == '\0') {
        return false;
    }
    if (strcmp(text, ".") == 0) {
        text = "";
    }
    while (*text != '\0') {
        if (*text == '.') {
            if (len == 0 || !name_append_label(&name, label, len)) {
                return false;
            }
            len = 0;
            text++;
            continue;
        }
        if (len == sizeof(label) || !text_char(&text, &label[len])) {
            return false;
        }
        len++;
    }
    if (len > 0 && !name_append_label(&name, label, len)) {
        return false;
    }
    name.wire[name.len++] = 0;
    *ret_name = name;
    return true;
}

static size_t byte_to_text(uint8_t byte, char *out)
{
    if (byte == '.' || byte == '\\') {
        out[0] = '\\';
        out[1] = byte;
        return 2;
    }
    if (g_ascii_isgraph(byte)) {
        out[0] = byte;
        return 1;
    }
    out[0] = '\\';
    out[1] = '0' + byte / 100;
    out[2] = '0' + byte / 10 % 10;
    out[3] = '0' + byte % 10;
    return 4;
}

/* The labels in wire[0, end) */
static void labels_to_text(const uint8_t *wire, size_t end, char *out)
{
    size_t pos = 0, i;

    while (pos < end && wire[pos] != 0) {
        if (pos > 0) {
            *out++ = '.';
        }
        for (i = 1; i <= wire[pos]; i++) {
            out += byte_to_text(wire[pos + i], out);
        }
        pos += 1 + wire[pos];
    }
    *out = '\0';
}

const char *dns_name_to_text(const DnsName *name, char buf[DNS_NAME_STRLEN])
{
    if (name->len <= 1) {
        strcpy(buf, ".");
    } else {
        labels_to_text(name->wire, name->len, buf);
    }
    return buf;
}

static bool wire_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (g_ascii_tolower(a[i]) != g_ascii_tolower(b[i])) {
            return false;
        }
    }
    return true;
}

bool dns_name_equal(const DnsName *a, const DnsName *b)
{
    return a->len == b->len && wire_equal(a->wire, b->wire, a->len);
}

/* Where @zone begins in @name's wire form; -1: nowhere */
static int zone_offset(const DnsName *name, const DnsName *zone)
{
    int pos = 0;

    while (name->len - pos > zone->len) {
        pos += 1 + name->wire[pos];
    }
    return name->len - pos == zone->len &&
           wire_equal(name->wire + pos, zone->wire, zone->len) ? pos : -1;
}

bool dns_name_is_under(const DnsName *name, const DnsName *zone)
{
    return zone_offset(name, zone) >= 0;
}

unsigned dns_name_n_labels(const DnsName *name)
{
    unsigned n = 0;
    size_t pos;

    for (pos = 0; pos < name->len && name->wire[pos] != 0; n++) {
        pos += 1 + name->wire[pos];
    }
    return n;
}

bool dns_name_relative(const DnsName *name, const DnsName *zone,
                       char buf[DNS_NAME_STRLEN])
{
    int end = zone_offset(name, zone);

    if (end <= 0) {
        return false;
    }
    labels_to_text(name->wire, end, buf);
    return true;
}

/* d.c.b.a: decimal as it is printed, without leading zeros */
static bool reverse_v4_parse(const DnsName *name, IpAddr *ret_addr)
{
    const uint8_t *p = name->wire;
    uint32_t addr = 0;
    unsigned i, j;

    for (i = 0; i < 4; i++, p += 1 + p[0]) {
        unsigned value = 0;

        if (p[0] < 1 || p[0] > 3 || (p[0] > 1 && p[1] == '0')) {
            return false;
        }
        for (j = 1; j <= p[0]; j++) {
            if (!g_ascii_isdigit(p[j])) {
                return false;
            }
            value = value * 10 + (p[j] - '0');
        }
        if (value > UINT8_MAX) {
            return false;
        }
        addr |= value << 8 * i;
    }
    *ret_addr = ip_addr_v4(addr);
    return true;
}

/* 32 labels of one hexadecimal digit, the lowest first (RFC 3596 2.5) */
static bool reverse_v6_parse(const DnsName *name, IpAddr *ret_addr)
{
    struct in6_addr addr = { 0 };
    unsigned i;

    for (i = 0; i < 32; i++) {
        int digit = g_ascii_xdigit_value(name->wire[2 * i + 1]);

        if (name->wire[2 * i] != 1 || digit < 0) {
            return false;
        }
        addr.s6_addr[15 - i / 2] |= digit << 4 * (i % 2);
    }
    *ret_addr = ip_addr_v6(&addr);
    return true;
}

bool dns_reverse_parse(const DnsName *name, IpAddr *ret_addr)
{
    static const DnsName v4_zone = { 14, "\7in-addr\4arpa" };
    static const DnsName v6_zone = { 10, "\3ip6\4arpa" };

    if (dns_name_is_under(name, &v4_zone)) {
        return dns_name_n_labels(name) == 4 + 2 &&
               reverse_v4_parse(name, ret_addr);
    }
    if (dns_name_is_under(name, &v6_zone)) {
        return dns_name_n_labels(name) == 32 + 2 &&
               reverse_v6_parse(name, ret_addr);
    }
    return false;
}

void dns_reverse_name(const IpAddr *addr, DnsName *ret_name)
{
    char text[32 * 2 + sizeof("ip6.arpa")];
    char *p = text;
    unsigned i;

    if (addr->family == AF_INET) {
        g_snprintf(text, sizeof(text), "%u.%u.%u.%u.in-addr.arpa",
                   addr->v4 & 0xff, addr->v4 >> 8 & 0xff,
                   addr->v4 >> 16 & 0xff, addr->v4 >> 24);
    } else {
        for (i = 0; i < 32; i++) {
            unsigned byte = addr->v6.s6_addr[15 - i / 2];

            *p++ = "0123456789abcdef"[byte >> 4 * (i % 2) & 0xf];
            *p++ = '.';
        }
        strcpy(p, "ip6.arpa");
    }
    dns_name_from_text(text, ret_name);
}
