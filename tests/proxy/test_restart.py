"""Restarts of the service under load, through the real nginx: counts the failed requests."""

import http.client
import socket
import threading

import pytest

from nginx import NGINX, Nginx
from support import PATIENCE, connection, wait_for

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")
RESTARTS = 200
CLIENTS = 8


class Load:
    """Clients that alternate GET and POST until stopped, and count requests. Some requests must
    succeed, because the absence of failures means nothing without requests."""

    def __init__(self, port):
        self.port = port
        # Requests with the expected response.
        self.requests = 0
        self.answered = 0
        self.failed = []
        self.stopped = False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.client) for _ in range(CLIENTS)]

    def client(self):
        client = connection(("127.0.0.1", self.port))
        while not self.stopped:
            for method, body, status in (("GET", None, 200), ("POST", b"{}", 405)):
                try:
                    client.request(method, "/auth/hello", body)
                    response = client.getresponse()
                    response.read()
                    outcome = response.status
                except (OSError, http.client.HTTPException) as error:
                    client.close()
                    outcome = repr(error)
                with self.lock:
                    self.requests += 1
                    if outcome == status:
                        self.answered += 1
                    else:
                        self.failed.append((method, outcome))
        client.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stopped = True
        for thread in self.threads:
            thread.join(PATIENCE)
        if kind is None:
            assert not any(thread.is_alive() for thread in self.threads)
            assert self.answered > 0, self.failed[:3]


@pytest.mark.parametrize("socket_is", ["systemd's", "the service's own"])
def test_restarts_under_load(tmp_path, serve, figures, socket_is):
    nginx = Nginx(tmp_path, "plain")
    nginx.install_snippets()
    assert nginx.include().returncode == 0
    listening = socket.socket(socket.AF_UNIX)
    if socket_is == "systemd's":
        listening.bind(str(nginx.socket))
        listening.listen(4096)
        options = ((), {"listen": listening})
    else:
        options = (("--uds", nginx.socket), {})
    nginx.start()
    server = serve(*options[0], **options[1]).wait_ready()
    try:
        with Load(nginx.port) as load:
            for _ in range(RESTARTS):
                before = load.answered
                # Without requests, the test would prove nothing.
                wait_for(
                    lambda seen=before: load.answered > seen + CLIENTS, "requests are answered"
                )
                assert server.stop() == 0
                server.kill()
                server = serve(*options[0], **options[1]).wait_ready()
        figures(
            f"{RESTARTS} restarts under load, the socket {socket_is}: "
            f"{len(load.failed)} of {load.requests} requests failed"
        )
        if socket_is == "systemd's":
            assert load.failed == []
        else:
            assert load.failed, "without systemd's socket requests must fail, else the load is none"
    finally:
        nginx.stop()
        listening.close()
