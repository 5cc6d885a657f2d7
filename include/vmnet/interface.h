/*
 * Interfaces: how a virtual machine is on a network
 *
 * An interface is what Apple's vmnet calls by that name and vmnetd calls a
 * netdev.  It is described in the words of `-netdev`:
 *
 *     vmnet-shared,id=net0,isolated=on
 *
 * and reached by a socket that carries Ethernet frames: a connected one, whose
 * frames are read and written here in batches or whose descriptor a VMM takes;
 * or a path that the daemon listens on (for a VMM that connects, and may come
 * back after the daemon went).
 *
 *   start_async --> STARTING --+--> RUNNING --> GONE
 *                              `--------------> GONE
 *
 * Two descriptors drive it: the client's (start, stop), and with
 * %VMNET_PORT_PACKETS the interface's own (packets), vmnet_interface_get_fd().
 *
 * Threads: one thread may read, one write, and the client's thread do all else
 * with an interface at the same time; vmnet_interface_dispatch() and the event
 * callback belong to the thread that reads.  vmnet_interface_unref() of the
 * last reference comes when the others are through.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VMNET_INTERFACE_H
#define VMNET_INTERFACE_H

#include <glib.h>
#include <sys/uio.h>

#include <vmnet/client.h>

G_BEGIN_DECLS

/**
 * VmnetPort: framing of the socket.
 * @VMNET_PORT_STREAM: SOCK_STREAM: 32 bit big-endian length, then the frame.
 * @VMNET_PORT_DGRAM: SOCK_DGRAM: a frame a datagram.
 * @VMNET_PORT_PACKETS: SOCK_SEQPACKET, for vmnet_interface_read() and
 *     vmnet_interface_write().
 * @VMNET_PORT_VHOST_USER: a path at which the daemon speaks vhost-user: frames
 *     go through the guest's memory.  With %VMNET_INTERFACE_BY_PATH only; its
 *     offloads are negotiated there.
 */
typedef enum VmnetPort {
    VMNET_PORT_STREAM,
    VMNET_PORT_DGRAM,
    VMNET_PORT_PACKETS,
    VMNET_PORT_VHOST_USER,
} VmnetPort;

/**
 * VmnetInterfaceFlags:
 * @VMNET_INTERFACE_BY_PATH: the socket is a path, not for PORT_PACKETS.
 * @VMNET_INTERFACE_VIRTIO_HEADER: each packet, both ways, begins with the 12
 *     bytes of struct virtio_net_hdr_v1, little-endian; for PORT_DGRAM and
 *     PORT_PACKETS.  Packets that are written may then need checksums or
 *     segmentation; those that are read do as vmnet_interface_set_offloads()
 *     allows.
 */
typedef enum VmnetInterfaceFlags {
    VMNET_INTERFACE_BY_PATH = 1 << 0,
    VMNET_INTERFACE_VIRTIO_HEADER = 1 << 1,
} VmnetInterfaceFlags;

/**
 * VmnetOffloads: what packets that are read may leave to the reader, with
 * %VMNET_INTERFACE_VIRTIO_HEADER.
 * @VMNET_OFFLOAD_CSUM: a checksum that is not complete.
 * @VMNET_OFFLOAD_TSO4: TCP over IPv4 of up to 64 KiB.
 * @VMNET_OFFLOAD_TSO6: TCP over IPv6 of up to 64 KiB.
 * @VMNET_OFFLOAD_ECN: these with ECN.
 * @VMNET_OFFLOAD_USO: UDP of up to 64 KiB.
 */
typedef enum VmnetOffloads {
    VMNET_OFFLOAD_CSUM = 1 << 0,
    VMNET_OFFLOAD_TSO4 = 1 << 1,
    VMNET_OFFLOAD_TSO6 = 1 << 2,
    VMNET_OFFLOAD_ECN = 1 << 3,
    VMNET_OFFLOAD_USO = 1 << 4,
} VmnetOffloads;

/** VMNET_VIRTIO_HEADER_BYTES: of struct virtio_net_hdr_v1. */
#define VMNET_VIRTIO_HEADER_BYTES 12
/** VMNET_MAX_PACKETS: in one vmnet_interface_read() or _write(). */
#define VMNET_MAX_PACKETS 256
/** VMNET_MAX_IOV: pieces of one packet. */
#define VMNET_MAX_IOV 1024

/**
 * VmnetInterfaceState:
 * @VMNET_INTERFACE_STARTING: the daemon has been asked.
 * @VMNET_INTERFACE_RUNNING: packets flow.
 * @VMNET_INTERFACE_GONE: it could not be started, was stopped, or its client
 *     or socket is lost; final.
 */
typedef enum VmnetInterfaceState {
    VMNET_INTERFACE_STARTING,
    VMNET_INTERFACE_RUNNING,
    VMNET_INTERFACE_GONE,
} VmnetInterfaceState;

