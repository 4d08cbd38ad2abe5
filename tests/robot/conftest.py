"""Virtual robots, and programs that tests install on them."""

import subprocess

import pytest

import virtual_robot
from support import mark_tests


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    mark_tests(items, virtual_robot.HERE, "robot", virtual_robot.missing())


@pytest.fixture(scope="session")
def probe(tmp_path_factory):
    """The program probe.rs, compiled for the robot."""
    binary = tmp_path_factory.mktemp("probe") / "probe"
    subprocess.run(
        [
            *("rustc", "--edition=2021", "--target=aarch64-unknown-linux-gnu", "-Copt-level=s"),
            *("-Clinker=aarch64-linux-gnu-gcc", "-Cstrip=symbols", "-o", binary),
            virtual_robot.HERE / "probe.rs",
        ],
        check=True,
    )
    return binary


@pytest.fixture(scope="module")
def robot(tmp_path_factory, probe):
    """A booted robot with the probe at /data/probe-program."""

    def change(root):
        virtual_robot.call("install", "-m", "0755", probe, root / "data/probe-program")

    robot = virtual_robot.Robot(tmp_path_factory.mktemp("robot"), change=change).boot()
    assert robot.wait_booted() == "running", robot("systemctl --failed", check=False)
    yield robot
    robot.cut()
