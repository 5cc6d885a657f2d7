/*
 * The RAM of a QEMU: whether it is shared, or can be, as vhost-user needs it
 *
 * Theory of operation
 *
 * QEMU gives its main memory an id that snapshots and migration streams name
 * (the machine type's default-ram-id).  A backend of the same id, shared, in its
 * place changes nothing that a guest or a stream can see.  So
 *
 *   -object memory-backend-memfd,id=pc.ram,size=N,share=on
 *   -machine memory-backend=pc.ram
 *
 * are added where the user has said nothing of memory but its size.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "run-memory.h"

#include <string.h>

#include "opts.h"

/* Without -m, on all machines below. */
#define DEFAULT_BYTES (UINT64_C(128) << 20)
/* QEMU rounds what -m says up to this. */
#define SIZE_ALIGN 8192

/** A family of machine types: this name, or it and a dash and a version. */
typedef struct MachineInfo {
    const char *name;
    const char *command;    /* whose default it is; NULL: nobody's */
    const char *ram_id;
} MachineInfo;

static const MachineInfo machines[] = {
    { "pc", "qemu-system-x86_64", "pc.ram" },
    { "pc-i440fx", NULL, "pc.ram" },
    { "q35", NULL, "pc.ram" },
    { "pc-q35", NULL, "pc.ram" },
};

RunMemory *run_memory_new(void)
{
    RunMemory *memory = g_new0(RunMemory, 1);

    memory->shared_backends = g_ptr_array_new_with_free_func(g_free);
    return memory;
}

void run_memory_free(RunMemory *memory)
{
    if (!memory) {
        return;
    }
    g_free(memory->machine);
    g_free(memory->backend);
    g_ptr_array_unref(memory->shared_backends);
    g_free(memory->obstacle);
    g_free(memory);
}

static void set_obstacle(RunMemory *memory, const char *option)
{
    if (!memory->obstacle) {
        memory->obstacle = g_strdup_printf("-%s", option);
    }
}

/* "512", "512M", "2G", ...: false for anything QEMU may read otherwise. */
static bool parse_size(const char *text, uint64_t *ret)
{
    static const char suffixes[] = "BKMGT";
    char *end;
    guint64 value = g_ascii_strtoull(text, &end, 10);
    const char *suffix;
    unsigned shift = 20;

    if (!g_ascii_isdigit(text[0]) || text[0] == '0' || value > UINT32_MAX * 1024ull) {
        return false;
    }
    if (*end) {
        suffix = strchr(suffixes, g_ascii_toupper(*end));
        if (!suffix || end[1]) {
            return false;
        }
        shift = 10 * (suffix - suffixes);
    }
    if (value > (UINT64_MAX >> 1) >> shift) {
        return false;
    }
    value <<= shift;
    *ret = (value + SIZE_ALIGN - 1) / SIZE_ALIGN * SIZE_ALIGN;
    return true;
}

static void scan_size(RunMemory *memory, const char *value)
{
    g_autoptr(GPtrArray) opts = opts_parse(value, "size");
    const char *size = opts_get(opts, "size");

    if (size && !parse_size(size, &memory->size_bytes)) {
        set_obstacle(memory, "m");
    }
}

static bool is_kvm(const char *accel)
{
    return strcmp(accel, "kvm") == 0;
}

static void scan_machine(RunMemory *memory, const char *value)
{
    g_autoptr(GPtrArray) opts = opts_parse(value, "type");
    const char *type = opts_get(opts, "type");
    const char *backend = opts_get(opts, "memory-backend");
    const char *accel = opts_get(opts, "accel");

    if (type) {
        g_free(memory->machine);
        memory->machine = g_strdup(type);
    }
    if (backend) {
        g_free(memory->backend);
        memory->backend = g_strdup(backend);
    }
    if (accel) {
        memory->has_kvm = is_kvm(accel);
    }
}

