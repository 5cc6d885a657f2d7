/*
 * DNS messages (RFC 1035), EDNS0 (RFC 6891), negative answers (RFC 2308)
 *
 * Names are kept in wire form, uncompressed.  A compression pointer is
 * followed only backwards, each further back than the last, so that reading a
 * name ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_DNS_H
#define VMNETD_PROTO_DNS_H

#include "proto/addr.h"
#include "proto/cursor.h"

#define DNS_PORT 53
#define DNS_HEADER_LEN 12
#define DNS_LABEL_MAX 63
/** Bytes of a name on the wire with its final zero (RFC 1035 2.3.4). */
#define DNS_NAME_MAX 255
/** Characters of a printed name with its NUL: each byte may become \DDD. */
#define DNS_NAME_STRLEN (4 * DNS_NAME_MAX + 1)
/** RFC 1035 4.2.1: what a client without EDNS takes over UDP. */
#define DNS_UDP_SIZE_DEFAULT 512

typedef enum DnsType {
    DNS_TYPE_A = 1,
    DNS_TYPE_NS = 2,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_IXFR = 251,
    DNS_TYPE_AXFR = 252,
    DNS_TYPE_ANY = 255,
} DnsType;

#define DNS_CLASS_IN 1
#define DNS_CLASS_ANY 255

typedef enum DnsRcode {
    DNS_RCODE_NOERROR = 0,
    DNS_RCODE_FORMERR = 1,
    DNS_RCODE_SERVFAIL = 2,
    DNS_RCODE_NXDOMAIN = 3,
    DNS_RCODE_NOTIMP = 4,
    DNS_RCODE_REFUSED = 5,
    DNS_RCODE_BADVERS = 16, /* needs EDNS for its upper bits */
} DnsRcode;

/** Flags of a header, host order; opcode and rcode lie between them. */
typedef enum DnsFlags {
    DNS_FLAG_QR = 1 << 15,
    DNS_FLAG_AA = 1 << 10,
    DNS_FLAG_TC = 1 << 9,
    DNS_FLAG_RD = 1 << 8,
    DNS_FLAG_RA = 1 << 7,
    DNS_FLAG_AD = 1 << 5,
    DNS_FLAG_CD = 1 << 4,
} DnsFlags;

/** DnsHeader: @n_*: records that the message says it has. */
typedef struct DnsHeader {
    uint16_t id, flags;
    uint16_t n_questions, n_answers, n_authority, n_additional;
} DnsHeader;

static inline unsigned dns_opcode(uint16_t flags)
{
    return flags >> 11 & 0xf;
}

static inline DnsRcode dns_rcode(uint16_t flags)
{
    return (DnsRcode)(flags & 0xf);
}

/** DnsName: @wire[0, @len): labels and the final zero; the root has @len 1. */
typedef struct DnsName {
    uint8_t len;
    uint8_t wire[DNS_NAME_MAX];
} DnsName;

/**
 * dns_name_read: a name at @c, which is inside message @msg; moves @c on.
 * @msg: NULL where compression is not allowed. A pointer into the header of
 *     a message is refused: no name lies there
 */
bool dns_name_read(Cursor *c, const uint8_t *msg, DnsName *ret_name);
/** dns_name_read_list: the same where no header comes first (RFC 3397). */
bool dns_name_read_list(Cursor *c, const uint8_t *list, DnsName *ret_name);
/**
 * dns_name_from_text: dotted, with or without the last dot, \. and \DDD as in
 * RFC 1035 5.1; "." is the root, "" is no name.
 */
bool dns_name_from_text(const char *text, DnsName *ret_name);
/** dns_name_to_text: without the last dot; the root is ".". */
const char *dns_name_to_text(const DnsName *name, char buf[DNS_NAME_STRLEN]);
/** Case-insensitive for ASCII (RFC 4343), here and below. */
bool dns_name_equal(const DnsName *a, const DnsName *b);
/** dns_name_is_under: @name is @zone or a name below it. */
bool dns_name_is_under(const DnsName *name, const DnsName *zone);
/** dns_name_n_labels: the root has 0. */
unsigned dns_name_n_labels(const DnsName *name);
/**
 * dns_name_relative: the labels of @name before @zone as text ("db.web" of
 * db.web.vmnet.internal); false if it is not under, or is, @zone.
 */
bool dns_name_relative(const DnsName *name, const DnsName *zone,
                       char buf[DNS_NAME_STRLEN]);

/** dns_reverse_parse: d.c.b.a.in-addr.arpa or the nibbles of ip6.arpa. */
bool dns_reverse_parse(const DnsName *name, IpAddr *ret_addr);
/** dns_reverse_name: the other way. */
void dns_reverse_name(const IpAddr *addr, DnsName *ret_name);

/**
 * DnsEdns: what an OPT record says.
 * @udp_size: at least DNS_UDP_SIZE_DEFAULT (RFC 6891 6.2.3), also without OPT
 */
typedef struct DnsEdns {
    bool present;
    uint16_t udp_size;
    uint8_t ext_rcode, version;
    bool dnssec_ok;
} DnsEdns;

/** DnsMessage: header, first question and EDNS of a query or an answer. */
typedef struct DnsMessage {
    DnsHeader header;
    DnsName qname;
    uint16_t qtype, qclass;
    DnsEdns edns;
    uint16_t question_end;  /* offset of the first record */
} DnsMessage;