/**
 * VmnetInterfaceEvents: for vmnet_interface_set_event_callback().
 * @VMNET_INTERFACE_PACKETS_AVAILABLE: vmnet_interface_read() finds some.
 * @VMNET_INTERFACE_ROOM_AVAILABLE: after a vmnet_interface_write() that did
 *     not take all: try again.
 * @VMNET_INTERFACE_LOST: the daemon has closed the socket: nothing can be read
 *     or written any more.  Comes once.
 */
typedef enum VmnetInterfaceEvents {
    VMNET_INTERFACE_PACKETS_AVAILABLE = 1 << 0,
    VMNET_INTERFACE_ROOM_AVAILABLE = 1 << 1,
    VMNET_INTERFACE_LOST = 1 << 2,
} VmnetInterfaceEvents;

typedef struct VmnetInterface VmnetInterface;

/**
 * VmnetPacket: one packet, in pieces.
 * @iov: where it lies, or is to be put
 * @n_iov: 1 to %VMNET_MAX_IOV pieces
 * @size: bytes of it; set by vmnet_interface_read(), looked at by
 *     vmnet_interface_write(), at most those of the pieces
 */
typedef struct VmnetPacket {
    struct iovec *iov;
    guint n_iov;
    gsize size;
} VmnetPacket;

/**
 * VmnetInterfaceFunc: a start or stop has ended; the interface's state says
 * whether it runs.
 * @error: (nullable): why not; the caller's only while it is called
 */
typedef void (*VmnetInterfaceFunc)(VmnetInterface *interface,
                                   const GError *error, gpointer user_data);

/**
 * VmnetInterfaceEventFunc:
 * @events: what has happened
 * @n_estimated: packets that are likely to be available, at least 1 with
 *     PACKETS_AVAILABLE: as many as the last read found
 */
typedef void (*VmnetInterfaceEventFunc)(VmnetInterface *interface,
                                        VmnetInterfaceEvents events,
                                        guint64 n_estimated,
                                        gpointer user_data);

/**
 * vmnet_interface_start_async: begin to make an interface.
 * @options: key=value,... or JSON, as after `-netdev`; `id` is needed.  With
 *     lifetime=export the interface stays until the socket is closed, else
 *     until @client is.
 * @offloads: what packets that are read may leave to the reader
 * @timeout_ms: when it has to run
 * @func: (nullable): called once, from vmnet_client_dispatch(), unless the
 *     interface is freed before
 *
 * @client may still be connecting.  What is wrong with @options is told at
 * once.  After an error nothing is left behind: where the daemon did not
 * answer in time, it is told to take back what it may yet make.
 *
 * Returns: (transfer full): in state STARTING; NULL with @error.
 */
VmnetInterface *vmnet_interface_start_async(VmnetClient *client,
                                            const char *options,
                                            VmnetPort port,
                                            VmnetInterfaceFlags flags,
                                            VmnetOffloads offloads,
                                            int timeout_ms,
                                            VmnetInterfaceFunc func,
                                            gpointer user_data,
                                            GError **error);

/**
 * vmnet_interface_start: the same, and wait until it runs.
 *
 * Returns: (transfer full): in state RUNNING; NULL with @error.
 */
VmnetInterface *vmnet_interface_start(VmnetClient *client, const char *options,
                                      VmnetPort port,
                                      VmnetInterfaceFlags flags,
                                      VmnetOffloads offloads, int timeout_ms,
                                      GError **error);

/**
 * vmnet_interface_stop_async: end it, whatever its lifetime; from now on it is
 * GONE.  The start of one that is STARTING is taken back.
 * @func: (nullable): called when the daemon has answered, unless the interface
 *     is freed before
 *
 * Returns: false with @error, and @func is not called, if it was not RUNNING,
 * or its client is lost.
 */
gboolean vmnet_interface_stop_async(VmnetInterface *interface, int timeout_ms,
                                    VmnetInterfaceFunc func,
                                    gpointer user_data, GError **error);

/** vmnet_interface_stop: the same, and wait for the daemon's answer. */
gboolean vmnet_interface_stop(VmnetInterface *interface, int timeout_ms,
                              GError **error);

VmnetInterface *vmnet_interface_ref(VmnetInterface *interface);
/**
 * vmnet_interface_unref: the last one forgets it and closes the socket if it
 * was not taken.  The daemon keeps the interface as long as its lifetime says.
 * (nullable)
 */
void vmnet_interface_unref(VmnetInterface *interface);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmnetInterface, vmnet_interface_unref)

/** vmnet_interface_get_state: from any thread. */
VmnetInterfaceState vmnet_interface_get_state(const VmnetInterface *interface);

/* Packets: VMNET_PORT_PACKETS */

/**
 * vmnet_interface_get_fd: a descriptor that is readable (POLLIN) when
 * vmnet_interface_dispatch() has something to do: an epoll(7) descriptor that
 * is only to be polled; level-triggered; the same from start_async() to the
 * end; owned by the interface.
 *
 * Returns: -1 if the interface is none of %VMNET_PORT_PACKETS.
 */
