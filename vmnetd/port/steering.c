/*
 * Receive steering: the queue pair that a guest uses for a flow
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/steering.h"

#include <string.h>

#include "limits.h"
#include "proto/eth.h"
#include "proto/random.h"
#include "proto/siphash.h"

/* A tagged Ethernet header, and IPv4's with all options, or IPv6's; ports. */
#define HEAD_LEN (ETH_HEADER_LEN + ETH_VLAN_LEN + 60 + 4)

/* For how long a flow keeps its place after the guest has last sent to it. */
#define KEEP_MS 3000

/* One end of a flow: all bytes count, unused ones are zero. */
typedef struct FlowEnd {
    uint8_t addr[16];
    uint16_t port, proto;
} FlowEnd;

typedef struct FlowKey {
    FlowEnd ends[2];
} FlowKey;

/**
 * Place: of one flow
 * @tag: the rest of its hash
 * @sent_ms: when the guest last sent to it; 0: the place is free
 */
typedef struct Place {
    uint32_t tag;
    uint8_t pair;
    int64_t sent_ms;
} Place;

/**
 * Steering:
 * @last_key, @last_hash: of the frame before: bulk comes in runs of one flow
 */
struct Steering {
    uint8_t hash_key[16];
    FlowKey last_key;
    uint64_t last_hash;
    Place places[LIMIT_STEERED_FLOWS];
};

Steering *steering_new(void)
{
    Steering *steering = g_new0(Steering, 1);

    random_bytes(steering->hash_key, sizeof(steering->hash_key));
    steering->last_hash = siphash24(steering->hash_key, &steering->last_key,
                                    sizeof(steering->last_key));
    return steering;
}

void steering_free(Steering *steering)
{
    g_free(steering);
}

static void set_addrs(FlowEnd ends[2], const uint8_t *src, size_t len)
{
    memcpy(ends[0].addr, src, len);
    memcpy(ends[1].addr, src + len, len);
}

static void set_ports(FlowEnd ends[2], uint8_t proto, const uint8_t *l4,
                      const uint8_t *end)
{
    ends[0].proto = ends[1].proto = proto;
    if ((proto == IPPROTO_TCP || proto == IPPROTO_UDP) && end - l4 >= 4) {
        memcpy(&ends[0].port, l4, 2);
        memcpy(&ends[1].port, l4 + 2, 2);
    }
}

/*
 * Whatever is wrong with the packet is not looked at: only that all frames of
 * a flow give the same.  Behind IPv6 extension headers nobody looks for ports.
 */
static bool set_ip_ends(FlowEnd ends[2], uint16_t type, const uint8_t *ip,
                        const uint8_t *end)
{
    if (type == ETH_TYPE_IPV4 && end - ip >= 20 && ip[0] >> 4 == 4) {
        size_t len = (ip[0] & 15) * 4;
        bool is_fragment = (ip[6] & 0x3f) || ip[7];

        set_addrs(ends, ip + 12, 4);
        set_ports(ends, ip[9], is_fragment ? end : MIN(ip + len, end), end);
        return true;
    }
    if (type == ETH_TYPE_IPV6 && end - ip >= 40 && ip[0] >> 4 == 6) {
        set_addrs(ends, ip + 8, 16);
        set_ports(ends, ip[6], ip + 40, end);
        return true;
    }
    return false;
}

/* The same key for both directions: the ends are sorted. */
static void make_key(const Frame *frame, FlowKey *ret_key)
{
    uint8_t head[HEAD_LEN] = { 0 };
    size_t len = frame_peek(frame, 0, head, sizeof(head));
    FlowEnd ends[2];
    EthHeader eth;
    unsigned first;

    memset(ends, 0, sizeof(ends));
    if (!eth_parse(frame, &eth) || eth.payload_off > len ||
        !set_ip_ends(ends, eth.type, head + eth.payload_off, head + len)) {
        set_addrs(ends, head, 6);
    }
    first = memcmp(&ends[0], &ends[1], sizeof(ends[0])) > 0;
    ret_key->ends[0] = ends[first];
    ret_key->ends[1] = ends[!first];
}

static uint64_t hash_of(Steering *steering, const Frame *frame)
{
    FlowKey key;

    make_key(frame, &key);
    if (memcmp(&key, &steering->last_key, sizeof(key))) {
        steering->last_key = key;
        steering->last_hash = siphash24(steering->hash_key, &key, sizeof(key));
    }
    return steering->last_hash;
}

static Place *place_of(Steering *steering, uint64_t hash)
{
    return &steering->places[hash % LIMIT_STEERED_FLOWS];
}

void steering_learn(Steering *steering, const Frame *frame, unsigned pair,
                    int64_t now_ms)
{
    uint64_t hash = hash_of(steering, frame);
    Place *place = place_of(steering, hash);

    if (place->tag == hash >> 32 || place->sent_ms == 0 ||
        now_ms - place->sent_ms > KEEP_MS) {
        *place = (Place) { .tag = hash >> 32, .pair = pair,
                           .sent_ms = MAX(now_ms, 1) };
    }
}

unsigned steering_find(Steering *steering, const Frame *frame,
                       const uint8_t *pairs, unsigned n)
{
    uint64_t hash = hash_of(steering, frame);
    const Place *place = place_of(steering, hash);

    if (place->sent_ms && place->tag == hash >> 32 &&
        memchr(pairs, place->pair, n)) {
        return place->pair;
    }
    /* Not the bits that say the place. */
    return pairs[(hash >> 48) % n];
}
