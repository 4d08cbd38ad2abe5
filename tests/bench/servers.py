"""Processes of the measured servers: ours and its Python peer."""

import contextlib
import os
import re
import subprocess
from pathlib import Path

from python_state import edit, lay, newest
from support import PATIENCE, connection, wait_for

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SERVER = ROOT / "target/release/opentrons-auth-server"
# Threads of ours. The peer is one process, as the Python server is.
WORKERS = 2
HELLO = b'{"message":"hello world"}'
# Syncing many changes to a disk takes long: state whose changes are not measured is kept in memory if
# possible.
MEMORY = Path("/dev/shm")
# Seconds that tokens are valid, longer than the measurements take.
LIFETIME = 86_400


def command(who, peer, where, state, *options):
    """Returns the command line of `ours` or the `peer`. `where`: the path of a socket, or a port;
    `state`: the state directory; `options`: further ones of the peer."""
    where = ["--port" if isinstance(where, int) else "--uds", where]
    if who == "ours":
        state = ["--persistence-directory", state]
        return [SERVER, *where, *state, "--workers", WORKERS, "--log-level", "error"]
    return [peer, HERE / "peer.py", *where, "--database", peers_database(state), *options]


def in_memory(folder):
    """Returns a directory for state in memory, or the folder if that is not possible."""
    return str(MEMORY if os.access(MEMORY, os.W_OK) else folder)


def peers_database(state):
    """Returns the database in a state directory of the Python server, which is created if it does
    not exist: a sample, with access control off and a user that need not change the password."""
    if not state.exists():
        edit(
            lay(state),
            "UPDATE access_control_enabled SET enabled = 0",
            "UPDATE user SET reset_password = 0, temporary_hashed_password = NULL",
            "DELETE FROM setting WHERE key = 'passwordResetTime'",
            ("UPDATE setting SET value = ? WHERE key = 'idleLogout'", (str(LIFETIME),)),
        )
    return newest(state)


@contextlib.contextmanager
def running(arguments, folder):
    """Runs a process and ends it. Its log, which contains all audit events, is in the directory."""
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(
            [str(part) for part in arguments],
            env={"PATH": os.environ["PATH"], "TMPDIR": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextlib.contextmanager
def serving(who, peer, folder, name, *options):
    """Starts a server with state of its own, waits until it responds, and yields the process and
    its socket. `options`: further ones of the peer."""
    socket = folder / f"{name}.sock"
    arguments = command(who, peer, socket, folder / f"{name}-state", *options)
    with running(arguments, folder) as process:
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
