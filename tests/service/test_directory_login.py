"""Logging in through the lab's directory, as clients see it. A stand-in for opentrons-auth-directory
answers at its socket."""

import pytest

from api import PASSWORD, SELF, error_of
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
