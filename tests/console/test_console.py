"""The console commands, while the service is running and while it is not."""

import json
import os
import pty
import re
import subprocess

import pytest

from api import PASSWORD, Api
from examples import DIRECTORY
from robot_console import Robot
from support import BINARY, ENVIRONMENT, PATIENCE, commands_of_section, edit_database, run

NAME = "opentrons-auth-server"


def test_user_list(robot):
    done = robot.console("user", "list")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][0] == "USERNAME"
    assert lines[1][0] == "ada" and "admin" in lines[1]
    users = robot.json("user", "list")
    assert [user["username"] for user in users] == ["ada", "bob"]
    assert users[0]["accountType"] == "admin"


def test_options_of_the_console_may_stand_before_or_after_the_command(robot):
    state = ("--persistence-directory", robot.state)
    for given in (
        ("--json", *state, "user", "list"),
        ("user", "--json", *state, "list"),
        ("user", "list", *state, "--json"),
    ):
        done = run(*given)
        assert done.returncode == 0, done.stderr
        assert [user["username"] for user in json.loads(done.stdout)] == ["ada", "bob"]


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (["--uds", "x", "user", "list"], "--uds cannot be used with this command"),
        (["man", "--json"], "--json cannot be used with this command"),
        (["--json"], "--json needs a command"),
    ],
)
def test_options_that_mean_nothing_for_a_command_are_refused(given, refused):
    done = run(*given)
    assert done.returncode == 2 and refused in done.stderr
    assert "Usage" not in done.stderr


def test_user_add(robot):
    user = robot.json("user", "add", "eve", "--full-name", "Eve", "--account-type", "auditor")
    assert (user["username"], user["resetPasswordReason"]) == ("eve", "FIRST_TIME_LOGIN")
    assert len(user["temporaryPassword"]) >= 8
    done = robot.console("user", "add", "eve", "--full-name", "Eve")
    assert done.returncode == 4
    assert done.stderr == 'error: User "eve" already exists.\n'


def test_password_comes_from_standard_input(robot):
    user = robot.json("user", "add", "eve", "--full-name", "Eve", "--password", input="given-one\n")
    assert user["resetPassword"] is False and "temporaryPassword" not in user
    done = robot.console("user", "reset-password", "eve", "--password", input="short\n")
    assert done.returncode == 4 and "at least 8" in done.stderr
    assert (
        robot.console("user", "add", "x", "--full-name", "X", "--password=secret").returncode == 2
    )


def test_reset_password_and_unlock(robot):
    user = robot.json("user", "reset-password", "bob")
    assert user["resetPasswordReason"] == "ADMIN_FORCED" and user["temporaryPassword"]
    user = robot.json("user", "reset-password", "bob", "--password", input="given-one\n")
    assert user["resetPassword"] is False
    assert robot.json("user", "unlock", "bob")["locked"] is False
    assert robot.console("user", "unlock", "nobody").returncode == 3


