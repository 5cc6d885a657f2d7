/*
 * Frames in pieces
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>

#include "proto/frame.h"

static char text[] = "abcdefghij";

/* "abcdefghij" as abc, nothing, d, efghij */
static void frame_make(Frame *frame, struct iovec iov[4])
{
    iov[0] = (struct iovec){ text, 3 };
    iov[1] = (struct iovec){ text + 3, 0 };
    iov[2] = (struct iovec){ text + 3, 1 };
    iov[3] = (struct iovec){ text + 4, 6 };
    frame_init(frame, iov, 4);
}

static void test_init(void)
{
    struct iovec iov[4];
    Frame frame;

    memset(&frame, 0xff, sizeof(frame));
    frame_make(&frame, iov);
    g_assert_cmpuint(frame.len, ==, 10);
    g_assert_cmpuint(frame.vnet.flags, ==, 0);
    g_assert_cmpuint(frame.src_port, ==, 0);
}

static void test_peek_everywhere(void)
{
    struct iovec iov[4];
    size_t offset, len;
    Frame frame;

    frame_make(&frame, iov);
    for (offset = 0; offset <= 12; offset++) {
        for (len = 0; len <= 12; len++) {
            size_t want = offset > 10 ? 0 : MIN(len, 10 - offset);
            char got[13] = { 0 };

            g_assert_cmpuint(frame_peek(&frame, offset, got, len), ==, want);
            g_assert_cmpmem(got, want, text + MIN(offset, 10), want);
            g_assert_cmpint(got[want], ==, 0);
        }
    }
}

static void test_slice_everywhere(void)
{
    struct iovec iov[4], part[4];
    Frame frame, sliced;
    char got[10];
    size_t offset;

    frame_make(&frame, iov);
    for (offset = 0; offset < 10; offset++) {
        unsigned n = frame_slice(&frame, offset, part, 4);

        g_assert_cmpuint(n, >, 0);
        frame_init(&sliced, part, n);
        g_assert_cmpuint(sliced.len, ==, 10 - offset);
        frame_peek(&sliced, 0, got, sizeof(got));
        g_assert_cmpmem(got, 10 - offset, text + offset, 10 - offset);
    }
    g_assert_cmpuint(frame_slice(&frame, 10, part, 4), ==, 0);
    g_assert_cmpuint(frame_slice(&frame, 0, part, 2), ==, 0);
    g_assert_cmpuint(frame_slice(&frame, 4, part, 1), ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame/init", test_init);
    g_test_add_func("/frame/peek-everywhere", test_peek_everywhere);
    g_test_add_func("/frame/slice-everywhere", test_slice_everywhere);
    return g_test_run();
}
