"""`make push-ot3` to a booted robot whose service is running."""

import hashlib
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress

import pytest

from support import ROOT, as_in_readme, free_port, request, wait_for
from test_restart import Load
from virtual_robot import BINARY, DIRECTORY, DIRECTORY_BINARY, UNIT, call

PUSH_PATIENCE = 180
HALF_WAY = 500_000  # bytes, of a binary of two million
PUSH_UNIT = "opentrons-auth-server-push"


def push(robot, binary=BINARY, port=None, known_hosts=None, directory=None):
    """Runs `make push-ot3`, and returns its exit code and its line of output. `directory`: the binary
    of opentrons-auth-directory, which is not pushed otherwise."""
    port = port or robot.ports[22]
    known_hosts = known_hosts or robot.known_hosts
    options = f"-p {port} -o UserKnownHostsFile={known_hosts}"
    _, *words = as_in_readme("make push-ot3 host=ROBOT")
    command = ["make", "-s", "-C", ROOT]
    command += [word.replace("=ROBOT", "=127.0.0.1") for word in words]
    command += [f"ssh_key={robot.key}", f"ssh_opts={options}", f"BINARY={binary}"]
    if directory:
        command.append(f"DIRECTORY_BINARY={directory}")
    done = call(*command, check=False, timeout=PUSH_PATIENCE, stdin=subprocess.DEVNULL)
    said = [line for line in done.stdout.splitlines() + done.stderr.splitlines() if line]
    # The last lines are make's own: what to do, and "make: *** [...] Error 1".
    said = [line for line in said if not line.startswith(("make push-ot3: failed", "make: ***"))]
    (line,) = said
    return done.returncode, line.removeprefix("push-ot3: ")


def on_robot(robot):
    """Returns the SHA-256 digest of the installed binary."""
    return robot(f"sha256sum /usr/bin/{UNIT}").split()[0]


def digest(binary):
    return hashlib.sha256(binary.read_bytes()).hexdigest()


def assert_serves(robot, sha256):
    """Checks that this binary is installed and serving, that the root file system is read-only, and
    that no temporary files are left."""
    assert on_robot(robot) == sha256
    exe = f"/proc/{robot.show(UNIT, 'MainPID')}/exe"
    assert robot(f"sha256sum {exe}").split()[0] == sha256
    assert request(("127.0.0.1", robot.ports[31950]), "GET", "/auth/hello").status == 200
    options = robot("awk '$2 == \"/\" { print $4 }' /proc/mounts")
    assert "ro" in options.split(",")
    assert robot("find / -xdev -name '*.push-ot3-new'") == ""
    assert robot("systemctl --failed --no-legend --plain") == ""


@contextmanager
def stays(robot):
    """Checks that the same binary is serving before and after."""
    before = on_robot(robot)
    yield
    assert_serves(robot, before)


class Wire:
    """A TCP relay to the robot's ssh server that can be cut: after a number of bytes, or at any
    time."""

    def __init__(self, to, limit=None):
        self.limit = limit
        self.sockets = []
        self.left = limit
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.to = to
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            self.sockets += [near, far]
            for one, other, counts in ((near, far, True), (far, near, False)):
                threading.Thread(target=self.copy, args=(one, other, counts), daemon=True).start()

    def copy(self, one, other, counts):
        try:
            while data := one.recv(65536):
                if counts and self.limit is not None:
                    self.left -= len(data)
                    if self.left < 0:
                        self.cut()
                        return
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        self.listening.close()
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def variant(tmp_path, byte):
    """Returns the server's binary with a byte appended: a different file with the same
    behaviour."""
    path = tmp_path / "variant"
    path.write_bytes(BINARY.read_bytes() + byte)
    return path


def test_upgrade_under_load_loses_nothing(robot, tmp_path, figures):
    binary = variant(tmp_path, b"1")
    with Load(robot.ports[31950]) as load:
        code, line = push(robot, binary)
    assert (code, load.failed) == (0, [])
    assert line.startswith(f"{UNIT} ") and line.endswith(" is running")
    assert_serves(robot, digest(binary))
    assert "push" not in robot("ls -A /var/tmp")
    figures(f"virtual robot: make push-ot3 under load: 0 of {load.requests} requests failed")