def test_delete_asks(robot):
    done = robot.console("user", "delete", "bob", stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "--yes" in done.stderr
    assert len(robot.json("user", "list")) == 2
    assert robot.json("user", "delete", "bob", "--yes") == {}
    assert len(robot.json("user", "list")) == 1


def test_service_account_is_deleted_whether_access_control_is_on_or_off(robot):
    """Over HTTP this is refused while access control is on. The console is for emergencies."""
    add = ("user", "add", "robot", "--full-name", "x", "--account-type", "service")
    assert robot.json(*add)["fullName"] == "Service Account"
    assert robot.json("user", "delete", "robot", "--yes") == {}
    robot.json(*add)
    assert robot.json("access-control", "enable", "--yes") == {"accessControlEnabled": True}
    assert robot.json("user", "delete", "robot", "--yes") == {}
    assert [user["username"] for user in robot.json("user", "list")] == ["ada", "bob"]


def test_password_previously_used_is_refused_at_the_console(robot):
    given = ("user", "reset-password", "bob", "--password")
    done = robot.console(*given, input=f"{PASSWORD}\n")
    assert done.returncode == 4 and "current" in done.stderr
    assert robot.json(*given, input="given-one\n")["resetPassword"] is False


def test_full_name_and_username_rules_hold_at_the_console(robot):
    for name, full_name in (("eve", "E\u202eve"), ("..", "Eve"), ("a`b", "Eve"), ("ADA", "Eve")):
        done = robot.console("user", "add", name, "--full-name", full_name)
        assert done.returncode == 4 and done.stderr.startswith("error: "), (name, done.stderr)
    assert robot.json("user", "add", "eve", "--full-name", " Eve ")["fullName"] == "Eve"


def test_username_belongs_to_a_person_at_the_console_too(robot):
    robot.console("access-control", "enable", "--yes")
    robot.console("user", "delete", "bob", "--yes")
    done = robot.console("user", "add", "bob", "--full-name", "Another")
    assert done.returncode == 4 and "bob" in done.stderr
    assert robot.json("user", "add", "bob", "--full-name", "bob X")["username"] == "bob"


def test_access_control(robot):
    assert robot.json("access-control", "status") == {"accessControlEnabled": False}
    assert robot.json("access-control", "enable", "--yes") == {"accessControlEnabled": True}
    done = robot.console("access-control", "disable", stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert robot.console("access-control", "status").stdout == "access control is on\n"
    done = robot.console("user", "delete", "ada", "--yes")
    assert done.returncode == 4 and "at least one administrator" in done.stderr
    assert robot.json("access-control", "disable", "--yes") == {"accessControlEnabled": False}


def test_enabling_access_control_lists_accounts_and_asks(robot):
    """Anyone could prepare accounts and sessions while access control was off."""
    add = ("user", "add", "planted", "--full-name", "x", "--account-type", "service")
    robot.console(*add)
    token = robot.api.login("bob")["access_token"] if robot.server.process.poll() is None else None
    done = robot.console("access-control", "enable", stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and done.stdout == "" and "--yes" in done.stderr
    rows = [line.split() for line in done.stderr.splitlines()]
    assert rows[0] == ["USERNAME", "FULL", "NAME", "TYPE", "SESSIONS"]
    sessions = "1" if token else "0"
    assert [(row[0], *row[-2:]) for row in rows[1:4]] == [
        ("ada", "admin", "0"),
        ("bob", "user", sessions),
        ("planted", "service", "0"),
    ]
    assert f"All sessions end ({sessions} now)" in done.stderr
    assert robot.json("access-control", "status") == {"accessControlEnabled": False}
    if token:
        assert robot.api.active(token)
    done = robot.console("access-control", "enable", "--yes")
    assert done.returncode == 0 and done.stdout == "access control is on\n"
    assert "planted" in done.stderr
    if token:
        assert not robot.api.active(token)


def test_terminal_is_asked_before_access_control_is_enabled(robot):
    for answer, is_on in (("n", False), ("y", True)):
        parent, child = pty.openpty()
        process = subprocess.Popen(
            [BINARY, "access-control", "enable", "--persistence-directory", robot.state],
            stdin=child,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
        )
        os.write(parent, f"{answer}\n".encode())
        _, said = process.communicate(timeout=PATIENCE)
        os.close(parent)
        os.close(child)
        assert "Turn access control on? [y/N]" in said
        assert (process.returncode == 0) is is_on
        assert robot.json("access-control", "status") == {"accessControlEnabled": is_on}


def test_commands_are_audited_with_the_invoking_user(robot, tmp_path):
    robot.console("user", "unlock", "bob")
    robot.console("user", "reset-password", "bob")
    robot.console("access-control", "enable", "--yes")
    robot.console("backup", tmp_path / "copy")
    environment = {**ENVIRONMENT, "SUDO_USER": "scientist"}
    command = [BINARY, "user", "delete", "bob", "--yes", "--persistence-directory", robot.state]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    rows = robot.rows()[2:]
    assert [row["action"] for row in rows] == [
        "reset password",
        "update CRS enabled",
        "backup",
        "delete user",
    ]
    me = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
    names = [row["accountName"] for row in rows]
    assert names == [me, me, me, "scientist" if me == "root" else me]
    assert rows[0]["legalName"] == f"{me} at the console"


def test_backup_and_restore(robot, tmp_path):
    copy = tmp_path / "copy"
    assert robot.console("backup", copy).returncode == 0
    assert copy.stat().st_mode & 0o777 == 0o600
    done = robot.console("backup", copy)
    assert done.returncode == 4 and f"{copy} already exists" in done.stderr
    robot.console("user", "delete", "bob", "--yes")
    done = robot.console("restore", copy, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "--yes" in done.stderr
    before = len(robot.rows())
    assert robot.json("restore", copy, "--yes") == {"users": 2, "withAuditLog": False}
    assert [user["username"] for user in robot.json("user", "list")] == ["ada", "bob"]
    rows = robot.rows()
    # An export is recorded as an event, too.
    assert [row["action"] for row in rows[before:]] == ["export audit log", "restore"]
    assert robot.console("audit", "verify").returncode == 0
    assert not list(robot.state.glob("restore-*"))


def test_restore_on_a_new_robot_brings_the_audit_log(robot, tmp_path):
    copy, new = tmp_path / "copy", tmp_path / "new"
    robot.console("backup", copy)
    new.mkdir()
    fresh = Robot(new, None, None)
    assert fresh.json("restore", copy, "--yes") == {"users": 2, "withAuditLog": True}
    assert [row["action"] for row in fresh.rows()] == ["create user", "create user", "restore"]
    assert fresh.console("audit", "verify").returncode == 0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"x" * 100_000])
def test_file_that_is_no_backup_is_refused(robot, tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    done = robot.console("restore", file, "--yes")
    assert done.returncode == 1 and str(file) in done.stderr
    assert len(robot.json("user", "list")) == 2


def test_restore_in_the_place_of_a_damaged_database(serve, tmp_path):
    path, state = tmp_path / "auth.sock", tmp_path / "state"
    server = serve("--uds", path, "--persistence-directory", state).wait_ready()
    api = Api(path)
    api.create("ada", "admin")
    robot = Robot(state, api, server)
    copy = tmp_path / "copy"
    robot.console("backup", copy)
    server.stop()
    database = state / "auth-server.sqlite"
    damaged = b"\xa5" * database.stat().st_size
    database.write_bytes(damaged)
    done = robot.console("restore", copy, "--yes")
    assert done.returncode == 0, done.stderr
    assert "moved the damaged database to" in done.stderr
    assert (state / "auth-server.sqlite.damaged-1").read_bytes() == damaged
    serve("--uds", path, "--persistence-directory", state).wait_ready()
    assert api.login("ada")


def test_running_service_sees_it_at_once(serve, tmp_path):
    path, state = tmp_path / "auth.sock", tmp_path / "state"
    server = serve("--uds", path, "--persistence-directory", state).wait_ready()
    api = Api(path)
    api.create("ada", "admin")
    robot = Robot(state, api, server)
    token = api.login("ada")["access_token"]
    robot.console("user", "add", "bob", "--full-name", "Bob", "--password", input=PASSWORD)
    assert api.login("bob")
    robot.console("backup", tmp_path / "copy")
    robot.console("access-control", "enable", "--yes")
    assert api.get("/auth/users").status == 401
    # It ends all sessions, because the request came from none of them.
    assert not api.active(token)
    token = api.login("ada")["access_token"]
    robot.console("user", "reset-password", "ada")
    assert not api.active(token)
    token = api.login("bob")["access_token"]
    robot.console("restore", tmp_path / "copy", "--yes")
    assert not api.active(token)
    assert api.get("/auth/users").status == 200


def test_folder_with_a_long_path(serve, tmp_path):
    """Longer than the maximum length of a socket address."""
    state = tmp_path / ("d" * 100) / ("e" * 100)
    state.parent.mkdir()
    serve("--persistence-directory", state).wait_ready()
    done = run("user", "list", "--persistence-directory", state)
    assert done.returncode == 0, done.stderr


def test_missing_folder_is_named(tmp_path):
    done = run("user", "list", "--persistence-directory", tmp_path / "none")
    assert done.returncode == 1 and str(tmp_path / "none") in done.stderr


def test_control_characters_do_not_reach_the_terminal(robot):
    done = robot.console("user", "add", "eve", "--full-name", "E\x1b[31mve")
    assert done.returncode == 4 and "\x1b" not in done.stderr
    # An error message that repeats the input.
    done = robot.console("user", "unlock", "E\x1b[31mve")
    assert done.returncode == 3 and "31mve" in done.stderr and "\x1b" not in done.stderr


def test_control_characters_of_an_old_full_name_do_not_reach_the_terminal(start, tmp_path):
    """The name dates from before control characters were refused."""
    server, api = start()
    api.create("eve")
    robot = Robot(tmp_path / "state", api, server)
    server.stop()
    edit_database(robot.state, "UPDATE user SET full_name = ?", "E\x1b[31mve")
    listed = [robot.console("user", "list").stdout]
    start()
    listed.append(robot.console("user", "list").stdout)
    for said in listed:
        assert "31mve" in said and "\x1b" not in said


def test_terminal_is_asked_for_the_password_and_for_consent(robot):
    asked = [("New password: ", "typed-one"), ("Again: ", "typed-one")]
    assert robot.typed("user", "reset-password", "bob", "--password", answers=asked)[0] == 0
    asked = [("New password: ", "typed-one"), ("Again: ", "another")]
    assert robot.typed("user", "reset-password", "bob", "--password", answers=asked)[0] == 1
    assert robot.typed("user", "delete", "bob", answers=[("[y/N] ", "n")])[0] == 1
    assert robot.typed("user", "delete", "bob", answers=[("[y/N] ", "y")])[0] == 0


def commands_of_readme():
    return commands_of_section("Administration")


def commands_of_manual_page():
    page = run("man").stdout.split(".SH ADMINISTRATION")[1]
    text = "".join(re.findall(r"^\.EX\n(.*?)^\.EE$", page, re.DOTALL | re.MULTILINE))
    return text.replace("\\-", "-").replace("\\*(Aq", "'").splitlines()


@pytest.mark.parametrize("commands_of", [commands_of_readme, commands_of_manual_page])
def test_commands_for_the_administrator_work_as_they_stand(
    commands_of, serve, directory_process, tmp_path
):
    """The README's commands, in order, as a user types them, on a new robot."""
    commands = commands_of()
    assert len(commands) >= 10 and all(NAME in command for command in commands)
    state = tmp_path / "state"
    asks = ("--directory-uds", directory_process.path)
    server = serve("--persistence-directory", state, *asks).wait_ready()
    (tmp_path / "ca.pem").write_text(DIRECTORY["ca"])
    (tmp_path / "password.txt").write_text("battery staple\n")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / NAME).symlink_to(BINARY)
    # A journal with the lines that the service logged.
    journalctl = bin_folder / "journalctl"
    journalctl.write_text(f"#!/bin/sh\ncat {server.log_path}\n")
    journalctl.chmod(0o755)
    environment = {**ENVIRONMENT, "OT_AUTH_SERVER_persistence_directory": str(state)}
    environment["PATH"] = f"{bin_folder}:{environment['PATH']}"
    for command in commands:
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (command, done.stderr)
    assert (tmp_path / "audit.csv").read_text().startswith("seq,time,action,")
