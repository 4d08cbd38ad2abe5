"""A login of somebody from the lab's directory, a slapd of this machine, beside one of a local user; the
memory of the second process; and the size of its binary for the robot."""

import statistics
import time

from goal import Goal
from instructions import ROBOTS
from servers import ROOT, command, memory, running, says_hello

import certificates
import slapd
from api import PASSWORD, Api
from support import wait_for

# Logins of each kind.
LOGINS = 40
# Of the stripped aarch64 binary, in MB.
LARGEST = 2.5
PROCESS = ROOT / "target/release/opentrons-auth-directory"
ROBOTS_PROCESS = ROBOTS.with_name(PROCESS.name)
# Usernames: of a local user, and of somebody in slapd.SAMPLE.
LOCAL, OF_DIRECTORY = "bob", "ada"


def configuration(server, authority):
    """Returns the configuration of a directory."""
    return {
        "kind": "ldap",
        "servers": [server.ldaps],
        "ca": authority.pem,
        "base": slapd.PEOPLE,
        "userFilter": "(uid={name})",
        "bindName": slapd.ROBOT,
        "bindPassword": slapd.ROBOT_PASSWORD,
        "adminGroups": [slapd.ADMINS],
    }


def logins(api):
    """Returns the durations of logins by username, in seconds; the kinds take turns."""
    taken = {LOCAL: [], OF_DIRECTORY: []}
    for _ in range(LOGINS):
        for username, durations in taken.items():
            begun = time.perf_counter()
            api.login(username, PASSWORD)
            durations.append(time.perf_counter() - begun)
    return taken


def measure(peer, folder):
    """Returns the durations of logins, the memory of the second process before and after them, and the
    size of its binary, in bytes."""
    folder = folder / "directory"
    folder.mkdir()
    authority = certificates.Authority(folder)
    server = slapd.Slapd(folder, authority.issue("localhost"), slapd.SAMPLE)
    asked, socket = folder / "directory.sock", folder / "auth.sock"
    ours = [*command("ours", peer, socket, folder / "state"), "--directory-uds", asked]
    try:
        server.create().start()
        with running([PROCESS, "--uds", asked], folder) as process, running(ours, folder):
            wait_for(lambda: asked.exists() and says_hello(socket), "both processes answer")
            before = memory(process)
            api = Api(socket)
            api.create(LOCAL)
            answer = api.request("PUT", "/auth/directory", configuration(server, authority))
            assert answer.status == 200, answer.body
            api.login(OF_DIRECTORY)
            print("directory: logins", flush=True)
            taken = logins(api)
            used = before, memory(process)
    finally:
        server.kill()
    return {"logins": taken, "memory": used, "binary": ROBOTS_PROCESS.stat().st_size}


def goals(figures):
    size = figures["binary"] / 1e6
    return [
        Goal(
            f"stripped aarch64 binary of the second process at most {LARGEST} MB",
            f"{size:.2f} MB",
            size <= LARGEST,
        )
    ]


def table(figures):
    """Returns the results in Markdown."""
    rows = {
        "login of a local user, median": figures["logins"][LOCAL],
        "login through the directory, median": figures["logins"][OF_DIRECTORY],
    }
    lines = ["| the lab's directory, a slapd of the same machine, with TLS | |", "|---|---|"]
    lines += [
        f"| {name} | {1000 * statistics.median(taken):.1f} ms |" for name, taken in rows.items()
    ]
    before, after = (f"{used / 1e6:.1f} MB" for used in figures["memory"])
    lines += [
        f"| memory of the second process (PSS), idle | {before} |",
        f"| memory of the second process (PSS), after {LOGINS} logins | {after} |",
        f"| its stripped aarch64 binary | {figures['binary'] / 1e6:.2f} MB |",
    ]
    return "\n".join(lines)
