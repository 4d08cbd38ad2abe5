"""The real server as a process, and clients that can be as rude as a test wants."""

import http.client
import itertools
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYER = ROOT / "meta-auth-server"
FILES = LAYER / "recipes-connectivity/opentrons-auth-server/files"
BINARY = Path(os.environ.get("AUTH_SERVER_BINARY", ROOT / "target/debug/opentrons-auth-server"))
# In the state folder.
DATABASE = "auth-server.sqlite"
# How long an event may take that a test waits for; a broken server fails by it, a slow machine not.
PATIENCE = 30.0
# What a server has in its environment, whatever else a test gives it; the second for coverage.
ENVIRONMENT = {
    name: os.environ[name] for name in ("PATH", "LLVM_PROFILE_FILE") if name in os.environ
}
_numbers = itertools.count()


class Server:
    """A server process. Its environment is empty but for what a test gives it."""

    def __init__(self, *arguments, folder, env=None, listen=None, stderr=None, notify=True):
        """`listen`: a listening socket to hand over as systemd does; `stderr`: a file for its log
        other than the server's own."""
        number = next(_numbers)
        self.log_path = folder / f"log-{number}"
        self.notify_socket = None
        # A server that a test kills leaves its temporary folder behind: with the test's own files.
        environment = {**ENVIRONMENT, "TMPDIR": str(folder), **(env or {})}
        if notify:
            path = folder / f"notify-{number}"
            self.notify_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notify_socket.bind(str(path))
            self.notify_socket.settimeout(PATIENCE)
            environment["NOTIFY_SOCKET"] = str(path)
        command = [str(BINARY), *map(str, arguments)]
        options = {}
        # LISTEN_PID and WATCHDOG_PID are the server's own: a shell sets them and becomes it.
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
        """The next datagram that the server sent to systemd, as a dictionary."""
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
        """Waits for READY=1, or fails with the log when the server ends before."""
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
        """One request over TCP on a connection of its own."""
        return request(("127.0.0.1", self.port), method, path, body, headers)

    def connect(self):
        """A raw TCP connection."""
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
    """Status, headers (names in lower case) and body of an answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def error_ids(self):
        """The ids of an error envelope that is right in every part, in their order."""
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
        """The id of an error envelope that holds one error."""
        ids = self.error_ids()
        assert len(ids) == 1, ids
        return ids[0]

    def challenge(self):
        """Status and the `error` of the challenge of an RFC 6750 refusal that is right in every
        part."""
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
    """A connection to a path, or to a host and port, there from the address `source`."""
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
    """Asks until `condition()` is true, and returns its value."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"did not happen: {what}")


def edit_database(state, statement, *values):
    """Changes the database of a server that has stopped."""
    with sqlite3.connect(state / DATABASE) as database:
        database.execute(statement, values)
    database.close()


def read_database(state, statement, *values):
    """The rows of a query."""
    with sqlite3.connect(state / DATABASE) as database:
        rows = database.execute(statement, values).fetchall()
    database.close()
    return rows


def run(*arguments, env=None, prefix=(), **options):
    """Runs the binary to its end; `prefix`: the command that starts it."""
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
    """The tree as on the robot, by `make install`."""
    command = ["make", "-s", "-C", ROOT, "install", f"DESTDIR={destination}", f"BINARY={binary}"]
    subprocess.run(command, check=True)
    return destination


@contextmanager
def running_make(target, patience=PATIENCE):
    """`make TARGET` as a user runs it, until Ctrl-C, which comes at the end."""
    make = subprocess.Popen(
        ["make", target],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield make
    finally:
        # As Ctrl-C does: to make and to what it runs.
        os.killpg(make.pid, signal.SIGINT)
        make.stdout.close()
        make.wait(patience)


def readmes():
    """The texts of the READMEs."""
    return [path.read_text() for path in (ROOT / "README.md", LAYER / "README.md")]


def commands_in(text):
    """The commands that a text in Markdown tells a user to type."""
    return "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()


def as_in_readme(command):
    """The words of a command that stands in a README, for the test that runs it."""
    assert command in [each for text in readmes() for each in commands_in(text)], command
    return shlex.split(command)


def commands_of_section(title):
    """The commands of a section of the README, for the test that runs them."""
    return commands_in(readmes()[0].split(f"\n## {title}\n")[1].split("\n## ")[0])


def mark_tests(items, folder, mark, reason):
    """Marks the collected tests below `folder`, and skips them when there is a `reason`."""
    for item in items:
        if folder in item.path.parents:
            item.add_marker(mark)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
