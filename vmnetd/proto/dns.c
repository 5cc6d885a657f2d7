/*
 * DNS messages: parse, walk, answer, truncate
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "proto/dns.h"

#include <string.h>

/* An OPT record without options: root, type, size, 4 bytes, no data */
#define DNS_OPT_LEN 11
#define DNS_OPT_DO 0x8000

#define DNS_FLAGS_COPIED (0xf << 11 | DNS_FLAG_RD | DNS_FLAG_CD)

bool dns_header_parse(const uint8_t *msg, size_t len, DnsHeader *ret_header)
{
    Cursor c = cursor_new(msg, len);
    DnsHeader header;

    header.id = cursor_u16(&c);
    header.flags = cursor_u16(&c);
    header.n_questions = cursor_u16(&c);
    header.n_answers = cursor_u16(&c);
    header.n_authority = cursor_u16(&c);
    header.n_additional = cursor_u16(&c);
    if (c.error) {
        return false;
    }
    *ret_header = header;
    return true;
}

static bool question_read(Cursor *c, const uint8_t *msg, DnsName *ret_name,
                          uint16_t *ret_type, uint16_t *ret_class)
{
    if (!dns_name_read(c, msg, ret_name)) {
        return false;
    }
    *ret_type = cursor_u16(c);
    *ret_class = cursor_u16(c);
    return !c->error;
}

void dns_walk_begin(DnsWalk *walk, const uint8_t *msg, size_t len)
{
    DnsHeader header = { 0 };
    uint16_t type, class;
    DnsName name;
    unsigned i;

    memset(walk, 0, sizeof(*walk));
    walk->msg = msg;
    walk->c = cursor_new(msg, len);
    if (len > UINT16_MAX || !dns_header_parse(msg, len, &header)) {
        walk->c.error = true;
        return;
    }
    cursor_bytes(&walk->c, DNS_HEADER_LEN);
    walk->left[DNS_SECTION_ANSWER] = header.n_answers;
    walk->left[DNS_SECTION_AUTHORITY] = header.n_authority;
    walk->left[DNS_SECTION_ADDITIONAL] = header.n_additional;
    for (i = 0; i < header.n_questions; i++) {
        if (!question_read(&walk->c, msg, &name, &type, &class)) {
            return;
        }
    }
}

bool dns_walk_next(DnsWalk *walk, DnsRecord *ret_record)
{
    Cursor *c = &walk->c;
    DnsRecord rr;

    while (walk->section < DNS_SECTION__MAX &&
           walk->left[walk->section] == 0) {
        walk->section++;
    }
    if (c->error || walk->section == DNS_SECTION__MAX) {
        return false;
    }
    walk->left[walk->section]--;

    rr.section = walk->section;
    rr.off = c->p - walk->msg;
    if (!dns_name_read(c, walk->msg, &rr.name)) {
        return false;
    }
    rr.type = cursor_u16(c);
    rr.class = cursor_u16(c);
    rr.ttl_s = cursor_u32(c);
    rr.rdata_len = cursor_u16(c);
    rr.rdata_off = c->p - walk->msg;
    if (!cursor_bytes(c, rr.rdata_len)) {
        return false;
    }
    *ret_record = rr;
    return true;
}

static void edns_parse(const DnsRecord *rr, DnsEdns *edns)
{
    edns->present = true;
    edns->udp_size = MAX(rr->class, DNS_UDP_SIZE_DEFAULT);
    edns->ext_rcode = rr->ttl_s >> 24;
    edns->version = rr->ttl_s >> 16;
    edns->dnssec_ok = rr->ttl_s & DNS_OPT_DO;
}

static bool record_is_opt(const DnsRecord *rr)
{
    return rr->type == DNS_TYPE_OPT && rr->section == DNS_SECTION_ADDITIONAL;
}

bool dns_parse(const uint8_t *msg, size_t len, DnsMessage *ret_msg)
{
    DnsMessage m = { .edns.udp_size = DNS_UDP_SIZE_DEFAULT };
    Cursor c = cursor_new(msg, len);
    DnsWalk walk;
    DnsRecord rr;

    if (!dns_header_parse(msg, len, &m.header) || m.header.n_questions != 1) {
        return false;
    }
    cursor_bytes(&c, DNS_HEADER_LEN);
    if (!question_read(&c, msg, &m.qname, &m.qtype, &m.qclass)) {
        return false;
    }
    m.question_end = c.p - msg;

    for (dns_walk_begin(&walk, msg, len); dns_walk_next(&walk, &rr);) {
        if (!record_is_opt(&rr)) {
            continue;
        }
        /* RFC 6891 6.1.1: one, and its owner is the root. */
        if (m.edns.present || rr.name.len != 1) {
            return false;
        }
        edns_parse(&rr, &m.edns);
    }
    if (walk.c.error) {
        return false;
    }
    *ret_msg = m;
    return true;
}

bool dns_same_question(const DnsMessage *query, const DnsMessage *reply)
{
    return query->qtype == reply->qtype && query->qclass == reply->qclass &&
           dns_name_equal(&query->qname, &reply->qname);
}

