/*
 * TCP of the hostile guest
 *
 *   file: SYN 1000 | A +0 +0 | PA +0 -500 | A +2^20 +0 | ...   over and over
 *   gateway: SYN-ACK seq S ack 1001 --> the segments of that port of the guest
 *            become A 1001 S+1, PA 1001 S+1-500, ... where they lie
 *
 * A guest has no state but this: what the gateway's last segment has told of
 * each connection.  Checksums are changed as RFC 1624 has it: one that was wrong
 * stays wrong.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "blaster-flows.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE 9
#define SEGMENTS_MAX 4096

#define ETH_LEN 14
#define IP_LEN 20
#define TCP_LEN 20

#define TH_FIN 0x01
#define TH_SYN 0x02
#define TH_RST 0x04
#define TH_ACK 0x10

/* One connection: what is in its segments of the file by now. */
typedef struct Flow {
    uint32_t seq, ack;
    int first;              /* segment, -1: none */
} Flow;

struct Flows {
    uint16_t service;
    uint64_t answered;
    int n_segments;
    struct {
        uint8_t *tcp;
        int next;           /* of the same flow */
    } segments[SEGMENTS_MAX];
    Flow flows[65536];      /* by the guest's port */
};

static uint16_t get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* Change 16 bits of @tcp at @at, and its checksum as much. */
static void set16(uint8_t *tcp, size_t at, uint16_t value)
{
    uint32_t sum = (uint16_t)~get16(tcp + 16);

    sum += (uint16_t)~get16(tcp + at) + value;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    tcp[at] = value >> 8;
    tcp[at + 1] = value;
    tcp[16] = sum >> 8;
    tcp[17] = sum;
}

static void set32(uint8_t *tcp, size_t at, uint32_t value)
{
    set16(tcp, at, value >> 16);
    set16(tcp, at + 2, value);
}

/* Returns: the TCP header in @frame; NULL: there is none without IP options. */
static const uint8_t *find_tcp(const uint8_t *frame, size_t len)
{
    const uint8_t *ip = frame + ETH_LEN;

    if (len < ETH_LEN + IP_LEN + TCP_LEN || get16(frame + 12) != 0x0800 ||
        ip[0] != 0x45 || ip[9] != IPPROTO_TCP) {
        return NULL;
    }
    return ip + IP_LEN;
}

static void add_segment(Flows *flows, uint8_t *tcp)
{
    Flow *flow = &flows->flows[get16(tcp)];

    set16(tcp, 2, flows->service);
    if ((tcp[13] & TH_SYN) || flows->n_segments == SEGMENTS_MAX) {
        return;
    }
    flows->segments[flows->n_segments].tcp = tcp;
    flows->segments[flows->n_segments].next = flow->first;
    flow->first = flows->n_segments++;
}

Flows *flows_new(uint8_t *data, size_t len, uint16_t port)
{
    Flows *flows = calloc(1, sizeof(*flows));
    size_t at = 0, i;

    if (!flows) {
        abort();
    }
    flows->service = port;
    for (i = 0; i < 65536; i++) {
        flows->flows[i].first = -1;
    }
    while (at + 4 <= len) {
        size_t frame = get32(data + at);
        const uint8_t *tcp;

        at += 4;
        if (frame > len - at) {
            break;
        }
        tcp = find_tcp(data + at, frame);
        if (tcp && get16(tcp + 2) == SERVICE) {
            add_segment(flows, data + (tcp - data));
        }
        at += frame;
    }
    return flows;
}

static void flow_set(Flows *flows, Flow *flow, uint32_t seq, uint32_t ack)
{
    int i;

    for (i = flow->first; i >= 0; i = flows->segments[i].next) {
        uint8_t *tcp = flows->segments[i].tcp;

        set32(tcp, 4, get32(tcp + 4) + (seq - flow->seq));
        set32(tcp, 8, get32(tcp + 8) + (ack - flow->ack));
    }
    flow->seq = seq;
    flow->ack = ack;
}

void flows_hear(Flows *flows, const uint8_t *frame, size_t len)
{
    const uint8_t *tcp = find_tcp(frame, len);
    size_t total, headers;
    uint8_t flags;

    if (!tcp || get16(tcp) != flows->service) {
        return;
    }
    flags = tcp[13];
    total = get16(frame + ETH_LEN + 2);
    headers = IP_LEN + (tcp[12] >> 4) * 4;
    if ((flags & TH_RST) || !(flags & TH_ACK) || total < headers) {
        return;
    }
    flows->answered += (flags & TH_SYN) != 0;
    flow_set(flows, &flows->flows[get16(tcp + 2)], get32(tcp + 8),
             get32(tcp + 4) + (total - headers) + !!(flags & TH_SYN) +
             !!(flags & TH_FIN));
}

uint64_t flows_answered(const Flows *flows)
{
    return flows->answered;
}
