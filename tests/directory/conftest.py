"""A directory, and the process that asks it: `make test-directory`."""

import shutil
from pathlib import Path

import pytest

import network
import slapd
from api import PASSWORD
from broken_servers import Silent
from certificates import Authority
from directory_client import BINARY, DirectoryProcess, configuration
from robots import clocks, later, make_robot, robot  # noqa: F401 - fixtures
from support import mark_tests, wait_for

HERE = Path(__file__).parent
# None of them may be in a log or in an answer.
SECRETS = (PASSWORD, slapd.ROBOT_PASSWORD)


def missing():
    """Returns why the tests cannot run, or None."""
    if not slapd.SLAPD:
        return "slapd is not installed"
    if not shutil.which("ldapmodify"):
        return "ldap-utils is not installed"
    if not BINARY.exists():
        return "there is no opentrons-auth-directory: make test-directory"
    return network.missing("test-directory")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    mark_tests(items, HERE, "directory", missing())


pytest_runtest_protocol = network.tests_run_inside(HERE)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """The certificate authority that the robot is configured with."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def certificate(authority):
    """A certificate of the servers on this machine."""
    return authority.issue("localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def lab(tmp_path_factory, certificate):
    """A directory with sample people. Tests that change a person make one of their own."""
    server = slapd.Slapd(tmp_path_factory.mktemp("slapd"), certificate, slapd.SAMPLE)
    server.create().start()
    yield server
    server.kill()


@pytest.fixture
def newcomer(lab):
    """Returns a function that adds a person, by default to the users, and returns the name."""
    return lab.newcomer


@pytest.fixture(scope="module")
def providers(tmp_path_factory, authority, certificate):
    """Two directories that replicate to each other, and begin with the sample people. Tests start again
    what they stop."""
    folders = [tmp_path_factory.mktemp("provider") for _ in range(2)]
    one = slapd.Slapd(folders[0], certificate, slapd.SAMPLE, number=1)
    two = slapd.Slapd(folders[1], certificate, number=2)
    one.create(other=two, ca=authority).start()
    two.create(other=one, ca=authority).start()
    wait_for(lambda: two.has(slapd.USERS, "member", slapd.dn_of("grace")), "the data is replicated")
    yield one, two
    for server in one, two:
        server.kill()


@pytest.fixture
def listener():
    """A server that nobody has a reason to connect to."""
    server = Silent()
    yield server
    server.close()


@pytest.fixture
def process(tmp_path):
    """The process, which has logged no secret at the end."""
    process = DirectoryProcess(tmp_path)
    yield process
    process.end(SECRETS)


@pytest.fixture
def settings(authority, lab):
    """Returns a function that returns the configuration of the directory, with changes."""

    def settings(ca=authority.pem, servers=(lab.ldaps,), **changes):
        return configuration(slapd.SETTINGS, ca, servers, **changes)

    return settings


@pytest.fixture
def robot_settings(authority, lab):
    return slapd.SETTINGS | {"ca": authority.pem, "servers": [lab.ldaps]}


@pytest.fixture
def ask(process, settings):
    """Returns a function that asks the directory by an operation and returns the answer."""
    return lambda operation, **changes: process.ask(settings(**changes), operation)
