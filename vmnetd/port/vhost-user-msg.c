/*
 * Messages of vhost-user: one table says what each request carries
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/vhost-user-msg.h"

#include <string.h>

#define FLAG_VERSION_MASK 3
#define FLAG_VERSION 1
#define FLAG_REPLY (1 << 2)
#define FLAG_NEED_REPLY (1 << 3)

typedef enum Payload {
    PAYLOAD_NONE,
    PAYLOAD_U64,
    PAYLOAD_STATE,
    PAYLOAD_ADDR,
    PAYLOAD_LOG,
    PAYLOAD_TABLE,      /* up to VU_REGIONS_MAX regions, a descriptor each */
    PAYLOAD_REGION,
    PAYLOAD_VRING_FD,   /* a u64 that says whether a descriptor comes along */
} Payload;

/* Bytes of a payload; of a table without its regions. */
static const uint8_t payload_len[] = {
    [PAYLOAD_NONE] = 0,
    [PAYLOAD_U64] = 8,
    [PAYLOAD_STATE] = 8,
    [PAYLOAD_ADDR] = 40,
    [PAYLOAD_LOG] = 16,
    [PAYLOAD_TABLE] = 8,
    [PAYLOAD_REGION] = 40,
    [PAYLOAD_VRING_FD] = 8,
};

#define REGION_LEN 32

/**
 * @fds_min, @fds_max: descriptors that come along, except where the payload
 * says it
 */
typedef struct RequestInfo {
    const char *name;
    Payload payload;
    bool has_reply;
    uint8_t fds_min, fds_max;
} RequestInfo;