int vmnet_interface_get_fd(const VmnetInterface *interface);

/**
 * vmnet_interface_set_event_callback: what to be told of.
 * @events: others do not make the descriptor readable; 0 while the caller can
 *     take nothing (its NIC is full, its machine is stopped)
 * @func: (nullable): none: nothing is waited for
 */
void vmnet_interface_set_event_callback(VmnetInterface *interface,
                                        VmnetInterfaceEvents events,
                                        VmnetInterfaceEventFunc func,
                                        gpointer user_data);

/**
 * vmnet_interface_dispatch: call back if there is something; never waits.
 *
 * Returns: false once the socket is lost and that has been told: take the
 * descriptor out of the main loop.
 */
gboolean vmnet_interface_dispatch(VmnetInterface *interface);

/**
 * vmnet_interface_read: the packets that are there, at most @n_packets; never
 * waits.
 * @packets: each with room for vmnet_interface_get_max_packet_size() bytes; a
 *     packet that does not fit is dropped and counted, and @packets are in
 *     another order then
 * @n_packets: (inout): 1 to %VMNET_MAX_PACKETS; how many there were, which can
 *     be none
 *
 * Returns: false with @error: %VMNET_TOO_MANY_PACKETS,
 * %VMNET_INVALID_ARGUMENT; %VMNET_SETUP_INCOMPLETE if the interface is not
 * running or gone.  Packets that came before the end are read first.
 */
gboolean vmnet_interface_read(VmnetInterface *interface, VmnetPacket *packets,
                              guint *n_packets, GError **error);

/**
 * vmnet_interface_write: hand packets to the network; never waits.
 * @packets: complete Ethernet frames (behind the virtio header if there is
 *     one), at most vmnet_interface_get_max_packet_size() bytes each
 * @n_packets: (inout): 1 to %VMNET_MAX_PACKETS; how many of the first were
 *     taken.  Less than all, none maybe: there is no room now, and
 *     %VMNET_INTERFACE_ROOM_AVAILABLE will tell of some.
 *
 * Returns: false with @error and nothing taken: %VMNET_PACKET_TOO_BIG,
 * %VMNET_TOO_MANY_PACKETS, %VMNET_INVALID_ARGUMENT (all are looked at before
 * one is sent); %VMNET_SETUP_INCOMPLETE if the interface is not running or
 * gone.
 */
gboolean vmnet_interface_write(VmnetInterface *interface,
                               const VmnetPacket *packets, guint *n_packets,
                               GError **error);

/** vmnet_interface_get_n_dropped: packets that vmnet_interface_read() dropped
 * since the start: too big, or no frames. */
guint64 vmnet_interface_get_n_dropped(const VmnetInterface *interface);

/**
 * vmnet_interface_set_offloads_async: from now on packets that are read may
 * leave @offloads to the reader.  Packets that are under way may still be as
 * before.
 * @func: (nullable): called when the daemon has answered, unless something
 *     else is asked of the interface, or it is freed, before
 *
 * Returns: false with @error without %VMNET_INTERFACE_VIRTIO_HEADER, or if the
 * interface is not running.
 */
gboolean vmnet_interface_set_offloads_async(VmnetInterface *interface,
                                            VmnetOffloads offloads,
                                            int timeout_ms,
                                            VmnetInterfaceFunc func,
                                            gpointer user_data,
                                            GError **error);

/* What there is to know; once it runs */

/**
 * vmnet_interface_steal_fd: the socket, CLOEXEC and blocking; the caller owns
 * it from now on.  Not for %VMNET_PORT_PACKETS.
 *
 * Returns: -1 if the interface has a path, or the socket was taken before.
 */
int vmnet_interface_steal_fd(VmnetInterface *interface);

/** vmnet_interface_get_id: its name in the daemon. */
const char *vmnet_interface_get_id(const VmnetInterface *interface);
/** vmnet_interface_get_path: (nullable): absolute path of the socket. */
const char *vmnet_interface_get_path(const VmnetInterface *interface);
/** vmnet_interface_get_mac: (nullable): the address that the guest is expected
 * to use, as 52:54:00:xx:xx:xx. */
const char *vmnet_interface_get_mac(const VmnetInterface *interface);
/** vmnet_interface_get_network: name of the network. */
const char *vmnet_interface_get_network(const VmnetInterface *interface);
/** vmnet_interface_get_subnet: (nullable): such as 192.168.107.0/24. */
const char *vmnet_interface_get_subnet(const VmnetInterface *interface);
/** vmnet_interface_get_mtu: in bytes, without the Ethernet header. */
guint32 vmnet_interface_get_mtu(const VmnetInterface *interface);
/**
 * vmnet_interface_get_max_packet_size: largest packet, in bytes: the MTU and
 * an Ethernet header with a VLAN tag; with %VMNET_INTERFACE_VIRTIO_HEADER 64
 * KiB and these, and the virtio header.
 */
guint32 vmnet_interface_get_max_packet_size(const VmnetInterface *interface);

G_END_DECLS

#endif
