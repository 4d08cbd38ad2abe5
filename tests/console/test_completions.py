"""Completions in real shells, at a terminal."""

import os
import pty
import re
import select
import shutil
import subprocess

import pytest

from robot_console import Robot
from support import BINARY, ENVIRONMENT, FILES, PATIENCE, run

NAME = "opentrons-auth-server"
SCRIPTS = FILES / "completions"
PROMPT = "READY>"
# Command that starts each shell without the user's files, and what loads the completions.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], f"source {SCRIPTS}/{NAME}.bash"),
    "zsh": (
        ["zsh", "-f", "-i"],
        f"bindkey -e; autoload -Uz compinit; compinit -u -D; source {SCRIPTS}/_{NAME}",
    ),
}
USERNAME_THAT_A_SHELL_WOULD_RUN = "x$(echo>ran);'\"&"


@pytest.fixture
def environment(robot, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / NAME).symlink_to(BINARY)
    return {
        **ENVIRONMENT,
        "PATH": f"{folder}:{ENVIRONMENT['PATH']}",
        "OT_AUTH_SERVER_persistence_directory": str(robot.state),
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "PS1": f"{PROMPT} ",
    }


class Terminal:
    """Terminal with an interactive shell."""

    def __init__(self, shell, environment, cwd):
        command, self.setup = SHELLS[shell]
        if not shutil.which(command[0]):
            pytest.skip(f"{command[0]} is not installed")
        self.parent, child = pty.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=child,
            stdout=child,
            stderr=child,
            env=environment,
            cwd=cwd,
        )
        os.close(child)
        self.said = ""

    def read_to(self, pattern):
        while not re.search(pattern, self.said):
            assert select.select([self.parent], [], [], PATIENCE)[0], self.said
            self.said += os.read(self.parent, 4096).decode(errors="replace")

    def type(self, text):
        os.write(self.parent, text.encode())

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.parent)

    def completed(self, line, more=""):
        """Returns the words of a line after pressing the Tab key at its end and typing `more`."""
        self.read_to(PROMPT)
        self.type(f"{self.setup}; PS1='AGAIN''> '\r")
        self.read_to("AGAIN> ")
        # Ctrl-A goes to the beginning of the line, which is then printed instead of being run.
        self.type(f"{line}\t{more}\x01printf '<%s>' BEGIN \x05; echo\r")
        self.read_to(r"<BEGIN>.*\n")
        self.type("exit\r")
        self.process.wait(PATIENCE)
        return re.findall(r"<(.*?)>(?=<|\r)", self.said.split("<BEGIN>")[1].split("\n")[0])


@pytest.fixture
def completed(environment, tmp_path):
    """Returns a function that types a line after the name of the program and presses Tab."""

    def completed(shell, line, more=""):
        terminal = Terminal(shell, environment, tmp_path)
        try:
            words = terminal.completed(f"{NAME} {line}", more)
        finally:
            terminal.close()
        assert words[0] == NAME
        return words[1:]

    return completed


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_completes_a_line(completed, robot, tmp_path, shell):
    (tmp_path / "some file").touch()
    (tmp_path / "some-directory").mkdir()
    for line, expected in (
        ("use", ["user"]),
        ("user unlock b", ["user", "unlock", "bob"]),
        ("user set b", ["user", "set", "bob"]),
        ("session end --user b", ["session", "end", "--user", "bob"]),
        ("session end --user=b", ["session", "end", "--user=bob"]),
        ("settings set idle", ["settings", "set", "idleLogout="]),
        (
            "settings set idleLogout=1 maxN",
            ["settings", "set", "idleLogout=1", "maxNumberOfLoginAttempts="],
        ),
        ("directory set up", ["directory", "set", "upnSuffix="]),
        ("directory test kind=l", ["directory", "test", "kind=ldap"]),
        ("audit export --format c", ["audit", "export", "--format", "csv"]),
        ("audit export --format=c", ["audit", "export", "--format=csv"]),
        ("user list --lo", ["user", "list", "--long"]),
        ("backup some\\ f", ["backup", "some file"]),
        ("import some-", ["import", "some-directory"]),
    ):
        assert [word.rstrip("/") for word in completed(shell, line)] == expected, line


