/*
 * Packets of an interface: read and written in batches, never waited for
 *
 * Theory of operation
 *
 * The socket is a SOCK_SEQPACKET pair: a packet is a record, and the end of
 * the other side is an end of file.  The caller polls an epoll descriptor with
 * the socket and a timer in it.
 *
 * Room is the difficult part.  A write that is refused has filled the send
 * buffer; the kernel reports EPOLLOUT only when three quarters of it are free
 * again, which with 212,992 bytes and packets of 64 KiB is when the peer has
 * read every one.  Therefore a timer tells of room as well, at first soon,
 * then ever later, and after 32 ms EPOLLOUT alone does: a daemon that is
 * stopped costs nothing.
 *
 * What reader and writer share is under a lock, which is taken when something
 * is watched for anew, not for packets.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "libvmnet/interface-int.h"

/* In one system call. */
#define BATCH_MAX 64
#define RETRY_MIN_NS 250000
#define RETRY_MAX_NS 16000000
/* Which of the two descriptors epoll speaks of. */
#define TAG_SOCKET 0
#define TAG_TIMER 1

bool interface_io_init(VmnetInterface *interface, GError **error)
{
    InterfaceIo *io = &interface->io;
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = TAG_TIMER };

    pthread_mutex_init(&io->lock, NULL);
    io->retry_ns = RETRY_MIN_NS;
    io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    io->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (io->epoll_fd < 0 || io->timer_fd < 0 ||
        epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, io->timer_fd, &event) < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "netdev '%s': cannot make a descriptor: %s",
                    interface->id, g_strerror(errno));
        return false;
    }
    return true;
}

void interface_io_clear(VmnetInterface *interface)
{
    InterfaceIo *io = &interface->io;

    if (io->epoll_fd >= 0) {
        close(io->epoll_fd);
        pthread_mutex_destroy(&io->lock);
    }
    if (io->timer_fd >= 0) {
        close(io->timer_fd);
    }
}

int vmnet_interface_get_fd(const VmnetInterface *interface)
{
    return interface->io.epoll_fd;
}

guint64 vmnet_interface_get_n_dropped(const VmnetInterface *interface)
{
    return __atomic_load_n(&interface->io.n_dropped, __ATOMIC_RELAXED);
}

/* What is watched for */

static void arm_timer(InterfaceIo *io, int64_t after_ns)
{
    struct itimerspec when = { .it_value.tv_nsec = after_ns };

    timerfd_settime(io->timer_fd, 0, &when, NULL);
}

static bool is_running(const VmnetInterface *interface)
{
    return g_atomic_int_get(&interface->state) == VMNET_INTERFACE_RUNNING;
}

/* The lock is held. */
static void update_watch(VmnetInterface *interface)
{
    InterfaceIo *io = &interface->io;
    struct epoll_event event = { .data.u32 = TAG_SOCKET };
    bool watch = io->func && io->mask && !io->told && is_running(interface);

    if (io->mask & VMNET_INTERFACE_PACKETS_AVAILABLE) {
        event.events |= EPOLLIN;
    }
    if (io->room_wanted && !io->room_by_timer &&
        (io->mask & VMNET_INTERFACE_ROOM_AVAILABLE)) {
        event.events |= EPOLLOUT;
    }
    if (!watch) {
        if (io->is_watched) {
            epoll_ctl(io->epoll_fd, EPOLL_CTL_DEL, interface->fd, NULL);
        }
    } else if (!io->is_watched || event.events != io->watched) {
        epoll_ctl(io->epoll_fd, io->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                  interface->fd, &event);
        io->watched = event.events;
    }
    io->is_watched = watch;
}

void interface_io_run(VmnetInterface *interface)
{
    if (interface->port != VMNET_PORT_PACKETS) {
        return;
    }
    pthread_mutex_lock(&interface->io.lock);
    update_watch(interface);
    pthread_mutex_unlock(&interface->io.lock);
}

