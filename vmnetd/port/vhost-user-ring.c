/*
 * vhost-user links: the states of rings, their kicks and calls
 *
 *             SET_VRING_KICK               SET_VRING_ENABLE
 *   stopped ------------------> started  <------------------> started
 *           <------------------ disabled                      enabled
 *             GET_VRING_BASE
 *
 * The specification starts a ring at its first kick.  A front end that comes
 * back hands over rings whose driver has kicked long ago and will not do so
 * again: a ring is looked at once when it becomes live, kicked or not.
 *
 * Kicks are watched edge-triggered and their eventfd is never read: one system
 * call less, and none that could block.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/vhost-user.h"

#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <unistd.h>

#include "port/bell.h"

void vu_ring_init(VuRing *ring, VhostUser *dev, unsigned index)
{
    *ring = (VuRing) { .dev = dev, .index = index, .kick_fd = -1,
                       .call_fd = -1, .err_fd = -1 };
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/*
 * Frames for the guest go to the rings that are live, and to the switch's bin
 * while there is none.
 */
static void update_live(VhostUser *dev)
{
    bool was_up = dev->n_live > 0;
    unsigned i;

    dev->n_live = 0;
    for (i = 0; i < dev->n_rings && !dev->is_failed; i += 2) {
        if (vu_ring_is_live(&dev->rings[i])) {
            dev->live[dev->n_live++] = vu_ring_pair(&dev->rings[i]);
        }
    }
    if (dev->n_live <= 1) {
        g_clear_pointer(&dev->steering, steering_free);
    } else if (!dev->steering) {
        dev->steering = steering_new();
    }
    port_link_set_queues(dev->port, dev->n_live > 1);
    if (dev->n_live && !was_up) {
        port_link_up(dev->port);
    } else if (!dev->n_live && was_up) {
        port_link_down(dev->port);
    }
}

bool vu_ring_check(VuRing *ring)
{
    if (ring->vring.broken) {
        vu_fail(ring->dev, "ring %u: %s", ring->index, ring->vring.broken);
    } else if (guest_memory_is_lost(&ring->dev->memory)) {
        vu_fail(ring->dev, "the front end took guest memory away");
    }
    return !ring->dev->is_failed;
}

/* Look at a ring as if it had been kicked. */
static void serve(VuRing *ring, int64_t now_ms)
{
    VhostUser *dev = ring->dev;

    if (dev->is_failed || !ring->is_started) {
        return;
    }
    if (!vu_ring_is_input(ring)) {
        if (ring->is_enabled && ring->owes_room) {
            vu_output_kicked(ring, now_ms);
        }
    } else if (!ring->is_enabled) {
        vu_input_discard(ring);
    } else if (!port_link_is_parked(dev->port, vu_ring_pair(ring))) {
        vu_input_run(ring, now_ms);
    }
}

static void on_kick(void *opaque, uint32_t events, int64_t now_ms)
{
    serve(opaque, now_ms);
}

static bool watch_kick(VuRing *ring, int kick_fd)
{
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&ring->kick_watch, loop_watch_free);
    close_fd(&ring->kick_fd);
    ring->kick_fd = kick_fd;
    if (kick_fd < 0) {
        return true;
    }
    ring->kick_watch = loop_watch_new(port_link_loop(ring->dev->port), kick_fd,
                                      EPOLLIN | EPOLLET, on_kick, ring, &error);
    if (!ring->kick_watch) {
        vu_fail(ring->dev, "ring %u: kick: %s", ring->index, error->message);
    }
    return ring->kick_watch;
}

bool vu_ring_start(VuRing *ring, int kick_fd)
{
    VhostUser *dev = ring->dev;
    const char *problem;

    if (!watch_kick(ring, kick_fd) || ring->is_started) {
        return !dev->is_failed;
    }
    ring->config.is_packed = vu_has_feature(dev, VIRTIO_F_RING_PACKED);
    ring->config.has_event_idx = vu_has_feature(dev, VIRTIO_RING_F_EVENT_IDX);
    ring->config.has_indirect = vu_has_feature(dev,
                                               VIRTIO_RING_F_INDIRECT_DESC);
    ring->config.is_read_only = vu_ring_is_input(ring);
    problem = vring_start(&ring->vring, &ring->config, &dev->memory);
    if (problem) {
        vu_fail(dev, "ring %u cannot start: %s", ring->index, problem);
        return false;
    }
    ring->is_started = true;
    ring->is_dirty = ring->owes_room = ring->is_overrun = false;
    ring->n_sent = 0;
    vring_disable_kick(&ring->vring);
    vu_ring_set_enabled(ring, ring->is_enabled ||
                        !vu_has_feature(dev, VU_F_PROTOCOL_FEATURES));
    return true;
}

void vu_ring_set_enabled(VuRing *ring, bool enabled)
{
    ring->is_enabled = enabled;
    update_live(ring->dev);
    if (enabled) {
        serve(ring, loop_now_ms());
    } else if (ring->is_started && vu_ring_is_input(ring)) {
        vring_enable_kick(&ring->vring);
    }
}

void vu_ring_stop(VuRing *ring)
{
    if (ring->is_started) {
        vu_ring_flush(ring);
        ring->config.base = vring_base(&ring->vring);
        ring->is_started = false;
    }
    g_clear_pointer(&ring->kick_watch, loop_watch_free);
    close_fd(&ring->kick_fd);
    update_live(ring->dev);
}

void vu_ring_clear(VuRing *ring)
{
    ring->is_started = ring->is_enabled = false;
    g_clear_pointer(&ring->kick_watch, loop_watch_free);
    close_fd(&ring->kick_fd);
    close_fd(&ring->call_fd);
    close_fd(&ring->err_fd);
}

void vu_ring_flush(VuRing *ring)
{
    if (!ring->is_dirty) {
        return;
    }
    ring->is_dirty = false;
    vring_publish(&ring->vring);
    if (vring_should_call(&ring->vring) && ring->call_fd >= 0) {
        bell_ring(ring->call_fd);
    }
}

bool vu_rings_remap(VhostUser *dev)
{
    unsigned i;

    for (i = 0; i < dev->n_rings; i++) {
        VuRing *ring = &dev->rings[i];
        const char *problem = NULL;

        if (ring->is_started) {
            ring->vring.config.addr = ring->config.addr;
            problem = vring_remap(&ring->vring);
        }
        if (problem) {
            vu_fail(dev, "ring %u: %s any more", ring->index, problem);
            return false;
        }
    }
    return true;
}
