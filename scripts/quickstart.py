"""Boots two guests on -netdev vmnet-shared and shows each part working.

Run by scripts/quickstart, which installs and builds. Every step is decided by
what a guest printed. --break STEP makes that step fail by breaking the real
thing, for the test of the exit status.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import argparse
import ipaddress
import json
import os
import subprocess
import sys
import time
import warnings

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, 'tests'))

from lib import guard, image, services                  # noqa: E402
from lib.guest import BOOTS, Guest, GuestError, kvm_trouble    # noqa: E402

QEMU = 'qemu-system-x86_64'
NETDEV = 'vmnet-shared,id=net0'
NAME, ADDRESS = 'quickstart.example', '198.51.100.7'


class Failed(Exception):
    """A step did not work; the text is what was seen."""


class Skipped(Exception):
    """A step cannot be tried on this host; the text is why."""


def expect(condition, seen):
    """Raise Failed with @seen unless @condition."""
    if not condition:
        raise Failed(seen)


class Quickstart:
    """Host services, two guests, and the steps."""

    def __init__(self, options, folder):
        self.options = options
        self.broken = options.broken
        self.guests = []
        self.leases = []
        self.six = []
        self.folder = folder
        self.env = dict(os.environ,
                        XDG_RUNTIME_DIR=os.path.join(self.folder, 'run'),
                        XDG_STATE_HOME=os.path.join(self.folder, 'state'),
                        VMNET_RESOLV_CONF=os.path.join(self.folder, 'resolv'))
        self.env.pop('VMNET_SOCKET', None)
        os.mkdir(self.env['XDG_RUNTIME_DIR'], 0o700)
        os.mkdir(self.env['XDG_STATE_HOME'], 0o700)
        self.data = os.urandom(1024) * 2048
        self.word = os.urandom(8).hex().encode()
        self.four, self.own_six = services.host_addresses()
        self.loopback = not self.four
        self.serve()

    def tool(self, name):
        """Path of one of our programs."""
        return os.path.join(self.options.build, 'tools', name)

    def serve(self):
        """The services that the guests talk to."""
        answer = [] if self.broken == 'name' else [ADDRESS]
        self.dns = services.DnsServer({NAME: answer})
        with open(self.env['VMNET_RESOLV_CONF'], 'w', encoding='ascii') as out:
            out.write('nameserver 127.0.0.1#%d\n' % self.dns.port)
        files = {'/data': self.data}
        wrong = {'/data': self.data[::-1]}
        self.http = services.HttpServer(
            wrong if self.broken == 'tcp' else files)
        self.tftp = services.TftpServer(
            b'wrong' if self.broken == 'udp' else self.word)
        self.http6 = self.tftp6 = None
        if self.own_six or self.loopback and services.has_loopback6():
            try:
                self.http6 = services.HttpServer(
                    wrong if self.broken == 'tcp6' else files, '::')
                self.tftp6 = services.TftpServer(
                    b'wrong' if self.broken == 'udp6' else self.word, '::')
            except OSError:
                pass

    # The steps; each returns what to show, in the order of STEPS.

    def boot(self):
        """Two guests, started by the same command line."""
        kernel = image.ensure(self.options.image)
        accel, trouble = self.options.accel, ''
        if not accel:
            trouble = kvm_trouble(QEMU, kernel, device=self.options.kvm)
            accel = 'tcg' if trouble else 'kvm'
        netdev = NETDEV
        if self.loopback:
            netdev += ',host-loopback=on'
        if self.broken == 'lease':
            netdev += ',dhcp=off'
        if self.broken == 'neighbours':
            netdev += ',isolated=on'
        for name in ('quick1', 'quick2')[:self.n_guests()]:
            self.guests.append(Guest(
                name, kernel, [self.tool('vmnet-run'), QEMU],
                ['-netdev', netdev, '-device', 'virtio-net-pci,netdev=net0'],
                env=self.env, accel=accel, boots=BOOTS,
                log=os.path.join(self.folder, name + '.log')))
            if self.broken == 'boot':
                self.guests[-1].process.kill()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            for guest in self.guests:
                guest.wait_ready(90)
        return 'accelerator ' + accel + (' (%s)' % trouble if trouble else '') + (
            ', host-loopback=on since the host has only loopback addresses'
            if self.loopback else '') + ''.join('; %s' % w.message for w in said)

    def lease(self):
        """Address, gateway, DNS server and MTU by DHCP, in both guests."""
        for guest in self.guests:
            lease = guest.dhcp()
            expect(lease, '%s got no lease' % guest.name)
            mtu = guest.run('cat /sys/class/net/eth0/mtu').text.strip()
            network = ipaddress.ip_network(
                lease['address'] + '/' + lease['mask'], strict=False)
            expect(ipaddress.ip_address(lease['router']) in network,
                   'gateway %(router)s is not in %(address)s/%(mask)s' % lease)
            expect(lease['dns'] == lease['router'], 'DNS %(dns)s' % lease)
            expect(mtu == lease['mtu'] == '1500', 'MTU ' + mtu)
            self.leases.append(lease)
        addresses = [lease['address'] for lease in self.leases]
        expect(len(set(addresses)) == len(addresses),
               'both have ' + addresses[0])
        return '%s, gateway and DNS %s, MTU 1500' % (
            ' and '.join(addresses), self.leases[0]['router'])

    def advertisement(self):
        """An IPv6 address from the router's advertisement."""
        for guest in self.guests:
            if self.broken == 'advertisement':
                guest.run('sysctl -w net.ipv6.conf.eth0.accept_ra=0; '
                          'ip -6 addr flush dev eth0 scope global')
            # A busy machine takes its time; what is broken never comes.
            wait_s = 5 if self.broken == 'advertisement' else 30
            deadline = time.monotonic() + wait_s
            found = None
            while not found and time.monotonic() < deadline:
                text = guest.run('ip -6 addr show dev eth0 scope global; '
                                 'usleep 100000').text
                for line in text.splitlines():
                    word = line.split()
                    if word[:1] == ['inet6'] and 'tentative' not in line:
                        found = ipaddress.ip_interface(word[1])
            expect(found, '%s has no IPv6 address' % guest.name)
            self.six.append(found)
        expect(len({six.network for six in self.six}) == 1,
               'prefixes ' + ' and '.join(map(str, self.six)))
        return ' and '.join(str(six.ip) for six in self.six)

    def name(self):
        """A name resolved through the DNS proxy."""
        text = self.guests[0].run('nslookup -type=a %s' % NAME, 15).text
        expect(ADDRESS in text, text.strip()[-200:])
        return '%s is %s' % (NAME, ADDRESS)

    def gateway6(self):
        """The gateway's IPv6 address, or why IPv6 to the host cannot be had."""
        if not self.http6 or not self.tftp6:
            raise Skipped('the host has no IPv6 address')
        expect(self.six, 'no IPv6 address in the guest')
        return str(self.six[0].network[1])

    def fetch(self, host, port):
        """HTTP from the host; the guest's own digest decides."""
        text = self.guests[0].run(
            'timeout 20 wget -q -O /tmp/data http://%s:%d/data; '
            'sha256sum /tmp/data' % (host, port), 60).text
        expect(services.sha256(self.data) in text, text.strip()[-200:])
        return '%d bytes, sha256 equal' % len(self.data)

    def exchange(self, host, port):
        """One datagram each way."""
        text = self.guests[0].run(
            'rm -f /tmp/word; timeout 10 tftp -g -r word -l /tmp/word %s %d; '
            'cat /tmp/word' % (host, port), 20).text
        expect(self.word.decode() in text, text.strip()[-200:])
        return 'a request and its answer'

    def tcp(self):
        """TCP to a service of the host, by IPv4."""
        return self.fetch(self.leases[0]['router'], self.http.port)

    def udp(self):
        """UDP to a service of the host, by IPv4."""
        return self.exchange(self.leases[0]['router'], self.tftp.port)

    def tcp6(self):
        """TCP to a service of the host, by IPv6."""
        return self.fetch('[%s]' % self.gateway6(), self.http6.port)

    def udp6(self):
        """UDP to a service of the host, by IPv6."""
        return self.exchange(self.gateway6(), self.tftp6.port)

    def ping(self):
        """The gateway answers."""
        router = self.leases[0]['router']
        if self.broken == 'ping':
            self.guests[0].run('ip route add blackhole %s' % router)
        result = self.guests[0].run('ping -c 3 -i 0.2 -W 5 %s' % router)
        expect(result.ok, result.text.strip()[-200:])
        return result.text.strip().splitlines()[-1]

    def neighbours(self):
        """Ping and TCP between the two guests."""
        other = self.leases[1]['address']
        result = self.guests[0].run('ping -c 3 -i 0.2 -W 5 %s' % other)
        expect(result.ok, result.text.strip()[-200:])
        self.guests[1].run('mkdir -p /www; hostname > /www/name; '
                           'httpd -p 8080 -h /www')
        text = self.guests[0].run(
            'timeout 10 wget -q -O - http://%s:8080/name' % other).text
        expect(text.strip() == 'quick2', text)
        return 'ping, and HTTP from quick2'

    def forward(self):
        """A connection from the host into a guest."""
        guest = 'quick2:%d' % (8081 if self.broken == 'forward' else 8080)
        made = subprocess.run(
            [self.tool('vmnetctl'), '--json', 'forward', 'add',
             'tcp:127.0.0.1:0-' + guest], env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        expect(made.returncode == 0, made.stdout.strip())
        port = json.loads(made.stdout)['host-port']
        import urllib.request
        try:
            with urllib.request.urlopen('http://127.0.0.1:%d/name' % port,
                                        timeout=10) as reply:
                text = reply.read().decode().strip()
        except OSError as error:
            raise Failed(str(error)) from error
        expect(text == 'quick2', text)
        return '127.0.0.1:%d reaches %s' % (port, guest)

    STEPS = (('boot', boot), ('lease', lease),
             ('advertisement', advertisement), ('name', name), ('tcp', tcp),
             ('udp', udp), ('tcp6', tcp6), ('udp6', udp6), ('ping', ping),
             ('neighbours', neighbours), ('forward', forward))

    def wanted(self, title):
        """Whether --only leaves this step in, or another one needs it."""
        only = self.options.only
        return only in (None, title) or title in ('boot', 'lease') or \
            title == 'advertisement' and only.endswith('6') or \
            title == 'neighbours' and only == 'forward'

    def n_guests(self):
        """Most steps alone need one."""
        return 2 if self.options.only in (None, 'neighbours', 'forward') else 1

    def run(self):
        """All steps; returns how many failed."""
        start = time.monotonic()
        steps = [row for row in self.STEPS if self.wanted(row[0])]
        count = {'ok': 0, 'FAILED': 0, 'skipped': 0}
        for title, step in steps:
            begin = time.monotonic()
            print('%-14s ' % title, end='', flush=True)
            try:
                verdict, detail = 'ok', step(self)
            except Skipped as why:
                verdict, detail = 'skipped', str(why)
            except (Failed, GuestError, image.ImageError, OSError) as why:
                verdict, detail = 'FAILED', str(why)
            count[verdict] += 1
            print('%-7s %5.1f s  %s' % (verdict, time.monotonic() - begin,
                                        ' '.join(detail.split())), flush=True)
            if verdict == 'FAILED' and title in ('boot', 'lease'):
                self.show_logs()
                print('the other steps need this one')
                break
        untried = len(steps) - sum(count.values())
        print('%s: %d steps, %d failed, %d skipped, %s%.1f s' % (
            'it does not work' if count['FAILED'] else 'it works',
            len(steps), count['FAILED'], count['skipped'],
            '%d not tried, ' % untried if untried else '',
            time.monotonic() - start))
        return count['FAILED']

    def show_logs(self):
        """What the guests' commands wrote to standard error."""
        for guest in self.guests:
            path = os.path.join(self.folder, guest.name + '.log')
            with open(path, encoding='utf-8', errors='replace') as log:
                sys.stdout.write(''.join(log.readlines()[-10:]))


def main():
    """Parse options; work, guarded."""
    parser = argparse.ArgumentParser(prog='quickstart')
    parser.add_argument('--shell', action='store_true',
                        help='leave me in the first guest\'s shell at the end')
    parser.add_argument('--keep', action='store_true',
                        help='keep the logs and say where they are')
    parser.add_argument('--break', dest='broken', metavar='STEP',
                        choices=[name for name, _ in Quickstart.STEPS],
                        help='make STEP fail (for the tests)')
    parser.add_argument('--only', metavar='STEP',
                        choices=[name for name, _ in Quickstart.STEPS],
                        help='STEP and those that it needs')
    parser.add_argument('--accel', choices=('kvm', 'tcg'),
                        help='do not probe for KVM')
    parser.add_argument('--kvm', default='/dev/kvm', metavar='DEVICE',
                        help='what to look for before KVM is probed')
    parser.add_argument('--build', default=os.path.join(TOP, 'build'),
                        help='build directory (default: build)')
    parser.add_argument('--image', help='where the guest\'s kernel is kept '
                        '(default: guest in the build directory)')
    options = parser.parse_args()
    options.image = options.image or os.path.join(options.build, 'guest')
    return guard.run(lambda folder: work(options, folder),
                     'vmnet-quickstart-', options.keep)


def work(options, folder):
    """The steps, and the shell; returns the exit status."""
    if options.keep:
        print('kept: ' + folder)
    quickstart = Quickstart(options, folder)
    failed = quickstart.run()
    if options.shell and not failed:
        print('quick1\'s shell; exit or Ctrl-] ends it', flush=True)
        quickstart.guests[0].shell()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
