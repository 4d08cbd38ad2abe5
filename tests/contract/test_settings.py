"""Settings: each row and each rule of this section of the contract."""

import json

import pytest

from api import DEFAULT_SETTINGS, PASSWORD, SELF, SWITCH, Api, error_of
from support import edit_database, run

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
    "passwordResetTime": [0, -1, 0.01, 3600, 86399, 86399.999, "5", True, [], 1e300],
    "passwordComplexityMinimumLength": [0, -1, 1.5, "5", True, 10**6],
    "passwordComplexitySpecialCharacters": [0, 1, "true", []],
    "idleLogout": [None, 0, -1, 0.001, 0.999, 604800.001, 604801, "5", True, [], 1e300],
    "requireAdminCredsWhenUpdatingRobotSoftware": [None, 0, "true"],
    "requireAdminCredsWhenSendingProtocolToRobot": [None, 0, "true"],
    "requireAdminCredsForSignoffProtocol": [None, 0, "true"],
}


def test_defaults(api):
    assert api.get("/auth/settings").json == {"data": DEFAULT_SETTINGS}


def test_settings_are_open(api, admin):
    assert api.get("/auth/settings").status == 200


@pytest.mark.parametrize("field", OTHERS)
def test_only_given_fields_change(api, field):
    changed = DEFAULT_SETTINGS | {field: OTHERS[field]}
    assert api.settings(**{field: OTHERS[field]}) == changed
    assert api.get("/auth/settings").json == {"data": changed}
    assert api.settings(**{field: DEFAULT_SETTINGS[field]}) == DEFAULT_SETTINGS


def test_nothing_to_change_changes_nothing(api):
    assert api.settings() == DEFAULT_SETTINGS


def test_all_at_once_and_back_to_defaults(api):
    assert api.settings(**OTHERS) == OTHERS
    answer = api.request("DELETE", "/auth/settings")
    assert (answer.status, answer.json) == (200, {"data": DEFAULT_SETTINGS})


def test_defaults_leave_access_control_on(api, admin):
    api.settings(admin, idleLogout=60)
    answer = api.request("DELETE", "/auth/settings", token=admin)
    assert answer.status == 200
    assert api.get(SWITCH).json == {"data": {"accessControlEnabled": True}}


def test_durations_have_a_fraction(api):
    answer = api.patch("/auth/settings", {"idleLogout": 90, "passwordResetTime": 86400})
    assert b'"idleLogout":90.0' in answer.body
    assert b'"passwordResetTime":86400.0' in answer.body


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("passwordResetTime", 86400),
        ("passwordResetTime", 86400.001),
        ("passwordResetTime", 3e9),
        ("idleLogout", 1),
        ("idleLogout", 1.001),
        ("idleLogout", 604800),
    ],
)
def test_durations_at_their_bounds_are_taken(api, field, value):
    assert api.settings(**{field: value})[field] == value


INTEGERS = ["maxNumberOfLoginAttempts", "passwordComplexityMinimumLength"]


@pytest.mark.parametrize("field", INTEGERS)
def test_integer_may_be_written_with_a_fraction(api, field):
    """In JSON Schema, a number without a fractional part is an integer, however it is written."""
    for written, value in (("3.0", 3), ("4.000", 4), ("1e1", 10), ("1.2E+1", 12), ("130e-1", 13)):
        body = f'{{"data": {{"{field}": {written}}}}}'
        answer = api.request("PATCH", "/auth/settings", body=body)
        assert answer.status == 200, answer.body
        assert f'"{field}":{value},'.encode() in answer.body
        assert f'"{field}":{value},'.encode() in api.get("/auth/settings").body


@pytest.mark.parametrize("field", INTEGERS)
def test_number_that_is_no_integer_in_range_is_422(api, field):
    wrong = ("3.5", "0.0", "-3.0", "-0.0", "1e-1", "1e400", "9007199254740993.0", '"3.0"')
    for written in wrong:
        body = f'{{"data": {{"{field}": {written}}}}}'
        answer = api.request("PATCH", "/auth/settings", body=body)
        assert error_of(answer) == (422, "invalidRequest"), written
    assert api.get("/auth/settings").json == {"data": DEFAULT_SETTINGS}


@pytest.mark.parametrize("field", WRONG)
def test_wrong_values_are_422_and_change_nothing(api, field):
    other = "idleLogout" if field != "idleLogout" else "passwordResetTime"
    for value in WRONG[field]:
        answer = api.patch("/auth/settings", {other: OTHERS[other], field: value})
        assert error_of(answer) == (422, "invalidRequest"), value
        assert f"data.{field}: " in answer.json["detail"]
    assert api.get("/auth/settings").json == {"data": DEFAULT_SETTINGS}


