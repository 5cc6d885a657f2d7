/*
 * Frames and events between a network's switch, gateway and uplink, and the
 * ports of netdevs
 *
 * Theory of operation: the gateway is a port of the switch whose send() only
 * takes frames in; what it has to say leaves at the batch's end, by flush().
 * The uplink's frames leave by the same port whenever its sockets have data.
 * NAT asks for room before it reads a socket, and then nothing is lost; small
 * answers of gateway and NAT (ARP, DHCP, resets) are not worth a queue: where
 * a receiver takes no more, they are dropped and counted there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/network-internal.h"

#include <string.h>
#include <time.h>

#include "limits.h"
#include "vmnet/error.h"

/* Bytes offered to NAT where no port is known for an address: to be flooded. */
#define ROOM_UNKNOWN (2 * FRAME_LEN_MAX)
/* RFC 8200 5: where packets of this size do not pass, IPv6 is not offered. */
#define MTU_IPV6_MIN 1280

void network_gateway_arm(Network *network)
{
    int64_t deadline_ms = gateway_deadline(network->gateway);

    if (deadline_ms < 0) {
        loop_timer_disarm(network->gateway_timer);
    } else {
        loop_timer_arm(network->gateway_timer, deadline_ms);
    }
}

static void on_gateway_timer(void *opaque, int64_t now_ms)
{
    Network *network = opaque;

    gateway_run(network->gateway, now_ms);
    network_gateway_arm(network);
}

/* To the switch */

void network_output(void *opaque, Frame *frames, unsigned n, int64_t now_ms)
{
    Network *network = opaque;

    /* The gateway never waits: all are dealt with. */
    switch_input(network->gateway_port, frames, n, now_ms);
}

void network_to_host(void *opaque, const Frame *frame, int64_t now_ms)
{
    Network *network = opaque;

    switch_hand_on(network->sw, frame, now_ms);
}

/* Of a queue of @port, the one that frames which begin with @head go by. */
static size_t queue_room(SwitchPort *port, const NatHead *head)
{
    uint8_t buf[IP_HEADROOM + 4];
    struct iovec iov = { buf, ip_headers_len(head->ip.src.family) + 4 };
    uint8_t *ports = buf + iov.iov_len - 4;
    Frame frame;

    ip_headers_build(buf, &head->ip, 4);
    ports[0] = head->sport >> 8;
    ports[1] = head->sport;
    ports[2] = head->dport >> 8;
    ports[3] = head->dport;
    frame_init(&frame, &iov, 1);
    return switch_port_room(port, &frame);
}

NatRoom network_room(void *opaque, const NatHead *head, int64_t now_ms)
{
    Network *network = opaque;
    SwitchPort *port = switch_lookup(network->sw, &head->ip.eth_dst, now_ms);
    NatRoom room = { .bytes = ROOM_UNKNOWN };

    if (!port) {
        return room;
    }
    room.port_id = switch_port_id(port);
    room.is_by_flow = switch_port_has_queues(port);
    room.bytes = room.is_by_flow && head->ip.src.family != AF_UNSPEC
                 ? queue_room(port, head) : switch_port_room(port, NULL);
    if (room.bytes < NAT_ROOM_WANTED) {
        switch_port_wait(port, network->gateway_port);
    }
    return room;
}

unsigned network_offloads(void *opaque, const MacAddr *mac, int64_t now_ms)
{
    Network *network = opaque;
    SwitchPort *port = switch_lookup(network->sw, mac, now_ms);

    return port ? switch_port_offloads(port) : 0;
}

/* PortOps: from the switch */

static unsigned port_op_send(void *opaque, const Frame *frames, unsigned n,
                             int64_t now_ms)
{
    Network *network = opaque;

    gateway_input(network->gateway, frames, n, now_ms);
    return n;
}

static void port_op_flush(void *opaque)
{
    Network *network = opaque;

    gateway_flush(network->gateway, loop_now_ms());
    network_gateway_arm(network);
}

static void port_op_resume(void *opaque, SwitchPort *dst, int64_t now_ms)
{
    Network *network = opaque;

    if (network->uplink) {
        uplink_resume(network->uplink, switch_port_id(dst), now_ms);
    }
}

static const PortOps port_ops = {
    .send = port_op_send,
    .flush = port_op_flush,
    .resume = port_op_resume,
};

/* GatewayOps: from the gateway */

static void gateway_op_event(void *opaque, const GatewayEvent *event)
{
    Network *network = opaque;
    NetworkRegister *reg = network->reg;

    if (event->type != GATEWAY_LEASE_CONFLICT) {
        network_forwards_follow(network, event->lease->port);
    }
    reg->ops.lease_event(reg->opaque, network, event);
}

static void gateway_op_leases_changed(void *opaque)
{
    network_save_soon(opaque);
}

