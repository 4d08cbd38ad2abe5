"""How commands fail: exit codes and error messages, while the service is running and while it is not."""

import json
import os
import socket
import subprocess

import pytest

from api import PASSWORD
from support import BINARY, ENVIRONMENT, run

FAILED, WRONG_USE, NOT_FOUND, REFUSED, NOT_PERMITTED = 1, 2, 3, 4, 5


def fails(done, code, says):
    assert done.returncode == code, (done.returncode, done.stderr)
    assert done.stdout == "" and says in done.stderr, (done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("user", "show", "eve"), 'User "eve" does not exist.'),
        (("user", "set", "eve", "--full-name", "E"), 'User "eve" does not exist.'),
        (("user", "lock", "eve"), 'User "eve" does not exist.'),
        (("user", "unlock", "eve"), 'User "eve" does not exist.'),
        (("user", "reset-password", "eve"), 'User "eve" does not exist.'),
        (("user", "delete", "eve"), 'User "eve" does not exist.'),
        (("session", "list", "eve"), 'User "eve" does not exist.'),
        (("session", "end", "--user", "eve"), 'User "eve" does not exist.'),
        (("session", "end", "99"), "Session 99 does not exist"),
        (("restore", "/none/file", "--yes"), "/none/file"),
        (("import", "/none/python", "--again", "--yes"), "/none/python"),
        (("audit", "verify", "--journal=/none/journal"), "/none/journal"),
    ],
)
def test_what_does_not_exist(robot, arguments, says):
    fails(robot.console(*arguments), NOT_FOUND, says)


def test_what_a_rule_forbids(robot):
    add = ("user", "add", "eve", "--full-name", "Eve")
    fails(robot.console("user", "add", "bob", "--full-name", "B"), REFUSED, "already exists")
    fails(robot.console(*add, "--password", input="short\n"), REFUSED, "at least 8 characters")
    fails(robot.console("user", "add", "e" * 21, "--full-name", "Eve"), REFUSED, "at most 20")
    given = ("user", "reset-password", "bob", "--password")
    fails(robot.console(*given, input=f"{PASSWORD}\n"), REFUSED, "differ from the current one")
    assert robot.console(*add[:2], "app", *add[3:], "--account-type", "service").returncode == 0
    fails(robot.console("user", "lock", "app"), REFUSED, "service account")
    fails(robot.console("import"), REFUSED, "pass --again")
    robot.console("access-control", "enable", "--yes")
    for last in (
        ("delete", "ada", "--yes"),
        ("lock", "ada"),
        ("set", "ada", "--account-type=user"),
    ):
        fails(robot.console("user", *last), REFUSED, "at least one administrator")


def test_access_control_without_an_administrator(robot):
    robot.console("user", "delete", "ada", "--yes")
    done = robot.console("access-control", "enable", "--yes")
    assert done.returncode == REFUSED and "at least one administrator" in done.stderr


def test_command_that_is_not_confirmed(robot):
    for command in (
        ("user", "delete", "bob"),
        ("session", "end", "--all"),
        ("settings", "reset"),
    ):
        fails(robot.console(*command, input="y\n"), FAILED, "pass --yes to confirm")


def test_wrong_use(robot):
    for command in (("user", "ad"), ("user", "show"), ("settings", "set", "speed=1")):
        done = robot.console(*command)
        assert done.returncode == WRONG_USE and done.stdout == "", done.stderr


def test_state_directory_that_does_not_exist_is_not_taken_for_a_missing_user(tmp_path):
    """A script may rely on code 3: the user does not exist."""
    done = run("user", "show", "bob", "--persistence-directory", tmp_path / "none")
    fails(done, FAILED, str(tmp_path / "none"))


@pytest.mark.skipif(os.geteuid() != 0, reason="running as another user needs root")
def test_state_directory_that_the_user_may_not_use(robot, tmp_path):
    for command in (("user", "list"), ("user", "delete", "bob", "--yes"), ("audit", "verify")):
        fails(robot.as_nobody(*command), NOT_PERMITTED, str(robot.state))


def events(robot):
    return [row["action"] for row in robot.rows() if row["action"] != "export audit log"]


