/*
 * DNS proxy: a guest's query is answered from the zone (dns-zone.c), or goes
 * to the host's resolver by the uplink and its answer comes back
 *
 *   guest --UDP 53--> dns_query() --token--> UplinkOps.dns_query
 *     or TCP by            |                        |
 *     gateway_dns_query()  '<---- gateway_dns_reply(token)
 *
 * Theory of operation: a query that waits has a slot, whose number and
 * generation are the token that the resolver knows it by.  Query and answer
 * pass through as they are, EDNS0 and flags included; of the answer the
 * question is compared, the id restored, and its length fitted to what the
 * client takes.  The resolver answers every query, by SERVFAIL if need be; a
 * slot that it forgot is used again when it is old.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/gateway-internal.h"

#include "limits.h"
#include "proto/udp.h"

/* A slot that waited so long has been forgotten: the resolver takes 4 s. */
#define SLOT_STALE_MS 10000
/* The longest query that is looked at. */
#define QUERY_MAX 4096

G_STATIC_ASSERT(LIMIT_DNS_PER_NETWORK <= 256);

/**
 * DnsClient: who asked, and how the answer gets there.
 * @port: of the guest, which is charged; 0: unknown
 * @reply: of a query over TCP; else it was UDP, from @addr and @udp_port at
 *     @mac, to @own
 */
typedef struct DnsClient {
    GatewayDnsReply reply;
    void *opaque;
    uint32_t port;
    MacAddr mac;
    IpAddr addr, own;
    uint16_t udp_port;
} DnsClient;

/** DnsSlot: a query that waits. @token 0: free. */
typedef struct DnsSlot {
    uint32_t token;
    int64_t started_ms;
    DnsClient client;
    DnsMessage query;
} DnsSlot;

/** DnsProxy: @slots: made at the first query for the outside. */
struct DnsProxy {
    DnsSlot *slots;
    uint32_t generation;
    unsigned n_free;
    uint8_t free[LIMIT_DNS_PER_NETWORK];
};

DnsProxy *dns_proxy_new(void)
{
    return g_new0(DnsProxy, 1);
}

void dns_proxy_free(DnsProxy *proxy)
{
    if (proxy) {
        g_free(proxy->slots);
        g_free(proxy);
    }
}

/* Slots */

static void slots_make(DnsProxy *proxy)
{
    unsigned i;

    proxy->slots = g_new0(DnsSlot, LIMIT_DNS_PER_NETWORK);
    proxy->n_free = LIMIT_DNS_PER_NETWORK;
    for (i = 0; i < LIMIT_DNS_PER_NETWORK; i++) {
        proxy->free[i] = LIMIT_DNS_PER_NETWORK - 1 - i;
    }
}

static void slot_release(Gateway *gw, DnsSlot *slot)
{
    DnsProxy *proxy = gw->dns;

    slot->token = 0;
    proxy->free[proxy->n_free++] = slot - proxy->slots;
    if (slot->client.port != 0) {
        gateway_port(gw, slot->client.port)->n_dns--;
    }
}

static void slots_drop_stale(Gateway *gw)
{
    unsigned i;

    for (i = 0; i < LIMIT_DNS_PER_NETWORK; i++) {
        DnsSlot *slot = &gw->dns->slots[i];

        if (slot->token != 0 &&
            gw->now_ms - slot->started_ms >= SLOT_STALE_MS) {
            slot_release(gw, slot);
        }
    }
}

static DnsSlot *slot_take(Gateway *gw, const DnsClient *client,
                          const DnsMessage *query)
{
    DnsProxy *proxy = gw->dns;
    GatewayPort *port = client->port ? gateway_port(gw, client->port) : NULL;
    DnsSlot *slot;
    unsigned i;

    if (!proxy->slots) {
        slots_make(proxy);
    }
    if (proxy->n_free == 0 || (port && port->n_dns >= LIMIT_DNS_PER_PORT)) {
        slots_drop_stale(gw);
    }
    if (proxy->n_free == 0 || (port && port->n_dns >= LIMIT_DNS_PER_PORT) ||
        (port && !rate_limit_take(&port->dns, LIMIT_DNS_BURST,
                                  LIMIT_DNS_PER_SECOND, gw->now_ms))) {
        return NULL;
    }
    i = proxy->free[--proxy->n_free];
    slot = &proxy->slots[i];
    proxy->generation = (proxy->generation + 1) & 0x7fffff;
    slot->token = (proxy->generation << 8 | i) + 1;
    slot->started_ms = gw->now_ms;
    slot->client = *client;
    slot->query = *query;
    if (port) {
        port->n_dns++;
    }
    return slot;
}

static DnsSlot *slot_find(DnsProxy *proxy, uint32_t token)
{
    unsigned i = (token - 1) & 0xff;

    return token != 0 && proxy->slots && i < LIMIT_DNS_PER_NETWORK &&
           proxy->slots[i].token == token ? &proxy->slots[i] : NULL;
}

