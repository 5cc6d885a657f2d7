/*
 * Flows handed over to another process: its Nat goes on where this one stopped
 *
 * Theory of operation
 *
 * The sockets are the same ones, and with them the kernel's half of each
 * connection; what is written is the translator's half.  What a guest has not
 * had acknowledged is not: data held behind a hole, fragments, datagrams that
 * wait for room, the guest's SACK blocks.  It sends such data again, and each
 * flow begins by acknowledging, telling its window and reading its socket.
 *
 * A flow that makes no sense, or finds no room, is left out alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/nat-int.h"

#define VERSION 1

typedef struct SaveKind {
    HandoverTag tag;
    void (*save)(const Flow *flow, Handover *out, int64_t now_ms);
    bool (*load)(Nat *nat, Cursor *c, HandoverFds *fds, const SavedFlow *saved,
                 int64_t now_ms);
} SaveKind;

static const SaveKind kinds[FLOW_KIND__MAX] = {
    [FLOW_TCP] = { HANDOVER_NAT_TCP, tcp_save, tcp_load },
    [FLOW_UDP] = { HANDOVER_NAT_UDP, udp_save, udp_load },
    [FLOW_ICMP] = { HANDOVER_NAT_ICMP, icmp_save, icmp_load },
    /* FLOW_UDP_PEER: with its forward */
};

static int by_age(gconstpointer a, gconstpointer b)
{
    const Flow *one = *(Flow **)a, *two = *(Flow **)b;

    return (one->last_ms > two->last_ms) - (one->last_ms < two->last_ms);
}

void nat_save_flow(const Flow *flow, Handover *out, int64_t now_ms)
{
    handover_endpoint(out, &flow->guest);
    handover_endpoint(out, &flow->outside);
    handover_mac(out, &flow->mac);
    handover_u32(out, flow_port_id(flow));
    handover_age(out, flow->last_ms, now_ms);
}

bool nat_load_flow(Cursor *c, SavedFlow *ret_saved, int64_t now_ms)
{
    handover_read_endpoint(c, &ret_saved->guest);
    handover_read_endpoint(c, &ret_saved->outside);
    handover_read_mac(c, &ret_saved->mac);
    ret_saved->port_id = cursor_u32(c);
    ret_saved->last_ms = handover_read_age(c, now_ms);
    return !c->error && ret_saved->guest.addr.family != AF_UNSPEC;
}

bool nat_may_load(Nat *nat, const FlowKey *key, const SavedFlow *saved)
{
    return !flow_table_find(nat->flows, key) &&
           !flow_table_victim(nat->flows, saved->port_id, false);
}

bool nat_fd_is(int fd, int type, sa_family_t family)
{
    int value[2] = { -1, -1 };
    socklen_t len[2] = { sizeof(value[0]), sizeof(value[1]) };

    return fd >= 0 &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &value[0], &len[0]) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value[1], &len[1]) == 0 &&
           value[0] == type && value[1] == family;
}

void nat_save(Nat *nat, Handover *out, int64_t now_ms)
{
    g_autoptr(GPtrArray) flows = g_ptr_array_new();
    unsigned begin, item, i;
    Flow *flow = NULL;

    nat_flush(nat, now_ms);
    while ((flow = flow_table_next(nat->flows, flow))) {
        g_ptr_array_add(flows, flow);
    }
    g_ptr_array_sort(flows, by_age);
    begin = handover_begin(out, HANDOVER_NAT);
    handover_u16(out, VERSION);
    handover_u16(out, nat->ip_id);
    handover_u32(out, nat->ip6_id);
    for (i = 0; i < flows->len; i++) {
        const SaveKind *kind = &kinds[flow_kind(flows->pdata[i])];

        if (kind->save) {
            item = handover_begin(out, kind->tag);
            nat_save_flow(flows->pdata[i], out, now_ms);
            kind->save(flows->pdata[i], out, now_ms);
            handover_end(out, item);
        }
    }
    handover_end(out, begin);
}

void nat_free_saved(Nat *nat)
{
    nat->is_saved = true;
    nat_free(nat);
}

bool nat_load(Nat *nat, Cursor *c, HandoverFds *fds, int64_t now_ms)
{
    SavedFlow saved;
    unsigned kind;
    uint16_t tag;
    Cursor body;

    if (cursor_u16(c) != VERSION) {
        return false;
    }
    nat->ip_id = cursor_u16(c);
    nat->ip6_id = cursor_u32(c);
    while (handover_next(c, &tag, &body)) {
        for (kind = 0; kind < FLOW_KIND__MAX; kind++) {
            if (kinds[kind].load && kinds[kind].tag == tag &&
                (!nat_load_flow(&body, &saved, now_ms) ||
                 !kinds[kind].load(nat, &body, fds, &saved, now_ms))) {
                nat->stats.flows_refused++;
            }
        }
    }
    nat_done(nat, now_ms);
    return !c->error;
}
