"""The real server as a process, and clients that may violate the protocol."""

import http.client
import itertools
import json
import os
import random
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYER = ROOT / "meta-auth-server"
RECIPES = LAYER / "recipes-connectivity"
FILES = RECIPES / "opentrons-auth-server/files"
DIRECTORY_FILES = RECIPES / "opentrons-auth-directory/files"
BINARY = Path(os.environ.get("AUTH_SERVER_BINARY", ROOT / "target/debug/opentrons-auth-server"))
# File in the state directory.
DATABASE = "auth-server.sqlite"
# Timeout of each event that a test waits for: only a broken server exceeds it, not a slow machine.
PATIENCE = 30.0
# Variables in the environment of every server; the second is for coverage.
ENVIRONMENT = {
    name: os.environ[name] for name in ("PATH", "LLVM_PROFILE_FILE") if name in os.environ
}
_numbers = itertools.count()


class Server:
    """A server process. Its environment is empty except for the variables that a test sets."""

    def __init__(self, *arguments, folder, env=None, listen=None, stderr=None, notify=True):
        """`listen`: a listening socket to pass as systemd does; `stderr`: a file for the log in
        place of the server's own."""
        number = next(_numbers)
        self.log_path = folder / f"log-{number}"
        self.notify_socket = None
        # A killed server leaves its temporary directory behind; keep it among the test's files.
        environment = {**ENVIRONMENT, "TMPDIR": str(folder), **(env or {})}
        if notify:
            path = folder / f"notify-{number}"
            self.notify_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notify_socket.bind(str(path))
            self.notify_socket.settimeout(PATIENCE)
            environment["NOTIFY_SOCKET"] = str(path)
        command = [str(BINARY), *map(str, arguments)]
        options = {}
        # LISTEN_PID and WATCHDOG_PID must be the server's pid: a shell sets them, then execs it.
        if "WATCHDOG_USEC" in environment and "WATCHDOG_PID" not in environment:
            command = ["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh", *command]
        if listen is not None:
            command = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *command]
            options["pass_fds"] = (3,)
            handle = listen.fileno()
            options["preexec_fn"] = lambda: os.dup2(handle, 3)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr or log,
                **options,
            )
        self.messages = []

    def next_message(self, timeout=PATIENCE):
        """Returns the next datagram that the server sent to systemd, as a dictionary."""
        self.notify_socket.settimeout(timeout)
        text = self.notify_socket.recv(4096).decode()
        message = dict(line.split("=", 1) for line in text.splitlines())
        self.messages.append(message)
        return message

    def wait_message(self, key, value):
        while self.next_message().get(key) != value:
            pass
        return self

    def wait_ready(self):
        """Waits for READY=1, or fails with the log if the server exits first."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if self.next_message(timeout=0.2).get("READY") == "1":
                    return self
            except TimeoutError:
                assert self.process.poll() is None, f"the server has ended: {self.log}"
        raise AssertionError(f"the server is not ready: {self.log}")

    @property
    def log(self):
        return self.log_path.read_text()

    @property
    def port(self):
        return int(re.search(r"listening on http://[^ ]*:(\d+)", self.log)[1])

    def wait_log(self, pattern):
        """Waits until the log matches."""
        return wait_for(lambda: re.search(pattern, self.log), f"{pattern!r} in {self.log!r}")

    def request(self, method, path, body=None, headers=None):
        """Sends a request over TCP on a new connection."""
        return request(("127.0.0.1", self.port), method, path, body, headers)

    def connect(self):
        """Opens a raw TCP connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Waits for the end and returns the exit code."""
        return self.process.wait(PATIENCE)

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.notify_socket:
            self.notify_socket.close()
            self.notify_socket = None


class Answer:
    """Response: status, headers (with names in lower case) and body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def error_ids(self):
        """Returns the error ids in a valid error envelope, in order."""
        body = self.json
        assert set(body) == {"errors", "detail"}, body
        errors = body["errors"]
        assert errors and errors[0]["detail"] == body["detail"], body
        for error in errors:
            assert {"id", "detail"} <= set(error) <= {"id", "detail", "meta"}, error
            assert error["detail"], error
        assert self.headers["content-type"] == "application/json"
        return [error["id"] for error in errors]

    def error_id(self):
        """Returns the id of the only error in an error envelope."""
        ids = self.error_ids()
        assert len(ids) == 1, ids
        return ids[0]

    def challenge(self):
        """Returns the status and the challenge's `error` of a valid RFC 6750 error response."""
        assert set(self.json) == {"debugMessage", "requiredScopes", "providedScopes"}, self.body
        error = re.fullmatch(r'Bearer error="(\w+)"', self.headers["www-authenticate"])[1]
        return self.status, error


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout=PATIENCE):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connection(address, timeout=PATIENCE, source=None):
    """Opens a connection to a socket path, or to a host and port, in the latter case from the
    address `source`."""
    if isinstance(address, tuple):
        source = source and (source, 0)
        return http.client.HTTPConnection(*address, timeout=timeout, source_address=source)
    return UnixConnection(address, timeout)


