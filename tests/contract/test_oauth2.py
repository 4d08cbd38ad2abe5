"""OAuth 2: each row of the contract's table and each of its sentences."""

import base64
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from api import CLIENT, FORM, PASSWORD, Api
from support import request, wait_for

ALL = (
    "audit_log.write auth_settings.write protocol_analyses.write protocols.write restart.write "
    "robot_control.write robot_settings.write run_data.write run_signoff.write shutdown.write "
    "ssh_keys.write system_time.write updates.write users.read.others users.read.self users.write "
    "users.write.self"
)


def oauth_error(answer):
    """Status and error of an RFC 6749 refusal that is right in every part."""
    body = answer.json
    assert set(body) >= {"error", "error_description"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    return answer.status, body["error"]


# POST /auth/oauth2/token


def test_token_password(api):
    api.create("ada", "admin")
    answer = api.try_login("ada")
    assert answer.status == 200
    assert set(answer.json) == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "scope",
    }
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 180
    assert answer.json["scope"] == ALL
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


def test_tokens_have_256_random_bits(api):
    api.create("ada")
    pairs = [api.login("ada") for _ in range(3)]
    tokens = [pair[kind] for pair in pairs for kind in ("access_token", "refresh_token")]
    assert len(set(tokens)) == 6
    for token in tokens:
        assert len(base64.urlsafe_b64decode(token + "=")) >= 32


def test_token_refresh_token(api):
    api.create("ada")
    first = api.login("ada")
    second = api.refresh(first["refresh_token"]).json
    assert set(second) == set(first)
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == first["scope"]
    assert api.active(second["access_token"])


def test_old_access_token_lives_out_its_time(api):
    api.create("ada")
    first = api.login("ada")
    before = api.introspect(first["access_token"])
    api.refresh(first["refresh_token"])
    assert api.introspect(first["access_token"]) == before


def test_two_windows_may_refresh_at_once(api):
    api.create("ada")
    first = api.login("ada")
    one = api.refresh(first["refresh_token"]).json
    other = api.refresh(first["refresh_token"]).json
    for pair in (one, other):
        assert api.active(pair["access_token"])
        assert api.refresh(pair["refresh_token"]).status == 200


@pytest.mark.parametrize("asked", ["users.read.self", "restart.write users.read.self"])
def test_scope_narrows_a_login(api, asked):
    api.create("ada")
    pair = api.login("ada", scope=asked)
    assert pair["scope"] == asked
    assert api.introspect(pair["access_token"])["scope"] == asked
    again = api.refresh(pair["refresh_token"]).json
    assert again["scope"] == asked


def test_scope_of_a_refresh_narrows_the_token_and_not_the_login(api):
    api.create("ada")
    pair = api.login("ada", scope="restart.write users.read.self")
    narrow = api.refresh(pair["refresh_token"], scope="restart.write").json
    assert narrow["scope"] == "restart.write"
    wide = api.refresh(narrow["refresh_token"]).json
    assert wide["scope"] == "restart.write users.read.self"


def test_scope_of_a_refresh_cannot_widen(api):
    api.create("ada")
    pair = api.login("ada", scope="restart.write")
    answer = api.refresh(pair["refresh_token"], scope="restart.write users.read.self")
    assert oauth_error(answer) == (400, "invalid_scope")
    assert api.refresh(pair["refresh_token"]).status == 200


@pytest.mark.parametrize("asked", ["nonsense", "users.write", "restart.write nonsense"])
def test_unknown_or_excessive_scope_is_invalid_scope(api, asked):
    api.create("ada", "user")
    assert oauth_error(api.try_login("ada", scope=asked)) == (400, "invalid_scope")


def test_unknown_client_is_invalid_client(api):
    api.create("ada")
    for path, parameters in (
        ("token", {"grant_type": "password", "username": "ada", "password": PASSWORD}),
        ("introspect", {"token": "x"}),
        ("revoke", {"token": "x"}),
    ):
        answer = api.form(path, {"client_id": "other", **parameters})
        assert oauth_error(answer) == (401, "invalid_client"), path


@pytest.mark.parametrize("left_out", ["client_id", "grant_type", "username", "password"])
@pytest.mark.parametrize("empty", [True, False])
def test_missing_parameter_is_invalid_request(api, left_out, empty):
    parameters = {
        "client_id": CLIENT,
        "grant_type": "password",
        "username": "ada",
        "password": PASSWORD,
    }
    if empty:
        parameters[left_out] = ""
    else:
        del parameters[left_out]
    answer = api.form("token", parameters)
    assert oauth_error(answer) == (400, "invalid_request")
    assert left_out in answer.json["error_description"]