void vmnet_interface_set_event_callback(VmnetInterface *interface,
                                        VmnetInterfaceEvents events,
                                        VmnetInterfaceEventFunc func,
                                        gpointer user_data)
{
    InterfaceIo *io = &interface->io;

    if (io->epoll_fd < 0) {
        return;
    }
    pthread_mutex_lock(&io->lock);
    io->mask = events;
    io->func = func;
    io->user_data = user_data;
    if (io->room_wanted && (events & VMNET_INTERFACE_ROOM_AVAILABLE)) {
        arm_timer(io, RETRY_MIN_NS);
    }
    update_watch(interface);
    pthread_mutex_unlock(&io->lock);
}

/* @by_timer: the kernel lacks memory, of which EPOLLOUT says nothing */
static void want_room(VmnetInterface *interface, bool by_timer)
{
    InterfaceIo *io = &interface->io;

    pthread_mutex_lock(&io->lock);
    io->room_wanted = true;
    io->room_by_timer = by_timer;
    if (io->retry_ns <= RETRY_MAX_NS || by_timer) {
        arm_timer(io, MIN(io->retry_ns, RETRY_MAX_NS));
        io->retry_ns *= io->retry_ns <= RETRY_MAX_NS ? 2 : 1;
    }
    update_watch(interface);
    pthread_mutex_unlock(&io->lock);
}

/* Dispatch */

/* What has happened, and what of it is to be told; the lock is held. */
static VmnetInterfaceEvents take_events(VmnetInterface *interface,
                                        uint32_t socket_events, bool timer)
{
    InterfaceIo *io = &interface->io;
    VmnetInterfaceEvents events = 0;
    bool ended = g_atomic_int_get(&io->ended);

    if (socket_events & EPOLLIN && !ended) {
        events |= VMNET_INTERFACE_PACKETS_AVAILABLE;
    } else if (socket_events & (EPOLLHUP | EPOLLERR) || ended) {
        events |= VMNET_INTERFACE_LOST;
        io->told = true;
        g_atomic_int_set(&io->ended, true);
    }
    if (io->room_wanted && (socket_events & EPOLLOUT || timer) &&
        (io->mask & VMNET_INTERFACE_ROOM_AVAILABLE)) {
        events |= VMNET_INTERFACE_ROOM_AVAILABLE;
        io->room_wanted = false;
    }
    return events & io->mask;
}

gboolean vmnet_interface_dispatch(VmnetInterface *interface)
{
    InterfaceIo *io = &interface->io;
    struct epoll_event happened[2];
    VmnetInterfaceEventFunc func;
    VmnetInterfaceEvents events;
    uint32_t socket_events = 0;
    bool timer = false, goes_on;
    uint64_t expired;
    gpointer data;
    int i, n;

    vmnet_interface_ref(interface);
    n = epoll_wait(io->epoll_fd, happened, G_N_ELEMENTS(happened), 0);
    for (i = 0; i < n; i++) {
        if (happened[i].data.u32 == TAG_SOCKET) {
            socket_events = happened[i].events;
        } else {
            timer = read(io->timer_fd, &expired, sizeof(expired)) > 0;
        }
    }
    pthread_mutex_lock(&io->lock);
    events = take_events(interface, socket_events, timer);
    func = io->func;
    data = io->user_data;
    update_watch(interface);
    goes_on = !io->told;
    pthread_mutex_unlock(&io->lock);
    if (events && func) {
        func(interface, events, MAX(io->n_read, 1), data);
    }
    vmnet_interface_unref(interface);
    return goes_on;
}

/* Checks */

static bool refuse(const VmnetInterface *interface, VmnetStatus status,
                   const char *what, GError **error)
{
    g_set_error(error, VMNET_ERROR, status, "netdev '%s': %s", interface->id,
                what);
    return false;
}

