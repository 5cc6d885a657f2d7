/*
 * DNS messages on a byte stream: each has its length in front, in two bytes
 * (RFC 1035 4.2.2)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_DNS_STREAM_H
#define VMNETD_PROTO_DNS_STREAM_H

#include <stddef.h>
#include <stdint.h>

#define DNS_STREAM_PREFIX_LEN 2

/** DnsStream: what the next bytes of a connection are. */
typedef enum DnsStream {
    DNS_STREAM_PART,        /* the start of a message, or nothing yet */
    DNS_STREAM_MESSAGE,
    DNS_STREAM_BAD,         /* said to be shorter than a header: not DNS */
} DnsStream;

/**
 * dns_stream_next:
 * @data: what has come and was not dealt with yet, @len bytes
 * @ret_len: of the message, which is DNS_STREAM_PREFIX_LEN behind @data; only
 *     with DNS_STREAM_MESSAGE
 */
DnsStream dns_stream_next(const uint8_t *data, size_t len, size_t *ret_len);

#endif
