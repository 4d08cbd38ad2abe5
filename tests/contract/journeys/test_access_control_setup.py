"""The app's set-up of access control: delete each of three accounts (ignoring the result) and
create it again, turn access control on, and log in. The set-up is interrupted at each step, and
repeated."""

import pytest

from api import SELF, SWITCH, by_name

ACCOUNTS = {"admin": "admin", "recovery": "admin", "robot-service": "service"}
STEPS = 2 * len(ACCOUNTS)


def steps(api, password, full_name):
    """Yields before each request that the app sends until it turns access control on."""
    for name, account_type in ACCOUNTS.items():
        # The app ignores the response to this request.
        yield api.request("DELETE", by_name(name)).status in (200, 404)
        new = {"username": name, "accountType": account_type, "password": password}
        answer = api.request("POST", "/auth/users", {**new, "fullName": full_name})
        assert answer.status == 201, answer.body
        yield True


def set_up(api, password, full_name="Ada L."):
    assert all(steps(api, password, full_name))
    answer = api.patch(SWITCH, {"accessControlEnabled": True})
    assert (answer.status, answer.json) == (200, {"data": {"accessControlEnabled": True}})


def goes_on_after_a_restart(start, server, pair):
    """Checks that the administrator's session continues after a restart of the robot."""
    assert server.stop() == 0
    server, api = start()
    assert api.get(SWITCH).json == {"data": {"accessControlEnabled": True}}
    assert api.get(SELF, pair["access_token"]).json["data"]["username"] == "admin"
    pair = api.refresh(pair["refresh_token"]).json
    users = api.get("/auth/users", pair["access_token"]).json["data"]
    assert {user["username"]: user["accountType"] for user in users} == ACCOUNTS
    assert not any(user["locked"] or user["resetPassword"] for user in users)
    assert api.get("/auth/users").status == 401


@pytest.mark.parametrize("done", range(STEPS + 1))
@pytest.mark.parametrize("full_name", ["Ada L.", "Another Name"])
def test_setup_that_was_broken_off_before_the_switch_is_done_again(start, done, full_name):
    server, api = start()
    broken = steps(api, "the first try", "Ada L.")
    assert all(next(broken) for _ in range(done))
    # A session that somebody opened in the meantime ends when access control is turned on.
    names = list(ACCOUNTS)[: done // 2]
    early = [api.login(name, "the first try") for name in names if name != "robot-service"]
    set_up(api, "the second try", full_name)
    for pair in early:
        assert api.introspect(pair["access_token"]) == {"active": False}
        assert api.refresh(pair["refresh_token"]).status == 400
    assert api.try_login("admin", "the first try").status == 400
    pair = api.login("admin", "the second try")
    goes_on_after_a_restart(start, server, pair)


def test_setup_that_was_broken_off_by_a_restart_is_done_again(start):
    for done in range(1, STEPS + 1):
        server, api = start()
        broken = steps(api, "the first try", "Ada L.")
        assert all(next(broken) for _ in range(done))
        server.kill()
    server, api = start()
    set_up(api, "the second try")
    goes_on_after_a_restart(start, server, api.login("admin", "the second try"))


def test_setup_that_was_broken_off_after_the_switch_needs_a_login_alone(start):
    server, api = start()
    set_up(api, "the first try")
    server.kill()
    server, api = start()
    # Repeated without a token, it changes nothing.
    for name in ACCOUNTS:
        assert api.request("DELETE", by_name(name)).status == 401
    assert api.patch(SWITCH, {"accessControlEnabled": True}).status == 401
    goes_on_after_a_restart(start, server, api.login("admin", "the first try"))


def test_setup_is_ready_for_the_service_account_and_for_recovery(start):
    _, api = start()
    set_up(api, "the only try")
    for name, account_type in ACCOUNTS.items():
        body = api.introspect(api.login(name, "the only try")["access_token"])
        assert (body["username"], body["ot_account_type"]) == (name, account_type)
        assert "auth_settings.write" in body["scope"].split()
