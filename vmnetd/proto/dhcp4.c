/*
 * DHCP for IPv4: parse and build messages
 *
 * Theory of operation of the parser
 *
 * An option may come in pieces (RFC 3396), and the pieces in three places: the
 * option field, then, if option 52 says so, the fields "file" and "sname".
 * Two walks over the same bytes: the first adds up each option's length, the
 * second copies the pieces, one behind the other, to where the sums say.  All
 * options together are shorter than the message, hence so is the storage.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/dhcp4.h"

#include <string.h>
#include <glib.h>

#include "proto/dns.h"

#define DHCP4_COOKIE 0x63825363
#define DHCP4_FLAG_BROADCAST 0x8000

#define DHCP4_SNAME_LEN 64
#define DHCP4_FILE_LEN 128

#define DHCP4_OVERLOAD_FILE 1
#define DHCP4_OVERLOAD_SNAME 2

/* IPv4 and UDP headers: what a client's maximum counts beside the message */
#define DHCP4_PACKET_HEADERS (20 + 8)

/* All domains of option 119 before it is split */
#define DHCP4_DOMAINS_MAX 1024

/* RFC 4702: flags and two RCODEs in front of the name */
#define DHCP4_FQDN_HEADER_LEN 3
#define DHCP4_FQDN_RCODE 255

/* One option of a field; false: END, the field's end, or an error in @c. */
static bool option_next(Cursor *c, uint8_t *ret_code, Cursor *ret_data)
{
    uint8_t code;

    do {
        if (cursor_left(c) == 0) {
            return false;
        }
        code = cursor_u8(c);
    } while (code == DHCP4_OPTION_PAD);
    if (code == DHCP4_OPTION_END) {
        return false;
    }
    *ret_code = code;
    *ret_data = cursor_sub(c, cursor_u8(c));
    return !c->error;
}

static bool options_measure(Cursor c, Dhcp4Message *msg)
{
    uint8_t code;
    Cursor data;

    while (option_next(&c, &code, &data)) {
        msg->options[code].len += cursor_left(&data);
        msg->options[code].data = msg->storage; /* present; placed later */
    }
    return !c.error;
}

/* @fill: bytes of each option that are in place */
static void options_copy(Cursor c, Dhcp4Message *msg, uint16_t fill[256])
{
    uint8_t code;
    Cursor data;

    while (option_next(&c, &code, &data)) {
        size_t offset = msg->options[code].data - msg->storage + fill[code];
        size_t len = cursor_left(&data);

        cursor_copy(&data, msg->storage + offset, len);
        fill[code] += len;
    }
}

/* Option 52 counts in the option field only (RFC 2132 9.3). */
static bool overload_find(Cursor c, uint8_t *ret_overload)
{
    uint8_t code;
    Cursor data;

    *ret_overload = 0;
    while (option_next(&c, &code, &data)) {
        if (code == DHCP4_OPTION_OVERLOAD) {
            *ret_overload = cursor_u8(&data);
            if (*ret_overload < DHCP4_OVERLOAD_FILE ||
                *ret_overload > (DHCP4_OVERLOAD_FILE | DHCP4_OVERLOAD_SNAME)) {
                return false;
            }
        }
    }
    return !c.error;
}

static bool options_join(Dhcp4Message *msg, Cursor fields[3])
{
    uint16_t fill[256] = { 0 };
    size_t used = 0;
    unsigned i;

    for (i = 0; i < 3; i++) {
        if (!options_measure(fields[i], msg)) {
            return false;
        }
    }
    for (i = 0; i < G_N_ELEMENTS(msg->options); i++) {
        if (msg->options[i].data) {
            msg->options[i].data = msg->storage + used;
            used += msg->options[i].len;
        }
    }
    for (i = 0; i < 3; i++) {
        options_copy(fields[i], msg, fill);
    }
    return true;
}

