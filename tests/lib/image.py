"""The guest that quickstart, tests and bench boot: a kernel and an initramfs.

The kernel is the distribution's cloud kernel, fetched as a package and only
unpacked; the initramfs is made here (no root needed): busybox, the virtio
modules, an init that runs commands from the first serial line.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import fcntl
import gzip
import hashlib
import lzma
import os
import re
import shutil
import stat
import subprocess
import sys

# The cloud kernel is small, and has no drivers of real NICs.
CLOUD, FULL = 'cloud-amd64', 'amd64'
# With what they depend on; those that are built in are passed over.
MODULES = {CLOUD: ('virtio_pci', 'virtio_net'), FULL: ('e1000', '8139cp')}

INIT = r'''#!/bin/busybox sh
# Commands come one a line on ttyS0; each is answered by "@@ID STATUS".
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /etc /root
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
echo 1 > /proc/sys/kernel/printk
# No second of waiting before an IPv6 address is used.
echo 0 > /proc/sys/net/ipv6/conf/default/dad_transmits
echo 0 > /proc/sys/net/ipv6/conf/default/router_solicitation_delay
for module in $(cat /modules/order); do
    insmod /modules/$module.ko 2>/dev/null
done
ip link set lo up
for word in $(cat /proc/cmdline); do
    case $word in guest.name=*) hostname "${word#*=}";; esac
done
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
stty -echo -onlcr 2>/dev/null
echo "@@ready"
while read -r id command; do
    case $id in
    @shell) stty sane; setsid cttyhack sh -l; stty -echo -onlcr; echo "@@$command $?";;
    *) ( eval "$command" ) < /dev/null; echo "@@$id $?";;
    esac
done
poweroff -f
'''

# What a DHCP client gets is configured and kept for the test to read.
UDHCPC_SCRIPT = r'''#!/bin/sh
case $1 in
deconfig)
    ip -4 addr flush dev $interface scope global
    ip link set $interface up
    ;;
bound|renew)
    ip addr replace $ip/$mask dev $interface
    [ -n "$router" ] && ip route replace default via ${router%% *} dev $interface
    [ -n "$mtu" ] && ip link set $interface mtu $mtu
    : > /etc/resolv.conf
    [ -n "$search$domain" ] && echo "search ${search:-$domain}" >> /etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done
    { echo "address=$ip"; echo "mask=$mask"; echo "router=$router"
      echo "dns=$dns"; echo "mtu=$mtu"; echo "lease=$lease"
      echo "server=$serverid"; echo "domain=$domain"; } > /run/lease
    ;;
esac
exit 0
'''


class ImageError(Exception):
    """The guest image cannot be made; the text says what is missing."""


def _run(argv, **kwargs):
    return subprocess.run(argv, check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **kwargs).stdout


def _kernel_package(flavour):
    """Name of the kernel's package, newest of this distribution."""
    text = _run(['apt-cache', 'depends', 'linux-image-' + flavour])
    match = re.search(r'Depends: (linux-image-\S+-%s)' % flavour, text)
    if not match:
        raise ImageError('apt knows no linux-image-%s; '
                         'run "apt-get update" once' % flavour)
    return match.group(1)


def _fetch_kernel(folder, flavour):
    """Unpack kernel and modules under @folder; returns their root."""
    root = os.path.join(folder, 'kernel')
    if os.path.isdir(os.path.join(root, 'boot')):
        return root
    scratch = root + '.new'
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    try:
        package = _kernel_package(flavour)
        _run(['apt-get', 'download', package], cwd=scratch)
    except (OSError, subprocess.CalledProcessError) as error:
        detail = (getattr(error, 'stderr', '') or str(error)).strip()
        raise ImageError('cannot fetch the guest kernel: ' + detail) from error
    deb = [name for name in os.listdir(scratch) if name.endswith('.deb')][0]
    _run(['dpkg-deb', '-x', os.path.join(scratch, deb), scratch])
    os.unlink(os.path.join(scratch, deb))
    shutil.rmtree(root, ignore_errors=True)
    os.rename(scratch, root)
    return root


class _Cpio:
    """A newc archive with everything owned by root."""

    def __init__(self):
        self._data = bytearray()
        self._inode = 1
        self._names = set()

    def _add(self, name, mode, data=b''):
        if name in self._names:
            return
        self._names.add(name)
        parent = os.path.dirname(name)
        if parent:
            self._add(parent, stat.S_IFDIR | 0o755)
        fields = [self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(name) + 1, 0]
        self._inode += 1
        self._data += b'070701' + b''.join(b'%08x' % f for f in fields)
        self._data += name.encode() + b'\0'
        self._pad()
        self._data += data
        self._pad()

    def _pad(self):
        self._data += b'\0' * (-len(self._data) % 4)

    def file(self, name, data, mode=0o644):
        """A regular file; its folders are made."""
        self._add(name, stat.S_IFREG | mode, data)

    def copy(self, name, path, mode=0o755):
        """The host's file @path."""
        with open(path, 'rb') as source:
            self.file(name, source.read(), mode)

    def finish(self):
        """The archive's bytes."""
        self._add('TRAILER!!!', 0)
        return bytes(self._data)


