"""push-ot3 against hosts that it must refuse: a real ssh server on this machine's loopback
interface.

The server runs in a mount namespace of its own, in which a test can change how the host identifies
itself. Behaviour on a robot is tested by `make test-robot`.
"""

import os
import shlex
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager

import pytest

from support import BINARY, LAYER, PATIENCE, ROOT, free_port, wait_for

DROPBEAR = shutil.which("dropbear", path=f"{os.environ['PATH']}:/usr/sbin")
needs_ssh_server = pytest.mark.skipif(
    not DROPBEAR or os.getuid() != 0,
    reason="needs root" if DROPBEAR else "dropbear is not installed",
)
AARCH64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00"
FLEX = '{"robot_type": "OT-3 Standard"}'
# $1: directory with root's .ssh and, optionally, uname and VERSION.json; $2: dropbear; $3: port.
ENTER = """
mount -t tmpfs none /root
cp -r "$1/ssh" /root/.ssh
chmod -R go= /root /root/.ssh
[ ! -e "$1/uname" ] || mount --bind "$1/uname" "$(readlink -f /usr/bin/uname)"
if [ -e "$1/VERSION.json" ]; then
    cp -a /etc/. "$1/etc"
    cp "$1/VERSION.json" "$1/etc/"
    mount --bind "$1/etc" /etc
fi
exec "$2" -F -E -r "$1/host_key" -p "127.0.0.1:$3"
"""


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@contextmanager
def host(folder, key, machine=None, version=None):
    """Starts an ssh server that accepts `key`, and yields its port. `machine`: output of uname;
    `version`: content of /etc/VERSION.json."""
    for name in ("ssh", "etc"):
        (folder / name).mkdir()
    shutil.copy(f"{key}.pub", folder / "ssh/authorized_keys")
    subprocess.run(
        ["dropbearkey", "-t", "ed25519", "-f", folder / "host_key"], check=True, capture_output=True
    )
    if machine:
        (folder / "uname").write_text(f"#!/bin/sh\necho {machine}\n")
        (folder / "uname").chmod(0o755)
    if version:
        (folder / "VERSION.json").write_text(version)
    port = free_port()
    with open(folder / "sshd-log", "wb") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-euc", ENTER, "sh", folder, DROPBEAR, str(port)],
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: "Not backgrounding" in (folder / "sshd-log").read_text(), "sshd is up")
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def push(binary, host="127.0.0.1", key=None, port=None, directory=""):
    """Runs push-ot3, and returns its exit code and the last line of its output. `directory`: the
    binary of opentrons-auth-directory."""
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    if port:
        options += f" -p {port}"
    done = subprocess.run(
        [LAYER / "scripts/push-ot3", host, binary, key or "", options, directory],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
    )
    assert not done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("push-ot3: ")]
    assert line == done.stderr.splitlines()[-1]
    return done.returncode, line.removeprefix("push-ot3: ")


@pytest.fixture
def binary(tmp_path):
    """A file that begins like an aarch64 binary."""
    path = tmp_path / "binary"
    path.write_bytes(AARCH64)
    return path


def test_host_must_be_given():
    done = subprocess.run(
        ["make", "-s", "-C", ROOT, "push-ot3"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "make push-ot3 host=ADDRESS" in done.stderr


def test_missing_key_file_is_named(binary):
    assert push(binary, key="/no/such/key") == (1, "key file not found: /no/such/key")


def test_binary_of_another_architecture_is_refused():
    if BINARY.read_bytes()[18:20] == b"\xb7\x00":
        pytest.skip("this machine is an aarch64 itself")
    assert push(BINARY) == (1, f"{BINARY} is not built for aarch64: the robot cannot run it")


def test_second_binary_is_checked_too(binary, tmp_path):
    other = tmp_path / "other"
    assert push(binary, directory=other) == (1, f"binary not found: {other}")
    other.write_bytes(AARCH64[:18] + b"\x3e\x00")  # EM_X86_64
    refused = f"{other} is not built for aarch64: the robot cannot run it"
    assert push(binary, directory=other) == (1, refused)


@pytest.mark.parametrize(
    ("variables", "pushed"),
    [
        ([], ["target/{}/release/opentrons-auth-server", ""]),
        (["DIRECTORY=1"], ["target/{}/release/opentrons-auth-server", "target/{}/release/{}"]),
        (["BINARY=one", "DIRECTORY_BINARY=two"], ["one", "two"]),
        (["BINARY=one", "DIRECTORY=1"], ["one", "target/{}/release/{}"]),
    ],
)
def test_second_binary_is_pushed_if_it_is_asked_for(variables, pushed):
    """What `make` runs, and that it builds what no variable names."""
    command = ["make", "-n", "-C", ROOT, "push-ot3", "host=robot", *variables]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    target, name = "aarch64-unknown-linux-gnu", "opentrons-auth-directory"
    (line,) = [line for line in said.splitlines() if "scripts/push-ot3" in line]
    expected = [each.format(target, name) for each in pushed]
    assert shlex.split(line)[1:] == ["robot", expected[0], "", "", expected[1]]
    directory = f"--bin {name}"
    assert (directory in said) == (expected[1].startswith("target/"))


def test_unreachable_host_is_named(binary):
    """The message also names possible causes, and what to do at the serial console."""
    code, line = push(binary, port=free_port())
    assert code == 1
    assert line.startswith("cannot reach root@127.0.0.1: ") and "refused; " in line
    assert "if access control is on, the robot refuses ssh" in line
    assert "opentrons-auth-server access-control disable" in line
    assert "touch /etc/opentrons-allow-remote-access" in line


def test_host_that_closes_the_connection_may_have_access_control_on(binary):
    """As on a robot: the socket accepts the connection, but no ssh server is started for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def close():
            connection, _ = listening.accept()
            connection.close()

        threading.Thread(target=close, daemon=True).start()
        code, line = push(binary, port=listening.getsockname()[1])
    assert code == 1
    assert "; if access control is on, the robot refuses ssh" in line


@needs_ssh_server
def test_unknown_key_is_refused(binary, key, tmp_path):
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    with host(tmp_path, key) as port:
        code, line = push(binary, key=other, port=port)
    assert code == 1
    assert line.startswith("cannot reach root@127.0.0.1: ") and "Permission denied" in line
    assert "access control" not in line


@needs_ssh_server
@pytest.mark.parametrize(
    ("machine", "version", "reason"),
    [
        ("x86_64", FLEX, "127.0.0.1 is x86_64, but a Flex is aarch64: nothing was changed"),
        ("armv7l", '{"robot_type": "OT-2 Standard"}', "127.0.0.1 is armv7l, but a Flex is aarch64"),
        ("aarch64", '{"robot_type": "OT-2 Standard"}', "127.0.0.1 is not a Flex"),
        ("aarch64", None, "127.0.0.1 is not a Flex"),
    ],
)
def test_host_that_is_no_flex_is_refused(binary, key, tmp_path, machine, version, reason):
    with host(tmp_path, key, machine, version) as port:
        code, line = push(binary, key=key, port=port)
    assert code == 1
    assert line.startswith(reason)
