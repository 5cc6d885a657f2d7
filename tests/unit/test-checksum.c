/*
 * The Internet checksum against RFC 1071's definition, byte by byte; SipHash
 * against its authors' vectors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

#include "proto/checksum.h"
#include "proto/siphash.h"

#define BYTES_LEN 70000

static uint8_t bytes[BYTES_LEN + 64];

/* RFC 1071 1: in network order, a word at a time, carries added back. */
static uint16_t naive(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;
    size_t i;

    for (i = 0; i < len; i++) {
        sum += i % 2 ? p[i] : p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons(~sum & 0xffff);
}

static void test_every_short_length(void)
{
    size_t offset, len;

    for (offset = 0; offset < 4; offset++) {
        for (len = 0; len < 300; len++) {
            g_assert_cmphex(csum_fold(csum_add(0, bytes + offset, len)), ==,
                            naive(bytes + offset, len));
        }
    }
}

static void test_long(void)
{
    static uint8_t ones[BYTES_LEN];

    g_assert_cmphex(csum_fold(csum_add(0, bytes, 65535)), ==,
                    naive(bytes, 65535));
    g_assert_cmphex(csum_fold(csum_add(0, bytes, BYTES_LEN)), ==,
                    naive(bytes, BYTES_LEN));
    memset(ones, 0xff, sizeof(ones));
    g_assert_cmphex(csum_fold(csum_add(0, ones, sizeof(ones))), ==, 0);
    g_assert_cmphex(csum_fold(csum_add(UINT32_MAX, ones, sizeof(ones))), ==, 0);
    memset(ones, 0, sizeof(ones));
    g_assert_cmphex(csum_fold(csum_add(0, ones, sizeof(ones))), ==, 0xffff);
}

static void test_rfc1071_example(void)
{
    static const uint8_t example[] = {
        0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7
    };

    g_assert_cmphex(csum_fold(csum_add(0, example, sizeof(example))), ==,
                    htons((uint16_t)~0xddf2));
}

static void test_pieces_add_up(void)
{
    size_t cut;

    for (cut = 0; cut < 200; cut += 2) {
        uint32_t sum = csum_add(0, bytes, cut);

        g_assert_cmphex(csum_fold(csum_add(sum, bytes + cut, 999 - cut)), ==,
                        naive(bytes, 999));
        sum = csum_combine(csum_add(0, bytes + cut, 999 - cut), sum);
        g_assert_cmphex(csum_fold(sum), ==, naive(bytes, 999));
    }
    g_assert_cmphex(csum_combine(UINT32_MAX, UINT32_MAX), ==, UINT32_MAX);
}

static void test_iov_at_odd_offsets(void)
{
    const size_t len = 97;
    size_t a, b, offset;

    for (a = 0; a <= len; a++) {
        for (b = a; b <= len; b++) {
            struct iovec iov[] = {
                { bytes, a },
                { bytes + a, 0 },
                { bytes + a, b - a },
                { bytes + b, len - b },
            };

            for (offset = 0; offset < 4; offset++) {
                g_assert_cmphex(
                    csum_fold(csum_add_iov(0, iov, G_N_ELEMENTS(iov), offset,
                                           len - offset)), ==,
                    naive(bytes + offset, len - offset));
            }
            /* The end of the iov ends the sum; so does its own length. */
            g_assert_cmphex(csum_fold(csum_add_iov(0, iov, 4, 0, len + 9)), ==,
                            naive(bytes, len));
            g_assert_cmphex(csum_fold(csum_add_iov(0, iov, 4, 1, 50)), ==,
                            naive(bytes + 1, 50));
        }
    }
}

static void test_copy_add(void)
{
    uint8_t copy[400];
    size_t len, offset;

    for (offset = 0; offset < 3; offset++) {
        for (len = 0; len < 300; len++) {
            memset(copy, 0xee, sizeof(copy));
            g_assert_cmphex(
                csum_fold(csum_copy_add(0, copy, bytes + offset, len)), ==,
                naive(bytes + offset, len));
            g_assert_cmpmem(copy, len, bytes + offset, len);
            g_assert_cmphex(copy[len], ==, 0xee);
        }
    }
}

static void test_update(void)
{
    uint8_t header[20];
    uint16_t check, from, to;
    unsigned i;

    memcpy(header, bytes, sizeof(header));
    memset(header + 10, 0, 2);
    check = naive(header, sizeof(header));
    for (i = 0; i < 70000; i += 7) {
        memcpy(&from, header + 8, sizeof(from));
        to = i;
        memcpy(header + 8, &to, sizeof(to));
        check = csum_update16(check, from, to);
        g_assert_cmphex(check, ==, naive(header, sizeof(header)));
    }

    /* RFC 1624 4: where equation 4 gave 0xffff */
    g_assert_cmphex(csum_update16(htons(0xdd2f), htons(0x5555), htons(0x3285)),
                    ==, 0);
}

static void test_siphash_vectors(void)
{
    /* Outputs for the messages of 0 to 15 bytes 00 01 02 ... and that key */
    static const uint64_t vectors[] = {
        0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
        0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
        0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462,
        0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
        0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee,
        0xa129ca6149be45e5,
    };
    uint8_t key[16], message[16];
    unsigned i;

    for (i = 0; i < 16; i++) {
        key[i] = message[i] = i;
    }
    for (i = 0; i < G_N_ELEMENTS(vectors); i++) {
        g_assert_cmphex(siphash24(key, message, i), ==, vectors[i]);
    }
}

static void measure(const char *what, size_t len)
{
    const unsigned rounds = 2000000000 / len;
    gint64 start = g_get_monotonic_time();
    volatile uint32_t sink = 0;
    unsigned i;

    for (i = 0; i < rounds; i++) {
        sink = csum_add(sink, bytes, len);
    }
    g_test_message("%s: %.1f GB/s", what,
                   (double)len * rounds / 1000 /
                       (g_get_monotonic_time() - start));
}

static void test_speed(void)
{
    measure("64 KiB", 65536);
    measure("a segment", 1460);
    measure("a header", 40);
}

int main(int argc, char **argv)
{
    size_t i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = i * 2654435761u >> 13;
    }
    g_test_add_func("/checksum/every-short-length", test_every_short_length);
    g_test_add_func("/checksum/long", test_long);
    g_test_add_func("/checksum/rfc1071-example", test_rfc1071_example);
    g_test_add_func("/checksum/pieces-add-up", test_pieces_add_up);
    g_test_add_func("/checksum/iov-at-odd-offsets", test_iov_at_odd_offsets);
    g_test_add_func("/checksum/copy-add", test_copy_add);
    g_test_add_func("/checksum/update", test_update);
    if (g_test_perf()) {                        /* -m perf */
        g_test_add_func("/checksum/speed", test_speed);
    }
    g_test_add_func("/siphash/vectors", test_siphash_vectors);
    return g_test_run();
}