@pytest.mark.parametrize("field", DEFAULT_SETTINGS)
def test_fields_given_twice_are_422(api, field):
    value = json.dumps(OTHERS[field])
    body = f'{{"data": {{"{field}": {value}, "{field}": {value}}}}}'
    assert error_of(api.request("PATCH", "/auth/settings", body=body)) == (422, "invalidRequest")
    assert api.get("/auth/settings").json == {"data": DEFAULT_SETTINGS}


def test_not_a_number_is_422(api):
    for text in ("NaN", "Infinity", "1e999"):
        answer = api.request("PATCH", "/auth/settings", body=f'{{"data":{{"idleLogout":{text}}}}}')
        assert error_of(answer) == (422, "invalidRequest")


def test_fields_of_other_services_are_ignored(api):
    assert api.settings(requireReasonForInteraction=True) == DEFAULT_SETTINGS


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


@pytest.fixture
def aged(start, tmp_path):
    """A robot on which the password of `ada` is two days old."""
    server, api = start()
    api.create("ada")
    server.stop()
    two_days = 2 * 86400 * 1000
    edit_database(
        tmp_path / "state", "UPDATE user SET password_set_at = password_set_at - ?", two_days
    )
    return start()[1]


def test_passwords_expire(aged):
    token = aged.login("ada")["access_token"]
    aged.settings(passwordResetTime=86400)
    assert aged.user("ada")["resetPasswordReason"] == "PASSWORD_EXPIRED"
    # An expired password is not a temporary one.
    assert aged.login_status("ada") == {"reason": None, "resetPasswordReason": "PASSWORD_EXPIRED"}
    assert aged.introspect(token)["scope"] == "users.read.self users.write.self"
    aged.settings(passwordResetTime=3 * 86400)
    assert aged.user("ada")["resetPasswordReason"] == "NONE"
    assert aged.introspect(token)["scope"] != "users.read.self users.write.self"


def test_new_password_ends_the_expiry(aged):
    aged.settings(passwordResetTime=86400)
    token = aged.login("ada")["access_token"]
    assert aged.patch(SELF, {"password": "another-one"}, token).status == 200
    assert aged.user("ada")["resetPasswordReason"] == "NONE"
    assert "restart.write" in aged.introspect(token)["scope"]


def test_stored_reason_comes_before_expiry(aged):
    aged.settings(passwordResetTime=86400)
    aged.update("ada", resetPassword=True)
    assert aged.user("ada")["resetPasswordReason"] == "ADMIN_FORCED"


def test_lifetime_of_tokens_is_the_settings(api):
    api.create("ada")
    api.settings(idleLogout=60.9)
    pair = api.login("ada")
    assert pair["expires_in"] == 60
    body = api.introspect(pair["access_token"])
    assert body["exp"] - body["iat"] in (60, 61)


# Access control


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


@pytest.mark.parametrize("with_token", [True, False])
def test_access_control_ends_every_login_but_the_one_that_asked(api, with_token):
    """A session that was prepared while the robot was open must not remain usable."""
    api.create("admin", "admin")
    api.create("robot", "service")
    api.create("ada")
    mine, others = api.login("admin"), [api.login(name) for name in ("admin", "robot", "ada")]
    mine_too = api.refresh(mine["refresh_token"]).json
    token = mine["access_token"] if with_token else None
    api.enable_access_control(token)
    for pair in others + ([] if with_token else [mine, mine_too]):
        assert api.get(SELF, pair["access_token"]).challenge() == (401, "invalid_token")
        assert api.introspect(pair["access_token"]) == {"active": False}
        assert api.refresh(pair["refresh_token"]).status == 400
    if with_token:
        for pair in (mine, mine_too):
            assert api.get("/auth/users", pair["access_token"]).status == 200
        assert api.refresh(mine_too["refresh_token"]).status == 200


def test_access_control_that_is_not_turned_on_ends_no_login(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    assert error_of(api.patch(SWITCH, {"accessControlEnabled": True})) == (409, "lastAdmin")
    assert error_of(api.patch(SWITCH, {"accessControlEnabled": False}))[0] == 422
    assert api.active(token)


def test_access_control_names_administrators_and_service_accounts_in_its_event(start, tmp_path):
    _, api = start()
    kinds = {"adm-1": "admin", "usr-1": "user", "aud-1": "auditor", "svc-1": "service"}
    for name, kind in {**kinds, "adm-locked": "admin", "adm-gone": "admin"}.items():
        api.create(name, kind)
    api.update("adm-locked", locked=True)
    api.delete("adm-gone")
    api.enable_access_control()
    log = run("audit", "export", "--persistence-directory", tmp_path / "state").stdout
    event = json.loads(log.splitlines()[-1])
    assert event["action"] == "update CRS enabled"
    for name in ("adm-1", "svc-1", "adm-locked"):
        assert name in event["message"]
    for name in ("usr-1", "aud-1", "adm-gone"):
        assert name not in event["message"]


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
