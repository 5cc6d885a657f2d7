/*
 * Files that are replaced as a whole
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmnet/file.h"

typedef struct Fixture {
    char *dir, *path, *fresh;
} Fixture;

static void set_up(Fixture *f, const void *unused)
{
    f->dir = g_dir_make_tmp("test-file-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "file", NULL);
    f->fresh = g_build_filename(f->dir, "file.new", NULL);
}

static void tear_down(Fixture *f, const void *unused)
{
    g_remove(f->path);
    g_assert_cmpint(g_remove(f->dir), ==, 0);   /* nothing is left behind */
    g_free(f->dir);
    g_free(f->path);
    g_free(f->fresh);
}

static void assert_text(Fixture *f, const char *expected)
{
    size_t len;
    g_autofree char *text = vmnet_file_read(f->path, 100, &len);

    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpuint(len, ==, strlen(expected));
}

static void assert_not_read(Fixture *f, size_t max_bytes, int errnum)
{
    g_assert_null(vmnet_file_read(f->path, max_bytes, NULL));
    g_assert_cmpint(errno, ==, errnum);
}

static void test_replace(Fixture *f, const void *unused)
{
    struct stat st;

    assert_not_read(f, 100, ENOENT);
    g_assert_true(vmnet_file_replace(f->path, "one", true));
    assert_text(f, "one");
    g_assert_true(vmnet_file_replace(f->path, "", false));
    assert_text(f, "");
    g_assert_cmpint(stat(f->path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
}

static void test_leftover(Fixture *f, const void *unused)
{
    g_autofree char *other = g_build_filename(f->dir, "other", NULL);

    /* What a link that somebody put there points to is not written to. */
    g_assert_true(g_file_set_contents(other, "mine", -1, NULL));
    g_assert_cmpint(symlink(other, f->fresh), ==, 0);
    g_assert_true(vmnet_file_replace(f->path, "one", true));
    assert_text(f, "one");
    g_remove(f->path);
    g_assert_cmpint(rename(other, f->path), ==, 0);
    assert_text(f, "mine");
}

static void test_failure(Fixture *f, const void *unused)
{
    g_assert_cmpint(mkdir(f->path, 0700), ==, 0);
    g_assert_false(vmnet_file_replace(f->path, "one", false));
    g_assert_cmpint(errno, ==, EISDIR);
    assert_not_read(f, 100, EPERM);
}

static void test_odd_files(Fixture *f, const void *unused)
{
    g_assert_true(vmnet_file_replace(f->path, "12345", false));
    assert_not_read(f, 4, EFBIG);
    assert_text(f, "12345");
    if (geteuid() == 0) {
        g_assert_cmpint(chown(f->path, 12345, 0), ==, 0);
        assert_not_read(f, 100, EPERM);
    }
    g_remove(f->path);
    g_assert_cmpint(mkfifo(f->path, 0600), ==, 0);
    assert_not_read(f, 100, EPERM);
    g_remove(f->path);
    g_assert_cmpint(symlink("/etc/passwd", f->path), ==, 0);
    assert_not_read(f, 1000000, ELOOP);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/file/replace", Fixture, NULL, set_up, test_replace, tear_down);
    g_test_add("/file/leftover-is-no-way-out", Fixture, NULL, set_up,
               test_leftover, tear_down);
    g_test_add("/file/failure-leaves-nothing", Fixture, NULL, set_up,
               test_failure, tear_down);
    g_test_add("/file/odd-files-are-not-read", Fixture, NULL, set_up,
               test_odd_files, tear_down);
    return g_test_run();
}
