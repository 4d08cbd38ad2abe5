"""HTTP messages that break the protocol, over a raw connection."""

import re
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