static bool check_batch(const VmnetInterface *interface, unsigned n,
                        GError **error)
{
    if (!is_running(interface)) {
        return refuse(interface, VMNET_SETUP_INCOMPLETE, "is not running",
                      error);
    }
    if (interface->port != VMNET_PORT_PACKETS) {
        return refuse(interface, VMNET_INVALID_ARGUMENT,
                      "its packets go through a socket", error);
    }
    if (n < 1 || n > VMNET_MAX_PACKETS) {
        return refuse(interface, n ? VMNET_TOO_MANY_PACKETS :
                      VMNET_INVALID_ARGUMENT,
                      "a batch has 1 to 256 packets", error);
    }
    return true;
}

/* Bytes that the pieces hold; 0: there are none, or too many. */
static size_t capacity(const VmnetPacket *packet)
{
    size_t len = 0;
    unsigned i;

    if (packet->n_iov > VMNET_MAX_IOV) {
        return 0;
    }
    for (i = 0; i < packet->n_iov; i++) {
        if (packet->iov[i].iov_len > G_MAXINT) {
            return 0;
        }
        len += packet->iov[i].iov_len;
    }
    return len;
}

static size_t min_size(const VmnetInterface *interface)
{
    return ETHERNET_HEADER_BYTES +
           (interface->flags & VMNET_INTERFACE_VIRTIO_HEADER ?
            VMNET_VIRTIO_HEADER_BYTES : 0);
}

static bool check_to_write(const VmnetInterface *interface,
                           const VmnetPacket *packets, unsigned n,
                           GError **error)
{
    size_t min = min_size(interface);
    size_t max = vmnet_interface_get_max_packet_size(interface);
    unsigned i;

    for (i = 0; i < n; i++) {
        if (packets[i].size > max) {
            return refuse(interface, VMNET_PACKET_TOO_BIG,
                          "a packet is too big", error);
        }
        if (packets[i].size < min || packets[i].size > capacity(&packets[i])) {
            return refuse(interface, VMNET_INVALID_ARGUMENT,
                          "a packet is no whole Ethernet frame", error);
        }
    }
    return true;
}

static bool check_to_read(const VmnetInterface *interface,
                          const VmnetPacket *packets, unsigned n,
                          GError **error)
{
    size_t max = vmnet_interface_get_max_packet_size(interface);
    unsigned i;

    for (i = 0; i < n; i++) {
        if (capacity(&packets[i]) < max) {
            return refuse(interface, VMNET_INVALID_ARGUMENT,
                          "there is no room for the largest packet", error);
        }
    }
    return true;
}

/* Reading */

/* Leave out what is no frame: its pieces go to the end. */
static unsigned drop_odd(VmnetInterface *interface, const struct mmsghdr *msgs,
                         VmnetPacket *packets, unsigned n)
{
    unsigned i, kept = 0;

    for (i = 0; i < n; i++) {
        VmnetPacket packet = packets[i];

        packet.size = msgs[i].msg_len;
        if (msgs[i].msg_hdr.msg_flags & MSG_TRUNC ||
            packet.size < min_size(interface)) {
            __atomic_fetch_add(&interface->io.n_dropped, 1, __ATOMIC_RELAXED);
            continue;
        }
        packets[i] = packets[kept];
        packets[kept++] = packet;
    }
    return kept;
}

/* Returns: packets; -1 with errno, 0 for the end */
static int read_some(VmnetInterface *interface, VmnetPacket *packets,
                     unsigned n, unsigned *ret_kept)
{
    struct mmsghdr msgs[BATCH_MAX];
    unsigned i;
    int got;

    for (i = 0; i < n; i++) {
        msgs[i] = (struct mmsghdr){
            .msg_hdr = { .msg_iov = packets[i].iov,
                         .msg_iovlen = packets[i].n_iov },
        };
    }
    do {
        got = recvmmsg(interface->fd, msgs, n, MSG_DONTWAIT, NULL);
    } while (got < 0 && errno == EINTR);
    /* A record of no bytes is the end of file. */
    for (i = 0; (int)i < got && msgs[i].msg_len; i++) {
    }
    *ret_kept = got > 0 ? drop_odd(interface, msgs, packets, i) : 0;
    if (got > 0 && (int)i < got) {
        g_atomic_int_set(&interface->io.ended, true);
    }
    return got;
}