/* A name in DNS form, perhaps without its final zero (RFC 4702 2.3.1) */
static bool fqdn_from_wire(const uint8_t *data, size_t len, char *ret_text)
{
    uint8_t wire[DNS_NAME_MAX + 1];
    char text[DNS_NAME_STRLEN];
    DnsName name;
    Cursor c;

    if (len > DNS_NAME_MAX) {
        return false;
    }
    memcpy(wire, data, len);
    wire[len] = 0;
    c = cursor_new(wire, len + 1);
    if (!dns_name_read(&c, NULL, &name) || name.len <= 1 ||
        strlen(dns_name_to_text(&name, text)) >=
            sizeof(((Dhcp4Message *)NULL)->fqdn)) {
        return false;
    }
    strcpy(ret_text, text);
    return true;
}

/* The older form: characters as they are (RFC 4702 2.3.2) */
static bool fqdn_from_ascii(const uint8_t *data, size_t len, char *ret_text)
{
    size_t i;

    while (len > 0 && (data[len - 1] == '\0' || data[len - 1] == '.')) {
        len--;
    }
    if (len == 0 || len >= sizeof(((Dhcp4Message *)NULL)->fqdn)) {
        return false;
    }
    for (i = 0; i < len; i++) {
        if (!g_ascii_isgraph(data[i])) {
            return false;
        }
    }
    memcpy(ret_text, data, len);
    ret_text[len] = '\0';
    return true;
}

static void fqdn_parse(Dhcp4Message *msg)
{
    const Dhcp4Bytes *option = &msg->options[DHCP4_OPTION_FQDN];
    const uint8_t *name;
    size_t len;

    if (option->len < DHCP4_FQDN_HEADER_LEN) {
        return;
    }
    msg->fqdn_flags = option->data[0];
    name = option->data + DHCP4_FQDN_HEADER_LEN;
    len = option->len - DHCP4_FQDN_HEADER_LEN;
    if (msg->fqdn_flags & DHCP4_FQDN_E) {
        fqdn_from_wire(name, len, msg->fqdn);
    } else {
        fqdn_from_ascii(name, len, msg->fqdn);
    }
}

bool dhcp4_option_u32(const Dhcp4Message *msg, uint8_t code, uint32_t *ret)
{
    const Dhcp4Bytes *option = &msg->options[code];
    Cursor c = cursor_new(option->data, option->len);

    if (!option->data || option->len != sizeof(*ret)) {
        return false;
    }
    *ret = cursor_u32(&c);
    return true;
}

bool dhcp4_option_u16(const Dhcp4Message *msg, uint8_t code, uint16_t *ret)
{
    const Dhcp4Bytes *option = &msg->options[code];
    Cursor c = cursor_new(option->data, option->len);

    if (!option->data || option->len != sizeof(*ret)) {
        return false;
    }
    *ret = cursor_u16(&c);
    return true;
}

bool dhcp4_wants(const Dhcp4Message *msg, uint8_t code)
{
    return msg->param_list.len > 0 &&
           memchr(msg->param_list.data, code, msg->param_list.len) != NULL;
}

/* The options that every server looks at, as numbers; not there: 0. */
static bool options_interpret(Dhcp4Message *msg)
{
    const Dhcp4Bytes *options = msg->options;
    const Dhcp4Bytes *type = &options[DHCP4_OPTION_MESSAGE_TYPE];

    if (type->data) {
        if (type->len != 1 || type->data[0] < DHCP4_DISCOVER ||
            type->data[0] > DHCP4_INFORM) {
            return false;
        }
        msg->type = (Dhcp4Type)type->data[0];
    }
    if ((options[DHCP4_OPTION_REQUESTED_IP].data &&
         !dhcp4_option_u32(msg, DHCP4_OPTION_REQUESTED_IP,
                           &msg->requested_ip)) ||
        (options[DHCP4_OPTION_SERVER_ID].data &&
         !dhcp4_option_u32(msg, DHCP4_OPTION_SERVER_ID, &msg->server_id)) ||
        (options[DHCP4_OPTION_LEASE_TIME].data &&
         !dhcp4_option_u32(msg, DHCP4_OPTION_LEASE_TIME, &msg->lease_s)) ||
        (options[DHCP4_OPTION_MAX_SIZE].data &&
         !dhcp4_option_u16(msg, DHCP4_OPTION_MAX_SIZE, &msg->max_size))) {
        return false;
    }
    msg->rapid_commit = options[DHCP4_OPTION_RAPID_COMMIT].data;
    msg->client_id = options[DHCP4_OPTION_CLIENT_ID];
    msg->hostname = options[DHCP4_OPTION_HOSTNAME];
    msg->param_list = options[DHCP4_OPTION_PARAMETER_LIST];
    msg->vendor_class = options[DHCP4_OPTION_VENDOR_CLASS];
    msg->user_class = options[DHCP4_OPTION_USER_CLASS];
    msg->relay_info = options[DHCP4_OPTION_RELAY_INFO];
    fqdn_parse(msg);
    return true;
}

