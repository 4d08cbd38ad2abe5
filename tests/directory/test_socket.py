"""Requests to the process's socket that violate the protocol."""

import json
import socket
from contextlib import suppress

import pytest

from api import PASSWORD
from directory_client import (
    MAX_REQUEST,
    TEST,
    VERSION,
    frame,
    receive,
    request,
    rest,
    type_of,
    verify,
)
from support import wait_for


def refused(process, data, end=False):
    """Sends bytes, and returns what the process says before it closes the connection: that what it was
    asked is wrong, or nothing."""
    with process.connect() as connection:
        try:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            data = rest(connection)
        except (BrokenPipeError, ConnectionResetError):
            return None
    if not data:
        return None
    answer = json.loads(data[4:])
    assert list(answer) == ["misconfigured"], answer
    return answer["misconfigured"]


@pytest.fixture
def still(process, settings):
    """Returns a function that checks that the process answers."""

    def check():
        assert process.process.poll() is None, process.log
        assert type_of(process.ask(settings(), verify("ada"))) == "admin"

    return check


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0",
        frame(b"not JSON"),
        frame(b"{"),
        frame(b"{}"),
        frame(b"[]"),
        frame(b"null"),
        frame(b"\xff\xfe"),
        frame(b"[" * 100_000),
        frame(b'"' + b"x" * (MAX_REQUEST - 2) + b'"'),
        (MAX_REQUEST + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=lambda data: ascii(data[:16]),
)
def test_what_is_no_request(process, still, data):
    refused(process, data)
    still()


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 100])
def test_half_a_request(process, settings, still, length):
    whole = frame(json.dumps(request(settings(), verify("ada"))).encode())
    assert refused(process, whole[:length], end=True) is None
    still()


@pytest.mark.parametrize("version", [0, VERSION + 1, 2**32 - 1])
def test_other_version(process, settings, still, version):
    said = refused(process, frame(json.dumps(request(settings(), TEST, version)).encode()))
    assert "version" in said
    still()


@pytest.mark.parametrize(
    "change",
    [
        {"version": -1},
        {"version": "1"},
        {"version": 2**32},
        {"operation": "destroy"},
        {"operation": {"verify": {"name": "ada"}}},
        {"operation": {"lookUp": {"id": "*"}}},
        {"operation": {"lookUp": {"id": "A" * 32}}},
        {"operation": {"lookUp": {"id": "0" * 31}}},
        {"operation": None},
        {"configuration": {}},
        {"more": 1},
    ],
    ids=str,
)
def test_wrong_request(process, settings, still, change):
    data = frame(json.dumps(request(settings(), verify("ada")) | change).encode())
    refused(process, data)
    still()


def test_secrets_of_a_wrong_request_are_not_repeated(process, settings, still):
    """Neither in the answer nor, as at the end of every test, in the log."""
    for operation in (
        {"verify": {"name": 1, "password": PASSWORD}},
        {"verify": {"password": PASSWORD}},
        {"verify": PASSWORD},
        PASSWORD,
        {PASSWORD: {}},
    ):
        said = refused(process, frame(json.dumps(request(settings(), operation)).encode()))
        assert PASSWORD not in (said or "")
    still()


def test_request_in_small_pieces(process, settings):
    whole = frame(json.dumps(request(settings(), verify("ada"))).encode())
    with process.connect() as connection:
        for begin in range(0, len(whole), 50):
            connection.sendall(whole[begin : begin + 50])
        assert type_of(receive(connection)) == "admin"


def test_client_that_ends_its_side_gets_the_answer(process, settings):
    """A request is whole by its length; what its client does then is its own affair."""
    with process.send(request(settings(), verify("ada"))) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert type_of(receive(connection)) == "admin"


def test_one_answer_for_each_connection(process, settings, still):
    data = frame(json.dumps(request(settings(), verify("ada"))).encode())
    with process.connect() as connection:
        connection.sendall(data + data)
        # It may also reset the connection: more than one request is none.
        with suppress(ConnectionResetError):
            assert type_of(receive(connection)) == "admin"
    still()


def test_client_that_goes_without_its_answer(process, settings, still):
    for _ in range(20):
        process.send(request(settings(), verify("ada"))).close()
    still()


def test_idle_connections_do_not_keep_others_out(process, still):
    held = [process.connect() for _ in range(50)]
    halves = [process.connect() for _ in range(50)]
    for connection in halves:
        connection.sendall(b"\0\0\1\0{")
    still()
    for connection in (*held, *halves):
        connection.close()
    still()


def test_many_at_once(process, settings):
    connections = [process.send(request(settings(), verify("ada"))) for _ in range(10)]
    assert [type_of(receive(each)) for each in connections] == ["admin"] * 10
    for each in connections:
        each.close()


def test_nothing_is_left_of_connections(process, settings, still):
    """After many of them, the process has as many files open as before."""
    still()
    before = process.files()
    for _ in range(20):
        still()
    wait_for(lambda: process.files() <= before, "connections are closed")
