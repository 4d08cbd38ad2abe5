"""A user stays logged in while the settings that limit users are loosened and tightened. For each
protected request, robot-server asks whether access control is on and what the token allows."""

import pytest

from api import SWITCH

RULES = {
    "requireAdminCredsWhenUpdatingRobotSoftware": "updates.write",
    "requireAdminCredsWhenSendingProtocolToRobot": "protocols.write",
    "requireAdminCredsForSignoffProtocol": "run_signoff.write",
}
TIGHT = dict.fromkeys(RULES, True)


def robot_server_lets_in(api, token, scope):
    assert api.get(SWITCH).json == {"data": {"accessControlEnabled": True}}
    body = api.introspect(token)
    return body["active"] and scope in body["scope"].split()


@pytest.mark.parametrize("rule", RULES)
def test_user_stays_logged_in_while_the_lab_loosens_and_tightens(api, admin, rule):
    scope = RULES[rule]
    api.create("ada", token=admin)
    api.settings(admin, **TIGHT)
    pairs = [api.login("ada")]
    for needs_admin in (True, False, True, False):
        api.settings(admin, **{rule: needs_admin})
        # Tokens issued before and after the change.
        pairs.append(api.refresh(pairs[-1]["refresh_token"]).json)
        assert (scope in pairs[-1]["scope"].split()) == (not needs_admin)
        for pair in pairs:
            assert robot_server_lets_in(api, pair["access_token"], scope) == (not needs_admin)
            # The other settings are unchanged.
            for other in set(RULES.values()) - {scope}:
                assert not robot_server_lets_in(api, pair["access_token"], other)
            assert robot_server_lets_in(api, pair["access_token"], "robot_control.write")


def test_defaults_count_for_who_is_logged_in(api, admin):
    api.create("ada", token=admin)
    token = api.login("ada")["access_token"]
    api.settings(admin, **dict.fromkeys(RULES, False))
    assert all(robot_server_lets_in(api, token, scope) for scope in RULES.values())
    assert api.request("DELETE", "/auth/settings", token=admin).status == 200
    assert [scope for scope in RULES.values() if robot_server_lets_in(api, token, scope)] == [
        "run_signoff.write"
    ]


@pytest.mark.parametrize("account_type", ["admin", "service", "auditor"])
def test_rules_for_users_are_none_for_others(api, admin, account_type):
    api.create("other", account_type, token=admin)
    token = api.login("other")["access_token"]
    may = account_type != "auditor"
    for needs_admin in (True, False):
        api.settings(admin, **dict.fromkeys(RULES, needs_admin))
        for scope in RULES.values():
            assert robot_server_lets_in(api, token, scope) == may
