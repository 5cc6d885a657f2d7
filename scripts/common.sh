# Shared by scripts/quickstart, test and bench: packages, and the build.
# Sourced by bash with set -eu; every function returns or exits.
#
# SPDX-License-Identifier: GPL-2.0-or-later

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${VMNET_BUILD:-$top/build}

packages_build="gcc libc6-dev meson ninja-build pkg-config libglib2.0-dev libseccomp-dev python3"
packages_guest="qemu-system-x86 busybox-static dpkg xz-utils"
packages_test="python3-pytest python3-pytest-timeout python3-pytest-xdist
    python3-scapy python3-docutils iperf3 udhcpc
    isc-dhcp-client bind9-dnsutils ndisc6 strace iproute2 iputils-ping procps
    qemu-utils socat util-linux netcat-openbsd dpdk-dev bubblewrap"
packages_bench="iperf3 passt slirp4netns iproute2 util-linux"

say()
{
    printf '%s\n' "$*"
}

# die_skip MESSAGE: this machine lacks something that we may not add (exit 77).
die_skip()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 77
}

# need_packages NAME...: install those that are missing. Uses apt as root, or
# by sudo; where neither is allowed, prints the line to run and exits with 77.
need_packages()
{
    local missing="" name line sudo=""

    for name in "$@"; do
        if ! dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null |
            grep -qx installed; then
            missing="$missing $name"
        fi
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        die_skip "these packages (Debian's names) are needed:$missing"
    fi
    line="apt-get install --no-install-recommends -y$missing"
    if [ "$(id -u)" != 0 ]; then
        if sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }; then
            sudo="sudo"
        else
            die_skip "packages are missing; run this once: sudo $line"
        fi
    fi
    say "installing:$missing"
    # The lists may be old or absent: once without an update, then with one.
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive $line >/dev/null 2>&1 || {
        $sudo apt-get update -qq
        $sudo env DEBIAN_FRONTEND=noninteractive $line >/dev/null
    } || die_skip "could not install the packages; run: sudo $line"
}

# build_tree [MESON-OPTION...]: configure once, then build what changed.
build_tree()
{
    if [ ! -f "$build/build.ninja" ]; then
        mkdir -p "$build"
        meson setup "$build" "$top" "$@" >"$build/setup.log" 2>&1 || {
            tail -n 40 "$build/setup.log" >&2
            exit 1
        }
    fi
    ninja -C "$build" >"$build/build.log" 2>&1 || {
        tail -n 40 "$build/build.log" >&2
        exit 1
    }
}

# debian_python: the interpreter that Debian's python3-* packages belong to.
debian_python()
{
    if [ -x /usr/bin/python3 ]; then
        echo /usr/bin/python3
    else
        echo python3
    fi
}
