# Shared by scripts/quickstart, test and bench: packages, and the build.
# Sourced by bash with set -eu; every function returns or exits.
#
# SPDX-License-Identifier: GPL-2.0-or-later

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${VMNET_BUILD:-$top/build}
guest=${VMNET_GUEST:-$build/guest}      # kernel and initramfs

packages_build="gcc libc6-dev meson ninja-build pkg-config libglib2.0-dev libseccomp-dev python3"
packages_guest="qemu-system-x86 busybox-static dpkg xz-utils +linux-image-cloud-amd64"
# Of the system instance; nobody else needs them.
packages_system="libnftables-dev libyaml-dev"
packages_test="$packages_system python3-pytest python3-pytest-timeout python3-pytest-xdist
    python3-scapy python3-docutils iperf3 udhcpc
    isc-dhcp-client bind9-dnsutils ndisc6 strace iproute2 iputils-ping procps
    qemu-utils socat util-linux netcat-openbsd dpdk-dev bubblewrap
    cpio git nftables iptables"
packages_all="zsh libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients"
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

# is_installed NAME
is_installed()
{
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# need_packages NAME...: install those that are missing, and fetch apt's lists
# where it has none. A name after a "+" need not be installed, only known to apt:
# the guest's kernel, which is fetched once. Uses apt as root, or by sudo; where
# neither is allowed, prints the line to run and exits with 77.
need_packages()
{
    local missing="" update="" name line sudo=""

    for name in "$@"; do
        case $name in
        +*)
            [ -d "$guest/kernel/boot" ] || apt-cache show "${name#+}" \
                >/dev/null 2>&1 || update="apt-get update"
            ;;
        *)
            is_installed "$name" || missing="$missing $name"
            ;;
        esac
    done
    [ -n "$missing$update" ] || return 0
    if ! command -v apt-get >/dev/null; then
        die_skip "these packages (Debian's names) are needed:$missing"
    fi
    line="apt-get install --no-install-recommends -y$missing"
    if [ -z "$missing" ]; then
        line=$update
    elif [ -n "$update" ]; then
        line="sh -c '$update && $line'"
    fi
    if [ "$(id -u)" != 0 ]; then
        if sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }; then
            sudo="sudo"
        else
            die_skip "packages are missing; run this once: sudo $line"
        fi
    fi
    say "installing:${missing:- package lists}"
    [ -z "$update" ] || $sudo apt-get update -qq || die_skip "could not run: sudo $line"
    [ -z "$missing" ] || install_packages "$sudo" $missing ||
        die_skip "could not install the packages; run: sudo $line"
}

# install_packages SUDO NAME...: the lists may be old: without an update, then with one.
install_packages()
{
    local sudo=$1 install
    shift
    install="$sudo env DEBIAN_FRONTEND=noninteractive
        apt-get install --no-install-recommends -y $*"

    # shellcheck disable=SC2086 # names of packages have no spaces
    $install >/dev/null 2>&1 || { $sudo apt-get update -qq && $install >/dev/null; }
}

# run_logged LOG COMMAND...: shows the log's end if the command fails. A signal that
# ends us ends the command as well; apt, which is not run by this, is waited for.
run_logged()
{
    local log=$1 number child status=0
    shift

    "$@" >"$log" 2>&1 &
    child=$!
    for number in INT TERM HUP; do
        # shellcheck disable=SC2064 # expanded now
        trap "kill $child; wait $child || true; trap - $number; kill -$number $$" $number
    done
    wait $child || status=$?
    trap - INT TERM HUP
    [ $status = 0 ] || tail -n 40 "$log" >&2
    return $status
}

# build_tree [MESON-OPTION...]: configure, then build what changed. A tree that is
# there already, perhaps configured by another script, gets the options, too.
build_tree()
{
    if [ ! -f "$build/build.ninja" ]; then
        mkdir -p "$build"
        run_logged "$build/setup.log" meson setup "$build" "$top" "$@" || exit 1
    elif [ $# -gt 0 ]; then
        run_logged "$build/setup.log" meson configure "$build" "$@" || exit 1
    fi
    run_logged "$build/build.log" ninja -C "$build" || exit 1
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