bool dhcp4_parse(const void *data, size_t len, Dhcp4Message *ret_msg)
{
    Dhcp4Message *msg = ret_msg;
    Cursor c = cursor_new(data, len);
    Cursor fields[3], file, sname;
    uint8_t op, overload;

    memset(msg, 0, sizeof(*msg));
    if (len > sizeof(msg->storage)) {
        return false;
    }
    op = cursor_u8(&c);
    msg->htype = cursor_u8(&c);
    msg->hlen = cursor_u8(&c);
    msg->hops = cursor_u8(&c);
    msg->xid = cursor_u32(&c);
    msg->secs = cursor_u16(&c);
    msg->broadcast = cursor_u16(&c) & DHCP4_FLAG_BROADCAST;
    msg->ciaddr = cursor_u32(&c);
    msg->yiaddr = cursor_u32(&c);
    msg->siaddr = cursor_u32(&c);
    msg->giaddr = cursor_u32(&c);
    cursor_copy(&c, msg->chaddr, sizeof(msg->chaddr));
    sname = cursor_sub(&c, DHCP4_SNAME_LEN);
    file = cursor_sub(&c, DHCP4_FILE_LEN);
    if (cursor_u32(&c) != DHCP4_COOKIE || c.error ||
        (op != DHCP4_BOOTREQUEST && op != DHCP4_BOOTREPLY) ||
        msg->hlen > sizeof(msg->chaddr) || !overload_find(c, &overload)) {
        return false;
    }
    msg->op = (Dhcp4Op)op;

    /* RFC 3396 5: the order in which the pieces are joined */
    fields[0] = c;
    fields[1] = overload & DHCP4_OVERLOAD_FILE ? file : cursor_new(NULL, 0);
    fields[2] = overload & DHCP4_OVERLOAD_SNAME ? sname : cursor_new(NULL, 0);
    return options_join(msg, fields) && options_interpret(msg);
}

void dhcp4_begin(Dhcp4Builder *b, void *buf, size_t size,
                 const Dhcp4Message *header, Dhcp4Type type)
{
    Writer *w = &b->w;

    g_assert(size >= DHCP4_MESSAGE_MIN);
    *w = writer_new(buf, size - 1); /* the last byte is kept for END */
    writer_u8(w, header->op);
    writer_u8(w, header->htype);
    writer_u8(w, header->hlen);
    writer_u8(w, header->hops);
    writer_u32(w, header->xid);
    writer_u16(w, header->secs);
    writer_u16(w, header->broadcast ? DHCP4_FLAG_BROADCAST : 0);
    writer_u32(w, header->ciaddr);
    writer_u32(w, header->yiaddr);
    writer_u32(w, header->siaddr);
    writer_u32(w, header->giaddr);
    writer_bytes(w, header->chaddr, sizeof(header->chaddr));
    writer_zero(w, DHCP4_SNAME_LEN + DHCP4_FILE_LEN);
    writer_u32(w, DHCP4_COOKIE);
    if (type != DHCP4_BOOTP) {
        dhcp4_add_u8(b, DHCP4_OPTION_MESSAGE_TYPE, type);
    }
}