/* The same guest asks the same once more: the first answer will do. */
static bool is_repeated(Gateway *gw, const DnsClient *client,
                        const DnsMessage *query)
{
    unsigned i;

    if (client->reply || gateway_port(gw, client->port)->n_dns == 0) {
        return false;
    }
    for (i = 0; i < LIMIT_DNS_PER_NETWORK; i++) {
        const DnsSlot *slot = &gw->dns->slots[i];

        if (slot->token != 0 && !slot->client.reply &&
            slot->client.port == client->port &&
            slot->client.udp_port == client->udp_port &&
            slot->query.header.id == query->header.id &&
            ip_addr_equal(&slot->client.addr, &client->addr) &&
            gw->now_ms - slot->started_ms < SLOT_STALE_MS &&
            dns_same_question(&slot->query, query)) {
            return true;
        }
    }
    return false;
}

/* Answers */

/* What fits into one packet to @client that said @edns. */
static size_t udp_max(const Gateway *gw, const DnsClient *client,
                      const DnsEdns *edns)
{
    size_t headers = ip_headers_len(client->addr.family) - ETH_HEADER_LEN +
                     UDP_HEADER_LEN;
    size_t max = MAX(edns->udp_size, DNS_UDP_SIZE_DEFAULT);

    return MIN(max, gw->config.mtu_bytes - headers);
}

/* An answer over UDP of @max bytes at most; longer ones are truncated. */
static bool answer_udp(Gateway *gw, const DnsClient *client, uint16_t id,
                       const uint8_t *msg, size_t len, size_t max)
{
    IpHeaders headers = {
        .eth_src = gw->config.mac,
        .eth_dst = client->mac,
        .src = client->own,
        .dst = client->addr,
        .ttl = 64,
        .dont_fragment = true,
    };
    size_t payload_off = ip_headers_len(client->addr.family) + UDP_HEADER_LEN;
    uint8_t *buf = outbox_room(&gw->outbox, payload_off + len);
    uint8_t *payload = buf + payload_off;

    if (!buf) {
        return false;
    }
    memcpy(payload, msg, len);
    dns_set_id(payload, id);
    len = dns_truncate(payload, len, max);
    if (len == 0) {
        return false;
    }
    outbox_add(&gw->outbox, udp_build(buf, payload_off + len, &headers,
                                      DNS_PORT, client->udp_port,
                                      payload, len));
    return true;
}

/* An answer that we made ourselves, with the right id, of the right length. */
static void answer_own(Gateway *gw, const DnsClient *client, uint16_t id,
                       const uint8_t *msg, size_t len)
{
    if (client->reply) {
        client->reply(client->opaque, msg, len);
    } else {
        answer_udp(gw, client, id, msg, len, len);
    }
}

static void answer_rcode(Gateway *gw, const DnsClient *client,
                         const DnsMessage *query, DnsRcode rcode)
{
    uint8_t buf[DNS_UDP_SIZE_DEFAULT];
    DnsBuilder b;

    dns_reply_begin(&b, buf, sizeof(buf), query, DNS_FLAG_RA, rcode,
                    DNS_EDNS_SIZE);
    answer_own(gw, client, query->header.id, buf, dns_reply_finish(&b));
}

/* Queries */

static void forward(Gateway *gw, const DnsClient *client,
                    const DnsMessage *query, const uint8_t *msg, size_t len)
{
    DnsSlot *slot;
    uint32_t token;

    if (!gw->uplink_ops || !gw->uplink_ops->dns_query) {
        answer_rcode(gw, client, query, DNS_RCODE_SERVFAIL);
        return;
    }
    if (is_repeated(gw, client, query)) {
        return;
    }
    slot = slot_take(gw, client, query);
    if (!slot) {
        if (client->port != 0) {
            gateway_drop(gw, client->port, SWITCH_DROP_LIMIT);
        }
        if (client->reply) {
            answer_rcode(gw, client, query, DNS_RCODE_SERVFAIL);
        }
        return;
    }
    token = slot->token;
    if (!gw->uplink_ops->dns_query(gw->uplink, token, msg, len, gw->now_ms) &&
        (slot = slot_find(gw->dns, token))) {
        slot_release(gw, slot);
        answer_rcode(gw, client, query, DNS_RCODE_SERVFAIL);
    }
}

/* What is wrong with a query that we can read; NOERROR: nothing. */
static DnsRcode query_check(const DnsMessage *query)
{
    if (dns_opcode(query->header.flags) != 0) {
        return DNS_RCODE_NOTIMP;
    }
    if (query->edns.present && query->edns.version != 0) {
        return DNS_RCODE_BADVERS; /* RFC 6891 6.1.3 */
    }
    if (query->qtype == DNS_TYPE_AXFR || query->qtype == DNS_TYPE_IXFR) {
        return DNS_RCODE_REFUSED;
    }
    return DNS_RCODE_NOERROR;
}

