/*
 * Files of networks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/state-store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libvmnet/file.h"
#include "limits.h"

struct StateStore {
    char *dir;              /* STATE_DIR/networks; NULL: none */
    GHashTable *memory;     /* "NAME/FILE" -> text; the thread of networks */

    /* Below: under @lock. */
    GMutex lock;
    GCond wake;
    GQueue paths;           /* of char *, waiting; owned by @texts */
    GHashTable *texts;      /* path -> text */
    GHashTable *failed;     /* paths whose last text is not on disk */
    bool ending;

    bool broken;            /* a write failed: said once; the worker's own */
    GThread *worker;        /* NULL: nothing is written */
};

static char *store_key(const char *name, const char *file)
{
    return g_build_filename(name, file, NULL);
}

/* Writing: in the worker */

static bool replace_file(const char *path, const char *text)
{
    g_autofree char *dir = g_path_get_dirname(path);

    return g_mkdir_with_parents(dir, 0700) == 0 &&
           vmnet_file_replace(path, text, true);
}

static void set_failed(StateStore *store, const char *path, bool failed)
{
    g_mutex_lock(&store->lock);
    if (failed) {
        g_hash_table_add(store->failed, g_strdup(path));
    } else {
        g_hash_table_remove(store->failed, path);
    }
    g_mutex_unlock(&store->lock);
}

static void write_one(StateStore *store, const char *path, const char *text)
{
    bool done = replace_file(path, text);
    int errnum = errno;

    set_failed(store, path, !done);
    if (!done && !store->broken) {
        g_warning("cannot write %s: %s: leases and addresses are kept in "
                  "memory only", path, g_strerror(errnum));
    } else if (done && store->broken) {
        g_message("%s could be written again", path);
    }
    store->broken = !done;
}

static void *worker_run(void *opaque)
{
    StateStore *store = opaque;

    g_mutex_lock(&store->lock);
    for (;;) {
        g_autofree char *path = NULL;
        g_autofree char *text = NULL;
        void *key, *value;

        while (g_queue_is_empty(&store->paths) && !store->ending) {
            g_cond_wait(&store->wake, &store->lock);
        }
        if (g_queue_is_empty(&store->paths)) {
            break;
        }
        g_hash_table_steal_extended(store->texts,
                                    g_queue_pop_head(&store->paths),
                                    &key, &value);
        path = key;
        text = value;
        g_mutex_unlock(&store->lock);
        write_one(store, path, text);
        g_mutex_lock(&store->lock);
    }
    g_mutex_unlock(&store->lock);
    return NULL;
}

/* The rest: in the thread of networks */

static void hand_over(StateStore *store, const char *key, const char *text,
                      bool is_new)
{
    g_autofree char *path = g_build_filename(store->dir, key, NULL);

    g_mutex_lock(&store->lock);
    if (is_new || g_hash_table_contains(store->failed, path)) {
        if (!g_hash_table_contains(store->texts, path)) {
            g_queue_push_tail(&store->paths, path);
            g_cond_signal(&store->wake);
        }
        /* Keeps the key that the queue points to, and frees a second one. */
        g_hash_table_insert(store->texts, g_steal_pointer(&path),
                            g_strdup(text));
    }
    g_mutex_unlock(&store->lock);
}

/* What is handed over again unchanged costs no disk a turn, unless it has not
 * reached the disk before: that may have room again. */
void state_store_write(StateStore *store, const char *name, const char *file,
                       char *text)
{
    g_autofree char *key = store_key(name, file);
    bool is_new = g_strcmp0(g_hash_table_lookup(store->memory, key), text) != 0;

    if (store->worker) {
        hand_over(store, key, text, is_new);
    }
    if (is_new) {
        g_hash_table_replace(store->memory, g_steal_pointer(&key), text);
    } else {
        g_free(text);
    }
}

char *state_store_read(StateStore *store, const char *name, const char *file,
                       size_t *ret_len)
{
    g_autofree char *key = store_key(name, file);
    g_autofree char *path = NULL;
    char *text;
    const char *kept = g_hash_table_lookup(store->memory, key);

    /* What this daemon wrote is newer than what has reached the disk. */
    if (kept) {
        *ret_len = strlen(kept);
        return g_strdup(kept);
    }
    if (!store->dir) {
        return NULL;
    }
    path = g_build_filename(store->dir, key, NULL);
    text = vmnet_file_read(path, LIMIT_STATE_FILE_BYTES, ret_len);
    if (!text && errno == EFBIG) {
        state_store_set_aside(store, name, file, "longer than 16 MiB");
    }
    return text;
}

void state_store_set_aside(StateStore *store, const char *name,
                           const char *file, const char *why)
{
    g_autofree char *key = store_key(name, file);
    g_autofree char *path = NULL;
    g_autofree char *aside = NULL;

    g_hash_table_remove(store->memory, key);
    if (!store->dir) {
        return;
    }
    path = g_build_filename(store->dir, key, NULL);
    aside = g_strconcat(path, ".damaged", NULL);
    if (rename(path, aside) < 0) {
        g_warning("%s is damaged (%s), and cannot be set aside: %s", path,
                  why, g_strerror(errno));
    } else {
        g_warning("%s is damaged (%s): set aside as %s", path, why, aside);
    }
}

/* Where no thread is to be had, files are read, and then kept in memory. */
static void start_worker(StateStore *store)
{
    g_autoptr(GError) error = NULL;

    store->worker = g_thread_try_new("vmnetd-state", worker_run, store, &error);
    if (!store->worker) {
        g_warning("thread 'vmnetd-state': %s: leases and addresses are kept in "
                  "memory only", error->message);
    }
}

StateStore *state_store_new(const char *state_dir)
{
    StateStore *store = g_new0(StateStore, 1);

    store->memory = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                          g_free);
    store->texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                         g_free);
    store->failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                          NULL);
    g_mutex_init(&store->lock);
    g_cond_init(&store->wake);
    g_queue_init(&store->paths);
    if (state_dir) {
        store->dir = g_build_filename(state_dir, "networks", NULL);
        start_worker(store);
    }
    return store;
}

void state_store_free(StateStore *store)
{
    if (!store) {
        return;
    }
    if (store->worker) {
        g_mutex_lock(&store->lock);
        store->ending = true;
        g_cond_signal(&store->wake);
        g_mutex_unlock(&store->lock);
        g_thread_join(store->worker);
    }
    g_queue_clear(&store->paths);
    g_hash_table_unref(store->texts);
    g_hash_table_unref(store->failed);
    g_hash_table_unref(store->memory);
    g_cond_clear(&store->wake);
    g_mutex_clear(&store->lock);
    g_free(store->dir);
    g_free(store);
}
