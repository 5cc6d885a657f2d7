"""libvmnet as another language sees it: the shared library by ctypes.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import contextlib
import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import time

from lib.instance import BUILD, TOP
from lib.process import Process

LIBRARY = os.path.join(BUILD, 'libvmnet', 'libvmnet.so')
PORT_PACKETS = 2
PORT_VHOST_USER = 3
BY_PATH, VIRTIO_HEADER = 1, 2
CONNECT_EXISTING, CONNECT_SYSTEM = 1, 3
BRIDGED_MODE = 1002
CSUM, TSO4, TSO6, ECN, USO = 1, 2, 4, 8, 16
TIMEOUT_MS = 10000


def asan_runtime():
    """The name of the one that the library needs; none if built without ASan."""
    if not os.path.exists(LIBRARY):
        return None
    with open(LIBRARY, 'rb') as library:
        found = re.search(rb'libasan\.so[.0-9]*', library.read())
    return found and found.group().decode()


RUNTIME = asan_runtime()
PRELOADED = os.environ.pop('VMNET_TEST_PRELOADED', None)
if PRELOADED:       # not in what is started from here
    del os.environ['LD_PRELOAD'], os.environ['ASAN_OPTIONS']


def loads_libvmnet(test):
    """A decorator of tests that use this module. ASan's runtime ends a process
    that loads it late: a pytest that begins with it runs the test."""
    if PRELOADED or not RUNTIME:
        return test

    def in_a_pytest_with_asan(request, tmp_path):
        output = tmp_path / 'output'
        with Process(
                [sys.executable, '-m', 'pytest', '-sq', '-p',
                 'no:cacheprovider', '%s::%s' % (request.path, test.__name__)],
                cwd=TOP, start_new_session=True, stdout=output.open('wb'),
                stderr=subprocess.STDOUT,
                env=dict(os.environ, VMNET_TEST_PRELOADED='1',
                         LD_PRELOAD=RUNTIME,
                         ASAN_OPTIONS='detect_leaks=0')     # Python has some
                ) as python:
            try:
                status = python.wait(60)
            finally:        # if it died, its daemon runs
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(python.pid, signal.SIGTERM)
        text = output.read_text(errors='replace')
        assert status == 0 and ' passed' in text, text

    in_a_pytest_with_asan.__name__ = test.__name__
    return in_a_pytest_with_asan


class Iovec(ctypes.Structure):
    """struct iovec"""
    _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]


class Packet(ctypes.Structure):
    """VmnetPacket"""
    _fields_ = [('iov', ctypes.POINTER(Iovec)), ('n_iov', ctypes.c_uint),
                ('size', ctypes.c_size_t)]


class GError(ctypes.Structure):
    """GError"""
    _fields_ = [('domain', ctypes.c_uint32), ('code', ctypes.c_int),
                ('message', ctypes.c_char_p)]


class Failure(Exception):
    """An error of the library: code and text."""

    def __init__(self, error):
        self.code = error.contents.code
        super().__init__(error.contents.message.decode())


class Library:
    """Calls by name; the last parameter, GError **, is added."""

    def __init__(self):
        self.so = ctypes.CDLL(LIBRARY)

    def call(self, name, *args, result=ctypes.c_void_p):
        """Returns what it returns, unless that is NULL or FALSE."""
        function = getattr(self.so, name)
        function.restype = result
        error = ctypes.POINTER(GError)()
        value = function(*args, ctypes.byref(error))
        if not value:
            raise Failure(error)
        return value

    def text(self, name, thing):
        """A getter of a string."""
        function = getattr(self.so, name)
        function.restype = ctypes.c_char_p
        value = function(ctypes.c_void_p(thing))
        return value and value.decode()


class Client:
    """A client that waits, and its interfaces."""

    def __init__(self, daemon, flags=CONNECT_EXISTING):
        os.environ['VMNET_SOCKET'] = daemon.socket
        self.lib = Library()
        try:
            self.client = self.lib.call('vmnet_client_connect', flags,
                                        TIMEOUT_MS)
        finally:
            del os.environ['VMNET_SOCKET']

    def start(self, options, port=PORT_PACKETS, flags=0, offloads=0):
        """vmnet_interface_start()"""
        return Interface(self, self.lib.call(
            'vmnet_interface_start', ctypes.c_void_p(self.client),
            options.encode(), port, flags, offloads, TIMEOUT_MS))

    def bridged_network(self, ifname):
        """vmnet_network_create()"""
        so = self.lib.so
        so.vmnet_network_configuration_new.restype = ctypes.c_void_p
        config = ctypes.c_void_p(
            so.vmnet_network_configuration_new(BRIDGED_MODE))
        so.vmnet_network_configuration_set_external_interface(
            config, ifname.encode())
        try:
            return Network(self, self.lib.call(
                'vmnet_network_create', ctypes.c_void_p(self.client), config,
                TIMEOUT_MS))
        finally:
            so.vmnet_network_configuration_free(config)

    def dispatch(self):
        """vmnet_client_dispatch(), after what is there within 20 ms."""
        fd = self.lib.so.vmnet_client_get_fd(ctypes.c_void_p(self.client))
        select.select([fd], [], [], 0.02)
        self.lib.so.vmnet_client_dispatch(ctypes.c_void_p(self.client))

    def close(self):
        """Drop it."""
        self.lib.so.vmnet_client_unref(ctypes.c_void_p(self.client))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Network:
    """A reference to one."""

    def __init__(self, client, network):
        self.client = client
        self.lib = client.lib
        self.network = ctypes.c_void_p(network)

    def name(self):
        """Of it."""
        return self.lib.text('vmnet_network_get_name', self.network.value)

    def mode(self):
        """A number."""
        return self.lib.so.vmnet_network_get_mode(self.network)

    def start(self, options):
        """vmnet_interface_start_with_network()"""
        return Interface(self.client, self.lib.call(
            'vmnet_interface_start_with_network', self.network,
            options.encode(), PORT_PACKETS, 0, 0, TIMEOUT_MS))

    def unref(self):
        """Let it go."""
        self.lib.so.vmnet_network_unref(self.network)


class Interface:
    """One that runs."""

    def __init__(self, client, interface):
        self.client = client
        self.lib = client.lib
        self.interface = ctypes.c_void_p(interface)

    def get(self, what):
        """A string of it."""
        return self.lib.text('vmnet_interface_get_' + what,
                             self.interface.value)

    def max_packet_size(self):
        """Bytes."""
        return self.lib.so.vmnet_interface_get_max_packet_size(self.interface)

    def write(self, data):
        """One packet."""
        memory = ctypes.create_string_buffer(bytes(data), len(data))
        iov = Iovec(ctypes.addressof(memory), len(data))
        packet = Packet(ctypes.pointer(iov), 1, len(data))
        n = ctypes.c_uint(1)
        self.lib.call('vmnet_interface_write', self.interface,
                      ctypes.byref(packet), ctypes.byref(n),
                      result=ctypes.c_int)
        return n.value

    def read(self, accept, timeout=5):
        """The next packet that @accept wants."""
        memory = ctypes.create_string_buffer(self.max_packet_size())
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            iov = Iovec(ctypes.addressof(memory), len(memory))
            packet = Packet(ctypes.pointer(iov), 1, 0)
            n = ctypes.c_uint(1)
            self.lib.call('vmnet_interface_read', self.interface,
                          ctypes.byref(packet), ctypes.byref(n),
                          result=ctypes.c_int)
            data = memory.raw[:packet.size]
            if n.value and accept(data):
                return data
            if not n.value:
                time.sleep(0.001)
        raise TimeoutError('no such packet')

    def set_offloads(self, offloads):
        """Begin to; the daemon has it when the next command is answered."""
        self.lib.call('vmnet_interface_set_offloads_async', self.interface,
                      offloads, TIMEOUT_MS, None, None, result=ctypes.c_int)
        free = self.lib.so.g_free
        free.argtypes = [ctypes.c_void_p]
        free(self.lib.call('vmnet_client_command',
                           ctypes.c_void_p(self.client.client),
                           b'query-version', None, TIMEOUT_MS))
