"""The virtual robot: a Debian arm64 shaped as the Flex, with the auth server on it, under QEMU.

    virtual_robot.py

boots one, with the binary that ROBOT_BINARY names, and leaves it running until Ctrl-C.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import LAYER, ROOT, free_port, installed

HERE = Path(__file__).resolve().parent
BINARY = Path(
    os.environ.get("ROBOT_BINARY")
    or ROOT / "target/aarch64-unknown-linux-gnu/release/opentrons-auth-server"
)
INCLUDE = LAYER / "dynamic-layers/webserver/recipes-httpd/nginx/files/include-auth-server"
UNIT = "opentrons-auth-server"
# An emulated boot, on a machine that is busy with other things.
BOOT_PATIENCE = 300.0
# The longest command is fifty restarts.
COMMAND_PATIENCE = 900.0
TOOLS = "qemu-system-aarch64", "mke2fs", "mmdebstrap", "dropbearkey", "ssh", "systemctl", "depmod"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def missing():
    """Why no virtual robot can be made here, or None."""
    tools = [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]
    if tools:
        return f"not installed: {', '.join(tools)}"
    if os.getuid() != 0:
        return "needs root, to make a root file system"
    return None if BINARY.exists() else f"there is no {BINARY}: make build-aarch64"


def call(*command, **options):
    # A make that a test runs is no part of the one that runs the tests.
    of_make = "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"
    environment = {name: value for name, value in os.environ.items() if name not in of_make}
    environment["PATH"] = PATH
    options = {"check": True, "capture_output": True, "text": True, "env": environment, **options}
    return subprocess.run([str(part) for part in command], **options)  # noqa: PLW1510


class Robot:
    """A robot whose disks lie in `folder`. `boot()` and `cut()` as often as you like."""

    def __init__(self, folder, binary=BINARY, change=None):
        """`change(root)`, when given, may change the root file system before it becomes a disk."""
        self.folder = Path(folder)
        self.process = None
        self.console = self.folder / "console"
        self.key = self.folder / "key"
        self.base = Path(call(HERE / "build").stdout.strip())
        root = self.folder / "root"
        call("cp", "-a", self.base / "root", root)
        installed(root, binary)
        call("sh", INCLUDE, root, "/etc/nginx")
        call("systemd-sysusers", f"--root={root}")
        units = f"{UNIT}.socket", f"{UNIT}.service"
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
        # As full as a robot's: the space left is for one more binary, not for many.
        self.disk("root", root, "192M")
        shutil.rmtree(root)

    def disk(self, name, tree, size):
        call("mke2fs", "-q", "-t", "ext4", "-d", tree, self.folder / f"{name}.ext4", size)

    def boot(self, *options):
        """Powers on, and waits until ssh lets in. `options`: more of QEMU's."""
        forwards = ",".join(
            f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.ports.items()
        )
        command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "2"]
        command += ["-accel", "tcg,thread=multi", "-m", "512", "-nographic", "-no-reboot"]
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
        with open(self.console, "wb") as console:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        deadline = time.monotonic() + BOOT_PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:  # QEMU accepts by itself: only what dropbear says counts
                with socket.create_connection(("127.0.0.1", self.ports[22]), 5) as client:
                    if client.recv(4).startswith(b"SSH-"):
                        return self
            except OSError:
                pass
            time.sleep(0.2)
        self.cut()
        raise AssertionError(f"does not boot: {self.console.read_text(errors='replace')[-3000:]}")

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
        """What a shell command on the robot prints."""
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
        """A property of a unit."""
        return self(f"systemctl show --value -p {name} {unit}")

    def wait_booted(self):
        """Waits for the end of the boot; returns systemd's word for it."""
        return self("systemctl is-system-running --wait", check=False)

    def journal(self, *options):
        """The auth server's journal of this boot, as dictionaries."""
        lines = self(f"journalctl -b -o json -u {UNIT} {' '.join(options)}").splitlines()
        return [json.loads(line) for line in lines]

    def cut(self):
        """Cuts the power."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
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
        robot = Robot(folder).boot()
        try:
            print(f"http://127.0.0.1:{robot.ports[31950]}/auth/hello")
            print(f"https://127.0.0.1:{robot.ports[32313]}/auth/hello (a certificate of its own)")
            print(" ".join(robot.ssh))
            options = " ".join(robot.ssh_options)
            print(f'make push-ot3 host=127.0.0.1 ssh_opts="{options}"')
            print("Ctrl-C, or `poweroff` on it, ends it", flush=True)
            robot.process.wait()
        except KeyboardInterrupt:
            pass
        finally:
            robot.cut()


if __name__ == "__main__":
    main()