def _module_folder(root, release):
    """Where the package has its modules: Debian 13 has merged /lib into /usr."""
    for lib in ('usr/lib', 'lib'):
        folder = os.path.join(root, lib, 'modules', release)
        if os.path.isdir(folder):
            return folder
    raise ImageError('the guest kernel in %s has no modules' % root)


def _module_files(folder):
    """Name of each module, with '_', to its file."""
    found = {}
    for path, _, files in os.walk(folder):
        for name in files:
            match = re.fullmatch(r'(.+)\.ko(\.xz|\.gz)?', name)
            if match:
                found[match.group(1).replace('-', '_')] = os.path.join(path, name)
    return found


def _read_module(path):
    with open(path, 'rb') as source:
        data = source.read()
    if path.endswith('.xz'):
        return lzma.decompress(data)
    if path.endswith('.gz'):
        return gzip.decompress(data)
    return data


def _modules(root, release, names):
    """@names and what they need, in the order to load them: {name: bytes}."""
    files = _module_files(_module_folder(root, release))
    loaded = {}

    def load(name):
        if name in loaded or name not in files:
            return
        data = _read_module(files[name])
        needs = re.search(rb'\0depends=([^\0]*)\0', data)
        for other in needs.group(1).decode().split(',') if needs else ():
            load(other.replace('-', '_'))
        loaded[name] = data

    for name in names:
        load(name)
    return loaded


def _libraries(program):
    """The host's shared libraries that @program needs, with their loader.

    And libgcc_s, which glibc opens when a thread ends.
    """
    found = set(re.findall(r'(/\S+)', _run(['ldd', program])))
    found.update(path for folder in {os.path.dirname(path) for path in found}
                 for path in [os.path.join(folder, 'libgcc_s.so.1')]
                 if os.path.exists(path))
    return sorted(found)


def _initramfs(root, release, flavour, programs):
    cpio = _Cpio()
    busybox = shutil.which('busybox')
    if not busybox or 'static' not in _run(['file', '-L', busybox]) \
            if shutil.which('file') else not busybox:
        raise ImageError('busybox-static is missing')
    cpio.copy('bin/busybox', busybox)
    cpio.file('init', INIT.encode(), 0o755)
    cpio.file('etc/udhcpc.script', UDHCPC_SCRIPT.encode(), 0o755)
    cpio.file('etc/passwd', b'root::0:0:root:/root:/bin/sh\n')
    cpio.file('etc/group', b'root:x:0:\n')
    cpio.file('etc/nsswitch.conf', b'passwd: files\nhosts: files dns\n'
              b'services: files\nprotocols: files\n')
    cpio.file('etc/hosts', b'127.0.0.1 localhost\n::1 localhost\n')
    cpio.file('etc/services', b'http 80/tcp\n')
    cpio.file('etc/protocols', b'tcp 6 TCP\nudp 17 UDP\n')
    modules = _modules(root, release, MODULES[flavour])
    for name, data in modules.items():
        cpio.file('modules/%s.ko' % name, data)
    cpio.file('modules/order', '\n'.join(modules).encode())
    for program in programs:
        path = shutil.which(program)
        if not path:
            continue
        cpio.copy('bin/' + program, path)
        for library in _libraries(path):
            cpio.copy(library.lstrip('/'), os.path.realpath(library))
    return gzip.compress(cpio.finish(), 1, mtime=0)


def ensure(folder, programs=('iperf3',), flavour=CLOUD):
    """Kernel and initramfs under @folder, made if they are not there; each
    flavour has a folder of its own.

    Returns their two paths. Raises ImageError. Who comes second waits. Where
    nothing can be written, what is there must do.
    """
    folder = os.path.abspath(folder)
    if os.path.isdir(folder) and not os.access(folder, os.W_OK):
        try:
            return _ensure(folder, programs, flavour)
        except OSError as error:
            raise ImageError('no guest in %s, which is read-only' % folder) \
                from error
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'lock'), 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _ensure(folder, programs, flavour)


def _ensure(folder, programs, flavour):
    root = _fetch_kernel(folder, flavour)
    boot = os.path.join(root, 'boot')
    kernel = [n for n in os.listdir(boot) if n.startswith('vmlinuz-')][0]
    release = kernel[len('vmlinuz-'):]
    with open(__file__, 'rb') as source:
        digest = hashlib.sha256(source.read())
    present = [p for p in programs if shutil.which(p)]
    stamps = [os.stat(shutil.which(p)).st_mtime_ns for p in present]
    digest.update(repr((release, present, stamps)).encode())
    path = os.path.join(folder, 'initramfs-%s.gz' % digest.hexdigest()[:12])
    if not os.path.exists(path):
        with open(path + '.new', 'wb') as out:
            out.write(_initramfs(root, release, flavour, present))
        os.rename(path + '.new', path)
    return os.path.join(boot, kernel), path


if __name__ == '__main__':
    try:
        print('\n'.join(ensure(sys.argv[1])))
    except ImageError as problem:
        sys.exit('%s: %s' % (sys.argv[0], problem))