static void scan_object(RunMemory *memory, const char *value)
{
    g_autoptr(GPtrArray) opts = opts_parse(value, "qom-type");
    const char *type = opts_get(opts, "qom-type");

    if (value[0] == '{') {
        if (strstr(value, "memory-backend-")) {
            set_obstacle(memory, "object");
        }
        return;
    }
    if (!type || !g_str_has_prefix(type, "memory-backend-")) {
        return;
    }
    if (opts_get(opts, "share") && opts_get_on(opts, "share") &&
        opts_get(opts, "id")) {
        g_ptr_array_add(memory->shared_backends,
                        g_strdup(opts_get(opts, "id")));
    } else {
        set_obstacle(memory, "object");
    }
}

void run_memory_scan(RunMemory *memory, const char *option, const char *value)
{
    static const char *const obstacles[] = {
        "numa", "mem-path", "readconfig",
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(obstacles); i++) {
        if (strcmp(option, obstacles[i]) == 0) {
            set_obstacle(memory, option);
        }
    }
    if (strcmp(option, "enable-kvm") == 0) {
        memory->has_kvm = true;
    } else if (!value) {
        return;
    } else if (strcmp(option, "m") == 0) {
        scan_size(memory, value);
    } else if (strcmp(option, "machine") == 0 || strcmp(option, "M") == 0) {
        scan_machine(memory, value);
    } else if (strcmp(option, "object") == 0) {
        scan_object(memory, value);
    } else if (strcmp(option, "accel") == 0) {
        g_autoptr(GPtrArray) opts = opts_parse(value, "accel");
        const char *accel = opts_get(opts, "accel");

        memory->has_kvm = accel && is_kvm(accel);
    }
}

static const char *ram_id(const RunMemory *memory, const char *command)
{
    g_autofree char *base = g_path_get_basename(command);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(machines); i++) {
        const MachineInfo *info = &machines[i];
        size_t len = strlen(info->name);

        if (!memory->machine) {
            if (g_strcmp0(info->command, base) == 0) {
                return info->ram_id;
            }
        } else if (strncmp(memory->machine, info->name, len) == 0 &&
                   (memory->machine[len] == '\0' ||
                    (memory->machine[len] == '-' &&
                     g_ascii_isdigit(memory->machine[len + 1])))) {
            return info->ram_id;
        }
    }
    return NULL;
}

char *run_memory_plan(const RunMemory *memory, const char *command,
                      char ***ret_args)
{
    const char *id = ram_id(memory, command);
    uint64_t size_bytes = memory->size_bytes ?: DEFAULT_BYTES;
    GPtrArray *args;

    *ret_args = NULL;
    if (memory->obstacle) {
        return g_strdup_printf("%s says how memory is made, and not that it is "
                               "shared", memory->obstacle);
    }
    if (memory->backend) {
        return g_ptr_array_find_with_equal_func(memory->shared_backends,
                                                memory->backend, g_str_equal,
                                                NULL)
               ? NULL : g_strdup("-machine memory-backend= names one that is "
                                 "not shared");
    }
    if (!id) {
        return g_strdup_printf("machine type '%s' may name its memory otherwise",
                               memory->machine ?: "(default)");
    }
    args = g_ptr_array_new();
    g_ptr_array_add(args, g_strdup("-object"));
    g_ptr_array_add(args, g_strdup_printf("memory-backend-memfd,id=%s,size=%"
                                          G_GUINT64_FORMAT ",share=on", id,
                                          size_bytes));
    g_ptr_array_add(args, g_strdup("-machine"));
    g_ptr_array_add(args, g_strdup_printf("memory-backend=%s", id));
    g_ptr_array_add(args, NULL);
    *ret_args = (char **)g_ptr_array_free(args, FALSE);
    return NULL;
}

bool run_memory_is_safe(const RunMemory *memory, const QemuVersion *version)
{
    return memory->has_kvm || version->major >= 10;
}
