"""A checkout to run make in, and stubs of the programs that would change the machine."""

import os
import shutil
import subprocess

import pytest

from support import ROOT

# What make's recipes and the scripts call and what is the same everywhere.
ORDINARY = ("bash", "dirname", "env", "git", "id", "make", "sh", "timeout")
# With these, a make that a test runs would act as a sub-make of the one that runs the tests, or as in CI.
FOREIGN = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "CI")


class Desk:
    """A copy of this checkout without anything built, and programs that come first in the path."""

    def __init__(self, folder):
        self.checkout = folder / "checkout"
        subprocess.run(["git", "clone", "--quiet", ROOT, self.checkout], check=True)
        shutil.copy2(ROOT / "Makefile", self.checkout)
        shutil.copytree(ROOT / ".ci", self.checkout / ".ci", dirs_exist_ok=True)
        self.tools = folder / "tools"
        self.tools.mkdir()
        self.path = f"{self.tools}:{os.environ['PATH']}"

    def stub(self, name, script="exit 1", folder=None):
        """Writes a program; always a new file, so that nothing is written through a link."""
        path = (folder or self.tools) / name
        with open(path, "x") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def hide_the_rest(self):
        """Takes everything out of the path but the stubs and what is ordinary."""
        for name in ORDINARY:
            self.stub(name, f'exec {shutil.which(name)} "$@"')
        self.path = str(self.tools)

    def run(self, *command, **environment):
        """Runs a command, and returns its exit status and what it prints."""
        done = subprocess.run(
            command,
            cwd=self.checkout,
            env={**os.environ, "PATH": self.path, **environment},
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout


@pytest.fixture(autouse=True)
def as_a_developer(monkeypatch):
    """Runs each test as if a developer had typed its commands."""
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)
