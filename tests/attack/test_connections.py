"""One client that takes all places for connections does not keep the others out."""

import time
from http.client import HTTPResponse

import pytest

from support import PATIENCE, Answer

# Places for connections.
PLACES = 512
HALF_A_HEAD = b"GET /auth/hello HTTP/1.1\r\nHo"
REST_OF_HEAD = b"st: x\r\n\r\n"
HELLO = HALF_A_HEAD + REST_OF_HEAD
DOCUMENT = b"GET /auth/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_A_BODY = (
    b"POST /auth/oauth2/introspect HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 33\r\n\r\n"
    b"client_id=opentrons"
)
REST_OF_BODY = b"_app&token=abc"
LOGIN = (
    b"POST /auth/oauth2/token HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 67\r\n\r\n"
    b"client_id=opentrons_app&grant_type=password&username=ada&password=x"
)


@pytest.fixture(params=["tcp", "unix"])
def address(request, serve, tmp_path):
    """A running server's address."""
    if request.param == "tcp":
        return ("127.0.0.1", serve().wait_ready().port)
    path = tmp_path / "auth.sock"
    serve("--uds", path).wait_ready()
    return path


def status(sock, data=b""):
    """Sends `data`, reads one response and returns its status."""
    if data:
        sock.sendall(data)
    response = HTTPResponse(sock)
    response.begin()
    return Answer(response).status


def is_closed(sock):
    """Returns whether the server has closed the connection."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def idle(connect, number=PLACES):
    """Opens connections, each of which is idle after an answer."""
    held = []
    for _ in range(number):
        held.append(connect())
        assert status(held[-1], HELLO) == 200
    return held


def test_newcomer_takes_the_place_of_the_longest_idle(connect):
    held = idle(connect)
    # The first has been idle for the shortest time from here on.
    assert status(held[0], HELLO) == 200
    newcomers = [connect(), connect()]
    for newcomer in newcomers:
        assert status(newcomer, HELLO) == 200
    assert [is_closed(each) for each in held[1:3]] == [True, True]
    for kept in (held[0], *held[3:], *newcomers):
        assert status(kept, HELLO) == 200


def test_half_a_head_does_not_keep_a_place(connect):
    held = idle(connect)
    # The first one's half a head comes last: it is not closed because of a timeout.
    for each in held[1:] + held[:1]:
        each.sendall(HALF_A_HEAD)
    assert status(connect(), HELLO) == 200
    assert status(held[0]) == 408
    assert is_closed(held[0])
    assert status(held[-1], REST_OF_HEAD) == 200


def test_new_connections_with_half_a_head_do_not_keep_their_places(connect):
    held = [connect(HALF_A_HEAD) for _ in range(PLACES)]
    newcomers = [connect(HELLO) for _ in range(PLACES - 1)]
    for newcomer in newcomers:
        assert status(newcomer) == 200
    # The one that came last has neither been chosen nor timed out.
    assert status(held[-1], REST_OF_HEAD) == 200


def test_request_in_progress_keeps_its_place(connect):
    """Half a body and logins that wait for their hashing are in progress, though they began before
    all others came."""
    halves = [connect(HALF_A_BODY) for _ in range(3)]
    logins = [connect(LOGIN) for _ in range(5)]
    held = idle(connect, PLACES - len(halves) - len(logins))
    newcomers = [connect(HELLO) for _ in range(PLACES)]
    for newcomer in newcomers[PLACES // 2 :]:
        assert status(newcomer) == 200
    assert all(is_closed(each) for each in held[:10])
    assert [status(each, REST_OF_BODY) for each in halves] == [200] * 3
    assert [status(each) for each in logins] == [400] * 5


def test_newcomer_gets_the_first_place_when_all_are_busy(connect):
    held = [connect(HALF_A_BODY) for _ in range(PLACES)]
    newcomer = connect(HELLO)
    assert status(held[100], REST_OF_BODY) == 200
    assert status(newcomer) == 200
    assert is_closed(held[100])
    for each in held[:100] + held[101:]:
        assert status(each, REST_OF_BODY) == 200


def test_unread_answers_keep_their_place(connect):
    """A client that has not yet read all of its answers is not idle."""
    reader = connect(DOCUMENT * 39 + DOCUMENT.replace(b"Host", b"Connection: close\r\nHost"))
    idle(connect, PLACES - 1)
    for _ in range(PLACES):
        assert status(connect(HELLO)) == 200
    data = b""
    while chunk := reader.recv(1 << 16):
        data += chunk
    assert data.count(b"HTTP/1.1 200 ") == 40
    assert data.endswith(b"]}")


def test_many_requests_at_once_do_not_keep_a_place_from_a_newcomer(connect):
    """While a newcomer waits, the response to the request in progress is the last one."""
    many = 2000
    reader = connect(DOCUMENT * many)
    held = [connect(HALF_A_BODY) for _ in range(PLACES - 1)]
    newcomer = connect(HELLO)
    data = b""
    while chunk := reader.recv(1 << 16):
        data += chunk
    assert status(newcomer) == 200
    answers = data.split(b"HTTP/1.1 200 ")
    assert len(answers) < many
    # The last one is whole.
    assert b"\r\nconnection: close\r\n" in answers[-1] and answers[-1].endswith(b"]}")
    assert [status(each, REST_OF_BODY) for each in held] == [200] * len(held)


def test_data_that_never_ends_after_a_refusal_does_not_keep_a_place(connect):
    client = connect(b"POST /auth/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    assert status(client) == 413
    deadline = time.monotonic() + PATIENCE
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while time.monotonic() < deadline:
            client.sendall(bytes(1 << 16))
