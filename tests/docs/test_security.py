"""The security policy: every promise names tests, and these exist."""

import ast
import re

import pytest

from support import ROOT

POLICY = (ROOT / ".github" / "SECURITY.md").read_text()
PROMISES = re.findall(r"^\| (?!promise|---)(.*) \| (.*) \|$", POLICY, re.MULTILINE)


def named_in(cell):
    """Returns the file and the function of each test that a cell of the table names."""
    file = None
    for named in re.findall(r"`([^`]*)`", cell):
        path, _, function = named.partition("::")
        file = path or file
        yield file, function


def test_policy_makes_promises():
    assert len(PROMISES) > 20


@pytest.mark.parametrize("promise, cell", PROMISES, ids=[promise for promise, _ in PROMISES])
def test_promise_names_tests_that_exist(promise, cell):
    named = list(named_in(cell))
    assert named, "no test keeps this promise"
    for file, function in named:
        tree = ast.parse((ROOT / file).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert function in functions, f"{file} has no {function}"


def test_readme_links_the_policy():
    assert "(.github/SECURITY.md)" in (ROOT / "README.md").read_text()