static void gateway_op_dropped(void *opaque, uint32_t id, SwitchDrop reason)
{
    Network *network = opaque;
    SwitchPort *port = switch_port_by_id(network->sw, id);

    if (port) {
        port_counter_add(&switch_port_counters(port)->drops[reason], 1);
    }
}

static int64_t gateway_op_wall_s(void *opaque)
{
    return time(NULL);
}

/* NAT's first question for a guest's address comes from no frame's batch. */
static void gateway_op_deadline(void *opaque, int64_t deadline_ms)
{
    network_gateway_arm(opaque);
}

static const GatewayOps gateway_ops = {
    .output = network_output,
    .event = gateway_op_event,
    .leases_changed = gateway_op_leases_changed,
    .dropped = gateway_op_dropped,
    .wall_s = gateway_op_wall_s,
    .deadline = gateway_op_deadline,
};

static void on_duplicate_mac(void *opaque, const MacAddr *mac,
                             uint32_t old_id, uint32_t new_id)
{
    Network *network = opaque;
    NetworkRegister *reg = network->reg;

    reg->ops.mac_conflict(reg->opaque, network, mac, old_id, new_id);
}

bool network_has_ipv6(const Network *network)
{
    return network->settings.mtu_bytes >= MTU_IPV6_MIN;
}

static Gateway *make_gateway(Network *network)
{
    const NetworkAddresses *addresses = &network->state.addresses;
    bool has_gateway = addresses->prefix.addr.family == AF_INET;
    GatewayConfig config = {
        .mac = network->state.mac,
        .mtu_bytes = network->settings.mtu_bytes,
        .host_only = network->mode == NETWORK_MODE_HOST,
        .lease_s = network->settings.lease_s,
        .domain = NETWORK_DOMAIN,
    };

    if (has_gateway) {
        config.gateway4 = ip_addr_v4(addresses->gateway);
        config.prefix4 = addresses->prefix;
        config.pool_first = addresses->pool_first;
        config.pool_last = addresses->pool_last;
        config.prefix6 = network->state.prefix6;
        config.dhcp = network->settings.dhcp;
        config.dns = network->settings.dns;
        config.ra = network->settings.ra && network_has_ipv6(network);
    }
    memcpy(config.hash_key, network->state.hash_key, sizeof(config.hash_key));
    return gateway_new(&config, &gateway_ops, network);
}

void network_plumb(Network *network)
{
    const NetworkAddresses *addresses = &network->state.addresses;
    SwitchConfig config = {
        .mtu_bytes = network->settings.mtu_bytes,
        .gateway_mac = network->state.mac,
        .duplicate_mac = on_duplicate_mac,
        .opaque = network,
    };

    if (addresses->prefix.addr.family == AF_INET) {
        config.gateway_addrs[0] = ip_addr_v4(addresses->gateway);
        config.gateway_addrs[1] = network_gateway6(network);
        ip_addr_parse(GATEWAY_LINK_LOCAL6, &config.gateway_addrs[2]);
    }
    network->gateway_timer = loop_timer_new(network->reg->config.loop,
                                            on_gateway_timer, network);
    network->sw = switch_new(&config);
    network->gateway = make_gateway(network);
    network->gateway_port = switch_port_add(network->sw, &port_ops, network,
                                            SWITCH_PORT_GATEWAY, 0);
    /* NAT writes a frame's data to a socket, however long it is, and knows
     * checksums that are not complete for what they are. */
    switch_port_set_offloads(network->gateway_port,
                             SWITCH_OFFLOAD_CSUM | SWITCH_OFFLOAD_TSO4 |
                             SWITCH_OFFLOAD_TSO6 | SWITCH_OFFLOAD_ECN |
                             SWITCH_OFFLOAD_USO);
}

/* Netdevs */

Port *network_port_new(Network *network, const NetworkPortConfig *config,
                       GError **error)
{
    Port *port;

    if (network->n_ports >= LIMIT_NETDEVS) {
        g_set_error(error, VMNET_ERROR, VMNET_FAILURE,
                    "network '%s' has %d netdevs already", network->name,
                    LIMIT_NETDEVS);
        return NULL;
    }
    port = network_bridged_has_pairs(network)
           ? network_bridged_port_new(network, config, error)
           : port_new(network->reg->config.loop, network->sw,
                      config->isolated ? SWITCH_PORT_ISOLATED : 0,
                      network->settings.mtu_bytes, config->events,
                      config->opaque);
    if (port) {
        network->n_ports++;
        network->had_ports = true;
    }
    return port;
}

void network_port_free(Network *network, Port *port)
{
    uint32_t id = switch_port_id(port_switch_port(port));

    network->n_ports--;
    if (network_bridged_has_pairs(network)) {
        network_bridged_port_free(network, port);
        return;
    }
    port_free(port);
    if (network->bridged) {
        network_bridged_port_gone(network->bridged, id);
    }
    gateway_port_gone(network->gateway, id, loop_now_ms());
    network_gateway_arm(network);
}
