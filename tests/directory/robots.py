"""Robots whose people log in through a directory: the auth server with the process beside it."""

from api import PASSWORD, Api
from directory_client import FILTER, DirectoryProcess
from slapd import ADMINS, AUDITORS, PEOPLE, ROBOT, ROBOT_PASSWORD, USERS
from support import Server

MINUTE = 60
DAY = 24 * 60 * MINUTE
# Lifetime of tokens: longer than the tests set the clocks forward while a session has to last.
IDLE_LOGOUT = 7 * DAY
DIRECTORY = "/auth/directory"


class Robot:
    """A robot with a local administrator, whose token it has, and with access control on."""

    def __init__(self, folder, clocks):
        folder.mkdir()
        self.folder = folder
        self.environment = clocks.environment
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

    def configure(self, ca, *servers, **changes):
        """Configures the directory of slapd.py."""
        settings = {
            "kind": "ldap",
            "servers": servers,
            "ca": ca,
            "base": PEOPLE,
            "userFilter": FILTER,
            "bindName": ROBOT,
            "bindPassword": ROBOT_PASSWORD,
            "adminGroups": [ADMINS],
            "userGroups": [USERS],
            "auditorGroups": [AUDITORS],
        }
        return self.api.request("PUT", DIRECTORY, settings | changes, self.token)

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

    def close(self):
        self.server.kill()
        self.process.close()
