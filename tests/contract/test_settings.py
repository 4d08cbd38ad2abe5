"""Settings: each row of the contract's table and each of its rules."""

import json

import pytest

from api import PASSWORD, Api, error_of
from support import wait_for

DEFAULTS = {
    "maxNumberOfLoginAttempts": 5,
    "passwordResetTime": None,
    "passwordComplexityMinimumLength": None,
    "passwordComplexitySpecialCharacters": None,
    "idleLogout": 180.0,
    "requireAdminCredsWhenUpdatingRobotSoftware": True,
    "requireAdminCredsWhenSendingProtocolToRobot": True,
    "requireAdminCredsForSignoffProtocol": False,
}
OTHERS = {
    "maxNumberOfLoginAttempts": None,
    "passwordResetTime": 86400.5,
    "passwordComplexityMinimumLength": 12,
    "passwordComplexitySpecialCharacters": True,
    "idleLogout": 60.0,
    "requireAdminCredsWhenUpdatingRobotSoftware": False,
    "requireAdminCredsWhenSendingProtocolToRobot": False,
    "requireAdminCredsForSignoffProtocol": True,
}
WRONG = {
    "maxNumberOfLoginAttempts": [0, -1, 1.5, "5", True, [], 10**12],
    "passwordResetTime": [0, -1, "5", True, [], 1e300],
    "passwordComplexityMinimumLength": [0, -1, 1.5, "5", True, 10**6],
    "passwordComplexitySpecialCharacters": [0, 1, "true", []],
    "idleLogout": [None, 0, -1, "5", True, [], 1e300],
    "requireAdminCredsWhenUpdatingRobotSoftware": [None, 0, "true"],
    "requireAdminCredsWhenSendingProtocolToRobot": [None, 0, "true"],
    "requireAdminCredsForSignoffProtocol": [None, 0, "true"],
}
SWITCH = "/auth/settings/accessControlEnabled"


def test_defaults(api):
    assert api.get("/auth/settings").json == {"data": DEFAULTS}


def test_settings_are_open(api, admin):
    assert api.get("/auth/settings").status == 200


@pytest.mark.parametrize("field", OTHERS)
def test_only_given_fields_change(api, field):
    changed = DEFAULTS | {field: OTHERS[field]}
    assert api.settings(**{field: OTHERS[field]}) == changed
    assert api.get("/auth/settings").json == {"data": changed}
    assert api.settings(**{field: DEFAULTS[field]}) == DEFAULTS


def test_nothing_to_change_changes_nothing(api):
    assert api.settings() == DEFAULTS


def test_all_at_once_and_back_to_defaults(api):
    assert api.settings(**OTHERS) == OTHERS
    answer = api.request("DELETE", "/auth/settings")
    assert (answer.status, answer.json) == (200, {"data": DEFAULTS})


def test_defaults_leave_access_control_on(api, admin):
    api.settings(admin, idleLogout=60)
    answer = api.request("DELETE", "/auth/settings", token=admin)
    assert answer.status == 200
    assert api.get(SWITCH).json == {"data": {"accessControlEnabled": True}}


def test_durations_have_a_fraction(api):
    answer = api.patch("/auth/settings", {"idleLogout": 90, "passwordResetTime": 3600})
    assert b'"idleLogout":90.0' in answer.body
    assert b'"passwordResetTime":3600.0' in answer.body


@pytest.mark.parametrize("field", WRONG)
def test_wrong_values_are_422_and_change_nothing(api, field):
    other = "idleLogout" if field != "idleLogout" else "passwordResetTime"
    for value in WRONG[field]:
        answer = api.patch("/auth/settings", {other: 60, field: value})
        assert error_of(answer) == (422, "invalidRequest"), value
        assert f"data.{field}: " in answer.json["detail"]
    assert api.get("/auth/settings").json == {"data": DEFAULTS}


@pytest.mark.parametrize("field", DEFAULTS)
def test_fields_given_twice_are_422(api, field):
    value = json.dumps(OTHERS[field])
    body = f'{{"data": {{"{field}": {value}, "{field}": {value}}}}}'
    assert error_of(api.request("PATCH", "/auth/settings", body=body)) == (422, "invalidRequest")
    assert api.get("/auth/settings").json == {"data": DEFAULTS}


def test_not_a_number_is_422(api):
    for text in ("NaN", "Infinity", "1e999"):
        answer = api.request("PATCH", "/auth/settings", body=f'{{"data":{{"idleLogout":{text}}}}}')
        assert error_of(answer) == (422, "invalidRequest")


def test_fields_of_other_services_are_ignored(api):
    assert api.settings(requireReasonForInteraction=True) == DEFAULTS


def test_ignored_field_is_logged_once_by_name(start):
    server, api = start()
    for value in (True, False):
        api.settings(requireReasonForInteraction=value)
    api.settings(another=1)
    server.wait_log("another")
    assert server.log.count("requireReasonForInteraction") == 1


