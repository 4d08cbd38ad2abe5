"""The configuration of the lab's directory. A stand-in answers for opentrons-auth-directory."""

import json

import pytest

from api import Pending, error_of
from audit_log import rows
from directory_process import WORKS
from examples import DIRECTORY
from support import read_database, wait_for

ROUTE, TEST = "/auth/directory", "/auth/directory/test"
SHOWN = {
    **{name: value for name, value in DIRECTORY.items() if name != "bindPassword"},
    "fullNameAttribute": "displayName",
    "auditorGroups": [],
    "offlineDays": 7,
    "maxWrongPasswords": 3,
}
FOUND = [f"{server}: {WORKS}" for server in DIRECTORY["servers"]]
OTHER_CA = DIRECTORY["ca"] * 2


@pytest.fixture
def robot(start, directory_process):
    """The API of a robot that asks the stand-in."""
    return start("--directory-uds", directory_process.path)[1]


def put(api, data, query="", **options):
    return api.request("PUT", ROUTE + query, data, **options)


def configure(api, **changes):
    """Configures the directory without trying it."""
    answer = put(api, {**DIRECTORY, **changes}, "?test=false")
    assert answer.status == 200, answer.body
    return answer.json["data"]


def remove(api, **options):
    return api.request("DELETE", ROUTE, **options)


def test_new_robot_has_no_directory(robot, directory_process):
    assert error_of(robot.get(ROUTE)) == (404, "directoryNotConfigured")
    assert error_of(remove(robot)) == (404, "directoryNotConfigured")
    assert error_of(robot.request("POST", TEST)) == (404, "directoryNotConfigured")
    assert directory_process.requests == []


def test_configuration_is_tried_and_shown_without_its_password(robot, directory_process):
    answer = put(robot, DIRECTORY)
    assert (answer.status, answer.json) == (200, {"data": SHOWN, "meta": {"found": FOUND}})
    (asked,) = directory_process.requests
    assert asked["operation"] == "test"
    names = {"names": {"upnSuffix": "lab.example"}, "bindPassword": "battery staple"}
    expected = {name: value for name, value in SHOWN.items() if name != "upnSuffix"}
    assert asked["configuration"] == {**expected, **names}
    assert robot.get(ROUTE).json == {"data": SHOWN}
    assert b"battery staple" not in answer.body + robot.get(ROUTE).body


def test_what_is_shown_can_be_put_again_without_the_password(robot, directory_process):
    """As long as it would be sent to the same servers, and they are known by the same CA."""
    put(robot, DIRECTORY)
    shown = robot.get(ROUTE).json["data"]
    changed = {**shown, "offlineDays": 3, "base": "OU=People,DC=lab,DC=example"}
    assert put(robot, changed).json["data"] == changed
    asked = directory_process.requests[-1]["configuration"]
    assert (asked["bindPassword"], asked["offlineDays"]) == ("battery staple", 3)
    assert asked["base"] == changed["base"]


@pytest.mark.parametrize(
    "change",
    [
        {"servers": ["ldaps://dc3.lab.example"]},
        {"servers": DIRECTORY["servers"][:1]},
        {"ca": OTHER_CA},
        {"bindName": "other@lab.example"},
    ],
)
def test_stored_password_is_sent_to_nobody_else(robot, directory_process, change):
    configure(robot)
    for send in (put, lambda api, data: api.request("POST", TEST, data)):
        answer = send(robot, {**SHOWN, **change})
        assert error_of(answer) == (422, "invalidRequest")
        assert answer.json["detail"].startswith("data.bindPassword: is required")
    assert directory_process.requests == [] and robot.get(ROUTE).json["data"] == SHOWN
    assert put(robot, {**SHOWN, **change, "bindPassword": "another"}).status == 200
    assert directory_process.requests[-1]["configuration"]["bindPassword"] == "another"


