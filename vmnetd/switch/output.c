/*
 * Output to one port: frames as they are, or as much less as it takes
 *
 * A run of frames that the receiver takes as they are is handed over in one
 * call.  Otherwise batches are made of segments and of frames that can stay as
 * they are, and what the receiver has taken of a batch is translated back into
 * frames of the source, the last one perhaps in part.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "switch/segment.h"
#include "switch/switch-internal.h"

uint64_t switch_bytes_of(const Frame *frames, unsigned n)
{
    uint64_t bytes = 0;

    while (n--) {
        bytes += frames++->len;
    }
    return bytes;
}

static void touch(SwitchPort *port)
{
    if (!port->touched && port->ops->flush) {
        port->touched = true;
        port->next_touched = port->sw->touched;
        port->sw->touched = port;
    }
}

static unsigned send_frames(SwitchPort *dst, const Frame *frames, unsigned n,
                            int64_t now_ms)
{
    unsigned taken = dst->ops->send(dst->opaque, frames, n, now_ms);

    if (taken) {
        port_counter_add(&dst->counters.output_frames, taken);
        port_counter_add(&dst->counters.output_bytes,
                         switch_bytes_of(frames, taken));
        touch(dst);
    }
    return taken;
}

void switch_hand_on(Switch *sw, const Frame *frame, int64_t now_ms)
{
    SwitchPort *dst = sw->host;

    if (!dst) {
        return;
    }
    if (!dst->connected) {
        port_counter_add(&dst->counters.drops[SWITCH_DROP_NOT_CONNECTED], 1);
    } else if (!send_frames(dst, frame, 1, now_ms)) {
        port_counter_add(&dst->counters.drops[SWITCH_DROP_FULL], 1);
    }
}

/* What @frame is for @dst: some segments, or one frame. */
static bool is_cut_for(const SwitchPort *dst, const Frame *frame,
                       const Offload *offload)
{
    return offload->needs & ~dst->offloads || frame->n_sent > 0;
}

/* Frames that are still to leave by @dst for this one. */
static unsigned n_left(const SwitchPort *dst, const Frame *frame,
                       const Offload *offload)
{
    return is_cut_for(dst, frame, offload)
           ? offload->n_segments - frame->n_sent : 1;
}

static bool can_pass(const SwitchPort *dst, const Frame *frames,
                     const Offload *offloads, unsigned n)
{
    unsigned i, needs = 0;

    for (i = 0; i < n; i++) {
        needs |= offloads[i].needs;
    }
    return !(needs & ~dst->offloads) && frames[0].n_sent == 0;
}

/*
 * @dst has taken @taken frames that were made of these.
 *
 * Returns: how many of these are done with.
 */
static unsigned settle(const SwitchPort *dst, Frame *frames,
                       const Offload *offloads, unsigned n, unsigned taken)
{
    unsigned i;

    for (i = 0; i < n && taken > 0; i++) {
        unsigned left = n_left(dst, &frames[i], &offloads[i]);

        if (taken < left) {
            frames[i].n_sent += taken;
            break;
        }
        frames[i].n_sent = 0;
        taken -= left;
    }
    return i;
}

static unsigned output_segments(SwitchPort *dst, Frame *frames,
                                const Offload *offloads, unsigned n,
                                int64_t now_ms)
{
    unsigned done = 0, i, taken;
    SegmentBatch batch;

    while (done < n) {
        segment_batch_clear(&batch);
        for (i = done; i < n; i++) {
            if (!segment_batch_add(&batch, &frames[i], &offloads[i],
                                   dst->offloads)) {
                break;
            }
        }
        taken = send_frames(dst, batch.frames, batch.n_frames, now_ms);
        done += settle(dst, frames + done, offloads + done, n - done, taken);
        if (taken < batch.n_frames) {
            break;
        }
    }
    return done;
}

unsigned switch_output(SwitchPort *dst, Frame *frames, const Offload *offloads,
                       unsigned n, int64_t now_ms)
{
    if (!dst->connected) {
        port_counter_add(&dst->counters.drops[SWITCH_DROP_NOT_CONNECTED], n);
        return n;
    }
    if (can_pass(dst, frames, offloads, n)) {
        return send_frames(dst, frames, n, now_ms);
    }
    return output_segments(dst, frames, offloads, n, now_ms);
}

void switch_output_drop_full(SwitchPort *dst, const Frame *frames,
                             const Offload *offloads, unsigned n)
{
    unsigned i, dropped = 0;

    for (i = 0; i < n; i++) {
        dropped += n_left(dst, &frames[i], &offloads[i]);
    }
    port_counter_add(&dst->counters.drops[SWITCH_DROP_FULL], dropped);
}

void switch_output_or_drop(SwitchPort *dst, Frame *frames,
                           const Offload *offloads, unsigned n, int64_t now_ms)
{
    unsigned done, lost;

    for (done = 0; done < n; done += lost) {
        done += switch_output(dst, frames + done, offloads + done, n - done,
                              now_ms);
        /* Of several queues the next frame's may have room. */
        lost = dst->has_queues ? MIN(n - done, 1) : n - done;
        switch_output_drop_full(dst, frames + done, offloads + done, lost);
    }
}
