"""Users: each row and each rule of this section of the contract."""

import json
import re
import string
import unicodedata

import pytest

from api import PASSWORD, SELF, Api, by_name, error_of
from hashes import BACKTICK, UMLAUT
from support import edit_database

# Characters that the touchscreen's keyboard can type, except the space and the hanzi.
TYPED = set(string.ascii_letters + string.digits + string.punctuation) - {"`"}


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
            "source": "local",
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


@pytest.mark.parametrize(
    "name", ["ada", "a/b", "100%", "a?b#c", "..a", "self", "~!@$^&*()", "a+b", "李雷"]
)
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


def test_forced_reset_ends_all_logins(api):
    api.create("ada")
    pair = api.login("ada")
    user = api.update("ada", resetPassword=True).json["data"]
    assert (user["resetPassword"], user["resetPasswordReason"]) == (True, "ADMIN_FORCED")
    assert api.get(SELF, pair["access_token"]).challenge() == (401, "invalid_token")
    assert api.refresh(pair["refresh_token"]).status == 400
    assert api.login("ada")["scope"] == "users.read.self users.write.self"


def test_password_by_an_admin_clears_the_reset_that_the_same_request_sets(api):
    api.create("ada", password=None)
    user = api.update("ada", password="another-one", resetPassword=True).json["data"]
    assert (user["resetPassword"], user["resetPasswordReason"]) == (False, "NONE")


def test_password_by_an_admin_ends_all_logins(api):
    api.create("ada")
    tokens = [api.login("ada")["access_token"] for _ in range(2)]
    api.update("ada", password="another-one")
    assert not any(api.active(token) for token in tokens)


ENDS = {
    "another account type": {"accountType": "auditor"},
    "another username": {"username": "lovelace"},
    "another case of the username": {"username": "Ada"},
    "another account type and full name": {"accountType": "admin", "fullName": "Countess"},
}


@pytest.mark.parametrize("change", ENDS)
def test_tokens_stop_when_an_admin_retypes_or_renames(api, change):
    api.create("ada")
    first = api.login("ada")
    second = api.refresh(first["refresh_token"]).json
    assert api.update("ada", **ENDS[change]).status == 200
    for pair in (first, second):
        assert api.get(SELF, pair["access_token"]).challenge() == (401, "invalid_token")
        assert api.introspect(pair["access_token"]) == {"active": False}
        assert api.refresh(pair["refresh_token"]).status == 400
    name = ENDS[change].get("username", "ada")
    assert api.get(SELF, api.login(name)["access_token"]).json["data"] == api.user(name)


def test_tokens_outlast_another_full_name_and_what_changes_nothing(api):
    api.create("ada")
    pair = api.login("ada")
    for change in (
        {"fullName": "Countess"},
        {"username": "ada", "accountType": "user"},
        {"locked": False, "resetPassword": False},
    ):
        assert api.update("ada", **change).status == 200
        assert api.active(pair["access_token"]), change
    assert api.introspect(pair["access_token"])["ot_fullname"] == "Countess"
    assert api.refresh(pair["refresh_token"]).status == 200


def test_password_previously_used_whoever_sets_it(api):
    before = api.create("ada")
    token = api.login("ada")["access_token"]
    for answer in (
        api.patch(SELF, {"password": PASSWORD}, token),
        api.update("ada", password=PASSWORD),
        api.update("ada", password=PASSWORD, fullName="New", locked=True),
    ):
        assert error_of(answer) == (400, "passwordPreviouslyUsed")
    assert api.user("ada") == before
    assert api.active(token)


def test_password_previously_used_is_a_temporary_one_too(api):
    temporary = api.create("ada", password=None)["temporaryPassword"]
    answer = api.update("ada", password=temporary)
    assert error_of(answer) == (400, "passwordPreviouslyUsed")
    assert api.user("ada")["resetPasswordReason"] == "FIRST_TIME_LOGIN"
    # The previous password may be set again.
    assert api.update("ada", password=PASSWORD).status == 200
    assert api.update("ada", password=temporary).status == 200


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
    for name, reason, reset in (
        ("ada", None, "NONE"),
        ("bea", "temporaryPassword", "FIRST_TIME_LOGIN"),
    ):
        assert api.get(by_name(name, "/loginStatus")).json == {
            "data": {"reason": reason, "resetPasswordReason": reset}
        }


