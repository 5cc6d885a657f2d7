/*
 * Fuzz target: DNS messages: parsed, printed, answered, truncated
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void name_round_trip(const DnsName *name)
{
    char text[DNS_NAME_STRLEN];
    DnsName again;
    IpAddr addr;

    g_assert(dns_name_from_text(dns_name_to_text(name, text), &again));
    g_assert(dns_name_equal(name, &again));
    if (dns_reverse_parse(name, &addr)) {
        dns_reverse_name(&addr, &again);
        g_assert(dns_name_equal(name, &again));
    }
}

static void answer(const DnsMessage *query)
{
    uint8_t buf[DNS_UDP_SIZE_DEFAULT];
    IpAddr addr = ip_addr_v4(0xc0a86b02);
    DnsMessage reply;
    DnsBuilder b;
    size_t len;
    int i;

    dns_reply_begin(&b, buf, sizeof(buf), query, DNS_FLAG_AA, DNS_RCODE_NOERROR,
                    1232);
    for (i = 0; i < 40; i++) {
        dns_add_addr(&b, DNS_SECTION_ANSWER, NULL, 60, &addr);
    }
    dns_add_soa(&b, DNS_SECTION_AUTHORITY, &query->qname, 60, &query->qname,
                &query->qname, 1, 60);
    len = dns_reply_finish(&b);
    g_assert(len > 0 && len <= sizeof(buf));
    g_assert(dns_parse(buf, len, &reply) && dns_same_question(query, &reply));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = g_memdup2(data, size);
    DnsMessage msg, again;
    uint32_t ttl_s;
    DnsWalk walk;
    DnsRecord rr;
    size_t len;

    for (dns_walk_begin(&walk, data, size); dns_walk_next(&walk, &rr);) {
        g_assert(rr.rdata_off + rr.rdata_len <= size);
        name_round_trip(&rr.name);
    }
    dns_min_ttl(data, size, &ttl_s);
    if (dns_parse(data, size, &msg)) {
        name_round_trip(&msg.qname);
        answer(&msg);
    }
    len = dns_truncate(copy, size, size / 2);
    if (len > 0) {
        g_assert(len <= size / 2 || len == size);
        g_assert(dns_parse(copy, len, &again));
    }
    return 0;
}
