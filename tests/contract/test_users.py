"""Users: each row of the contract's table and each of its rules."""

import json
import string

import pytest

from api import PASSWORD, Api, by_name, error_of

SELF = "/auth/users/self"


def test_created_user_is_answered(api):
    answer = api.request(
        "POST",
        "/auth/users",
        {"username": "ada", "fullName": "Ada L.", "accountType": "user", "password": PASSWORD},
    )
    assert answer.status == 201
    assert answer.json == {
        "data": {
            "username": "ada",
            "fullName": "Ada L.",
            "accountType": "user",
            "locked": False,
            "resetPassword": False,
            "resetPasswordReason": "NONE",
        }
    }


def test_user_without_password_gets_a_temporary_one_once(api):
    user = api.create("ada", password=None)
    assert user["resetPassword"] is True
    assert user["resetPasswordReason"] == "FIRST_TIME_LOGIN"
    api.login("ada", user["temporaryPassword"])
    assert "temporaryPassword" not in api.user("ada")
    assert "temporaryPassword" not in api.get("/auth/users").json["data"][0]


def test_temporary_passwords_fit_the_settings(api):
    api.settings(passwordComplexityMinimumLength=30, passwordComplexitySpecialCharacters=True)
    password = api.create("ada", password=None)["temporaryPassword"]
    assert len(password) >= 30
    assert any(character in string.punctuation for character in password)
    assert api.create("bea", password=password)["resetPassword"] is False


def test_users_are_listed_by_name(api):
    for name in ("carl", "ada", "Bea", "bob"):
        api.create(name)
    body = api.get("/auth/users").json
    assert [user["username"] for user in body["data"]] == ["Bea", "ada", "bob", "carl"]
    assert body["meta"] == {"cursor": 0, "totalLength": 4}


@pytest.mark.parametrize(
    ("query", "names", "cursor"),
    [
        ("cursor=1", "bcd", 1),
        ("pageLength=2", "ab", 0),
        ("cursor=1&pageLength=2", "bc", 1),
        ("cursor=3&pageLength=100", "d", 3),
        ("cursor=9", "", 9),
        ("other=1", "abcd", 0),
    ],
)
def test_users_are_listed_in_pages(api, query, names, cursor):
    for name in "abcd":
        api.create(name)
    body = api.get(f"/auth/users?{query}").json
    assert [user["username"] for user in body["data"]] == list(names)
    assert body["meta"] == {"cursor": cursor, "totalLength": 4}


@pytest.mark.parametrize(
    "query",
    [
        "cursor=-1",
        "cursor=x",
        "cursor=",
        "pageLength=0",
        "pageLength=1.5",
        "pageLength=2147483648",
        "cursor=1&cursor=1",
    ],
)
def test_wrong_page_is_422(api, query):
    answer = api.get(f"/auth/users?{query}")
    assert error_of(answer) == (422, "invalidRequest")
    assert query.split("=")[0] in answer.json["detail"]


@pytest.mark.parametrize("name", ["ada", "a/b", "100%", "a?b#c", "..", "self", "~!@$^&*()", "a+b"])
def test_user_by_any_name(api, name):
    api.create(name)
    assert api.user(name)["username"] == name
    assert api.update(name, fullName="New").json["data"]["fullName"] == "New"
    assert api.get(by_name(name, "/loginStatus")).status == 200
    assert api.request("DELETE", by_name(name)).json == {}
    assert error_of(api.get(by_name(name))) == (404, "userNotFound")


def test_unknown_user_is_404(api):
    for method, rest in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/resetPassword"),
        ("GET", "/loginStatus"),
    ):
        answer = api.request(method, by_name("nobody", rest))
        assert error_of(answer) == (404, "userNotFound"), (method, rest)
    assert error_of(api.update("nobody", fullName="x")) == (404, "userNotFound")


# PATCH /auth/users/byUsername/{username}


def test_fields_are_changed_one_by_one(api):
    api.create("ada")
    assert api.update("ada", fullName="Countess").json["data"]["fullName"] == "Countess"
    assert api.update("ada", accountType="auditor").json["data"]["accountType"] == "auditor"
    assert api.update("ada", username="lovelace").json["data"]["username"] == "lovelace"
    assert error_of(api.get(by_name("ada"))) == (404, "userNotFound")
    assert api.update("lovelace", password="another-one").status == 200
    api.login("lovelace", "another-one")


def test_nothing_to_change_changes_nothing(api):
    before = api.create("ada")
    assert api.update("ada").json["data"] == before
    assert (
        api.update("ada", fullName=before["fullName"], resetPassword=False).json["data"] == before
    )


