/*
 * vhost-user links: a guest's rings in its own memory, served from here
 *
 * Theory of operation
 * -------------------
 * The front end (a VMM) tells by messages where the guest's memory and its
 * rings are and which eventfds ring the bell.  From then on frames go without
 * it: input copies nothing, a frame's iovecs point into the sender's memory
 * until the switch has it where it belongs; output copies it once, into the
 * receiver's buffers.
 *
 *   vhost-user.c           the socket: messages in, answers out
 *   vhost-user-requests.c  what each message does
 *   vhost-user-ring.c      rings: stopped, started, enabled; kicks and calls
 *   vhost-user-input.c     frames from the guest (its transmit rings)
 *   vhost-user-output.c    frames to the guest (its receive rings)
 *   vring*.c               the two ring formats
 *   guest-memory.c         addresses; shared-map.c: memory that may vanish
 *
 * Ring 2N is the guest's receive ring of pair N, 2N+1 its transmit ring.  Where
 * several receive rings are live, steering.c says to which a frame goes.  A ring
 * that has to wait, or is full, does not keep the others from going on.
 *
 * What is not done, and why it need not be: INFLIGHT_SHMFD, since chains are
 * completed in order and the used index says all; CONFIG, since QEMU has the
 * configuration space of network devices itself and warns about back ends that
 * offer it; IOMMU_PLATFORM and postcopy.
 *
 * A front end that breaks a rule loses its connection with the reason.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PORT_VHOST_USER_H
#define VMNETD_PORT_VHOST_USER_H

#include "port/guest-memory.h"
#include "port/link.h"
#include "port/steering.h"
#include "port/vhost-user-msg.h"
#include "port/vring.h"

#define VU_RINGS_MAX (2 * LIMIT_QUEUE_PAIRS)

typedef struct VhostUser VhostUser;

/**
 * VuRing:
 * @config: as told so far; @num 0: not told yet
 * @is_started: has its kick descriptor, and @vring is valid
 * @is_enabled: by SET_VRING_ENABLE, or because there is no such message
 * @is_dirty: something was used since vring_publish()
 * @owes_room: output: it was full, and we asked for a kick
 * @is_overrun: output: until it has room nobody waits for it
 * @n_sent: input: of the frame that was not taken, see Frame
 * @has_input: input: a frame came in this turn
 * @input_ns, @poll_ns: input: when the last one came, and for how long after
 *     that it pays to look for another rather than to ask for a kick
 */
typedef struct VuRing {
    VhostUser *dev;
    unsigned index;
    VringConfig config;
    bool is_started, is_enabled, is_dirty, owes_room, is_overrun;
    uint32_t n_sent;
    bool has_input;
    int64_t input_ns, poll_ns;
    Vring vring;
    int kick_fd, call_fd, err_fd;
    LoopWatch *kick_watch;
} VuRing;

/**
 * VhostUser:
 * @buf, @have: the message that is being read, and its descriptors
 * @header_len: of the virtio_net_hdr in front of each frame
 * @live, @n_live: pairs whose receive rings are live
 * @steering: of frames to these; NULL unless there are several
 * @is_failed: port_link_fail() was called: nothing is touched any more
 */
struct VhostUser {
    Port *port;
    int fd;
    LoopWatch *watch;
    uint8_t buf[VU_HEADER_LEN + VU_PAYLOAD_MAX];
    size_t have;
    int fds[VU_REGIONS_MAX];
    unsigned n_fds;

    uint64_t features, protocol_features;
    unsigned header_len;
    uint8_t status;
    GuestMemory memory;
    VuRing rings[VU_RINGS_MAX];
    unsigned n_rings;
    uint8_t live[LIMIT_QUEUE_PAIRS];
    unsigned n_live;
    Steering *steering;
    bool is_failed;
};

static inline bool vu_has_feature(const VhostUser *dev, unsigned bit)
{
    return dev->features & UINT64_C(1) << bit;
}

static inline bool vu_ring_is_input(const VuRing *ring)
{
    return ring->index & 1;
}

/** vu_ring_pair: which is the lane of its input as well. */
static inline unsigned vu_ring_pair(const VuRing *ring)
{
    return ring->index / 2;
}

/** vu_ring_is_live: frames flow. */
static inline bool vu_ring_is_live(const VuRing *ring)
{
    return ring->is_started && ring->is_enabled;
}

/* vhost-user.c */

/** vu_fail: the front end broke a rule (or @format is NULL: it went). */
void vu_fail(VhostUser *dev, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** vu_take_fd: the caller's from now on. */
int vu_take_fd(VhostUser *dev, unsigned i);
/** vu_reply_u64: answer the request that is being handled. */
void vu_reply_u64(VhostUser *dev, uint32_t request, uint64_t value);
void vu_reply_state(VhostUser *dev, uint32_t request,
                    const VuVringState *state);

/* vhost-user-requests.c */

typedef enum VuResult {
    VU_DONE,
    VU_REPLIED,     /* the request has an answer of its own, and it is sent */
    VU_REFUSED,     /* well-formed, but not what can be done: answered if asked */
    VU_FAILED,      /* vu_fail() was called */
} VuResult;

VuResult vu_handle(VhostUser *dev, const VuMessage *msg);
/** vu_reset: all rings stop, nothing is negotiated. */
void vu_reset(VhostUser *dev);

/* vhost-user-ring.c */

void vu_ring_init(VuRing *ring, VhostUser *dev, unsigned index);
/** vu_ring_clear: stop it and close its descriptors. */
void vu_ring_clear(VuRing *ring);
/** vu_ring_start: @kick_fd (transfer full) from now on; -1: never kicked. */
bool vu_ring_start(VuRing *ring, int kick_fd);
void vu_ring_stop(VuRing *ring);
void vu_ring_set_enabled(VuRing *ring, bool enabled);
/** vu_ring_flush: publish what was used, and call the driver if it asked. */
void vu_ring_flush(VuRing *ring);
/** vu_ring_check: whether it is in order; fails the link otherwise. */
bool vu_ring_check(VuRing *ring);
/** vu_rings_remap: guest memory changed. */
bool vu_rings_remap(VhostUser *dev);

/* vhost-user-input.c */

/** vu_input_run: take frames from a live transmit ring, within a turn. */
void vu_input_run(VuRing *ring, int64_t now_ms);
/** vu_input_discard: a ring that is started but disabled was kicked. */
void vu_input_discard(VuRing *ring);

/* vhost-user-output.c */

unsigned vu_output_send(VhostUser *dev, const Frame *frames, unsigned n);
/** vu_output_room: as PortOps.room. */
size_t vu_output_room(VhostUser *dev, const Frame *head);
void vu_output_flush(VhostUser *dev);
/** vu_output_expire, vu_output_n_expired: as in PortOps. */
void vu_output_expire(VhostUser *dev);
unsigned vu_output_n_expired(VhostUser *dev, const Frame *frames, unsigned n);
/** vu_output_kicked: the guest has put buffers into a ring that was full. */
void vu_output_kicked(VuRing *ring, int64_t now_ms);

#endif
