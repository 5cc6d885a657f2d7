"""What changes in a QEMU tree, from 7.2 on: files that are added, and the few
places that have to know about them.

Texts are matched, never line numbers. A hook that finds neither its anchor nor
its own result refuses, by its name. PATCHES is the order of the series that
--patch-only writes; each part builds with those before it.

SPDX-License-Identifier: GPL-2.0-or-later
"""

from dataclasses import dataclass


class HookError(Exception):
    """An anchor was not found."""


@dataclass(frozen=True)
class Hook:
    """One edit: @anchor (its first occurrence) becomes @text.

    With @until, everything from @anchor to @until, both included, is replaced.
    @mark tells that it was done where a later hook changes @text again.
    '{anchor}' in @text stands for the anchor, '{os}' for the variable of
    meson.build that holds the host's system.
    """
    name: str
    path: str
    anchor: str
    text: str
    until: str = ''
    mark: str = ''

    def apply(self, content, variables):
        """The edited @content."""
        text = self.text
        for key, value in dict(variables, anchor=self.anchor).items():
            text = text.replace('{%s}' % key, value)
        done = self.mark or text
        if done and done in content:
            return content
        start = content.find(self.anchor)
        if start < 0:
            if not text:
                return content
            raise HookError("%s: no place for '%s': its anchor is not there"
                            % (self.path, self.name))
        end = start + len(self.anchor)
        if self.until:
            end = content.find(self.until, start)
            if end < 0:
                raise HookError("%s: no place for '%s': its end is not there"
                                % (self.path, self.name))
            end += len(self.until)
        return content[:start] + text + content[end:]


@dataclass(frozen=True)
class Patch:
    """A step of the series: @files are copied as they are."""
    subject: str
    body: str
    files: tuple
    hooks: tuple


def without_struct(mode):
    """Upstream's options of a mode, which qapi/vmnet.json defines too."""
    return Hook('options of vmnet-%s' % mode.lower(), 'qapi/net.json',
                '##\n# @NetdevVmnet%sOptions:\n' % mode, '',
                until="'if': 'CONFIG_VMNET' }\n\n")


SCHEMA = Patch(
    'qapi: Give the vmnet netdevs a file of their own',
    '''The three structs move to qapi/vmnet.json, with the options that the
vmnet netdevs have on Linux: a network has a name, an MTU, services that
can be switched off, and forwards from the host.  Upstream's options keep
their names, types and meaning.''',
    files=('qapi/vmnet.json',),
    hooks=(
        Hook('include of vmnet.json', 'qapi/net.json',
             "{ 'include': 'sockets.json' }\n",
             "{anchor}{ 'include': 'vmnet.json' }\n"),
        # Before net.json: its union needs the structs complete.
        Hook('order of modules', 'qapi/qapi-schema.json',
             "{ 'include': 'net.json' }\n",
             "{ 'include': 'vmnet.json' }\n{anchor}"),
        without_struct('Host'),
        without_struct('Shared'),
        without_struct('Bridged'),
        Hook('list of modules', 'qapi/meson.build',
             "  'virtio',\n", "{anchor}  'vmnet',\n"),
        Hook('maintainers', 'MAINTAINERS',
             'Network device backends\n',
             'vmnet netdevs on Linux\nS: Maintained\nF: qapi/vmnet.json\n\n'
             '{anchor}',
             mark='vmnet netdevs on Linux\n'),
    ))

