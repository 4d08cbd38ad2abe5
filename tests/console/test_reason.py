"""The reason for a change: `--reason`, or the answer at a terminal."""

import json

import pytest

from examples import DIRECTORY
from python_state import lay
from support import run

TEXT = "Calibration failed; ticket 42, Größe 李"


def events(robot):
    """Returns the action and the reason of each event, oldest first, without this export."""
    done = robot.console("audit", "export")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [(row["action"], row["reason"]) for row in rows]


def changes(tmp_path):
    """Returns every command that is recorded, in an order in which each has something to do, with the
    action of its last event."""
    copy, configuration = tmp_path / "copy", tmp_path / "directory.json"
    configuration.write_text(json.dumps(DIRECTORY))
    return [
        (("user", "add", "eve", "--full-name", "Eve"), "create user"),
        (("user", "set", "eve", "--account-type", "auditor"), "update user"),
        (("user", "reset-password", "eve"), "reset password"),
        (("user", "lock", "eve"), "update user"),
        (("user", "unlock", "eve"), "update user"),
        (("user", "delete", "eve", "--yes"), "delete user"),
        (("settings", "set", "idleLogout=600"), "edit CRS settings"),
        (("settings", "reset", "--yes"), "reset CRS settings"),
        (("directory", "set", "--file", configuration, "--no-test"), "edit directory"),
        (("directory", "remove", "--yes"), "remove directory"),
        (("access-control", "enable", "--yes"), "update CRS enabled"),
        (("access-control", "disable", "--yes"), "disable CRS"),
        (("audit", "export", "--format", "csv"), "export audit log"),
        (("backup", copy), "backup"),
        (("restore", copy, "--yes"), "restore"),
    ]


def test_reason_is_recorded(robot, tmp_path):
    commands = changes(tmp_path)
    before = len(events(robot))
    for command, _ in commands:
        done = robot.console(*command, "--reason", f"  {TEXT} ")
        assert done.returncode == 0, (command, done.stderr)
    found = [event for event in events(robot)[before:] if event != ("export audit log", None)]
    assert found == [(action, TEXT) for _, action in commands]


def test_reason_for_ending_sessions(start, tmp_path):
    server, api = start()
    state = tmp_path / "state"
    api.create("ada", "admin")
    for which in (["--user", "ada"], ["--all", "--yes"]):
        api.login("ada")
        options = ("--persistence-directory", state)
        assert run("session", "end", *which, "--reason", TEXT, *options).returncode == 0
        rows = run("audit", "export", *options).stdout.splitlines()
        assert json.loads(rows[-1])["reason"] == TEXT
    server.stop()


def test_reason_for_an_import(tmp_path):
    state = tmp_path / "state"
    lay(state)
    options = ("--persistence-directory", state)
    for again in ([], ["--again", "--yes"]):
        done = run("import", *again, "--reason", TEXT, *options)
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in run("audit", "export", *options).stdout.splitlines()]
        assert rows[-1]["reason"] == TEXT, rows


def test_reason_need_not_be_given(robot):
    """Nor asked for without a terminal. A blank one is none, as over HTTP."""
    robot.console("access-control", "enable", "--yes")
    for given in ([], ["--reason", ""], ["--reason", " \t"]):
        done = robot.console("user", "set", "bob", "--require-new-password", *given, input="x\n")
        assert done.returncode == 0 and done.stderr == ""
        assert events(robot)[-1] == ("update user", None)


def test_reason_that_is_too_long_is_refused(robot):
    """In characters, as over HTTP, and before anything is asked."""
    for command in (("user", "lock", "bob"), ("user", "delete", "bob"), ("audit", "export")):
        done = robot.console(*command, "--reason", "ö" * 2001)
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr == "error: --reason: must have at most 2000 characters\n"
    assert robot.json("user", "show", "bob")["locked"] is False
    assert robot.console("user", "lock", "bob", "--reason", "ö" * 2000).returncode == 0
    assert events(robot)[-1] == ("update user", "ö" * 2000)


@pytest.mark.parametrize(
    "command",
    [
        ("user", "list"),
        ("user", "show", "bob"),
        ("session", "list"),
        ("settings", "show"),
        ("access-control", "status"),
        ("directory", "show"),
        ("audit", "status"),
        ("audit", "verify"),
        ("import", "--dry-run"),
    ],
)
def test_command_that_changes_nothing_takes_no_reason(robot, command):
    done = robot.console(*command, "--reason", TEXT)
    assert done.returncode == 2 and done.stdout == "" and "--reason" in done.stderr


def test_terminal_is_asked_for_the_reason_while_access_control_is_on(robot, tmp_path):
    asks = "Reason for the audit log (empty for none): "
    code, said = robot.typed("user", "lock", "bob")
    assert code == 0 and asks not in said
    code, said = robot.typed("access-control", "enable", answers=[("[y/N] ", "y")])
    assert code == 0 and asks not in said
    for command, answers, event in (
        (("user", "unlock", "bob"), [(asks, f" {TEXT} ")], ("update user", TEXT)),
        (("user", "lock", "bob"), [(asks, "")], ("update user", None)),
        # Consent first: whoever says no is not asked for a reason.
        (("user", "delete", "bob"), [("[y/N] ", "y"), (asks, TEXT)], ("delete user", TEXT)),
        (("backup", tmp_path / "copy"), [(asks, TEXT)], ("backup", TEXT)),
        (("restore", tmp_path / "copy"), [("[y/N] ", "y"), (asks, TEXT)], ("restore", TEXT)),
        (("audit", "export"), [(asks, TEXT)], ("export audit log", TEXT)),
        (("access-control", "disable"), [("[y/N] ", "y"), (asks, TEXT)], ("disable CRS", TEXT)),
    ):
        code, said = robot.typed(*command, answers=answers)
        assert code == 0, said
        assert events(robot)[-1] == event


def test_who_gives_a_reason_or_says_no_is_not_asked(robot):
    robot.console("access-control", "enable", "--yes")
    before = len(events(robot))
    for command, answers, code in (
        (("user", "delete", "bob"), [("[y/N] ", "n")], 1),
        (("user", "lock", "bob", "--reason", TEXT), [], 0),
        (("user", "unlock", "bob", "--reason", ""), [], 0),
        (("user", "list"), [], 0),
    ):
        found, said = robot.typed(*command, answers=answers)
        assert found == code and "Reason" not in said
    found = [event for event in events(robot)[before:] if event[0] != "export audit log"]
    assert found == [("update user", TEXT), ("update user", None)]
