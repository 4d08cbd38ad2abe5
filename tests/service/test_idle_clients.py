"""Clients that neither read nor send keep their connections for a limited time. The monotonic clock of
the server is set forward, so that no test waits."""

import contextlib

import pytest

from clocks import Clocks
from support import request

# Limits in the server, in seconds.
READING = 30
KEEP_ALIVE = 75
HELLO = b"GET /auth/hello HTTP/1.1\r\nHost: x\r\n\r\n"
DOCUMENT = b"GET /auth/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
# More responses than the buffers of a connection can contain.
MANY = 400


@pytest.fixture
def clocks(tmp_path):
    return Clocks(tmp_path)


@pytest.fixture(params=["tcp", "unix"])
def address(request, serve, tmp_path, clocks):
    """A running server's address. Its only worker serves all connections in turn."""
    path = tmp_path / "auth.sock"
    where = ("--uds", path) if request.param == "unix" else ()
    server = serve("--workers", 1, *where, env=clocks.environment).wait_ready()
    return path if where else ("127.0.0.1", server.port)


def pass_time(address, clocks, seconds):
    """Sets the clock to so many seconds ahead, and lets the worker serve its connections."""
    clocks.set(monotonic=seconds)
    for _ in range(20):
        assert request(address, "GET", "/auth/hello").status == 200


def rest(sock):
    """Returns everything that the server still sends."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(1 << 16):
            data += chunk
    return data


def test_client_that_reads_in_time_gets_everything(address, connect, clocks):
    client = connect(
        DOCUMENT * (MANY - 1) + DOCUMENT.replace(b"Host", b"Connection: close\r\nHost")
    )
    pass_time(address, clocks, 0)
    pass_time(address, clocks, READING - 3)
    assert rest(client).count(b"HTTP/1.1 200 ") == MANY


def test_client_that_does_not_read_is_cut_off(address, connect, clocks):
    """Reading a little now and then does not prolong the time."""
    client = connect(DOCUMENT * MANY)
    data = client.recv(1)
    pass_time(address, clocks, 0)
    for part in range(1, 5):
        data += client.recv(1024)
        pass_time(address, clocks, part * (READING / 4 + 1))
    assert (data + rest(client)).count(b"HTTP/1.1 200 ") < MANY


def test_idle_connection_is_closed(address, connect, clocks):
    client = connect(HELLO)
    assert b"HTTP/1.1 200 " in client.recv(4096)
    pass_time(address, clocks, KEEP_ALIVE - 3)
    client.sendall(HELLO)
    assert b"HTTP/1.1 200 " in client.recv(4096)
    pass_time(address, clocks, 2 * KEEP_ALIVE)
    assert rest(client) == b""
