/*
 * IP addresses as people write them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TOOLS_IP_TEXT_H
#define TOOLS_IP_TEXT_H

#include <stdbool.h>

/** ip_text_is_address: whether @text is a numeric IPv4 or IPv6 address. */
bool ip_text_is_address(const char *text);

/**
 * ip_text_in_subnet: whether @address is in @subnet, such as
 * 192.168.107.0/24 or fd12::/64; false if either is NULL or something else.
 */
bool ip_text_in_subnet(const char *address, const char *subnet);

#endif