/* RFC 2181 8: a TTL with the top bit set is 0. */
static uint32_t ttl_sane(uint32_t ttl_s)
{
    return ttl_s > INT32_MAX ? 0 : ttl_s;
}

/* RFC 2308 5: the last field of an SOA bounds a negative answer. */
static bool soa_minimum(const uint8_t *msg, size_t len, const DnsRecord *rr,
                        uint32_t *ret_minimum_s)
{
    size_t end = rr->rdata_off + rr->rdata_len;
    Cursor c = cursor_new(msg, MIN(end, len));
    uint32_t minimum_s;
    DnsName name;

    cursor_bytes(&c, rr->rdata_off);
    if (!dns_name_read(&c, msg, &name) || !dns_name_read(&c, msg, &name)) {
        return false;
    }
    cursor_bytes(&c, 4 * 4); /* serial, refresh, retry, expire */
    minimum_s = cursor_u32(&c);
    if (c.error) {
        return false;
    }
    *ret_minimum_s = ttl_sane(minimum_s);
    return true;
}

bool dns_min_ttl(const uint8_t *msg, size_t len, uint32_t *ret_ttl_s)
{
    uint32_t ttl_s = UINT32_MAX;
    bool says = false;
    DnsWalk walk;
    DnsRecord rr;

    for (dns_walk_begin(&walk, msg, len); dns_walk_next(&walk, &rr);) {
        uint32_t minimum_s;

        if (record_is_opt(&rr)) {
            continue;
        }
        ttl_s = MIN(ttl_s, ttl_sane(rr.ttl_s));
        says |= rr.section == DNS_SECTION_ANSWER;
        if (rr.section == DNS_SECTION_AUTHORITY && rr.type == DNS_TYPE_SOA) {
            if (!soa_minimum(msg, len, &rr, &minimum_s)) {
                return false;
            }
            ttl_s = MIN(ttl_s, minimum_s);
            says = true;
        }
    }
    if (walk.c.error || !says) {
        return false;
    }
    *ret_ttl_s = ttl_s;
    return true;
}

void dns_reply_begin(DnsBuilder *b, void *buf, size_t size,
                     const DnsMessage *query, uint16_t flags, DnsRcode rcode,
                     uint16_t udp_size)
{
    size_t reserved = query->edns.present ? DNS_OPT_LEN : 0;

    memset(b, 0, sizeof(*b));
    b->w = writer_new(buf, size < reserved ? 0 : size - reserved);
    b->query = query;
    b->rcode = rcode;
    b->udp_size = udp_size;

    writer_u16(&b->w, query->header.id);
    writer_u16(&b->w, DNS_FLAG_QR | flags | (rcode & 0xf) |
                          (query->header.flags & DNS_FLAGS_COPIED));
    writer_u16(&b->w, 1);
    writer_zero(&b->w, 6); /* counts of the sections: dns_reply_finish() */
    writer_bytes(&b->w, query->qname.wire, query->qname.len);
    writer_u16(&b->w, query->qtype);
    writer_u16(&b->w, query->qclass);
}

/* The owner, compressed if it is the question's: the usual case. */
static void writer_owner(DnsBuilder *b, const DnsName *name)
{
    if (!name || dns_name_equal(name, &b->query->qname)) {
        writer_u16(&b->w, 0xc000 | DNS_HEADER_LEN);
    } else {
        writer_bytes(&b->w, name->wire, name->len);
    }
}

/*
 * Begin a record. Returns: where its length goes; NULL: does not fit.
 * @ret_start: for record_end(), which takes back what did not fit
 */
static uint8_t *record_begin(DnsBuilder *b, DnsSection section,
                             const DnsName *name, DnsType type,
                             uint32_t ttl_s, uint8_t **ret_start)
{
    /* Sections are written in the order in which they are counted. */
    g_assert(section >= b->section && section < DNS_SECTION__MAX);
    b->section = section;
    *ret_start = b->w.p;
    writer_owner(b, name);
    writer_u16(&b->w, type);
    writer_u16(&b->w, DNS_CLASS_IN);
    writer_u32(&b->w, ttl_s);
    return writer_room(&b->w, 2);
}

static void record_end(DnsBuilder *b, uint8_t *start, uint8_t *rdata_len)
{
    if (!b->w.error) {
        writer_put_u16(rdata_len, b->w.p - rdata_len - 2);
        b->counts[b->section]++;
        return;
    }
    if (start > b->w.start) {
        b->w.p = start;
        b->w.error = false;
    }
    if (b->section != DNS_SECTION_ADDITIONAL) {
        b->truncated = true;
    }
}

void dns_add_addr(DnsBuilder *b, DnsSection section, const DnsName *name,
                  uint32_t ttl_s, const IpAddr *addr)
{
    bool v4 = addr->family == AF_INET;
    uint8_t *start;
    uint8_t *len = record_begin(b, section, name,
                                v4 ? DNS_TYPE_A : DNS_TYPE_AAAA, ttl_s, &start);

    if (v4) {
        writer_u32(&b->w, addr->v4);
    } else {
        writer_bytes(&b->w, &addr->v6, sizeof(addr->v6));
    }
    record_end(b, start, len);
}

