"""Factory resets, and state that is removed while the service is running."""

import os
import shutil
import subprocess

import pytest

from api import Api
from python_state import lay
from support import request, run

DATABASE = "auth-server.sqlite"
MARKER = "_TO_BE_DELETED_ON_REBOOT"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def is_on(api):
    return api.get("/auth/settings/accessControlEnabled").json["data"]["accessControlEnabled"]


# Reset at the next start.


def test_reset_removes_all_and_begins_anew(start, state):
    lay(state)
    server, api = start()
    assert is_on(api)
    server.stop()
    (state / MARKER).touch()
    (state / "more/deeper").mkdir(parents=True)
    (state / "more/deeper/file").write_text("x")
    server, api = start()
    assert not is_on(api) and api.get("/auth/users").json["data"] == []
    [line] = [line for line in server.log.splitlines() if "WARN" in line]
    assert str(state) in line and MARKER in line and "imported" not in server.log
    server.stop()
    assert {path.name for path in state.iterdir()} == {"lock", "reserve", DATABASE}


def test_reset_of_state_that_only_the_python_server_had(start, state):
    lay(state)
    (state / MARKER).touch()
    _, api = start()
    assert not is_on(api) and api.get("/auth/users").json["data"] == []
    assert not list(state.glob("1_*"))


def test_reset_does_not_follow_links(start, state, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    lay(state)
    (state / "link").symlink_to(kept)
    (state / "1_c3a91d4e2b70/link").symlink_to(kept)
    (state / MARKER).symlink_to(kept / "file")
    start()
    assert (kept / "file").read_text() == "kept"
    assert not list(state.glob("*link")) and not (state / MARKER).is_symlink()


def test_reset_that_cannot_be_done_is_no_start(state):
    """An incomplete reset must not look complete, so the file that requests it is removed last."""
    lay(state)
    (state / MARKER).touch()
    stuck = state / "stuck"
    stuck.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "stuck", stuck], check=False)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        done = run("--persistence-directory", state)
        assert done.returncode == 1 and f"requested by {MARKER}: {stuck}" in done.stderr
        assert (state / MARKER).exists() and not (state / DATABASE).exists()
    finally:
        subprocess.run(["umount", "--lazy", stuck], check=True)


def test_reset_that_was_cut_off_goes_on(start, state):
    """Part of the state is removed already, but the file that requests the reset still exists."""
    lay(state)
    (state / MARKER).touch()
    shutil.rmtree(state / "1_b8c4e2f1a903")
    _, api = start()
    assert not is_on(api) and not list(state.glob("1_*"))


# State that is removed while the service is running.


def empty(state):
    for path in state.iterdir():
        path.unlink()


def replace_database(state):
    copy = shutil.copy(state / DATABASE, state / "copy")
    os.rename(copy, state / DATABASE)


def replace_folder(state):
    state.rename(state.with_name("moved"))
    shutil.copytree(state.with_name("moved"), state, ignore=lambda *_: ["control.sock"])


TAKEN = {
    "folder": shutil.rmtree,
    "content": empty,
    "database": lambda state: (state / DATABASE).unlink(),
    "log": lambda state: (state / f"{DATABASE}-wal").unlink(),
    "lock": lambda state: (state / "lock").unlink(),
    "another database": replace_database,
    "another folder": replace_folder,
}


@pytest.mark.parametrize("what", TAKEN)
def test_service_ends_when_its_state_is_taken_away(start, state, what):
    server, api = start()
    api.create("ada", "admin")
    TAKEN[what](state)
    assert server.wait() == 1
    errors = [line for line in server.log.splitlines() if "ERROR" in line]
    assert len(errors) == 1 and str(state) in errors[0] and "is gone" in errors[0]


@pytest.mark.parametrize("what", sorted(set(TAKEN) - {"lock"}))
def test_change_is_not_answered_when_its_state_is_taken_away(start, state, what):
    """Not even the first change, however soon it comes after the removal."""
    server, api = start()
    api.create("ada", "admin")
    TAKEN[what](state)
    with pytest.raises(OSError):
        api.update("ada", fullName="New")
    assert server.wait() == 1
    assert len([line for line in server.log.splitlines() if "ERROR" in line]) == 1


def test_field_reset_with_requests_in_between(serve, state, tmp_path):
    """`rm` removes the directory while the service is running; the service is then restarted as
    systemd does it."""
    path = tmp_path / "auth.sock"
    arguments = ("--uds", path, "--persistence-directory", state)
    server = serve(*arguments).wait_ready()
    api = Api(path)
    api.create("ada", "admin")
    api.enable_access_control()
    shutil.rmtree(state)
    assert server.wait() == 1
    assert not path.exists(), "nobody is asked who does not answer"
    serve(*arguments).wait_ready()
    assert not is_on(api) and api.get("/auth/users").json["data"] == []


def test_console_and_backups_take_nothing_away(start, state, tmp_path):
    """Files that the console creates and removes beside the running service must not make it
    exit."""
    server, api = start()
    api.create("ada", "admin")
    for command in (
        ("backup", tmp_path / "backup"),
        ("audit", "export"),
        ("audit", "verify"),
        ("restore", tmp_path / "backup", "--yes"),
    ):
        assert run(*command, "--persistence-directory", state).returncode == 0
    assert api.update("ada", fullName="New").status == 200
    assert request(api.address, "GET", "/auth/hello").status == 200
    assert server.stop() == 0 and "ERROR" not in server.log
