/*
 * Runs a fuzz target once over each file of the folders named as arguments, so
 * that a corpus is part of every test run, without a fuzzer
 *
 * A folder that is not there, or empty, is an error: nothing would be tested.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned run_folder(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned n = 0;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_autoptr(GError) error = NULL;
        g_autofree char *data = NULL;
        uint8_t *exact;
        gsize len;

        if (!g_file_get_contents(file, &data, &len, &error)) {
            fprintf(stderr, "%s\n", error->message);
            exit(EXIT_FAILURE);
        }
        /* GLib adds a NUL; without it a sanitizer sees one byte too many. */
        exact = malloc(len ? len : 1);
        memcpy(exact, data, len);
        LLVMFuzzerTestOneInput(exact, len);
        free(exact);
        n++;
    }
    return n;
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    int i;

    LLVMFuzzerTestOneInput(NULL, 0);
    for (i = 1; i < argc; i++) {
        unsigned n_folder = run_folder(argv[i]);

        if (!n_folder) {
            fprintf(stderr, "%s: no inputs\n", argv[i]);
            return EXIT_FAILURE;
        }
        n += n_folder;
    }
    printf("%u inputs\n", n);
    return EXIT_SUCCESS;
}
