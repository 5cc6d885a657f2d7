/*
 * vhost-user links: what each message does
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/vhost-user.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <unistd.h>

#include "port/bell.h"
#include "proto/eth.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Newer than the headers of Linux 6.1. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO 56
#endif

/* What a guest may ask of us, and what it may take. */
#define OFFLOADS_OFFERED \
    (BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | \
     BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO4) | \
     BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_GUEST_TSO6) | \
     BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_ECN) | \
     BIT(VIRTIO_NET_F_HOST_USO) | BIT(VIRTIO_NET_F_GUEST_USO4) | \
     BIT(VIRTIO_NET_F_GUEST_USO6))

#define FEATURES_OFFERED \
    (OFFLOADS_OFFERED | BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) | \
     BIT(VIRTIO_F_ANY_LAYOUT) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
     BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_NET_F_MRG_RXBUF) | \
     BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_STATUS) | \
     BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | \
     BIT(VHOST_F_LOG_ALL) | BIT(VU_F_PROTOCOL_FEATURES))

#define PROTOCOL_FEATURES_OFFERED \
    (VU_PROTOCOL_MQ | VU_PROTOCOL_LOG_SHMFD | VU_PROTOCOL_RARP | \
     VU_PROTOCOL_REPLY_ACK | VU_PROTOCOL_NET_MTU | VU_PROTOCOL_RESET_DEVICE | \
     VU_PROTOCOL_CONFIGURE_MEM_SLOTS | VU_PROTOCOL_STATUS)

/* The smallest MTU of IPv4 (RFC 791). */
#define MTU_MIN 68

static uint64_t features_offered(const VhostUser *dev)
{
    return FEATURES_OFFERED | (dev->n_rings > 2 ? BIT(VIRTIO_NET_F_MQ) : 0);
}

static bool has_started_rings(const VhostUser *dev)
{
    unsigned i;

    for (i = 0; i < dev->n_rings && !dev->rings[i].is_started; i++) {
        continue;
    }
    return i < dev->n_rings;
}

/* What the guest's driver takes, as the switch calls it. */
static unsigned offloads_taken(const VhostUser *dev)
{
    unsigned offloads = 0;

    if (vu_has_feature(dev, VIRTIO_NET_F_GUEST_CSUM)) {
        offloads |= SWITCH_OFFLOAD_CSUM;
    }
    if (vu_has_feature(dev, VIRTIO_NET_F_GUEST_TSO4)) {
        offloads |= SWITCH_OFFLOAD_TSO4;
    }
    if (vu_has_feature(dev, VIRTIO_NET_F_GUEST_TSO6)) {
        offloads |= SWITCH_OFFLOAD_TSO6;
    }
    if (vu_has_feature(dev, VIRTIO_NET_F_GUEST_ECN)) {
        offloads |= SWITCH_OFFLOAD_ECN;
    }
    if (vu_has_feature(dev, VIRTIO_NET_F_GUEST_USO4) &&
        vu_has_feature(dev, VIRTIO_NET_F_GUEST_USO6)) {
        offloads |= SWITCH_OFFLOAD_USO;
    }
    return offloads;
}

static void apply_features(VhostUser *dev, uint64_t features)
{
    dev->features = features;
    dev->header_len = features & (BIT(VIRTIO_F_VERSION_1) |
                                  BIT(VIRTIO_NET_F_MRG_RXBUF))
                      ? sizeof(struct virtio_net_hdr_v1)
                      : sizeof(struct virtio_net_hdr);
    port_set_offloads(dev->port, offloads_taken(dev));
}

static VuResult stop_rings(VhostUser *dev)
{
    unsigned i;

    for (i = 0; i < dev->n_rings; i++) {
        vu_ring_stop(&dev->rings[i]);
        vu_ring_set_enabled(&dev->rings[i], false);
    }
    return VU_DONE;
}

void vu_reset(VhostUser *dev)
{
    stop_rings(dev);
    apply_features(dev, 0);
    dev->status = 0;
}

static VuResult fail_error(VhostUser *dev, GError *error)
{
    vu_fail(dev, "%s", error->message);
    g_error_free(error);
    return VU_FAILED;
}

