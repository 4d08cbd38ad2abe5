"""Missing tools: what is installed, what is said, what is skipped, and which engine runs containers."""

import shutil
import subprocess
import sys

import pytest

from support import ROOT

NEED = ".ci/need"
# Two tools whose packages in Debian have other names.
TOOLS = ("qemu-aarch64", "makeinfo")


def test_missing_tools_are_installed_with_apt(desk):
    desk.hide_the_rest()
    desk.stub("apt-get", f'echo "apt-get $*" >>{desk.tools}/calls')
    desk.stub("sudo", '[ "$1" != -n ] || shift; "$@"')
    status, printed = desk.run(NEED, *TOOLS)
    assert (status, printed) == (0, "installing qemu-user texinfo\n")
    calls = (desk.tools / "calls").read_text().splitlines()
    assert calls[-1].startswith("apt-get install") and calls[-1].endswith(" qemu-user texinfo")


def test_with_apt_that_fails_says_what_to_type(desk):
    desk.hide_the_rest()
    for name in "apt-get", "sudo":
        desk.stub(name)
    status, printed = desk.run(NEED, *TOOLS)
    assert status == 64
    assert printed.splitlines()[-1] == (
        "missing: qemu-aarch64 makeinfo; to install: sudo apt-get install qemu-user texinfo"
    )


def test_without_apt_names_the_tools(desk):
    """As on Fedora or Arch, whose packages have other names than Debian's."""
    desk.hide_the_rest()
    status, printed = desk.run(NEED, *TOOLS, "debian-archive-keyring", "libz3.so.4")
    assert (status, printed) == (
        64,
        "missing: qemu-aarch64 makeinfo; to install: see your distribution's packages\n",
    )


def test_installs_of_cargo_say_what_they_do(desk):
    desk.hide_the_rest()
    desk.stub("cargo", "exit 101")
    status, printed = desk.run(NEED, "cargo-deny")
    command = "cargo install --locked cargo-deny@0.20.2"
    assert status == 64
    assert printed.splitlines() == [
        f"installing cargo-deny, which can take some minutes: {command}",
        f"missing: cargo-deny; to install: {command}",
    ]


def test_without_rust_says_where_to_get_it(desk):
    desk.hide_the_rest()
    status, printed = desk.run(NEED, "cargo")
    assert (status, printed) == (64, "missing: cargo; to install: see https://rustup.rs\n")


def test_what_is_there_is_not_installed(desk):
    desk.hide_the_rest()
    desk.stub("qemu-aarch64")
    assert desk.run(NEED, "qemu-aarch64") == (0, "")


@pytest.mark.parametrize(
    ("docker", "podman", "chosen", "engine"),
    [
        ("exit 0", True, None, "docker"),
        ("exit 1", True, None, "podman"),
        (None, True, None, "podman"),
        ("exit 0", False, None, "docker"),
        ("exit 0", True, "nerdctl", "nerdctl"),
    ],
)
def test_cross_takes_the_engine_that_runs(desk, docker, podman, chosen, engine):
    desk.hide_the_rest()
    desk.stub("cross", 'echo "cross $* with ${CROSS_CONTAINER_ENGINE-unset}"')
    if docker:
        desk.stub("docker", f'[ "$*" != info ] || {docker}')
    if podman:
        desk.stub("podman")
    status, printed = desk.run(
        "make", "cross", **({"CROSS_CONTAINER_ENGINE": chosen} if chosen else {})
    )
    target = "aarch64-unknown-linux-gnu"
    assert status == 0, printed
    assert f"cross build --locked --release --target {target} with {engine}\n" in printed


def test_cross_without_an_engine_says_what_is_missing(desk):
    desk.hide_the_rest()
    desk.stub("cross", "echo cross was called")
    desk.stub("docker")
    status, printed = desk.run("make", "cross")
    assert status == 2 and "cross was called" not in printed
    assert "cross: missing: podman, or docker with a running daemon; to install: " in printed


@pytest.mark.parametrize(
    ("apt", "how", "workers"),
    [
        (True, "sudo apt-get install chromium", "0"),
        (False, "see your distribution's packages", "2"),
    ],
)
def test_skipped_tests_are_listed_with_how_to_have_them(desk, apt, how, workers):
    desk.hide_the_rest()
    if apt:
        desk.stub("apt-get")
    status, printed = desk.run(
        *(sys.executable, "-m", "pytest", "-c", ROOT / "tests/pytest.ini", "-n", workers),
        *(
            "-p",
            "no:cacheprovider",
            "-k",
            "page and not commands",
            ROOT / "tests/service/test_docs.py",
        ),
    )
    assert status == 0, printed
    *_, skipped, summary = printed.splitlines()
    tests = summary.split(" skipped")[0].split()[-1]
    assert int(tests) > 1
    assert skipped == f"skipped: test_docs.py ({tests} tests): chromium is not installed: {how}"
    assert "SKIPPED" not in printed


def test_a_single_skipped_test_is_named(desk):
    desk.hide_the_rest()
    test = desk.checkout / "tests/test_alone.py"
    test.write_text('import pytest\n\ndef test_alone():\n    pytest.skip("mounting needs root")\n')
    for name in "conftest.py", "skips.py", "support.py", "pytest.ini":
        shutil.copy2(ROOT / "tests" / name, desk.checkout / "tests")
    _, printed = desk.run(sys.executable, "-m", "pytest", "-c", "tests/pytest.ini", test)
    how = 'sudo --preserve-env=HOME env "PATH=$PATH" make test'
    assert f"\nskipped: test_alone: mounting needs root: {how}\n" in printed


def test_make_alone_groups_its_targets():
    shown = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    groups = dict(part.split("\n", 1) for part in shown.strip().split("\n\n"))
    names = {
        group: [line.split()[0] for line in lines.strip().splitlines()]
        for group, lines in groups.items()
    }
    assert next(iter(names)) == "Run" and names["Run"][0] == "run"
    assert "lint" in names["Check and generate"] and "build-aarch64" in names["Build"]
    assert all(line.startswith("  ") for lines in groups.values() for line in lines.splitlines())