@pytest.mark.parametrize("path", ["introspect", "revoke"])
def test_missing_token_is_invalid_request(api, path):
    assert oauth_error(api.form(path, {"client_id": CLIENT})) == (400, "invalid_request")
    assert oauth_error(api.form(path, {"token": "x"})) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["token", "introspect", "revoke"])
def test_parameter_given_twice_is_invalid_request(api, path):
    body = f"client_id={CLIENT}&token=a&token=b&grant_type=password&username=a&password=b"
    answer = request(api.address, "POST", f"/auth/oauth2/{path}", body, FORM)
    assert oauth_error(answer) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["token", "introspect", "revoke"])
def test_other_content_type_is_invalid_request(api, path):
    body = f"client_id={CLIENT}&token=a"
    for headers in ({"Content-Type": "application/json"}, {}):
        answer = request(api.address, "POST", f"/auth/oauth2/{path}", body, headers)
        assert oauth_error(answer) == (400, "invalid_request")


@pytest.mark.parametrize("grant_type", ["client_credentials", "authorization_code", "Password"])
def test_other_grant_type_is_unsupported(api, grant_type):
    assert oauth_error(api.token(grant_type=grant_type)) == (400, "unsupported_grant_type")


def test_wrong_credentials_are_invalid_grant(api):
    api.create("ada")
    for answer in (api.try_login("ada", "wrong-password"), api.try_login("nobody")):
        assert oauth_error(answer) == (400, "invalid_grant")
        assert answer.json["error_description"] == "Invalid credentials given."


@pytest.mark.parametrize("token", ["unknown", "é", "x" * 10_000])
def test_unknown_refresh_token_is_invalid_grant(api, token):
    assert oauth_error(api.refresh(token)) == (400, "invalid_grant")


def test_an_access_token_does_not_refresh(api):
    api.create("ada")
    pair = api.login("ada")
    assert oauth_error(api.refresh(pair["access_token"])) == (400, "invalid_grant")


# Failed logins


def test_failed_logins_count_down_and_lock(api):
    api.create("ada")
    for left in (4, 3, 2, 1):
        body = api.try_login("ada", "wrong-password").json
        assert body["opentrons_login_attempts_remaining"] == left
        assert "opentrons_account_locked" not in body
    body = api.try_login("ada", "wrong-password").json
    assert body["opentrons_login_attempts_remaining"] == 0
    assert body["opentrons_account_locked"] is True
    assert api.user("ada")["locked"] is True


def test_once_locked_right_and_wrong_get_the_same_answer(api):
    api.create("ada")
    for _ in range(5):
        api.try_login("ada", "wrong-password")
    right, wrong = api.try_login("ada"), api.try_login("ada", "wrong-password")
    assert (right.status, right.json) == (wrong.status, wrong.json)
    assert right.json["opentrons_account_locked"] is True


def test_account_locked_by_an_admin_says_so(api):
    api.create("ada")
    api.update("ada", locked=True)
    right, wrong = api.try_login("ada"), api.try_login("ada", "wrong-password")
    assert right.json == wrong.json
    assert right.json["opentrons_account_locked"] is True


def test_unknown_user_has_no_attempts(api):
    body = api.try_login("nobody").json
    assert set(body) == {"error", "error_description"}


def test_no_limit_has_no_attempts_and_counts_all_the_same(api):
    api.create("ada")
    api.settings(maxNumberOfLoginAttempts=None)
    for _ in range(6):
        assert set(api.try_login("ada", "wrong-password").json) == {"error", "error_description"}
    assert api.user("ada")["locked"] is False
    api.settings(maxNumberOfLoginAttempts=5)
    assert api.user("ada")["locked"] is True


def test_right_login_forgets_failed_ones(api):
    api.create("ada")
    for _ in range(4):
        api.try_login("ada", "wrong-password")
    api.login("ada")
    assert api.try_login("ada", "wrong-password").json["opentrons_login_attempts_remaining"] == 4


def test_locking_ends_logins(api):
    api.create("ada")
    pair = api.login("ada")
    for _ in range(5):
        api.try_login("ada", "wrong-password")
    assert not api.active(pair["access_token"])
    api.update("ada", locked=False)
    assert not api.active(pair["access_token"])
    assert api.refresh(pair["refresh_token"]).status == 400


