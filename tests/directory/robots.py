"""Robots whose people log in through a directory: the auth server with the process beside it."""

import pytest

from api import PASSWORD, Api
from audit_log import rows
from clocks import Clocks
from directory_client import DirectoryProcess
from support import Server, run

MINUTE = 60
DAY = 24 * 60 * MINUTE
# Lifetime of tokens: longer than the tests set the clocks forward while a session has to last.
IDLE_LOGOUT = 7 * DAY
# Age of a look-up after which a refresh looks the person up again, and in which somebody who is out in
# the directory is out at the robot.
LOOK_UP_AFTER = 15 * MINUTE
# Days for which the password that the directory confirmed last is good while it is away.
OFFLINE_DAYS = 7
DIRECTORY = "/auth/directory"


class Robot:
    """A robot with a local administrator, whose token it has, and with access control on."""

    def __init__(self, folder, clocks, settings):
        """`settings`: the configuration of its directory."""
        folder.mkdir()
        self.folder = folder
        self.environment = clocks.environment
        self.settings = settings
        self.process = DirectoryProcess(folder)
        self.server = None
        self.api = Api(folder / "auth.sock")
        self.start()
        self.api.create("boss", "admin")
        self.api.settings(idleLogout=IDLE_LOGOUT)
        self.token = self.api.login("boss")["access_token"]
        self.api.enable_access_control(self.token)

    def start(self):
        """Starts the auth server, every time with the same state."""
        self.server = Server(
            *("--uds", self.api.address, "--persistence-directory", self.folder / "state"),
            *("--directory-uds", self.process.path),
            folder=self.folder,
            env=self.environment,
        ).wait_ready()

    def configure(self, **changes):
        """Configures the directory."""
        return self.api.request("PUT", DIRECTORY, self.settings | changes, self.token)

    def is_told(self, **changes):
        """Configures the directory, which must work."""
        answer = self.configure(**changes)
        assert answer.status == 200, answer.body
        return self

    def console(self, *arguments, **options):
        """Runs a command at the console."""
        return run(*arguments, "--persistence-directory", self.folder / "state", **options)

    def user(self, name):
        return self.api.user(name, self.token)

    def users(self):
        """Returns the usernames."""
        answer = self.api.get("/auth/users", self.token)
        assert answer.status == 200, answer.body
        return [user["username"] for user in answer.json["data"]]

    def login_is_refused(self, name, password=PASSWORD):
        """Returns whether a login is refused as one with a wrong password is."""
        answer = self.api.try_login(name, password)
        assert answer.status in (200, 400), answer.body
        return answer.status == 400 and answer.json["error"] == "invalid_grant"

    def messages(self):
        """Returns the messages of the audit log."""
        return [row["message"] for row in rows(self.folder)]

    def close(self):
        self.server.kill()
        self.process.close()


@pytest.fixture(scope="module")
def clocks(tmp_path_factory):
    return Clocks(tmp_path_factory.mktemp("clocks"))


@pytest.fixture
def later(clocks):
    """Returns a function that sets the clocks of all robots forward."""
    passed = 0

    def later(seconds):
        nonlocal passed
        passed += seconds
        clocks.set(wall=passed, monotonic=passed, uptime=passed)

    yield later
    clocks.set()


@pytest.fixture
def make_robot(tmp_path, clocks, later, robot_settings):
    """Returns a function that makes a robot; at the end, none has logged or stored a password. The fixture
    `robot_settings` is the configuration of its directory."""
    robots = []

    def make():
        robots.append(Robot(tmp_path / f"robot{len(robots)}", clocks, robot_settings))
        return robots[-1]

    yield make
    for robot in robots:
        robot.close()
        for secret in (PASSWORD, robot_settings["bindPassword"]):
            assert secret not in robot.server.log
            assert secret not in robot.process.log


@pytest.fixture
def robot(make_robot):
    """A robot that was told of its directory."""
    return make_robot().is_told()