/* The ring that a message names; NULL: the link has failed. */
static VuRing *find_ring(VhostUser *dev, const VuMessage *msg, uint32_t index)
{
    if (index >= dev->n_rings) {
        vu_fail(dev, "message %s names ring %" G_GUINT32_FORMAT ", there are "
                "%u", vu_request_str(msg->request), index, dev->n_rings);
        return NULL;
    }
    return &dev->rings[index];
}

/* As above, of one that must not run: these settings are for its start. */
static VuRing *find_stopped_ring(VhostUser *dev, const VuMessage *msg,
                                 uint32_t index)
{
    VuRing *ring = find_ring(dev, msg, index);

    if (ring && ring->is_started) {
        vu_fail(dev, "message %s for ring %u, which is started",
                vu_request_str(msg->request), ring->index);
        return NULL;
    }
    return ring;
}

static VuResult get_features(VhostUser *dev, const VuMessage *msg)
{
    vu_reply_u64(dev, msg->request, features_offered(dev));
    return VU_REPLIED;
}

static VuResult set_features(VhostUser *dev, const VuMessage *msg)
{
    uint64_t changed = dev->features ^ msg->u.u64;

    if (msg->u.u64 & ~features_offered(dev)) {
        vu_fail(dev, "features 0x%" G_GINT64_MODIFIER "x were not offered",
                msg->u.u64 & ~features_offered(dev));
        return VU_FAILED;
    }
    if (has_started_rings(dev) && (changed & ~BIT(VHOST_F_LOG_ALL))) {
        vu_fail(dev, "features change while rings are started");
        return VU_FAILED;
    }
    apply_features(dev, msg->u.u64);
    if (!vu_has_feature(dev, VHOST_F_LOG_ALL)) {
        guest_memory_set_log(&dev->memory, NULL, -1, NULL);
    }
    return VU_DONE;
}

static VuResult get_protocol_features(VhostUser *dev, const VuMessage *msg)
{
    vu_reply_u64(dev, msg->request, PROTOCOL_FEATURES_OFFERED);
    return VU_REPLIED;
}

static VuResult set_protocol_features(VhostUser *dev, const VuMessage *msg)
{
    if (msg->u.u64 & ~PROTOCOL_FEATURES_OFFERED) {
        vu_fail(dev, "protocol features 0x%" G_GINT64_MODIFIER "x were not "
                "offered", msg->u.u64 & ~PROTOCOL_FEATURES_OFFERED);
        return VU_FAILED;
    }
    dev->protocol_features = msg->u.u64;
    return VU_DONE;
}

static VuResult do_nothing(VhostUser *dev, const VuMessage *msg)
{
    return VU_DONE;
}

/* The specification recommends no more than this for what is not used. */
static VuResult reset_owner(VhostUser *dev, const VuMessage *msg)
{
    return stop_rings(dev);
}

static VuResult reset_device(VhostUser *dev, const VuMessage *msg)
{
    vu_reset(dev);
    return VU_DONE;
}

static VuResult get_queue_num(VhostUser *dev, const VuMessage *msg)
{
    vu_reply_u64(dev, msg->request, dev->n_rings / 2);
    return VU_REPLIED;
}

static VuResult get_max_mem_slots(VhostUser *dev, const VuMessage *msg)
{
    vu_reply_u64(dev, msg->request, LIMIT_MEMORY_REGIONS);
    return VU_REPLIED;
}

static VuResult add_regions(VhostUser *dev, const VuMessage *msg)
{
    unsigned i;

    for (i = 0; i < msg->u.regions.n; i++) {
        GError *error = NULL;

        if (!guest_memory_add(&dev->memory, &msg->u.regions.at[i],
                              dev->fds[i], &error)) {
            return fail_error(dev, error);
        }
    }
    return vu_rings_remap(dev) ? VU_DONE : VU_FAILED;
}

/*
 * QEMU before 8.0 sends these once for each pair of queues: the same region
 * takes its own place, and one that has gone stays away.
 */
static VuResult add_mem_reg(VhostUser *dev, const VuMessage *msg)
{
    guest_memory_remove(&dev->memory, &msg->u.regions.at[0]);
    return add_regions(dev, msg);
}

