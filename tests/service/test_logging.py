"""Format of log lines for the journal and for a terminal, from the first line to the last."""

import os
import pty
import re

from support import run, wait_for


def journal(serve, tmp_path, *arguments, **env):
    """A server whose standard error is the journal, according to JOURNAL_STREAM."""
    path = tmp_path / "journal"
    file = open(path, "wb")  # noqa: SIM115 - the server keeps it
    status = os.fstat(file.fileno())
    server = serve(
        *arguments,
        stderr=file,
        env={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}", **env},
    )
    server.log_path = path
    return server


def test_journal_lines_have_a_priority_and_no_time(serve, tmp_path):
    server = journal(serve, tmp_path, "--log-level", "debug").wait_ready()
    server.request("GET", "/auth/hello")
    server.stop()
    lines = server.log.splitlines()
    assert all(re.match(r"<[3467]>", line) for line in lines), lines
    assert not any(re.search(r"\d\d:\d\d:\d\d", line) for line in lines)
    assert re.match(r"<6>opentrons-auth-server .* starting", lines[0])
    assert lines[-1] == "<6>stopped"
    assert any(line.startswith("<7>GET /auth/hello 200 ") for line in lines)


def test_errors_have_priority_3(serve, tmp_path):
    server = journal(serve, tmp_path, "--uds", "/nowhere/auth.sock")
    assert server.wait() == 1
    assert server.log.splitlines()[-1].startswith("<3>cannot listen on /nowhere/auth.sock: ")


def test_other_stream_is_not_the_journal(serve):
    server = serve(env={"JOURNAL_STREAM": "1:2"}).wait_ready()
    lines = server.log.splitlines()
    assert lines and all(re.match(r"\d{4}-\d\d-\d\dT", line) for line in lines)


def test_terminal_lines_have_time_level_and_target(serve):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb") as terminal:
        serve(stderr=terminal).wait_ready()
        line = os.read(ours, 4096).decode().splitlines()[0]
    os.close(ours)
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO +auth_server::daemon ", line)


def test_start_tells_version_state_and_address(serve, tmp_path):
    state = tmp_path / "state"
    log = serve("--persistence-directory", state).wait_ready().log
    assert re.search(r"opentrons-auth-server \d+\.\d+\.\d+ \(git \w+\) starting", log)
    assert f"state directory: {state}" in log
    assert "listening on http://127.0.0.1:" in log
    assert state.stat().st_mode & 0o777 == 0o700


def test_temporary_state_is_a_warning_and_goes_with_the_server(serve):
    server = serve().wait_ready()
    folder = re.search(r"WARN .* in the temporary directory (\S+): ", server.log)[1]
    assert os.path.isdir(folder)
    server.stop()
    assert not os.path.exists(folder)


def test_request_line_has_no_query(serve):
    server = serve("--log-level", "debug").wait_ready()
    server.request("GET", "/auth/nothing?token=verysecret")
    server.wait_log(r"DEBUG .* GET /auth/nothing 404 \d+\.\d ms")
    server.stop()
    assert "verysecret" not in server.log


def test_requests_are_not_logged_at_info(server):
    server.request("GET", "/auth/hello")
    server.stop()
    assert "/auth/hello" not in server.log


def test_watchdog_requests_are_not_logged(serve):
    server = serve("--log-level", "debug", env={"WATCHDOG_USEC": "100000"}).wait_ready()
    server.wait_message("WATCHDOG", "1")
    # A client's request, to show what a logged request looks like.
    server.request("GET", "/auth/nothing")
    server.wait_message("WATCHDOG", "1")
    server.stop()
    assert re.findall(r"[A-Z]+ (/\S*) \d{3} ", server.log) == ["/auth/nothing"]


def test_levels_filter(serve):
    server = serve("--log-level", "error", notify=True).wait_ready()
    server.stop()
    assert server.log == ""


def test_rust_log_refines(serve):
    server = serve(
        "--log-level", "error", env={"RUST_LOG": "auth_server::daemon=info"}
    ).wait_ready()
    assert "listening on" in server.log


def test_state_folder_errors_name_the_folder(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for path, reason in (
        (file, "not a directory"),
        (tmp_path / "a" / "b", "No such file"),
        ("/proc/x", "No such file"),
    ):
        done = run("--persistence-directory", path)
        assert done.returncode == 1
        assert f"cannot use the state directory {path}: " in done.stderr and reason in done.stderr


def test_control_characters_cannot_forge_a_line(tmp_path):
    done = run("--persistence-directory", f"{tmp_path}/x\n<3>forged/y")
    assert wait_for(lambda: "\\n<3>forged" in done.stderr, "escaped")
    assert len(done.stderr.splitlines()) == 2
