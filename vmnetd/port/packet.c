/*
 * Packet links: the netdev is one with a host interface, by a packet socket
 *
 *   interface --> recvmsg() --> port --> switch     what others send to it
 *   interface <-- sendmsg() <-- port <-- switch
 *
 * The socket comes bound and set up (priv/packet.c): each frame is behind a
 * struct virtio_net_hdr, and what leaves the host is not seen.  So guests and
 * the host do not reach each other this way.  The kernel takes segments to be
 * cut, whatever the interface can do itself.
 *
 * A VLAN tag that the interface took off comes beside the frame, and is put
 * back where it was.
 *
 * Where the interface carries frames of its own address alone, all frames go
 * through translate.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <endian.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/buffer.h"
#include "port/link.h"
#include "port/translate.h"
#include "proto/eth.h"
#include "switch/offload.h"
#include "vmnet/error.h"

/* Of the socket's frames: without num_buffers. */
#define HEADER_LEN sizeof(struct virtio_net_hdr)
#define SLOT_LEN (ETH_VLAN_LEN + FRAME_LEN_MAX)
#define MAC_PAIR_LEN 12

/**
 * PacketLink:
 * @in: NULL while nothing is left over; what is, is @packets from @next on,
 *     each with its header in @headers
 * @sent: n_sent of the first of these
 * @is_full: the socket takes no more; it is watched for room
 * @was_down: the interface, which may have another address now
 */
typedef struct PacketLink {
    Port *port;
    int fd;
    Translate *translate;
    LoopWatch *watch;
    uint32_t events;
    uint8_t *in;
    struct iovec packets[FRAME_BATCH_MAX];
    struct virtio_net_hdr_v1 headers[FRAME_BATCH_MAX];
    unsigned next, n;
    uint32_t sent;
    bool is_full, was_down;
} PacketLink;

static void update_watch(PacketLink *link)
{
    uint32_t events = (port_link_is_parked(link->port, 0) ? 0 : EPOLLIN) |
                      (link->is_full ? EPOLLOUT : 0);

    if (link->events != events) {
        link->events = events;
        loop_watch_set_events(link->watch, events);
    }
}

/* Between the header's byte order here, the machine's, and a frame's. */
static void swap_header(struct virtio_net_hdr_v1 *header)
{
    header->hdr_len = htole16(header->hdr_len);
    header->gso_size = htole16(header->gso_size);
    header->csum_start = htole16(header->csum_start);
    header->csum_offset = htole16(header->csum_offset);
}

/* Returns: false: it is no packet socket on an Ethernet interface. */
static bool get_mac(int fd, MacAddr *ret_mac)
{
    struct sockaddr_ll addr = { 0 };
    socklen_t len = sizeof(addr);

    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ||
        addr.sll_family != AF_PACKET || addr.sll_halen != sizeof(*ret_mac)) {
        return false;
    }
    memcpy(ret_mac, addr.sll_addr, sizeof(*ret_mac));
    return true;
}

static void update_mac(PacketLink *link)
{
    MacAddr mac;

    if (link->translate && get_mac(link->fd, &mac)) {
        translate_set_mac(link->translate, &mac);
    }
    link->was_down = false;
}

/* Output */

static void write_failed(PacketLink *link, int errnum)
{
    switch (errnum) {
    case ENETDOWN:
        link->was_down = true;
        port_link_count_drop(link->port, SWITCH_DROP_NOT_CONNECTED);
        break;
    case ENOBUFS:
    case ENOMEM:
        port_link_count_drop(link->port, SWITCH_DROP_FULL);
        break;
    case EINVAL:
    case EFAULT:        /* the sender has taken its memory away */
        port_link_count_drop(link->port, SWITCH_DROP_BAD_OFFLOAD);
        break;
    case EMSGSIZE:
        port_link_count_drop(link->port, SWITCH_DROP_GIANT);
        break;
    case ENXIO:
        port_link_fail(link->port, NULL);
        break;
    default:
        port_link_fail(link->port, "cannot write to the packet socket: %s",
                       g_strerror(errnum));
        break;
    }
}

