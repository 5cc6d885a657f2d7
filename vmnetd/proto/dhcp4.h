/*
 * DHCP for IPv4 (RFC 2131) and its options (RFC 2132 and those named below)
 *
 * dhcp4_parse() joins the options of a message from all three places where
 * they may be (RFC 2132 9.3) and an option's pieces to one (RFC 3396), in
 * memory of the message.  The builder is the same road back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PROTO_DHCP4_H
#define VMNETD_PROTO_DHCP4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/cursor.h"

#define DHCP4_SERVER_PORT 67
#define DHCP4_CLIENT_PORT 68

/** The fixed part, and the cookie behind it. */
#define DHCP4_HEADER_LEN 236
/** A message is padded to what BOOTP had (RFC 1542 2.1). */
#define DHCP4_MESSAGE_MIN 300
/** The longest message that is parsed, in bytes. */
#define DHCP4_MESSAGE_MAX 2048
/** RFC 2131 2: what every client takes, as an IP packet. */
#define DHCP4_PACKET_DEFAULT 576

typedef enum Dhcp4Op {
    DHCP4_BOOTREQUEST = 1,
    DHCP4_BOOTREPLY = 2,
} Dhcp4Op;

/** Message types (RFC 2132 9.6). */
typedef enum Dhcp4Type {
    DHCP4_BOOTP = 0,    /* no option 53: plain BOOTP */
    DHCP4_DISCOVER = 1,
    DHCP4_OFFER,
    DHCP4_REQUEST,
    DHCP4_DECLINE,
    DHCP4_ACK,
    DHCP4_NAK,
    DHCP4_RELEASE,
    DHCP4_INFORM,
} Dhcp4Type;

typedef enum Dhcp4OptionCode {
    DHCP4_OPTION_PAD = 0,
    DHCP4_OPTION_SUBNET_MASK = 1,
    DHCP4_OPTION_ROUTER = 3,
    DHCP4_OPTION_DNS = 6,
    DHCP4_OPTION_HOSTNAME = 12,
    DHCP4_OPTION_DOMAIN_NAME = 15,
    DHCP4_OPTION_MTU = 26,
    DHCP4_OPTION_BROADCAST = 28,
    DHCP4_OPTION_NTP = 42,
    DHCP4_OPTION_VENDOR_INFO = 43,
    DHCP4_OPTION_REQUESTED_IP = 50,
    DHCP4_OPTION_LEASE_TIME = 51,
    DHCP4_OPTION_OVERLOAD = 52,
    DHCP4_OPTION_MESSAGE_TYPE = 53,
    DHCP4_OPTION_SERVER_ID = 54,
    DHCP4_OPTION_PARAMETER_LIST = 55,
    DHCP4_OPTION_MESSAGE = 56,
    DHCP4_OPTION_MAX_SIZE = 57,
    DHCP4_OPTION_RENEWAL_TIME = 58,     /* T1 */
    DHCP4_OPTION_REBINDING_TIME = 59,   /* T2 */
    DHCP4_OPTION_VENDOR_CLASS = 60,
    DHCP4_OPTION_CLIENT_ID = 61,        /* RFC 4361; echoed: RFC 6842 */
    DHCP4_OPTION_USER_CLASS = 77,       /* RFC 3004 */
    DHCP4_OPTION_RAPID_COMMIT = 80,     /* RFC 4039 */
    DHCP4_OPTION_FQDN = 81,             /* RFC 4702 */
    DHCP4_OPTION_RELAY_INFO = 82,       /* RFC 3046: echoed, last */
    DHCP4_OPTION_IPV6_ONLY = 108,       /* RFC 8925 */
    DHCP4_OPTION_CAPTIVE_PORTAL = 114,  /* RFC 8910 */
    DHCP4_OPTION_DOMAIN_SEARCH = 119,   /* RFC 3397 */
    DHCP4_OPTION_CLASSLESS_ROUTES = 121, /* RFC 3442 */
    DHCP4_OPTION_END = 255,
} Dhcp4OptionCode;

/** Flags of option 81 (RFC 4702 2.1). */
typedef enum Dhcp4FqdnFlags {
    DHCP4_FQDN_S = 1 << 0,
    DHCP4_FQDN_O = 1 << 1,
    DHCP4_FQDN_E = 1 << 2,
    DHCP4_FQDN_N = 1 << 3,
} Dhcp4FqdnFlags;

/** Dhcp4Bytes: bytes inside a Dhcp4Message; @data is NULL: no such option. */
typedef struct Dhcp4Bytes {
    const uint8_t *data;
    uint16_t len;
} Dhcp4Bytes;

/**
 * Dhcp4Message: addresses and numbers in host order; an address that is not
 * there is 0. Do not copy it: Dhcp4Bytes point into @storage.
 * @hlen: at most 16
 * @lease_s: 0: none asked for; UINT32_MAX: for ever
 * @max_size: as asked for, IP and UDP headers included; 0: no option
 * @fqdn: of option 81 in dotted form, "" if there is none or it is no name
 * @options: each option by its code, its pieces joined
 */
