/*
 * UDP sockets of the translator: of guests' ports and of forwards
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_NAT_UDP_INT_H
#define VMNETD_NAT_UDP_INT_H

#include <time.h>
#include <netinet/udp.h>
#include <linux/errqueue.h>
#include "nat/nat-int.h"

typedef struct UdpSocket UdpSocket;

typedef struct UdpSocketOps {
    /* Something may be there: udp_socket_read(), unless more is to be done. */
    void (*ready)(UdpSocket *sock, int64_t now_ms);
    /*
     * A datagram came from @from to our address @to (AF_UNSPEC: unknown).
     * As whom does the guest see its sender?  False: drop it.
     */
    bool (*came)(UdpSocket *sock, const IpEndpoint *from, const IpAddr *to,
                 int64_t now_ms, IpEndpoint *ret_outside);
    /* Which endpoint did the guest send to, that is @target outside? */
    bool (*sent)(UdpSocket *sock, const IpEndpoint *target,
                 IpEndpoint *ret_outside);
} UdpSocketOps;

/* Linux 4.18 and 5.0 */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/**
 * UdpSocket: an unconnected socket behind one guest's address and port.
 * @mac: of the guest
 * @run_max: datagrams that are longer are not sent as a run (udp-send.c)
 * @expected: bytes of room that a message probably needs (udp-receive.c)
 * @head: of what came last, where the guest has several queues; else AF_UNSPEC
 */
struct UdpSocket {
    const UdpSocketOps *ops;
    Nat *nat;
    int fd;
    LoopWatch *watch;
    NatWait wait;
    IpEndpoint guest;
    MacAddr mac;
    int pmtu;               /* value of IP_MTU_DISCOVER; -1: not set yet */
    uint32_t link_mtu;      /* see udp_try_send() */
    uint32_t run_max;
    size_t expected;
    NatHead head;
    bool unwatched;         /* waits for its receiver */
    bool is_failing;        /* could not receive: watched edge-triggered */
    GQueue kept;            /* received, and no room yet for all fragments */
};

typedef union UdpControl {
    struct cmsghdr align;
    uint8_t buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
                CMSG_SPACE(sizeof(int)) +
                CMSG_SPACE(sizeof(struct sock_extended_err) +
                           sizeof(struct sockaddr_in6))];
} UdpControl;

/** udp_socket_init: @fd is the socket's from now on, also on failure. */
bool udp_socket_init(UdpSocket *sock, Nat *nat, const UdpSocketOps *ops,
                     int fd);
void udp_socket_clear(UdpSocket *sock);
/** udp_socket_read: what waits, as far as there is room; watches again. */
void udp_socket_read(UdpSocket *sock, int64_t now_ms);
/** udp_socket_watch: whether new datagrams are to wake us. */
void udp_socket_watch(UdpSocket *sock, bool on);

/* ---- udp-send.c ---- */

/**
 * udp_socket_send: the payload of a guest's datagram, or of several that are to
 * be cut; it leaves with udp_gather_flush() at the latest.
 * @source: to send from; AF_UNSPEC: the kernel chooses
 */
void udp_socket_send(UdpSocket *sock, const Frame *frame, const IpPacket *ip,
                     const UdpDatagram *udp, const IpEndpoint *target,
                     const IpAddr *source, int64_t now_ms);
/** udp_gather_forget: @sock is going; what it has gathered is not sent. */
void udp_gather_forget(UdpSocket *sock);

/** udp_read_errors: ICMP errors for the guest of what the outside said. */
void udp_read_errors(UdpSocket *sock, int64_t now_ms);
/** udp_kept_clear: forget what was received and has not left. */
void udp_kept_clear(UdpSocket *sock);

/** udp_forward_input: the answer to a forward's client. False: it is none. */
bool udp_forward_input(Nat *nat, const Frame *frame, const IpPacket *ip,
                       const UdpDatagram *udp, int64_t now_ms);

#endif
