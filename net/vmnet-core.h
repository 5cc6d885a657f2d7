/*
 * A netdev on one of vmnetd's networks, whatever VMM it is in
 *
 * Theory of operation
 *
 * The core has libvmnet's client and interface, and the owner has the main
 * loop.  It watches two descriptors and one timer for the core, carries frames
 * to and from its NIC, and is told when the link comes and goes:
 *
 *     STOPPED --> CONNECTING --> RUNNING
 *                    |    ^         |
 *                    v    |         |
 *                   WAITING <-------'
 *
 * A daemon that is lost is connected to again, at growing intervals, and the
 * netdev made again with the same options.  Nothing waits for the daemon but
 * vmnet_core_start(), vmnet_core_command() and vmnet_core_stop(), which say
 * how long.
 *
 * Frames from the guest are gathered until its NIC has no more of them, or a
 * batch is full; long ones leave at once, uncopied.  Frames for the guest come
 * in batches too, and are read only while the NIC takes them, so that what the
 * guest is too slow for waits in the switch.
 *
 * One thread, the one with the main loop, uses a core.  Callbacks come from
 * vmnet_core_dispatch(), _timeout(), _work(), and from the functions that wait.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NET_VMNET_CORE_H
#define NET_VMNET_CORE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <vmnet/client.h>
#include <vmnet/interface.h>

/** VMNET_CORE_WAIT_MS: no function waits longer while a machine runs. */
#define VMNET_CORE_WAIT_MS 200
/** VMNET_CORE_START_MS: nor this while it is being made. */
#define VMNET_CORE_START_MS 5000
/** VMNET_CORE_HEADER_BYTES: of struct virtio_net_hdr_v1. */
#define VMNET_CORE_HEADER_BYTES 12

typedef struct VmnetCore VmnetCore;

/**
 * VmnetCoreState:
 * @VMNET_CORE_STOPPED: not started, or stopped.
 * @VMNET_CORE_CONNECTING: a daemon is looked for, started, asked for a netdev.
 * @VMNET_CORE_RUNNING: frames flow: the link is up.
 * @VMNET_CORE_WAITING: that failed, or the daemon is gone; a timer runs.
 */
typedef enum VmnetCoreState {
    VMNET_CORE_STOPPED,
    VMNET_CORE_CONNECTING,
    VMNET_CORE_RUNNING,
    VMNET_CORE_WAITING,
} VmnetCoreState;

/**
 * VmnetCoreWatch: what to give back to vmnet_core_dispatch().
 * @VMNET_CORE_CONTROL: messages of the daemon.
 * @VMNET_CORE_FRAMES: frames, and room for frames.
 */
typedef enum VmnetCoreWatch {
    VMNET_CORE_CONTROL,
    VMNET_CORE_FRAMES,
    VMNET_CORE_WATCH__MAX,
} VmnetCoreWatch;

/** VmnetCoreOps: the owner's side; all are needed. */
typedef struct VmnetCoreOps {
    /**
     * @watch: call vmnet_core_dispatch() whenever @fd is readable, from now on
     * until told another one; -1: none.
     */
    void (*watch)(void *opaque, VmnetCoreWatch which, int fd);
    /** @set_timer: call vmnet_core_timeout() once, in @delay_ms; -1: not. */
    void (*set_timer)(void *opaque, int delay_ms);
    /** @schedule: call vmnet_core_work() once, soon, but not from here. */
    void (*schedule)(void *opaque);
    /**
     * @receive: a frame for the guest, behind its header if there is one.
     *
     * Returns: false if the NIC has no room for more (this one is kept):
     * vmnet_core_receive_again() tells of some.
     */
    bool (*receive)(void *opaque, const uint8_t *frame, size_t size);
    /** @room: after a vmnet_core_send() that returned false: send again. */
    void (*room)(void *opaque);
    /**
     * @link: the state changed; @again: the guest has been here before, and
     * should make itself known.
     */
    void (*link)(void *opaque, bool up, bool again);
    /** @event: what the daemon told, @data is a JSON object. */
    void (*event)(void *opaque, const char *name, const char *data);
} VmnetCoreOps;

/**
 * VmnetCoreConfig:
 * @options: the netdev: a JSON object as for vmnetd's netdev_add
 * @may_start: whether a process may be made to start the daemon
 * @system: the daemon is the system instance, which nobody here starts
 * @header: frames begin with a virtio_net_hdr both ways
 * @vhost_user: frames go past the core, by vmnet_core_get_path(); nothing is
 *     sent and received here then, and @header and offloads mean nothing
 */
