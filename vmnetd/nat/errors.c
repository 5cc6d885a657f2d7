/*
 * errno of a socket to RST, ICMP or ICMPv6
 *
 * The kernel turned an ICMP error of the outside into an errno (Linux'
 * icmp_err_convert and icmpv6_err_convert); here it is turned back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/errors.h"
#include <errno.h>
#include <glib.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#define V4(code) { ICMP_DEST_UNREACH, code }
#define V6(code) { ICMP6_DST_UNREACH, code }

static const NatError errors[] = {
    /* Refused, or broken off: the peer's own word. */
    { ECONNREFUSED, NAT_ERROR_RST, V4(ICMP_PORT_UNREACH), V6(ICMP6_DST_UNREACH_NOPORT) },
    { ECONNRESET, NAT_ERROR_RST, V4(ICMP_PORT_UNREACH), V6(ICMP6_DST_UNREACH_NOPORT) },
    { ECONNABORTED, NAT_ERROR_RST, V4(ICMP_PORT_UNREACH), V6(ICMP6_DST_UNREACH_NOPORT) },
    { EPIPE, NAT_ERROR_RST, V4(ICMP_PORT_UNREACH), V6(ICMP6_DST_UNREACH_NOPORT) },
    /* Nobody answers. */
    { ETIMEDOUT, NAT_ERROR_ICMP, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR) },
    { EHOSTUNREACH, NAT_ERROR_ICMP, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR) },
    { EHOSTDOWN, NAT_ERROR_ICMP, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR) },
    { ENONET, NAT_ERROR_ICMP, V4(ICMP_HOST_ISOLATED), V6(ICMP6_DST_UNREACH_ADDR) },
    { ENETUNREACH, NAT_ERROR_ICMP, V4(ICMP_NET_UNREACH), V6(ICMP6_DST_UNREACH_NOROUTE) },
    { ENETDOWN, NAT_ERROR_ICMP, V4(ICMP_NET_UNREACH), V6(ICMP6_DST_UNREACH_NOROUTE) },
    /* The host has no address of that family, or none left of its ports. */
    { EADDRNOTAVAIL, NAT_ERROR_ICMP, V4(ICMP_NET_UNREACH), V6(ICMP6_DST_UNREACH_NOROUTE) },
    { EAFNOSUPPORT, NAT_ERROR_ICMP, V4(ICMP_NET_UNREACH), V6(ICMP6_DST_UNREACH_NOROUTE) },
    /* Forbidden: a firewall here or there. */
    { EACCES, NAT_ERROR_ICMP, V4(ICMP_PKT_FILTERED), V6(ICMP6_DST_UNREACH_ADMIN) },
    { EPERM, NAT_ERROR_ICMP, V4(ICMP_PKT_FILTERED), V6(ICMP6_DST_UNREACH_ADMIN) },
    /* The peer's system does not speak it. */
    { ENOPROTOOPT, NAT_ERROR_ICMP, V4(ICMP_PROT_UNREACH), V6(ICMP6_DST_UNREACH_NOPORT) },
    { EPROTO, NAT_ERROR_ICMP, V4(ICMP_PROT_UNREACH), V6(ICMP6_DST_UNREACH_NOPORT) },
    { EOPNOTSUPP, NAT_ERROR_ICMP, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR) },
    /* Our own want. */
    { EMFILE, NAT_ERROR_SILENT, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR) },
    { ENFILE, NAT_ERROR_SILENT, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR) },
    { ENOMEM, NAT_ERROR_SILENT, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR) },
    { ENOBUFS, NAT_ERROR_SILENT, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR) },
    { EAGAIN, NAT_ERROR_SILENT, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR) },
};

static const NatError other = {
    0, NAT_ERROR_RST, V4(ICMP_HOST_UNREACH), V6(ICMP6_DST_UNREACH_ADDR)
};

const NatError *nat_error_row(unsigned i)
{
    return i < G_N_ELEMENTS(errors) ? &errors[i] : NULL;
}

const NatError *nat_error_find(int errnum)
{
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(errors); i++) {
        if (errors[i].errnum == errnum) {
            return &errors[i];
        }
    }
    return &other;
}

bool nat_error_is_hosts(int errnum)
{
    return errnum == EPERM || errnum == ENOSPC ||
           (errnum != EAGAIN && nat_error_find(errnum)->tcp == NAT_ERROR_SILENT);
}