@pytest.mark.parametrize(
    "change",
    [{"passwordComplexityMinimumLength": 10}, {"passwordComplexitySpecialCharacters": True}],
)
def test_other_complexity_makes_everybody_set_a_new_password(api, change):
    api.create("ada")
    api.create("bea", password=None)
    token = api.login("ada")["access_token"]
    api.settings(**change)
    assert not api.active(token)
    assert api.user("ada")["resetPasswordReason"] == "ADMIN_FORCED"
    assert api.user("bea")["resetPasswordReason"] == "FIRST_TIME_LOGIN"
    assert api.login("ada")["scope"] == "users.read.self users.write.self"


def test_defaults_of_complexity_do_the_same(api):
    api.settings(passwordComplexityMinimumLength=10)
    api.create("ada", password="long-enough-for-it")
    api.request("DELETE", "/auth/settings")
    assert api.user("ada")["resetPasswordReason"] == "ADMIN_FORCED"


def test_same_complexity_changes_nothing(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    api.settings(passwordComplexityMinimumLength=None, idleLogout=170)
    assert api.active(token)
    assert api.user("ada")["resetPasswordReason"] == "NONE"


def test_minimum_length_holds(api):
    api.settings(passwordComplexityMinimumLength=4)
    assert api.create("ada", password="1234")["username"] == "ada"
    new = {"username": "bea", "fullName": "x", "accountType": "user", "password": "123"}
    answer = api.request("POST", "/auth/users", new)
    assert answer.json["errors"][0]["meta"] == {"requiredLength": 4, "actualLength": 3}


def test_limit_of_attempts_holds(api):
    api.settings(maxNumberOfLoginAttempts=1)
    api.create("ada")
    assert api.try_login("ada", "wrong-password").json["opentrons_account_locked"] is True


def test_passwords_expire(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    api.settings(passwordResetTime=0.01)
    wait_for(
        lambda: api.user("ada")["resetPasswordReason"] == "PASSWORD_EXPIRED", "the password expires"
    )
    assert api.introspect(token)["scope"] == "users.read.self users.write.self"
    api.settings(passwordResetTime=1000)
    assert api.user("ada")["resetPasswordReason"] == "NONE"
    assert api.introspect(token)["scope"] != "users.read.self users.write.self"


def test_stored_reason_comes_before_expiry(api):
    api.create("ada")
    api.settings(passwordResetTime=0.01)
    api.update("ada", resetPassword=True)
    assert api.user("ada")["resetPasswordReason"] == "ADMIN_FORCED"


def test_lifetime_of_tokens_is_the_settings(api):
    api.create("ada")
    api.settings(idleLogout=60.9)
    pair = api.login("ada")
    assert pair["expires_in"] == 60
    body = api.introspect(pair["access_token"])
    assert body["exp"] - body["iat"] in (60, 61)


# The switch


def test_access_control_is_off_on_a_new_robot(api):
    assert api.get(SWITCH).json == {"data": {"accessControlEnabled": False}}


def test_access_control_is_turned_on_once(api):
    api.create("ada", "admin")
    answer = api.patch(SWITCH, {"accessControlEnabled": True})
    assert (answer.status, answer.json) == (200, {"data": {"accessControlEnabled": True}})
    token = api.login("ada")["access_token"]
    for value in (True, False):
        answer = api.patch(SWITCH, {"accessControlEnabled": value}, token)
        assert error_of(answer) == (422, "invalidRequest")
    assert api.get(SWITCH).json == {"data": {"accessControlEnabled": True}}


@pytest.mark.parametrize("value", [False, None, 1, "true"])
def test_access_control_takes_only_true(api, value):
    api.create("ada", "admin")
    answer = api.patch(SWITCH, {"accessControlEnabled": value})
    assert error_of(answer) == (422, "invalidRequest")
    assert error_of(api.patch(SWITCH, {})) == (422, "invalidRequest")
    assert api.get(SWITCH).json == {"data": {"accessControlEnabled": False}}


def test_access_control_needs_an_admin_who_can_log_in(api):
    wanted = {"accessControlEnabled": True}
    assert error_of(api.patch(SWITCH, wanted)) == (409, "lastAdmin")
    api.create("user", "user")
    api.create("service", "service")
    api.create("locked", "admin")
    api.update("locked", locked=True)
    assert error_of(api.patch(SWITCH, wanted)) == (409, "lastAdmin")
    api.create("fresh", "admin", password=None)
    assert api.patch(SWITCH, wanted).status == 200


def test_settings_survive_a_restart(serve, tmp_path):
    socket, state = tmp_path / "auth.sock", tmp_path / "state"
    server = serve("--uds", socket, "--persistence-directory", state).wait_ready()
    api = Api(socket)
    api.settings(**OTHERS)
    api.create("ada", "admin", password=PASSWORD + "-longer")
    api.enable_access_control()
    server.kill()
    serve("--uds", socket, "--persistence-directory", state).wait_ready()
    assert api.get("/auth/settings").json == {"data": OTHERS}
    assert api.get(SWITCH).json == {"data": {"accessControlEnabled": True}}
