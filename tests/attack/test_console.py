"""Root's console in a directory that another user owns, who put hostile files there."""

import fcntl
import json
import os
import pty
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

import robot_console
from api import Api
from python_state import lay
from support import BINARY, DATABASE, ENVIRONMENT, PATIENCE, run, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")

NOBODY = 65534
# Exit codes: what does not exist, is forbidden by a rule, or is not permitted has one of its own.
FAILURES = (1, 3, 4, 5)
NOT_PERMITTED = 5
ALL_READ = [
    ("user", "list"),
    ("access-control", "status"),
    ("audit", "status"),
    ("audit", "verify"),
]
ADD = ("user", "add", "eve", "--full-name", "Eve")


class Robot:
    """A state directory that `nobody` owns, and a directory of root's that nobody else may enter."""

    def __init__(self, home):
        self.home = home
        self.state = home / "state"
        self.private = home / "private"
        home.chmod(0o755)
        self.state.mkdir(0o700)
        self.private.mkdir(0o700)
        os.chown(self.state, NOBODY, NOBODY)
        self.secret = self.private / "secret"
        self.secret.write_text("secret")
        self.binary = shutil.copy(BINARY, home / "server")

    def console(self, *arguments, **options):
        return run(*arguments, "--persistence-directory", self.state, **options)

    def owners(self):
        """Returns the owners of everything in the state directory."""
        return {(path.lstat().st_uid, path.lstat().st_gid) for path in self.state.rglob("*")}

    def outside(self):
        """Returns what is outside of the state directory, to compare it later."""
        found = {}
        for path in [self.private, *self.private.rglob("*")]:
            stat = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            found[path] = (stat.st_uid, stat.st_gid, stat.st_mode, content)
        return found

    def plant(self, path, put, target=None):
        """Replaces a file in the state directory, as its owner may."""
        path.unlink(missing_ok=True)
        put(path, target)
        if put is not hard_link:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@pytest.fixture
def robot():
    """A robot with the account `ada`. pytest's own directories cannot be entered by other users."""
    home = Path(tempfile.mkdtemp(prefix="auth-"))
    try:
        robot = Robot(home)
        done = robot.console("user", "add", "ada", "--full-name", "Ada", "--account-type", "admin")
        assert done.returncode == 0, done.stderr
        yield robot
    finally:
        shutil.rmtree(home)


@pytest.fixture
def service(robot):
    """The service, which runs as the owner of the directory."""
    run_directory = robot.home / "run"
    run_directory.mkdir()
    os.chown(run_directory, NOBODY, NOBODY)
    path = run_directory / "auth.sock"
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", robot.binary]
    process = subprocess.Popen(
        [*command, "--uds", path, "--persistence-directory", robot.state],
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    try:
        # The console's socket is opened after this one, and it begins to answer last.
        wait_for((robot.state / "control.sock").exists, "the service listens")
        yield Api(path)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def check_every_command(robot):
    backup = robot.private / "backup"
    commands = [
        ADD,
        ("user", "unlock", "eve"),
        ("user", "reset-password", "eve"),
        *ALL_READ,
        ("backup", backup),
        ("user", "delete", "eve", "--yes"),
        ("restore", backup, "--yes"),
        ("access-control", "enable", "--yes"),
        ("access-control", "disable", "--yes"),
        ("audit", "resend"),
        ("audit", "export"),
    ]
    for command in commands:
        done = robot.console(*command)
        assert done.returncode == 0, (command, done.stderr)
    assert robot.owners() == {(NOBODY, NOBODY)}
    stat = backup.stat()
    assert (stat.st_uid, stat.st_gid, stat.st_mode & 0o777) == (0, 0, 0o600)
    names = {path.name for path in robot.state.iterdir()}
    assert not [name for name in names if name.startswith(("backup-", "restore-"))]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    me = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
    assert {row["accountName"] for row in rows if row["origin"] == "console"} == {me}


def test_root_owns_nothing_there_after_any_command(robot):
    check_every_command(robot)


def test_root_owns_nothing_there_beside_the_running_service(robot, service):
    check_every_command(robot)
    assert service.get("/auth/settings").status == 200


@pytest.mark.parametrize("question", [("user", "delete", "ada"), ("restore",)])
def test_console_is_the_owner_for_good(robot, question):
    """Looked at while it asks for confirmation."""
    if question == ("restore",):
        question = ("restore", robot.private / "backup")
        assert robot.console("backup", robot.private / "backup").returncode == 0
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [BINARY, *question, "--persistence-directory", robot.state],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=ENVIRONMENT,
    ) as process:
        os.close(theirs)
        said = ""
        while "[y/N]" not in said:
            said += os.read(ours, 4096).decode()
        check_identity(process.pid)
        os.write(ours, b"n\n")
    os.close(ours)


