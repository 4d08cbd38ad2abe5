"""The virtual robot: a Debian arm64 system laid out like the Flex, with the auth server on it,
under QEMU.

    virtual_robot.py

boots one with the binary that ROBOT_BINARY names, and keeps it running until Ctrl-C.
"""

import base64
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import LAYER, ROOT, free_port, installed, installed_directory, wait_for

HERE = Path(__file__).resolve().parent
BINARY = Path(
    os.environ.get("ROBOT_BINARY")
    or ROOT / "target/aarch64-unknown-linux-gnu/release/opentrons-auth-server"
)
DIRECTORY_BINARY = Path(
    os.environ.get("ROBOT_DIRECTORY_BINARY")
    or ROOT / "target/aarch64-unknown-linux-gnu/release/opentrons-auth-directory"
)
INCLUDE = LAYER / "dynamic-layers/webserver/recipes-httpd/nginx/files/include-auth-server"
UNIT = "opentrons-auth-server"
DIRECTORY = "opentrons-auth-directory"
# Address at which the robot reaches servers of this machine.
HOST = "10.0.2.100"
REMOTE_ACCESS = "opentrons-remote-access-allowed.service"
PROMPT = "console# "
# Timeout of an emulated boot on a busy machine.
BOOT_PATIENCE = 300.0
# Timeout of a command; the longest one does fifty restarts.
COMMAND_PATIENCE = 900.0
TOOLS = "qemu-system-aarch64", "mke2fs", "mmdebstrap", "dropbearkey", "ssh", "systemctl", "depmod"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def missing():
    """Returns why no virtual robot can run on this machine, or None."""
    tools = [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]
    if tools:
        return f"not installed: {', '.join(tools)}"
    if os.getuid() != 0:
        return "needs root, to make a root file system"
    if not BINARY.exists():
        return f"there is no {BINARY}: make build-aarch64"
    if not DIRECTORY_BINARY.exists():
        return f"there is no {DIRECTORY_BINARY}: make build-directory-aarch64"
    return None


def call(*command, **options):
    # A make that a test runs must not act as a sub-make of the one that runs the tests.
    of_make = "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"
    environment = {name: value for name, value in os.environ.items() if name not in of_make}
    environment["PATH"] = PATH
    options = {"check": True, "capture_output": True, "text": True, "env": environment, **options}
    return subprocess.run([str(part) for part in command], **options)  # noqa: PLW1510


class Serial:
    """A root shell on the robot's serial line."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.text = ""
        self.numbers = itertools.count()

    def send(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def expect(self, pattern, patience=COMMAND_PATIENCE):
        """Waits until the robot's new output matches, and returns the match."""
        deadline = time.monotonic() + patience
        while not (match := re.search(pattern, self.text)):
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                data = b""
            assert data, (pattern, self.text[-3000:])
            self.text += data.decode(errors="replace")
        self.text = self.text[match.end() :]
        return match

    def wait_shell(self):
        """Waits until the shell accepts commands."""
        self.expect(re.escape(PROMPT), BOOT_PATIENCE)

    def call(self, command):
        """Runs a command, and returns its exit code and output. Both directions are encoded,
        because the line echoes input and the kernel writes to it as well."""
        number = next(self.numbers)
        encoded = base64.b64encode(command.encode()).decode()
        self.send(
            f"echo {encoded} | base64 -d >/run/typed; sh /run/typed >/run/printed 2>&1 </dev/null; "
            f'echo "<{number}:$?:$(base64 -w0 /run/printed)>"'
        )
        match = self.expect(rf"<{number}:(\d+):([A-Za-z0-9+/=]*)>")
        return int(match[1]), base64.b64decode(match[2]).decode(errors="replace")

    def close(self):
        self.socket.close()