def test_change_that_is_no_change_is_done(robot):
    """It says so, exits with 0 and is no event. Nothing is asked, because nothing would happen."""
    before = events(robot)
    done = robot.console("access-control", "disable", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "access control is already off\n", "")
    for command, said in (
        (("user", "unlock", "bob"), "bob is not locked\n"),
        (("user", "set", "bob", "--full-name", "bob X"), "bob is unchanged\n"),
        (("audit", "resend"), "no event is set aside\n"),
        (("session", "end", "--user", "bob"), "ended 0 sessions\n"),
    ):
        done = robot.console(*command)
        assert (done.returncode, done.stdout) == (0, said), done.stderr
    assert events(robot) == before
    robot.console("access-control", "enable", "--yes")
    assert robot.console("user", "lock", "bob").stdout == "locked bob\n"
    before = events(robot)
    done = robot.console("access-control", "enable", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "access control is already on\n", "")
    assert robot.json("access-control", "enable") == {"accessControlEnabled": True}
    done = robot.console("user", "lock", "bob")
    assert (done.returncode, done.stdout) == (0, "bob is already locked\n")
    assert robot.json("user", "lock", "bob")["locked"] is True
    assert events(robot) == before
    assert robot.console("user", "unlock", "bob").stdout == "unlocked bob\n"


def test_service_of_another_version(serve, tmp_path):
    """Its request or response means nothing to this one."""
    state = tmp_path / "state"
    serve("--persistence-directory", state).wait_ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(state / "control.sock"))
        client.sendall(b'{"user": "root", "request": {"Fly": {"to": "the moon"}}}\n')
        answer = json.loads(client.makefile().readline())
    assert answer["Err"]["kind"] == "Failed"
    assert "has a different version: restart it" in answer["Err"]["body"]["detail"]


def test_response_of_another_version(serve, tmp_path):
    state = tmp_path / "state"
    server = serve("--persistence-directory", state).wait_ready()
    # The service goes on holding the lock; another process answers in its place.
    path = state / "control.sock"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        command = [BINARY, "user", "list", "--persistence-directory", state]
        client = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        connection, _ = listener.accept()
        with connection:
            connection.makefile().readline()
            connection.sendall(b'{"Err": "refused"}\n')
            _, said = client.communicate()
    assert client.returncode == FAILED and "has a different version: restart it" in said
    assert server.process.poll() is None


def envelope(done):
    """Returns the errors in the envelope, which is all that a program finds."""
    assert done.stdout == "" and done.stderr.count("\n") == 1, (done.stdout, done.stderr)
    body = json.loads(done.stderr)
    assert set(body) == {"errors", "detail"} and body["detail"] == body["errors"][0]["detail"]
    return body["errors"]


def test_json_failures_are_the_envelope_of_http(robot):
    for arguments, code, error_id in (
        (("user", "show", "eve"), NOT_FOUND, "userNotFound"),
        (("session", "end", "99"), NOT_FOUND, "sessionNotFound"),
        (("user", "add", "bob", "--full-name", "Bob"), REFUSED, "userAlreadyExists"),
        (("user", "add", "", "--full-name", "Eve"), REFUSED, "usernameEmpty"),
        (("user", "add", "e" * 21, "--full-name", "Eve"), REFUSED, "invalidRequest"),
        (("user", "delete", "bob"), FAILED, "notConfirmed"),
        (("access-control", "enable"), FAILED, "notConfirmed"),
        (("import",), REFUSED, "accountsExist"),
        (("restore", "/none/file"), NOT_FOUND, "fileNotFound"),
        (("restore", "/"), FAILED, "noBackup"),
        (("backup", "/"), REFUSED, "fileExists"),
        (("backup", "/none/file"), FAILED, "directoryNotFound"),
        (("user", "list", "--persistence-directory", "/none"), FAILED, "stateDirectoryNotFound"),
        # Wrong use.
        (("user", "show"), WRONG_USE, "wrongUse"),
        (("user", "show", "ada", "--fast"), WRONG_USE, "wrongUse"),
        (("settings", "set", "idleLogout=0"), WRONG_USE, "wrongUse"),
        (("--uds", "x", "user", "list"), WRONG_USE, "wrongUse"),
    ):
        for given in ((*arguments, "--json"), ("--json", *arguments)):
            done = robot.console(*given, stdin=subprocess.DEVNULL)
            assert done.returncode == code, (given, done.stderr)
            [error] = envelope(done)
            assert set(error) == {"id", "detail"} and error["id"] == error_id
    done = robot.console("user", "show", "ada", "--fast", "--json")
    assert envelope(done)[0]["detail"] == "unexpected argument '--fast' found"
    assert "Usage" in robot.console("user", "show", "--help", "--json").stdout


