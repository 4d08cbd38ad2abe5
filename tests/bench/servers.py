"""What is measured, as processes: the server and its Python peer, and the load on them."""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import PATIENCE, connection

SERVER = ROOT / "target/release/opentrons-auth-server"
WORKERS = 2
CLIENTS = 32
ROUNDS = 5
SECONDS = 3
HELLO = b'{"message":"hello world"}'


@dataclass
class Goal:
    """What is aimed at, what was measured, and whether that is enough."""

    aim: str
    measured: str
    met: bool


@dataclass
class Load:
    """What a load came to: requests per second, quantiles of the latency in seconds."""

    rate: float
    p50: float
    p99: float


def command(who, peer, where):
    """The command of `ours` or the `peer`; `where`: a socket's path, or a port."""
    where = ["--port" if isinstance(where, int) else "--uds", where]
    if who == "ours":
        return [SERVER, *where, "--workers", WORKERS, "--log-level", "error"]
    options = ["--workers", WORKERS, "--loop", "uvloop", "--http", "httptools"]
    options += ["--no-access-log", "--log-level", "error"]
    return [peer, "-m", "uvicorn", "peer:app", "--app-dir", HERE, *where, *options]


@contextlib.contextmanager
def running(arguments, folder, **environment):
    """A process, and its end. Its log, which holds all audited events, is in the folder."""
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


def says_hello(address):
    """Whether a server answers there."""
    client = connection(address)
    try:
        client.request("GET", "/auth/hello")
        return client.getresponse().read() == HELLO
    except OSError:
        return False
    finally:
        client.close()


def family(process):
    """The process ids of a process and all that it started."""
    found, waiting = [], [process.pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            waiting += (task / "children").read_text().split()
    return found


def kilobytes(file, field):
    """A field of a file below /proc, in bytes."""
    text = Path(file).read_text()
    return 1024 * int(re.search(rf"^{field}:\s+(\d+)", text, re.MULTILINE)[1])


def memory(process):
    """Proportional set size of a process and its children, in bytes."""
    return sum(kilobytes(f"/proc/{pid}/smaps_rollup", "Pss") for pid in family(process))


def most_memory(process):
    """The largest resident sets that a process and its children ever had, in bytes."""
    return sum(kilobytes(f"/proc/{pid}/status", "VmHWM") for pid in family(process))


def load(port, path, shim=None, socket=None, method="GET", bodies=None, length=None):
    """One round of requests to a port; or with a `shim`, which carries wrk there, to a Unix socket.
    `bodies`: a file with the bodies; `length`: of each answer, in bytes.

    Fails when a request did, or an answer was shorter or longer."""
    command = ["wrk", "-t2", f"-c{CLIENTS}", f"-d{SECONDS}s", "-s", HERE / "load.lua"]
    command.append(f"http://127.0.0.1:{port}{path}")
    if bodies:
        command += ["--", method, bodies]
    environment = {"LD_PRELOAD": shim, "UNIX_SOCKET": socket} if shim else {}
    result = subprocess.run(
        command, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    )
    sums = json.loads(result.stdout.splitlines()[-1])
    assert sums["failed"] == 0 and sums["requests"] > 0, result.stdout
    if length:
        # Each connection was cut in one answer at most.
        assert abs(sums["bytes"] - length * sums["requests"]) <= length * CLIENTS, sums
    return Load(sums["requests"] / sums["seconds"], sums["p50"], sums["p99"])


def medians(rounds):
    """The medians of the loads of each case."""
    return {
        case: Load(
            statistics.median(each.rate for each in loads),
            statistics.median(each.p50 for each in loads),
            statistics.median(each.p99 for each in loads),
        )
        for case, loads in rounds.items()
    }
