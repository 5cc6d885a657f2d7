/*
 * Network interfaces by rtnetlink: ask for one, make, set, remove
 *
 * The kernel is trusted to tell the truth, but not to fit: lengths are checked
 * against what was received, and attributes that are not known are skipped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "priv/message.h"

/* The kernel's dumps come in pieces of up to 32 KiB. */
#define READ_BYTES 32768
/* Reads of one answer: far more interfaces than there can be. */
#define READS_MAX 4096
/* The kernel's least one of a bridge with STP; libvirt's bridges have it. */
#define FORWARD_DELAY_MIN_CS 200

typedef struct LinkRequest {
    struct nlmsghdr header;
    struct ifinfomsg info;
    uint8_t attributes[256];
} LinkRequest;

typedef struct AddressRequest {
    struct nlmsghdr header;
    struct ifaddrmsg address;
    uint8_t attributes[64];
} AddressRequest;

bool link_is_slow_bridge(const Link *link)
{
    return link->forward_delay_cs > FORWARD_DELAY_MIN_CS;
}

int links_open(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

/* Requests */

static LinkRequest request_of(unsigned type, unsigned flags, int ifindex)
{
    return (LinkRequest) {
        .header.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
        .header.nlmsg_type = type,
        .header.nlmsg_flags = NLM_F_REQUEST | flags,
        .info.ifi_family = AF_UNSPEC,
        .info.ifi_index = ifindex,
    };
}

/* A @request begins with its header, whichever it is. */

/* What is added is ours and fits. Returns: where, for end_nest(). */
static struct rtattr *add(void *request, unsigned type, const void *data,
                          size_t len)
{
    struct nlmsghdr *header = request;
    struct rtattr *attribute = (void *)((uint8_t *)header + header->nlmsg_len);

    attribute->rta_type = type;
    attribute->rta_len = RTA_LENGTH(len);
    if (len) {
        memcpy(RTA_DATA(attribute), data, len);
    }
    header->nlmsg_len += RTA_ALIGN(attribute->rta_len);
    return attribute;
}

static void end_nest(void *request, struct rtattr *nest)
{
    const struct nlmsghdr *header = request;

    nest->rta_len = (uint8_t *)header + header->nlmsg_len - (uint8_t *)nest;
}

/* Answers */

/* Attributes of @type from @attribute on; NULL: none. */
static const struct rtattr *find(const struct rtattr *attribute, size_t len,
                                 unsigned type)
{
    for (; RTA_OK(attribute, len); attribute = RTA_NEXT(attribute, len)) {
        if ((attribute->rta_type & NLA_TYPE_MASK) == type) {
            return attribute;
        }
    }
    return NULL;
}

static uint32_t read_u32(const struct rtattr *attributes, size_t len,
                         unsigned type)
{
    const struct rtattr *found = find(attributes, len, type);
    uint32_t value = 0;

    if (found && RTA_PAYLOAD(found) >= sizeof(value)) {
        memcpy(&value, RTA_DATA(found), sizeof(value));
    }
    return value;
}

/* @ret_text stays empty if it would not fit. */
static void read_text(const struct rtattr *attributes, size_t len,
                      unsigned type, char *ret_text, size_t size)
{
    const struct rtattr *found = find(attributes, len, type);

    memset(ret_text, 0, size);
    if (found && RTA_PAYLOAD(found) <= size &&
        memchr(RTA_DATA(found), 0, RTA_PAYLOAD(found))) {
        memcpy(ret_text, RTA_DATA(found), RTA_PAYLOAD(found));
    }
}

/* @data: the attributes of a bridge. */
static uint32_t read_forward_delay(const struct rtattr *data)
{
    const void *attributes = RTA_DATA(data);
    size_t len = RTA_PAYLOAD(data);

    return read_u32(attributes, len, IFLA_BR_STP_STATE)
           ? read_u32(attributes, len, IFLA_BR_FORWARD_DELAY) : 0;
}

static void read_kind(const struct rtattr *info, Link *link)
{
    const struct rtattr *data = find(RTA_DATA(info), RTA_PAYLOAD(info),
                                     IFLA_INFO_DATA);

    read_text(RTA_DATA(info), RTA_PAYLOAD(info), IFLA_INFO_KIND, link->kind,
              sizeof(link->kind));
    if (data && !strcmp(link->kind, "bridge")) {
        link->forward_delay_cs = read_forward_delay(data);
    }
}

static bool read_link(const struct nlmsghdr *header, Link *ret_link)
{
    const struct ifinfomsg *info = NLMSG_DATA(header);
    const struct rtattr *attributes, *nest;
    size_t len;

    if (header->nlmsg_type != RTM_NEWLINK ||
        header->nlmsg_len < NLMSG_LENGTH(sizeof(*info))) {
        return false;
    }
    attributes = IFLA_RTA(info);
    len = IFLA_PAYLOAD(header);
    *ret_link = (Link) {
        .ifindex = info->ifi_index,
        .flags = info->ifi_flags,
        .type = info->ifi_type,
        .master = read_u32(attributes, len, IFLA_MASTER),
        .mtu_bytes = read_u32(attributes, len, IFLA_MTU),
        .group = read_u32(attributes, len, IFLA_GROUP),
    };
    read_text(attributes, len, IFLA_IFNAME, ret_link->name,
              sizeof(ret_link->name));
    nest = find(attributes, len, IFLA_LINKINFO);
    if (nest) {
        read_kind(nest, ret_link);
    }
    return true;
}

typedef struct Reader {
    bool (*each)(void *opaque, const Link *link);
    void *opaque;
    bool enough;
} Reader;

/* Returns: -1: go on reading; else 0 or an errno: that was all. */
static int read_piece(const void *buf, ssize_t len, Reader *reader)
{
    const struct nlmsghdr *header = buf;

    for (; NLMSG_OK(header, len); header = NLMSG_NEXT(header, len)) {
        Link link;

        if (header->nlmsg_type == NLMSG_DONE) {
            return 0;
        }
        if (header->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *answer = NLMSG_DATA(header);

            return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*answer))
                   ? -answer->error : EPROTO;
        }
        if (!reader->enough && reader->each && read_link(header, &link)) {
            reader->enough = !reader->each(reader->opaque, &link);
        }
    }
    return -1;
}

