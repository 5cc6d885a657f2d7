/*
 * Names of DNS, as tests write them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_DNS_NAMES_H
#define TESTS_UNIT_DNS_NAMES_H

#include <glib.h>

#include "proto/dns.h"

/* A string literal's bytes without its NUL */
#define BYTES(literal) (const uint8_t *)literal, sizeof(literal) - 1

static inline DnsName name_of(const char *text)
{
    DnsName ret = { 0 };

    g_assert_true(dns_name_from_text(text, &ret));
    return ret;
}

#endif