def test_login_status_reason_is_a_temporary_password_that_waits_to_be_replaced(api):
    api.create("ada")

    def status():
        found = api.login_status("ada")
        return found["reason"], found["resetPasswordReason"]

    # A new password is required, and the current one was set by the user.
    api.update("ada", resetPassword=True)
    assert status() == (None, "ADMIN_FORCED")
    temporary = api.reset("ada")
    assert status() == ("temporaryPassword", "ADMIN_FORCED")
    # A temporary password stays temporary when a new password is required again.
    api.update("ada", resetPassword=True)
    assert status() == ("temporaryPassword", "ADMIN_FORCED")
    token = api.login("ada", temporary)["access_token"]
    assert status()[0] == "temporaryPassword"
    assert api.patch(SELF, {"password": "another-one"}, token).status == 200
    assert status() == (None, "NONE")
    api.reset("ada")
    # A password set by an administrator is not temporary.
    assert api.update("ada", password=PASSWORD).status == 200
    assert status() == (None, "NONE")


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


GOOD = "another-one"


def test_validate_password_tells_whether_a_new_one_would_do(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    answer = api.validate(GOOD, token)
    assert (answer.status, answer.json) == (200, {})
    assert error_of(api.validate(PASSWORD, token)) == (400, "passwordPreviouslyUsed")
    # It was a dry run: the password is unchanged.
    assert api.active(token)
    api.login("ada")
    assert api.try_login("ada", GOOD).status == 400


@pytest.mark.parametrize(
    "password", ["short", "", "pässword1", "tick`tick`", "abcdefgh1", "é", PASSWORD, 12345678, None]
)
def test_validate_password_gives_the_error_of_the_change(api, password):
    api.create("ada")
    api.settings(passwordComplexityMinimumLength=10, passwordComplexitySpecialCharacters=True)
    token = api.login("ada")["access_token"]
    dry = api.validate(password, token)
    wet = api.patch(SELF, {"password": password}, token)
    assert dry.status in (400, 422)
    assert (dry.status, dry.json) == (wet.status, wet.json)


def test_validate_password_before_the_first_one_is_set(api):
    """A user with a temporary password tries out new ones at the touchscreen."""
    temporary = api.create("ada", password=None)["temporaryPassword"]
    token = api.login("ada", temporary)["access_token"]
    for _ in range(3):
        assert error_of(api.validate("short", token)) == (400, "passwordTooShort")
    assert error_of(api.validate(temporary, token)) == (400, "passwordPreviouslyUsed")
    assert api.validate(GOOD, token).status == 200
    assert api.user("ada")["resetPasswordReason"] == "FIRST_TIME_LOGIN"
    assert api.patch(SELF, {"password": GOOD}, token).status == 200


def test_validate_password_counts_no_failed_login(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    for _ in range(6):
        assert api.validate(GOOD, token).status == 200
    assert api.user("ada")["locked"] is False
    assert api.try_login("ada", "wrong-password").json["opentrons_login_attempts_remaining"] == 4
    # Nor does it reset the count.
    assert api.validate(PASSWORD, token).status == 400
    assert api.try_login("ada", "wrong-password").json["opentrons_login_attempts_remaining"] == 3


def test_validate_password_more_than_ten_times_in_a_minute_is_429(api):
    api.create("ada")
    token, other = (api.login("ada")["access_token"] for _ in range(2))
    for _ in range(10):
        assert api.validate(GOOD, token).status == 200
    for password in (GOOD, PASSWORD):
        answer = api.validate(password, token)
        assert error_of(answer) == (429, "tooManyAttempts")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    # Attempts are counted for each session, and delay nothing else.
    assert api.validate(GOOD, other).status == 200
    assert api.patch(SELF, {"password": GOOD}, token).status == 200


def test_validate_password_tells_a_refreshed_token_no_more(api):
    """The limit applies to the session, so a new token of the session gets no further attempts."""
    api.create("ada")
    pair = api.login("ada")
    for _ in range(10):
        assert api.validate(GOOD, pair["access_token"]).status == 200
    again = api.refresh(pair["refresh_token"]).json["access_token"]
    assert error_of(api.validate(GOOD, again)) == (429, "tooManyAttempts")


# Rules


def test_user_already_exists(api):
    api.create("ada")
    api.create("bea")
    new = {"username": "ada", "fullName": "x", "accountType": "user", "password": PASSWORD}
    assert error_of(api.request("POST", "/auth/users", new)) == (400, "userAlreadyExists")
    assert error_of(api.update("bea", username="ada")) == (400, "userAlreadyExists")
    assert api.update("ada", username="ada").status == 200


@pytest.mark.parametrize("name", ["ADA", "Ada", "aDa"])
def test_usernames_that_differ_in_case_alone_are_the_same(api, name):
    api.create("ada")
    api.create("bea")
    token = api.login("bea")["access_token"]
    new = {"username": name, "fullName": "x", "accountType": "user", "password": PASSWORD}
    assert error_of(api.request("POST", "/auth/users", new)) == (400, "userAlreadyExists")
    assert error_of(api.update("bea", username=name)) == (400, "userAlreadyExists")
    assert error_of(api.patch(SELF, {"username": name}, token)) == (400, "userAlreadyExists")
    assert [user["username"] for user in api.get("/auth/users").json["data"]] == ["ada", "bea"]
    # A user may change the case of their own username.
    assert api.update("ada", username=name).json["data"]["username"] == name


BAD_NAMES = [
    ("a b", 400, "usernameContainsInvalidCharacters"),
    ("é", 400, "usernameContainsInvalidCharacters"),
    ("a\tb", 400, "usernameContainsInvalidCharacters"),
    ("a\u0000b", 400, "usernameContainsInvalidCharacters"),
    ("a`b", 400, "usernameContainsInvalidCharacters"),
    ("a\u3400", 400, "usernameContainsInvalidCharacters"),
    ("a\ua000", 400, "usernameContainsInvalidCharacters"),
    ("a\U00020000", 400, "usernameContainsInvalidCharacters"),
    ("かな", 400, "usernameContainsInvalidCharacters"),
    ("ａ", 400, "usernameContainsInvalidCharacters"),
    ("a\u200b", 400, "usernameContainsInvalidCharacters"),
    (" ada", 400, "usernameContainsInvalidCharacters"),
    (".", 400, "usernameContainsInvalidCharacters"),
    ("..", 400, "usernameContainsInvalidCharacters"),
    ("." * 20, 400, "usernameContainsInvalidCharacters"),
    ("a" * 21, 422, "invalidRequest"),
    ("", 400, "usernameEmpty"),
]
BAD_PASSWORDS = [
    ("tick`tick`", 400, "passwordContainsInvalidCharacters"),
    ("with\ttabs", 400, "passwordContainsInvalidCharacters"),
    ("with\u00a0space", 400, "passwordContainsInvalidCharacters"),
    ("with\u3000space", 400, "passwordContainsInvalidCharacters"),
    ("with\u0000null", 400, "passwordContainsInvalidCharacters"),
    ("\u3400-extension", 400, "passwordContainsInvalidCharacters"),
    ("\ua000-syllable", 400, "passwordContainsInvalidCharacters"),
    ("かなかなかなかな", 400, "passwordContainsInvalidCharacters"),
    ("pässword1", 400, "passwordContainsInvalidCharacters"),
    ("short", 400, "passwordTooShort"),
    ("", 400, "passwordEmpty"),
]


def refusals(api, field, value, name="ada"):
    """Yields the response of every route that accepts the field."""
    api.create(name)
    token = api.login(name)["access_token"]
    new = {"username": "new", "fullName": "x", "accountType": "user", "password": PASSWORD}
    yield api.request("POST", "/auth/users", new | {field: value})
    yield api.update(name, **{field: value})
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


@pytest.mark.parametrize("name", ["a" * 20, "龍" * 20, "\u4e00\u9fff", "a.b", "...a", ".-."])
def test_good_usernames(api, name):
    assert api.create(name)["username"] == name
    assert api.login(name)


@pytest.mark.parametrize(
    "password",
    [
        "with space",
        "  at the ends  ",
        " " * 8,
        "\u4e00\u9fff中文密码一二",
        "".join(sorted(TYPED)),
        "龍" * 8,
    ],
)
def test_good_passwords_are_what_the_touchscreen_can_type(api, password):
    api.create("ada", password=password)
    api.login("ada", password)
    assert api.try_login("ada", f"{password} ").status == 400
    assert api.try_login("ada", password.strip() or "x").status == (
        200 if password == password.strip() else 400
    )


def test_temporary_passwords_can_be_typed_at_the_touchscreen(api):
    api.create("ada")
    for _ in range(20):
        password = api.reset("ada")
        assert len(password) >= 8 and set(password) <= TYPED


def test_names_and_passwords_from_before_stay_good(start, tmp_path):
    """Earlier rules accepted them, and the current rules refuse them."""
    server, api = start()
    names = {"a`b": BACKTICK, "..": UMLAUT, "wörd name": BACKTICK}
    for number in range(len(names)):
        api.create(f"user{number}")
    server.stop()
    for number, (name, (_, phc)) in enumerate(names.items()):
        edit_database(
            tmp_path / "state",
            "UPDATE user SET username = ?, password_hash = ? WHERE username = ?",
            name,
            phc,
            f"user{number}",
        )
    _, api = start()
    for name, (password, _) in names.items():
        token = api.login(name, password)["access_token"]
        assert api.get(SELF, token).json["data"] == api.user(name)
        assert api.try_login(name, "wrong-password").status == 400
        # Other changes do not check it.
        assert api.update(name, fullName="New").status == 200
        assert api.update(name, username=name).status == 200
        assert api.patch(SELF, {"username": name, "fullName": "Newer"}, token).status == 200
        assert api.get(by_name(name, "/loginStatus")).status == 200
        assert api.delete(name).status == 200


# Invisible characters, by their Unicode category.
INVISIBLE = {
    "Cc": ["\0", "\t", "\n", "\u001b", "\u007f", "\u0085"],
    # Soft hyphen, Arabic letter mark, Mongolian vowel separator; zero width space, joiner and
    # non-joiner; right-to-left mark and override, pop, isolate; word joiner, byte order mark,
    # annotation, shorthand, tag.
    "Cf": [
        *("\u00ad", "\u061c", "\u180e", "\u200b", "\u200c", "\u200d", "\u200f", "\u202e"),
        *("\u202c", "\u2068", "\u2060", "\ufeff", "\ufff9", "\U0001bca0", "\U000e0041"),
    ],
    "Zl": ["\u2028"],
    "Zp": ["\u2029"],
    "Co": ["\ue000", "\uf8ff", "\U000f0000", "\U0010fffd"],
    "Cn": ["\u0378", "\ufdd0", "\uffff", "\U000e0fff", "\U0010ffff"],
}


@pytest.mark.parametrize("category", INVISIBLE)
def test_full_name_has_no_invisible_characters(api, category):
    before = api.create("bea")
    token = api.login("bea")["access_token"]
    new = {"username": "new", "accountType": "user", "password": PASSWORD}
    for character in INVISIBLE[category]:
        assert unicodedata.category(character) == category
        for name in (f"Ada{character}L", f"Ada L {character}."):
            for answer in (
                api.request("POST", "/auth/users", {**new, "fullName": name}),
                api.update("bea", fullName=name),
                api.patch(SELF, {"fullName": name}, token),
            ):
                assert error_of(answer) == (400, "fullNameContainsInvalidCharacters"), name
    assert api.get("/auth/users").json["data"] == [before]


@pytest.mark.parametrize("name", [" ", "\u00a0", "\u3000\u2003 "])
def test_full_name_is_not_blank(api, name):
    for answer in refusals(api, "fullName", name):
        assert error_of(answer) == (400, "fullNameEmpty")
        assert answer.json["detail"] == "fullName must not be empty"


@pytest.mark.parametrize("text", [r"\ud800", r"Ada \udfff", r"\udfff\ud800", r"\ud83e x"])
def test_half_a_surrogate_pair_is_422(api, text):
    api.create("ada")
    body = f'{{"data": {{"fullName": "{text}"}}}}'.encode()
    answer = api.request("PATCH", by_name("ada"), body=body)
    assert error_of(answer) == (422, "invalidRequest")
    assert api.user("ada")["fullName"] == "ada X"


def test_full_name_of_people_is_taken_as_it_is(api):
    names = [
        "Zoë 李 O'Neil-Łuk",
        "Jose\u0301 \u00c5ngstro\u0308m",
        "نجيب محفوظ",
        "רחל",
        "प्रेमचन्द",
        "Ада Лавлейс, Ph.D.",
        "紫式部",
        "Ada \U0001f9ea",
        "\U00020000\U0002a6d6",
        "X" * 256,
        "\U0001f9ea" * 256,
    ]
    api.create("ada")
    token = api.login("ada")["access_token"]
    for name in names:
        assert api.update("ada", fullName=name).json["data"]["fullName"] == name
        assert api.user("ada")["fullName"] == name
        assert api.introspect(token)["ot_fullname"] == name


def test_full_name_is_trimmed_before_it_is_measured(api):
    assert api.create("ada", fullName="  Ada  L \u3000")["fullName"] == "Ada  L"
    assert api.update("ada", fullName=f" {'x' * 256} ").json["data"]["fullName"] == "x" * 256
    for answer in refusals(api, "fullName", "x" * 257, name="bea"):
        assert error_of(answer) == (422, "invalidRequest")
        assert "fullName" in answer.json["detail"]


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


SHORT, SPECIAL = "passwordTooShort", "passwordMissingSpecialCharacters"
INVALID = "passwordContainsInvalidCharacters"


@pytest.mark.parametrize(
    ("password", "broken"),
    [
        ("abc", {SHORT, SPECIAL}),
        ("äbc", {SHORT, SPECIAL, INVALID}),
        ("ä-c", {SHORT, INVALID}),
        ("äbcdefghijkl", {SPECIAL, INVALID}),
        # A space is not punctuation.
        ("a b", {SHORT, SPECIAL}),
    ],
)
def test_password_that_breaks_several_rules_gets_them_all_length_first(api, password, broken):
    api.settings(passwordComplexityMinimumLength=10, passwordComplexitySpecialCharacters=True)
    api.create("ada", password="correct-horse-battery")
    token = api.login("ada", "correct-horse-battery")["access_token"]
    new = {"username": "x", "fullName": "x", "accountType": "user", "password": password}
    for answer in (
        api.request("POST", "/auth/users", new),
        api.update("ada", password=password),
        api.patch(SELF, {"password": password}, token),
        api.validate(password, token),
    ):
        assert answer.status == 400
        ids = answer.error_ids()
        assert sorted(ids) == sorted(broken)
        assert SHORT not in ids or ids[0] == SHORT
        for error in answer.json["errors"]:
            meta = {"requiredLength": 10, "actualLength": len(password)}
            assert error.get("meta") == (meta if error["id"] == SHORT else None)
    api.login("ada", "correct-horse-battery")


def test_current_password_that_has_become_too_short_breaks_two_rules(api):
    api.create("ada")
    api.settings(passwordComplexityMinimumLength=20)
    token = api.login("ada")["access_token"]
    for answer in (
        api.patch(SELF, {"password": PASSWORD}, token),
        api.validate(PASSWORD, token),
        api.update("ada", password=PASSWORD),
    ):
        assert answer.error_ids() == [SHORT, "passwordPreviouslyUsed"]


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
    token = api.login("robot")["access_token"]
    answer = api.patch(SELF, {"username": "other"}, token)
    assert error_of(answer) == (400, "serviceAccountImmutable")
    assert api.user("robot") == user
    assert api.update("robot", password="another-one").status == 200
    api.login("robot", "another-one")


def test_service_account_is_deleted_only_while_access_control_is_off(api):
    """The app's set-up deletes what an interrupted attempt left, and starts again."""
    api.create("robot", "service")
    assert api.delete("robot").json == {}
    assert error_of(api.get(by_name("robot"))) == (404, "userNotFound")
    api.create("robot", "service")
    api.create("admin", "admin")
    api.enable_access_control()
    admin = api.login("admin")["access_token"]
    service = api.login("robot")["access_token"]
    for token in (admin, service):
        assert error_of(api.delete("robot", token)) == (400, "serviceAccountImmutable")
    assert api.active(service)
    assert api.delete("robot").status == 401


def test_deleted_service_account_is_out_at_once(api):
    api.create("robot", "service")
    pair = api.login("robot")
    api.delete("robot")
    assert not api.active(pair["access_token"])
    assert api.refresh(pair["refresh_token"]).status == 400
    assert api.try_login("robot").status == 400


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
    """An account that is throttled instead of locked can still log in."""
    api.settings(admin, maxNumberOfLoginAttempts=None)
    api.fail_logins("admin", 3)
    assert api.settings(admin, maxNumberOfLoginAttempts=2)["maxNumberOfLoginAttempts"] == 2
    assert api.user("admin", admin)["locked"] is False
    api.login("admin")


def test_settings_cannot_lock_out_all_admins_at_once(api, admin):
    api.create("second", "admin", token=admin)
    api.settings(admin, maxNumberOfLoginAttempts=None)
    for name in ("admin", "second"):
        api.fail_logins(name, 3)
    answer = api.patch("/auth/settings", {"maxNumberOfLoginAttempts": 2}, admin)
    assert answer.status in (200, 409)
    assert [name for name in ("admin", "second") if api.try_login(name).status == 200]


# A username identifies one person for ever


TAKEN = "Ada Lovelace"


@pytest.fixture
def former(api, admin):
    """The token of the administrator of a robot on which the user `ada` was deleted."""
    api.create("ada", fullName=TAKEN, token=admin)
    assert api.delete("ada", admin).status == 200
    return admin


def is_taken(answer, name):
    assert error_of(answer) == (400, "userAlreadyExists")
    # The message gives the reason, because no user has this name at present.
    assert name in answer.json["detail"]
    assert answer.json["detail"] != f'User "{name}" already exists.'
    return True


@pytest.mark.parametrize("name", ["ada", "ADA"])
@pytest.mark.parametrize("full_name", ["Ada Byron", "ada lovelace"])
def test_deleted_username_is_no_other_persons(api, former, name, full_name):
    new = {"username": name, "fullName": full_name, "accountType": "user", "password": PASSWORD}
    assert is_taken(api.request("POST", "/auth/users", new, former), name)
    api.create("bea", token=former, fullName=full_name)
    assert is_taken(api.update("bea", former, username=name), name)
    token = api.login("bea")["access_token"]
    assert is_taken(api.patch(SELF, {"username": name}, token), name)
    assert api.user("bea", former)["username"] == "bea"


@pytest.mark.parametrize("full_name", [TAKEN, f" {TAKEN} "])
def test_deleted_username_comes_back_to_its_person(api, former, full_name):
    assert api.create("ada", token=former, fullName=full_name)["fullName"] == TAKEN


def test_deleted_username_comes_back_to_its_person_by_renaming(api, former):
    api.create("bea", token=former, fullName=TAKEN)
    assert api.update("bea", former, username="ada").json["data"]["username"] == "ada"
    api.create("carl", token=former)
    renamed = api.update("carl", former, username="ADA", fullName=TAKEN)
    assert error_of(renamed) == (400, "userAlreadyExists")


def test_username_and_full_name_changed_at_once_are_held_together(api, former):
    """The new full name is compared, not the previous one."""
    api.create("bea", token=former, fullName=TAKEN)
    both = {"username": "ada", "fullName": "Bea"}
    assert is_taken(api.update("bea", former, **both), "ada")
    api.create("carl", token=former)
    both = {"username": "ada", "fullName": TAKEN}
    assert api.update("carl", former, **both).json["data"]["username"] == "ada"


def test_username_that_was_renamed_away_is_no_other_persons(api, admin):
    api.create("ada", token=admin, fullName=TAKEN)
    api.update("ada", admin, username="lovelace")
    new = {"username": "ada", "fullName": "Other", "accountType": "user", "password": PASSWORD}
    assert is_taken(api.request("POST", "/auth/users", new, admin), "ada")
    assert api.update("lovelace", admin, username="ada").status == 200


def test_deleted_username_is_remembered_over_a_restart(start):
    server, api = start()
    api.create("admin", "admin")
    api.create("ada", fullName=TAKEN)
    api.enable_access_control()
    api.delete("ada", api.login("admin")["access_token"])
    server.stop()
    _, api = start()
    new = {"username": "ada", "fullName": "Other", "accountType": "user", "password": PASSWORD}
    assert is_taken(
        api.request("POST", "/auth/users", new, api.login("admin")["access_token"]), "ada"
    )


def test_username_deleted_before_access_control_is_no_other_persons_after(api):
    api.create("admin", "admin")
    api.create("ada", fullName=TAKEN)
    api.delete("ada")
    api.enable_access_control()
    token = api.login("admin")["access_token"]
    new = {"username": "ada", "fullName": "Other", "accountType": "user", "password": PASSWORD}
    assert is_taken(api.request("POST", "/auth/users", new, token), "ada")
    assert api.create("ada", token=token, fullName=TAKEN)


def test_usernames_are_free_again_while_access_control_is_off(api):
    api.create("ada", fullName=TAKEN)
    api.delete("ada")
    assert api.create("ada", fullName="Other")["fullName"] == "Other"


# Wrong types, and fields given twice

TYPES = {
    "username": [1, None, True, [], {}],
    "fullName": [1, None, True, [], {}],
    "accountType": [
        *(1, None, True, "Admin", "root", "", [], ["admin"]),
        *({}, {"admin": None}, {"admin": {}}, {"admin": []}, {"user": None}),
    ],
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


@pytest.mark.parametrize("value", [{"admin": None}, {"admin": {}}, ["admin"], 0, "Admin"])
def test_enum_is_a_string_and_nothing_else(api, value):
    new = {"username": "ada", "fullName": "x", "accountType": value, "password": PASSWORD}
    answer = api.request("POST", "/auth/users", new)
    assert error_of(answer) == (422, "invalidRequest")
    assert "data.accountType: " in answer.json["detail"]
    assert api.get("/auth/users").json["data"] == []


# Terms of Rust and serde for which JSON has other terms, or none.
RUST = re.compile(
    r"\b([iu](8|16|32|64|size)|f32|f64|str|char|bool|struct|variants?|enum|map|sequence|newtype|"
    r"tuple|unit|Option|String|floating point|UserPatch|NewUser|AccountType|deserialize)\b"
)


@pytest.mark.parametrize("field", TYPES)
def test_malformed_requests_are_answered_in_the_terms_of_json(api, field):
    api.create("ada")
    for value in TYPES[field]:
        detail = api.update("ada", **{field: value}).json["detail"]
        assert not RUST.search(detail), detail
    new = {"username": "bea", "fullName": "x", "accountType": "user"}
    for body in ([], "x", {"username": "bea"}, *(new | {name: 1} for name in new)):
        detail = api.request("POST", "/auth/users", body).json["detail"]
        assert not RUST.search(detail), detail


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


def test_body_of_another_type_is_415(api):
    api.create("ada")
    answer = api.request(
        "PATCH", by_name("ada"), {"fullName": "x"}, headers={"Content-Type": "text/plain"}
    )
    assert error_of(answer) == (415, "unsupportedMediaType")
    assert "Content-Type" in answer.json["detail"]


def test_unknown_fields_are_ignored_and_logged_once(serve):
    server = serve().wait_ready()
    api = Api(("127.0.0.1", server.port))
    api.create("ada", requireReasonForInteraction=True)
    api.create("bea", requireReasonForInteraction=True)
    assert "requireReasonForInteraction" not in api.user("ada")
    server.stop()
    assert server.log.count("data.requireReasonForInteraction") == 1
