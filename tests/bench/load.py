"""Load by wrk, on a port or a Unix socket."""

import json
import os
import statistics
import subprocess
from dataclasses import dataclass

from servers import HERE

CLIENTS = 32
ROUNDS = 5
SECONDS = 3


@dataclass
class Load:
    """What a load came to: requests per second, quantiles of the latency in seconds."""

    rate: float
    p50: float
    p99: float


def load(where, path, shim=None, method="GET", bodies=None, length=None):
    """One round of requests to a port; or with a `shim`, which carries wrk there, to a Unix socket.
    `shim`: unix.c, compiled; `bodies`: a file with the bodies; `length`: of each answer, in bytes.

    Fails when a request did, or an answer was shorter or longer."""
    command = ["wrk", "-t2", f"-c{CLIENTS}", f"-d{SECONDS}s", "-s", HERE / "load.lua"]
    # With the shim, the port is only what wrk believes that it connects to.
    command.append(f"http://127.0.0.1:{80 if shim else where}{path}")
    if bodies:
        command += ["--", method, bodies]
    environment = {"LD_PRELOAD": shim, "UNIX_SOCKET": where} if shim else {}
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
