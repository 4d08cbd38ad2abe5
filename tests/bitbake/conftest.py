"""Builds under real BitBake: `make test-layer`."""

import tempfile
from pathlib import Path

import pytest

import oe_build


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    reason = oe_build.missing()
    for item in items:
        if oe_build.HERE in item.path.parents:
            item.add_marker(pytest.mark.bitbake)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def bench():
    # pytest's own folder is closed to other users, and BitBake's socket needs a short path.
    with tempfile.TemporaryDirectory(prefix="oe-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield oe_build.Bench(folder)
