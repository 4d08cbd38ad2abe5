"""The process `opentrons-auth-directory`, and a client that asks it as the auth server does."""

import json
import os
import socket
import subprocess
from pathlib import Path

from api import PASSWORD
from support import ENVIRONMENT, PATIENCE, ROOT

BINARY = Path(
    os.environ.get("AUTH_DIRECTORY_BINARY", ROOT / "target/debug/opentrons-auth-directory")
)
# Version of the protocol.
VERSION = 1
# Maximum length of a request, in bytes.
MAX_REQUEST = 512 * 1024


def configuration(settings, ca, servers, **changes):
    """Returns a configuration as the auth server sends it. `settings`: as an administrator gives it."""
    of_names = {"userFilter": "filter", "upnSuffix": "upnSuffix"}
    return {
        "servers": servers,
        "ca": ca,
        "names": {key: settings[name] for name, key in of_names.items() if name in settings},
        "fullNameAttribute": "cn" if settings["kind"] == "ldap" else "displayName",
        "offlineDays": 7,
        "maxWrongPasswords": 3,
        **{name: value for name, value in settings.items() if name not in of_names},
    } | changes


def verify(name, password=PASSWORD):
    return {"verify": {"name": name, "password": password}}


def look_up(identifier):
    return {"lookUp": {"id": identifier}}


TEST = "test"


class DirectoryProcess:
    """The process. It is handed a listening socket, as systemd does."""

    def __init__(self, folder, env=None, prefix=(), command=(BINARY,)):
        """`prefix`: a command that runs the process's command, `command`."""
        self.path = folder / "d.sock"
        self.log_path = folder / "directory.log"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(128)
        handle = self.listener.fileno()
        options = {"preexec_fn": lambda: os.dup2(handle, 3)}
        with open(self.log_path, "ab") as log:
            # LISTEN_PID must be the process's pid: a shell sets it, then execs the binary.
            self.process = subprocess.Popen(
                [*prefix, "sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *command],
                env={**ENVIRONMENT, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(3,),
                **options,
            )

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(self.path))
        return connection

    def send(self, request):
        """Sends a request and returns the connection on which the answer will arrive."""
        connection = self.connect()
        connection.sendall(frame(json.dumps(request).encode()))
        return connection

    def ask(self, settings, operation):
        """Returns the answer: what happened, and what is said of it."""
        with self.send(request(settings, operation)) as connection:
            return receive(connection)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def memory(self, key="VmHWM"):
        """Returns the process's memory, in kB: the most that it was, or VmRSS for now."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split(f"{key}:")[1].split()[0])

    def files(self):
        """Returns how many files it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self, secrets):
        """Ends it. It has not ended by itself, and has logged none of the secrets."""
        assert self.process.poll() is None, f"the process has ended: {self.log}"
        self.close()
        for secret in secrets:
            assert secret not in self.log

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.listener.close()


def request(settings, operation, version=VERSION):
    return {"version": version, "configuration": settings, "operation": operation}


def frame(text):
    return len(text).to_bytes(4, "big") + text


def receive(connection):
    """Reads the answer and the end of the connection."""
    data = rest(connection)
    assert len(data) >= 4 and len(data) == 4 + int.from_bytes(data[:4], "big"), data
    answer = json.loads(data[4:])
    if isinstance(answer, str):
        return answer, None
    [(kind, content)] = answer.items()
    return kind, content


def found(answer):
    """Returns the person of an answer."""
    kind, content = answer
    assert kind == "found", answer
    return content


def type_of(answer):
    """Returns the account type of an answer's person."""
    return found(answer)["accountType"]


def rest(connection):
    """Returns everything that the process still sends."""
    data = b""
    while chunk := connection.recv(1 << 16):
        data += chunk
    return data
