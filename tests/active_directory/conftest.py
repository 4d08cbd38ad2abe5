"""Samba's Active Directory, the process that asks it, and logins through it: `make test-directory-ad`."""

from pathlib import Path

import pytest

import network
import samba_ad
from api import PASSWORD
from certificates import Authority
from directory_client import BINARY, DirectoryProcess, configuration
from robots import clocks, later, make_robot, robot  # noqa: F401 - fixtures
from support import mark_tests

HERE = Path(__file__).parent
# None of them may be in a log or in an answer.
SECRETS = (PASSWORD, samba_ad.ROBOT_PASSWORD)


def missing():
    """Returns why the tests cannot run, or None."""
    if not BINARY.exists():
        return "there is no opentrons-auth-directory: make test-directory-ad"
    return samba_ad.missing() or network.missing("test-directory-ad")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    mark_tests(items, HERE, "directory_ad", missing())


pytest_runtest_protocol = network.tests_run_inside(HERE)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def domain(tmp_path_factory, authority):
    """A domain with sample people. Tests that change a person make one of their own, and start the domain
    again if they stop it."""
    certificate = authority.issue("localhost", "127.0.0.1", f"dc1.{samba_ad.REALM}")
    domain = samba_ad.Domain(tmp_path_factory.mktemp("ad"), certificate, authority.file)
    domain.create().start()
    domain.add(*samba_ad.SAMPLE)
    yield domain
    domain.kill()


@pytest.fixture
def newcomer(domain):
    """Returns a function that adds a person, by default to the users, and returns the name."""
    return domain.newcomer


@pytest.fixture
def robot_settings(authority, domain):
    return samba_ad.SETTINGS | {"ca": authority.pem, "servers": [samba_ad.URL]}


@pytest.fixture
def process(tmp_path, domain):
    """The process, which has logged no secret at the end."""
    process = DirectoryProcess(tmp_path)
    yield process
    process.end(SECRETS)


@pytest.fixture
def ask(process, authority):
    """Returns a function that asks the domain by an operation and returns the answer."""

    def ask(operation, servers=(samba_ad.URL,), **changes):
        settings = configuration(samba_ad.SETTINGS, authority.pem, servers, **changes)
        return process.ask(settings, operation)

    return ask
