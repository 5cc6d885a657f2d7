/*
 * Segments: what the kernel makes of TSO and USO frames for an interface that
 * takes neither them nor checksums is what tests/unit/offload-frames.h says,
 * which is what the switch's segmentation is compared with.
 *
 *   frame --> [ tap a, IFF_VNET_HDR ] -- bridge -- [ tap b ] --> segments
 *
 * What relies on it: switch/segment.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "platform.h"
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "../unit/offload-frames.h"

#define SEGMENT_WAIT_MS 5000
/* Longer than every row of segments here. */
#define QUEUE_LEN 4000

static const uint8_t src_mac[6] = { 2, 0, 0, 0, 1, 0 };
static const uint8_t dst_mac[6] = { 2, 0, 0, 0, 1, 1 };

static int control;     /* a socket for ioctl() */

static struct ifreq request(const char *name)
{
    struct ifreq ifr = { 0 };

    strcpy(ifr.ifr_name, name);
    return ifr;
}

static void own_network(void)
{
    if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) <
        0) {
        skip("a network namespace needs root here");
    }
    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    MUST(control >= 0);
    if (ioctl(control, SIOCBRADDBR, "br0") < 0) {
        skip("no bridges in this kernel");
    }
}

static void set_up(const char *name)
{
    struct ifreq ifr = request(name);

    ifr.ifr_flags = IFF_UP;
    MUST(ioctl(control, SIOCSIFFLAGS, &ifr) == 0);
}

static int make_tap(const char *name, short flags)
{
    struct ifreq ifr = request(name), bridge = request("br0");
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        skip("/dev/net/tun needs root here");
    }
    ifr.ifr_flags = IFF_TAP | IFF_NO_PI | flags;
    MUST(ioctl(fd, TUNSETIFF, &ifr) == 0);
    ifr = request(name);
    ifr.ifr_qlen = QUEUE_LEN;
    MUST(ioctl(control, SIOCSIFTXQLEN, &ifr) == 0);
    MUST(ioctl(control, SIOCGIFINDEX, &ifr) == 0);
    bridge.ifr_ifindex = ifr.ifr_ifindex;
    MUST(ioctl(control, SIOCBRADDIF, &bridge) == 0);
    set_up(name);
    return fd;
}

/* Returns: false: this kernel does not take such frames. */
static bool send_frame(int fd, const FlatFrame *frame)
{
    struct iovec iov[] = {
        { (void *)&frame->vnet, sizeof(frame->vnet) },
        { (void *)frame->bytes, frame->len },
    };

    return writev(fd, iov, 2) == (ssize_t)(sizeof(frame->vnet) + frame->len);
}

/* The next frame that is ours: the kernel has some of its own. */
static void receive(int fd, FlatFrame *frame)
{
    do {
        struct pollfd pfd = { fd, POLLIN, 0 };
        ssize_t n;

        MUST(poll(&pfd, 1, SEGMENT_WAIT_MS) == 1);
        n = read(fd, frame->bytes, sizeof(frame->bytes));
        MUST(n > 0);
        frame->len = n;
    } while (memcmp(frame->bytes + 6, src_mac, sizeof(src_mac)));
}

static void check(const FrameShape *shape, int a, int b)
{
    static FlatFrame frame, want, got;
    unsigned i;

    flat_frame_make(shape, dst_mac, src_mac, &frame);
    if (!send_frame(a, &frame)) {
        MUST(shape->is_udp && shape->gso_size); /* USO: Linux 6.2 */
        printf("%s: not taken\n", shape->name);
        return;
    }
    for (i = 0; slow_segment(&frame, i, &want); i++) {
        receive(b, &got);
        if (got.len != want.len || memcmp(got.bytes, want.bytes, want.len)) {
            fprintf(stderr, "%s: segment %u of %zu bytes, %zu expected\n",
                    shape->name, i, got.len, want.len);
            exit(EXIT_FAILURE);
        }
    }
}

int main(void)
{
    int a, b, header = sizeof(struct virtio_net_hdr_v1);
    size_t i;

    own_network();
    a = make_tap("a", IFF_VNET_HDR);
    b = make_tap("b", 0);
    MUST(ioctl(a, TUNSETVNETHDRSZ, &header) == 0);
    set_up("br0");
    for (i = 0; i < G_N_ELEMENTS(frame_shapes); i++) {
        check(&frame_shapes[i], a, b);
    }
    return 0;
}
