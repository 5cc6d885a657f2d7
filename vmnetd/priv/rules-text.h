/*
 * The rules of one network as text for nft: no state, no calls to the kernel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_RULES_TEXT_H
#define VMNETD_PRIV_RULES_TEXT_H

#include "priv/rules.h"

/**
 * RulesOpened: interfaces that forward only since there are networks
 * @v4, @v6: (element-type utf8): their names
 * @all6: each that is there, as far as IPv6 goes
 */
typedef struct RulesOpened {
    GPtrArray *v4, *v6;
    bool all6;
} RulesOpened;

/** rules_text_is_name: an interface name that is text for nft as it is. */
bool rules_text_is_name(const char *ifname);

/** rules_text_check: all that the kernel would not refuse by itself. */
bool rules_text_check(const PrivRules *rules, GError **error);

/**
 * rules_text_table: commands that make the table, checked rules given.
 * @comment: of the table
 * @replaces: in one transaction with the removal of the one that is there
 */
char *rules_text_table(const PrivRules *rules, const RulesOpened *opened,
                       const char *comment, bool replaces);

/** rules_text_needs_localnet: 127.0.0.0/8 is a client's address on the tap. */
bool rules_text_needs_localnet(const PrivRules *rules);

#endif
