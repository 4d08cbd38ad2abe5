"""Builds under real BitBake: `make test-layer`."""

import tempfile
from pathlib import Path

import pytest

import oe_build
from support import mark_tests


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    mark_tests(items, oe_build.HERE, "bitbake", oe_build.missing())


@pytest.fixture(scope="session")
def bench():
    # Other users cannot enter pytest's own directory, and BitBake's socket needs a short path.
    with tempfile.TemporaryDirectory(prefix="oe-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield oe_build.Bench(folder)
