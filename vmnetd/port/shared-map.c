/*
 * Memory that another process shares with us, and can take away
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "port/shared-map.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmnet/error.h"

/*
 * All mappings, for the handler.  A fault comes from the thread that touches
 * guest memory, which is the one that changes the list, and never while it
 * does.
 */
static SharedMap *maps;

static void pass_on(int signum)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    /* The instruction runs again, and the signal is fatal this time. */
    sigaction(signum, &action, NULL);
}

static void on_sigbus(int signum, siginfo_t *info, void *context)
{
    uint8_t *addr = info->si_addr;
    int saved_errno = errno;
    SharedMap *map = maps;

    while (map && (addr < map->base || addr >= map->base + map->len)) {
        map = map->next;
    }
    if (!map || mmap(map->base, map->len, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
                     -1, 0) == MAP_FAILED) {
        pass_on(signum);
    } else {
        map->is_lost = true;
    }
    errno = saved_errno;
}

static void install_handler(void)
{
    static bool done;
    struct sigaction action = {
        .sa_sigaction = on_sigbus,
        .sa_flags = SA_SIGINFO | SA_RESTART,
    };

    if (!done) {
        sigaction(SIGBUS, &action, NULL);
        done = true;
    }
}

/* Whole pages of the file's own size: huge ones are unmapped as a whole. */
static size_t round_up(uint64_t len, const struct stat *st)
{
    size_t page = MAX(st->st_blksize, sysconf(_SC_PAGESIZE));

    return (len + page - 1) / page * page;
}

SharedMap *shared_map_new(int fd, uint64_t len, GError **error)
{
    g_autofree SharedMap *map = g_new0(SharedMap, 1);
    struct stat st;

    if (fstat(fd, &st) < 0) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "fstat: %s", g_strerror(errno));
        return NULL;
    }
    if (len == 0 || st.st_size < 0 || len > (uint64_t)st.st_size) {
        g_set_error(error, VMNET_ERROR, VMNET_INVALID_ARGUMENT,
                    "%" G_GUINT64_FORMAT " bytes of a file of %"
                    G_GINT64_FORMAT, len, (gint64)st.st_size);
        return NULL;
    }
    /* Fails for what is no memfd, or is sealed already. */
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    install_handler();
    map->len = round_up(len, &st);
    map->base = mmap(NULL, map->len, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (map->base == MAP_FAILED) {
        g_set_error(error, VMNET_ERROR, vmnet_status_from_errno(errno),
                    "mmap: %s", g_strerror(errno));
        return NULL;
    }
    madvise(map->base, map->len, MADV_DONTDUMP);
    map->next = maps;
    maps = map;
    return g_steal_pointer(&map);
}

void shared_map_free(SharedMap *map)
{
    SharedMap **link = &maps;

    if (!map) {
        return;
    }
    while (*link != map) {
        link = &(*link)->next;
    }
    *link = map->next;
    munmap(map->base, map->len);
    g_free(map);
}
