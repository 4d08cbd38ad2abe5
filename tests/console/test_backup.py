"""`backup` and `restore`: standard output and input, files that are no backup, and lacking rights."""

import base64
import os
import pty
import sqlite3
import subprocess

import pytest

from robot_console import NOBODY, Robot
from support import BINARY, ENVIRONMENT, PATIENCE, ROOT

PYTHON_STATE = ROOT / "tests/python-state/first/1_b8c4e2f1a903/auth_server.db"


def run_bytes(robot, *arguments, **options):
    """Runs a command of the console whose input or output is not text."""
    return subprocess.run(
        [BINARY, *arguments, "--persistence-directory", robot.state],
        env=ENVIRONMENT,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )


def changes(robot):
    return [row for row in robot.rows() if row["action"] in ("backup", "restore")]


def test_backup_to_standard_output_and_back(robot):
    done = run_bytes(robot, "backup", "-")
    assert done.returncode == 0, done.stderr
    assert b"keep it secret" in done.stderr
    (row,) = changes(robot)
    assert row["message"] == "Backed up all accounts to standard output."
    assert not list(robot.state.glob("backup-*"))
    robot.console("user", "delete", "bob", "--yes")
    # As over a serial line: the text in between may have line breaks.
    text = base64.encodebytes(done.stdout)
    restored = run_bytes(robot, "restore", "-", "--yes", input=base64.decodebytes(text))
    assert restored.returncode == 0, restored.stderr
    assert restored.stdout == b"restored 2 users; the audit log was kept\n"
    assert [user["username"] for user in robot.json("user", "list")] == ["ada", "bob"]
    assert [row["action"] for row in changes(robot)] == ["backup", "restore"]
    assert not list(robot.state.glob("restore-*"))


def test_backup_to_standard_output_is_the_file_that_backup_writes(robot, tmp_path):
    assert robot.console("backup", tmp_path / "file").returncode == 0
    piped = tmp_path / "piped"
    piped.write_bytes(run_bytes(robot, "backup", "-").stdout)
    users = [
        sqlite3.connect(path).execute("SELECT * FROM user").fetchall()
        for path in (tmp_path / "file", piped)
    ]
    assert users[0] == users[1] and len(users[0]) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's directory needs root")
