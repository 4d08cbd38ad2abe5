"""The log lines in the README's table of symptoms: each fault is provoked, and its line is searched
for in the server's log. A row of the table without a line fails, and so does a fault without a row.
"""

import os
import re
import socket
import sqlite3
import subprocess
from contextlib import ExitStack, contextmanager

import pytest

from api import Api
from audit_server import AuditServer
from python_state import edit, lay
from support import DATABASE, Server, edit_database, readmes, run, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
QUOTED = re.findall(r"^\| log: `([^`]*)`", readmes()[0], re.MULTILINE)


class Scene:
    """A directory with a state directory in it, and servers that end with it."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.state = folder / "state"
        self.socket = folder / "auth.sock"
        self.stack = stack

    def serve(self, *arguments):
        arguments = ("--uds", self.socket, "--persistence-directory", self.state, *arguments)
        server = Server(*arguments, folder=self.folder)
        self.stack.callback(server.kill)
        return server.wait_ready()

    def start(self, *arguments, state=None):
        """Returns the log of a server that fails to start."""
        done = run("--persistence-directory", state or self.state, *arguments)
        assert done.returncode == 1
        return done.stderr

    def listen(self, *arguments):
        """Returns the log of a server with another state directory that fails to listen."""
        return self.start(*arguments, state=self.folder / "other")

    def restart(self, server):
        assert server.stop() == 0
        return self.serve()

    @contextmanager
    def mounted(self, path, *options):
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", *options, "test", path], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", path], check=True)


def another_server_has_the_socket(scene):
    scene.serve()
    return scene.listen("--uds", scene.socket)


def file_in_place_of_the_socket(scene):
    scene.socket.touch()
    return scene.listen("--uds", scene.socket)


def long_socket_path(scene):
    return scene.listen("--uds", scene.folder / ("x" * 107))


def port_in_use(scene):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return scene.listen("--port", taken.getsockname()[1])


def state_directory_that_cannot_be_made(scene):
    scene.state.touch()
    return scene.start()


def another_server_has_the_state_directory(scene):
    scene.serve()
    return scene.start()


def damaged_database(scene):
    assert scene.serve().stop() == 0
    database = scene.state / DATABASE
    database.write_bytes(database.read_bytes()[: database.stat().st_size // 2])
    return scene.start()


def newer_database(scene):
    assert scene.serve().stop() == 0
    with sqlite3.connect(scene.state / DATABASE) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    return scene.start()


def python_state_in_doubt(scene):
    edit(lay(scene.state), "UPDATE user SET account_type = 'robot'")
    return scene.start()


def python_state_that_was_changed(scene):
    database = lay(scene.state)
    server = scene.serve()
    edit(database, "UPDATE user SET full_name = 'Changed'")
    return scene.restart(server).log


def python_state_that_came_later(scene):
    server = scene.serve()
    lay(scene.state)
    return scene.restart(server).log


def factory_reset_that_is_stuck(scene):
    scene.state.mkdir()
    (scene.state / "_TO_BE_DELETED_ON_REBOOT").touch()
    with scene.mounted(scene.state / "stuck"):
        return scene.start()


def state_that_is_removed(scene):
    server = scene.serve()
    (scene.state / DATABASE).unlink()
    assert server.wait() == 1
    return server.log


def full_disk(scene):
    disk = scene.folder / "disk"
    with scene.mounted(disk, "-o", "size=6m"):
        scene.state = disk / "state"
        server = scene.serve()
        api = Api(scene.socket)
        api.create("ada")
        with (
            open(disk / "fill", "wb", buffering=0) as file,
            pytest.raises(OSError, match="No space"),
        ):
            while True:
                file.write(b"x" * 4096)
        # The write-ahead log file has some unused space left.
        number = 0
        while api.update("ada", fullName=f"{number} {'x' * 200}").status == 200:
            number += 1
        server.kill()
        return server.log


def audit_server_that_refuses(scene):
    audit = AuditServer(scene.folder / "audit.sock")
    scene.stack.callback(audit.close)
    audit.status = 422
    server = scene.serve("--audit-server-uds", scene.folder / "audit.sock")
    Api(scene.socket).create("ada")
    wait_for(lambda: " ERROR " in server.log, "the event is set aside")
    return server.log


def audit_server_that_is_not_there(scene):
    server = scene.serve("--audit-server-uds", scene.folder / "audit.sock")
    Api(scene.socket).create("ada")
    wait_for(lambda: " WARN " in server.log, "the event waits")
    return server.log


def requests_that_are_no_http(scene):
    server = scene.serve()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(scene.socket))
        client.sendall(b"\x01\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
    server.stop()
    return server.log


def error_that_is_repeated(scene):
    server = scene.serve()
    api = Api(scene.socket)
    api.create("ada")
    api.settings(maxNumberOfLoginAttempts=None)
    assert server.stop() == 0
    edit_database(scene.state, "UPDATE user SET password_hash = 'broken'")
    server = scene.serve()
    for _ in range(22):
        assert api.try_login("ada").status == 400
    server.stop()
    return "\n".join(line for line in server.log.splitlines() if "further" in line)


def no_state_directory(scene):
    server = Server(folder=scene.folder)
    scene.stack.callback(server.kill)
    return server.wait_ready().log


SCENES = (
    another_server_has_the_socket,
    file_in_place_of_the_socket,
    long_socket_path,
    port_in_use,
    state_directory_that_cannot_be_made,
    another_server_has_the_state_directory,
    damaged_database,
    newer_database,
    python_state_in_doubt,
    python_state_that_was_changed,
    python_state_that_came_later,
    factory_reset_that_is_stuck,
    state_that_is_removed,
    full_disk,
    audit_server_that_refuses,
    audit_server_that_is_not_there,
    requests_that_are_no_http,
    error_that_is_repeated,
    no_state_directory,
)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Returns the warnings and errors of each scene."""
    found = {}
    for scene in SCENES:
        with ExitStack() as stack:
            log = scene(Scene(tmp_path_factory.mktemp("scene"), stack))
        found[scene.__name__] = [
            line for line in log.splitlines() if re.search(" (WARN|ERROR) ", line)
        ]
    return found


def quotes(quoted, line):
    """Returns whether a line contains a quotation, in which … stands for any text."""
    return re.search(".*".join(map(re.escape, quoted.split("…"))), line)


@pytest.mark.parametrize("quoted", QUOTED)
def test_symptom_is_what_the_server_logs(said, quoted):
    assert any(quotes(quoted, line) for lines in said.values() for line in lines), said


@pytest.mark.parametrize("scene", [scene.__name__ for scene in SCENES])
def test_what_the_server_logs_is_a_symptom(said, scene):
    assert said[scene]
    assert any(quotes(quoted, line) for quoted in QUOTED for line in said[scene]), said[scene]
