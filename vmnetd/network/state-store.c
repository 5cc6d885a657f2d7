/*
 * Files of networks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "network/state-store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (16 * 1024 * 1024)

struct StateStore {
    char *dir;              /* STATE_DIR/networks; NULL: none */
    GHashTable *memory;     /* "NAME/FILE" -> text; the thread of networks */

    /* Below: under @lock. */
    GMutex lock;
    GCond wake;
    GQueue paths;           /* of char *, waiting; owned by @texts */
    GHashTable *texts;      /* path -> text */
    bool ending;
    bool broken;            /* a write failed: said once */
    GThread *worker;        /* NULL: nothing is written */
};

static char *store_key(const char *name, const char *file)
{
    return g_build_filename(name, file, NULL);
}

/* Writing: in the worker */

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        text += n;
        len -= n;
    }
    return fsync(fd) == 0;
}

static bool write_beside(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                  0600);
    bool ok;

    if (fd < 0) {
        return false;
    }
    ok = write_all(fd, text, strlen(text));
    if (!ok) {
        int saved_errno = errno;

        close(fd);
        unlink(path);
        errno = saved_errno;
        return false;
    }
    return close(fd) == 0;
}

/* A rename is on disk when its directory is. */
static void sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static bool replace_file(const char *path, const char *text)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *beside = g_strconcat(path, ".new", NULL);

    if (g_mkdir_with_parents(dir, 0700) < 0 || !write_beside(beside, text) ||
        rename(beside, path) < 0) {
        return false;
    }
    sync_dir(dir);
    return true;
}

static void write_one(StateStore *store, const char *path, const char *text)
{
    if (replace_file(path, text)) {
        return;
    }
    if (!store->broken) {
        store->broken = true;
        g_warning("cannot write %s: %s: leases and addresses are kept in "
                  "memory only", path, g_strerror(errno));
    }
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

/* What is handed over again unchanged costs no disk a turn. */
void state_store_write(StateStore *store, const char *name, const char *file,
                       char *text)
{
    g_autofree char *key = store_key(name, file);
    const char *before = g_hash_table_lookup(store->memory, key);
    char *path;

    if (before && strcmp(before, text) == 0) {
        g_free(text);
        return;
    }
    g_hash_table_replace(store->memory, g_steal_pointer(&key),
                         store->worker ? g_strdup(text) : text);
    if (!store->worker) {
        return;
    }
    path = g_build_filename(store->dir, name, file, NULL);
    g_mutex_lock(&store->lock);
    if (g_hash_table_contains(store->texts, path)) {
        /* Keeps the key that the queue points to, frees the new one. */
        g_hash_table_insert(store->texts, path, text);
    } else {
        g_hash_table_insert(store->texts, path, text);
        g_queue_push_tail(&store->paths, path);
        g_cond_signal(&store->wake);
    }
    g_mutex_unlock(&store->lock);
}

static char *read_file(const char *path, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    g_autofree char *text = NULL;
    struct stat st;
    size_t len = 0;

    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return NULL;
    }
    /* One byte more tells a file that is too long. */
    text = g_malloc(MIN(st.st_size, FILE_BYTES_MAX) + 2);
    while (len <= (size_t)MIN(st.st_size, FILE_BYTES_MAX)) {
        ssize_t n = read(fd, text + len,
                         MIN(st.st_size, FILE_BYTES_MAX) + 1 - len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        len += n;
    }
    close(fd);
    text[len] = '\0';
    *ret_len = len;
    return g_steal_pointer(&text);
}

char *state_store_read(StateStore *store, const char *name, const char *file,
                       size_t *ret_len)
{
    g_autofree char *key = store_key(name, file);
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    const char *kept = g_hash_table_lookup(store->memory, key);
    size_t len;

    /* What this daemon wrote is newer than what has reached the disk. */
    if (kept) {
        *ret_len = strlen(kept);
        return g_strdup(kept);
    }
    if (!store->dir) {
        return NULL;
    }
    path = g_build_filename(store->dir, key, NULL);
    text = read_file(path, &len);
    if (!text) {
        return NULL;
    }
    if (len > FILE_BYTES_MAX) {
        state_store_set_aside(store, name, file, "longer than 16 MiB");
        return NULL;
    }
    *ret_len = len;
    return g_steal_pointer(&text);
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
    g_hash_table_unref(store->memory);
    g_cond_clear(&store->wake);
    g_mutex_clear(&store->lock);
    g_free(store->dir);
    g_free(store);
}