def request(address, method, path, body=None, headers=None, source=None):
    """One request on a connection of its own."""
    client = connection(address, source=source)
    try:
        client.request(method, path, body, headers or {})
        return Answer(client.getresponse())
    finally:
        client.close()


def wait_for(condition, what, patience=PATIENCE):
    """Calls `condition()` until it returns a true value, and returns the value."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"did not happen: {what}")


def edit_database(state, statement, *values):
    """Changes the database of a stopped server."""
    with sqlite3.connect(state / DATABASE) as database:
        database.execute(statement, values)
    database.close()


def read_database(state, statement, *values):
    """Returns the rows of a query."""
    with sqlite3.connect(state / DATABASE) as database:
        rows = database.execute(statement, values).fetchall()
    database.close()
    return rows


def run(*arguments, env=None, prefix=(), **options):
    """Runs the binary until it exits; `prefix`: a command that starts it."""
    return subprocess.run(
        [*prefix, str(BINARY), *map(str, arguments)],
        env={**ENVIRONMENT, **(env or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )


def installed(destination, binary=BINARY):
    """Installs the files as on the robot, with `make install`."""
    command = ["make", "-s", "-C", ROOT, "install", f"DESTDIR={destination}", f"BINARY={binary}"]
    subprocess.run(command, check=True)
    return destination


def installed_directory(destination, binary):
    """Installs `binary` as opentrons-auth-directory, with its files, as `make install-directory`
    does."""
    command = ["make", "-s", "-C", ROOT, "install-directory"]
    command += [f"DESTDIR={destination}", f"DIRECTORY_BINARY={binary}"]
    subprocess.run(command, check=True)
    return destination


@contextmanager
def running_make(target, *variables, patience=PATIENCE):
    """Runs `make TARGET` like a user, who stops it with Ctrl-C at the end."""
    make = subprocess.Popen(
        ["make", target, *variables],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield make
    finally:
        # As Ctrl-C does, signals make and the processes that it runs.
        with suppress(ProcessLookupError):
            os.killpg(make.pid, signal.SIGINT)
        make.stdout.close()
        make.wait(patience)


def readmes():
    """Returns the texts of the READMEs."""
    return [path.read_text() for path in (ROOT / "README.md", LAYER / "README.md")]


def commands_in(text):
    """Returns the commands that a Markdown text tells a user to type."""
    return "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()


def as_in_readme(command):
    """Returns the words of a command in a README, for the test that runs it."""
    assert command in [each for text in readmes() for each in commands_in(text)], command
    return shlex.split(command)


def commands_of_section(title):
    """Returns the commands of a section of the README, for the test that runs them."""
    return commands_in(readmes()[0].split(f"\n## {title}\n")[1].split("\n## ")[0])


def mark_tests(items, folder, mark, reason):
    """Marks the collected tests below `folder`, and skips them if there is a `reason`."""
    for item in items:
        if folder in item.path.parents:
            item.add_marker(mark)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def free_port():
    """Returns a TCP port that nothing uses. It lies below those that Linux gives to other tests' sockets
    meanwhile (ip(7), ip_local_port_range)."""
    while True:
        port = random.randrange(20000, 32768)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("0.0.0.0", port))
            return port
