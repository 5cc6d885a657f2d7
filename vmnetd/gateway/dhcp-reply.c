/*
 * DHCPv4 server: OFFER, ACK and NAK (RFC 2131 4.1, 4.3.1, 4.3.2)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "gateway/dhcp-server.h"

#include "proto/udp.h"

#define LEASE_MIN_S 20
#define IP_UDP_LEN (20 + UDP_HEADER_LEN)

/* RFC 2131 4.1: where an answer goes. */
static void reply_send(Gateway *gw, const DhcpRequest *req, Dhcp4Type type,
                       const uint8_t *payload, size_t len, uint32_t yiaddr)
{
    const Dhcp4Message *msg = req->msg;
    IpHeaders headers = {
        .eth_src = gw->config.mac,
        .eth_dst = req->mac,
        .src = gw->config.gateway4,
        .ttl = 64,
        .dont_fragment = true,
    };
    uint16_t dport = DHCP4_CLIENT_PORT;
    size_t size = UDP_HEADROOM + len;
    uint8_t *buf = outbox_room(&gw->outbox, size);

    if (msg->giaddr != 0) {
        headers.dst = ip_addr_v4(msg->giaddr);
        headers.eth_dst = req->eth_src;
        dport = DHCP4_SERVER_PORT;
    } else if (type != DHCP4_NAK && msg->ciaddr != 0) {
        headers.dst = ip_addr_v4(msg->ciaddr);
    } else if (type == DHCP4_NAK || msg->broadcast || yiaddr == 0) {
        headers.dst = ip_addr_v4(INADDR_BROADCAST);
        memset(&headers.eth_dst, 0xff, sizeof(headers.eth_dst));
    } else {
        headers.dst = ip_addr_v4(yiaddr);
    }
    if (buf) {
        outbox_add(&gw->outbox, udp_build(buf, size, &headers,
                                          DHCP4_SERVER_PORT, dport,
                                          payload, len));
    }
}

static void add_lease_times(Dhcp4Builder *b, uint32_t lease_s)
{
    dhcp4_add_u32(b, DHCP4_OPTION_LEASE_TIME, lease_s);
    dhcp4_add_u32(b, DHCP4_OPTION_RENEWAL_TIME, lease_s / 2);
    dhcp4_add_u32(b, DHCP4_OPTION_REBINDING_TIME, (uint64_t)lease_s * 7 / 8);
}

/* What every client needs, most important first. */
static void add_network(const Gateway *gw, Dhcp4Builder *b)
{
    const GatewayConfig *config = &gw->config;
    uint32_t mask = ip_len_to_mask(config->prefix4.len);

    dhcp4_add_u32(b, DHCP4_OPTION_SUBNET_MASK, mask);
    if (!config->host_only) {
        dhcp4_add_addrs(b, DHCP4_OPTION_ROUTER, &config->gateway4.v4, 1);
    }
    if (config->dns) {
        dhcp4_add_addrs(b, DHCP4_OPTION_DNS, &config->gateway4.v4, 1);
        if (config->domain[0]) {
            dhcp4_add_string(b, DHCP4_OPTION_DOMAIN_NAME, config->domain);
        }
    }
    dhcp4_add_u32(b, DHCP4_OPTION_BROADCAST, config->gateway4.v4 | ~mask);
}

/* What is sent only to those who ask for it. */
static void add_wanted(const Gateway *gw, const Dhcp4Message *msg,
                       Dhcp4Builder *b)
{
    const GatewayConfig *config = &gw->config;

    if (dhcp4_wants(msg, DHCP4_OPTION_MTU)) {
        dhcp4_add_u16(b, DHCP4_OPTION_MTU, MIN(config->mtu_bytes, UINT16_MAX));
    }
    if (dhcp4_wants(msg, DHCP4_OPTION_CLASSLESS_ROUTES) &&
        !config->host_only) {
        /* RFC 3442: who asked for this ignores the router option. */
        Dhcp4Route route = { .gateway = config->gateway4.v4 };

        dhcp4_add_routes(b, &route, 1);
    }
    if (dhcp4_wants(msg, DHCP4_OPTION_DOMAIN_SEARCH) && config->dns &&
        config->domain[0]) {
        dhcp4_add_domains(b, &config->domain, 1);
    }
    if (dhcp4_wants(msg, DHCP4_OPTION_IPV6_ONLY) &&
        config->v6only_wait_s > 0) {
        dhcp4_add_u32(b, DHCP4_OPTION_IPV6_ONLY,
                      MAX(config->v6only_wait_s, 300)); /* RFC 8925 3.4 */
    }
}