gboolean vmnet_interface_read(VmnetInterface *interface, VmnetPacket *packets,
                              guint *n_packets, GError **error)
{
    unsigned n = *n_packets, done = 0;
    InterfaceIo *io = &interface->io;

    if (!check_batch(interface, n, error) ||
        !check_to_read(interface, packets, n, error)) {
        return false;
    }
    while (done < n && !g_atomic_int_get(&io->ended)) {
        unsigned want = MIN(n - done, BATCH_MAX), kept;
        int got = read_some(interface, packets + done, want, &kept);

        done += kept;
        if (got < 0 && errno != EAGAIN && errno != ENOMEM) {
            g_atomic_int_set(&io->ended, true);
        }
        if (got < (int)want) {
            break;
        }
    }
    io->n_read = done;
    if (!done && g_atomic_int_get(&io->ended)) {
        return refuse(interface, VMNET_SETUP_INCOMPLETE, "vmnetd has gone",
                      error);
    }
    *n_packets = done;
    return true;
}

/* Writing */

/* @packet's first @size bytes. Returns: pieces in @iov. */
static unsigned cut_pieces(const VmnetPacket *packet, struct iovec *iov)
{
    size_t left = packet->size;
    unsigned i;

    for (i = 0; left > 0; i++) {
        iov[i] = packet->iov[i];
        iov[i].iov_len = MIN(iov[i].iov_len, left);
        left -= iov[i].iov_len;
    }
    return i;
}

static int send_packets(VmnetInterface *interface, const VmnetPacket *packets,
                        unsigned n)
{
    struct mmsghdr msgs[BATCH_MAX];
    struct iovec iov[VMNET_MAX_IOV];
    unsigned i, used = 0;
    int sent;

    for (i = 0; i < n; i++) {
        unsigned pieces;

        if (used + packets[i].n_iov > VMNET_MAX_IOV) {
            break;
        }
        pieces = cut_pieces(&packets[i], iov + used);
        msgs[i] = (struct mmsghdr){
            .msg_hdr = { .msg_iov = iov + used, .msg_iovlen = pieces },
        };
        used += pieces;
    }
    do {
        sent = sendmmsg(interface->fd, msgs, i, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

/* Nothing was sent. Returns: whether there is just no room. */
static bool write_failed(VmnetInterface *interface, int errnum, GError **error)
{
    switch (errnum) {
    case EAGAIN:
        want_room(interface, false);
        return true;
    case ENOBUFS:
    case ENOMEM:
        want_room(interface, true);
        return true;
    case EMSGSIZE:
        return refuse(interface, VMNET_PACKET_TOO_BIG,
                      "a packet is too big for its socket", error);
    default:
        return refuse(interface, VMNET_SETUP_INCOMPLETE, "vmnetd has gone",
                      error);
    }
}

gboolean vmnet_interface_write(VmnetInterface *interface,
                               const VmnetPacket *packets, guint *n_packets,
                               GError **error)
{
    unsigned n = *n_packets, done = 0;

    if (!check_batch(interface, n, error) ||
        !check_to_write(interface, packets, n, error)) {
        return false;
    }
    while (done < n) {
        int sent = send_packets(interface, packets + done,
                                MIN(n - done, BATCH_MAX));

        if (sent > 0) {
            done += sent;
            continue;
        }
        /* An error behind what was taken is the next call's. */
        if (!write_failed(interface, sent < 0 ? errno : EIO,
                          done ? NULL : error) && !done) {
            return false;
        }
        break;
    }
    if (done) {
        interface->io.retry_ns = RETRY_MIN_NS;
    }
    *n_packets = done;
    return true;
}
