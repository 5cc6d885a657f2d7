/*
 * nftables: what there is, by netlink; transactions, by libnftables
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "priv/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#ifdef HAVE_NFTABLES
#include <nftables/libnftables.h>
#endif

#include "priv/netlink.h"
#include "vmnet/error.h"

/* The type of a comment in what nft keeps beside tables and rules. */
#define USERDATA_COMMENT 0

/* Dumps */

/* Records of type, length and value, a byte each of the former. */
static const char *find_comment(NetlinkAttrs userdata)
{
    const uint8_t *at = userdata.data;
    size_t left = userdata.len;

    while (left > 2 && (size_t)at[1] + 2 <= left) {
        if (at[0] == USERDATA_COMMENT) {
            return memchr(at + 2, 0, at[1]) ? (const char *)at + 2 : NULL;
        }
        left -= (size_t)at[1] + 2;
        at += (size_t)at[1] + 2;
    }
    return NULL;
}

static NetlinkRequest request_of(unsigned type, uint8_t family)
{
    const struct nfgenmsg header = {
        .nfgen_family = family,
        .version = NFNETLINK_V0,
    };

    return netlink_request(NFNL_SUBSYS_NFTABLES << 8 | type, &header,
                           sizeof(header));
}

/* @ret_attrs: of a message of @type; false: it is of another */
static bool read_message(const struct nlmsghdr *message, unsigned type,
                         uint8_t *ret_family, NetlinkAttrs *ret_attrs)
{
    const struct nfgenmsg *header = NLMSG_DATA(message);

    *ret_attrs = netlink_attrs(message, sizeof(*header));
    if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | type) ||
        !ret_attrs->len) {
        return false;
    }
    *ret_family = header->nfgen_family;
    return true;
}

typedef struct Each {
    union {
        void (*table)(void *opaque, const NftTable *table);
        void (*chain)(void *opaque, const NftChain *chain);
        void (*rule)(void *opaque, const NftRule *rule);
    };
    void *opaque;
} Each;

static void read_table(void *opaque, const struct nlmsghdr *message)
{
    const Each *each = opaque;
    NetlinkAttrs attrs;
    NftTable table;

    if (!read_message(message, NFT_MSG_NEWTABLE, &table.family, &attrs)) {
        return;
    }
    table.name = netlink_text(attrs, NFTA_TABLE_NAME);
    table.comment = find_comment(netlink_find(attrs, NFTA_TABLE_USERDATA));
    if (table.name) {
        each->table(each->opaque, &table);
    }
}

int nft_each_table(void (*callback)(void *opaque, const NftTable *table),
                   void *opaque)
{
    Each each = { .table = callback, .opaque = opaque };
    NetlinkRequest request = request_of(NFT_MSG_GETTABLE, NFPROTO_UNSPEC);

    return netlink_dump(NETLINK_NETFILTER, &request, read_table, &each);
}

static void read_chain(void *opaque, const struct nlmsghdr *message)
{
    const Each *each = opaque;
    NetlinkAttrs attrs, hook;
    NftChain chain;

    if (!read_message(message, NFT_MSG_NEWCHAIN, &chain.family, &attrs)) {
        return;
    }
    chain.table = netlink_text(attrs, NFTA_CHAIN_TABLE);
    chain.name = netlink_text(attrs, NFTA_CHAIN_NAME);
    hook = netlink_find(attrs, NFTA_CHAIN_HOOK);
    chain.hook = hook.data ? (int)ntohl(netlink_u32(hook, NFTA_HOOK_HOOKNUM, 0))
                           : -1;
    chain.drops = netlink_u32(attrs, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT)) ==
                  htonl(NF_DROP);
    if (chain.table && chain.name) {
        each->chain(each->opaque, &chain);
    }
}

int nft_each_chain(void (*callback)(void *opaque, const NftChain *chain),
                   void *opaque)
{
    Each each = { .chain = callback, .opaque = opaque };
    NetlinkRequest request = request_of(NFT_MSG_GETCHAIN, NFPROTO_UNSPEC);

    return netlink_dump(NETLINK_NETFILTER, &request, read_chain, &each);
}

static void read_rule(void *opaque, const struct nlmsghdr *message)
{
    const Each *each = opaque;
    NetlinkAttrs attrs, handle;
    uint64_t big_endian;
    uint8_t family;
    NftRule rule;

    if (!read_message(message, NFT_MSG_NEWRULE, &family, &attrs)) {
        return;
    }
    handle = netlink_find(attrs, NFTA_RULE_HANDLE);
    rule.comment = find_comment(netlink_find(attrs, NFTA_RULE_USERDATA));
    if (handle.data && handle.len == sizeof(big_endian)) {
        memcpy(&big_endian, handle.data, sizeof(big_endian));
        rule.handle = GUINT64_FROM_BE(big_endian);
        each->rule(each->opaque, &rule);
    }
}

int nft_each_rule(uint8_t family, const char *table, const char *chain,
                  void (*callback)(void *opaque, const NftRule *rule),
                  void *opaque)
{
    Each each = { .rule = callback, .opaque = opaque };
    NetlinkRequest request = request_of(NFT_MSG_GETRULE, family);

    netlink_add_text(&request, NFTA_RULE_TABLE, table);
    netlink_add_text(&request, NFTA_RULE_CHAIN, chain);
    return netlink_dump(NETLINK_NETFILTER, &request, read_rule, &each);
}

/* Transactions */

#ifdef HAVE_NFTABLES

static struct nft_ctx *nft;

bool nft_is_built(GError **error)
{
    return true;
}

/* In the process that uses it: its socket is nobody else's. */
static bool open_context(GError **error)
{
    if (nft) {
        return true;
    }
    nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!nft || nft_ctx_buffer_error(nft) != 0 ||
        nft_ctx_buffer_output(nft) != 0) {
        nft_close();
        g_set_error_literal(error, VMNET_ERROR, VMNET_FAILURE,
                            "nftables: out of memory");
        return false;
    }
    return true;
}

void nft_close(void)
{
    if (nft) {
        nft_ctx_free(nft);
        nft = NULL;
    }
}

/* Of the complaint the first line: the others show our own text. */
bool nft_run(const char *commands, GError **error)
{
    const char *complaint;

    if (!open_context(error)) {
        return false;
    }
    if (nft_run_cmd_from_buffer(nft, commands) == 0) {
        return true;
    }
    complaint = nft_ctx_get_error_buffer(nft);
    g_set_error(error, VMNET_ERROR, VMNET_FAILURE, "nftables: %.*s",
                (int)strcspn(complaint ?: "", "\n"), complaint ?: "");
    return false;
}

#else

bool nft_is_built(GError **error)
{
    g_set_error_literal(error, VMNET_ERROR, VMNET_SETUP_INCOMPLETE,
                        "nftables: this vmnetd was built without libnftables");
    return false;
}

void nft_close(void)
{
}

bool nft_run(const char *commands, GError **error)
{
    return nft_is_built(error);
}

#endif
