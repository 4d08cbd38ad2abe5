"""HTTP messages that break the protocol, over a raw connection."""

import json
import re
import socket
from contextlib import closing

import pytest

from api import Api

GREETING = b"GET /auth/hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def exchange(server, message):
    """Sends bytes and returns what comes back until the server closes the connection."""
    with closing(server.connect()) as client:
        client.sendall(message)
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a b/c\r\n",
        "Host: a/b\r\n",
        "Host: user@a\r\n",
        "Host: a:b\r\n",
        "Host: a:1:2\r\n",
        "Host: [::1\r\n",
        "Host: [nothing]\r\n",
        "Host: [::1]x:80\r\n",
    ],
)
def test_missing_double_or_malformed_host_is_400(server, lines):
    text = exchange(server, f"GET /auth/hello HTTP/1.1\r\n{lines}\r\n".encode())
    assert text.startswith("HTTP/1.1 400 ") and '"invalidRequest"' in text
    assert "\r\nconnection: close\r\n" in text.lower()


@pytest.mark.parametrize("host", ["x", "robot.local:31950", "10.0.0.1", "[fe80::1]:80", "", "a:"])
def test_well_formed_host_is_accepted(server, host):
    text = exchange(
        server, f"GET /auth/hello HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    assert text.startswith("HTTP/1.1 200 "), text


def test_http_1_0_needs_no_host(server):
    assert re.match(r"HTTP/1\.[01] 200 ", exchange(server, b"GET /auth/hello HTTP/1.0\r\n\r\n"))


def test_nothing_is_carried_out_after_a_request_that_closes(server):
    api = Api(("127.0.0.1", server.port))
    api.create("bob")
    text = exchange(
        server,
        GREETING + b"DELETE /auth/users/byUsername/bob HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    assert text.count("HTTP/1.1 ") == 1 and text.startswith("HTTP/1.1 200 ")
    assert api.user("bob")["username"] == "bob"


HELLO = b"GET /auth/hello HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD_HELLO = HELLO.replace(b"GET", b"HEAD")
MESSAGE = b'{"message":"hello world"}'
INTROSPECT = b"POST /auth/oauth2/introspect HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
FORM = b"client_id=opentrons_app&token=%d"
CHUNKED = (
    INTROSPECT
    + b"Transfer-Encoding: chunked\r\n\r\n18\r\nclient_id=opentrons_app&\r\n7;a=b\r\ntoken=x\r\n0\r\n"
)


def introspection(number, lines=b""):
    """Returns a request whose answer tells that its body was read."""
    form = FORM % number
    return INTROSPECT + lines + b"Content-Length: %d\r\n\r\n" % len(form) + form


def answers(text):
    """Returns the statuses in a conversation, and those of `Connection: close`."""
    return re.findall(r"HTTP/1\.[01] (\d+)", text), text.lower().count("\r\nconnection: close")


@pytest.mark.parametrize("first, second", [(HELLO, HEAD_HELLO), (HEAD_HELLO, HELLO)])
def test_pipelined_head_and_get_have_their_own_bodies(server, first, second):
    text = exchange(server, first + second + GREETING)
    assert answers(text) == (["200"] * 3, 1)
    bodies = [part.split("\r\n\r\n", 1)[1] for part in text.split("HTTP/1.1 ")[1:]]
    expected = ["" if each is HEAD_HELLO else MESSAGE.decode() for each in (first, second)]
    assert [body.strip() for body in bodies[:2]] == expected


@pytest.mark.parametrize("size", [1, 50, 1 << 16])
def test_pipelined_posts_are_answered_in_order(server, size):
    message = b"".join(
        [introspection(1), CHUNKED + b"\r\n", HELLO, introspection(2, b"Connection: close\r\n")]
    )
    with closing(server.connect()) as client:
        for start in range(0, len(message), size):
            client.sendall(message[start : start + size])
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    assert answers(text) == (["200"] * 4, 1)
    assert [text.split("HTTP/1.1 ")[n].count('"active"') for n in range(1, 5)] == [1, 1, 0, 1]


def test_many_pipelined_requests_are_all_answered(server):
    text = exchange(server, HELLO * 2000 + GREETING)
    assert answers(text) == (["200"] * 2001, 1)


def test_trailers_are_skipped(server):
    text = exchange(server, CHUNKED + b"X-Checksum: 1\r\nContent-Length: 3\r\n\r\n" + GREETING)
    assert answers(text) == (["200", "200"], 1)


def test_expect_of_http_1_0_is_ignored(server):
    message = introspection(1, b"Expect: 100-continue\r\nConnection: close\r\n")
    assert answers(exchange(server, message))[0] == ["100", "200"]
    assert answers(exchange(server, message.replace(b"HTTP/1.1", b"HTTP/1.0")))[0] == ["200"]


@pytest.mark.parametrize(
    "connection", [b"", b"Connection: Upgrade\r\n", b"Connection: a, upgrade\r\n"]
)
def test_upgrade_is_ignored(server, connection):
    lines = connection + b"Upgrade: websocket\r\n"
    text = exchange(server, introspection(1, lines) + introspection(2, lines) + GREETING)
    assert answers(text) == (["200"] * 3, 1)
    assert text.count('"active"') == 2 and "upgrade" not in text.lower()


@pytest.mark.parametrize(
    "lines",
    [
        b"Connection: keep-alive, close\r\n",
        b"Connection: CLOSE , foo\r\n",
        b"Connection: close\r\nConnection: keep-alive\r\n",
    ],
)
def test_close_in_a_list_is_heeded(server, lines):
    assert answers(exchange(server, introspection(1, lines) + HELLO)) == (["200"], 1)


MALFORMED_HEADS = {
    b"GET /auth/hello\r\n\r\n": "request line",
    b"\x16\x03\x01\x02\x00": "request line",
    b"GET /auth/hello HTTP/2.0\r\n\r\n": "version",
    b"GET /auth/hello HTTP/1.1\r\nHost : x\r\n\r\n": "header name",
    b"GET /auth/hello HTTP/1.1\r\nHost: x\r\n y\r\n\r\n": "header name",
    b"GET /auth/hello HTTP/1.1\r\nHost: \x01\r\n\r\n": "header value",
    b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n": "request head is malformed",
    INTROSPECT + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx": "Content-Length",
    INTROSPECT + b"Content-Length: 1, 1\r\n\r\nx": "Content-Length",
    INTROSPECT + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "both",
    INTROSPECT + b"Transfer-Encoding: identity\r\n\r\n": "chunked",
    INTROSPECT + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n": "chunked",
    INTROSPECT.replace(b"/1.1", b"/1.0") + b"Transfer-Encoding: chunked\r\n\r\n": "HTTP/1.0",
}


@pytest.mark.parametrize("before", [b"", HELLO, introspection(1)])
@pytest.mark.parametrize("head", MALFORMED_HEADS)
def test_malformed_head_is_refused_with_the_envelope(server, head, before):
    text = exchange(server, before + head + HELLO)
    assert answers(text) == (["200"] * bool(before) + ["400"], 1)
    refusal = text[text.index("HTTP/1.1 400 ") :]
    head_lines, body = refusal.split("\r\n\r\n", 1)
    assert (
        f"content-length: {len(body)}" in head_lines
        and "\r\ncontent-type: application/json" in head_lines
    )
    error = json.loads(body)["errors"][0]
    assert error["id"] == "invalidRequest" and MALFORMED_HEADS[head] in error["detail"]


@pytest.mark.parametrize(
    "lines, detail",
    [(b"A: " + b"b" * (128 * 1024 - 29), "128 KiB"), (b"A: b\r\n" * 97 + b"\r\n", "96 headers")],
)
def test_large_head_is_431_with_the_envelope(server, lines, detail):
    text = exchange(server, b"GET /auth/hello HTTP/1.1\r\n" + lines)
    assert text.startswith("HTTP/1.1 431 ") and '"invalidRequest"' in text and detail in text


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n\r\n",
        b"1 \r\nx\r\n0\r\n\r\n",
        b"1\r\nxy\r\n0\r\n\r\n",
        b"0\r\nA b\r\n\r\n",
        b"0x1\r\n",
    ],
)
def test_malformed_chunks_are_refused(server, body):
    text = exchange(server, INTROSPECT + b"Transfer-Encoding: chunked\r\n\r\n" + body + HELLO)
    assert answers(text) == (["400"], 1) and '"invalidRequest"' in text


def test_whole_chunked_body_before_the_end_of_the_connection(server):
    with closing(server.connect()) as client:
        client.sendall(CHUNKED + b"\r\n")
        client.shutdown(socket.SHUT_WR)
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    assert text.startswith("HTTP/1.1 200 ")


def test_half_a_head_behind_a_request_gets_408(server):
    text = exchange(server, HELLO + HELLO[:-3])
    assert answers(text) == (["200", "408"], 1)