def check_identity(pid):
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    assert set(fields["Uid"].split()) == set(fields["Gid"].split()) == {str(NOBODY)}
    assert set(fields["Groups"].split()) <= {str(NOBODY)}
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0


def test_service_that_root_starts_becomes_the_owner(robot, serve):
    server = serve("--persistence-directory", robot.state, notify=False)
    server.wait_log("listening on")
    check_identity(server.process.pid)
    assert server.stop() == 0
    assert robot.owners() == {(NOBODY, NOBODY)}


def link(path, target):
    path.symlink_to(target)


def hard_link(path, target):
    path.hardlink_to(target)


def fifo(path, _):
    os.mkfifo(path)


def device(path, _):
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))


def directory(path, _):
    path.mkdir()


KINDS = [link, hard_link, fifo, device, directory]


def every_command(robot):
    return [
        *ALL_READ,
        ADD,
        ("user", "delete", "ada", "--yes"),
        ("access-control", "enable", "--yes"),
        ("audit", "export"),
        ("audit", "resend"),
        ("backup", robot.home / "backup"),
        ("import",),
        ("import", "--again", "--yes"),
    ]


@pytest.mark.parametrize("put", KINDS)
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_database_that_is_something_else_is_refused(robot, suffix, put):
    """A link leads to a database of root's, which the owner must not get to see."""
    theirs = robot.private / DATABASE
    shutil.copy(robot.state / DATABASE, theirs)
    theirs.chmod(0o600)
    path = robot.state / f"{DATABASE}{suffix}"
    robot.plant(path, put, theirs)
    before = robot.outside()
    for command in every_command(robot):
        if suffix and command[0] == "import" and len(command) == 1:
            continue  # refused for another reason: there are accounts
        done = robot.console(*command)
        assert done.returncode in FAILURES, (command, done.stdout)
        assert "ada" not in done.stdout
        if command[0] != "import":
            check_reason(done.stderr, path, put)
    assert robot.outside() == before
    assert not (robot.home / "backup").exists()


def check_reason(said, path, put):
    assert str(path.parent) in said
    if put is hard_link:
        # The owner may not open it; SQLite says so in several ways.
        reasons = ("ermission denied", "unable to open", "requires write access")
    else:
        reasons = ("is a symbolic link", "is not a regular file")
    assert any(reason in said for reason in reasons), said


@pytest.mark.parametrize("put", KINDS)
def test_lock_that_is_something_else_is_refused(robot, put):
    path = robot.state / "lock"
    robot.plant(path, put, robot.secret)
    before = robot.outside()
    for command in [("user", "list"), ADD, ("access-control", "status"), ("audit", "resend")]:
        done = robot.console(*command)
        assert done.returncode == (NOT_PERMITTED if put is hard_link else 1)
        check_reason(done.stderr, path, put)
    done = run("--persistence-directory", robot.state)
    assert done.returncode == 1
    check_reason(done.stderr, path, put)
    assert robot.outside() == before


def test_links_to_nothing_create_nothing(robot):
    """The target of each is in a directory where only root can create files."""
    names = ("lock", f"{DATABASE}.new", f"{DATABASE}.new-wal", f"{DATABASE}.new-journal")
    for database_exists in (True, False):
        for name in names:
            robot.plant(robot.state / name, link, robot.private / "made")
        if not database_exists:
            (robot.state / "lock").unlink()
            (robot.state / DATABASE).unlink()
        before = robot.outside()
        done = robot.console(*ADD)
        # Without the link in place of the lock, the others are in nobody's way.
        assert done.returncode == (1 if database_exists else 0), done.stderr
        assert robot.outside() == before