def test_service_account_is_rate_limited_and_not_locked(api):
    api.create("robot", "service")
    for _ in range(5):
        body = api.try_login("robot", "wrong-password").json
        assert set(body) == {"error", "error_description"}
    answer = api.try_login("robot")
    assert (answer.status, answer.json["error"]) == (429, "temporarily_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert api.user("robot")["locked"] is False
    # The wait ends by itself, and then the right password is right.
    assert wait_for(lambda: api.try_login("robot").status == 200, "the wait is over")


def test_storm_of_logins_is_told_to_come_later(api):
    """Two passwords are checked at a time and some wait; others are not held up by them."""
    api.create("ada")
    told = threading.Event()

    def log_in(_client):
        while not told.is_set():
            answer = api.try_login("ada")
            if answer.status == 503:
                told.set()
                return answer
            assert answer.status == 200, answer.body
        return None

    with ThreadPoolExecutor(64) as clients:
        answers = clients.map(log_in, range(64))
        assert api.get("/auth/hello").status == 200
        refused = [answer for answer in answers if answer]
    assert refused
    for answer in refused:
        assert oauth_error(answer) == (503, "temporarily_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert api.login("ada")["scope"]


# POST /auth/oauth2/introspect


def test_introspect_active(api):
    api.create("ada", "auditor", fullName="Ada L.")
    pair = api.login("ada")
    body = api.introspect(pair["access_token"])
    assert set(body) == {
        "active",
        "scope",
        "username",
        "ot_fullname",
        "ot_account_type",
        "client_id",
        "exp",
        "iat",
        "token_type",
    }
    assert body["active"] is True
    assert body["scope"] == pair["scope"] == "users.read.others"
    assert (body["username"], body["ot_fullname"]) == ("ada", "Ada L.")
    assert body["ot_account_type"] == "auditor"
    assert (body["client_id"], body["token_type"]) == (CLIENT, "Bearer")
    assert body["exp"] - body["iat"] == 180


def test_introspect_anything_else_is_inactive(api):
    api.create("ada")
    pair = api.login("ada")
    for token in ("unknown", "é ", pair["refresh_token"], pair["access_token"] + "x"):
        assert api.introspect(token) == {"active": False}


def test_introspect_shows_changes_at_once(api):
    api.create("ada")
    token = api.login("ada")["access_token"]
    api.update("ada", username="bea", fullName="Bea", accountType="auditor")
    body = api.introspect(token)
    assert (body["username"], body["ot_fullname"]) == ("bea", "Bea")
    assert body["ot_account_type"] == "auditor"


# POST /auth/oauth2/revoke


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoke_ends_the_whole_login(api, kind):
    api.create("ada")
    first = api.login("ada")
    second = api.refresh(first["refresh_token"]).json
    other = api.login("ada")
    assert api.revoke(second[kind]).status == 200
    for pair in (first, second):
        assert not api.active(pair["access_token"])
        assert api.refresh(pair["refresh_token"]).status == 400
    assert api.active(other["access_token"])


def test_revoke_unknown_token_is_200(api):
    assert api.revoke("unknown").status == 200


# Metadata


@pytest.mark.parametrize(
    "path",
    [
        "/auth/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/auth",
    ],
)
def test_metadata(serve, path):
    server = serve().wait_ready()
    document = server.request("GET", path).json
    assert document["issuer"] == f"http://127.0.0.1:{server.port}/auth"
    for name in ("token", "introspection", "revocation"):
        url = document[f"{name}_endpoint"]
        route = url.removeprefix(f"http://127.0.0.1:{server.port}")
        assert server.request("POST", route).status == 400, name
    assert document["grant_types_supported"] == ["password", "refresh_token"]
    assert document["token_endpoint_auth_methods_supported"] == ["none"]
    assert document["response_types_supported"] == []
    assert document["scopes_supported"] == ALL.split()


def test_metadata_through_nginx_names_the_robot(api):
    host = "robot.lab:31950"
    answer = request(
        api.address, "GET", "/auth/.well-known/oauth-authorization-server", None, {"Host": host}
    )
    assert answer.json["issuer"] == f"http://{host}/auth"


# Grants and effective scopes


def test_settings_shrink_tokens_at_once_and_they_come_back(api):
    api.create("ada")
    api.settings(requireAdminCredsWhenUpdatingRobotSoftware=False)
    token = api.login("ada")["access_token"]
    assert "updates.write" in api.introspect(token)["scope"]
    api.settings(requireAdminCredsWhenUpdatingRobotSoftware=True)
    assert "updates.write" not in api.introspect(token)["scope"]
    api.settings(requireAdminCredsWhenUpdatingRobotSoftware=False)
    assert "updates.write" in api.introspect(token)["scope"]


@pytest.mark.parametrize(
    ("setting", "scope"),
    [
        ("requireAdminCredsWhenUpdatingRobotSoftware", "updates.write"),
        ("requireAdminCredsWhenSendingProtocolToRobot", "protocols.write"),
        ("requireAdminCredsForSignoffProtocol", "run_signoff.write"),
    ],
)
def test_settings_give_users_scopes(api, setting, scope):
    api.create("ada")
    for needs_admin in (True, False):
        api.settings(**{setting: needs_admin})
        assert (scope in api.login("ada")["scope"].split()) == (not needs_admin)


def test_a_token_never_grows_past_its_grant(api):
    api.create("ada")
    pair = api.login("ada")
    api.settings(requireAdminCredsWhenUpdatingRobotSoftware=False)
    api.update("ada", accountType="admin")
    again = api.refresh(pair["refresh_token"]).json
    for token in (pair["access_token"], again["access_token"]):
        scopes = api.introspect(token)["scope"].split()
        assert "updates.write" not in scopes and "users.write" not in scopes


def test_a_temporary_password_is_exchanged_on_the_same_token(api):
    for account_type, scopes in (
        ("user", "robot_control.write"),
        ("auditor", "users.read.others"),
        ("admin", "users.write"),
    ):
        temporary = api.create(account_type, account_type, password=None)["temporaryPassword"]
        pair = api.login(account_type, temporary)
        token = pair["access_token"]
        assert pair["scope"] == "users.read.self users.write.self"
        assert api.introspect(token)["scope"] == pair["scope"]
        answer = api.patch("/auth/users/self", {"password": PASSWORD}, token)
        assert answer.status == 200
        assert scopes in api.introspect(token)["scope"].split()


def test_tokens_survive_a_restart(serve, tmp_path):
    socket, state = tmp_path / "auth.sock", tmp_path / "state"
    server = serve("--uds", socket, "--persistence-directory", state).wait_ready()
    api = Api(socket)
    api.create("ada")
    pair = api.login("ada")
    before = api.introspect(pair["access_token"])
    assert server.stop() == 0
    server = serve("--uds", socket, "--persistence-directory", state).wait_ready()
    after = api.introspect(pair["access_token"])
    # The wall clock was looked at anew: a second of rounding.
    assert abs(after.pop("exp") - before.pop("exp")) <= 1
    assert abs(after.pop("iat") - before.pop("iat")) <= 1
    assert after == before
    server.kill()
    serve("--uds", socket, "--persistence-directory", state).wait_ready()
    assert api.refresh(pair["refresh_token"]).status == 200


def test_tokens_expire(api):
    api.create("ada")
    api.settings(idleLogout=0.05)
    pair = api.login("ada")
    wait_for(lambda: not api.active(pair["access_token"]), "the token expires")
    assert api.refresh(pair["refresh_token"]).status == 400
    answer = api.get("/auth/users/self", pair["access_token"])
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_no_secret_reaches_log_or_database(serve, tmp_path):
    socket, state = tmp_path / "auth.sock", tmp_path / "state"
    arguments = ("--uds", socket, "--persistence-directory", state, "--log-level", "debug")
    server = serve(*arguments).wait_ready()
    api = Api(socket)
    temporary = api.create("ada", password=None)["temporaryPassword"]
    pair = api.login("ada", temporary)
    api.try_login("ada", "Wrong-Password-1")
    api.try_login("Mistyped-Password-2")
    api.patch("/auth/users/self", {"password": "New-Password-3"}, pair["access_token"])
    api.request("POST", "/auth/users", {"username": "x", "fullName": "x", "password": 12345678901})
    api.refresh(pair["refresh_token"])
    api.introspect(pair["access_token"])
    api.request("POST", "/auth/users", body=b'{"data": "Lost-Password-4"}')
    server.stop()
    kept = server.log.encode() + b"".join(
        path.read_bytes() for path in state.iterdir() if path.is_file()
    )
    assert b"ada" in kept
    secrets = [temporary, pair["access_token"], pair["refresh_token"], "12345678901"]
    secrets += ["Wrong-Password-1", "Mistyped-Password-2", "New-Password-3", "Lost-Password-4"]
    for secret in secrets:
        assert secret.encode() not in kept, secret
    assert not re.search(rb"argon2", server.log.encode())