/* RFC 4702 4: we enter the name, whatever the client would like. */
static void add_fqdn(const Gateway *gw, const Dhcp4Message *msg,
                     const LeaseEntry *entry, Dhcp4Builder *b)
{
    g_autofree char *name = NULL;
    uint8_t flags = DHCP4_FQDN_S;

    if (!msg->fqdn[0] || !entry->has_name || !gw->config.dns) {
        return;
    }
    if (!(msg->fqdn_flags & DHCP4_FQDN_S)) {
        flags |= DHCP4_FQDN_O;
    }
    name = g_strdup_printf("%s.%s", entry->lease.hostname, gw->domain);
    dhcp4_add_fqdn(b, flags, name);
}

/* RFC 6842: the client-id comes back; RFC 3046 2.2: relay information last. */
static void add_echoes(const Dhcp4Message *msg, Dhcp4Builder *b)
{
    if (msg->client_id.data) {
        dhcp4_add_bytes(b, DHCP4_OPTION_CLIENT_ID, msg->client_id.data,
                        msg->client_id.len);
    }
    if (msg->relay_info.data) {
        dhcp4_add_bytes(b, DHCP4_OPTION_RELAY_INFO, msg->relay_info.data,
                        msg->relay_info.len);
    }
}

uint32_t dhcp_lease_time(const Gateway *gw, const Dhcp4Message *msg)
{
    if (msg->lease_s == 0) {
        return gw->config.lease_s;
    }
    return MIN(MAX(msg->lease_s, LEASE_MIN_S), gw->config.lease_s);
}

void dhcp_reply(Gateway *gw, const DhcpRequest *req, Dhcp4Type type,
                const LeaseEntry *entry)
{
    uint32_t yiaddr = entry ? entry->lease.addr.v4 : 0;
    uint8_t buf[DHCP4_MESSAGE_MAX];
    /* RFC 1122 3.3.3: no network carries less than 576. */
    size_t max = CLAMP(gw->config.mtu_bytes, DHCP4_PACKET_DEFAULT,
                       sizeof(buf)) - IP_UDP_LEN;
    Dhcp4Builder b;

    dhcp4_reply_begin(&b, buf, max, req->msg, type, yiaddr, 0);
    dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, gw->config.gateway4.v4);
    if (entry) {
        add_lease_times(&b, dhcp_lease_time(gw, req->msg));
    }
    add_network(gw, &b);
    if (type == DHCP4_ACK && entry && req->msg->type == DHCP4_DISCOVER) {
        dhcp4_add_flag(&b, DHCP4_OPTION_RAPID_COMMIT); /* RFC 4039 4 */
    }
    add_wanted(gw, req->msg, &b);
    if (entry) {
        add_fqdn(gw, req->msg, entry, &b);
    }
    add_echoes(req->msg, &b);
    reply_send(gw, req, type, buf, dhcp4_finish(&b), yiaddr);
}

void dhcp_reply_nak(Gateway *gw, const DhcpRequest *req, const char *why)
{
    uint8_t buf[DHCP4_MESSAGE_MAX];
    Dhcp4Builder b;

    dhcp4_reply_begin(&b, buf, sizeof(buf), req->msg, DHCP4_NAK, 0, 0);
    dhcp4_add_u32(&b, DHCP4_OPTION_SERVER_ID, gw->config.gateway4.v4);
    dhcp4_add_string(&b, DHCP4_OPTION_MESSAGE, why);
    add_echoes(req->msg, &b);
    reply_send(gw, req, DHCP4_NAK, buf, dhcp4_finish(&b), 0);
}