void dhcp4_reply_begin(Dhcp4Builder *b, void *buf, size_t size,
                       const Dhcp4Message *request, Dhcp4Type type,
                       uint32_t yiaddr, uint32_t siaddr)
{
    /* RFC 2132 9.10: 576 is the least that may be asked for. */
    size_t packet = MAX(request->max_size, DHCP4_PACKET_DEFAULT);
    Dhcp4Message header = {
        .op = DHCP4_BOOTREPLY,
        .htype = request->htype,
        .hlen = request->hlen,
        .xid = request->xid,
        .broadcast = request->broadcast,
        .yiaddr = yiaddr,
        .siaddr = siaddr,
        .giaddr = request->giaddr,
    };

    memcpy(header.chaddr, request->chaddr, sizeof(header.chaddr));
    if (type == DHCP4_ACK) {
        header.ciaddr = request->ciaddr;
    }
    /* RFC 2131 4.3.2: a NAK through a relay is broadcast by it. */
    if (type == DHCP4_NAK && request->giaddr != 0) {
        header.broadcast = true;
    }
    dhcp4_begin(b, buf, MIN(size, packet - DHCP4_PACKET_HEADERS), &header,
                type);
}

bool dhcp4_add_bytes(Dhcp4Builder *b, uint8_t code, const void *data,
                     size_t len)
{
    size_t n_pieces = len == 0 ? 1 : (len + UINT8_MAX - 1) / UINT8_MAX;
    const uint8_t *p = data;

    if (len + 2 * n_pieces > (size_t)(b->w.end - b->w.p)) {
        return false;
    }
    do {
        size_t piece = MIN(len, UINT8_MAX);

        writer_u8(&b->w, code);
        writer_u8(&b->w, piece);
        writer_bytes(&b->w, p, piece);
        p += piece;
        len -= piece;
    } while (len > 0);
    return true;
}

bool dhcp4_add_flag(Dhcp4Builder *b, uint8_t code)
{
    return dhcp4_add_bytes(b, code, "", 0);
}

bool dhcp4_add_u8(Dhcp4Builder *b, uint8_t code, uint8_t value)
{
    return dhcp4_add_bytes(b, code, &value, sizeof(value));
}

bool dhcp4_add_u16(Dhcp4Builder *b, uint8_t code, uint16_t value)
{
    uint8_t wire[2];

    writer_put_u16(wire, value);
    return dhcp4_add_bytes(b, code, wire, sizeof(wire));
}

bool dhcp4_add_u32(Dhcp4Builder *b, uint8_t code, uint32_t value)
{
    uint8_t wire[4];

    writer_put_u32(wire, value);
    return dhcp4_add_bytes(b, code, wire, sizeof(wire));
}

bool dhcp4_add_addrs(Dhcp4Builder *b, uint8_t code, const uint32_t *addrs,
                     unsigned n)
{
    uint8_t wire[63 * 4]; /* what fits into one option */
    Writer w = writer_new(wire, sizeof(wire));
    unsigned i;

    for (i = 0; i < n; i++) {
        writer_u32(&w, addrs[i]);
    }
    return n > 0 && !w.error &&
           dhcp4_add_bytes(b, code, wire, writer_len(&w));
}

bool dhcp4_add_string(Dhcp4Builder *b, uint8_t code, const char *text)
{
    return dhcp4_add_bytes(b, code, text, strlen(text));
}

bool dhcp4_add_echo(Dhcp4Builder *b, const Dhcp4Message *request, uint8_t code)
{
    const Dhcp4Bytes *option = &request->options[code];

    return option->data &&
           dhcp4_add_bytes(b, code, option->data, option->len);
}

/*
 * The place in @w where a name with the labels of @name's wire form from @pos
 * on was written before; -1: nowhere.  @marks: where labels begin
 */