def test_control_socket_of_root_is_out_of_reach(robot):
    """A link leads to a socket that only root may connect to."""
    with socket.socket(socket.AF_UNIX) as listener, open(robot.state / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = robot.private / "root.sock"
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        robot.plant(robot.state / "control.sock", link, path)
        done = robot.console("user", "list")
        assert done.returncode == NOT_PERMITTED and "Permission denied" in done.stderr
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_process_that_holds_the_lock_is_named(robot):
    with open(robot.state / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        inode = f":{os.stat(lock.fileno()).st_ino} "
        shown = any(inode in line for line in Path("/proc/locks").read_text().splitlines())
        done = robot.console("user", "list")
    assert done.returncode == 1
    holder = f"process {os.getpid()} (" if shown else "another process"
    assert str(robot.state) in done.stderr and holder in done.stderr
    assert "holds the lock" in done.stderr


def test_backup_into_the_directory_is_the_owners(robot):
    path = robot.state / "copy"
    assert robot.console("backup", path).returncode == 0
    assert robot.owners() == {(NOBODY, NOBODY)}
    # By way of a link of the owner's to a directory of root's.
    robot.plant(robot.state / "way", link, robot.private)
    done = robot.console("backup", robot.state / "way" / "copy")
    assert done.returncode == NOT_PERMITTED and "Permission denied" in done.stderr
    assert not (robot.private / "copy").exists()


def test_reason_for_a_backup_is_asked_for_with_the_rights_of_the_owner(robot):
    """The backup itself is written with the rights of root, into a directory of root's."""
    robot.console("access-control", "enable", "--yes")
    terminal = robot_console.Robot(robot.state, None, None)
    answers = [("Reason for the audit log (empty for none): ", "before the repair")]
    code, said = terminal.typed("backup", robot.private / "copy", answers=answers)
    assert code == 0, said
    assert (robot.private / "copy").stat().st_uid == 0
    assert robot.owners() == {(NOBODY, NOBODY)}
    row = terminal.rows()[-1]
    assert (row["action"], row["reason"]) == ("backup", "before the repair")


@pytest.mark.parametrize("put", KINDS)
def test_restore_from_the_directory_reads_only_what_the_owner_may_read(robot, put):
    theirs = robot.private / "backup"
    assert robot.console("backup", theirs).returncode == 0
    path = robot.state / "copy"
    robot.plant(path, put, theirs)
    done = robot.console("restore", path, "--yes")
    assert done.returncode == (NOT_PERMITTED if put is hard_link else 1)
    check_reason(done.stderr, path, put)


@pytest.mark.parametrize("put", KINDS)
@pytest.mark.parametrize("option", ["--file", "--ca", "--bind-password-file"])
def test_configuration_in_the_directory_reads_only_what_the_owner_may_read(robot, put, option):
    robot.secret.chmod(0o600)
    path = robot.state / "copy"
    robot.plant(path, put, robot.secret)
    done = robot.console("directory", "set", option, path)
    assert done.returncode == (NOT_PERMITTED if put is hard_link else 1)
    check_reason(done.stderr, path, put)


def test_import_of_what_only_root_may_read(robot):
    theirs = robot.private / "python"
    lay(theirs)
    for path in (theirs, *theirs.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    before = robot.outside()
    done = robot.console("import", theirs, "--dry-run")
    assert done.returncode == 0 and "users: 10" in done.stdout, done.stderr
    done = robot.console("import", theirs, "--again", "--yes")
    assert done.returncode == 0 and "users: 10" in done.stdout, done.stderr
    assert robot.outside() == before
    assert robot.owners() == {(NOBODY, NOBODY)}
    assert not [path for path in robot.state.iterdir() if path.name.startswith("import-")]


@pytest.mark.parametrize("put", [link, hard_link, fifo, device])
@pytest.mark.parametrize("named", [True, False])
def test_import_from_the_directory_reads_only_what_the_owner_may_read(robot, put, named):
    theirs = lay(robot.private / "python")
    theirs.chmod(0o600)
    version = robot.state / theirs.parent.name
    version.mkdir()
    os.chown(version, NOBODY, NOBODY)
    robot.plant(version / theirs.name, put, theirs)
    directory = [robot.state] if named else []
    for options in (["--dry-run"], ["--again", "--yes"]):
        done = robot.console("import", *directory, *options)
        assert done.returncode == 1 and "users: 10" not in done.stdout
        assert str(version / theirs.name) in done.stderr + done.stdout