static const RequestInfo requests[VU__MAX] = {
    [VU_GET_FEATURES] = { "GET_FEATURES", PAYLOAD_NONE, true },
    [VU_SET_FEATURES] = { "SET_FEATURES", PAYLOAD_U64 },
    [VU_SET_OWNER] = { "SET_OWNER", PAYLOAD_NONE },
    [VU_RESET_OWNER] = { "RESET_OWNER", PAYLOAD_NONE },
    [VU_SET_MEM_TABLE] = { "SET_MEM_TABLE", PAYLOAD_TABLE },
    [VU_SET_LOG_BASE] = { "SET_LOG_BASE", PAYLOAD_LOG, true, 1, 1 },
    [VU_SET_LOG_FD] = { "SET_LOG_FD", PAYLOAD_NONE, false, 0, 1 },
    [VU_SET_VRING_NUM] = { "SET_VRING_NUM", PAYLOAD_STATE },
    [VU_SET_VRING_ADDR] = { "SET_VRING_ADDR", PAYLOAD_ADDR },
    [VU_SET_VRING_BASE] = { "SET_VRING_BASE", PAYLOAD_STATE },
    [VU_GET_VRING_BASE] = { "GET_VRING_BASE", PAYLOAD_STATE, true },
    [VU_SET_VRING_KICK] = { "SET_VRING_KICK", PAYLOAD_VRING_FD },
    [VU_SET_VRING_CALL] = { "SET_VRING_CALL", PAYLOAD_VRING_FD },
    [VU_SET_VRING_ERR] = { "SET_VRING_ERR", PAYLOAD_VRING_FD },
    [VU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", PAYLOAD_NONE, true },
    [VU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", PAYLOAD_U64 },
    [VU_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", PAYLOAD_NONE, true },
    [VU_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", PAYLOAD_STATE },
    [VU_SEND_RARP] = { "SEND_RARP", PAYLOAD_U64 },
    [VU_NET_SET_MTU] = { "NET_SET_MTU", PAYLOAD_U64 },
    [VU_RESET_DEVICE] = { "RESET_DEVICE", PAYLOAD_NONE },
    [VU_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", PAYLOAD_NONE, true },
    [VU_ADD_MEM_REG] = { "ADD_MEM_REG", PAYLOAD_REGION, false, 1, 1 },
    [VU_REM_MEM_REG] = { "REM_MEM_REG", PAYLOAD_REGION, false, 0, 1 },
    [VU_SET_STATUS] = { "SET_STATUS", PAYLOAD_U64 },
    [VU_GET_STATUS] = { "GET_STATUS", PAYLOAD_NONE, true },
};

bool vu_request_is_known(uint32_t request)
{
    return request < VU__MAX && requests[request].name;
}

const char *vu_request_str(uint32_t request)
{
    return vu_request_is_known(request) ? requests[request].name : "?";
}

bool vu_request_has_reply(uint32_t request)
{
    return vu_request_is_known(request) && requests[request].has_reply;
}

static uint32_t get_u32(const uint8_t *buf)
{
    uint32_t value;

    memcpy(&value, buf, sizeof(value));
    return value;
}

static uint64_t get_u64(const uint8_t *buf)
{
    uint64_t value;

    memcpy(&value, buf, sizeof(value));
    return value;
}

const char *vu_parse_header(const uint8_t buf[VU_HEADER_LEN],
                            VuMessage *ret_msg)
{
    uint32_t flags = get_u32(buf + 4);

    memset(ret_msg, 0, sizeof(*ret_msg));
    ret_msg->request = get_u32(buf);
    ret_msg->needs_reply = flags & FLAG_NEED_REPLY;
    ret_msg->size = get_u32(buf + 8);
    if ((flags & FLAG_VERSION_MASK) != FLAG_VERSION) {
        return "is of an unknown version";
    }
    if (flags & FLAG_REPLY) {
        return "is an answer to nothing";
    }
    if (ret_msg->size > VU_PAYLOAD_MAX) {
        return "is too long";
    }
    return NULL;
}

static void get_region(const uint8_t *buf, VuRegion *ret)
{
    ret->guest_addr = get_u64(buf);
    ret->size = get_u64(buf + 8);
    ret->user_addr = get_u64(buf + 16);
    ret->fd_offset = get_u64(buf + 24);
}

static const char *parse_table(const uint8_t *buf, unsigned n_fds,
                               VuMessage *msg)
{
    uint32_t n = get_u32(buf), i;

    if (n > VU_REGIONS_MAX) {
        return "has too many regions";
    }
    if (msg->size < payload_len[PAYLOAD_TABLE] + n * REGION_LEN) {
        return "is too short";
    }
    if (n_fds != n) {
        return "has not a descriptor for each region";
    }
    for (i = 0; i < n; i++) {
        get_region(buf + payload_len[PAYLOAD_TABLE] + i * REGION_LEN,
                   &msg->u.regions.at[i]);
    }
    msg->u.regions.n = n;
    return NULL;
}

static void parse_addr(const uint8_t *buf, VuVringAddr *ret)
{
    ret->index = get_u32(buf);
    ret->flags = get_u32(buf + 4);
    ret->desc = get_u64(buf + 8);
    ret->used = get_u64(buf + 16);
    ret->avail = get_u64(buf + 24);
    ret->log = get_u64(buf + 32);
}

/* What the payload itself says about descriptors. */
static const char *check_fds(const RequestInfo *info, const VuMessage *msg,
                             unsigned n_fds)
{
    unsigned min = info->fds_min, max = info->fds_max;

    if (info->payload == PAYLOAD_TABLE) {
        return NULL;
    }
    if (info->payload == PAYLOAD_VRING_FD) {
        min = max = msg->u.u64 & VU_VRING_NO_FD ? 0 : 1;
    }
    return n_fds < min || n_fds > max
           ? "has not the descriptors that belong to it" : NULL;
}

const char *vu_parse_payload(const uint8_t *buf, unsigned n_fds,
                             VuMessage *msg)
{
    const RequestInfo *info;

    if (!vu_request_is_known(msg->request)) {
        return NULL;
    }
    info = &requests[msg->request];
    if (msg->size < payload_len[info->payload]) {
        return "is too short";
    }
    switch (info->payload) {
    case PAYLOAD_NONE:
        break;
    case PAYLOAD_U64:
    case PAYLOAD_VRING_FD:
        msg->u.u64 = get_u64(buf);
        break;
    case PAYLOAD_STATE:
        msg->u.state.index = get_u32(buf);
        msg->u.state.num = get_u32(buf + 4);
        break;
    case PAYLOAD_ADDR:
        parse_addr(buf, &msg->u.addr);
        break;
    case PAYLOAD_LOG:
        msg->u.log.size = get_u64(buf);
        msg->u.log.fd_offset = get_u64(buf + 8);
        break;
    case PAYLOAD_TABLE:
        return parse_table(buf, n_fds, msg);
    case PAYLOAD_REGION:
        /* Eight bytes of padding come first. */
        get_region(buf + 8, &msg->u.regions.at[0]);
        msg->u.regions.n = 1;
        break;
    }
    return check_fds(info, msg, n_fds);
}

static size_t build(uint8_t *buf, uint32_t request, const void *payload,
                    uint32_t size)
{
    uint32_t flags = FLAG_VERSION | FLAG_REPLY;

    memcpy(buf, &request, 4);
    memcpy(buf + 4, &flags, 4);
    memcpy(buf + 8, &size, 4);
    memcpy(buf + VU_HEADER_LEN, payload, size);
    return VU_HEADER_LEN + size;
}

size_t vu_build_u64(uint8_t buf[VU_REPLY_MAX], uint32_t request,
                    uint64_t value)
{
    return build(buf, request, &value, sizeof(value));
}

size_t vu_build_state(uint8_t buf[VU_REPLY_MAX], uint32_t request,
                      const VuVringState *state)
{
    uint32_t payload[2] = { state->index, state->num };

    return build(buf, request, payload, sizeof(payload));
}