class Robot:
    """A robot with its disks in `folder`. `boot()` and `cut()` may be called repeatedly.

    `robot("command")` runs a command over ssh or, if `by_serial` is set, on the serial console.
    """

    def __init__(self, folder, binary=BINARY, change=None, directory=None, servers=None):
        """`change(root)`, if given, may change the root file system before the disk image is
        made. `directory`: the binary of opentrons-auth-directory, which only some robots have;
        `servers`: ports of this machine by the ports at which the robot reaches them, at `HOST`."""
        self.folder = Path(folder)
        self.process = None
        self.serial = None
        self.by_serial = False
        self.servers = servers or {}
        self.console = self.folder / "console"
        self.key = self.folder / "key"
        self.base = Path(call(HERE / "build").stdout.strip())
        root = self.folder / "root"
        call("cp", "-a", self.base / "root", root)
        installed(root, binary)
        units = [f"{UNIT}.socket", f"{UNIT}.service", REMOTE_ACCESS]
        if directory:
            installed_directory(root, directory)
            units.append(f"{DIRECTORY}.socket")
        call("sh", INCLUDE, root, "/etc/nginx")
        call("systemd-sysusers", f"--root={root}")
        call("systemctl", "--quiet", f"--root={root}", "enable", *units)
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        (root / "root/.ssh").mkdir(mode=0o700)
        shutil.copy(f"{self.key}.pub", root / "root/.ssh/authorized_keys")
        host_key = root / "etc/dropbear/host_key"
        public = call("dropbearkey", "-t", "ed25519", "-f", host_key).stdout.splitlines()[1]
        self.known_hosts = self.folder / "known_hosts"
        self.ports = {22: free_port(), 31950: free_port(), 32313: free_port()}
        self.known_hosts.write_text(f"[127.0.0.1]:{self.ports[22]} {public}\n")
        if change:
            change(root)
        self.disk("var", root / "var", "64M")
        self.disk("data", root / "data", "64M")
        for path in (root / "var").iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        # As full as a robot's disk: there is space for one more binary, but not for many.
        self.disk("root", root, "192M")
        shutil.rmtree(root)

    def disk(self, name, tree, size):
        call("mke2fs", "-q", "-t", "ext4", "-d", tree, self.folder / f"{name}.ext4", size)

    def boot(self, *options):
        """Powers the robot on, and waits until ssh accepts a login or, if `by_serial` is set, for
        the shell on the serial console. `options`: further options of QEMU."""
        forwards = ",".join(
            f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.ports.items()
        )
        # Nothing else of this machine, nor any other, can be reached.
        for there, here in self.servers.items():
            relay = f"cmd:{sys.executable} {HERE / 'relay.py'} {here}"
            forwards += f",guestfwd=tcp:{HOST}:{there}-{relay}"
        command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "2"]
        command += ["-accel", "tcg,thread=multi", "-m", "512", "-no-reboot"]
        serial = self.folder / "serial"
        command += ["-display", "none", "-monitor", "none", "-serial", "chardev:serial"]
        command += ["-chardev"]
        command += [f"socket,id=serial,path={serial},server=on,wait=off,logfile={self.console}"]
        command += ["-kernel", self.base / "kernel", "-initrd", self.base / "initramfs"]
        command += [
            "-append",
            "console=ttyAMA0 quiet net.ifnames=0 systemd.show_status=no panic=-1",
        ]
        command += ["-netdev", f"user,id=net,restrict=on,{forwards}"]
        command += ["-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci"]
        for name in ("root", "var", "data"):
            command += ["-drive", f"file={self.folder / name}.ext4,format=raw,if=none,id={name}"]
            command += ["-device", f"virtio-blk-pci,drive={name}"]
        command += options
        serial.unlink(missing_ok=True)
        with open(self.folder / "qemu", "wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            wait_for(lambda: self.process.poll() is not None or serial.exists(), "QEMU starts")
            self.serial = Serial(serial)
            if self.by_serial:
                self.serial.wait_shell()
            else:
                self.wait_ssh()
        except (AssertionError, OSError) as error:
            self.cut()
            said = (self.folder / "qemu").read_text() + self.console.read_text(errors="replace")
            raise AssertionError(f"does not boot: {said[-3000:]}") from error
        return self

    def wait_ssh(self):
        """Waits until ssh accepts a login."""
        wait_for(lambda: self.ssh_says() or self.process.poll() is not None, "ssh", BOOT_PATIENCE)
        assert self.process.poll() is None

    def ssh_says(self, patience=5):
        """Returns the first bytes from the ssh server; empty if it refuses connections."""
        try:  # QEMU itself accepts connections, so only data from dropbear counts
            with socket.create_connection(("127.0.0.1", self.ports[22]), patience) as client:
                return client.recv(100)
        except OSError:
            return b""

    @property
    def ssh_options(self):
        return [
            *("-p", str(self.ports[22]), "-i", str(self.key), "-o", "IdentitiesOnly=yes"),
            *("-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "BatchMode=yes"),
        ]

    @property
    def ssh(self):
        return ["ssh", *self.ssh_options, "root@127.0.0.1"]

    def __call__(self, command, check=True):
        """Runs a shell command on the robot, and returns its output."""
        if self.by_serial:
            code, output = self.serial.call(command)
            assert not check or code == 0, (command, output)
            return output.strip()
        control = ["-o", "ControlMaster=auto", "-o", f"ControlPath={self.folder}/control"]
        control += ["-o", "ControlPersist=60", "-o", "ServerAliveInterval=5"]
        done = call(
            "ssh",
            *control,
            *self.ssh_options,
            "root@127.0.0.1",
            command,
            check=False,
            timeout=COMMAND_PATIENCE,
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def show(self, unit, name):
        """Returns a property of a unit."""
        return self(f"systemctl show --value -p {name} {unit}")

    def wait_booted(self):
        """Waits until the boot is complete, and returns the system state that systemd reports."""
        return self("systemctl is-system-running --wait", check=False)

    def journal(self, *options):
        """Returns the auth server's journal entries of this boot, as dictionaries."""
        lines = self(f"journalctl -b -o json -u {UNIT} {' '.join(options)}").splitlines()
        return [json.loads(line) for line in lines]

    def cut(self):
        """Cuts the power."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        if self.serial:
            self.serial.close()
            self.serial = None
        control = self.folder / "control"
        subprocess.run(
            ["ssh", "-o", f"ControlPath={control}", "-O", "exit", "robot"],
            check=False,
            capture_output=True,
        )


def main():
    reason = missing()
    if reason:
        sys.exit(f"robot: {reason}")
    with tempfile.TemporaryDirectory(prefix="robot-") as folder:
        robot = Robot(folder, directory=DIRECTORY_BINARY).boot()
        try:
            print(f"http://127.0.0.1:{robot.ports[31950]}/auth/hello")
            print(f"https://127.0.0.1:{robot.ports[32313]}/auth/hello (a certificate of its own)")
            print(" ".join(robot.ssh))
            options = " ".join(robot.ssh_options)
            print(f'make push-ot3 host=127.0.0.1 ssh_opts="{options}"')
            print(f"socat -,raw,echo=0 UNIX-CONNECT:{robot.folder}/serial (once ssh is refused)")
            print("Ctrl-C, or `poweroff` on it, ends it", flush=True)
            robot.process.wait()
        except KeyboardInterrupt:
            pass
        finally:
            robot.cut()


if __name__ == "__main__":
    main()