def test_configuration_that_does_not_work_is_not_taken(robot, directory_process):
    why = "ldaps://dc1.lab.example: the bind account does not exist"
    for answer in ({"misconfigured": why}, {"unavailable": why}):
        directory_process.answers["test"] = answer
        refused = put(robot, DIRECTORY)
        assert error_of(refused) == (400, "directoryTestFailed")
        assert refused.json["detail"] == f"The test of the directory failed: {why}"
        assert robot.get(ROUTE).status == 404
    assert put(robot, DIRECTORY, "?test=true").status == 400
    assert put(robot, DIRECTORY, "?test=false").json == {"data": SHOWN, "meta": {"found": []}}
    assert directory_process.operations == ["test"] * 3


@pytest.mark.parametrize("query", ["?test=", "?test=no", "?test=1", "?test=true&test=true"])
def test_other_values_of_the_parameter_are_refused(robot, query):
    answer = put(robot, DIRECTORY, query)
    assert error_of(answer) == (422, "invalidRequest")
    assert answer.json["detail"].startswith("query.test: ")
    assert robot.get(ROUTE).status == 404


def test_process_that_is_not_there_is_named_with_what_to_do(robot, directory_process):
    directory_process.close()
    for answer in (put(robot, DIRECTORY), robot.request("POST", TEST, DIRECTORY)):
        assert error_of(answer) == (400, "directoryTestFailed")
        for part in (str(directory_process.path), "opentrons-auth-directory.socket", "install"):
            assert part in answer.json["detail"]
    # Nothing is remembered: once it is there, it is asked.
    directory_process.open()
    assert put(robot, DIRECTORY).status == 200


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\2{", b"\0\0\0\2[]", b"\xff\xff\xff\xff{}", b"\0\0\0\4null"]
)
def test_process_that_answers_nonsense(robot, directory_process, data):
    directory_process.raw = data
    assert error_of(put(robot, DIRECTORY)) == (400, "directoryTestFailed")
    assert robot.get(ROUTE).status == 404


def test_others_are_served_while_the_directory_is_tried(robot, directory_process):
    """A slow directory holds up neither reads nor changes, nor the end of the test the rest."""
    directory_process.may_answer.clear()
    waiting = Pending(robot.address).request("PUT", ROUTE, DIRECTORY)
    wait_for(lambda: directory_process.requests, "the directory is asked")
    robot.create("ada", "admin")
    assert robot.settings(idleLogout=90)["idleLogout"] == 90
    assert not waiting.answered()
    directory_process.may_answer.set()
    assert waiting.receive().status == 200


def test_test_changes_nothing(robot, directory_process):
    answer = robot.request("POST", TEST, DIRECTORY)
    assert (answer.status, answer.json) == (200, {"data": {"found": FOUND}})
    assert robot.get(ROUTE).status == 404
    configure(robot)
    assert robot.request("POST", TEST).json == {"data": {"found": FOUND}}
    assert robot.request("POST", TEST, {**SHOWN, "offlineDays": 0}).status == 200
    days = [each["configuration"]["offlineDays"] for each in directory_process.requests]
    assert days == [7, 7, 0] and robot.get(ROUTE).json["data"] == SHOWN
    directory_process.answers["test"] = {"misconfigured": "the base does not exist"}
    answer = robot.request("POST", TEST)
    assert error_of(answer) == (400, "directoryTestFailed")


def test_body_of_a_test_needs_its_type_and_an_empty_one_none(robot):
    configure(robot)
    body = json.dumps({"data": DIRECTORY})
    for method, path in ("POST", TEST), ("PUT", ROUTE):
        answer = robot.request(method, path, body=body, headers={"Content-Type": "text/plain"})
        assert error_of(answer) == (415, "unsupportedMediaType")
    assert robot.request("POST", TEST).status == 200
    assert error_of(robot.request("PUT", ROUTE, body="")) == (422, "invalidRequest")


