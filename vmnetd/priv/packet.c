/*
 * Packet sockets that are made for the engine
 *
 * The socket comes ready to use.  Its filter, which can no more be changed,
 * lets in what has come by this interface alone; a process that was taken over
 * could bind the socket to another one, and would hear nothing there.  To send
 * by another one cannot be forbidden: who must not trust the engine with that
 * bridges by macvtap.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/serve-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the host may owe, either way: 64 KiB frames count double. */
#define PACKET_BUFFER_BYTES (4 * 1024 * 1024)

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? errno : 0;
}

/*
 * Frames that are not for the host are guests' or may be; those for it are
 * only where all guests share its address (@own_only).
 */
static int set_filter(int fd, int ifindex, bool own_only)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_IFINDEX),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ifindex, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                 own_only ? PACKET_OTHERHOST : PACKET_HOST, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {
        .len = sizeof(code) / sizeof(*code),
        .filter = (struct sock_filter *)code,
    };

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof(program)) < 0) {
        return errno;
    }
    return set_option(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
}

/* Addresses are guests': also those of others, and of all groups. */
static int join_all(int fd, int ifindex, bool own_only)
{
    const struct packet_mreq request = {
        .mr_ifindex = ifindex,
        .mr_type = own_only ? PACKET_MR_ALLMULTI : PACKET_MR_PROMISC,
    };

    return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request,
                      sizeof(request)) < 0 ? errno : 0;
}

static int set_up(int fd, int ifindex, bool own_only)
{
    const struct sockaddr_ll addr = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = ifindex,
    };
    int errnum = set_filter(fd, ifindex, own_only);

    if (errnum == 0) {
        errnum = set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    }
    if (errnum == 0) {
        errnum = set_option(fd, SOL_PACKET, PACKET_AUXDATA, 1);
    }
    if (errnum == 0) {
        errnum = set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    }
    if (errnum == 0) {
        set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, PACKET_BUFFER_BYTES);
        set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, PACKET_BUFFER_BYTES);
        errnum = join_all(fd, ifindex, own_only);
    }
    if (errnum == 0 &&
        bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
        errnum = errno;
    }
    return errnum;
}

void priv_do_packet(PrivServer *server, const PrivRequest *request,
                    PrivResult *result)
{
    Link link;
    int fd;

    if (!priv_check_lower(server, request, &link, result) ||
        !priv_check_unbridged(&link, result)) {
        return;
    }
    /* Of no protocol: it hears nothing before it is bound. */
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (!priv_went_well(result, fd < 0 ? errno : 0)) {
        return;
    }
    result->made_fd = fd;
    priv_went_well(result, set_up(fd, link.ifindex,
                                  request->flags & PRIV_OWN_MAC));
}
