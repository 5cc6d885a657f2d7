/*
 * nftables: what there is, by netlink; transactions, by libnftables
 *
 * What others have made is only listed, by name: none of their rules is read but
 * for its comment.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_NFT_H
#define VMNETD_PRIV_NFT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** NftTable: @comment: NULL: none */
typedef struct NftTable {
    uint8_t family;
    const char *name, *comment;
} NftTable;

/** NftChain: @hook: NF_INET_...; -1: of no hook; @drops: its policy */
typedef struct NftChain {
    uint8_t family;
    const char *table, *name;
    int hook;
    bool drops;
} NftChain;

/** NftRule: @comment: NULL: none */
typedef struct NftRule {
    uint64_t handle;
    const char *comment;
} NftRule;

/** nft_each_...: all return 0 or an errno; @each keeps no pointer. */
int nft_each_table(void (*each)(void *opaque, const NftTable *table),
                   void *opaque);
int nft_each_chain(void (*each)(void *opaque, const NftChain *chain),
                   void *opaque);
int nft_each_rule(uint8_t family, const char *table, const char *chain,
                  void (*each)(void *opaque, const NftRule *rule),
                  void *opaque);

/** nft_is_built: whether there can be transactions. */
bool nft_is_built(GError **error);
void nft_close(void);

/** nft_run: @commands as of nft(8), in one transaction. */
bool nft_run(const char *commands, GError **error);

#endif