def test_configuration_survives_a_restart(start, directory_process):
    server, api = start("--directory-uds", directory_process.path)
    configure(api)
    server.stop()
    _, api = start("--directory-uds", directory_process.path)
    assert api.get(ROUTE).json["data"] == SHOWN
    assert api.request("POST", TEST).status == 200
    assert directory_process.requests[-1]["configuration"]["bindPassword"] == "battery staple"
    assert remove(api).json == {"data": {"users": 0}}
    assert api.get(ROUTE).status == 404


def test_changes_are_audited_without_the_password(robot, tmp_path):
    notes = {"Opentrons-User-Notes": "New domain"}
    put(robot, DIRECTORY, headers=notes)
    put(robot, DIRECTORY)
    put(robot, {**DIRECTORY, "bindPassword": "a new one"})
    put(robot, {**SHOWN, "offlineDays": 0, "auditorGroups": ["CN=a", "CN=b"]}, "?test=false")
    put(robot, {**DIRECTORY, "ca": OTHER_CA, "kind": "ldap"})
    robot.request("POST", TEST)
    remove(robot)
    found = rows(tmp_path)
    messages = [(row["action"], row["message"]) for row in found]
    assert [action for action, _ in messages] == [
        *["edit directory"] * 3,
        "test directory",
        "remove directory",
    ]
    assert found[0]["reason"] == "New domain"
    first, password, groups, tested, removed = (message for _, message in messages)
    assert first.startswith(
        'Configured the directory: kind "activeDirectory", servers ["ldaps://dc1.'
    )
    for text in ('base "DC=lab,DC=example"', "ca SHA-256 ", "offlineDays 7"):
        assert text in first
    assert password == "Changed the directory: bindPassword."
    assert groups == (
        'Changed the directory without a test: auditorGroups none → ["CN=a", "CN=b"], '
        "offlineDays 7 → 0."
    )
    assert (
        tested
        == "Tested the directory at ldaps://dc1.lab.example, ldaps://dc2.lab.example: it works."
    )
    assert removed.startswith("Removed the directory.")
    text = json.dumps(found)
    assert "battery staple" not in text and "a new one" not in text and "BEGIN" not in text


def test_failed_test_is_audited_with_its_reason(robot, directory_process, tmp_path):
    directory_process.answers["test"] = {"misconfigured": "the base does not exist"}
    robot.request("POST", TEST, DIRECTORY)
    put(robot, DIRECTORY)
    found = rows(tmp_path)
    assert [row["action"] for row in found] == ["test directory"] * 2
    for row in found:
        assert row["message"].endswith(": it failed: the base does not exist")


def test_password_reaches_neither_log_nor_error(start, directory_process):
    server, api = start("--directory-uds", directory_process.path, "--log-level", "debug")
    secret = "a-very-secret-password"
    directory_process.answers["test"] = {"misconfigured": "wrong"}
    data = {**DIRECTORY, "bindPassword": secret}
    answers = [put(api, data), put(api, data, "?test=false"), api.get(ROUTE)]
    answers += [put(api, {**data, "base": ""}), put(api, {**data, "bindPassword": [secret]})]
    answers += [put(api, {**DIRECTORY, "bindPassword": int("123456789")})]
    api.request("POST", TEST)
    assert [answer.status for answer in answers] == [400, 200, 200, 422, 422, 422]
    said = server.log + "".join(answer.body.decode() for answer in answers)
    assert secret not in said and "123456789" not in said


