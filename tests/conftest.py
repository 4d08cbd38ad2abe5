"""Fixtures shared by all black-box tests, and a hook that makes skipped tests fail in CI."""

import os

import pytest

import skips
from api import Api
from directory_process import DirectoryProcess
from support import Server, connection


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Makes skipped tests fail in CI, where every tool is installed."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture
def serve(tmp_path):
    """Returns a function that starts servers, as in `serve("--uds", path)`; all are stopped at the
    end."""
    servers = []

    def start(*arguments, **options):
        server = Server(*arguments, folder=tmp_path, **options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def server(serve):
    """A server that listens on a free TCP port and is ready."""
    return serve().wait_ready()


@pytest.fixture
def start(serve, tmp_path):
    """Returns a function that starts the server, every time with the same state, and returns its
    process and its API."""

    def start(*arguments, state=tmp_path / "state"):
        path = tmp_path / "auth.sock"
        server = serve("--uds", path, "--persistence-directory", state, *arguments)
        return server.wait_ready(), Api(path)

    return start


@pytest.fixture
def directory_process(tmp_path):
    """A stand-in for opentrons-auth-directory; its socket is `directory_process.path`."""
    process = DirectoryProcess(tmp_path / "directory.sock")
    yield process
    process.close()


_figures = []


@pytest.fixture
def figures():
    """Returns a function that records a line with measured figures, to print at the end of the
    run."""
    return _figures.append


def pytest_sessionfinish(session):
    """Sends the figures of a worker process to the one that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = _figures


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Receives the figures of a worker process that has ended."""
    _figures.extend(getattr(node, "workeroutput", {}).get("figures", []))


def pytest_terminal_summary(terminalreporter):
    if _figures:
        terminalreporter.section("figures")
        for line in _figures:
            terminalreporter.write_line(line)
    for line in skips.lines(terminalreporter.getreports("skipped")):
        terminalreporter.write_line(line)


@pytest.fixture
def connect(address):
    """Returns a function that opens a connection to the fixture `address`, sends bytes and returns
    the socket; all are closed at the end."""
    opened = []

    def connect(data=b""):
        client = connection(address)
        client.connect()
        opened.append(client.sock)
        client.sock.sendall(data)
        return client.sock

    yield connect
    for each in opened:
        each.close()
