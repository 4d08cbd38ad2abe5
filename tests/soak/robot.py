"""The server under soak: the real binary behind the real nginx, on a small disk, with a clock that can
be set; and what disturbs it."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from audit_server import AuditServer
from clocks import Clocks
from nginx import Nginx
from support import PATIENCE, Server

# Size of the disk of the state directory, in MiB.
DISK = 64
# Time for which the disk stays full, and for which its effects may last after that, in seconds.
FULL = 4
AFTERWARDS = 2


class Robot:
    """The server and everything around it."""

    def __init__(self, folder):
        self.folder = folder
        self.disk = folder / "disk"
        self.disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "soak", self.disk]
        subprocess.run(mount, check=True)
        self.state = self.disk / "state"
        self.clocks = Clocks(folder)
        self.audit_server = AuditServer(folder / "audit.sock")
        # A killed server breaks connections, which is no error of this one.
        self.audit_server.server.handle_error = lambda *_: None
        self.nginx = Nginx(folder, "plain")
        self.nginx.install_snippets()
        assert self.nginx.include().returncode == 0
        self.address = ("127.0.0.1", self.nginx.port)
        # Open all the time, as systemd's.
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(self.nginx.socket))
        self.listening.listen(4096)
        # Spans of time in which requests may fail, by what they may fail with.
        self.allowed = {"kill": [], "full": []}
        self.server = None
        self.logs = []

    def start(self):
        self.launch()
        self.nginx.start()
        return self

    def launch(self):
        options = ["--persistence-directory", self.state]
        options += ["--audit-server-uds", self.folder / "audit.sock"]
        self.server = Server(
            *options, folder=self.folder, env=self.clocks.environment, listen=self.listening
        )
        self.logs.append(self.server.log_path)
        self.server.wait_ready()

    def stop(self):
        """Stops the server as systemd does."""
        assert self.server.stop() == 0, self.server.log[-2000:]
        self.server.kill()

    def close(self):
        self.server.kill()
        self.nginx.stop()
        self.audit_server.close()
        self.listening.close()
        subprocess.run(["umount", "--lazy", self.disk], check=True)

    def memory(self, key="VmRSS"):
        """Returns the memory of the server's process, in kB."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.split(f"{key}:")[1].split()[0])

    @contextlib.contextmanager
    def disturbed(self, kind):
        """Allows requests that overlap with this to fail."""
        span = [time.monotonic(), float("inf")]
        self.allowed[kind].append(span)
        try:
            yield
        finally:
            span[1] = time.monotonic() + AFTERWARDS

    def may_fail(self, kind, began, ended):
        """Returns whether a request of that time may have failed with `kind`."""
        return any(start <= ended and began <= end for start, end in self.allowed[kind])

    def kill(self):
        """Ends the server without warning, and starts it again."""
        with self.disturbed("kill"):
            self.server.signal(signal.SIGKILL)
            self.server.wait()
            self.server.kill()
            self.launch()

    def restart(self):
        """Restarts the server in an orderly way: no request may fail, unless the server says that it
        was busy for longer than a stop may take."""
        span = [time.monotonic(), float("inf")]
        self.allowed["kill"].append(span)
        log = self.server.log_path
        self.stop()
        if "were still busy after" not in log.read_text(errors="replace"):
            self.allowed["kill"].remove(span)
        span[1] = time.monotonic() + AFTERWARDS
        self.launch()

    def set_clock(self):
        """Sets the wall clock by hours or years."""
        hours = random.choice((-24 * 365 * 5, -1, 0, 1, 30, 24 * 365 * 10))
        self.clock_write(hours)

    def clock_write(self, hours):
        self.clocks.set(wall=hours * 3600)

    def fill_disk(self):
        """Fills the disk and empties it again."""
        fill = self.disk / "fill"
        with self.disturbed("full"):
            with open(fill, "wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            time.sleep(FULL)
            fill.unlink()

    def disk_used(self):
        """Returns the used part of the disk, in kB."""
        return shutil.disk_usage(self.disk).used // 1024

    def database_size(self):
        return sum(os.stat(path).st_size for path in self.state.glob("auth-server.sqlite*")) // 1024


class Disturbances(threading.Thread):
    """Disturbs the robot until stopped, one after the other."""

    def __init__(self, robot):
        super().__init__()
        self.robot = robot
        self.stopped = threading.Event()
        self.count = dict.fromkeys(("kill", "restart", "set_clock", "fill_disk"), 0)
        self.error = None

    def run(self):
        left = []
        while not self.stopped.wait(random.uniform(2, 6)):
            # In another order in each round.
            left = left or random.sample(list(self.count), len(self.count))
            name = left.pop()
            try:
                getattr(self.robot, name)()
            except Exception as error:  # noqa: BLE001 - told at the end
                self.error = error
                return
            self.count[name] += 1

    def finish(self):
        self.stopped.set()
        self.join(PATIENCE * 2)
        self.robot.clock_write(0)
        if self.error:
            raise self.error