void dns_add_name(DnsBuilder *b, DnsSection section, const DnsName *name,
                  DnsType type, uint32_t ttl_s, const DnsName *target)
{
    uint8_t *start;
    uint8_t *len = record_begin(b, section, name, type, ttl_s, &start);

    writer_bytes(&b->w, target->wire, target->len);
    record_end(b, start, len);
}

void dns_add_soa(DnsBuilder *b, DnsSection section, const DnsName *zone,
                 uint32_t ttl_s, const DnsName *mname, const DnsName *rname,
                 uint32_t serial, uint32_t minimum_s)
{
    uint8_t *start;
    uint8_t *len = record_begin(b, section, zone, DNS_TYPE_SOA, ttl_s, &start);

    writer_bytes(&b->w, mname->wire, mname->len);
    writer_bytes(&b->w, rname->wire, rname->len);
    writer_u32(&b->w, serial);
    /* Nobody transfers this zone: RFC 1912 2.2's usual numbers. */
    writer_u32(&b->w, 3600);    /* refresh */
    writer_u32(&b->w, 600);     /* retry */
    writer_u32(&b->w, 86400);   /* expire */
    writer_u32(&b->w, minimum_s);
    record_end(b, start, len);
}

static void writer_opt(DnsBuilder *b)
{
    b->w.end += DNS_OPT_LEN; /* the room that dns_reply_begin() kept */
    writer_u8(&b->w, 0);     /* root */
    writer_u16(&b->w, DNS_TYPE_OPT);
    writer_u16(&b->w, b->udp_size);
    writer_u8(&b->w, b->rcode >> 4);
    writer_u8(&b->w, 0); /* version */
    writer_u16(&b->w, b->query->edns.dnssec_ok ? DNS_OPT_DO : 0);
    writer_u16(&b->w, 0);
    b->counts[DNS_SECTION_ADDITIONAL]++;
}

size_t dns_reply_finish(DnsBuilder *b)
{
    uint8_t *msg = b->w.start;
    unsigned i;

    if (b->w.error) {
        return 0;
    }
    if (b->query->edns.present) {
        writer_opt(b);
    }
    if (b->truncated) {
        msg[2] |= DNS_FLAG_TC >> 8;
    }
    for (i = 0; i < DNS_SECTION__MAX; i++) {
        writer_put_u16(msg + 6 + 2 * i, b->counts[i]);
    }
    return writer_len(&b->w);
}

size_t dns_error_build(uint8_t buf[DNS_HEADER_LEN], const uint8_t *msg,
                       size_t len, DnsRcode rcode)
{
    Writer w = writer_new(buf, DNS_HEADER_LEN);
    DnsHeader header;

    if (!dns_header_parse(msg, len, &header) || header.flags & DNS_FLAG_QR) {
        return 0;
    }
    writer_u16(&w, header.id);
    writer_u16(&w, DNS_FLAG_QR | (rcode & 0xf) |
                       (header.flags & DNS_FLAGS_COPIED));
    writer_zero(&w, 8);
    return writer_len(&w);
}

size_t dns_truncate(uint8_t *msg, size_t len, size_t max)
{
    size_t opt_off = 0, opt_len = 0, new_len;
    DnsMessage m;
    DnsWalk walk;
    DnsRecord rr;

    if (len <= max) {
        return len;
    }
    if (!dns_parse(msg, len, &m)) {
        return 0;
    }
    for (dns_walk_begin(&walk, msg, len); dns_walk_next(&walk, &rr);) {
        if (record_is_opt(&rr)) {
            opt_off = rr.off;
            opt_len = rr.rdata_off + rr.rdata_len - rr.off;
        }
    }
    new_len = m.question_end;
    if (new_len + opt_len > max) {
        opt_len = 0;
    }
    if (new_len > max) {
        return 0;
    }
    /* OPT's owner is the root: it can be moved without touching pointers. */
    memmove(msg + new_len, msg + opt_off, opt_len);
    writer_put_u16(msg + 2, m.header.flags | DNS_FLAG_TC);
    memset(msg + 6, 0, 6);
    writer_put_u16(msg + 10, opt_len > 0);
    return new_len + opt_len;
}

size_t dns_query_build(void *buf, size_t size, uint16_t id,
                       const DnsName *name, uint16_t type, uint16_t udp_size)
{
    Writer w = writer_new(buf, size);

    writer_u16(&w, id);
    writer_u16(&w, DNS_FLAG_RD);
    writer_u16(&w, 1);
    writer_zero(&w, 4);
    writer_u16(&w, udp_size > 0);
    writer_bytes(&w, name->wire, name->len);
    writer_u16(&w, type);
    writer_u16(&w, DNS_CLASS_IN);
    if (udp_size > 0) {
        writer_u8(&w, 0);
        writer_u16(&w, DNS_TYPE_OPT);
        writer_u16(&w, udp_size);
        writer_zero(&w, 6);
    }
    return w.error ? 0 : writer_len(&w);
}