/** dns_header_parse: false: shorter than a header. */
bool dns_header_parse(const uint8_t *msg, size_t len, DnsHeader *ret_header);

/**
 * dns_parse: a message with exactly one question, and all of its records
 * walked through.
 *
 * Returns: false: a name or length that lies, another number of questions, or
 * two OPT records.  To answer that with FORMERR: dns_error_build().
 */
bool dns_parse(const uint8_t *msg, size_t len, DnsMessage *ret_msg);

/** dns_same_question: RFC 5452 9.1: is @reply about what @query asked? */
bool dns_same_question(const DnsMessage *query, const DnsMessage *reply);

typedef enum DnsSection {
    DNS_SECTION_ANSWER,
    DNS_SECTION_AUTHORITY,
    DNS_SECTION_ADDITIONAL,
    DNS_SECTION__MAX
} DnsSection;

/** DnsRecord: @rdata_off from the message's first byte; @off of the record. */
typedef struct DnsRecord {
    DnsSection section;
    DnsName name;
    uint16_t type, class;
    uint32_t ttl_s;
    uint16_t off, rdata_off, rdata_len;
} DnsRecord;

/**
 * DnsWalk: the records of a message, one after the other.
 *
 *   for (dns_walk_begin(&walk, msg, len); dns_walk_next(&walk, &rr);) { ... }
 *   if (walk.c.error) { malformed }
 */
typedef struct DnsWalk {
    const uint8_t *msg;
    Cursor c;
    DnsSection section;
    unsigned left[DNS_SECTION__MAX];
} DnsWalk;

void dns_walk_begin(DnsWalk *walk, const uint8_t *msg, size_t len);
bool dns_walk_next(DnsWalk *walk, DnsRecord *ret_record);

/**
 * dns_min_ttl: seconds for which an answer may be kept: the lowest of all
 * records but OPT; for a negative one what its SOA allows (RFC 2308 5).
 * Negative TTLs count as 0 (RFC 2181 8).
 *
 * Returns: false: malformed, or nothing in it says.
 */
bool dns_min_ttl(const uint8_t *msg, size_t len, uint32_t *ret_ttl_s);

/** DnsBuilder: an answer being written. Initialize with dns_reply_begin(). */
typedef struct DnsBuilder {
    Writer w;
    const DnsMessage *query;
    unsigned counts[DNS_SECTION__MAX];
    DnsSection section;
    bool truncated;
    uint16_t rcode;
    uint16_t udp_size;
} DnsBuilder;

/**
 * dns_reply_begin: header and question of an answer to @query: id, opcode, RD
 * and CD are copied, QR is set.
 * @size: of @buf; the lesser of what transport and client take: see
 *     DnsEdns.udp_size. At least DNS_UDP_SIZE_DEFAULT
 * @flags: more of them: DNS_FLAG_AA, DNS_FLAG_RA
 * @udp_size: what we take, for our own OPT record, which is written if the
 *     query has one
 */
void dns_reply_begin(DnsBuilder *b, void *buf, size_t size,
                     const DnsMessage *query, uint16_t flags, DnsRcode rcode,
                     uint16_t udp_size);

/**
 * dns_add_*: records, the sections in order. @name: owner; NULL: the question.
 * One that does not fit is left out whole and sets TC (unless additional).
 */
void dns_add_addr(DnsBuilder *b, DnsSection section, const DnsName *name,
                  uint32_t ttl_s, const IpAddr *addr);
void dns_add_name(DnsBuilder *b, DnsSection section, const DnsName *name,
                  DnsType type, uint32_t ttl_s, const DnsName *target);
/** dns_add_soa: @minimum_s is how long a negative answer may be kept. */
void dns_add_soa(DnsBuilder *b, DnsSection section, const DnsName *zone,
                 uint32_t ttl_s, const DnsName *mname, const DnsName *rname,
                 uint32_t serial, uint32_t minimum_s);

/** dns_reply_finish: OPT, counts and TC. Returns: bytes of the message. */
size_t dns_reply_finish(DnsBuilder *b);

/**
 * dns_error_build: an answer without a question to something of which only the
 * header can be read: FORMERR.
 *
 * Returns: DNS_HEADER_LEN; 0 if it is itself an answer, or has no header.
 */
size_t dns_error_build(uint8_t buf[DNS_HEADER_LEN], const uint8_t *msg,
                       size_t len, DnsRcode rcode);

/**
 * dns_truncate: make @msg an answer of at most @max bytes: header, question
 * and OPT stay, TC is set.
 *
 * Returns: its new length; @len if that fits already; 0 if @msg is malformed
 * or even that does not fit.
 */
size_t dns_truncate(uint8_t *msg, size_t len, size_t max);

/** dns_set_id: overwrite the id of a message of at least 2 bytes. */
static inline void dns_set_id(uint8_t *msg, uint16_t id)
{
    writer_put_u16(msg, id);
}

/** dns_query_build: a recursive query for tests. Returns: 0: does not fit. */
size_t dns_query_build(void *buf, size_t size, uint16_t id,
                       const DnsName *name, uint16_t type, uint16_t udp_size);

#endif