typedef struct Dhcp4Message {
    Dhcp4Op op;
    uint8_t htype, hlen, hops;
    uint32_t xid;
    uint16_t secs;
    bool broadcast;
    uint32_t ciaddr, yiaddr, siaddr, giaddr;
    uint8_t chaddr[16];

    Dhcp4Type type;
    uint32_t requested_ip, server_id, lease_s;
    uint16_t max_size;
    bool rapid_commit;
    Dhcp4Bytes client_id, hostname, param_list, vendor_class, user_class,
        relay_info;
    uint8_t fqdn_flags;
    char fqdn[254];

    Dhcp4Bytes options[256];
    uint8_t storage[DHCP4_MESSAGE_MAX];
} Dhcp4Message;

/**
 * dhcp4_parse: the payload of a datagram; @ret_msg is written to in any case.
 *
 * Returns: false: too short or too long, no cookie, an option that runs past
 * its field, or a length that its meaning does not allow.  Without END the
 * options end where the message does (many clients).
 */
bool dhcp4_parse(const void *data, size_t len, Dhcp4Message *ret_msg);

/** dhcp4_wants: option @code is in the parameter request list. */
bool dhcp4_wants(const Dhcp4Message *msg, uint8_t code);

/**
 * dhcp4_option_u32: option @code if it is 4 bytes long.
 * dhcp4_option_u16: if it is 2.
 */
bool dhcp4_option_u32(const Dhcp4Message *msg, uint8_t code, uint32_t *ret);
bool dhcp4_option_u16(const Dhcp4Message *msg, uint8_t code, uint16_t *ret);

/**
 * Dhcp4Builder: a message being written.  Every dhcp4_add_*() writes an option
 * whole or not at all and says so; put first what matters most.
 */
typedef struct Dhcp4Builder {
    Writer w;
} Dhcp4Builder;

/** Dhcp4Route: a route of option 121. @gateway 0: on the link. Host order. */
typedef struct Dhcp4Route {
    uint32_t dst, gateway;
    uint8_t len;
} Dhcp4Route;

/**
 * dhcp4_begin: write @header's fixed fields, the cookie, and @type (unless it
 * is DHCP4_BOOTP).
 * @size: of @buf: at least DHCP4_MESSAGE_MIN
 */
void dhcp4_begin(Dhcp4Builder *b, void *buf, size_t size,
                 const Dhcp4Message *header, Dhcp4Type type);

/**
 * dhcp4_reply_begin: a reply to @request (RFC 2131 4.3.1, table 3): what is
 * copied is copied; never longer than the client takes.
 * @yiaddr: host order; 0 for a NAK and in answer to INFORM
 */
void dhcp4_reply_begin(Dhcp4Builder *b, void *buf, size_t size,
                       const Dhcp4Message *request, Dhcp4Type type,
                       uint32_t yiaddr, uint32_t siaddr);

bool dhcp4_add_flag(Dhcp4Builder *b, uint8_t code);
bool dhcp4_add_u8(Dhcp4Builder *b, uint8_t code, uint8_t value);
bool dhcp4_add_u16(Dhcp4Builder *b, uint8_t code, uint16_t value);
bool dhcp4_add_u32(Dhcp4Builder *b, uint8_t code, uint32_t value);
/** @addrs: @n addresses in host order; nothing is added if @n is 0. */
bool dhcp4_add_addrs(Dhcp4Builder *b, uint8_t code, const uint32_t *addrs,
                     unsigned n);
/** Longer than 255 bytes: in pieces (RFC 3396). */
bool dhcp4_add_bytes(Dhcp4Builder *b, uint8_t code, const void *data,
                     size_t len);
bool dhcp4_add_string(Dhcp4Builder *b, uint8_t code, const char *text);
/** The option as the client sent it (61: RFC 6842; 82, the last: RFC 3046). */
bool dhcp4_add_echo(Dhcp4Builder *b, const Dhcp4Message *request, uint8_t code);
/** Option 119: @n dotted names, compressed against each other (RFC 3397). */
bool dhcp4_add_domains(Dhcp4Builder *b, const char *const *domains, unsigned n);
/** Option 121 (RFC 3442): put the default route in, too: 3 is ignored then. */
bool dhcp4_add_routes(Dhcp4Builder *b, const Dhcp4Route *routes, unsigned n);
/** Option 81 in DNS form (E is set), RCODEs 255 (RFC 4702 2.2). */
bool dhcp4_add_fqdn(Dhcp4Builder *b, uint8_t flags, const char *name);

/**
 * dhcp4_finish: END, and padding to DHCP4_MESSAGE_MIN. Room for END has been
 * kept.
 *
 * Returns: bytes of the message.
 */
size_t dhcp4_finish(Dhcp4Builder *b);

#endif
