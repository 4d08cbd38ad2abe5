"""An administrator changes another user, whose token is checked after each step."""

import pytest

from api import SELF, by_name


@pytest.fixture
def ada(api, admin):
    """The tokens of a user who is logged in twice."""
    api.create("ada", token=admin, fullName="Ada L.")
    return [api.login("ada") for _ in range(2)]


def are_out(api, pairs):
    """Checks that both sessions have ended, as seen by the user's own app and by the robot's
    servers: the app gets 401, so that it shows its login screen, and not 403."""
    for pair in pairs:
        assert api.get(SELF, pair["access_token"]).challenge() == (401, "invalid_token")
        assert api.get("/auth/users", pair["access_token"]).challenge() == (401, "invalid_token")
        assert api.introspect(pair["access_token"]) == {"active": False}
        answer = api.refresh(pair["refresh_token"])
        assert (answer.status, answer.json["error"]) == (400, "invalid_grant")
    return True


def are_in(api, pairs, **expected):
    for pair in pairs:
        user = api.get(SELF, pair["access_token"])
        assert user.status == 200
        assert expected.items() <= user.json["data"].items()
        body = api.introspect(pair["access_token"])
        assert body["username"] == user.json["data"]["username"]
        assert body["ot_fullname"] == user.json["data"]["fullName"]
        assert api.refresh(pair["refresh_token"]).status == 200
    return True


def test_admin_locks_and_unlocks(api, admin, ada):
    assert api.update("ada", admin, locked=True).json["data"]["locked"] is True
    assert are_out(api, ada)
    assert api.try_login("ada").json["opentrons_account_locked"] is True
    assert api.update("ada", admin, locked=False).json["data"]["locked"] is False
    assert are_out(api, ada)
    assert are_in(api, [api.login("ada")], locked=False)


def test_admin_unlocks_after_failed_logins(api, admin, ada):
    """Failed logins lock the account against new logins, but never end the owner's session."""
    assert api.fail_logins("ada").json["opentrons_account_locked"] is True
    assert are_in(api, ada, locked=True)
    assert api.update("ada", admin, locked=False).status == 200
    assert are_in(api, ada, locked=False)


def test_admin_deletes(api, admin, ada):
    assert api.delete("ada", admin).json == {}
    assert are_out(api, ada)
    # The same person returns, and has to log in.
    api.create("ada", token=admin, fullName="Ada L.")
    assert are_out(api, ada)
    assert are_in(api, [api.login("ada")])


def test_admin_resets_the_password(api, admin, ada):
    temporary = api.reset("ada", admin)
    assert are_out(api, ada)
    assert api.try_login("ada").status == 400
    assert are_in(api, [api.login("ada", temporary)], resetPasswordReason="ADMIN_FORCED")


def test_admin_demands_a_new_password(api, admin, ada):
    assert api.update("ada", admin, resetPassword=True).status == 200
    assert are_out(api, ada)
    pair = api.login("ada")
    assert pair["scope"] == "users.read.self users.write.self"
    assert are_in(api, [pair], resetPasswordReason="ADMIN_FORCED")
    # The user sets it and continues.
    answer = api.patch(SELF, {"password": "another-one"}, pair["access_token"])
    assert answer.status == 200
    assert "robot_control.write" in api.introspect(pair["access_token"])["scope"].split()


def test_admin_sets_a_password(api, admin, ada):
    assert api.update("ada", admin, password="another-one").status == 200
    assert are_out(api, ada)
    assert are_in(api, [api.login("ada", "another-one")], resetPasswordReason="NONE")


@pytest.mark.parametrize("account_type", ["admin", "auditor"])
def test_admin_retypes(api, admin, ada, account_type):
    assert api.update("ada", admin, accountType=account_type).status == 200
    assert are_out(api, ada)
    assert are_in(api, [api.login("ada")], accountType=account_type)


def test_admin_renames(api, admin, ada):
    assert api.update("ada", admin, username="lovelace").status == 200
    assert are_out(api, ada)
    assert api.try_login("ada").status == 400
    assert are_in(api, [api.login("lovelace")], username="lovelace")


def test_admin_relabels(api, admin, ada):
    assert api.update("ada", admin, fullName="Countess of Lovelace").status == 200
    assert are_in(api, ada, fullName="Countess of Lovelace")


def test_admin_changes_nothing(api, admin, ada):
    for change in ({}, {"username": "ada", "accountType": "user", "fullName": "Ada L."}):
        assert api.update("ada", admin, **change).status == 200
        assert are_in(api, ada)


def test_admin_at_work_on_others_stays_logged_in(api, admin, ada):
    for change in ({"locked": True}, {"accountType": "auditor"}, {"username": "lovelace"}):
        assert api.request("PATCH", by_name("ada"), change, admin).status == 200
        assert are_in_as_admin(api, admin)
    assert api.delete("lovelace", admin).status == 200
    assert are_in_as_admin(api, admin)


def are_in_as_admin(api, token):
    return api.get(SELF, token).json["data"]["username"] == "admin"