/* Every request asks for NLM_F_ACK or NLM_F_DUMP: its answer has an end. */
static int exchange(int nl, const void *request, Reader *reader)
{
    const struct nlmsghdr *header = request;
    static uint8_t buf[READ_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
    unsigned i;

    if (send(nl, request, header->nlmsg_len, 0) < 0) {
        return errno;
    }
    for (i = 0; i < READS_MAX; i++) {
        ssize_t len = recv(nl, buf, sizeof(buf), 0);
        int errnum;

        if (len < 0 && errno != EINTR) {
            return errno;
        }
        errnum = len < 0 ? -1 : read_piece(buf, len, reader);
        if (errnum >= 0) {
            return errnum;
        }
    }
    return EPROTO;
}

static int ask(int nl, const void *request)
{
    Reader nobody = { 0 };

    return exchange(nl, request, &nobody);
}

static bool keep_link(void *opaque, const Link *link)
{
    *(Link *)opaque = *link;
    return false;
}

static int get(int nl, const void *request, Link *ret_link)
{
    Link link = { 0 };
    Reader reader = { .each = keep_link, .opaque = &link };
    int errnum = exchange(nl, request, &reader);

    if (errnum == 0 && !link.ifindex) {
        errnum = ENODEV;
    }
    if (errnum == 0) {
        *ret_link = link;
    }
    return errnum;
}

int links_get(int nl, const char *name, Link *ret_link)
{
    LinkRequest request = request_of(RTM_GETLINK, NLM_F_ACK, 0);

    add(&request, IFLA_IFNAME, name, strlen(name) + 1);
    return get(nl, &request, ret_link);
}

int links_get_index(int nl, int ifindex, Link *ret_link)
{
    LinkRequest request = request_of(RTM_GETLINK, NLM_F_ACK, ifindex);

    return get(nl, &request, ret_link);
}

int links_each(int nl, bool (*each)(void *opaque, const Link *link),
               void *opaque)
{
    LinkRequest request = request_of(RTM_GETLINK, NLM_F_DUMP, 0);
    Reader reader = { .each = each, .opaque = opaque };

    return exchange(nl, &request, &reader);
}

int links_make_macvtap(int nl, const LinkMacvtap *macvtap)
{
    static const char name[] = PRIV_LINK_PREFIX "%d";
    uint32_t lower = macvtap->lower;
    uint32_t mode = macvtap->is_private ? MACVLAN_MODE_PRIVATE
                                        : MACVLAN_MODE_BRIDGE;
    LinkRequest request = request_of(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE |
                                     NLM_F_EXCL, macvtap->index);
    struct rtattr *info, *data;

    add(&request, IFLA_IFNAME, name, sizeof(name));
    add(&request, IFLA_LINK, &lower, sizeof(lower));
    add(&request, IFLA_ADDRESS, macvtap->mac, sizeof(macvtap->mac));
    add(&request, IFLA_GROUP, &macvtap->group, sizeof(macvtap->group));
    info = add(&request, IFLA_LINKINFO, NULL, 0);
    add(&request, IFLA_INFO_KIND, "macvtap", sizeof("macvtap"));
    data = add(&request, IFLA_INFO_DATA, NULL, 0);
    add(&request, IFLA_MACVLAN_MODE, &mode, sizeof(mode));
    end_nest(&request, data);
    end_nest(&request, info);
    return ask(nl, &request);
}

static int set(int nl, int ifindex, unsigned type, const void *data, size_t len)
{
    LinkRequest request = request_of(RTM_SETLINK, NLM_F_ACK, ifindex);

    add(&request, type, data, len);
    return ask(nl, &request);
}

int links_no_ipv6(int nl, int ifindex)
{
    uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
    LinkRequest request = request_of(RTM_SETLINK, NLM_F_ACK, ifindex);
    struct rtattr *families = add(&request, IFLA_AF_SPEC, NULL, 0);
    struct rtattr *inet6 = add(&request, AF_INET6, NULL, 0);

    add(&request, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
    end_nest(&request, inet6);
    end_nest(&request, families);
    return ask(nl, &request);
}

int links_set_mac(int nl, int ifindex, const uint8_t mac[6])
{
    return set(nl, ifindex, IFLA_ADDRESS, mac, 6);
}

int links_set_mtu(int nl, int ifindex, uint32_t mtu_bytes)
{
    return set(nl, ifindex, IFLA_MTU, &mtu_bytes, sizeof(mtu_bytes));
}

int links_set_master(int nl, int ifindex, int master)
{
    uint32_t value = master;

    return set(nl, ifindex, IFLA_MASTER, &value, sizeof(value));
}

int links_set_up(int nl, int ifindex, unsigned flags)
{
    LinkRequest request = request_of(RTM_SETLINK, NLM_F_ACK, ifindex);

    request.info.ifi_flags = IFF_UP | flags;
    request.info.ifi_change = IFF_UP | flags;
    return ask(nl, &request);
}

int links_remove(int nl, int ifindex)
{
    LinkRequest request = request_of(RTM_DELLINK, NLM_F_ACK, ifindex);

    return ask(nl, &request);
}

int links_set_group(int nl, int ifindex, uint32_t group)
{
    return set(nl, ifindex, IFLA_GROUP, &group, sizeof(group));
}

int links_add_address(int nl, int ifindex, const IpAddr *addr, unsigned len)
{
    AddressRequest request = {
        .header.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
        .header.nlmsg_type = RTM_NEWADDR,
        .header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE |
                              NLM_F_EXCL,
        .address.ifa_family = addr->family,
        .address.ifa_prefixlen = len,
        .address.ifa_flags = addr->family == AF_INET6 ? IFA_F_NODAD : 0,
        .address.ifa_scope = ip_addr_is_link_local(addr) ? RT_SCOPE_LINK
                                                         : RT_SCOPE_UNIVERSE,
        .address.ifa_index = ifindex,
    };

    if (addr->family == AF_INET6) {
        add(&request, IFA_LOCAL, &addr->v6, sizeof(addr->v6));
    } else {
        uint32_t v4 = htonl(addr->v4);
        uint32_t broadcast = htonl(addr->v4 | ~ip_len_to_mask(len));

        add(&request, IFA_LOCAL, &v4, sizeof(v4));
        add(&request, IFA_ADDRESS, &v4, sizeof(v4));
        add(&request, IFA_BROADCAST, &broadcast, sizeof(broadcast));
    }
    return ask(nl, &request);
}