/* Returns: false: the socket is full. */
static bool write_frame(PacketLink *link, const Frame *frame)
{
    uint8_t head[TRANSLATE_HEAD_MAX];
    struct virtio_net_hdr_v1 header = frame->vnet;
    struct iovec iov[OFFLOAD_IOV_MAX]; /* as many as the kernel takes */
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1 };
    size_t n_head = 0;
    ssize_t len;

    swap_header(&header);
    iov[0] = (struct iovec) { &header, HEADER_LEN };
    if (link->translate) {
        n_head = translate_output(link->translate, frame, head);
        if (n_head == 0) {
            port_link_count_drop(link->port, SWITCH_DROP_REFUSED);
            return true;
        }
        iov[msg.msg_iovlen++] = (struct iovec) { head, n_head };
    }
    if (n_head < frame->len) {
        unsigned n = frame_slice(frame, n_head, iov + msg.msg_iovlen,
                                 OFFLOAD_IOV_MAX - msg.msg_iovlen);

        if (n == 0) {
            port_link_count_drop(link->port, SWITCH_DROP_LIMIT);
            return true;
        }
        msg.msg_iovlen += n;
    }
    do {
        len = sendmsg(link->fd, &msg, MSG_NOSIGNAL);
    } while (len < 0 && errno == EINTR);
    if (len < 0 && errno == EAGAIN) {
        return false;
    }
    if (len < 0) {
        write_failed(link, errno);
    }
    return true;
}

static unsigned packet_send(void *opaque, const Frame *frames, unsigned n,
                            int64_t now_ms)
{
    PacketLink *link = opaque;
    unsigned i = 0;

    if (link->was_down) {
        update_mac(link);
    }
    while (i < n && write_frame(link, &frames[i])) {
        i++;
    }
    link->is_full = i < n;
    update_watch(link);
    return i;
}

static size_t packet_room(void *opaque, const Frame *frame)
{
    const PacketLink *link = opaque;

    return link->is_full ? 0 : SIZE_MAX;
}

/* Input */

/* Hand over what was read. */
static void input_frames(PacketLink *link, int64_t now_ms)
{
    Frame frames[FRAME_BATCH_MAX];
    unsigned i, taken, n = link->n - link->next;

    for (i = 0; i < n; i++) {
        frame_init(&frames[i], &link->packets[link->next + i], 1);
        frames[i].vnet = link->headers[link->next + i];
    }
    if (n) {
        frames[0].n_sent = link->sent;
        taken = port_link_input(link->port, 0, frames, n, now_ms);
        link->sent = taken < n ? frames[taken].n_sent : 0;
        link->next += taken;
    }
    if (link->next == link->n) {
        link->next = link->n = 0;
        port_buffer_put(g_steal_pointer(&link->in));
    }
}

/* A tag that is beside the frame. */
static bool find_tag(struct msghdr *msg, uint8_t ret_tag[ETH_VLAN_LEN])
{
    struct cmsghdr *cmsg;
    struct tpacket_auxdata aux;
    uint16_t type;

    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level != SOL_PACKET ||
            cmsg->cmsg_type != PACKET_AUXDATA ||
            cmsg->cmsg_len < CMSG_LEN(sizeof(aux))) {
            continue;
        }
        memcpy(&aux, CMSG_DATA(cmsg), sizeof(aux));
        type = aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid
                                                         : ETH_TYPE_VLAN;
        ret_tag[0] = type >> 8;
        ret_tag[1] = type;
        ret_tag[2] = aux.tp_vlan_tci >> 8;
        ret_tag[3] = aux.tp_vlan_tci;
        return aux.tp_status & TP_STATUS_VLAN_VALID;
    }
    return false;
}

/* The frame is at @slot behind room for @tag. */
static void insert_tag(uint8_t *slot, const uint8_t tag[ETH_VLAN_LEN],
                       struct virtio_net_hdr_v1 *header)
{
    memmove(slot, slot + ETH_VLAN_LEN, MAC_PAIR_LEN);
    memcpy(slot + MAC_PAIR_LEN, tag, ETH_VLAN_LEN);
    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        header->csum_start += ETH_VLAN_LEN;
    }
    if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        header->hdr_len += ETH_VLAN_LEN;
    }
}

