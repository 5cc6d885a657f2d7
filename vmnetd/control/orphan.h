/*
 * Orphans: netdevs of lifetime "export" to which nobody can come back, and who
 * takes their place
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VMNETD_CONTROL_ORPHAN_H
#define VMNETD_CONTROL_ORPHAN_H

#include "control/control.h"
#include "control/netdev-config.h"

/** orphan_yields_name: whether a netdev that @heir makes may have its name. */
bool orphan_yields_name(const ControlNetdev *netdev, const Client *heir);

/**
 * orphans_displace: remove what has the name of @heir (which is in no list
 * yet), its MAC address or seed, or a port that it forwards, and is an orphan.
 *
 * Returns: (transfer full) (nullable): what orphans_put_back() takes; NULL:
 * there was nothing.
 */
JsonValue *orphans_displace(const ControlNetdev *heir,
                            const NetdevConfig *config);
/** orphans_put_back: @heir could not be made. @displaced: (nullable) */
void orphans_put_back(Control *control, const JsonValue *displaced);

#endif