NETDEVS = Patch(
    'net: Offer the vmnet netdevs on Linux',
    '''vmnetd gives Linux what vmnet.framework gives macOS: networks by name,
with DHCP, DNS and NAT, and no privileges.  libvmnet finds and starts it.
vmnet-core.c has the states of such a netdev and knows nothing of QEMU,
vmnet-linux.c binds it to NetClientState.  No call that the main loop
makes waits for the daemon longer than 200 ms, or 5 s while QEMU starts.''',
    files=('net/vmnet-batch.h', 'net/vmnet-batch.c', 'net/vmnet-chardev.c',
           'net/vmnet-core.h',
           'net/vmnet-core-int.h', 'net/vmnet-core.c',
           'net/vmnet-core-frames.c', 'net/vmnet-int.h', 'net/vmnet-link.c',
           'net/vmnet-linux.c', 'net/vmnet-offload.c', 'net/vmnet-options.c',
           'net/vmnet-probe.h', 'net/vmnet-probe.c', 'net/vmnet-vhost.c'),
    hooks=(
        Hook('dependency on libvmnet', 'meson.build',
             "vmnet = dependency('appleframeworks', modules: 'vmnet', "
             "required: get_option('vmnet'))\n"
             "if vmnet.found() and not cc.has_header_symbol("
             "'vmnet/vmnet.h',\n",
             """\
if {os} == 'linux'
  vmnet = dependency('libvmnet', version: '>=0.1.0',
                     method: 'pkg-config', required: get_option('vmnet'))
else
  vmnet = dependency('appleframeworks', modules: 'vmnet',
                     required: get_option('vmnet'))
  if vmnet.found() and not cc.has_header_symbol('vmnet/vmnet.h',
                                                'VMNET_BRIDGED_MODE',
                                                dependencies: vmnet)
    vmnet = not_found
    if get_option('vmnet').enabled()
      error('vmnet.framework API is outdated')
    else
      warning('vmnet.framework API is outdated, disabling')
    endif
  endif
endif
""",
             until="outdated, disabling')\n  endif\nendif\n"),
        Hook('description of the option', 'meson_options.txt',
             "description: 'vmnet.framework network backend support')",
             "description: 'vmnet network backend support')"),
        Hook('help of configure', 'scripts/meson-buildoptions.sh',
             'vmnet.framework network backend support',
             'vmnet network backend support'),
        Hook('source files', 'net/meson.build',
             "vmnet_files = files(\n"
             "  'vmnet-common.m',\n"
             "  'vmnet-bridged.m',\n"
             "  'vmnet-host.c',\n"
             "  'vmnet-shared.c'\n"
             ")\n",
             "if {os} == 'linux'\n"
             "  vmnet_files = files('vmnet-batch.c', 'vmnet-chardev.c', 'vmnet-core.c',\n"
             "                      'vmnet-core-frames.c', 'vmnet-link.c',\n"
             "                      'vmnet-linux.c', 'vmnet-offload.c',\n"
             "                      'vmnet-options.c', 'vmnet-probe.c',\n"
             "                      'vmnet-vhost.c')\n"
             "else\n"
             "  vmnet_files = files(\n"
             "    'vmnet-common.m',\n"
             "    'vmnet-bridged.m',\n"
             "    'vmnet-host.c',\n"
             "    'vmnet-shared.c'\n"
             "  )\n"
             "endif\n",
             mark="'vmnet-core.c'"),
        Hook('hubs that know the netdevs', 'net/hub.c',
             '            case NET_CLIENT_DRIVER_VHOST_USER:\n'
             '                has_host_dev = 1;\n',
             '            case NET_CLIENT_DRIVER_VHOST_USER:\n'
             '#ifdef CONFIG_VMNET\n'
             '            case NET_CLIENT_DRIVER_VMNET_HOST:\n'
             '            case NET_CLIENT_DRIVER_VMNET_SHARED:\n'
             '            case NET_CLIENT_DRIVER_VMNET_BRIDGED:\n'
             '#endif\n'
             '                has_host_dev = 1;\n'),
        Hook('maintained files', 'MAINTAINERS',
             'F: qapi/vmnet.json\n',
             '{anchor}F: net/vmnet-batch.*\nF: net/vmnet-chardev.c\nF: net/vmnet-core*\n'
             'F: net/vmnet-int.h\nF: net/vmnet-link.c\n'
             'F: net/vmnet-linux.c\nF: net/vmnet-offload.c\n'
             'F: net/vmnet-options.c\nF: net/vmnet-probe.*\n'
             'F: net/vmnet-vhost.c\n'),
    ))

CONTROL = Patch(
    'net: Show and control the vmnet netdevs by QMP',
    '''query-vmnet tells what vmnetd has told, forwards can be added and
removed while a machine runs, and a management layer learns the guest's
address by an event.''',
    files=('qapi/vmnet-control.json', 'net/vmnet-qmp.c'),
    hooks=(
        Hook('order of modules', 'qapi/qapi-schema.json',
             "{ 'include': 'net.json' }\n",
             "{anchor}{ 'include': 'vmnet-control.json' }\n"),
        Hook('list of modules', 'qapi/meson.build',
             "  'vmnet',\n", "{anchor}  'vmnet-control',\n"),
        Hook('source file', 'net/meson.build',
             "'vmnet-vhost.c')\n",
             "'vmnet-vhost.c', 'vmnet-qmp.c')\n"),
        Hook('maintained control', 'MAINTAINERS',
             'F: net/vmnet-vhost.c\n',
             '{anchor}F: net/vmnet-qmp.c\nF: qapi/vmnet-control.json\n'),
    ))

