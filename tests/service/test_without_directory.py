"""A robot without the lab's directory does nothing for it."""

import re
import shutil
import sqlite3
import subprocess

import pytest

from api import SELF
from support import DATABASE, wait_for

# Calls that make something to ask a directory by, or beside: sockets, threads, timers, files.
NEW = "socket,socketpair,connect,clone,clone3,fork,vfork,timerfd_create,open,openat,eventfd2,pipe2"


@pytest.fixture
def robot(start):
    """A server with the users `root` and `ada`, and its API."""
    server, api = start()
    api.create("root", "admin")
    api.create("ada")
    server.stop()
    return start()


def use(api):
    """Logs in, fails to, and uses a session."""
    assert api.try_login("nobody", "wrong").status == 400
    assert api.try_login("ada", "wrong").status == 400
    tokens = api.login("ada")
    assert api.active(tokens["access_token"])
    assert api.get(SELF, tokens["access_token"]).status == 200
    tokens = api.refresh(tokens["refresh_token"]).json
    assert api.get("/auth/users").status == 200
    assert api.revoke(tokens["access_token"]).status == 200


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_nobody_is_asked_and_nothing_is_begun(robot, tmp_path):
    server, api = robot
    use(api)  # What is made at the first use of all is there from now on.
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-p", str(server.process.pid), "-e", f"trace={NEW},accept4"]
    with open(tmp_path / "strace", "wb") as said:
        strace = subprocess.Popen([*command, "-o", trace], stderr=said)
    try:
        said = tmp_path / "strace"
        wait_for(lambda: strace.poll() or "attached" in said.read_text(), "strace")
        if strace.poll():
            pytest.skip(f"strace may not trace the server: {said.read_text()}")
        use(api)
        # The end of the last connection's request was traced, too: the next one was accepted.
        assert api.get("/auth/hello").status == 200
        wait_for(lambda: trace.read_text().count("accept4(") > 8, "the requests in the trace")
    finally:
        strace.terminate()
        strace.wait()
    calls = re.findall(r"^\d+ +(\w+)\((.*)", trace.read_text(), re.MULTILINE)
    assert [call for call in calls if call[0] != "accept4"] == []


def pages_written(state):
    """Returns the numbers of the pages in the write-ahead log (https://sqlite.org/fileformat2.html,
    section 4.1)."""
    log = (state / f"{DATABASE}-wal").read_bytes()
    size = int.from_bytes(log[8:12], "big")
    salt = log[16:24]
    frames = [log[at : at + 24] for at in range(32, len(log), 24 + size)]
    return {int.from_bytes(frame[:4], "big") for frame in frames if frame[8:16] == salt}


def test_change_of_a_local_user_writes_nothing_for_the_directory(robot, tmp_path):
    _, api = robot
    assert api.try_login("ada", "wrong").status == 400
    state = tmp_path / "state"
    written = pages_written(state)
    with sqlite3.connect(f"file:{state / DATABASE}?mode=ro", uri=True) as database:
        pages = dict(database.execute("SELECT name, rootpage FROM sqlite_schema"))
    database.close()
    assert pages["user"] in written
    assert not {pages["directory"], pages["user_directory"]} & written
