"""A disk that is attacked until it is full: only administrators can use the space that is reserved for
them, and all is well when there is space again."""

import json
import os
import subprocess
from urllib.parse import quote

import pytest

from api import SELF, error_of
from support import edit_database, run, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

MIB = 1024 * 1024
RESERVE = 2 * MIB
# The longest note that is allowed, which takes 8 kB in each audit event.
NOTE = {"Opentrons-User-Notes": quote("\U0001f9ea" * 2000)}
FULL = "Disk full: only administrators can log in and make changes: free space in"


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request, tmp_path):
    """A disk with 5 MiB for the state, and a file that can be removed to make space."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "state", disk]
    if request.param == "ext4":
        image = tmp_path / "image"
        image.write_bytes(bytes(16 * MIB))
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        mount = ["mount", "-o", "loop", image, disk]
    subprocess.run(mount, check=True)
    found = os.statvfs(disk)
    (disk / "other").write_bytes(bytes(found.f_bavail * found.f_frsize - 5 * MIB))
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def robot(start, disk):
    """A server with two administrators and a user, and access control on."""
    server, api = start(state=disk / "state")
    for name in ("boss", "deputy"):
        api.create(name, "admin")
    api.create("ada")
    api.enable_access_control()
    return server, api


def rename(api, token, number):
    data = {"fullName": f"Ada {number}"}
    return api.request("PATCH", SELF, data, token, headers=NOTE)


def attack(api, token):
    """Causes events until there is no space for more of them."""
    number = 0
    while rename(api, token, number).status == 200:
        number += 1
    assert number > 50
    for again in range(20):
        assert error_of(rename(api, token, again)) == (500, "internalError")


def is_reserved(state):
    """Returns whether the reserve takes its space on the disk."""
    path = state / "reserve"
    return path.exists() and path.stat().st_blocks * 512 >= RESERVE


def fill(disk):
    """Takes all space that is left."""
    with open(disk / "rest", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)


def audit(state):
    done = run("audit", "export", "--persistence-directory", state)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_administrators_can_act_on_a_disk_that_is_attacked_until_it_is_full(robot, disk):
    server, api = robot
    state = disk / "state"
    token = api.login("ada")["access_token"]
    assert is_reserved(state)
    attack(api, token)
    assert is_reserved(state)
    server.wait_message("STATUS", f"{FULL} {state}")
    assert server.log.count(" ERROR ") < 15
    assert f"disk full: only administrators can log in and make changes: free space in {state}" in (
        server.log
    )
    # Over HTTP: logging in, and resetting a password.
    boss = api.login("boss")["access_token"]
    temporary = api.reset("ada", boss)
    # At the console.
    done = run("user", "reset-password", "deputy", "--persistence-directory", state)
    assert done.returncode == 0, done.stderr
    # Nobody else gets the space that was reserved.
    for _ in range(20):
        assert error_of(api.try_login("ada", temporary)) == (500, "internalError")
        assert error_of(api.try_login("nobody", temporary)) == (500, "internalError")
    # It is enough for much to be done.
    for number in range(300):
        assert api.update("ada", boss, fullName=f"Countess {number}").status == 200
    assert api.refresh(api.login("boss")["refresh_token"]).status == 200
    assert error_of(api.try_login("ada", temporary)) == (500, "internalError")
    # Space again.
    (disk / "other").unlink()
    wait_for(lambda: server.next_message().get("STATUS", "").startswith("Serving"), "space")
    assert api.login("ada", temporary)
    assert is_reserved(state)
    assert server.log.count("disk full: ") == 1
    assert "there is space on the disk of" in server.log
    assert run("audit", "verify", "--persistence-directory", state).returncode == 0


def test_failed_logins_count_on_a_full_disk(robot, disk):
    """Else a full disk would give anybody any number of tries at an administrator's password."""
    server, api = robot
    state = disk / "state"
    attack(api, api.login("ada")["access_token"])
    for _ in range(5):
        assert error_of(api.try_login("deputy", "wrong-password")) == (500, "internalError")
    assert error_of(api.try_login("deputy")) == (500, "internalError")
    boss = api.login("boss")["access_token"]
    assert api.user("deputy", boss)["locked"]
    (disk / "other").unlink()
    wait_for(lambda: api.try_login("deputy").status == 400, "there is space")
    assert api.try_login("deputy").json["opentrons_account_locked"]
    # What could not be recorded was counted.
    server.stop()
    said = [row["message"] for row in audit(state)]
    assert "5 further logins were refused within a minute: wrong password." in said


def test_console_and_start_do_with_the_reserve_on_a_disk_without_a_byte_left(robot, disk, start):
    server, _ = robot
    state = disk / "state"
    server.stop()
    fill(disk)
    done = run("user", "reset-password", "boss", "--json", "--persistence-directory", state)
    assert done.returncode == 0, done.stderr
    temporary = json.loads(done.stdout)["temporaryPassword"]
    # What is left of the reserve stays for administrators.
    server, api = start(state=state)
    server.wait_message("STATUS", f"{FULL} {state}")
    assert error_of(api.try_login("ada")) == (500, "internalError")
    assert api.login("boss", temporary)
    (disk / "other").unlink()
    wait_for(lambda: server.next_message().get("STATUS", "").startswith("Serving"), "space")
    assert is_reserved(state)
    assert api.login("boss", temporary)


def test_migration_on_a_full_disk_uses_the_reserve(robot, disk, start):
    server, _ = robot
    state = disk / "state"
    server.stop()
    edit_database(state, "DROP TABLE directory")
    edit_database(state, "DROP INDEX user_directory")
    for column in ("confirmed", "looked_up", "id"):
        edit_database(state, f"ALTER TABLE user DROP COLUMN directory_{column}")
    edit_database(state, "DROP TABLE session_handle")
    edit_database(state, "PRAGMA user_version = 2")
    fill(disk)
    server, api = start(state=state)
    assert api.login("boss")
    assert api.user("ada", api.login("boss")["access_token"])


def test_factory_reset_on_a_full_disk(robot, disk, start):
    server, _ = robot
    state = disk / "state"
    server.stop()
    (state / "_TO_BE_DELETED_ON_REBOOT").touch()
    fill(disk)
    (disk / "rest").unlink()
    server, api = start(state=state)
    assert api.get("/auth/users").json["data"] == []
    assert is_reserved(state)


def test_reserve_is_made_again_if_it_was_removed_or_is_a_sparse_copy(start, tmp_path):
    state = tmp_path / "state"
    server, _ = start(state=state)
    server.stop()
    for change in (
        (state / "reserve").unlink,
        lambda: os.truncate(state / "reserve", 0),
        lambda: (os.truncate(state / "reserve", 0), os.truncate(state / "reserve", RESERVE)),
    ):
        change()
        server, _ = start(state=state)
        assert is_reserved(state)
        assert (state / "reserve").stat().st_mode & 0o777 == 0o600
        server.stop()


def test_link_in_place_of_the_reserve_is_not_followed(start, tmp_path):
    state, other = tmp_path / "state", tmp_path / "other"
    state.mkdir()
    other.write_text("content")
    (state / "reserve").symlink_to(other)
    server, api = start(state=state)
    assert "cannot reserve disk space for administration" in server.log
    assert api.create("ada")
    assert other.read_text() == "content"
