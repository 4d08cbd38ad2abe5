"""Command line and environment."""

import subprocess

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
    assert arguments[0] in done.stderr or arguments[-1] in done.stderr


def test_bad_environment_exits_2_and_names_the_rule():
    done = run(env={"OT_AUTH_SERVER_port": "many"})
    assert done.returncode == 2 and "many" in done.stderr and "--port" in done.stderr


def test_environment_is_read(serve, tmp_path):
    path = tmp_path / "auth.sock"
    serve(env={"OT_AUTH_SERVER_uds": str(path), "OT_AUTH_SERVER_uds_mode": "0600"}).wait_ready()
    assert request(path, "GET", "/auth/hello").status == 200


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


def test_number_of_workers_is_used(serve):
    assert "with 3 workers" in serve("--workers", 3).wait_ready().log


def test_kept_completions_and_manual_page_are_those_of_this_version():
    name = "opentrons-auth-server"
    for arguments, file in (
        (["man"], f"man/{name}.1"),
        (["completions", "bash"], f"completions/{name}.bash"),
        (["completions", "fish"], f"completions/{name}.fish"),
        (["completions", "zsh"], f"completions/_{name}"),
    ):
        assert run(*arguments).stdout == (FILES / file).read_text(), "run make generate"


def test_bash_takes_the_completions():
    script = f"""
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
    """The Python server's newest unit sets it; an image may go on setting it for ours."""
    server = serve(env={"OT_AUTH_SERVER_robot_server_uds": "/run/aiohttp.sock"}).wait_ready()
    assert server.request("GET", "/auth/hello").status == 200
    assert "robot_server" not in server.log and "aiohttp" not in server.log
    assert server.stop() == 0
