"""Command line options and environment variables."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from support import BINARY, FILES, free_port, request, run

OPTIONS = {
    "--uds": ("OT_AUTH_SERVER_uds", None),
    "--uds-mode": ("OT_AUTH_SERVER_uds_mode", "0660"),
    "--host": ("OT_AUTH_SERVER_host", "127.0.0.1"),
    "--port": ("OT_AUTH_SERVER_port", "0"),
    "--log-level": ("OT_AUTH_SERVER_log_level", "info"),
    "--persistence-directory": ("OT_AUTH_SERVER_persistence_directory", None),
    "--workers": ("OT_AUTH_SERVER_workers", "one per CPU, at most 4"),
}


def test_help_shows_variable_and_default_of_each_option():
    text = " ".join(run("--help").stdout.split())
    for option, (variable, default) in OPTIONS.items():
        assert option in text and f"[env: {variable}=" in text
        if default:
            assert f"[default: {default}" in text, option


def test_version_tells_commit_and_target():
    import re

    assert re.fullmatch(
        r"opentrons-auth-server \d+\.\d+\.\d+ \(git \w+, \w+-\S+\)\n",
        run("--version").stdout,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["--port", "65536"],
        ["--port", "http"],
        ["--log-level", "loud"],
        ["--workers", "0"],
        ["--workers", "65"],
        ["--uds-mode", "0999"],
        ["--uds-mode", "1777"],
        ["--uds", "/tmp/x", "--port", "1"],
        ["--uds", "/tmp/x", "--host", "localhost"],
        ["completions", "tcsh"],
        ["extra"],
    ],
)
def test_bad_arguments_exit_2_and_name_the_argument(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    named = arguments[0] if arguments[0].startswith("--") else arguments[-1]
    assert named in done.stderr.splitlines()[0]


def test_bad_environment_exits_2_and_names_the_rule():
    done = run(env={"OT_AUTH_SERVER_port": "many"})
    assert done.returncode == 2 and "many" in done.stderr and "--port" in done.stderr


def test_environment_is_read(serve, tmp_path):
    path, state, port = tmp_path / "auth.sock", tmp_path / "state", free_port()
    common = {"persistence_directory": state, "log_level": "debug", "workers": 3}
    own = {"uds": path, "uds_mode": "0600"}, {"host": "127.0.0.2", "port": port}
    # Fails if an option is missing from this test.
    assert {*common, *own[0], *own[1]} == {
        variable.removeprefix("OT_AUTH_SERVER_") for variable, _ in OPTIONS.values()
    }
    for options, address in zip(own, (path, ("127.0.0.2", port)), strict=True):
        env = {f"OT_AUTH_SERVER_{name}": str(value) for name, value in (common | options).items()}
        server = serve(env=env).wait_ready()
        assert request(address, "GET", "/auth/hello").status == 200
        server.wait_log("DEBUG .* GET /auth/hello")
        assert workers(server) == 3
        assert server.stop() == 0
        shutil.rmtree(state)
    server = serve(env={f"OT_AUTH_SERVER_{name}": str(value) for name, value in own[0].items()})
    server.wait_ready()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_command_line_wins_over_the_environment(serve, tmp_path):
    port, path = free_port(), tmp_path / "auth.sock"
    env = {"OT_AUTH_SERVER_port": "1", "OT_AUTH_SERVER_uds": str(path)}
    assert serve("--port", port, env=env).wait_ready().port == port
    assert not path.exists()
    serve("--uds", path, env={"OT_AUTH_SERVER_port": "1"}).wait_ready()
    assert path.exists()


def test_uds_and_port_in_the_environment_are_refused(tmp_path):
    done = run(
        env={
            "OT_AUTH_SERVER_port": "1",
            "OT_AUTH_SERVER_uds": str(tmp_path / "auth.sock"),
        }
    )
    assert done.returncode == 2 and "--uds cannot be used with" in done.stderr


def workers(server):
    """Returns the number of worker threads of a server."""
    names = Path(f"/proc/{server.process.pid}/task").glob("*/comm")
    return sum(name.read_text().startswith("actix-rt") for name in names)


@pytest.mark.parametrize("number", [1, 3])
def test_number_of_workers_is_used(serve, number):
    server = serve("--workers", number).wait_ready()
    assert workers(server) == number
    assert f"with {number} workers" in server.log


def test_kept_completions_and_manual_page_are_those_of_this_version():
    name = "opentrons-auth-server"
    for arguments, file in (
        (["man"], f"man/{name}.8"),
        (["completions", "bash"], f"completions/{name}.bash"),
        (["completions", "fish"], f"completions/{name}.fish"),
        (["completions", "zsh"], f"completions/_{name}"),
    ):
        assert run(*arguments).stdout == (FILES / file).read_text(), "run make generate"


def test_bash_takes_the_completions(tmp_path):
    (tmp_path / "opentrons-auth-server").symlink_to(BINARY)
    script = f"""
        PATH={tmp_path}:$PATH
        source {FILES}/completions/opentrons-auth-server.bash
        COMP_WORDS=(opentrons-auth-server --log-level '') COMP_CWORD=2
        _opentrons-auth-server opentrons-auth-server '' --log-level
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["debug", "info", "warning", "error"]


def test_full_standard_output_is_an_error():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [BINARY, "man"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1 and "cannot write to standard output" in done.stderr


def test_variable_of_the_robots_unit_that_is_not_known_is_ignored(serve):
    """The Python server's newest unit sets the variable, and an image may still set it for this
    server."""
    server = serve(env={"OT_AUTH_SERVER_robot_server_uds": "/run/aiohttp.sock"}).wait_ready()
    assert server.request("GET", "/auth/hello").status == 200
    assert "robot_server" not in server.log and "aiohttp" not in server.log
    assert server.stop() == 0