static VuResult rem_mem_reg(VhostUser *dev, const VuMessage *msg)
{
    guest_memory_remove(&dev->memory, &msg->u.regions.at[0]);
    return vu_rings_remap(dev) ? VU_DONE : VU_FAILED;
}

static VuResult set_mem_table(VhostUser *dev, const VuMessage *msg)
{
    guest_memory_clear(&dev->memory);
    return add_regions(dev, msg);
}

static VuResult set_log_base(VhostUser *dev, const VuMessage *msg)
{
    GError *error = NULL;

    if (!guest_memory_set_log(&dev->memory, &msg->u.log, dev->fds[0], &error)) {
        return fail_error(dev, error);
    }
    vu_reply_u64(dev, msg->request, 0);
    return VU_REPLIED;
}

static VuResult set_vring_num(VhostUser *dev, const VuMessage *msg)
{
    VuRing *ring = find_stopped_ring(dev, msg, msg->u.state.index);

    if (!ring) {
        return VU_FAILED;
    }
    ring->config.num = msg->u.state.num;
    return VU_DONE;
}

static VuResult set_vring_base(VhostUser *dev, const VuMessage *msg)
{
    VuRing *ring = find_stopped_ring(dev, msg, msg->u.state.index);

    if (!ring) {
        return VU_FAILED;
    }
    ring->config.base = msg->u.state.num;
    return VU_DONE;
}

/* Comes for a started ring too, when logging begins or ends. */
static VuResult set_vring_addr(VhostUser *dev, const VuMessage *msg)
{
    VuRing *ring = find_ring(dev, msg, msg->u.addr.index);

    if (!ring) {
        return VU_FAILED;
    }
    ring->config.addr = msg->u.addr;
    return vu_rings_remap(dev) ? VU_DONE : VU_FAILED;
}

static VuResult get_vring_base(VhostUser *dev, const VuMessage *msg)
{
    VuRing *ring = find_ring(dev, msg, msg->u.state.index);
    VuVringState state;

    if (!ring) {
        return VU_FAILED;
    }
    vu_ring_stop(ring);
    state = (VuVringState) { ring->index, ring->config.base };
    vu_reply_state(dev, msg->request, &state);
    return VU_REPLIED;
}

/* The ring and the eventfd (-1: none) of SET_VRING_KICK, CALL and ERR. */
static VuRing *take_vring_fd(VhostUser *dev, const VuMessage *msg, int *ret_fd)
{
    VuRing *ring = find_ring(dev, msg, msg->u.u64 & VU_VRING_INDEX_MASK);

    if (!ring || msg->u.u64 & VU_VRING_NO_FD) {
        *ret_fd = -1;
        return ring;
    }
    if (!bell_is_eventfd(dev->fds[0])) {
        vu_fail(dev, "message %s for ring %u has something else than an "
                "eventfd", vu_request_str(msg->request), ring->index);
        return NULL;
    }
    *ret_fd = vu_take_fd(dev, 0);
    return ring;
}

static VuResult set_vring_kick(VhostUser *dev, const VuMessage *msg)
{
    int fd = -1;
    VuRing *ring = take_vring_fd(dev, msg, &fd);

    if (!ring) {
        return VU_FAILED;
    }
    if (fd < 0) {
        vu_fail(dev, "ring %u is to be polled", ring->index);
        return VU_FAILED;
    }
    return vu_ring_start(ring, fd) ? VU_DONE : VU_FAILED;
}

static void replace_fd(int *slot, int fd)
{
    if (*slot >= 0) {
        close(*slot);
    }
    *slot = fd;
}

static VuResult set_vring_call(VhostUser *dev, const VuMessage *msg)
{
    int fd = -1;
    VuRing *ring = take_vring_fd(dev, msg, &fd);

    if (!ring) {
        return VU_FAILED;
    }
    replace_fd(&ring->call_fd, fd);
    /* What was used while nobody could be called is told of now. */
    ring->vring.is_called_valid = false;
    ring->is_dirty = ring->is_started;
    vu_ring_flush(ring);
    return VU_DONE;
}

