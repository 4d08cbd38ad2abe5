"""Counts aarch64 instructions per request under QEMU: `make bench-instructions`.

    instructions.py [--check]

Writes instructions.json beside this file. With --check compares with what the file says instead, and
exits with 1 when a request takes more than 5 % more. Unlike seconds, instructions hardly depend on
the machine or its load.
"""

import argparse
import contextlib
import hashlib
import http.client
import itertools
import json
import math
import secrets
import sqlite3
import sys
import tempfile
from pathlib import Path

from native import shared_library
from servers import HERE, ROOT, running, says_hello

from api import CLIENT, FORM, PASSWORD, Api
from support import DATABASE, connection, wait_for

ROBOTS = ROOT / "target/aarch64-unknown-linux-gnu/release/opentrons-auth-server"
KEPT = HERE / "instructions.json"
# By how much a request may take more than the file says.
TOLERANCE = 0.05
# A batch is counted as a whole. Timers and other threads only add: the least of all batches is what
# the requests take.
BATCHES = 15
REQUESTS = 200
FEW, MANY = 10, 100_000


class Counter:
    """The instructions that the emulated server has executed."""

    def __init__(self, file):
        self.file = file

    def read(self):
        return int.from_bytes(self.file.read_bytes(), sys.byteorder)

    def per_request(self, ask, requests=REQUESTS):
        """Instructions of one request; `ask` makes one and waits for its answer."""
        counts = []
        # The first batch warms up.
        for _ in range(BATCHES + 1):
            before = self.read()
            for _ in range(requests):
                ask()
            counts.append(self.read() - before)
        return min(counts[1:]) / requests


@contextlib.contextmanager
def emulated(plugin, folder):
    """The robot's server with its state in the folder: its socket, and the counter."""
    socket, count = folder / "counted.sock", folder / "count"
    command = ["qemu-aarch64", "-plugin", f"{plugin},count={count}", "-L", "/usr/aarch64-linux-gnu"]
    command += [ROBOTS, "--uds", socket, "--persistence-directory", folder / "state"]
    with running([*command, "--workers", 1, "--log-level", "error"], folder):
        wait_for(lambda: says_hello(socket), "it answers under QEMU")
        yield socket, Counter(count)


def add_tokens(folder, count):
    """Adds access tokens of the one session to the database of a stopped server; returns them."""
    tokens = [secrets.token_urlsafe(32) for _ in range(count)]
    with contextlib.closing(sqlite3.connect(folder / "state" / DATABASE)) as database, database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(access_token)")]
        copied = ", ".join(columns[1:])
        database.executemany(
            f"INSERT INTO access_token SELECT ?, {copied} FROM access_token LIMIT 1",
            ([hashlib.sha256(token.encode()).digest()] for token in tokens),
        )
    return tokens


class Client:
    """Requests on one connection, each sent at once as nginx does: head and body in one piece."""

    def __init__(self, socket):
        self.connection = connection(socket)
        self.connection.connect()

    def request(self, method, path, body="", headers=()):
        """The status and the body of the answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
        if body:
            lines += [f"Content-Type: {FORM['Content-Type']}", f"Content-Length: {len(body)}"]
        self.connection.sock.sendall("\r\n".join([*lines, "", body]).encode())
        answer = http.client.HTTPResponse(self.connection.sock)
        answer.begin()
        return answer.status, answer.read()

    def close(self):
        self.connection.close()


def introspections(client, tokens):
    """A request about one token after the other."""
    turn = itertools.cycle(tokens)

    def ask():
        body = f"client_id={CLIENT}&token={next(turn)}"
        _, answer = client.request("POST", "/auth/oauth2/introspect", body)
        assert json.loads(answer)["active"]

    return ask


def getting(client, path, status, headers=()):
    """The same request again and again."""

    def ask():
        assert client.request("GET", path, headers=headers)[0] == status

    return ask


def refreshes(client, issued):
    """Refreshes of one session, each with the token that the one before gave."""
    token = issued["refresh_token"]

    def ask():
        nonlocal token
        body = f"grant_type=refresh_token&client_id={CLIENT}&refresh_token={token}"
        _, answer = client.request("POST", "/auth/oauth2/token", body)
        token = json.loads(answer)["refresh_token"]

    return ask


def measure(folder):
    """Instructions of one request, by its name."""
    folder = folder / "instructions"
    folder.mkdir()
    figures = {}
    plugin = shared_library("count", folder)
    with emulated(plugin, folder) as (socket, _):
        api = Api(socket)
        api.settings(idleLogout=86_400)
        api.create("ada")
        assert api.login("ada", PASSWORD)
    tokens = add_tokens(folder, FEW - 1)
    with emulated(plugin, folder) as (socket, counter):
        client = Client(socket)
        figures["hello"] = counter.per_request(getting(client, "/auth/hello", 200))
        switch = getting(client, "/auth/settings/accessControlEnabled", 200)
        figures["accessControlEnabled"] = counter.per_request(switch)
        figures[f"introspection, {FEW} tokens"] = counter.per_request(
            introspections(client, tokens)
        )
        nobody = [f"Authorization: Bearer {secrets.token_urlsafe(32)}"]
        refused = getting(client, "/auth/users/self", 401, nobody)
        figures["refused request"] = counter.per_request(refused)
        refresh = refreshes(client, Api(socket).login("ada"))
        figures["refresh"] = counter.per_request(refresh, REQUESTS // 10)
        client.close()
    tokens += add_tokens(folder, MANY - FEW)
    with emulated(plugin, folder) as (socket, counter):
        client = Client(socket)
        figures[f"introspection, {MANY} tokens"] = counter.per_request(
            introspections(client, tokens)
        )
        client.close()
    return {name: math.ceil(count) for name, count in figures.items()}


def main():
    arguments = argparse.ArgumentParser(description="Counts aarch64 instructions per request.")
    arguments.add_argument("--check", action="store_true", help=f"compare with {KEPT.name}")
    check = arguments.parse_args().check
    with tempfile.TemporaryDirectory(prefix="instructions-") as folder:
        figures = measure(Path(folder))
    kept = json.loads(KEPT.read_text()) if check else figures
    too_many = []
    for name, count in figures.items():
        ratio = count / kept[name] - 1
        print(f"{name:<28} {count:>8,} {ratio:+.1%}" if check else f"{name:<28} {count:>8,}")
        if ratio > TOLERANCE:
            too_many.append(name)
    if too_many:
        limit = f"more than {TOLERANCE:.0%} above {KEPT.relative_to(ROOT)}"
        print(
            f"{', '.join(too_many)}: {limit}; make bench-instructions accepts it", file=sys.stderr
        )
        return 1
    if not check:
        KEPT.write_text(json.dumps(figures, indent=4) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
