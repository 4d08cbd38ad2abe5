"""What all black-box tests share: a server to talk to, and no skip that looks green."""

import os

import pytest
from api import Api
from support import Server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI everything is installed: there a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture
def serve(tmp_path):
    """Starts servers: `serve("--uds", path)`; all of them are stopped at the end."""
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
    """A server on a free TCP port that answers."""
    return serve().wait_ready()


@pytest.fixture
def start(serve, tmp_path):
    """Starts the server on the same state each time; returns its process and its API."""

    def start(*arguments, state=tmp_path / "state"):
        path = tmp_path / "auth.sock"
        server = serve("--uds", path, "--persistence-directory", state, *arguments)
        return server.wait_ready(), Api(path)

    return start


_figures = []


@pytest.fixture
def figures():
    """Takes measured figures as lines; the run ends by showing them."""
    return _figures.append


def pytest_terminal_summary(terminalreporter):
    if _figures:
        terminalreporter.section("figures")
        for line in _figures:
            terminalreporter.write_line(line)
