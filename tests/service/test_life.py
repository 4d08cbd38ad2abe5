"""The service's life cycle: notifications to systemd, and requests in flight when it stops."""

import ctypes
import os
import signal
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import PATIENCE, request

# Part of the log line about requests that were not finished in time.
CUT_OFF = "cut off"
# Constants from <sys/ptrace.h> and <linux/wait.h>.
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000


def test_ready_is_told_when_requests_are_answered(serve, tmp_path):
    path = tmp_path / "auth.sock"
    server = serve("--uds", path).wait_ready()
    assert request(path, "GET", "/auth/hello").status == 200
    assert f"unix:{path}" in server.messages[-1]["STATUS"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_with_exit_code_0(server, number):
    server.signal(number)
    server.wait_message("STOPPING", "1")
    assert "STATUS" in server.messages[-1]
    assert server.wait() == 0


def idle_connections(server):
    """Opens connections to every worker, on each of which one request was served."""
    clients = [server.connect() for _ in range(20)]
    for client in clients:
        client.sendall(b"GET /auth/hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    return clients


def test_stop_does_not_wait_for_idle_connections(server):
    """The keep-alive timeout is 75 s and the grace period 5 s: an idle client must not delay a stop
    for either."""
    clients = idle_connections(server)
    assert server.stop() == 0
    assert CUT_OFF not in server.log
    for client in clients:
        assert client.recv(4096) == b""


def test_request_in_flight_is_finished_and_is_the_last(server):
    client = server.connect()
    client.sendall(b"POST /auth/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    idle = idle_connections(server)
    server.signal(signal.SIGTERM)
    server.wait_message("STOPPING", "1")
    # A worker closes idle connections only once it knows that the server is stopping.
    for other in idle:
        assert other.recv(4096) == b""
    client.sendall(b"def")
    answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 405 ") and b"connection: close" in answer.lower()
    assert server.wait() == 0
    assert CUT_OFF not in server.log


def test_request_that_does_not_end_is_cut_off(server):
    client = server.connect()
    client.sendall(b"POST /auth/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    assert server.request("GET", "/auth/hello").status == 200
    assert server.stop() == 0
    assert "1 connections were still busy after 5 s" in server.log
    assert CUT_OFF in server.log


def test_second_signal_exits_at_once(serve, tmp_path):
    path = tmp_path / "auth.sock"
    server = serve("--uds", path).wait_ready()
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.sendall(b"POST /auth/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    assert request(path, "GET", "/auth/hello").status == 200
    server.signal(signal.SIGTERM)
    server.wait_message("STOPPING", "1")
    server.signal(signal.SIGINT)
    assert server.wait() == 128 + signal.SIGINT
    assert CUT_OFF not in server.log
    assert not path.exists()


def test_watchdog_is_fed(serve):
    server = serve(env={"WATCHDOG_USEC": "200000"}).wait_ready()
    for _ in range(3):
        server.wait_message("WATCHDOG", "1")


def test_watchdog_of_another_process_is_not_fed(serve):
    server = serve(env={"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}).wait_ready()
    for _ in range(50):
        assert server.request("GET", "/auth/hello").status == 200
    with pytest.raises(TimeoutError):
        server.next_message(timeout=0.2)


@contextmanager
def stopped_thread(number):
    """Stops a single thread of a process."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def call(request):
        assert ptrace(request, number, None, None) == 0, os.strerror(ctypes.get_errno())

    call(PTRACE_SEIZE)
    call(PTRACE_INTERRUPT)
    os.waitpid(number, WALL)
    try:
        yield
    finally:
        call(PTRACE_DETACH)


@pytest.mark.parametrize("worker", [0, 1])
def test_hung_worker_starves_the_watchdog_until_it_answers_again(serve, worker):
    server = serve("--workers", 2, env={"WATCHDOG_USEC": "200000"}).wait_ready()
    server.wait_message("WATCHDOG", "1")
    tasks = sorted(Path(f"/proc/{server.process.pid}/task").iterdir(), key=lambda at: int(at.name))
    workers = [task for task in tasks if (task / "comm").read_text().startswith("actix-rt")]
    assert len(workers) == 2
    with stopped_thread(int(workers[worker].name)):
        server.wait_log(rf"ERROR .* worker {worker} ")
        drain(server)
        with pytest.raises(TimeoutError):
            server.next_message(timeout=1)
        assert server.process.poll() is None
    server.wait_message("WATCHDOG", "1")


def test_server_runs_without_systemd(serve):
    server = serve(notify=False)
    server.wait_log("listening on http://")
    assert server.request("GET", "/auth/hello").status == 200
    assert server.stop() == 0


def test_unreachable_notify_socket_is_logged(serve):
    server = serve(notify=False, env={"NOTIFY_SOCKET": "/nowhere/notify"})
    server.wait_log("cannot notify systemd")
    assert server.request("GET", "/auth/hello").status == 200


def drain(server):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            server.next_message(timeout=0.01)
        except TimeoutError:
            return
