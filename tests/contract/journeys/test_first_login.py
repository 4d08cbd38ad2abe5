"""The first login at the touchscreen: a new user has a temporary password, and tries new passwords
until one is accepted."""

from api import SELF

BAD = ["short", "", "tick`tick`", "pässword1", "no-more", "1234567"]
GOOD = "my own password"


def test_first_login_at_the_touchscreen(api, admin):
    temporary = api.create("ada", password=None, token=admin)["temporaryPassword"]

    def is_not_locked():
        user = api.user("ada", admin)
        assert user["locked"] is False
        return user

    # The login screen asks which screen to show.
    assert api.login_status("ada") == {
        "reason": "temporaryPassword",
        "resetPasswordReason": "FIRST_TIME_LOGIN",
    }
    pair = api.login("ada", temporary)
    token = pair["access_token"]
    assert pair["scope"] == "users.read.self users.write.self"
    assert api.get(SELF, token).json["data"] == is_not_locked()
    # More attempts than the number of failed logins that locks an account.
    for password in BAD:
        answer = api.validate(password, token)
        assert answer.status == 400 and answer.error_ids(), password
        assert is_not_locked()["resetPassword"] is True
    assert api.validate(temporary, token).error_id() == "passwordPreviouslyUsed"
    answer = api.validate(GOOD, token)
    assert (answer.status, answer.json) == (200, {})
    assert is_not_locked()["resetPassword"] is True
    answer = api.patch(SELF, {"password": GOOD}, token)
    assert (answer.status, answer.json["data"]) == (200, is_not_locked())
    assert answer.json["data"]["resetPasswordReason"] == "NONE"
    assert api.login_status("ada") == {"reason": None, "resetPasswordReason": "NONE"}
    # The session continues, and the user can also log in again.
    assert "robot_control.write" in api.introspect(token)["scope"].split()
    again = api.login("ada", GOOD)
    assert "robot_control.write" in again["scope"].split()
    assert api.try_login("ada", temporary).json["opentrons_login_attempts_remaining"] == 4
    assert is_not_locked()


def test_first_login_through_a_typing_mistake(api, admin):
    """Trying out a new password does not count as a failed login."""
    temporary = api.create("ada", password=None, token=admin)["temporaryPassword"]
    answer = api.try_login("ada", f"{temporary}x")
    assert answer.json["opentrons_login_attempts_remaining"] == 4
    token = api.login("ada", temporary)["access_token"]
    for password in BAD:
        assert api.validate(password, token).status == 400
    answer = api.try_login("ada", f"{temporary}x")
    assert answer.json["opentrons_login_attempts_remaining"] == 4
    assert api.patch(SELF, {"password": GOOD}, token).status == 200
    assert api.user("ada", admin)["locked"] is False


def test_first_login_after_a_reset(api, admin):
    """A user whose password was reset sees the same screens."""
    api.create("ada", token=admin)
    temporary = api.reset("ada", admin)
    assert api.login_status("ada")["reason"] == "temporaryPassword"
    token = api.login("ada", temporary)["access_token"]
    assert api.validate(GOOD, token).status == 200
    assert api.patch(SELF, {"password": GOOD}, token).status == 200
    assert api.login_status("ada")["reason"] is None
    assert api.login("ada", GOOD)
