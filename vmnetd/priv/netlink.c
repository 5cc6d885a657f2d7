/*
 * What the kernel tells by netlink: dumps, and attributes of their messages
 *
 * The kernel is trusted to tell the truth, but not to fit: lengths are checked
 * against what was received.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel's dumps come in pieces of up to 32 KiB. */
#define READ_BYTES 32768
#define READS_MAX 65536
/* What changes all the time is told as it was at some time. */
#define TRIES 10

NetlinkAttrs netlink_attrs(const struct nlmsghdr *message, size_t header_len)
{
    size_t skipped = NLMSG_LENGTH(NLMSG_ALIGN(header_len));

    if (message->nlmsg_len < skipped) {
        return (NetlinkAttrs){ 0 };
    }
    return (NetlinkAttrs){
        (const uint8_t *)message + skipped, message->nlmsg_len - skipped,
    };
}

NetlinkAttrs netlink_find(NetlinkAttrs attrs, unsigned type)
{
    const uint8_t *at = attrs.data;
    size_t left = attrs.len;

    while (left >= sizeof(struct nlattr)) {
        struct nlattr attr;
        size_t step;

        memcpy(&attr, at, sizeof(attr));
        if (attr.nla_len < sizeof(attr) || attr.nla_len > left) {
            break;
        }
        if ((attr.nla_type & NLA_TYPE_MASK) == type) {
            return (NetlinkAttrs){ at + NLA_HDRLEN, attr.nla_len - NLA_HDRLEN };
        }
        step = NLA_ALIGN(attr.nla_len);
        if (step >= left) {
            break;
        }
        at += step;
        left -= step;
    }
    return (NetlinkAttrs){ 0 };
}

const char *netlink_text(NetlinkAttrs attrs, unsigned type)
{
    NetlinkAttrs found = netlink_find(attrs, type);

    return found.data && memchr(found.data, 0, found.len) ? found.data : NULL;
}

uint32_t netlink_u32(NetlinkAttrs attrs, unsigned type, uint32_t otherwise)
{
    NetlinkAttrs found = netlink_find(attrs, type);

    if (found.data && found.len >= sizeof(otherwise)) {
        memcpy(&otherwise, found.data, sizeof(otherwise));
    }
    return otherwise;
}

NetlinkRequest netlink_request(unsigned type, const void *header, size_t len)
{
    NetlinkRequest request = {
        .header.nlmsg_len = NLMSG_LENGTH(NLMSG_ALIGN(len)),
        .header.nlmsg_type = type,
    };

    memcpy(request.body, header, len);
    return request;
}

void netlink_add_text(NetlinkRequest *request, unsigned type, const char *text)
{
    size_t len = strlen(text) + 1;
    struct nlattr attr = {
        .nla_len = NLA_HDRLEN + len,
        .nla_type = type,
    };
    uint8_t *at = (uint8_t *)request + request->header.nlmsg_len;

    memcpy(at, &attr, sizeof(attr));
    memcpy(at + NLA_HDRLEN, text, len);
    request->header.nlmsg_len += NLA_ALIGN(attr.nla_len);
}

typedef struct Dump {
    NetlinkEach *each;
    void *opaque;
    bool was_interrupted;
} Dump;

/* Returns: -1: go on reading; else 0 or an errno: that was all. */
static int read_piece(Dump *dump, const void *buf, ssize_t len)
{
    const struct nlmsghdr *message = buf;

    for (; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
        dump->was_interrupted |= message->nlmsg_flags & NLM_F_DUMP_INTR;
        if (message->nlmsg_type == NLMSG_DONE) {
            return 0;
        }
        if (message->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *answer = NLMSG_DATA(message);

            return message->nlmsg_len >= NLMSG_LENGTH(sizeof(*answer))
                   ? -answer->error : EPROTO;
        }
        dump->each(dump->opaque, message);
    }
    return -1;
}

static int dump_once(int fd, const NetlinkRequest *request, Dump *dump)
{
    static uint8_t buf[READ_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
    unsigned i;

    if (send(fd, request, request->header.nlmsg_len, 0) < 0) {
        return errno;
    }
    for (i = 0; i < READS_MAX; i++) {
        ssize_t len = recv(fd, buf, sizeof(buf), 0);
        int errnum;

        if (len < 0 && errno != EINTR) {
            return errno;
        }
        errnum = len < 0 ? -1 : read_piece(dump, buf, len);
        if (errnum >= 0) {
            return errnum;
        }
    }
    return EPROTO;
}

int netlink_dump(int protocol, NetlinkRequest *request, NetlinkEach *each,
                 void *opaque)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    unsigned tries = 0;
    Dump dump = { .each = each, .opaque = opaque };
    int errnum;

    if (fd < 0) {
        return errno;
    }
    request->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
    do {
        dump.was_interrupted = false;
        errnum = dump_once(fd, request, &dump);
    } while (!errnum && dump.was_interrupted && ++tries < TRIES);
    close(fd);
    return errnum ? errnum : dump.was_interrupted ? EINTR : 0;
}