def test_json_failure_names_all_rules_that_a_password_breaks(robot):
    robot.console("settings", "set", "passwordComplexitySpecialCharacters=true")
    given = ("user", "reset-password", "bob", "--password")
    first, second = envelope(robot.console(*given, "--json", input="short\n"))
    assert first["id"] == "passwordTooShort"
    assert first["meta"] == {"requiredLength": 8, "actualLength": 5}
    assert second["id"] == "passwordMissingSpecialCharacters"
    lines = robot.console(*given, input="short\n").stderr.splitlines()
    assert lines == [f"error: {error['detail']}" for error in (first, second)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("audit", "export", "--format", "csv", "--json"), "--json cannot be used with --format"),
        (("settings", "set", "idleLogout=1", "idleLogout=2"), "idleLogout: must not be given more"),
        (("audit", "verify", "--journal", "--journal=x"), "'--journal[=<FILE>]' cannot be used"),
        (("import", "--dry-run", "--again"), "--dry-run"),
        (("import", "--dry-run", "--yes"), "--dry-run"),
        (("user", "set", "bob", "--password", "--require-new-password"), "--require-new-password"),
        (("session", "end", "1", "--all"), "--all"),
        (("user", "list", "--json", "--json"), "--json"),
    ],
)
def test_options_that_contradict_each_other_are_refused(robot, arguments, says):
    done = robot.console(*arguments)
    assert done.returncode == WRONG_USE and says in done.stderr, done.stderr


def test_export_as_json_lines_takes_json(robot):
    done = robot.console("audit", "export", "--json")
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[0])["seq"] == 1


@pytest.mark.parametrize(
    ("arguments", "password", "says"),
    [
        (("add", "", "--full-name", "E"), None, "<USERNAME> must not be empty"),
        (
            ("add", "e" * 21, "--full-name", "E"),
            None,
            "<USERNAME>: must have at most 20 characters",
        ),
        (("add", "a`b", "--full-name", "E"), None, "<USERNAME>: A username may contain ASCII"),
        (("add", "eve", "--full-name", " "), None, "--full-name must not be empty"),
        (("add", "eve", "--full-name", "E" * 257), None, "--full-name: must have at most 256"),
        (("add", "eve", "--full-name", "E\u202e"), None, "--full-name: A full name must not"),
        (("add", "eve", "--full-name", "E", "--password"), "", "--password must not be empty"),
        (("add", "eve", "--full-name", "E", "--password"), "`" * 9, "--password: A password may"),
        (("reset-password", "bob", "--password"), "short", "--password: The password must have"),
        (("reset-password", "bob", "--password"), PASSWORD, "--password: The new password must"),
        (("set", "bob", "--username", ""), None, "--username must not be empty"),
        (("set", "bob", "--username", "e" * 21), None, "--username: must have at most 20"),
        (("set", "bob", "--username", ".."), None, "--username: A username may contain"),
        (("set", "bob", "--full-name", ""), None, "--full-name must not be empty"),
    ],
)
def test_errors_name_the_argument(robot, arguments, password, says):
    options = {} if password is None else {"input": f"{password}\n"}
    done = robot.console("user", *arguments, **options)
    assert done.returncode == REFUSED and done.stderr.startswith(f"error: {says}"), done.stderr
    assert "data." not in done.stderr and "fullName" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("idleLogout=0", "idleLogout: must be between 1 and 604800 seconds"),
        ("speed=1", '"speed" is none of maxNumberOfLoginAttempts, '),
        ("idleLogout", "must be NAME=VALUE"),
    ],
)
def test_errors_name_the_setting(robot, setting, says):
    done = robot.console("settings", "set", setting)
    assert done.returncode == WRONG_USE and says in done.stderr
    assert "'<NAME=VALUE>...'" in done.stderr and "data." not in done.stderr