/* Returns: false: there is none now. @ret_packet is empty: not for guests. */
static bool read_frame(PacketLink *link, uint8_t *slot,
                       struct virtio_net_hdr_v1 *header,
                       struct iovec *ret_packet)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
        struct cmsghdr align;
    } control;
    struct iovec iov[2] = {
        { header, HEADER_LEN }, { slot + ETH_VLAN_LEN, FRAME_LEN_MAX },
    };
    struct msghdr msg = {
        .msg_iov = iov, .msg_iovlen = 2,
        .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
    };
    uint8_t tag[ETH_VLAN_LEN];
    ssize_t len = recvmsg(link->fd, &msg, 0);

    *ret_packet = (struct iovec) { 0 };
    if (len < 0) {
        link->was_down |= errno == ENETDOWN;
        /* EINVAL: one whose segments the header has no name for. */
        return errno == EINVAL || errno == EINTR;
    }
    if (link->was_down) {
        update_mac(link);
    }
    len -= HEADER_LEN;
    if (len < ETH_HEADER_LEN || (msg.msg_flags & MSG_TRUNC)) {
        return true;
    }
    header->num_buffers = 0;
    *ret_packet = (struct iovec) { slot + ETH_VLAN_LEN, len };
    if (find_tag(&msg, tag)) {
        insert_tag(slot, tag, header);
        *ret_packet = (struct iovec) { slot, len + ETH_VLAN_LEN };
    }
    swap_header(header);
    if (link->translate && !translate_input(link->translate,
                                            ret_packet->iov_base,
                                            ret_packet->iov_len)) {
        ret_packet->iov_len = 0;
    }
    return true;
}

/* Frames lie one behind another: many small ones, or a few of 64 KiB. */
static void read_input(PacketLink *link, int64_t now_ms)
{
    size_t used = 0;
    unsigned i;

    link->in = port_buffer_get();
    for (i = 0; i < FRAME_BATCH_MAX && used + SLOT_LEN <= PORT_BUFFER_LEN;
         i++) {
        struct iovec *packet = &link->packets[link->n];

        if (!read_frame(link, link->in + used, &link->headers[link->n],
                        packet)) {
            break;
        }
        if (packet->iov_len) {
            link->n++;
            used += (ETH_VLAN_LEN + packet->iov_len + 63) & ~(size_t)63;
        }
    }
    input_frames(link, now_ms);
}

static void packet_event(void *opaque, uint32_t events, int64_t now_ms)
{
    PacketLink *link = opaque;

    if (link->is_full && (events & EPOLLOUT)) {
        link->is_full = false;
        port_link_has_room(link->port, now_ms);
    }
    /* EPOLLERR, that the interface is down, ends by being read. */
    if (!port_link_is_parked(link->port, 0)) {
        read_input(link, now_ms);
    }
    update_watch(link);
}

static void packet_resume(void *opaque, unsigned lane, int64_t now_ms)
{
    PacketLink *link = opaque;

    input_frames(link, now_ms);
    update_watch(link);
}

/* Its life */

static bool check_packet(int fd, MacAddr *ret_mac, GError **error)
{
    socklen_t len = sizeof(int);
    int has_header = 0;

    if (!get_mac(fd, ret_mac) ||
        getsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &has_header, &len) < 0 ||
        !has_header) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "packet port: fd %d is no packet socket with "
                    "PACKET_VNET_HDR", fd);
        return false;
    }
    return true;
}

static void *packet_open(Port *port, int fd, GError **error)
{
    PacketLink *link;
    MacAddr mac;

    if (!check_packet(fd, &mac, error)) {
        return NULL;
    }
    link = g_new0(PacketLink, 1);
    link->port = port;
    link->fd = fd;
    link->translate = port_link_translate(port);
    if (link->translate) {
        translate_set_mac(link->translate, &mac);
    }
    link->events = EPOLLIN;
    link->watch = loop_watch_new(port_link_loop(port), fd, link->events,
                                 packet_event, link, error);
    if (!link->watch) {
        g_free(link);
        return NULL;
    }
    port_set_offloads(port, SWITCH_OFFLOAD_CSUM | SWITCH_OFFLOAD_TSO4 |
                      SWITCH_OFFLOAD_TSO6 | SWITCH_OFFLOAD_ECN);
    port_link_up(port);
    return link;
}

static void packet_close(void *opaque)
{
    PacketLink *link = opaque;

    loop_watch_free(link->watch);
    close(link->fd);
    port_buffer_put(link->in);
    g_free(link);
}

const PortLinkDriver port_link_packet = {
    .socket_types = 1 << SOCK_RAW,
    .socket_types_str = "SOCK_RAW",
    .open = packet_open,
    .close = packet_close,
    .send = packet_send,
    .room = packet_room,
    .resume = packet_resume,
};