static int suffix_find(const Writer *w, const uint16_t *marks, unsigned n_marks,
                       const DnsName *name, size_t pos)
{
    DnsName suffix = { .len = name->len - pos };
    unsigned i;

    memcpy(suffix.wire, name->wire + pos, suffix.len);
    for (i = 0; i < n_marks; i++) {
        Cursor c = cursor_new(w->start, writer_len(w));
        DnsName written;

        cursor_bytes(&c, marks[i]);
        if (dns_name_read_list(&c, w->start, &written) &&
            dns_name_equal(&written, &suffix)) {
            return marks[i];
        }
    }
    return -1;
}

static void writer_compressed(Writer *w, uint16_t *marks, unsigned *n_marks,
                              const DnsName *name)
{
    unsigned n_before = *n_marks;
    size_t pos = 0;

    while (name->wire[pos] != 0) {
        int found = suffix_find(w, marks, n_before, name, pos);

        if (found >= 0) {
            writer_u16(w, 0xc000 | found);
            return;
        }
        marks[(*n_marks)++] = writer_len(w);
        writer_bytes(w, name->wire + pos, 1 + name->wire[pos]);
        pos += 1 + name->wire[pos];
    }
    writer_u8(w, 0);
}

bool dhcp4_add_domains(Dhcp4Builder *b, const char *const *domains, unsigned n)
{
    uint8_t wire[DHCP4_DOMAINS_MAX];
    uint16_t marks[DHCP4_DOMAINS_MAX];
    Writer w = writer_new(wire, sizeof(wire));
    unsigned n_marks = 0, i;
    DnsName name;

    for (i = 0; i < n; i++) {
        if (!dns_name_from_text(domains[i], &name) ||
            writer_len(&w) + name.len > sizeof(wire)) {
            return false;
        }
        writer_compressed(&w, marks, &n_marks, &name);
    }
    return n > 0 && dhcp4_add_bytes(b, DHCP4_OPTION_DOMAIN_SEARCH, wire,
                                    writer_len(&w));
}

bool dhcp4_add_routes(Dhcp4Builder *b, const Dhcp4Route *routes, unsigned n)
{
    uint8_t wire[UINT8_MAX];
    Writer w = writer_new(wire, sizeof(wire));
    unsigned i;

    for (i = 0; i < n; i++) {
        unsigned len = MIN(routes[i].len, 32);
        uint8_t dst[4];

        /* Only the bytes that the mask reaches, and no bit beyond it */
        writer_put_u32(dst, len == 0 ? 0
                                     : routes[i].dst &
                                           UINT32_MAX << (32 - len));
        writer_u8(&w, len);
        writer_bytes(&w, dst, (len + 7) / 8);
        writer_u32(&w, routes[i].gateway);
    }
    return n > 0 && !w.error &&
           dhcp4_add_bytes(b, DHCP4_OPTION_CLASSLESS_ROUTES, wire,
                           writer_len(&w));
}

bool dhcp4_add_fqdn(Dhcp4Builder *b, uint8_t flags, const char *text)
{
    uint8_t wire[DHCP4_FQDN_HEADER_LEN + DNS_NAME_MAX];
    Writer w = writer_new(wire, sizeof(wire));
    DnsName name;

    if (!dns_name_from_text(text, &name)) {
        return false;
    }
    writer_u8(&w, flags | DHCP4_FQDN_E);
    writer_u8(&w, DHCP4_FQDN_RCODE);
    writer_u8(&w, DHCP4_FQDN_RCODE);
    writer_bytes(&w, name.wire, name.len);
    return dhcp4_add_bytes(b, DHCP4_OPTION_FQDN, wire, writer_len(&w));
}

size_t dhcp4_finish(Dhcp4Builder *b)
{
    Writer *w = &b->w;

    w->end++; /* the byte that dhcp4_begin() kept */
    writer_u8(w, DHCP4_OPTION_END);
    if (writer_len(w) < DHCP4_MESSAGE_MIN) {
        writer_zero(w, DHCP4_MESSAGE_MIN - writer_len(w));
    }
    return writer_len(w);
}
