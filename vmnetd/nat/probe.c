/*
 * What this kernel can do
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "nat/nat.h"
#include <unistd.h>

bool nat_probe_peek_off(sa_family_t family)
{
    static const int zero = 0;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok;

    if (fd < 0) {
        return false;
    }
    /* Before Linux 6.9 (IPv6: 6.10) TCP answers EOPNOTSUPP. */
    ok = setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) == 0;
    close(fd);
    return ok;
}
