"""HTTP responses of the server over TCP, a Unix socket path and a socket passed by systemd."""

import json
import re
import socket

import pytest

from support import Answer, connection, request


@pytest.fixture(params=["tcp", "unix", "handed over"])
def address(request, serve, tmp_path):
    path = tmp_path / "auth.sock"
    if request.param == "tcp":
        return ("127.0.0.1", serve().wait_ready().port)
    if request.param == "unix":
        serve("--uds", path).wait_ready()
        return path
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1024)
    serve(listen=listening).wait_ready()
    return path


def test_hello_greets(address):
    answer = request(address, "GET", "/auth/hello")
    assert (answer.status, answer.json) == (200, {"message": "hello world"})
    assert answer.headers["content-type"] == "application/json"


def test_head_is_get_without_the_body(address):
    get = request(address, "GET", "/auth/hello")
    head = request(address, "HEAD", "/auth/hello")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_health_tells_version_and_uptime(address):
    data = request(address, "GET", "/auth/health").json["data"]
    assert set(data) == {"status", "version", "gitSha", "uptimeSeconds"}
    assert data["status"] == "ok" and data["uptimeSeconds"] > 0
    assert (
        request(address, "GET", "/auth/health").json["data"]["uptimeSeconds"]
        > data["uptimeSeconds"]
    )


def test_unknown_path_is_404(address):
    for path in (
        "/",
        "/auth",
        "/auth/",
        "/auth/hello/",
        "/auth/nothing?token=secret",
        "/authx",
    ):
        answer = request(address, "GET", path)
        assert (answer.status, answer.error_id()) == (404, "notFound"), path


def test_unknown_method_is_405_with_allow(address):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"):
        answer = request(address, method, "/auth/hello")
        assert (answer.status, answer.error_id()) == (405, "methodNotAllowed"), method
        assert answer.headers["allow"] == "GET, HEAD"


def test_every_answer_has_security_headers(address):
    for path in ("/auth/hello", "/auth/nothing", "/auth/openapi.json", "/auth/redoc"):
        headers = request(address, "GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_announced_large_body_is_413(address):
    answer = request(address, "POST", "/auth/hello", b"x" * (64 * 1024 + 1))
    assert (answer.status, answer.error_id()) == (413, "payloadTooLarge")


def test_chunked_large_body_is_413(address):
    client = connection(address)
    client.request(
        "POST",
        "/auth/hello",
        iter([b"x" * 1024] * 65),
        {"Transfer-Encoding": "chunked"},
        encode_chunked=True,
    )
    answer = Answer(client.getresponse())
    assert (answer.status, answer.error_id()) == (413, "payloadTooLarge")
    assert answer.headers["connection"] == "close"


def test_body_at_the_limit_is_read(address):
    assert request(address, "POST", "/auth/hello", b"x" * (64 * 1024)).status == 405


def test_connection_serves_many_requests(address):
    client = connection(address)
    client.connect()
    first = client.sock
    for _ in range(100):
        client.request("GET", "/auth/hello")
        assert json.loads(client.getresponse().read()) == {"message": "hello world"}
        # http.client would silently reconnect.
        assert client.sock is first


def test_pipelined_requests_are_answered_in_order(address):
    client = connection(address)
    client.connect()
    client.sock.sendall(
        b"GET /auth/hello HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET /auth/nothing HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET /auth/hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    text = read_all(client.sock).decode()
    assert re.findall(r"HTTP/1.1 (\d+)", text) == ["200", "404", "200"]


SMUGGLED = b"POST /auth/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /auth/hello HTTP/1.1\r\nHost: x\r\n\r\n"


def test_length_and_encoding_together_are_refused(address):
    client = connection(address)
    client.connect()
    client.sock.sendall(SMUGGLED)
    text = read_all(client.sock).decode()
    assert text.startswith("HTTP/1.1 400 ") and "connection: close" in text.lower()
    assert text.count("HTTP/1.1") == 1, "the smuggled request was answered"


def test_garbage_is_400_and_closed(address):
    client = connection(address)
    client.connect()
    client.sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert read_all(client.sock).startswith(b"HTTP/1.1 400 ")


def test_body_cut_short_is_not_taken_for_whole(address):
    for head in (b"Content-Length: 10", b"Transfer-Encoding: chunked"):
        body = b"abc" if b"Length" in head else b"3\r\nabc\r\n"
        client = connection(address)
        client.connect()
        client.sock.sendall(b"POST /auth/hello HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + body)
        client.sock.shutdown(socket.SHUT_WR)
        # If the head were taken as complete, the response would be 405.
        assert read_all(client.sock).startswith(b"HTTP/1.1 400 "), head
        assert request(address, "GET", "/auth/hello").status == 200


def test_slow_heads_get_408(address):
    """Both for the first head on a connection and for a later one, for which actix-http alone would
    wait forever."""
    for first in (b"", b"GET /auth/hello HTTP/1.1\r\nHost: x\r\n\r\n"):
        client = connection(address)
        client.connect()
        client.sock.sendall(first)
        text = client.sock.recv(4096).decode() if first else ""
        client.sock.sendall(b"GET /auth/hello HTTP/1.1\r\nHo")
        text += read_all(client.sock).decode()
        assert text.count("HTTP/1.1 200 ") == (1 if first else 0)
        assert "HTTP/1.1 408 " in text and "requestTimeout" in text
        assert request(address, "GET", "/auth/hello").status == 200


def test_slow_body_gets_408(address):
    client = connection(address)
    client.connect()
    client.sock.sendall(b"POST /auth/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert read_all(client.sock).startswith(b"HTTP/1.1 408 ")


def test_more_clients_than_places_are_all_served(address):
    """The server handles 512 connections at a time; while all have a request in progress, further
    ones wait. Idle ones: see tests/attack/test_connections.py."""
    head = (
        b"POST /auth/hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{"
    )
    clients = []
    for _ in range(600):
        client = connection(address)
        client.connect()
        client.sock.sendall(head)
        clients.append(client)
    for client in clients:
        client.sock.sendall(b"}")
    for client in clients:
        assert read_all(client.sock).startswith(b"HTTP/1.1 405 ")


def test_openapi_document_is_served(address):
    """Its content is compared with the routes in tests/contract/test_access.py."""
    document = request(address, "GET", "/auth/openapi.json").json
    assert document["openapi"].startswith("3.1")


def read_all(sock):
    data = b""
    while True:
        try:
            chunk = sock.recv(65536)
        except ConnectionResetError:
            return data
        if not chunk:
            return data
        data += chunk
