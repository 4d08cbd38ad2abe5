"""Samba's Active Directory, and the process that asks it: `make test-directory-ad`."""

import itertools
from pathlib import Path

import pytest

import samba_ad
from api import PASSWORD
from certificates import Authority
from directory_client import BINARY, DirectoryProcess, configuration
from support import mark_tests

HERE = Path(__file__).parent
# None of them may be in a log or in an answer.
SECRETS = (PASSWORD, samba_ad.ROBOT_PASSWORD)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    built = (
        None if BINARY.exists() else "there is no opentrons-auth-directory: make test-directory-ad"
    )
    mark_tests(items, HERE, "directory_ad", samba_ad.missing() or built)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def domain(tmp_path_factory, authority):
    """A domain with sample people. Tests that change a person make one of their own."""
    certificate = authority.issue("localhost", "127.0.0.1", f"dc1.{samba_ad.REALM}")
    domain = samba_ad.Domain(tmp_path_factory.mktemp("ad"), certificate, authority.file)
    domain.create().start()
    yield domain
    domain.kill()


_numbers = itertools.count()


@pytest.fixture
def newcomer(domain):
    """Returns a function that adds a person, by default to the users, and returns the name."""

    def add(*groups, **attributes):
        name = f"person{next(_numbers)}"
        domain.add(samba_ad.person(name, **attributes))
        for group in groups or (samba_ad.USERS,):
            domain.join(group, samba_ad.dn_of(name))
        return name

    return add


@pytest.fixture
def process(tmp_path, domain):
    """The process, which has logged no secret at the end."""
    process = DirectoryProcess(tmp_path, prefix=domain.inside)
    yield process
    process.end(SECRETS)


@pytest.fixture
def ask(process, authority):
    """Returns a function that asks the domain by an operation and returns the answer."""

    def ask(operation, **changes):
        settings = {
            "kind": "activeDirectory",
            "base": samba_ad.SUFFIX,
            "names": {"upnSuffix": samba_ad.REALM},
            "bindName": samba_ad.ROBOT,
            "bindPassword": samba_ad.ROBOT_PASSWORD,
            "fullNameAttribute": "displayName",
            "adminGroups": [samba_ad.ADMINS],
            "userGroups": [samba_ad.USERS],
            "auditorGroups": [samba_ad.AUDITORS],
            "servers": [samba_ad.URL],
        }
        return process.ask(configuration(authority.pem, **settings | changes), operation)

    return ask
