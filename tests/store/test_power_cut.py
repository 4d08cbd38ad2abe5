"""The server is killed at random moments during concurrent writes: every acknowledged change is
present, no change is partial, the audit chain is intact, and the audit server receives every event
in order."""

import http.client
import json
import os
import random
import sqlite3
import threading

from api import PASSWORD, Api, by_name
from audit_server import AuditServer
from support import PATIENCE, run, wait_for

KILLS = 500
WRITERS = 3
# Maximum time between a server's first response and its end, in seconds.
LONGEST_LIFE = 0.06
LOST = (OSError, http.client.HTTPException)


class Writer:
    """A client that changes only data of its own, and records which changes were acknowledged."""

    def __init__(self, number, api):
        self.api = api
        self.name = f"writer{number}"
        api.create(self.name)
        # Possible full names: one, or two while a request is unanswered.
        self.full_names = {f"{self.name} X"}
        self.count = 0
        # Users that were created or deleted, and whether they exist; None if unknown.
        self.users = {}
        self.tokens = {}
        self.acknowledged = 0
        # The first unexpected response.
        self.failure = None

    def run_until_cut(self, ready):
        """Writes until the server is killed."""
        session = self.api.session()
        try:
            ready.wait()
            while True:
                self.step(session)
        except LOST:
            session.close()
        except AssertionError as error:
            self.failure = error

    def send(self, session, method, path, data, status):
        headers = {"Content-Type": "application/json"}
        body = None if data is None else json.dumps({"data": data})
        answer = session.request(method, path, body, headers)
        assert answer.status == status, (method, path, answer.status, answer.body)
        self.acknowledged += 1

    def step(self, session):
        self.count += 1
        value = f"name {self.count}"
        self.full_names.add(value)
        self.send(session, "PATCH", by_name(self.name), {"fullName": value}, 200)
        self.full_names = {value}
        if self.count % 8 == 0:
            user = f"{self.name}-{self.count}"
            self.users[user] = None
            data = {"username": user, "fullName": "x", "accountType": "user", "password": PASSWORD}
            self.send(session, "POST", "/auth/users", data, 201)
            self.users[user] = True
        present = [user for user, there in self.users.items() if there]
        if len(present) > 2:
            user = present[0]
            self.users[user] = None
            self.send(session, "DELETE", by_name(user), None, 200)
            self.users[user] = False

    def check(self):
        """Compares the state with the acknowledged changes."""
        if self.failure:
            raise self.failure
        found = self.api.user(self.name)["fullName"]
        assert found in self.full_names, (found, self.full_names)
        self.full_names = {found}
        for user, there in self.users.items():
            status = self.api.get(by_name(user)).status
            assert status in ((200, 404) if there is None else (200 if there else 404,)), user
            self.users[user] = status == 200
        self.users = {user: there for user, there in self.users.items() if there}


def test_kills_under_writes_lose_nothing(serve, tmp_path, figures):
    seed = int(os.environ.get("POWER_CUT_SEED", random.randrange(2**32)))
    print(f"POWER_CUT_SEED={seed}")
    chance = random.Random(seed)
    audit = AuditServer(tmp_path / "audit.sock")
    path, state = tmp_path / "auth.sock", tmp_path / "state"
    arguments = ("--uds", path, "--persistence-directory", state, "--workers", "2")
    arguments += ("--audit-server-uds", tmp_path / "audit.sock", "--log-level", "error")
    server = serve(*arguments).wait_ready()
    api = Api(path)
    writers = [Writer(number, api) for number in range(WRITERS)]
    api.create("keeper")
    # The session must outlive the test.
    api.settings(idleLogout=86_400)
    token = api.login("keeper")["access_token"]
    for _ in range(KILLS):
        ready = threading.Barrier(WRITERS + 1)
        threads = [
            threading.Thread(target=writer.run_until_cut, args=(ready,)) for writer in writers
        ]
        for thread in threads:
            thread.start()
        ready.wait()
        # The moment is random on purpose; nothing is waited for.
        threading.Event().wait(chance.uniform(0, LONGEST_LIFE))
        server.kill()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        server = serve(*arguments).wait_ready()
        for writer in writers:
            writer.check()
        assert api.active(token)
    acknowledged = sum(writer.acknowledged for writer in writers)
    assert acknowledged > KILLS, "too few writes to say anything"

    verified = run("audit", "verify", "--json", "--persistence-directory", state)
    assert verified.returncode == 0, verified.stderr
    count = json.loads(verified.stdout)["rows"]
    log = [
        json.loads(line)
        for line in run("audit", "export", "--persistence-directory", state).stdout.splitlines()
    ]
    keys = ("action", "accountName", "legalName", "message", "reason")
    log = [{key: row[key] for key in keys} for row in log]
    assert len(log) == count >= acknowledged
    wait_for(lambda: audit.events and audit.events[-1]["action"] == "export audit log", "the queue")
    # Each event at least once: without repetitions after a cut, the events are those in the log.
    delivered = iter(audit.events)
    for event in log:
        assert any(other == event for other in delivered), event
    position = {json.dumps(event): number for number, event in enumerate(log)}
    seen = [position[json.dumps(event)] for event in audit.events if json.dumps(event) in position]
    first = [seen.index(number) for number in range(len(log)) if number in seen]
    assert first == sorted(first), "an event came before one that was earlier"
    server.stop()
    with sqlite3.connect(state / "auth-server.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()
    audit.close()
    figures(f"{KILLS} kills under writes: {acknowledged} acknowledged writes, none lost")