def test_standard_output_and_input_with_another_users_directory(serve, tmp_path):
    """As on a robot, where root runs the commands."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, NOBODY, NOBODY)
    # Even the directories above are closed to the owner for everything but passing through.
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == "root" and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o011)
    robot = Robot(state, None, None)
    assert robot.console("user", "add", "ada", "--full-name", "A").returncode == 0
    done = run_bytes(robot, "backup", "-")
    assert done.returncode == 0, done.stderr
    restored = run_bytes(robot, "restore", "-", "--yes", input=done.stdout)
    assert restored.returncode == 0, restored.stderr
    assert {path.owner() for path in state.iterdir()} == {"nobody"}
    assert {path.stat().st_mode & 0o077 for path in state.iterdir()} == {0}


def backup_to(robot, out):
    """Runs `backup -` with this file descriptor as its standard output."""
    return subprocess.run(
        [BINARY, "backup", "-", "--persistence-directory", robot.state],
        env=ENVIRONMENT,
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_backup_to_a_terminal_is_refused(robot):
    parent, child = pty.openpty()
    done = backup_to(robot, child)
    assert done.returncode == 1 and "redirect standard output" in done.stderr
    os.set_blocking(parent, False)
    with pytest.raises(BlockingIOError):
        os.read(parent, 1)
    os.close(parent)
    os.close(child)
    assert changes(robot) == []


def test_backup_that_nobody_reads_is_an_error_and_on_record(robot):
    """Who read a part of it has that part."""
    reader, writer = os.pipe()
    os.close(reader)
    done = backup_to(robot, writer)
    os.close(writer)
    assert done.returncode == 1 and "cannot write to standard output" in done.stderr
    assert [row["action"] for row in changes(robot)] == ["backup"]


def test_json_has_no_place_beside_a_backup(robot):
    done = robot.console("backup", "-", "--json")
    assert done.returncode == 2 and "--json" in done.stderr and done.stdout == ""


def test_standard_input_cannot_confirm(robot):
    done = run_bytes(robot, "restore", "-", input=run_bytes(robot, "backup", "-").stdout)
    assert done.returncode == 1 and b"pass --yes" in done.stderr
    assert [row["action"] for row in changes(robot)] == ["backup"]


def test_restore_from_a_terminal_is_refused(robot):
    parent, child = pty.openpty()
    done = run_bytes(robot, "restore", "-", "--yes", stdin=child)
    os.close(parent)
    os.close(child)
    assert done.returncode == 1 and b"redirect standard input" in done.stderr


def of_another_application(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE note (text TEXT)")
    database.close()


def of_the_python_server(path):
    path.write_bytes(PYTHON_STATE.read_bytes())


def newer(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-8192])


def overwritten(path):
    content = path.read_bytes()
    path.write_bytes(content[:200] + b"\xa5" * (len(content) - 200))


def edited(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIEW everybody AS SELECT * FROM user")
    database.close()


FILES_THAT_ARE_NO_BACKUP = [
    (lambda path: path.write_bytes(b""), "it is empty"),
    (lambda path: path.write_bytes(b"SQLite format 3\0"), "it is not an SQLite database"),
    (lambda path: path.write_bytes(b"x" * 100_000), "it is not an SQLite database"),
    (of_another_application, "it is not a database of the auth server, but of another application"),
    (of_the_python_server, "it is the state of the Python server: import its state directory"),
    (newer, "it has schema version 99, but this program supports only up to 5: install the newer"),
    (cut_off, "it is damaged ("),
    (overwritten, "it is damaged ("),
    (edited, "it is damaged (its view"),
]


@pytest.mark.parametrize(("make", "says"), FILES_THAT_ARE_NO_BACKUP)
def test_restore_says_what_a_file_is(robot, tmp_path, make, says):
    file = tmp_path / "file"
    if make in (newer, cut_off, overwritten, edited):
        assert robot.console("backup", file).returncode == 0
    make(file)
    before = robot.json("user", "list")
    for name, options in ((str(file), {}), ("-", {"input": file.read_bytes()})):
        done = run_bytes(robot, "restore", name, "--yes", **options)
        said = done.stderr.decode()
        named = "standard input" if name == "-" else name
        assert done.returncode == 1 and said.startswith(f"error: cannot restore {named}: "), said
        assert says in said and said.endswith("nothing was changed\n"), said
        assert "database was left" not in said and "opentrons-auth-server restore" not in said
    assert robot.json("user", "list") == before
    assert not list(robot.state.glob("restore-*"))


def test_restore_says_what_else_is_at_a_path(robot, tmp_path):
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    robot.console("backup", tmp_path / "copy")
    (tmp_path / "link").symlink_to("copy")
    with open(tmp_path / "huge", "wb") as huge:
        huge.truncate((4 << 30) + 1)
    for name, code, says in (
        ("directory", 1, "it is not a regular file but a directory"),
        ("fifo", 1, "it is not a regular file"),
        ("link", 1, "it is a symbolic link"),
        ("huge", 1, "it is larger than 4 GiB"),
        ("none", 3, "No such file or directory"),
    ):
        done = robot.console("restore", tmp_path / name, "--yes")
        assert done.returncode == code and says in done.stderr, (name, done.stderr)
        assert str(tmp_path / name) in done.stderr


COMMANDS = [
    ("user", "list"),
    ("user", "list", "--long"),
    ("user", "add", "eve", "--full-name", "Eve"),
    ("user", "show", "bob"),
    ("user", "set", "bob", "--full-name", "B"),
    ("user", "reset-password", "bob"),
    ("user", "lock", "bob"),
    ("user", "unlock", "bob"),
    ("user", "delete", "bob", "--yes"),
    ("session", "list"),
    ("session", "end", "--all", "--yes"),
    ("settings", "show"),
    ("settings", "set", "idleLogout=60"),
    ("settings", "reset", "--yes"),
    ("access-control", "status"),
    ("access-control", "enable", "--yes"),
    ("access-control", "disable", "--yes"),
    ("backup", "/dev/shm/auth-server-backup-of-nobody"),
    ("backup", "-"),
    ("import", "--dry-run"),
    ("audit", "verify"),
    ("audit", "status"),
    ("audit", "resend"),
    ("audit", "export"),
]


def open_up(robot):
    """Lets everybody reach the state directory."""
    for parent in robot.state.parents:
        if parent.stat().st_uid == os.geteuid() and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o011)


@pytest.mark.skipif(os.geteuid() != 0, reason="running as another user needs root")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_user_without_rights_is_told_to_be_root(robot, mode):
    open_up(robot)
    robot.state.chmod(mode)
    for command in COMMANDS:
        if command[0] == "import" and mode == 0o755:
            continue  # it sees that there is nothing to import
        done = robot.as_nobody(*command)
        assert done.returncode == 5 and done.stdout == "", (command, done)
        assert "Permission denied" in done.stderr, (command, done.stderr)
        assert done.stderr.endswith(": run the command as root\n"), (command, done.stderr)
        assert str(robot.state) in done.stderr, (command, done.stderr)
        assert "Error code" not in done.stderr, (command, done.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="running as another user needs root")
def test_owner_of_the_directory_is_named(robot):
    open_up(robot)
    os.chown(robot.state, 1, 1)
    done = robot.as_nobody("user", "list")
    assert done.returncode == 5
    assert done.stderr.endswith(": run the command as root or daemon\n")


def test_directory_that_does_not_exist_is_named(tmp_path):
    for command in (*COMMANDS, ("restore", tmp_path / "file", "--yes"), ("import", tmp_path)):
        done = Robot(tmp_path / "none", None, None).console(*command)
        assert done.returncode == 1 and done.stdout == "", (command, done)
        assert done.stderr == (
            f"error: the state directory {tmp_path / 'none'} does not exist: start the server, which "
            "creates it, or pass --persistence-directory\n"
        )
    assert not (tmp_path / "none").exists()