TESTS = Patch(
    'tests/qtest: Test the vmnet netdevs on Linux',
    '''Options, commands, a daemon that is lost or does not answer, and packets
through the registers of an e1000 and the queues of virtio-net.  Skipped
where there is no vmnetd.''',
    files=('tests/qtest/vmnet-daemon.h', 'tests/qtest/vmnet-daemon.c',
           'tests/qtest/vmnet-frames.h', 'tests/qtest/vmnet-frames.c',
           'tests/qtest/vmnet-machine.h', 'tests/qtest/vmnet-machine.c',
           'tests/qtest/vmnet-monitor.h', 'tests/qtest/vmnet-monitor.c',
           'tests/qtest/vmnet-test.c', 'tests/qtest/vmnet-packets-test.c',
           'tests/qtest/vmnet-vhost-test.c',
           'tests/qtest/vmnet-virtio-test.c'),
    hooks=(
        Hook('list of tests', 'tests/qtest/meson.build',
             'qtests_pci = \\\n',
             "if {os} == 'linux' and vmnet.found()\n"
             "  qtests_generic += ['vmnet-test']\n"
             "endif\n\n{anchor}"),
        Hook('test for the PC', 'tests/qtest/meson.build',
             "qtests_x86_64 = qtests_i386\n",
             "if {os} == 'linux' and vmnet.found()\n"
             "  qtests_i386 += ['vmnet-packets-test', 'vmnet-vhost-test',\n"
             "                  'vmnet-virtio-test']\n"
             "endif\n\n{anchor}"),
        Hook('sources of tests', 'tests/qtest/meson.build',
             '\nqtests = {\n',
             "{anchor}  'vmnet-test': files('vmnet-daemon.c', 'vmnet-monitor.c'),\n"
             "  'vmnet-packets-test': files('vmnet-daemon.c', 'vmnet-frames.c'),\n"
             "  'vmnet-vhost-test': files('vmnet-daemon.c', 'vmnet-frames.c',\n"
             "                            'vmnet-machine.c', 'vmnet-monitor.c'),\n"
             "  'vmnet-virtio-test': files('vmnet-daemon.c', 'vmnet-frames.c',\n"
             "                             'vmnet-machine.c'),\n"),
        Hook('maintained tests', 'MAINTAINERS',
             'F: qapi/vmnet-control.json\n',
             '{anchor}F: tests/qtest/vmnet-*\n'),
    ))

OPTIONS = """\
    "         [,network=name][,match=adopt|strict][,mtu=n][,mac=addr][,dhcp=on|off]\\n"
    "         [,dns=on|off][,lease-time=s][,host-loopback=on|off][,hostfwd=rule]...\\n"
    "         [,vhost=on|off|auto]\\n"
"""

MANUAL = Patch(
    'docs: Describe the vmnet netdevs',
    '''The manual had no section on them.''',
    files=('docs/system/devices/vmnet.rst',),
    hooks=(
        Hook('table of contents', 'docs/system/device-emulation.rst',
             '   devices/net.rst\n', '{anchor}   devices/vmnet.rst\n'),
        Hook('maintained manual', 'MAINTAINERS',
             'F: tests/qtest/vmnet-*\n',
             '{anchor}F: docs/system/devices/vmnet.rst\n'),
        Hook('usage of vmnet-host', 'qemu-options.hx',
             '    "-netdev vmnet-host,id=str[,isolated=on|off][,net-uuid=uuid]\\n"\n'
             '    "         [,start-address=addr,end-address=addr,subnet-mask=mask]\\n"\n',
             '{anchor}    "         [,ipv6-prefix=addr]\\n"\n' + OPTIONS),
        Hook('usage of vmnet-shared', 'qemu-options.hx',
             '    "-netdev vmnet-shared,id=str[,isolated=on|off][,nat66-prefix=addr]\\n"\n'
             '    "         [,start-address=addr,end-address=addr,subnet-mask=mask]\\n"\n',
             '{anchor}' + OPTIONS),
        Hook('usage of vmnet-bridged', 'qemu-options.hx',
             '    "-netdev vmnet-bridged,id=str,ifname=name[,isolated=on|off]\\n"\n',
             '{anchor}    "         [,network=name][,mac=addr][,vhost=on|off|auto]\\n"\n'),
        Hook('section of the manual page', 'qemu-options.hx',
             '``-netdev hubport,id=id,hubid=hubid[,netdev=nd]``\n',
             """\
``-netdev vmnet-host|vmnet-shared|vmnet-bridged,id=id[,option][,...]``
    Put the guest on a network of vmnet: of vmnet.framework on macOS, of
    vmnetd on Linux, which is started when none runs.  ``vmnet-host`` connects
    guests with each other, ``vmnet-shared`` also with the host's networks by
    address translation, and ``vmnet-bridged`` with the network of the host
    interface that ``ifname`` names.  See the System Emulation Guide, "vmnet
    networks".

{anchor}"""),
    ))

PATCHES = (SCHEMA, NETDEVS, CONTROL, TESTS, MANUAL)