def test_locked_user_is_locked_and_out(api):
    api.create("ada")
    pair = api.login("ada")
    assert api.update("ada", locked=True).json["data"]["locked"] is True
    assert not api.active(pair["access_token"])
    assert api.refresh(pair["refresh_token"]).status == 400
    assert api.try_login("ada").status == 400
    assert api.update("ada", locked=False).json["data"]["locked"] is False
    assert not api.active(pair["access_token"])
    api.login("ada")


def test_unlocking_forgets_failed_logins(api):
    api.create("ada")
    for _ in range(5):
        api.try_login("ada", "wrong-password")
    assert api.update("ada", locked=False).json["data"]["locked"] is False
    assert api.try_login("ada", "wrong-password").json["opentrons_login_attempts_remaining"] == 4


def test_forced_reset(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    user = api.update("ada", resetPassword=True).json["data"]
    assert (user["resetPassword"], user["resetPasswordReason"]) == (True, "ADMIN_FORCED")
    assert api.introspect(token)["scope"] == "users.read.self users.write.self"


def test_password_by_an_admin_clears_the_reset_that_the_same_request_sets(api):
    api.create("ada", password=None)
    user = api.update("ada", password="another-one", resetPassword=True).json["data"]
    assert (user["resetPassword"], user["resetPasswordReason"]) == (False, "NONE")


def test_password_by_an_admin_ends_all_logins(api):
    api.create("ada")
    tokens = [api.login("ada")["access_token"] for _ in range(2)]
    api.update("ada", password="another-one")
    assert not any(api.active(token) for token in tokens)


def test_an_admin_may_set_the_same_password(api):
    api.create("ada")
    assert api.update("ada", password=PASSWORD).status == 200


def test_deleted_user_is_out_at_once(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    assert (api.request("DELETE", by_name("ada")).status, api.active(token)) == (200, False)
    assert api.try_login("ada").status == 400


def test_new_user_of_an_old_name_has_none_of_its_logins(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    api.request("DELETE", by_name("ada"))
    api.create("ada")
    api.login("ada")
    assert not api.active(token)


def test_reset_password(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    api.update("ada", locked=True)
    for _ in range(5):
        api.try_login("ada", "wrong-password")
    answer = api.request("POST", by_name("ada", "/resetPassword"))
    user = answer.json["data"]
    assert answer.status == 200
    assert (user["locked"], user["resetPassword"]) == (False, True)
    assert user["resetPasswordReason"] == "ADMIN_FORCED"
    assert not api.active(token)
    assert api.try_login("ada").status == 400
    assert (
        api.login("ada", user["temporaryPassword"])["scope"] == "users.read.self users.write.self"
    )


def test_login_status(api):
    api.create("ada")
    api.create("bea", password=None)
    for name, reason in (("ada", "NONE"), ("bea", "FIRST_TIME_LOGIN")):
        assert api.get(by_name(name, "/loginStatus")).json == {
            "data": {"resetPasswordReason": reason}
        }


def test_login_status_is_open(api, admin):
    assert api.get(by_name("admin", "/loginStatus")).status == 200


# /auth/users/self


def test_self_needs_a_token_while_access_control_is_off(api):
    for method, path in (("GET", SELF), ("PATCH", SELF), ("POST", f"{SELF}/validatePassword")):
        answer = api.request(method, path, {})
        assert answer.status == 401, (method, path)
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_request"'


def test_self_is_who_asks(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    assert api.get(SELF, token).json["data"] == api.user("ada")


def test_self_changes_names(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    user = api.patch(SELF, {"username": "bea", "fullName": "Bea"}, token).json["data"]
    assert (user["username"], user["fullName"]) == ("bea", "Bea")
    assert api.introspect(token)["username"] == "bea"


def test_self_cannot_promote_itself(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    user = api.patch(SELF, {"accountType": "admin", "locked": True}, token).json["data"]
    assert (user["accountType"], user["locked"]) == ("user", False)


def test_empty_data_changes_nothing(api):
    before = api.create("ada")
    token = api.login("ada")["access_token"]
    answer = api.patch(SELF, {}, token)
    assert (answer.status, answer.json["data"]) == (200, before)


def test_own_new_password_ends_the_other_logins(api):
    api.create("ada", password=None)
    temporary = api.request("POST", by_name("ada", "/resetPassword")).json["data"][
        "temporaryPassword"
    ]
    this, other = (api.login("ada", temporary)["access_token"] for _ in range(2))
    user = api.patch(SELF, {"password": PASSWORD}, this).json["data"]
    assert (user["resetPassword"], user["resetPasswordReason"]) == (False, "NONE")
    assert api.active(this) and not api.active(other)


def test_validate_password(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    path = f"{SELF}/validatePassword"
    answer = api.request("POST", path, {"password": PASSWORD}, token)
    assert (answer.status, answer.json) == (200, {})
    answer = api.request("POST", path, {"password": "wrong-password"}, token)
    assert error_of(answer) == (400, "passwordIncorrect")


def test_wrong_validations_count_as_failed_logins(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    for _ in range(5):
        api.request("POST", f"{SELF}/validatePassword", {"password": "wrong-one"}, token)
    assert api.user("ada")["locked"] is True
    assert not api.active(token)
    assert api.try_login("ada").json["opentrons_account_locked"] is True


# Rules


def test_user_already_exists(api):
    api.create("ada")
    api.create("bea")
    new = {"username": "ada", "fullName": "x", "accountType": "user", "password": PASSWORD}
    assert error_of(api.request("POST", "/auth/users", new)) == (400, "userAlreadyExists")
    assert error_of(api.update("bea", username="ada")) == (400, "userAlreadyExists")
    assert api.update("ada", username="ada").status == 200


BAD_NAMES = [
    ("a b", 400, "usernameContainsInvalidCharacters"),
    ("é", 400, "usernameContainsInvalidCharacters"),
    ("a\tb", 400, "usernameContainsInvalidCharacters"),
    ("a\u0000b", 400, "usernameContainsInvalidCharacters"),
    ("a" * 21, 422, "invalidRequest"),
    ("", 400, "usernameEmpty"),
]
BAD_PASSWORDS = [
    ("with space", 400, "passwordContainsInvalidCharacters"),
    ("pässword1", 400, "passwordContainsInvalidCharacters"),
    ("short", 400, "passwordTooShort"),
    ("", 400, "passwordEmpty"),
]


def refusals(api, field, value):
    """The answers of every route that takes the field."""
    api.create("ada")
    token = api.login("ada")["access_token"]
    new = {"username": "new", "fullName": "x", "accountType": "user", "password": PASSWORD}
    yield api.request("POST", "/auth/users", new | {field: value})
    yield api.update("ada", **{field: value})
    yield api.patch(SELF, {field: value}, token)


@pytest.mark.parametrize(("value", "status", "error"), BAD_NAMES)
def test_bad_usernames(api, value, status, error):
    for answer in refusals(api, "username", value):
        assert error_of(answer) == (status, error)
    assert [user["username"] for user in api.get("/auth/users").json["data"]] == ["ada"]


@pytest.mark.parametrize(("value", "status", "error"), BAD_PASSWORDS)
def test_bad_passwords(api, value, status, error):
    for answer in refusals(api, "password", value):
        assert error_of(answer) == (status, error)
    api.login("ada")


def test_longest_username(api):
    assert api.create("a" * 20)["username"] == "a" * 20


def test_empty_fields_say_so(api):
    for field in ("username", "password", "fullName"):
        for answer in refusals(api, field, ""):
            assert error_of(answer) == (400, f"{field}Empty")
            assert answer.json["detail"] == f"{field} must not be empty"
        api.request("DELETE", by_name("ada"))


def test_password_too_short_has_figures(api):
    for answer in refusals(api, "password", "1234567"):
        assert error_of(answer) == (400, "passwordTooShort")
        assert answer.json["errors"][0]["meta"] == {"requiredLength": 8, "actualLength": 7}


def test_password_missing_special_characters(api):
    api.settings(passwordComplexitySpecialCharacters=True)
    new = {"username": "x", "fullName": "x", "accountType": "user", "password": "abcdefgh1"}
    answer = api.request("POST", "/auth/users", new)
    assert error_of(answer) == (400, "passwordMissingSpecialCharacters")
    assert "meta" not in answer.json["errors"][0]


def test_password_previously_used(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    answer = api.patch(SELF, {"password": PASSWORD}, token)
    assert error_of(answer) == (400, "passwordPreviouslyUsed")


def test_service_account(api):
    user = api.create("robot", "service", fullName="Whatever")
    assert user["fullName"] == "Service Account"
    for change in (
        {"username": "other"},
        {"fullName": "Other"},
        {"accountType": "admin"},
        {"locked": True},
    ):
        answer = api.update("robot", **change)
        assert error_of(answer) == (400, "serviceAccountImmutable"), change
    answer = api.request("DELETE", by_name("robot"))
    assert error_of(answer) == (400, "serviceAccountImmutable")
    token = api.login("robot")["access_token"]
    answer = api.patch(SELF, {"username": "other"}, token)
    assert error_of(answer) == (400, "serviceAccountImmutable")
    assert api.user("robot") == user
    assert api.update("robot", password="another-one").status == 200
    api.login("robot", "another-one")


def test_last_admin(api, admin):
    for change in ({"accountType": "user"}, {"locked": True}):
        assert error_of(api.update("admin", admin, **change)) == (409, "lastAdmin"), change
    answer = api.request("DELETE", by_name("admin"), token=admin)
    assert error_of(answer) == (409, "lastAdmin")
    api.create("second", "admin", token=admin)
    assert api.request("DELETE", by_name("admin"), token=admin).status == 200


def test_last_admin_counts_those_who_can_log_in(api, admin):
    api.create("second", "admin", token=admin)
    assert api.update("second", admin, locked=True).status == 200
    assert error_of(api.update("admin", admin, locked=True)) == (409, "lastAdmin")


def test_last_admin_may_go_while_access_control_is_off(api):
    api.create("ada", "admin")
    assert api.request("DELETE", by_name("ada")).status == 200


def test_settings_cannot_lock_out_the_last_admin(api, admin):
    api.settings(admin, maxNumberOfLoginAttempts=None)
    for _ in range(3):
        api.try_login("admin", "wrong-password")
    answer = api.patch("/auth/settings", {"maxNumberOfLoginAttempts": 2}, admin)
    assert error_of(answer) == (409, "lastAdmin")


# Wrong types, and fields given twice

TYPES = {
    "username": [1, None, True, [], {}],
    "fullName": [1, None, True, [], {}],
    "accountType": [1, None, "Admin", "root", []],
    "password": [12345678, 1.5, True, [], {}],
    "locked": [1, None, "true", []],
    "resetPassword": [0, None, "yes"],
}


@pytest.mark.parametrize("field", TYPES)
def test_wrong_types_are_422_and_change_nothing(api, field):
    before = api.create("ada")
    token = api.login("ada")["access_token"]
    for value in TYPES[field]:
        answer = api.update("ada", **{"fullName": "New", field: value})
        assert error_of(answer) == (422, "invalidRequest"), value
        assert f"data.{field}: " in answer.json["detail"]
        if field in ("username", "fullName", "password"):
            answer = api.patch(SELF, {"username": "new", field: value}, token)
            assert error_of(answer) == (422, "invalidRequest"), value
    assert api.user("ada") == before


@pytest.mark.parametrize("field", ["username", "fullName", "accountType"])
def test_missing_fields_of_a_new_user_are_422(api, field):
    new = {"username": "ada", "fullName": "x", "accountType": "user"}
    del new[field]
    answer = api.request("POST", "/auth/users", new)
    assert error_of(answer) == (422, "invalidRequest")
    assert field in answer.json["detail"]
    assert api.get("/auth/users").json["data"] == []


@pytest.mark.parametrize("field", ["username", "fullName", "accountType", "password", "locked"])
def test_fields_given_twice_are_422_and_change_nothing(api, field):
    before = api.create("ada")
    value = json.dumps({"accountType": "admin", "locked": True}.get(field, "another-one"))
    body = f'{{"data": {{"{field}": {value}, "{field}": {value}}}}}'
    answer = api.request("PATCH", by_name("ada"), body=body)
    assert error_of(answer) == (422, "invalidRequest")
    assert field in answer.json["detail"]
    assert api.user("ada") == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b"{}",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": {}, "data": {}}',
        b'{"data": {}} x',
        b'{"data": {"fullName": "\xff"}}',
        b"[" * 10_000,
    ],
)
def test_bodies_that_are_no_envelope_are_422(api, body):
    api.create("ada")
    answer = api.request("PATCH", by_name("ada"), body=body)
    assert error_of(answer) == (422, "invalidRequest")


def test_body_of_another_type_is_422(api):
    api.create("ada")
    answer = api.request(
        "PATCH", by_name("ada"), {"fullName": "x"}, headers={"Content-Type": "text/plain"}
    )
    assert error_of(answer) == (422, "invalidRequest")
    assert "Content-Type" in answer.json["detail"]


def test_unknown_fields_are_ignored_and_logged_once(serve):
    server = serve().wait_ready()
    api = Api(("127.0.0.1", server.port))
    api.create("ada", requireReasonForInteraction=True)
    api.create("bea", requireReasonForInteraction=True)
    assert "requireReasonForInteraction" not in api.user("ada")
    server.stop()
    assert server.log.count("data.requireReasonForInteraction") == 1
