"""The tool opentrons-disable-crs, in a mount namespace with a /var and servers of the test's
own."""

import os
import subprocess

import pytest

from support import FILES, PATIENCE

SERIAL = "FLXA0000000000001"
# $1: directory to mount at /var; $2: directory with a systemctl that prints its arguments.
ENTER = 'mount --bind "$1" /var && PATH="$2:$PATH" exec "$3"'

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root, for a mount namespace")


class Robot:
    def __init__(self, folder):
        self.var = folder / "var"
        self.bin = folder / "bin"
        for name in "opentrons-auth-server", "opentrons-audit-server", "opentrons-key-server":
            (self.var / "lib" / name / "folder").mkdir(parents=True)
            (self.var / "lib" / name / "folder/file").touch()
        (self.var / "serial").write_text(f"{SERIAL}\n")
        self.calls = folder / "calls"
        self.systemctl("exit 0")

    def systemctl(self, then):
        self.bin.mkdir(exist_ok=True)
        script = self.bin / "systemctl"
        script.write_text(
            f'#!/bin/sh\nstate=$(ls /var/lib | wc -l)\necho "$state $*" >>{self.calls}\n{then}\n'
        )
        script.chmod(0o755)

    def type(self, password):
        """Runs the tool with typed input, and returns its exit code and output."""
        command = ["unshare", "--mount", "sh", "-c", ENTER, "sh", self.var, self.bin]
        done = subprocess.run(
            [*command, FILES / "bin/opentrons-disable-crs"],
            input=password,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def called(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    @property
    def folders(self):
        return {path.name for path in (self.var / "lib").iterdir()}


@pytest.fixture
def robot(tmp_path):
    return Robot(tmp_path)


ALL = {"opentrons-auth-server", "opentrons-audit-server", "opentrons-key-server"}


def test_stops_both_servers_removes_their_state_and_reboots(robot):
    code, text = robot.type(f"{SERIAL}-0000\n")
    assert code == 0, text
    assert robot.called == [
        "3 stop opentrons-auth-server.* opentrons-audit-server.*",
        "1 reboot",
    ]
    assert robot.folders == {"opentrons-key-server"}
    assert SERIAL not in text


@pytest.mark.parametrize(
    "password",
    ["", "\n", "-0000\n", "0000\n", f"{SERIAL}\n", f"{SERIAL}-0000 \n", "*\n", "$serial-0000\n"],
)
def test_wrong_password_changes_nothing(robot, password):
    code, text = robot.type(password)
    assert (code, robot.called, robot.folders) == (1, [], ALL)
    assert text.endswith("wrong password: nothing was changed\n")


@pytest.mark.parametrize("serial", ["", "\n", None])
def test_robot_without_a_serial_number_has_no_password(robot, serial):
    """Otherwise everybody would know the password."""
    if serial is None:
        (robot.var / "serial").unlink()
    else:
        (robot.var / "serial").write_text(serial)
    code, text = robot.type("-0000\n")
    assert (code, robot.called, robot.folders) == (1, [], ALL)
    assert text.endswith("nothing was changed\n")


def test_servers_that_do_not_stop_keep_their_state(robot):
    robot.systemctl("exit 1")
    code, text = robot.type(f"{SERIAL}-0000\n")
    assert (code, len(robot.called), robot.folders) == (1, 1, ALL)
    assert text.endswith("cannot stop the servers: nothing was removed\n")