static VuResult set_vring_err(VhostUser *dev, const VuMessage *msg)
{
    int fd = -1;
    VuRing *ring = take_vring_fd(dev, msg, &fd);

    if (!ring) {
        return VU_FAILED;
    }
    replace_fd(&ring->err_fd, fd);
    return VU_DONE;
}

static VuResult set_vring_enable(VhostUser *dev, const VuMessage *msg)
{
    VuRing *ring = find_ring(dev, msg, msg->u.state.index);

    if (!ring) {
        return VU_FAILED;
    }
    vu_ring_set_enabled(ring, msg->u.state.num != 0);
    return dev->is_failed ? VU_FAILED : VU_DONE;
}

/* After a migration: tell the network where the guest's address is now. */
static VuResult send_rarp(VhostUser *dev, const VuMessage *msg)
{
    static const uint8_t template[28] = { 0, 1, 8, 0, 6, 4, 0, 3 };
    uint8_t buf[FRAME_LEN_MIN] = { 0 };
    struct iovec iov = { buf, sizeof(buf) };
    uint8_t mac[8];
    Frame frame;

    memcpy(mac, &msg->u.u64, sizeof(mac));
    memset(buf, 0xff, 6);
    memcpy(buf + 6, mac, 6);
    buf[12] = 0x80;
    buf[13] = 0x35;
    memcpy(buf + ETH_HEADER_LEN, template, sizeof(template));
    memcpy(buf + ETH_HEADER_LEN + 8, mac, 6);
    memcpy(buf + ETH_HEADER_LEN + 18, mac, 6);
    frame_init(&frame, &iov, 1);
    port_link_announce(dev->port, &frame);
    return VU_DONE;
}

static VuResult net_set_mtu(VhostUser *dev, const VuMessage *msg)
{
    return msg->u.u64 >= MTU_MIN && msg->u.u64 <= port_link_mtu(dev->port)
           ? VU_DONE : VU_REFUSED;
}

static VuResult set_status(VhostUser *dev, const VuMessage *msg)
{
    dev->status = msg->u.u64;
    return dev->status ? VU_DONE : stop_rings(dev);
}

static VuResult get_status(VhostUser *dev, const VuMessage *msg)
{
    vu_reply_u64(dev, msg->request, dev->status);
    return VU_REPLIED;
}

static VuResult (*const handlers[VU__MAX])(VhostUser *, const VuMessage *) = {
    [VU_GET_FEATURES] = get_features,
    [VU_SET_FEATURES] = set_features,
    [VU_SET_OWNER] = do_nothing,
    [VU_RESET_OWNER] = reset_owner,
    [VU_SET_MEM_TABLE] = set_mem_table,
    [VU_SET_LOG_BASE] = set_log_base,
    [VU_SET_LOG_FD] = do_nothing,
    [VU_SET_VRING_NUM] = set_vring_num,
    [VU_SET_VRING_ADDR] = set_vring_addr,
    [VU_SET_VRING_BASE] = set_vring_base,
    [VU_GET_VRING_BASE] = get_vring_base,
    [VU_SET_VRING_KICK] = set_vring_kick,
    [VU_SET_VRING_CALL] = set_vring_call,
    [VU_SET_VRING_ERR] = set_vring_err,
    [VU_GET_PROTOCOL_FEATURES] = get_protocol_features,
    [VU_SET_PROTOCOL_FEATURES] = set_protocol_features,
    [VU_GET_QUEUE_NUM] = get_queue_num,
    [VU_SET_VRING_ENABLE] = set_vring_enable,
    [VU_SEND_RARP] = send_rarp,
    [VU_NET_SET_MTU] = net_set_mtu,
    [VU_RESET_DEVICE] = reset_device,
    [VU_GET_MAX_MEM_SLOTS] = get_max_mem_slots,
    [VU_ADD_MEM_REG] = add_mem_reg,
    [VU_REM_MEM_REG] = rem_mem_reg,
    [VU_SET_STATUS] = set_status,
    [VU_GET_STATUS] = get_status,
};

VuResult vu_handle(VhostUser *dev, const VuMessage *msg)
{
    return msg->request < VU__MAX && handlers[msg->request]
           ? handlers[msg->request](dev, msg) : VU_REFUSED;
}