DN = "must be a distinguished name (RFC 4514)"
WRONG = [
    ("kind", "openldap", "must be activeDirectory or ldap"),
    ("kind", 1, "must be a string"),
    ("servers", [], "is required"),
    ("servers", "ldaps://dc1.lab.example", "must be an array of strings"),
    ("servers", [None], "must be a string"),
    ("servers", ["ldaps://a"] * 6, "must have at most 5 items"),
    ("servers", ["ldaps://a", "http://b"], "item 2 must be ldaps://HOST[:PORT]"),
    ("ca", "", "is required"),
    ("ca", "MIIB", "must be certificates in PEM"),
    ("ca", DIRECTORY["ca"] * 100, "must have at most 32768 bytes"),
    ("base", None, "must be a string"),
    ("base", "lab.example", DN),
    ("base", "DC=" + "x" * 1024, "must have at most 1024 bytes"),
    ("upnSuffix", "@lab.example", "must be a domain name"),
    ("userFilter", "(uid={name})", "either userFilter or upnSuffix must be given, and not both"),
    ("bindName", "robot", DN),
    ("bindPassword", "", "must not be empty"),
    ("bindPassword", "x" * 1025, "must have at most 1024 bytes"),
    ("fullNameAttribute", "display name", "must be the name of an attribute"),
    ("adminGroups", ["Administrators"], f"item 1 {DN}"),
    ("userGroups", ["CN=a"] * 21, "must have at most 20 items"),
    ("auditorGroups", [""], f"item 1 {DN}"),
    ("offlineDays", 91, "must be between 0 and 90"),
    ("offlineDays", 1.5, "must be an integer"),
    ("offlineDays", "7", "must be an integer"),
    ("maxWrongPasswords", 0, "must be between 1 and 3"),
    ("maxWrongPasswords", 4, "must be between 1 and 3"),
]


@pytest.mark.parametrize(("field", "value", "rule"), WRONG)
def test_wrong_value_is_422_with_the_field_and_the_rule(
    robot, directory_process, field, value, rule
):
    for send in (put, lambda api, data: api.request("POST", TEST, data)):
        answer = send(robot, {**DIRECTORY, field: value})
        assert error_of(answer) == (422, "invalidRequest"), answer.body
        assert answer.json["detail"].startswith(f"data.{field}"), answer.body
        assert rule in answer.json["detail"], answer.body
    assert directory_process.requests == [] and robot.get(ROUTE).status == 404


REQUIRED = ["kind", "servers", "ca", "base", "bindName", "bindPassword"]


@pytest.mark.parametrize("field", REQUIRED)
def test_missing_field_is_named(robot, field):
    given = {name: value for name, value in DIRECTORY.items() if name != field}
    answer = put(robot, given)
    assert error_of(answer) == (422, "invalidRequest")
    assert answer.json["detail"] == f"data.{field}: is required"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"upnSuffix": None}, "userFilter: either userFilter or upnSuffix must be given"),
        ({"adminGroups": None, "userGroups": None}, "adminGroups: at least one group"),
        ({"kind": "ldap"}, "upnSuffix: needs the kind activeDirectory"),
        (
            {"kind": "ldap", "upnSuffix": None, "userFilter": "(uid={name})"},
            f"bindName: {DN}",
        ),
    ],
)
def test_fields_that_do_not_fit_each_other(robot, changes, rule):
    given = {name: value for name, value in {**DIRECTORY, **changes}.items() if value is not None}
    answer = put(robot, given)
    assert error_of(answer) == (422, "invalidRequest")
    assert answer.json["detail"].startswith(f"data.{rule}"), answer.body


def test_directory_other_than_microsofts(robot):
    given = {
        **DIRECTORY,
        "kind": "ldap",
        "servers": ["ldap://[2001:db8::1]:389", "ldaps://192.0.2.1:636"],
        "userFilter": "(&(objectClass=person)(uid={name}))",
        "bindName": "uid=robot,ou=services,dc=lab,dc=example",
    }
    given.pop("upnSuffix")
    shown = put(robot, given).json["data"]
    assert shown["fullNameAttribute"] == "cn" and shown["servers"] == given["servers"]
    assert shown["userFilter"] == given["userFilter"] and "upnSuffix" not in shown


def test_unknown_field_is_ignored_and_one_given_twice_is_refused(robot):
    assert configure(robot, colour="green") == SHOWN
    body = json.dumps({"data": DIRECTORY})
    twice = body.replace('"base":', '"base": "DC=other", "base":')
    assert error_of(robot.request("PUT", ROUTE, body=twice)) == (422, "invalidRequest")