static void query_input(Gateway *gw, const DnsClient *client,
                        const uint8_t *msg, size_t len)
{
    uint8_t buf[DNS_ZONE_SIZE];
    DnsMessage query;
    DnsHeader header;
    DnsRcode rcode;
    size_t max, n;

    if (!dns_header_parse(msg, len, &header) || header.flags & DNS_FLAG_QR) {
        if (client->port != 0) {
            gateway_drop(gw, client->port, SWITCH_DROP_MALFORMED);
        }
        return;
    }
    if (!dns_parse(msg, len, &query)) {
        n = dns_error_build(buf, msg, len, DNS_RCODE_FORMERR);
        if (n > 0) {
            answer_own(gw, client, header.id, buf, n);
        }
        return;
    }
    rcode = query_check(&query);
    if (rcode != DNS_RCODE_NOERROR) {
        answer_rcode(gw, client, &query, rcode);
        return;
    }

    max = client->reply ? sizeof(buf) : udp_max(gw, client, &query.edns);
    n = gateway_zone_answer(gw, &query, buf, MIN(max, sizeof(buf)));
    if (n > 0) {
        answer_own(gw, client, header.id, buf, n);
    } else if (gw->config.host_only) {
        answer_rcode(gw, client, &query, DNS_RCODE_REFUSED);
    } else {
        forward(gw, client, &query, msg, len);
    }
}

void gateway_dns_input(Gateway *gw, const Frame *frame, const IpPacket *ip)
{
    uint8_t msg[QUERY_MAX];
    DnsClient client = {
        .port = frame->src_port,
        .mac = ip->eth_src,
        .addr = ip->src,
        .own = ip->dst,
    };
    UdpDatagram udp;

    if (!udp_parse(frame, ip, &udp) || udp.payload_len > sizeof(msg) ||
        udp.sport == 0 ||
        frame_peek(frame, udp.payload_off, msg, udp.payload_len) !=
        udp.payload_len) {
        gateway_drop(gw, frame->src_port, SWITCH_DROP_MALFORMED);
        return;
    }
    client.udp_port = udp.sport;
    query_input(gw, &client, msg, udp.payload_len);
}

void gateway_dns_query(Gateway *gw, uint32_t port, const uint8_t *msg, size_t len,
                       GatewayDnsReply reply, void *opaque, int64_t now_ms)
{
    DnsClient client = { .reply = reply, .opaque = opaque, .port = port };

    gateway_set_now(gw, now_ms);
    query_input(gw, &client, msg, len);
}

void gateway_dns_cancel(Gateway *gw, void *opaque)
{
    unsigned i;

    for (i = 0; gw->dns->slots && i < LIMIT_DNS_PER_NETWORK; i++) {
        DnsSlot *slot = &gw->dns->slots[i];

        if (slot->token != 0 && slot->client.reply &&
            slot->client.opaque == opaque) {
            slot_release(gw, slot);
        }
    }
}

void gateway_dns_port_gone(Gateway *gw, uint32_t port)
{
    unsigned i;

    for (i = 0; gw->dns->slots && i < LIMIT_DNS_PER_NETWORK; i++) {
        DnsSlot *slot = &gw->dns->slots[i];

        if (slot->token != 0 && slot->client.port == port) {
            slot_release(gw, slot);
        }
    }
}

/* Replies */

static bool reply_matches(const DnsMessage *query, const uint8_t *msg,
                          size_t len)
{
    DnsMessage reply;

    return msg && dns_parse(msg, len, &reply) &&
           reply.header.flags & DNS_FLAG_QR &&
           dns_same_question(query, &reply);
}

static void reply_tcp(const DnsClient *client, uint16_t id,
                      const uint8_t *msg, size_t len)
{
    g_autofree uint8_t *copy = g_memdup2(msg, len);

    dns_set_id(copy, id);
    client->reply(client->opaque, copy, len);
}

void gateway_dns_reply(Gateway *gw, uint32_t token, const uint8_t *msg,
                       size_t len, int64_t now_ms)
{
    DnsSlot *slot = slot_find(gw->dns, token);
    DnsClient client;
    DnsMessage query;

    gateway_set_now(gw, now_ms);
    if (!slot) {
        return;
    }
    client = slot->client;
    query = slot->query;
    slot_release(gw, slot);

    if (!reply_matches(&query, msg, len)) {
        answer_rcode(gw, &client, &query, DNS_RCODE_SERVFAIL);
    } else if (client.reply) {
        reply_tcp(&client, query.header.id, msg, len);
    } else if (!answer_udp(gw, &client, query.header.id, msg, len,
                           udp_max(gw, &client, &query.edns))) {
        answer_rcode(gw, &client, &query, DNS_RCODE_SERVFAIL);
    }
    gateway_send_staged(gw);
}
