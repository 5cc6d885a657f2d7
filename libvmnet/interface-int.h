/*
 * What the files of an interface share
 *
 *   interface.c        what an interface is
 *   interface-start.c  its way into the daemon, and out of it
 *   interface-io.c     packets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LIBVMNET_INTERFACE_INT_H
#define LIBVMNET_INTERFACE_INT_H

#include <pthread.h>

#include "libvmnet/client-int.h"
#include "qapi/qapi-decode.h"
#include "vmnet/interface.h"

#define ETHERNET_HEADER_BYTES 14
#define VLAN_TAG_BYTES 4
#define PACKET_BYTES_MAX 65535

/**
 * InterfaceIo: the packets' side.
 * @lock: of @mask, @room_wanted, @retry_ns and what is watched for
 * @room_wanted: a write did not take all; of @room_by_timer only the timer
 *     tells
 * @retry_ns: until the next try; doubles while there is no room
 * @n_read: by the last read; the estimate
 * @n_dropped: atomic
 * @ended: atomic: nothing can be read any more
 * @told: that it has ended was called back
 */
typedef struct InterfaceIo {
    int epoll_fd, timer_fd;
    pthread_mutex_t lock;
    VmnetInterfaceEvents mask;
    bool is_watched;
    uint32_t watched;
    bool room_wanted, room_by_timer;
    int64_t retry_ns;
    VmnetInterfaceEventFunc func;
    gpointer user_data;
    unsigned n_read;
    uint64_t n_dropped;
    int ended;
    bool told;
} InterfaceIo;

/**
 * VmnetInterface:
 * @state: VmnetInterfaceState, atomic; what else the packets' side looks at is
 *     set before it is RUNNING
 * @fd: ours; -1: reached by path, or taken
 * @peer_fd: the daemon's, until it is sent
 * @call: the netdev_add that is not answered yet; 0: none
 * @is_made: the daemon has the netdev
 * @func: of the start, or of what was asked last
 */
struct VmnetInterface {
    int refs;
    VmnetClient *client;
    int state;
    char *id;
    VmnetPort port;
    VmnetInterfaceFlags flags;
    VmnetOffloads offloads;

    int fd, peer_fd;
    int64_t call;
    bool is_made;
    int64_t deadline_us;
    VmnetInterfaceFunc func;
    gpointer user_data;

    char *path;
    char *mac;
    char *network;
    char *subnet;
    uint32_t mtu_bytes;
    InterfaceIo io;
};

/* interface-start.c */
/** interface_cancel: take back a start, if it has not ended. */
void interface_cancel(VmnetInterface *interface);
VmnetInterface *interface_start_json(VmnetClient *client, JsonValue *netdev,
                                     VmnetPort port, VmnetInterfaceFlags flags,
                                     VmnetOffloads offloads, int timeout_ms,
                                     VmnetInterfaceFunc func,
                                     gpointer user_data, GError **error);

VmnetInterface *interface_start_and_wait(VmnetClient *client,
                                         JsonValue *netdev, VmnetPort port,
                                         VmnetInterfaceFlags flags,
                                         VmnetOffloads offloads,
                                         int timeout_ms, GError **error);
/**
 * interface_check_options: @value (transfer full), as arguments of netdev_add.
 * @parse_error: why @value is NULL, if it is
 */
JsonValue *interface_check_options(JsonValue *value, QapiInput input,
                                   const GError *parse_error, GError **error);

/* interface-io.c */
bool interface_io_init(VmnetInterface *interface, GError **error);
/** interface_io_run: it is RUNNING: watch the socket. */
void interface_io_run(VmnetInterface *interface);
void interface_io_clear(VmnetInterface *interface);

#endif
