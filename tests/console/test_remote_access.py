"""The check whether remote access is allowed: its exit code and its line of output."""

import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import BINARY, FILES, PATIENCE, run

# Timeout of the check in tests, in whole seconds: the shortest that it accepts.
TIMEOUT = 1
# Paths that the check uses on a robot.
OVERRIDE = Path("/etc/opentrons-allow-remote-access")
SOCKET = Path("/run/opentrons-auth-server.sock")


@pytest.fixture
def check(tmp_path):
    """Runs the check, by default with a timeout of a second; returns its exit code and its line."""

    def check(*arguments, override=tmp_path / "no-override", timeout=TIMEOUT, **options):
        done = run(
            "remote-access-allowed",
            *("--uds", tmp_path / "auth.sock", "--override-file", override),
            *([timeout] if timeout else []),
            *arguments,
            **options,
        )
        assert done.stderr == ""
        (line,) = done.stdout.splitlines()
        return done.returncode, line

    return check


@contextmanager
def answering(path, *answers, hold=False):
    """A server that sends each connection the next of `answers`, and keeps it open or closes it."""
    held = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve():
            for answer in answers:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                connection.recv(4096)
                connection.sendall(answer)
                if hold:
                    held.append(connection)
                else:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)
            for connection in held:
                connection.close()


def http(body, status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


OFF = http('{"data": {"accessControlEnabled": false}}')
ON = http('{"data": {"accessControlEnabled": true}}')


def test_access_control_off_allows(check, start):
    start()
    assert check() == (0, "remote access is allowed: access control is off")


def test_access_control_on_refuses(check, start):
    _, api = start()
    api.create("ada", "admin")
    api.enable_access_control()
    assert check() == (1, "remote access is refused: access control is on")


def test_override_file_allows_whatever_the_server_says(check, start, tmp_path):
    _, api = start()
    api.create("ada", "admin")
    api.enable_access_control()
    override = tmp_path / "override"
    override.touch()
    allowed = 0, f"remote access is allowed: {override} exists"
    assert check(override=override) == allowed
    (tmp_path / "auth.sock").unlink()
    assert check(override=override) == allowed


def test_no_server_refuses(check):
    begun = time.monotonic()
    code, line = check(timeout=2)
    assert 1.9 < time.monotonic() - begun < PATIENCE
    assert code == 1
    assert line.startswith("remote access is refused: the auth server did not answer in 2 s: ")


def test_server_that_does_not_accept_refuses(check, tmp_path):
    """As when the service hangs: systemd's socket accepts the connection, and nothing reads from
    it."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "auth.sock"))
        listening.listen(0)
        fill = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for each in fill:
            each.setblocking(False)
            each.connect_ex(str(tmp_path / "auth.sock"))
        code, line = check()
        for each in fill:
            each.close()
    assert (code, "did not answer in 1 s" in line) == (1, True)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 2", OFF[:30], OFF[:-1]], ids=["none", "status", "head", "body"]
)
@pytest.mark.parametrize("hold", [True, False], ids=["hangs", "closes"])
def test_half_an_answer_refuses(check, tmp_path, answer, hold):
    with answering(tmp_path / "auth.sock", *[answer] * 10, hold=hold):
        code, line = check()
    assert (code, "did not answer in 1 s" in line) == (1, True)


def test_asks_until_there_is_an_answer(check, tmp_path):
    """Without TIMEOUT, the check waits as long as necessary, because a server takes time to
    start."""
    with answering(tmp_path / "auth.sock", b"", OFF[:-1], OFF):
        assert check(timeout=None)[0] == 0
    (tmp_path / "auth.sock").unlink()
    with answering(tmp_path / "auth.sock", b"", ON):
        assert check(timeout=None)[0] == 1


def test_answer_counts_though_the_connection_stays_open(check, tmp_path):
    with answering(tmp_path / "auth.sock", OFF, hold=True):
        assert check(timeout=None)[0] == 0


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"SSH-2.0-dropbear\r\n", "it is not HTTP"),
        (http("{}", "500 Internal Server Error"), 'its status is "500"'),
        (http('{"data": {"accessControlEnabled": false}}', "404 Not Found"), '"404"'),
        (http("off"), "it is not JSON"),
        (http("{}"), "does not say whether"),
        (http('{"data": {"accessControlEnabled": null}}'), "does not say whether"),
        (http('{"data": {"accessControlEnabled": "false"}}'), "does not say whether"),
        (http('{"data": {"accessControlEnabled": 0}}'), "does not say whether"),
        (http('{"accessControlEnabled": false}'), "does not say whether"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + OFF.split(b"\r\n\r\n")[1], "it has no Content-Length"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 20_000, "it is longer than"),
    ],
)
def test_other_answers_refuse_at_once(check, tmp_path, answer, what):
    with answering(tmp_path / "auth.sock", answer):
        code, line = check(timeout=None)
    assert code == 2
    assert line.startswith("remote access is refused: the auth server's answer is invalid: ")
    assert what in line


@pytest.mark.parametrize("timeout", ["0", "-1", "soon", "1.5", ""])
def test_timeout_that_is_none_is_named(timeout):
    done = run("remote-access-allowed", "--", timeout)
    assert done.returncode == 2 and "[TIMEOUT]" in done.stderr


def test_nobody_has_to_read_the_line(check, start, tmp_path):
    """With standard output closed, the exit code is the same."""
    start()
    arguments = "--uds", tmp_path / "auth.sock", "--override-file", "/no/such"
    closed = ["sh", "-c", 'exec "$@" >&-', "sh"]
    assert run("remote-access-allowed", *arguments, TIMEOUT, prefix=closed).returncode == 0


def test_environment_lets_nobody_in(tmp_path, start):
    """Environment variables do not change which server the check asks."""
    start()
    environment = {"OT_AUTH_SERVER_uds": tmp_path / "auth.sock", "UDS": tmp_path / "auth.sock"}
    done = run("remote-access-allowed", "--uds", "/no/such", TIMEOUT, env=environment)
    assert done.returncode == 1


def test_command_of_the_robot_hands_on_its_timeout_and_the_exit_code(tmp_path):
    (tmp_path / "opentrons-auth-server").symlink_to(BINARY)
    command = tmp_path / "opentrons_check_remote_access_allowed"
    shutil.copy(FILES / "bin" / command.name, command)

    def call(*arguments):
        return subprocess.run(
            [command, *arguments],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    assert call("soon").returncode == 2
    if not OVERRIDE.exists() and not SOCKET.exists():
        done = call("1")
        assert (done.returncode, "in 1 s" in done.stdout) == (1, True)