@pytest.mark.parametrize("shell", SHELLS)
def test_value_of_a_setting_follows_its_name_without_a_space(completed, shell):
    assert completed(shell, "settings set idle", "60") == ["settings", "set", "idleLogout=60"]
    # A space follows what is complete.
    assert completed(shell, "user unlock b", "x") == ["user", "unlock", "bob", "x"]


@pytest.mark.parametrize("shell", SHELLS)
def test_username_is_quoted_and_never_run(completed, robot, tmp_path, shell):
    added = robot.console("user", "add", USERNAME_THAT_A_SHELL_WOULD_RUN, "--full-name", "X")
    assert added.returncode == 0, added.stderr
    words = completed(shell, "user show x")
    assert words == ["user", "show", USERNAME_THAT_A_SHELL_WOULD_RUN]
    assert not (tmp_path / "ran").exists()


def fish(environment, cwd, line):
    """Returns what fish offers at the end of a line."""
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = f"source {SCRIPTS}/{NAME}.fish; complete -C $argv[1]"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script, f"{NAME} {line}"],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    return [text.split("\t")[0] for text in done.stdout.splitlines()]


def test_fish_completes_a_line(environment, tmp_path):
    (tmp_path / "some file").touch()
    (tmp_path / "some-directory").mkdir()
    for line, expected in (
        ("use", ["user"]),
        ("user unlock ", ["ada", "bob"]),
        ("session end --user=b", ["--user=bob"]),
        ("settings set idle", ["idleLogout="]),
        ("audit export --format ", ["csv", "jsonl"]),
        ("backup some", ["some file", "some-directory/"]),
        ("import some", ["some-directory/"]),
        ("audit verify --journal=some", ["--journal=some file", "--journal=some-directory/"]),
    ):
        assert sorted(fish(environment, tmp_path, line)) == expected, line


def complete(robot, *words):
    """Returns what the program prints for the scripts."""
    done = robot.console("complete", "--", *words)
    assert done.returncode == 0 and done.stderr == ""
    kind, *lines = done.stdout.splitlines()
    return kind, [line.split("\t")[0] for line in lines]


def test_usernames_are_read_where_the_line_says_and_nothing_is_changed(robot, tmp_path):
    before = sorted(robot.state.iterdir())
    assert complete(robot, "user", "show", "") == ("words", ["ada", "bob"])
    assert complete(robot, "user", "add", "") == ("words", [])
    assert complete(robot, "user", "set", "bob", "--username", "") == ("words", [])
    elsewhere = ("--persistence-directory", tmp_path)
    assert complete(robot, *elsewhere, "user", "show", "") == ("words", [])
    assert complete(robot, "user", f"--persistence-directory={tmp_path}", "show", "")[1] == []
    rows = [row["action"] for row in robot.rows()]
    assert rows == ["create user", "create user"]
    assert sorted(robot.state.iterdir()) == before


@pytest.mark.parametrize("make", [lambda path: path.unlink(), lambda path: path.write_text("x")])
def test_nothing_is_offered_and_nothing_said_where_usernames_cannot_be_read(start, tmp_path, make):
    server, api = start()
    server.stop()
    robot = Robot(tmp_path / "state", api, server)
    make(robot.state / "auth-server.sqlite")
    assert complete(robot, "user", "unlock", "") == ("words", [])
    assert complete(robot, "user", "unl") == ("words", ["unlock"])


def test_user_without_rights_is_offered_nothing(robot):
    robot.state.chmod(0o700)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    environment = {"OT_AUTH_SERVER_persistence_directory": robot.state}
    done = run("complete", "--", "user", "unlock", "", env=environment, prefix=nobody)
    assert (done.returncode, done.stdout, done.stderr) == (0, "words\n", "")
