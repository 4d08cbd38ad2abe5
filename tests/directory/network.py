"""A network namespace for directories and for what asks them: its addresses are those that these tests
need, and nothing outside is reached from it. Processes and threads that a test begins are within, too; Unix
sockets lead out of it."""

import ctypes
import os
import shutil
import subprocess
from contextlib import contextmanager
from functools import cache

import pytest

from support import PATIENCE

CLONE_NEWNET = 0x40000000  # unshare(2)
# The calling thread's own: pytest-xdist has others.
CURRENT = "/proc/thread-self/ns/net"
# Addresses for documentation (RFC 5737). Packets to the first one leave by the loopback interface and come
# back, where Linux drops them, since the address is nobody's. To the second one, there is no route.
DROPPING, UNREACHABLE = "192.0.2.1", "198.51.100.1"
INTERFACES = f"""\
link set dev lo up
route add {DROPPING} dev lo src 127.0.0.1
"""


def call(name, *arguments):
    """Calls a function of libc, which Python itself has from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def enter(handle):
    call("setns", handle, CLONE_NEWNET)


@cache
def namespace():
    """Makes the namespace, once for each process of pytest, and returns a handle of it."""
    outside = os.open(CURRENT, os.O_RDONLY)
    call("unshare", CLONE_NEWNET)
    try:
        subprocess.run(
            ["ip", "-batch", "-"],
            input=INTERFACES,
            capture_output=True,
            check=True,
            text=True,
            timeout=PATIENCE,
        )
        return os.open(CURRENT, os.O_RDONLY)
    finally:
        enter(outside)
        os.close(outside)


@contextmanager
def inside():
    """Within the namespace."""
    outside = os.open(CURRENT, os.O_RDONLY)
    enter(namespace())
    try:
        yield
    finally:
        enter(outside)
        os.close(outside)


def missing(target):
    """Returns why there can be no namespace, or None. `target`: make's, which runs the tests."""
    if not shutil.which("ip"):
        return "ip is not installed"
    try:
        namespace()
    except OSError as error:
        return f"needs root or user namespaces, for a network namespace in make {target}: {error.strerror}"
    return None


def tests_run_inside(folder):
    """Returns a hook with which pytest runs the tests of a folder, and their fixtures, within the
    namespace."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(item):
        if folder not in item.path.parents or item.get_closest_marker("skip"):
            return (yield)
        with inside():
            return (yield)

    return pytest_runtest_protocol
