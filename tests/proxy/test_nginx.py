"""The shipped snippets in the real nginx."""

import socket
import threading
import time
from contextlib import suppress

import pytest

from nginx import NGINX, Nginx
from support import Answer, connection

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")


@pytest.fixture
def nginx(tmp_path):
    """nginx as plain meta-webserver configures it, with our snippets."""
    server = Nginx(tmp_path, "plain")
    server.install_snippets()
    assert server.include().returncode == 0
    server.test().start()
    yield server
    server.stop()


@pytest.mark.lint
@pytest.mark.parametrize("kind", ["plain", "flex", "flex without auth"])
@pytest.mark.parametrize("snippets", [True, False])
def test_nginx_accepts_every_combination(tmp_path, kind, snippets):
    server = Nginx(tmp_path, kind)
    if snippets:
        server.install_snippets()
    before = server.edited.read_text()
    assert server.include().returncode == 0
    server.test()
    after = server.edited.read_text()
    assert after != before and "location /auth" not in after
    assert server.include().returncode == 0
    assert server.edited.read_text() == after, "a second time changes nothing"


@pytest.mark.parametrize("kind", ["plain", "flex", "flex without auth"])
def test_hello_through_every_configuration(tmp_path, kind, serve):
    server = Nginx(tmp_path, kind)
    server.install_snippets()
    assert server.include().returncode == 0
    serve("--uds", server.socket).wait_ready()
    server.start()
    try:
        answer = server.request("GET", "/auth/hello")
        assert (answer.status, answer.json) == (200, {"message": "hello world"})
    finally:
        server.stop()


def test_paths_reach_the_server_unchanged(nginx, serve):
    serve("--uds", nginx.socket).wait_ready()
    assert nginx.request("GET", "/auth/hello").json == {"message": "hello world"}
    for path in ("/auth", "/auth/", "/auth/nothing"):
        answer = nginx.request("GET", path)
        assert (answer.status, answer.error_id()) == (404, "notFound")
    assert nginx.request("HEAD", "/auth/hello").body == b""
    assert nginx.request("GET", "/").body == b"elsewhere"


def test_big_body_is_413_with_the_servers_envelope(nginx, serve):
    serve("--uds", nginx.socket).wait_ready()
    answer = nginx.request("POST", "/auth/hello", b"x" * (64 * 1024 + 1))
    direct = nginx.request("POST", "/auth/hello", b"x" * (64 * 1024))
    assert (answer.status, answer.error_id()) == (413, "payloadTooLarge")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert direct.status == 405


def test_server_down_is_502_in_under_a_second_and_recovers(nginx, serve):
    for _ in range(2):
        started = time.monotonic()
        assert nginx.request("GET", "/auth/hello").status == 502
        assert time.monotonic() - started < 1  # required limit
        server = serve("--uds", nginx.socket).wait_ready()
        assert nginx.request("GET", "/auth/hello").status == 200
        server.stop()


def test_forwarded_headers_are_nginxs_and_no_upgrade_passes(nginx):
    """Uses a bare socket as the upstream, to see what nginx sends."""
    with socket.socket(socket.AF_UNIX) as upstream:
        upstream.bind(str(nginx.socket))
        upstream.listen()
        seen = []

        def answer():
            client, _ = upstream.accept()
            seen.append(client.recv(65536).decode())
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            client.close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        client = connection(("127.0.0.1", nginx.port))
        client.request(
            "GET",
            "/auth/hello",
            headers={
                "Host": "robot:31950",
                "X-Forwarded-For": "10.6.6.6",
                "X-Forwarded-Host": "evil.example",
                "X-Forwarded-Proto": "https",
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Authorization": "Bearer x",
                "Opentrons-User-Notes": "because",
            },
        )
        assert Answer(client.getresponse()).status == 200
        thread.join()
    lines = [line.lower() for line in seen[0].splitlines()]
    headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == f"127.0.0.1:{nginx.port}"
    assert headers["host"] == "robot:31950"
    assert "upgrade" not in headers and "connection" not in headers
    assert headers["authorization"] == "bearer x"
    assert headers["opentrons-user-notes"] == "because"


def test_upstream_connections_are_kept(nginx):
    with socket.socket(socket.AF_UNIX) as upstream:
        upstream.bind(str(nginx.socket))
        upstream.listen()
        accepted = []

        def accept():
            # Runs until the socket is closed.
            with suppress(OSError):
                while True:
                    client, _ = upstream.accept()
                    accepted.append(client)
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        def answer(client):
            while client.recv(65536):
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        threading.Thread(target=accept, daemon=True).start()
        for _ in range(10):
            assert nginx.request("GET", "/auth/hello").body == b"{}"
        assert len(accepted) == 1
        upstream.shutdown(socket.SHUT_RDWR)
