"""Full and read-only disks, and damaged or foreign database files."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest

from api import Api, error_of
from support import BINARY, ENVIRONMENT, PATIENCE, run, wait_for

DATABASE = "auth-server.sqlite"
root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system for the state."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "state", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def reads_go_on(api, token):
    assert api.active(token)
    assert api.get("/auth/settings").status == 200
    assert api.user("ada")["username"] == "ada"
    assert api.get("/auth/hello").status == 200


def writes_fail(api, server):
    """Checks that each write fails with a clear error and changes nothing."""
    before = api.get("/auth/users").json
    lines = len(server.log.splitlines())
    assert error_of(api.update("ada", fullName="New")) == (500, "internalError")
    assert error_of(api.patch("/auth/settings", {"idleLogout": 1})) == (500, "internalError")
    # If a failed login cannot be counted, the response does not reveal that the password is wrong.
    assert error_of(api.try_login("ada", "wrong-password")) == (500, "internalError")
    assert error_of(api.try_login("ada")) == (500, "internalError")
    assert api.get("/auth/users").json == before
    said = "\n".join(server.log.splitlines()[lines:])
    assert "ERROR" in said and "cannot write the database" in said and DATABASE in said
    return said


def writes_work_again(api):
    """Checks that writes succeed again without a restart."""
    assert api.update("ada", fullName="Later").status == 200
    assert api.login("ada")
    remaining = api.try_login("ada", "wrong-password").json["opentrons_login_attempts_remaining"]
    assert remaining == 4


@root
def test_full_disk(start, mounted):
    server, api = start(state=mounted / "state")
    api.create("ada")
    token = api.login("ada")["access_token"]
    fill = mounted / "fill"
    with open(fill, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    # Writes that fit into the existing file of the write-ahead log still succeed.
    number = 0
    while api.update("ada", fullName=f"{number} {'x' * 200}").status == 200:
        number += 1
    reads_go_on(api, token)
    assert "full" in writes_fail(api, server)
    reads_go_on(api, token)
    fill.unlink()
    writes_work_again(api)
    assert run("audit", "verify", "--persistence-directory", mounted / "state").returncode == 0


def remount(disk, mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", disk], check=True)


@root
def test_read_only_disk_is_named_at_the_start_and_loses_nothing(start, mounted):
    state = mounted / "state"
    server, api = start(state=state)
    api.create("ada")
    server.stop()
    remount(mounted, "ro")
    done = run("--persistence-directory", state)
    assert done.returncode == 1
    assert f"cannot use the state directory {state}: Read-only file system" in done.stderr
    remount(mounted, "rw")
    _, api = start(state=state)
    assert api.login("ada")


@root
def test_folder_that_becomes_read_only_does_not_stop_the_service(serve, tmp_path):
    """Runs as an unprivileged user, because permissions do not restrict root."""
    nobody = 65534
    home = Path(tempfile.mkdtemp(prefix="auth-"))
    state = home / "state"
    state.mkdir()
    for path in (home, state):
        os.chown(path, nobody, nobody)
    path = home / "auth.sock"
    command = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", BINARY]
    command += ["--uds", path, "--persistence-directory", state]
    binary = shutil.copy(BINARY, home / "server")
    command[4] = binary
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE)
    try:
        wait_for(path.exists, "the server listens")
        api = Api(path)
        api.create("ada")
        token = api.login("ada")["access_token"]
        state.chmod(0o500)
        reads_go_on(api, token)
        writes_work_again(api)
        process.terminate()
        assert process.wait(PATIENCE) == 0
        refused = subprocess.run(
            command, env=ENVIRONMENT, check=False, capture_output=True, text=True
        )
        assert refused.returncode == 1
        assert f"cannot use the state directory {state}: Permission denied" in refused.stderr
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        shutil.rmtree(home)


@pytest.fixture
def stopped(start, tmp_path):
    """The database of a stopped server."""
    server, api = start()
    api.create("ada", "admin")
    api.enable_access_control()
    server.stop()
    return tmp_path / "state" / DATABASE


def refusal(path):
    """Returns the message of a server that refuses to start; checks that the file is unchanged."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    done = run("--persistence-directory", path.parent)
    assert done.returncode == 1
    after = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    kept = {name for name in before if not name.endswith("-shm")}
    assert {name: after.get(name) for name in kept} == {name: before[name] for name in kept}
    return done.stderr.splitlines()[-1]


def overwrite(path, start, length, byte=b"\xa5"):
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(byte * length)


@pytest.mark.parametrize("where", ["header", "schema", "pages", "all"])
def test_damaged_database_is_named_and_left_alone(stopped, where):
    size = stopped.stat().st_size
    begin, length = {
        "header": (0, 16),
        "schema": (110, 3000),
        "pages": (4096, size - 4096),
        "all": (0, size),
    }[where]
    overwrite(stopped, begin, length)
    said = refusal(stopped)
    assert str(stopped) in said and ("damaged" in said or "not a database" in said)


def test_truncated_database_is_damaged(stopped):
    os.truncate(stopped, stopped.stat().st_size // 2)
    assert "is damaged" in refusal(stopped)


def test_empty_database_is_damaged(stopped):
    os.truncate(stopped, 0)
    said = refusal(stopped)
    assert str(stopped) in said and "the file is empty" in said


def test_log_without_its_database_is_damaged(stopped):
    stopped.with_name(DATABASE + "-wal").write_bytes(b"x")
    stopped.unlink()
    assert "the file is missing" in refusal(stopped)


def test_other_programs_database_is_refused(tmp_path):
    path = tmp_path / "state" / DATABASE
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (x)")
    database.close()
    assert "is not a database of the auth server" in refusal(path)


def test_newer_database_is_refused(stopped):
    with sqlite3.connect(stopped) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    said = refusal(stopped)
    assert str(stopped) in said and "has version 99, but this program supports only up to 5" in said


def test_leftovers_of_an_interrupted_start_are_no_harm(start, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / (DATABASE + ".new")).write_bytes(b"half")
    (state / (DATABASE + ".new-wal")).write_bytes(b"half")
    _, api = start()
    assert api.create("ada")


def test_database_is_closed_to_others(start, tmp_path):
    _, api = start()
    api.create("ada")
    paths = {path.name: path for path in (tmp_path / "state").iterdir()}
    assert {DATABASE, f"{DATABASE}-wal", "lock", "control.sock"} <= set(paths)
    for name, path in paths.items():
        assert path.stat().st_mode & 0o077 == 0, name


def test_second_server_in_the_same_folder_is_refused(start, tmp_path):
    start()
    done = run("--persistence-directory", tmp_path / "state")
    assert done.returncode == 1 and "another process is using it" in done.stderr


def test_restored_folder_serves(stopped, tmp_path, serve):
    """The directory is a copy, as in a backup of the whole disk."""
    copy = tmp_path / "copy"
    shutil.copytree(stopped.parent, copy)
    path = tmp_path / "copy.sock"
    serve("--uds", path, "--persistence-directory", copy).wait_ready()
    assert Api(path).login("ada")
