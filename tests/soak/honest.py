"""Clients that do what they should, and remember what the server has acknowledged."""

import http.client
import itertools
import threading
import time

from api import PASSWORD, SELF, Api, by_name
from support import PATIENCE

# Time between two requests of a client, in seconds: they are people and their programs.
PAUSE = 0.05
USERS = 4


class Failed(Exception):
    """The request failed as it may; what it changed, if anything, is not known."""


class Client(threading.Thread):
    """Repeats its work until stopped. `faults`: the failures that nothing allows."""

    def __init__(self, robot, number, faults):
        super().__init__()
        self.robot = robot
        self.api = Api(robot.address, f"127.0.1.{number + 1}")
        self.faults = faults
        self.stopped = threading.Event()
        # Number of requests by outcome.
        self.count = {"requests": 0, "told to come later": 0, "lost at a kill": 0, "disk full": 0}

    def run(self):
        while not self.stopped.wait(PAUSE):
            try:
                self.work()
            except Failed:
                pass
            except Exception as error:  # noqa: BLE001 - told at the end
                self.faults.append(f"{type(self).__name__}: {error!r}")

    def finish(self):
        self.stopped.set()
        self.join(PATIENCE * 2)
        assert not self.is_alive(), f"{type(self).__name__} hangs"

    def ask(self, what, send, *expected):
        """Sends a request, again as long as the server says to come later. Returns the response, whose
        status is one of `expected`. Raises `Failed` if it failed as it may."""
        while True:
            began = time.monotonic()
            self.count["requests"] += 1
            try:
                answer = send()
            except (OSError, http.client.HTTPException) as error:
                self.judge("kill", "lost at a kill", began, f"{what}: {error!r}")
            if answer.status in expected:
                return answer
            said = f"{what}: {answer.status} {answer.headers} {answer.body[:300]}"
            if answer.status in (502, 504) and "server" in answer.headers:
                self.judge("kill", "lost at a kill", began, said)
            # nginx repeats a DELETE if its kept-alive connection breaks (RFC 9110 §9.2.2): what the
            # first one deleted before the kill, the second one does not find.
            if what == "delete" and answer.status == 404:
                self.judge("kill", "lost at a kill", began, said)
            if answer.status in (500, 507):
                self.judge("full", "disk full", began, said)
            if answer.status != 503 or "retry-after" not in answer.headers:
                self.faults.append(said)
                raise Failed
            self.count["told to come later"] += 1
            if self.stopped.wait(min(float(answer.headers["retry-after"]), 5)):
                raise Failed

    def judge(self, kind, outcome, began, said):
        """Raises `Failed`, and records a fault unless a disturbance excuses the failure."""
        if self.robot.may_fail(kind, began, time.monotonic()):
            self.count[outcome] += 1
        else:
            self.faults.append(said)
        raise Failed


class Person(Client):
    """Logs in, is introspected and refreshes; the administrator below too."""

    def __init__(self, robot, number, faults, name):
        super().__init__(robot, number, faults)
        self.user = name
        self.pair = None
        self.issued = 0

    def login(self):
        """Logs in or refreshes if necessary, in time before the session ends. Returns the access
        token."""
        began = time.monotonic()
        if self.pair is None:
            answer = self.ask("login", lambda: self.api.try_login(self.user), 200)
            self.pair, self.issued = answer.json, began
        elif began - self.issued > min(3, self.pair["expires_in"] / 4):
            # If the response is lost, only a login helps.
            old, self.pair = self.pair, None
            answer = self.ask("refresh", lambda: self.api.refresh(old["refresh_token"]), 200)
            self.pair, self.issued = answer.json, began
        return self.pair["access_token"]


class User(Person):
    """A user of the touchscreen or of the app."""

    def work(self):
        token = self.login()
        answer = self.ask(
            "introspect",
            lambda: self.api.form("introspect", {"client_id": "opentrons_app", "token": token}),
            200,
        )
        if not answer.json["active"]:
            self.faults.append(f"the session of {self.user} has ended")
            self.pair = None
            return
        self.ask("self", lambda: self.api.get(SELF, token), 200)
        self.ask("switch", lambda: self.api.get("/auth/settings/accessControlEnabled"), 200)


class Administrator(Person):
    """Creates, changes and deletes accounts, and knows how each must be."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # Full name by username, as acknowledged; None if deleted. A name in `unknown` may be either.
        self.accounts = {}
        self.unknown = set()
        self.created = []
        self.numbers = itertools.count()

    def change(self, name, value, what, send, *expected):
        """Makes a change and remembers it once it is acknowledged."""
        self.unknown.add(name)
        self.ask(what, send, *expected)
        self.unknown.discard(name)
        self.accounts[name] = value

    def work(self):
        token = self.login()
        number = next(self.numbers)
        name = f"u{number}"
        data = {"username": name, "fullName": f"User {number}", "accountType": "user"}
        data["password"] = PASSWORD
        path, full = by_name(name), f"Changed {number}"
        self.change(
            name,
            data["fullName"],
            "create",
            lambda: self.api.request("POST", "/auth/users", data, token),
            201,
        )
        self.created.append(name)
        self.change(
            name, full, "change", lambda: self.api.patch(path, {"fullName": full}, token), 200
        )
        self.ask(
            "settings",
            lambda: self.api.patch(
                "/auth/settings", {"requireAdminCredsForSignoffProtocol": number % 2 == 0}, token
            ),
            200,
        )
        if number % 20:
            self.change(name, None, "delete", lambda: self.api.delete(name, token), 200)
