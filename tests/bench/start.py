"""The start of the server, with existing state as at every boot, compared with the Python peer; and
the size of the robot's binary."""

import time

import instructions
from goal import Goal
from instructions import ROBOTS
from servers import command, running, says_hello

STARTS = 10
MIB = 1 << 20
# Of the stripped aarch64 binary, in MiB.
LARGEST = 4.25


def first_answer(who, peer, folder):
    """Returns the seconds from the start of a server to its first response."""
    socket = folder / "start.sock"
    socket.unlink(missing_ok=True)
    arguments = command(who, peer, socket, folder / f"start-{who}-state")
    begun = time.perf_counter()
    with running(arguments, folder) as process:
        while not says_hello(socket):
            assert process.poll() is None
        return time.perf_counter() - begun


def measure(peer, folder):
    """Returns the seconds of a start by server, the binary's bytes and the instructions by request."""
    starts = {"ours": [], "peer": []}
    for who in starts:
        first_answer(who, peer, folder)
    for number in range(STARTS):
        for who, taken in starts.items():
            taken.append(first_answer(who, peer, folder))
        print(f"start: {number + 1} of {STARTS}", flush=True)
    return {
        # Other work on the machine only slows a start.
        "start": {who: min(taken) for who, taken in starts.items()},
        "binary": ROBOTS.stat().st_size,
        "instructions": instructions.measure(folder),
    }


def goals(figures):
    ratio = figures["start"]["peer"] / figures["start"]["ours"]
    size = figures["binary"] / MIB
    return [
        Goal("start at most 1/50 of the Python peer's", f"1/{ratio:.0f}", ratio >= 50),
        Goal(f"stripped aarch64 binary at most {LARGEST} MiB", f"{size:.2f} MiB", size <= LARGEST),
    ]


def table(figures):
    """Returns the results in Markdown."""
    start = {who: f"{1000 * seconds:.1f} ms" for who, seconds in figures["start"].items()}
    lines = [
        "| | ours | Python peer |",
        "|---|---|---|",
        f"| start to first answer | {start['ours']} | {start['peer']} |",
        f"| stripped aarch64 binary | {figures['binary'] / MIB:.2f} MiB | |",
        "",
        "| request, by one client under QEMU | aarch64 instructions |",
        "|---|---|",
    ]
    lines += [f"| {name} | {count:,} |" for name, count in figures["instructions"].items()]
    return "\n".join(lines)
