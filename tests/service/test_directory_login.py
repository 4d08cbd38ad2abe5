"""Logging in through the lab's directory, as clients see it. A stand-in for opentrons-auth-directory
answers at its socket."""

from urllib.parse import urlencode

import pytest

from api import CLIENT, FORM, PASSWORD, SELF, error_of
from audit_log import rows
from examples import DIRECTORY
from support import wait_for


@pytest.fixture
def robot(start, directory_process):
    """Server with the local administrator `root` and a directory that has `ada`; and its API."""
    server, api = start("--directory-uds", directory_process.path)
    api.create("root", "admin")
    assert api.request("PUT", "/auth/directory?test=false", DIRECTORY).status == 200
    directory_process.put("ada", fullName="Ada L")
    return server, api


def test_person_of_the_directory_becomes_a_user_at_the_first_login(
    robot, directory_process, tmp_path
):
    server, api = robot
    token = api.login("ada")["access_token"]
    (asked,) = directory_process.requests
    assert asked["version"] == 1
    assert asked["operation"] == {"verify": {"name": "ada", "password": PASSWORD}}
    assert api.introspect(token)["ot_fullname"] == "Ada L"
    user = api.get(SELF, token).json["data"]
    assert (user["username"], user["accountType"], user["source"]) == ("ada", "user", "directory")
    assert api.user("root")["source"] == "local"
    assert [row["message"] for row in rows(tmp_path)[-2:]] == [
        'Created the user "ada" ("Ada L"), who is a person of the lab\'s directory.',
        '"ada" ("Ada L") logged in through the lab\'s directory.',
    ]
    for secret in (PASSWORD, DIRECTORY["bindPassword"]):
        assert secret not in server.log


def test_user_stays_after_a_restart_and_local_users_are_not_asked_about(
    robot, start, directory_process
):
    server, api = robot
    token = api.login("ada")["access_token"]
    server.stop()
    _, api = start("--directory-uds", directory_process.path)
    assert api.active(token)
    directory_process.requests.clear()
    api.login("root")
    assert directory_process.requests == []


def test_refusals_look_alike_and_few_passwords_are_passed_on(robot, directory_process):
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
    assert directory_process.operations == ["verify"] * 6


def test_password_counts_if_the_client_leaves(robot, directory_process):
    """It is passed on all the same. The count is not forgotten for names that nobody has."""
    _, api = robot

    def send(name):
        session = api.session()
        session.request("GET", "/auth/hello")
        # An answer that is left unread makes a connection end with an error, not with an end of file.
        session.client.sock.sendall(b"GET /auth/hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        login = {"username": name, "password": "wrong", "grant_type": "password"}
        form = urlencode({"client_id": CLIENT, **login})
        session.send("POST", "/auth/oauth2/token", form, FORM)
        return session

    for number in range(3):
        directory_process.may_answer.clear()
        leaving = send("ada")
        wait_for(lambda number=number: len(directory_process.requests) > number, "the question")
        leaving.close()
        for _ in range(10):  # so that each worker has read the end of the connection
            assert api.get("/auth/hello").status == 200
        directory_process.may_answer.set()
    for number in range(1100):
        leaving = send(f"nobody{number}")
        wait_for(lambda number=number: len(directory_process.requests) > 3 + number, "the question")
        leaving.close()
    # The robot verifies the passwords of those who left, too.
    answer = wait_for(
        lambda: (answer := api.try_login("ada")).status != 503 and answer, "a free place"
    )
    assert (answer.status, answer.json["error"]) == (429, "temporarily_unavailable")
    assert int(answer.headers["retry-after"]) > 60
    directory_process.put("bea")
    assert api.login("bea")


def test_login_while_the_directory_is_away(robot, directory_process, tmp_path):
    server, api = robot
    api.login("ada")
    directory_process.close()
    api.login("ada")
    message = rows(tmp_path)[-1]["message"]
    assert message.startswith('"ada" ("Ada L") logged in without the lab\'s directory')
    assert api.try_login("ada", "wrong").status == 400
    assert api.try_login("bea").status == 400
    assert server.log.count("the lab's directory cannot be asked") == 1
    directory_process.open()
    api.login("ada")
    server.wait_log("the lab's directory can be asked again")


def test_person_who_left_is_out(robot, directory_process):
    _, api = robot
    token = api.login("ada")["access_token"]
    directory_process.people.clear()
    assert api.try_login("ada").status == 400
    wait_for(lambda: not api.active(token), "the end of the session")
    directory_process.close()
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