def test_users_say_where_they_come_from(robot):
    robot.create("ada", "admin")
    token = robot.login("ada")["access_token"]
    assert robot.user("ada")["source"] == "local"
    assert robot.get("/auth/users").json["data"][0]["source"] == "local"
    assert robot.get("/auth/users/self", token).json["data"]["source"] == "local"


@pytest.fixture
def eve(robot, directory_process):
    """A person of the directory, who has logged in: the access token."""
    configure(robot)
    directory_process.put("eve")
    token = robot.login("eve")["access_token"]
    assert robot.user("eve")["source"] == "directory"
    return token


def verifiers(tmp_path):
    """Returns the number of people of the directory whose password is known here."""
    statement = "SELECT count(*) FROM user WHERE directory_confirmed IS NOT NULL"
    return read_database(tmp_path / "state", statement)[0][0]


def test_removal_ends_sessions_and_keeps_the_users(robot, directory_process, eve, tmp_path):
    before = robot.user("eve")
    assert verifiers(tmp_path) == 1
    assert remove(robot).json == {"data": {"users": 1}}
    assert not robot.active(eve) and verifiers(tmp_path) == 0
    assert robot.user("eve") == before
    assert error_of_login(robot, "eve") == "invalid_grant"
    message = rows(tmp_path)[-2]["message"]
    assert message == "Removed the directory. Its users, who cannot log in any more: 1."
    # The same people can log in as soon as the same directory is configured, and not before it answers.
    directory_process.answers["verify"] = {"unavailable": "asleep"}
    configure(robot)
    assert error_of_login(robot, "eve") == "invalid_grant"
    directory_process.answers.clear()
    robot.login("eve")
    assert len(robot.get("/auth/users").json["data"]) == 1


def error_of_login(api, name):
    answer = api.try_login(name)
    assert answer.status == 400, answer.body
    return answer.json["error"]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"maxWrongPasswords": 1}, 1),
        ({"offlineDays": 1}, 1),
        ({"offlineDays": 0}, 0),
        ({"base": "OU=Other,DC=lab,DC=example"}, 0),
        ({"servers": ["ldaps://dc3.lab.example", *DIRECTORY["servers"]]}, 1),
        ({"servers": ["ldaps://dc3.lab.example"]}, 0),
    ],
)
def test_what_another_directory_confirmed_is_forgotten(robot, eve, tmp_path, change, left):
    """Or what nobody may use any more. Sessions go on until the next look-up."""
    configure(robot, **change)
    assert verifiers(tmp_path) == left and robot.active(eve)


def test_who_may_not_use_the_robot_by_a_new_configuration_is_out(robot, directory_process, eve):
    """Without waiting until the next look-up would be due."""
    directory_process.put("eve", None)
    configure(robot, userGroups=["CN=Others,DC=lab,DC=example"])
    wait_for(lambda: not robot.active(eve), "the session ends")
    assert "lookUp" in directory_process.operations


def test_configuration_needs_the_scope(start, directory_process):
    _, api = start("--directory-uds", directory_process.path)
    api.create("ada", "admin")
    api.create("bob")
    api.enable_access_control()
    admin, user = (api.login(name)["access_token"] for name in ("ada", "bob"))
    requests = [("GET", ROUTE, None), ("PUT", ROUTE, DIRECTORY), ("DELETE", ROUTE, None)]
    requests += [("POST", TEST, DIRECTORY)]
    for method, path, data in requests:
        assert api.request(method, path, data).status == 401
        assert api.request(method, path, data, user).status == 403
    assert directory_process.requests == []
    for method, path, data in (requests[1], requests[0], requests[3], requests[2]):
        assert api.request(method, path, data, admin).status == 200


def test_robot_without_a_directory_asks_nobody(start, directory_process, tmp_path):
    """Nor does one whose directory was removed."""
    _, api = start("--directory-uds", directory_process.path)
    configure(api)
    remove(api)
    api.create("ada", "admin")
    api.login("ada")
    api.try_login("nobody")
    assert directory_process.requests == []
