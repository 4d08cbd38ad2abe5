"""Runs the real server behind the real nginx for a time, with honest clients, with attacks, and with
SIGKILL, restarts, steps of the wall clock and a disk that fills and empties: soak.py MINUTES

At the end, checks that no acknowledged change was lost, that no honest request failed except as the
contract allows, that the audit log's hash chain is whole, that the audit server has every event in
order, and that memory and database have stopped growing. Prints figures, and exits with 1 if
something does not hold. Needs root, to mount the small disk in a mount namespace of its own.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

from api import Api
from attacks import Attacks
from honest import USERS, Administrator, User
from robot import Disturbances, Robot
from support import read_database, run, wait_for

# Part of the time at the end in which nothing disturbs the server, but the attacks go on, so that the
# memory of one process can be watched; and the part of that after which it should stay.
QUIET, WARM = 0.4, 0.5
# Maximum growth of memory after that: by this factor, or this many kB.
FACTOR, SLACK = 1.15, 3_000
# Lifetime of tokens, in seconds: short, so that sessions end during the run.
IDLE_LOGOUT = 120
# Time for the audit server to get all events that wait for it, in seconds.
DELIVERY = 120


class Report:
    """Results, printed as they are known."""

    def __init__(self):
        self.failed = 0

    def check(self, name, problems, figures=""):
        problems = list(problems)
        print(f"{'FAILED' if problems else 'ok':6}  {name}{figures and f': {figures}'}")
        for problem in problems[:10]:
            print(f"        {problem}")
        if len(problems) > 10:
            print(f"        and {len(problems) - 10} more")
        self.failed += bool(problems)


def prepare(robot):
    """Creates the accounts, and turns access control on."""
    api = Api(robot.address)
    api.create("boss", "admin")
    api.create("second", "admin")
    for name in ("victim", "loop", *(f"person{number}" for number in range(USERS))):
        api.create(name)
    api.settings(idleLogout=IDLE_LOGOUT)
    token = api.login("boss")["access_token"]
    api.enable_access_control(token)


def watch(robot, seconds):
    """Returns the memory of the server and the size of its database, once a second."""
    samples = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        samples.append((robot.memory(), robot.database_size()))
        time.sleep(1)
    return samples


def growth(samples):
    """Returns the most memory in the first and in the second half of samples."""
    memory = [memory for memory, _ in samples]
    half = len(memory) // 2
    return max(memory[:half]), max(memory[half:])


def lost_changes(api, administrator):
    """Yields the acknowledged changes that are not there."""
    token = api.login("second")["access_token"]
    users = api.get("/auth/users", token).json["data"]
    found = {user["username"]: user["fullName"] for user in users}
    for name, full in administrator.accounts.items():
        if name not in administrator.unknown and found.get(name) != full:
            yield f"{name}: {found.get(name)!r} in place of {full!r}"


def events(state):
    rows = read_database(
        state,
        "SELECT action, account_name, legal_name, message, reason FROM audit_log ORDER BY seq",
    )
    names = "action", "accountName", "legalName", "message", "reason"
    return [dict(zip(names, row, strict=True)) for row in rows]


def delivered_wrongly(rows, sent):
    """Yields what is wrong with the events that the audit server was sent. After a SIGKILL, events
    that it has may be sent again, from one of them on."""
    at = 0
    for number, event in enumerate(sent):
        again = next((n for n in range(at - 1, max(at - 200, -1), -1) if rows[n] == event), None)
        if at < len(rows) and rows[at] == event:
            at += 1
        elif again is not None:
            at = again + 1
        else:
            yield f"event {number} is out of order: {event}"
            return
    if at < len(rows):
        yield f"{len(rows) - at} events are missing, the first is {rows[at]}"


def not_logged(rows, created):
    """Yields the accounts whose acknowledged creation is not in the audit log."""
    text = "\n".join(row["message"] for row in rows)
    return (name for name in created if not re.search(rf"\b{name}\b", text))


def soak(robot, minutes, report):
    seconds = minutes * 60
    prepare(robot)
    faults = []
    clients = [User(robot, number, faults, f"person{number}") for number in range(USERS)]
    administrator = Administrator(robot, USERS, faults, "second")
    clients.append(administrator)
    attacks, disturbances = Attacks(robot), Disturbances(robot)
    try:
        for part in (*clients, attacks, disturbances):
            part.start()
        end = time.monotonic() + seconds * (1 - QUIET)
        while time.monotonic() < end and not disturbances.error:
            time.sleep(0.2)
        disturbances.finish()
        watch(robot, seconds * QUIET * WARM)
        samples = watch(robot, seconds * QUIET * (1 - WARM))
    finally:
        for part in (disturbances, attacks, *clients):
            part.stopped.set()
    attacks.finish()
    for client in clients:
        client.finish()

    total = {}
    for client in clients:
        for name, count in client.count.items():
            total[name] = total.get(name, 0) + count
    for name, count in (("disturbances", disturbances.count), ("attacks", attacks.count)):
        print(f"        {name}: " + ", ".join(f"{kind} {n}" for kind, n in count.items()))
    figures = ", ".join(f"{name} {n}" for name, n in total.items())
    report.check("no honest request failed", faults, figures)
    done = len(administrator.accounts)
    lost = lost_changes(Api(robot.address), administrator)
    report.check("no acknowledged change is lost", lost, f"{done} accounts created")
    before, after = growth(samples)
    grown = (
        [f"{before} kB, then {after} kB"] if after > max(before * FACTOR, before + SLACK) else []
    )
    peak = robot.memory("VmHWM")
    figures = f"{before} kB, then {after} kB (x {after / before:.2f}), at most {peak} kB"
    report.check("memory is flat", grown, figures)
    print(f"        database: {samples[0][1]} kB, then {samples[-1][1]} kB")

    def is_delivered():
        [(last, delivered)] = read_database(
            robot.state, "SELECT last_seq, delivered FROM audit_state"
        )
        return last == delivered

    # The last events are written when the server stops, and sent when it starts again.
    robot.restart()
    wait_for(is_delivered, "all events are delivered", DELIVERY)
    robot.server.kill()
    rows, sent = events(robot.state), robot.audit_server.events
    report.check(
        "the audit server has every event in order",
        delivered_wrongly(rows, sent),
        f"{len(rows)} events, {len(sent) - len(rows)} of them twice",
    )
    report.check(
        "every acknowledged creation is in the audit log", not_logged(rows, administrator.created)
    )
    verified = run("audit", "verify", "--persistence-directory", robot.state)
    problems = [verified.stderr] if verified.returncode else []
    report.check("the hash chain is whole", problems, verified.stdout.strip())
    panics = [
        line
        for path in robot.logs
        for line in path.read_text(errors="replace").splitlines()
        if "panic" in line
    ]
    report.check("nothing panicked", panics)


def main():
    if os.geteuid() != 0:
        sys.exit("soak: needs root, to mount a small disk in a mount namespace of its own")
    if "SOAK_NAMESPACE" not in os.environ:
        os.environ["SOAK_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    report = Report()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        robot = Robot(Path(folder)).start()
        try:
            soak(robot, float(sys.argv[1]), report)
        finally:
            robot.close()
    print(f"soak: {f'{report.failed} checks failed' if report.failed else 'all checks passed'}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
