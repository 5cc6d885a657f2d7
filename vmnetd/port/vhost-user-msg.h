/*
 * Messages of vhost-user, as bytes: what a front end asks and is answered
 *
 *   | request u32 | flags u32 | size u32 | payload: size bytes |   + descriptors
 *
 * Native byte order: both ends are on one host.  Parsing looks at bytes only;
 * whether a request makes sense now is the device's affair.
 *
 * After QEMU's docs/interop/vhost-user.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_VHOST_USER_MSG_H
#define VMNETD_PORT_VHOST_USER_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VU_HEADER_LEN 12
/** Memory regions of one message, and so descriptors that come with it. */
#define VU_REGIONS_MAX 8
/** The longest payload that we know is the memory table; others may be new. */
#define VU_PAYLOAD_MAX 512

typedef enum VuRequest {
    VU_GET_FEATURES = 1,
    VU_SET_FEATURES = 2,
    VU_SET_OWNER = 3,
    VU_RESET_OWNER = 4,
    VU_SET_MEM_TABLE = 5,
    VU_SET_LOG_BASE = 6,
    VU_SET_LOG_FD = 7,
    VU_SET_VRING_NUM = 8,
    VU_SET_VRING_ADDR = 9,
    VU_SET_VRING_BASE = 10,
    VU_GET_VRING_BASE = 11,
    VU_SET_VRING_KICK = 12,
    VU_SET_VRING_CALL = 13,
    VU_SET_VRING_ERR = 14,
    VU_GET_PROTOCOL_FEATURES = 15,
    VU_SET_PROTOCOL_FEATURES = 16,
    VU_GET_QUEUE_NUM = 17,
    VU_SET_VRING_ENABLE = 18,
    VU_SEND_RARP = 19,
    VU_NET_SET_MTU = 20,
    VU_RESET_DEVICE = 34,
    VU_GET_MAX_MEM_SLOTS = 36,
    VU_ADD_MEM_REG = 37,
    VU_REM_MEM_REG = 38,
    VU_SET_STATUS = 39,
    VU_GET_STATUS = 40,
    VU__MAX
} VuRequest;

/** Feature bit of SET_FEATURES: there are protocol features. */
#define VU_F_PROTOCOL_FEATURES 30
/** Bits of SET_PROTOCOL_FEATURES. */
#define VU_PROTOCOL_MQ                  (UINT64_C(1) << 0)
#define VU_PROTOCOL_LOG_SHMFD           (UINT64_C(1) << 1)
#define VU_PROTOCOL_RARP                (UINT64_C(1) << 2)
#define VU_PROTOCOL_REPLY_ACK           (UINT64_C(1) << 3)
#define VU_PROTOCOL_NET_MTU             (UINT64_C(1) << 4)
#define VU_PROTOCOL_RESET_DEVICE        (UINT64_C(1) << 13)
#define VU_PROTOCOL_CONFIGURE_MEM_SLOTS (UINT64_C(1) << 15)
#define VU_PROTOCOL_STATUS              (UINT64_C(1) << 16)

/** In the u64 of SET_VRING_KICK, CALL and ERR: the ring, and "no descriptor". */
#define VU_VRING_INDEX_MASK 0xff
#define VU_VRING_NO_FD 0x100
/** In VuVringAddr.flags: writes to the used ring are to be logged. */
#define VU_VRING_LOG 1

/**
 * VuRegion: a piece of guest memory.
 * @user_addr: where the front end has it; ring addresses are given so
 * @fd_offset: where it begins in the descriptor's file
 */
typedef struct VuRegion {
    uint64_t guest_addr, size, user_addr, fd_offset;
} VuRegion;

typedef struct VuVringState {
    uint32_t index, num;
} VuVringState;

typedef struct VuVringAddr {
    uint32_t index, flags;
    uint64_t desc, used, avail, log;
} VuVringAddr;

typedef struct VuLog {
    uint64_t size, fd_offset;
} VuLog;

/**
 * VuMessage: one request, parsed.
 * @request: may be one that we do not know: the payload is not looked at then
 * @needs_reply: asks for an answer to a request that has none of its own
 */
typedef struct VuMessage {
    uint32_t request;
    bool needs_reply;
    uint32_t size;
    union {
        uint64_t u64;
        VuVringState state;
        VuVringAddr addr;
        VuLog log;
        struct {
            VuRegion at[VU_REGIONS_MAX];
            unsigned n;
        } regions;
    } u;
} VuMessage;

/** vu_request_str: for messages; "?" if unknown. */
const char *vu_request_str(uint32_t request);
/** vu_request_is_known: one of VuRequest. */
bool vu_request_is_known(uint32_t request);
/** vu_request_has_reply: has an answer of its own; REPLY_ACK adds none. */
bool vu_request_has_reply(uint32_t request);

/**
 * vu_parse_header: what follows a header.
 * @ret_msg: request, needs_reply and size are set; size is how much payload
 *     is to be read
 *
 * Returns: NULL, or what is wrong with it.
 */
const char *vu_parse_header(const uint8_t buf[VU_HEADER_LEN],
                            VuMessage *ret_msg);
/**
 * vu_parse_payload: @msg is from vu_parse_header(), @buf has @msg->size bytes.
 * @n_fds: descriptors that came along
 *
 * Returns: NULL, or what is wrong with it.
 */
const char *vu_parse_payload(const uint8_t *buf, unsigned n_fds,
                             VuMessage *msg);

#define VU_REPLY_MAX (VU_HEADER_LEN + 8)
/** vu_build_u64: the answer to @request. Returns: its bytes. */
size_t vu_build_u64(uint8_t buf[VU_REPLY_MAX], uint32_t request,
                    uint64_t value);
size_t vu_build_state(uint8_t buf[VU_REPLY_MAX], uint32_t request,
                      const VuVringState *state);

#endif
