/*
 * IP forwarding, for networks and the interfaces that guests leave by
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_PRIV_FORWARDING_H
#define VMNETD_PRIV_FORWARDING_H

#include "priv/rules-text.h"

typedef struct Forwarding Forwarding;

/**
 * forwarding_plan: what the network needs, and what has been opened before;
 * nothing is changed.
 */
Forwarding *forwarding_plan(const PrivRules *rules);
void forwarding_free(Forwarding *forwarding);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Forwarding, forwarding_free)

/** forwarding_opened: of use until @forwarding is freed */
const RulesOpened *forwarding_opened(const Forwarding *forwarding);

bool forwarding_apply(const Forwarding *forwarding, GError **error);

#endif
