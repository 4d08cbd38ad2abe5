"""`make run`, as a developer runs it: real make, scripts and server."""

import os
import re
import shlex
import signal
import socket
import subprocess

import pytest

from support import PATIENCE, ROOT, free_port, readmes, running_make, wait_for

LISTENING = "listening on http"


def make_run(*variables):
    """Runs `make run` until it ends."""
    return subprocess.run(
        ["make", "run", *variables],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def until_it_listens(make):
    """Returns the lines that it prints until the server is ready."""
    said = []
    for line in make.stdout:
        said.append(line.rstrip("\n"))
        if LISTENING in line:
            return said
    raise AssertionError(said)


def command_of(said, word):
    """Returns the command that a line gives for a purpose, as a user would paste it."""
    return next(line for line in said if line.startswith(f"{word}: ")).split(": ", 1)[1]


def typed(command):
    """Runs a command in a developer's shell, and returns its output."""
    return subprocess.run(
        ["bash", "-c", command], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def variables(tmp_path):
    """A port that is free, and a new state directory."""
    return f"PORT={free_port()}", f"STATE={tmp_path / 'state'}"


def test_serves_on_the_port_given(variables):
    with running_make("run", *variables) as make:
        said = until_it_listens(make)
        assert f":{variables[0].removeprefix('PORT=')}" in said[-1]
        assert '"hello world"' in typed(command_of(said, "try").split("    (")[0])


def test_port_of_the_environment_is_another_programs(variables, monkeypatch):
    monkeypatch.setenv("PORT", "1")
    assert make_run("PORT=x").stderr.count('not "x"') == 1
    shown = subprocess.run(
        ["make", "--dry-run", "run"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert '"33950"' in shown.stdout


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "33950;id", "010"])
def test_refuses_what_is_no_port(port):
    done = make_run(f"PORT={port}")
    assert done.returncode != 0 and done.stdout == ""
    assert f'PORT is a number from 1 to 65535, not "{port}"' in done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_refuses_a_port_in_use_before_it_builds(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as other:
        other.bind((address, free_port()))
        other.listen()
        port = other.getsockname()[1]
        done = make_run(f"PORT={port}")
        assert done.returncode != 0 and done.stdout == "", "it has built or said what to try"
        refused, advice, *ends = done.stderr.splitlines()
        who = re.fullmatch(rf"run: port {port} is in use by (python\S*) \(process (\d+)\)", refused)
        assert who, done.stderr
        assert who[2] == str(os.getpid())
        assert re.fullmatch(
            rf"run: stop it, or take another port: make run PORT=(?!{port}$)\d+", advice
        )
        assert len(ends) == 1 and ends[0].startswith("make: ***")


def test_suggests_a_port_that_is_free():
    while True:
        port = free_port()
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            first.listen()
            second.listen()
            assert f"make run PORT={port + 2}\n" in make_run(f"PORT={port}").stderr
            return


@pytest.mark.parametrize("address", ["127.0.0.2", "::1"])
def test_another_address_with_that_port_does_not_matter(address, variables):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    port = variables[0].removeprefix("PORT=")
    with socket.socket(family) as other:
        other.bind((address, int(port)))
        other.listen()
        with running_make("run", *variables) as make:
            assert f":{port}" in until_it_listens(make)[-1]


def test_a_server_that_fails_to_start_ends_with_what_to_do(tmp_path):
    state = tmp_path / "file"
    state.touch()
    done = make_run(f"PORT={free_port()}", f"STATE={state}")
    assert "make run STATE=DIRECTORY" in done.stderr.splitlines()[-2], done.stderr


def test_ends_with_make(variables):
    """A terminated make takes the server along, which it alone can signal."""
    with running_make("run", *variables) as make:
        until_it_listens(make)
        make.send_signal(signal.SIGTERM)
        make.wait(PATIENCE)
        port = int(variables[0].removeprefix("PORT="))
        wait_for(lambda: not is_served(port), "the end of the server")


def is_served(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_demo_administrator_logs_in_as_printed(variables):
    for _ in "first", "again":
        with running_make("run", "DEMO=1", *variables) as make:
            said = until_it_listens(make)
            curl = command_of(said, "token")
            # The login that is printed is the one of the command.
            username, password = re.search(
                r"username (\S+), password (\S+), administrator", "\n".join(said)
            ).groups()
            assert f"username={username}" in shlex.split(curl)
            assert f"password={password}" in shlex.split(curl)
            assert '"access_token":' in typed(curl)
            users = command_of(said, "console")
            assert re.search(rf"^{username}\s.*admin", typed(users), re.MULTILINE)
            # Whatever becomes of the account, the next start makes the printed login valid.
            console = users.removesuffix("user list")
            typed(f"{console} user set {username} --account-type user")
            typed(f"{console} user reset-password {username}")
            typed(f"{console} user lock {username}")
            assert '"access_token":' not in typed(curl)


def test_no_administrator_unless_asked_for(variables):
    with running_make("run", *variables) as make:
        said = until_it_listens(make)
        assert not [line for line in said if line.startswith(("token:", "log in:"))]
        assert "demo" not in typed(command_of(said, "console"))


def test_console_reaches_the_state_as_printed_by_default():
    """Without STATE, as in the README."""
    with running_make("run", f"PORT={free_port()}") as make:
        command = command_of(until_it_listens(make), "console")
        assert f"`{command}`" in readmes()[0]
        assert " .state " in command
        typed(command)


def test_says_that_it_builds(desk, variables):
    desk.stub("cargo", "echo building >&2; exit 101")
    status, printed = desk.run("make", "run", *variables)
    said, built, advice, _ = printed.splitlines()
    assert status == 2
    assert said.startswith("run: building the server") and "minutes" in said
    assert built == "building"
    assert advice.startswith("make run: failed")