def test_directory_is_installed_only_together_with_the_server(robot, probe, tmp_path):
    """If the server does not start, the second process is gone again, too."""
    with stays(robot):
        code, line = push(robot, probe, directory=DIRECTORY_BINARY)
    assert code == 2 and line.endswith("; the old version is running")
    names = f"{DIRECTORY}.socket", f"{DIRECTORY}.service"
    assert robot(f"find / -xdev -name '{DIRECTORY}*' -not -path '/proc/*'") == ""
    assert robot.show(names[0], "ActiveState") == "inactive"
    assert push(robot, directory=DIRECTORY_BINARY)[0] == 0
    assert_serves(robot, digest(BINARY))
    assert robot.show(names[0], "ActiveState") == "active"
    assert robot(f"systemctl is-enabled {names[0]}") == "enabled"
    broken = tmp_path / "broken"
    broken.write_bytes(DIRECTORY_BINARY.read_bytes()[:1000])
    with stays(robot):
        refused = f"the new {DIRECTORY} does not run on the robot: nothing was changed"
        assert push(robot, directory=broken) == (2, refused)


def test_broken_binary(robot, tmp_path):
    binary = tmp_path / "broken"
    binary.write_bytes(BINARY.read_bytes()[:1000])
    with stays(robot):
        assert push(robot, binary) == (
            2,
            "the new binary does not run on the robot: nothing was changed",
        )


def test_binary_that_does_not_serve(robot, probe):
    with stays(robot):
        assert push(robot, probe) == (
            2,
            "the new version does not start; the old version is running",
        )


def test_full_disk(robot, tmp_path):
    robot(
        "mount -o remount,rw /; dd if=/dev/zero of=/fill bs=64k 2>/dev/null; mount -o remount,ro /"
    )
    with stays(robot):
        code, line = push(robot, variant(tmp_path, b"2"))
    assert code == 2
    assert line.startswith("cannot write /") and line.endswith(
        ": is the disk full?; the old version is running"
    )
    robot("mount -o remount,rw / && rm /fill; sync; mount -o remount,ro /")


def test_full_state_disk(robot, tmp_path):
    robot("dd if=/dev/zero of=/var/fill bs=64k 2>/dev/null", check=False)
    with stays(robot):
        code, line = push(robot, variant(tmp_path, b"2"))
    robot("rm /var/fill")
    assert code == 2
    assert line.startswith("copying to 127.0.0.1 failed (") and line.endswith(
        "): nothing was changed"
    )


def test_connection_lost_while_copying(robot, tmp_path):
    wire = Wire(robot.ports[22], HALF_WAY)
    with stays(robot):
        code, line = push(robot, variant(tmp_path, b"3"), port=wire_port(robot, wire))
    assert code == 2
    assert line.startswith("copying to 127.0.0.1 failed (") and line.endswith(
        "): nothing was changed"
    )


def test_connection_lost_while_exchanging(robot, tmp_path):
    """The robot completes the exchange on its own."""
    binary = variant(tmp_path, b"4")
    wire = Wire(robot.ports[22])
    results = []
    port = wire_port(robot, wire)
    pushing = threading.Thread(target=lambda: results.append(push(robot, binary, port=port)))
    pushing.start()
    wait_for(
        lambda: robot.show(PUSH_UNIT, "ActiveState") in ("active", "activating"),
        "the exchange has begun",
        PUSH_PATIENCE,
    )
    wire.cut()
    pushing.join(PUSH_PATIENCE)
    code, line = results[0]
    assert code == 2
    assert line.startswith("lost the connection to 127.0.0.1; the robot completes the installation")
    result = wait_for(
        lambda: robot("cat /var/tmp/opentrons-auth-server-push/result", check=False),
        "the robot ends the exchange",
        PUSH_PATIENCE,
    )
    assert result.startswith("ok: ")
    assert_serves(robot, digest(binary))


def wire_port(robot, wire):
    """The port of the relay, for which the robot's host key is known as well."""
    _, algorithm, key, *_ = robot.known_hosts.read_text().splitlines()[0].split()
    with open(robot.known_hosts, "a") as known:
        known.write(f"[127.0.0.1]:{wire.port} {algorithm} {key}\n")
    return wire.port


def test_wrong_host_key(robot, tmp_path):
    other = tmp_path / "other"
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
    public = other.with_suffix(".pub").read_text()
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{robot.ports[22]} {public}")
    with stays(robot):
        code, line = push(robot, known_hosts=known_hosts)
    assert code == 2
    assert line == "cannot reach root@127.0.0.1: Host key verification failed."


@pytest.fixture
def ot2(robot):
    """Makes the robot identify itself as an OT-2."""
    robot(
        'echo \'{"robot_type": "OT-2 Standard"}\' >/tmp/v && mount --bind /tmp/v /etc/VERSION.json'
    )
    yield
    robot("umount /etc/VERSION.json")


def test_ot2(robot, ot2):
    with stays(robot):
        code, line = push(robot)
    assert code == 2
    assert line.startswith("127.0.0.1 is not a Flex") and line.endswith("nothing was changed")


def test_robot_that_is_off(robot):
    code, line = push(robot, port=free_port())
    assert code == 2
    assert line.startswith("cannot reach root@127.0.0.1: ") and "refused" in line
