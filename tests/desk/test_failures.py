"""Whatever target fails, the last line says what to do."""

import os
import re
import signal
import subprocess

import pytest

from support import PATIENCE, ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^\.PHONY: (\S+)$", MAKEFILE, re.MULTILINE)
OF_VENV = ("oelint-adv", "pip", "pytest", "python", "ruff", "zizmor")
WHAT_TO_DO = re.compile(
    r"make (?P<target>\S+): failed, as said above; (?P<advice>.+)|.*; to install: .+|.*make build.*"
    r"|.*usage: make .+|make: there is no target \S+; the targets are listed by: make"
)


def last_line(printed):
    """Returns the last line but for make's own."""
    return [
        line for line in printed.splitlines() if not re.match(r"make(\[\d+\])?:.*\*\*\*", line)
    ][-1]


def fail(desk, *arguments):
    """Runs a target with tools of which each fails, and returns what it prints."""
    for name in (
        "apt-get",
        "cargo",
        "cross",
        "docker",
        "podman",
        "python3",
        "rm",
        "rustup",
        "sudo",
    ):
        desk.stub(name, f"echo {name} has failed >&2; exit 101")
    programs = desk.checkout / ".venv/bin"
    programs.mkdir(parents=True)
    for name in OF_VENV:
        desk.stub(name, f"echo {name} has failed >&2; exit 3", programs)
    for stamp in ".venv/.stamp", ".venv/node/.stamp", ".venv/peer/.stamp":
        (desk.checkout / stamp).parent.mkdir(exist_ok=True)
        (desk.checkout / stamp).touch()
    status, printed = desk.run("make", *arguments)
    assert status == 2, printed
    return printed


def test_there_are_targets():
    assert {"run", "test", "lint", "clean"} < set(TARGETS)


@pytest.mark.parametrize("target", sorted({*TARGETS, "tset"} - {"help"}))
def test_last_line_says_what_to_do(desk, target):
    printed = fail(desk, target)
    assert WHAT_TO_DO.fullmatch(last_line(printed)), printed
    assert printed.count("failed, as said above") <= 1, "once, though make calls itself"


def test_advice_fits_the_target(desk):
    said = WHAT_TO_DO.fullmatch(last_line(fail(desk, "build")))
    assert said["target"] == "build"
    assert "compiler" in said["advice"]


def test_failed_make_of_make_is_said_once(desk):
    """As in `make bench`, whose tools need not be installed here."""
    desk.checkout.joinpath("Makefile").write_text(
        MAKEFILE + "\nouter:\n\t$(MAKE) build || exit 64\n"
    )
    printed = fail(desk, "outer")
    assert last_line(printed).startswith("make build: failed"), printed
    assert printed.count("failed, as said above") == 1


def test_ctrl_c_is_no_failure(desk):
    """Though the command that it ends does not exit with 0."""
    desk.stub("cargo", "trap 'exit 2' INT; echo started; while :; do sleep 1; done")
    with subprocess.Popen(
        ["make", "build"],
        cwd=desk.checkout,
        env={**os.environ, "PATH": desk.path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as make:
        while make.stdout.readline() != "started\n":
            assert make.poll() is None
        os.killpg(make.pid, signal.SIGINT)
        printed, _ = make.communicate(timeout=PATIENCE)
    assert "failed" not in printed, printed


def test_failed_download_of_python_packages_says_so(desk):
    desk.stub("python3", "exit 0")
    desk.stub("pip", "echo no network >&2; exit 1", folder_of(desk))
    status, printed = desk.run("make", "format")
    assert status == 2
    said, *_ = printed.splitlines()
    assert said.startswith("installing the Python packages"), printed
    assert "no network" in printed
    assert last_line(printed).startswith("make .venv/.stamp: failed"), printed


def folder_of(desk):
    """The virtual environment's programs."""
    programs = desk.checkout / ".venv/bin"
    programs.mkdir(parents=True)
    return programs