typedef struct VmnetCoreConfig {
    const char *options;
    bool may_start;
    bool system;
    bool header;
    bool vhost_user;
} VmnetCoreConfig;

/** VmnetCoreCounters: since the start, from the guest's point of view. */
typedef struct VmnetCoreCounters {
    uint64_t rx_frames;
    uint64_t rx_bytes;
    uint64_t tx_frames;
    uint64_t tx_bytes;
    uint64_t tx_dropped;    /* no link, or not a frame that fits */
    uint64_t reconnects;
} VmnetCoreCounters;

/** vmnet_core_new: nothing happens before vmnet_core_start(). */
VmnetCore *vmnet_core_new(const VmnetCoreConfig *config,
                          const VmnetCoreOps *ops, void *opaque);

/** vmnet_core_free: (nullable): stop it if it is not, and forget it. */
void vmnet_core_free(VmnetCore *core);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmnetCore, vmnet_core_free)

/**
 * vmnet_core_start: connect, and make the netdev.
 * @wait_ms: how long the daemon has
 * @background: without an answer until then, go on in the background
 *
 * Returns: false with @error, in state STOPPED: the daemon refused, or there
 * is none, or (without @background) it did not answer in time.
 */
bool vmnet_core_start(VmnetCore *core, int wait_ms, bool background,
                      GError **error);

/**
 * vmnet_core_stop: take the netdev back; waits %VMNET_CORE_WAIT_MS at most.
 * May be called in every state; no callback comes after it.
 */
void vmnet_core_stop(VmnetCore *core);

void vmnet_core_dispatch(VmnetCore *core, VmnetCoreWatch which);
void vmnet_core_timeout(VmnetCore *core);
void vmnet_core_work(VmnetCore *core);

/**
 * vmnet_core_send: a frame of the guest, in pieces, behind its header of
 * vmnet_core_set_header_len() bytes.  The pieces may change while they are
 * read, they are read once.
 *
 * Returns: false if there is no room: not taken, VmnetCoreOps.room follows.
 * A frame that can never be sent counts as taken, and is counted as dropped.
 */
bool vmnet_core_send(VmnetCore *core, const struct iovec *iov, size_t n_iov);

/** vmnet_core_set_receiving: whether the machine runs; false at first. */
void vmnet_core_set_receiving(VmnetCore *core, bool receiving);
/** vmnet_core_receive_again: the NIC has room again. */
void vmnet_core_receive_again(VmnetCore *core);

/**
 * vmnet_core_set_header_len: bytes of header that the NIC's frames begin with,
 * both ways: 0, 10 or 12.  0 at first.
 */
void vmnet_core_set_header_len(VmnetCore *core, size_t len);
/**
 * vmnet_core_set_offloads: what the NIC takes, VmnetOffloads; 0 at first.
 * Without VmnetCoreConfig.header the daemon refuses all others.
 */
void vmnet_core_set_offloads(VmnetCore *core, unsigned offloads);

/**
 * vmnet_core_command: ask the daemon, as long as %VMNET_CORE_WAIT_MS.
 *
 * Returns: (transfer full): its answer, as JSON; NULL with @error.
 */
char *vmnet_core_command(VmnetCore *core, const char *name,
                         const char *arguments, GError **error);

/**
 * vmnet_core_query: ask the daemon, and be called back, unless it is lost
 * before.
 * @func: its user data is the @opaque of vmnet_core_new()
 *
 * Returns: false if there is no daemon to ask.
 */
bool vmnet_core_query(VmnetCore *core, const char *name, const char *arguments,
                      VmnetCommandFunc func);

VmnetCoreState vmnet_core_get_state(const VmnetCore *core);
/**
 * vmnet_core_get_path: (nullable): with VmnetCoreConfig.vhost_user, while it
 * runs: the socket at which the daemon speaks vhost-user.
 */
const char *vmnet_core_get_path(const VmnetCore *core);
/** vmnet_core_get_error: (nullable): what ended the last connection. */
const char *vmnet_core_get_error(const VmnetCore *core);
void vmnet_core_get_counters(const VmnetCore *core, VmnetCoreCounters *ret);
/**
 * vmnet_core_describe: (transfer full): one line, such as
 * "network=shared,subnet=192.168.107.0/24,port=seqpacket,state=up".
 */
char *vmnet_core_describe(const VmnetCore *core);

#endif
