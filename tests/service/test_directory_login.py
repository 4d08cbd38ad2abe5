"""Logging in through the lab's directory, as clients see it. A stand-in for opentrons-auth-directory
answers at its socket."""

import json
import socket
import sqlite3
import struct
import threading
from contextlib import suppress

import pytest

from api import PASSWORD, SELF, error_of
from audit_log import rows
from support import DATABASE, PATIENCE, wait_for

CONFIGURATION = {
    "kind": "ldap",
    "servers": ["ldaps://ldap.lab.example"],
    "ca": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    "base": "dc=lab,dc=example",
    "names": {"filter": "(uid={name})"},
    "bindName": "cn=robot,dc=lab,dc=example",
    "bindPassword": "bind-secret-3141",
    "fullNameAttribute": "cn",
    "adminGroups": [],
    "userGroups": ["cn=users,dc=lab,dc=example"],
    "auditorGroups": [],
    "offlineDays": 7,
    "maxWrongPasswords": 3,
}


class Directory:
    """Stand-in for the process that asks the directory, with people by their identifiers."""

    def __init__(self, path):
        self.people = {}
        self.asked = []
        self.path = path
        self.socket = None
        self.start()

    def start(self):
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.socket.listen()
        threading.Thread(target=self.serve, args=(self.socket,), daemon=True).start()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def serve(self, listener):
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.settimeout(PATIENCE)
                with client, client.makefile("rb") as file:
                    (length,) = struct.unpack(">I", file.read(4))
                    request = json.loads(file.read(length))
                    answer = json.dumps(self.answer(request)).encode()
                    client.sendall(struct.pack(">I", len(answer)) + answer)

    def answer(self, request):
        assert (request["version"], request["configuration"]) == (1, CONFIGURATION)
        self.asked.append(request["operation"])
        ((operation, asked),) = request["operation"].items()
        if operation == "lookUp":
            person = self.people.get(asked["id"])
        else:
            named = (each for each in self.people.values() if each["username"] == asked["name"])
            person = next(named, None)
        if person is None:
            return "nobodyFound"
        if operation == "verify" and asked["password"] != PASSWORD:
            return "wrongPassword"
        return {"found": person}

    def put(self, number, username, full_name="Ada L", account_type="user"):
        person = {"id": f"{number:032x}", "username": username, "fullName": full_name}
        self.people[person["id"]] = person | {"accountType": account_type}


@pytest.fixture
def directory(tmp_path):
    directory = Directory(tmp_path / "directory.sock")
    yield directory
    with suppress(OSError):
        directory.stop()


@pytest.fixture
def robot(start, directory, tmp_path):
    """Server with the local administrator `root` and a directory that has `ada`; and its API."""
    server, api = start()
    api.create("root", "admin")
    server.stop()
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        database.execute("INSERT INTO directory VALUES (1, ?)", (json.dumps(CONFIGURATION),))
    database.close()
    directory.put(1, "ada")
    return start("--directory-uds", directory.path)


def test_person_of_the_directory_becomes_a_user_at_the_first_login(robot, directory, tmp_path):
    server, api = robot
    token = api.login("ada")["access_token"]
    assert api.introspect(token)["ot_fullname"] == "Ada L"
    user = api.get(SELF, token).json["data"]
    assert (user["username"], user["accountType"], user["source"]) == ("ada", "user", "directory")
    assert api.user("root")["source"] == "local"
    assert [row["message"] for row in rows(tmp_path)[-2:]] == [
        'Created the user "ada" ("Ada L"), who is a person of the lab\'s directory.',
        '"ada" ("Ada L") logged in through the lab\'s directory.',
    ]
    for secret in (PASSWORD, CONFIGURATION["bindPassword"]):
        assert secret not in server.log


def test_user_stays_after_a_restart_and_local_users_are_not_asked_about(robot, start, directory):
    server, api = robot
    token = api.login("ada")["access_token"]
    server.stop()
    _, api = start("--directory-uds", directory.path)
    assert api.active(token)
    directory.asked.clear()
    api.login("root")
    assert directory.asked == []


def test_refusals_look_alike_and_few_passwords_are_passed_on(robot, directory):
    _, api = robot
    answers = {}
    for name in ("ada", "nobody"):
        for _ in range(3):
            answer = api.try_login(name, "wrong")
            answers[name] = (answer.status, answer.json)
        answer = api.try_login(name, PASSWORD)
        assert (answer.status, answer.json["error"]) == (429, "temporarily_unavailable")
        assert 1700 < int(answer.headers["retry-after"]) <= 1800
    assert answers["ada"] == answers["nobody"]
    assert answers["ada"] == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid credentials given."},
    )
    assert len(directory.asked) == 6


def test_login_while_the_directory_is_away(robot, directory, tmp_path):
    server, api = robot
    api.login("ada")
    directory.stop()
    api.login("ada")
    message = rows(tmp_path)[-1]["message"]
    assert message.startswith('"ada" ("Ada L") logged in without the lab\'s directory')
    assert api.try_login("ada", "wrong").status == 400
    assert api.try_login("bea").status == 400
    assert server.log.count("the lab's directory cannot be asked") == 1
    directory.start()
    api.login("ada")
    server.wait_log("the lab's directory can be asked again")


def test_person_who_left_is_out(robot, directory):
    _, api = robot
    token = api.login("ada")["access_token"]
    directory.people.clear()
    assert api.try_login("ada").status == 400
    wait_for(lambda: not api.active(token), "the end of the session")
    directory.stop()
    assert api.try_login("ada").status == 400


def test_password_and_names_are_managed_by_the_directory(robot):
    _, api = robot
    token = api.login("ada")["access_token"]
    path = "/auth/users/byUsername/ada"
    for answer in (
        api.update("ada", password="another-one"),
        api.update("ada", resetPassword=True),
        api.request("POST", f"{path}/resetPassword"),
        api.patch(SELF, {"password": "another-one"}, token),
        api.validate("another-one", token),
    ):
        assert error_of(answer) == (400, "passwordManagedByDirectory")
    for answer in (
        api.update("ada", username="eve"),
        api.update("ada", fullName="Eve"),
        api.update("ada", accountType="admin"),
        api.patch(SELF, {"fullName": "Eve"}, token),
    ):
        assert error_of(answer) == (400, "managedByDirectory")
    assert api.update("ada", locked=True).status == 200
    assert not api.active(token)
    assert api.try_login("ada").json["opentrons_account_locked"] is True
    assert api.delete("ada").status == 200
