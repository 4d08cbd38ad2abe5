"""Processes of the measured servers: ours and its Python peer."""

import contextlib
import os
import re
import subprocess
from pathlib import Path

from support import PATIENCE, connection, wait_for

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SERVER = ROOT / "target/release/opentrons-auth-server"
WORKERS = 2
HELLO = b'{"message":"hello world"}'


def command(who, peer, where, state=None):
    """Returns the command line of `ours` or the `peer`. `where`: the path of a socket, or a port;
    `state`: the state directory of ours."""
    where = ["--port" if isinstance(where, int) else "--uds", where]
    if who == "ours":
        persistence = ["--persistence-directory", state] if state else []
        return [SERVER, *where, *persistence, "--workers", WORKERS, "--log-level", "error"]
    options = ["--workers", WORKERS, "--loop", "uvloop", "--http", "httptools"]
    options += ["--no-access-log", "--log-level", "error"]
    return [peer, "-m", "uvicorn", "peer:app", "--app-dir", HERE, *where, *options]


@contextlib.contextmanager
def running(arguments, folder, **environment):
    """Runs a process and ends it. Its log, which contains all audit events, is in the directory."""
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(
            [str(part) for part in arguments],
            env={"PATH": os.environ["PATH"], "TMPDIR": str(folder), **environment},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextlib.contextmanager
def serving(who, peer, folder, name, **environment):
    """Starts a server with state of its own, waits until it responds, and yields the process and
    its socket."""
    socket = folder / f"{name}.sock"
    arguments = command(who, peer, socket, folder / f"{name}-state")
    with running(arguments, folder, **environment) as process:
        wait_for(lambda: says_hello(socket), f"{who} answers")
        yield process, socket


def says_hello(address):
    """Returns whether a server responds at the address."""
    client = connection(address)
    try:
        client.request("GET", "/auth/hello")
        return client.getresponse().read() == HELLO
    except OSError:
        return False
    finally:
        client.close()


def family(process):
    """Returns the ids of a process and all its descendants."""
    found, waiting = [], [process.pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            waiting += (task / "children").read_text().split()
    return found


def bytes_in(file, field):
    """Returns a field in kB of a file below /proc, in bytes."""
    text = Path(file).read_text()
    return 1024 * int(re.search(rf"^{field}:\s+(\d+)", text, re.MULTILINE)[1])


def memory(process):
    """Returns the proportional set size of a process and its descendants, in bytes."""
    return sum(bytes_in(f"/proc/{pid}/smaps_rollup", "Pss") for pid in family(process))


def most_memory(process):
    """Returns the sum of the peak resident set sizes of a process and its descendants, in bytes."""
    return sum(bytes_in(f"/proc/{pid}/status", "VmHWM") for pid in family(process))
