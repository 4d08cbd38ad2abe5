"""An auditor's login as the app performs it: get a token, then read the authenticated user."""

from api import PASSWORD, SELF


def test_auditor_logs_in_with_the_app(api, admin):
    api.create("eve", "auditor", token=admin)
    pair = api.login("eve")
    answer = api.get(SELF, pair["access_token"])
    assert answer.status == 200, answer.body
    assert answer.json["data"] == api.user("eve", admin)
    assert answer.json["data"]["accountType"] == "auditor"
    # What an auditor may and may not do.
    assert api.get("/auth/users", pair["access_token"]).status == 200
    assert api.update("eve", pair["access_token"], accountType="admin").challenge() == (
        403,
        "insufficient_scope",
    )
    again = api.refresh(pair["refresh_token"]).json
    assert api.get(SELF, again["access_token"]).status == 200


def test_auditor_sets_the_first_password_with_the_app(api, admin):
    temporary = api.create("eve", "auditor", password=None, token=admin)["temporaryPassword"]
    token = api.login("eve", temporary)["access_token"]
    assert api.get(SELF, token).json["data"]["resetPasswordReason"] == "FIRST_TIME_LOGIN"
    assert api.get("/auth/users", token).status == 403
    assert api.validate(PASSWORD, token).status == 200
    assert api.patch(SELF, {"password": PASSWORD}, token).status == 200
    assert api.get("/auth/users", token).status == 200
    assert api.get(SELF, api.login("eve")["access_token"]).status == 200
