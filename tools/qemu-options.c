/*
 * QEMU's options: which of them take a value
 *
 * As `qemu-system-x86_64 -help` tells it in 7.2 and 10.0, with those of other
 * targets and of versions in between, which came and went.  An option keeps
 * its arity for life: one table does for all versions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu-options.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

/* Both in the order of strcmp(), for bsearch(). */
static const char *const flags[] = {
    "S", "alt-grab", "async-teardown", "audio-help", "ctrl-grab", "curses",
    "daemonize", "enable-fips", "enable-hax", "enable-kvm",
    "enable-sync-profile", "full-screen", "h", "help", "mem-prealloc",
    "no-acpi", "no-fd-bootchk", "no-frame", "no-hpet", "no-kvm",
    "no-kvm-irqchip", "no-kvm-pit", "no-quit", "no-reboot", "no-shutdown",
    "no-user-config", "nodefaults", "nodefconfig", "nographic", "old-param",
    "only-migratable", "portrait", "preconfig", "s", "sdl", "semihosting",
    "show-cursor", "singlestep", "snapshot", "tdf", "usb", "version",
    "virtfs_synth", "win2k-hack", "xen-attach", "xen-create",
    "xen-domid-restrict",
};

static const char *const values[] = {
    "D", "L", "M", "accel", "acpitable", "action", "add-fd", "append", "audio",
    "audiodev", "balloon", "bios", "blockdev", "boot", "cdrom", "chardev",
    "chroot", "clock", "compat", "cpu", "d", "debugcon", "device", "dfilter",
    "display", "drive", "dtb", "dump-vmstate", "echr", "fda", "fdb", "fsdev",
    "fw_cfg", "g", "gdb", "global", "hda", "hdb", "hdc", "hdd", "icount",
    "incoming", "initrd", "iscsi", "k", "kernel", "loadvm", "m", "machine",
    "mem-path", "mon", "monitor", "msg", "mtdblock", "name", "net", "netdev",
    "nic", "numa", "object", "option-rom", "overcommit", "parallel", "pflash",
    "pidfile", "plugin", "prom-env", "qmp", "qmp-pretty", "qtest", "qtest-log",
    "readconfig", "realtime", "rotate", "rtc", "run-with", "runas", "sandbox",
    "sd", "seed", "semihosting-config", "serial", "set", "shim", "smbios",
    "smp", "soundhw", "spice", "tb-size", "tpmdev", "trace", "usbdevice",
    "uuid", "vga", "virtfs", "vnc", "watchdog", "watchdog-action",
    "writeconfig", "xen-domid",
};

static int compare(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

static bool has(const char *name, const char *const *table, size_t n)
{
    return bsearch(name, table, n, sizeof(*table), compare) != NULL;
}

QemuOptionArity qemu_option_arity(const char *name)
{
    if (has(name, flags, G_N_ELEMENTS(flags))) {
        return QEMU_OPTION_FLAG;
    }
    if (has(name, values, G_N_ELEMENTS(values))) {
        return QEMU_OPTION_VALUE;
    }
    return QEMU_OPTION_UNKNOWN;
}

static bool is_sorted(const char *const *table, size_t n)
{
    size_t i;

    for (i = 1; i < n; i++) {
        if (strcmp(table[i - 1], table[i]) >= 0) {
            return false;
        }
    }
    return true;
}

bool qemu_option_table_is_sorted(void)
{
    return is_sorted(flags, G_N_ELEMENTS(flags)) &&
           is_sorted(values, G_N_ELEMENTS(values));
}

const char *qemu_option_name(const char *arg)
{
    if (arg[0] != '-') {
        return NULL;
    }
    return arg + (arg[1] == '-' ? 2 : 1);
}
