"""OAuth 2.0: each row and each sentence of this section of the contract."""

import base64
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from api import CLIENT, FORM, PASSWORD, SELF, Api
from hashes import BEYOND_BOUNDS, IMPORTED
from nginx import NGINX, Nginx
from support import PATIENCE, edit_database, read_database, request, wait_for

ALL = (
    "audit_log.write auth_settings.write protocol_analyses.write protocols.write restart.write "
    "robot_control.write robot_settings.write run_data.write run_signoff.write shutdown.write "
    "ssh_keys.write system_time.write updates.write users.read.others users.read.self users.write "
    "users.write.self"
)


def oauth_error(answer):
    """Returns the status and the error code of a response that is a valid error response (RFC 6749
    §5.2)."""
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
        # RFC 9110 §15.5.2 and §11.6.1 require at least a scheme.
        assert re.match(r"\w+( |$)", answer.headers["www-authenticate"]), path


def basic(credentials):
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


LOGIN = {"grant_type": "password", "username": "ada", "password": PASSWORD}


@pytest.mark.parametrize("body", [{}, {"client_id": CLIENT}])
@pytest.mark.parametrize("credentials", ["opentrons_app:", "opentrons%5Fapp:"])
def test_basic_with_an_empty_secret_is_the_public_client(api, credentials, body):
    """As requests-oauthlib sends it. RFC 6749 §2.3.1 requires that both parts are form-encoded."""
    api.create("ada")
    headers = basic(credentials)
    pair = api.form("token", {**body, **LOGIN}, headers)
    assert pair.status == 200, pair.body
    again = {"grant_type": "refresh_token", "refresh_token": pair.json["refresh_token"]}
    again = api.form("token", {**body, **again}, headers)
    assert again.status == 200, again.body
    token = {"token": again.json["access_token"]}
    assert api.form("introspect", {**body, **token}, headers).json["active"] is True
    assert api.form("revoke", {**body, **token}, headers).status == 200
    assert api.form("introspect", {**body, **token}, headers).json == {"active": False}


@pytest.mark.parametrize("scheme", ["basic", "BASIC"])
def test_basic_has_any_case(api, scheme):
    api.create("ada")
    credentials = basic("opentrons_app:")["Authorization"].split()[1]
    headers = {"Authorization": f"{scheme} {credentials}"}
    assert api.form("token", LOGIN, headers).status == 200


@pytest.mark.parametrize(
    "credentials", ["other:", "opentrons_app:secret", ":", "Opentrons_app:", "ada:correct-horse"]
)
def test_basic_of_another_client_or_with_a_secret_is_invalid_client(api, credentials):
    api.create("ada")
    for path, parameters in (
        ("token", LOGIN),
        ("introspect", {"token": "x"}),
        ("revoke", {"token": "x"}),
    ):
        answer = api.form(path, parameters, basic(credentials))
        assert oauth_error(answer) == (401, "invalid_client"), path
        # RFC 6749 §5.2 requires the scheme that the client used.
        assert answer.headers["www-authenticate"].startswith("Basic"), path
        # The right client_id in the body does not help.
        answer = api.form(path, {"client_id": CLIENT, **parameters}, basic(credentials))
        assert oauth_error(answer) in ((400, "invalid_request"), (401, "invalid_client")), path


@pytest.mark.parametrize("value", ["Basic", "Basic ", "Basic !", "Basic b3BlbnRyb25zX2FwcA=="])
def test_basic_that_is_malformed_lets_nobody_in(api, value):
    """The last case is the client's name without the colon."""
    api.create("ada")
    for body in ({}, {"client_id": CLIENT}):
        answer = api.form("token", {**body, **LOGIN}, {"Authorization": value})
        assert oauth_error(answer) in ((400, "invalid_request"), (401, "invalid_client"))


def test_two_names_of_a_client_that_differ_let_nobody_in(api):
    api.create("ada")
    answer = api.form("token", {"client_id": "other", **LOGIN}, basic("opentrons_app:"))
    assert oauth_error(answer) in ((400, "invalid_request"), (401, "invalid_client"))


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


def test_lock_by_failed_logins_ends_no_login(api):
    """The lock keeps strangers out, but must not log the owner out."""
    api.create("ada")
    pair = api.login("ada")
    assert api.fail_logins("ada").json["opentrons_account_locked"] is True
    assert api.user("ada")["locked"] is True
    assert api.active(pair["access_token"])
    assert api.get(SELF, pair["access_token"]).status == 200
    again = api.refresh(pair["refresh_token"])
    assert again.status == 200
    assert again.json["scope"] == pair["scope"]
    assert api.active(again.json["access_token"])
    assert api.refresh(again.json["refresh_token"]).status == 200


def test_lock_by_an_admin_ends_the_logins_that_failed_logins_left(api):
    api.create("ada")
    pair = api.login("ada")
    api.fail_logins("ada")
    assert api.update("ada", locked=True).json["data"]["locked"] is True
    assert api.get(SELF, pair["access_token"]).challenge() == (401, "invalid_token")
    assert api.refresh(pair["refresh_token"]).status == 400


def is_slowed_down(api, name, token=None):
    """Checks that failed logins delay the account's next login instead of locking it, and that
    responses do not contain the number of remaining attempts, because the app takes 0 for locked.
    """
    for _ in range(8):
        refused = api.try_login(name, "wrong-password")
        assert set(refused.json) == {"error", "error_description"}
        if refused.status != 400:
            break
    assert oauth_error(refused) == (429, "temporarily_unavailable")

    def is_slow():
        refused = api.try_login(name, "wrong-password")
        return int(refused.headers.get("retry-after", 0)) >= 4

    # Long enough for a slow machine to try again before the delay is over.
    wait_for(is_slow, "failed logins have made the delay longer")
    # The right password is delayed like a wrong one.
    answer = api.try_login(name)
    assert oauth_error(answer) == (429, "temporarily_unavailable")
    assert set(answer.json) == {"error", "error_description"}
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert api.user(name, token)["locked"] is False
    # The delay ends on its own, and then the right password is accepted.
    assert wait_for(lambda: api.try_login(name).status == 200, "the wait is over")
    return True


def test_service_account_is_slowed_down_and_not_locked(api):
    api.create("robot", "service")
    assert is_slowed_down(api, "robot")


def test_last_admin_is_slowed_down_and_not_locked_while_access_control_is_on(api, admin):
    assert is_slowed_down(api, "admin", admin)


def test_last_admin_is_the_one_who_could_still_log_in(api, admin):
    for name in ("locked", "second"):
        api.create(name, "admin", token=admin)
    api.update("locked", admin, locked=True)
    assert api.fail_logins("second").json["opentrons_account_locked"] is True
    assert api.user("second", admin)["locked"] is True
    assert is_slowed_down(api, "admin", admin)


def test_admin_is_locked_by_failed_logins_when_there_is_another(api, admin):
    api.create("second", "admin", token=admin)
    answer = api.fail_logins("admin")
    assert answer.json["opentrons_login_attempts_remaining"] == 0
    assert answer.json["opentrons_account_locked"] is True


def test_last_admin_is_locked_by_failed_logins_while_access_control_is_off(api):
    api.create("admin", "admin")
    assert api.fail_logins("admin").json["opentrons_account_locked"] is True
    assert api.user("admin")["locked"] is True


# Imported hashes


def with_hash(start, state, phc):
    """Starts a robot whose user `ada` has the password hash `phc`; returns the server and its
    API."""
    server, api = start()
    api.create("ada", password="the-one-before")
    server.stop()
    edit_database(state, "UPDATE user SET password_hash = ? WHERE username = 'ada'", phc)
    return start()


def stored_hash(state):
    [(phc,)] = read_database(state, "SELECT password_hash FROM user WHERE username = 'ada'")
    return phc


@pytest.mark.parametrize("parameters", IMPORTED)
def test_imported_hash_is_checked_and_replaced_when_its_password_is_right(
    start, tmp_path, parameters
):
    state, imported = tmp_path / "state", IMPORTED[parameters]
    server, api = with_hash(start, state, imported)
    wrong = api.try_login("ada", "the-one-before")
    assert wrong.json["opentrons_login_attempts_remaining"] == 4
    assert stored_hash(state) == imported
    pair = api.login("ada")
    ours = stored_hash(state)
    assert ours != imported
    memory, passes, lanes = re.match(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$", ours).groups()
    assert int(memory) >= 19 * 1024 and (passes, lanes) == ("2", "1")
    # Nobody set a password, so no session ends and no new password is required.
    again = api.login("ada")
    assert api.active(pair["access_token"]) and api.active(again["access_token"])
    assert api.user("ada")["resetPasswordReason"] == "NONE"
    assert stored_hash(state) == ours
    server.kill()
    _, api = start()
    assert api.login("ada")
    assert api.try_login("ada", "the-one-before").status == 400


def test_imported_hash_is_that_of_the_current_password(start, tmp_path):
    _, api = with_hash(start, tmp_path / "state", IMPORTED["m=65536,t=3,p=4"])
    answer = api.update("ada", password=PASSWORD)
    assert (answer.status, answer.error_id()) == (400, "passwordPreviouslyUsed")
    assert api.update("ada", password="another-one").status == 200
    assert stored_hash(tmp_path / "state").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert api.login("ada", "another-one")


def peak(server):
    """Returns the peak memory use of a server, in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def test_imported_hash_of_64_mib_is_checked_alone(start, tmp_path):
    """Two at a time, or one besides one of ours, would exceed the memory budget."""
    server, api = start()
    api.settings(maxNumberOfLoginAttempts=None)
    names = [f"user{number}" for number in range(6)]
    for name in [*names, "ours"]:
        api.create(name)
    server.stop()
    imported = IMPORTED["m=65536,t=3,p=4"]
    edit_database(
        tmp_path / "state",
        "UPDATE user SET password_hash = ? WHERE username != 'ours'",
        imported,
    )
    server, api = start()
    api.try_login("user0", "wrong-password")
    one = peak(server)
    assert one > 64
    with ThreadPoolExecutor(12) as clients:
        for answer in clients.map(
            lambda name: api.try_login(name, "wrong-password"), [*names, *["ours"] * 6]
        ):
            assert answer.status == 400
    # A second one would need another 64 MiB, and one of ours 19 MiB.
    assert peak(server) < one + 10


REFUSED = {
    **BEYOND_BOUNDS,
    "4 GiB": "$argon2id$v=19$m=4194304,t=1,p=1$Zmlyc3QtZWRpdGlvbi0xNg$" + "A" * 43,
    "hours": "$argon2id$v=19$m=4294967295,t=4294967295,p=1$Zmlyc3QtZWRpdGlvbi0xNg$" + "A" * 43,
    "no PHC string": "correct-horse",
    "nothing": "",
}


@pytest.mark.parametrize("hash_of", REFUSED)
def test_hash_beyond_the_bounds_is_refused(start, tmp_path, hash_of):
    """Even if the password is right. The server keeps working."""
    phc = REFUSED[hash_of]
    server, api = with_hash(start, tmp_path / "state", phc)
    api.create("bea")
    answer = api.try_login("ada")
    assert answer.status in (400, 500)
    assert "argon2" not in server.log and "Zmlyc3Q" not in server.log
    assert stored_hash(tmp_path / "state") == phc
    assert api.login("bea")


@pytest.mark.parametrize("hash_of", ["m=262145", "4 GiB", "no PHC string"])
def test_hash_that_is_refused_is_replaced_by_an_admins_reset(start, tmp_path, hash_of):
    _, api = with_hash(start, tmp_path / "state", REFUSED[hash_of])
    assert api.login("ada", api.reset("ada"))


@pytest.mark.parametrize("hash_of", ["m=262145", "4 GiB", "no PHC string"])
def test_hash_that_is_refused_is_replaced_by_an_admins_password(start, tmp_path, hash_of):
    """The new password counts as different from one whose hash cannot be verified."""
    _, api = with_hash(start, tmp_path / "state", REFUSED[hash_of])
    assert api.update("ada", password="another-one").status == 200
    assert api.login("ada", "another-one")


# Fair sharing of the hashing queue


class Storm:
    """A flood of logins with wrong passwords, by more clients than the hashing queue has places,
    until stopped; counts the passwords that were verified."""

    CLIENTS = 40

    def __init__(self, try_login):
        self.try_login = try_login
        self.checked = 0
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.threads = [
            threading.Thread(target=self.client, args=(number,)) for number in range(self.CLIENTS)
        ]

    def client(self, number):
        while not self.stopped.is_set():
            status = self.try_login(number).status
            # Verified, or rejected by the full queue.
            assert status in (400, 503)
            with self.lock:
                self.checked += status == 400

    def rages(self):
        """Waits until the flood has made progress, so that the test does not pass because it has
        stopped."""
        seen = self.checked
        return wait_for(lambda: self.checked > seen + 10, "passwords are checked")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.rages()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join(PATIENCE)


def passed_over(storm, log_in):
    """Returns how many passwords of the flood were verified while one legitimate login waited; the
    minimum of several attempts, because a client may receive its response late."""
    fewest = None
    for _ in range(8):
        before = storm.checked
        answer = log_in()
        assert answer.status == 200, answer.body
        waited = storm.checked - before
        fewest = waited if fewest is None else min(fewest, waited)
    assert storm.rages() and all(thread.is_alive() for thread in storm.threads)
    return fewest


def test_no_account_holds_up_the_others_passwords(start):
    _, api = start()
    api.settings(maxNumberOfLoginAttempts=None)
    for name in ("ada", "bea"):
        api.create(name)
    for attacked in ("ada", "nobody"):
        with Storm(lambda _, name=attacked: api.try_login(name, "wrong-password")) as storm:
            assert passed_over(storm, lambda: api.try_login("bea")) <= 10


def test_made_up_accounts_hold_up_no_others_passwords(start):
    """An attacker can make up any number of usernames."""
    _, api = start()
    api.create("bea")
    with Storm(lambda number: api.try_login(f"nobody{number}", "wrong-password")) as storm:
        assert passed_over(storm, lambda: api.try_login("bea")) <= 10


@pytest.mark.skipif(not NGINX, reason="nginx is not installed")
def test_no_source_holds_up_the_others_passwords(serve, tmp_path):
    """One source tries passwords of many accounts; the other has a different address."""
    nginx = Nginx(tmp_path, "plain")
    nginx.install_snippets()
    nginx.include()
    serve("--uds", nginx.socket, "--persistence-directory", tmp_path / "state").wait_ready()
    direct = Api(nginx.socket)
    direct.settings(maxNumberOfLoginAttempts=None)
    direct.create("bea")
    for number in range(Storm.CLIENTS):
        direct.create(f"user{number}")
    nginx.start()
    attacker, honest = (Api(("127.0.0.1", nginx.port), source=f"127.0.0.{host}") for host in (1, 2))
    try:
        with Storm(lambda number: attacker.try_login(f"user{number}", "wrong-password")) as storm:
            assert passed_over(storm, lambda: honest.try_login("bea")) <= 10
    finally:
        nginx.stop()


def test_storm_of_logins_is_told_to_come_later(api):
    """Two passwords are verified at a time, and some wait; other requests are not delayed."""
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
    assert body["scope"] == pair["scope"] == "users.read.others users.read.self users.write.self"
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
    api.update("ada", fullName="Countess")
    assert api.introspect(token)["ot_fullname"] == "Countess"
    # Renamed by the user, because a change by an administrator ends the session.
    api.patch(SELF, {"username": "bea", "fullName": "Bea"}, token)
    body = api.introspect(token)
    assert (body["username"], body["ot_fullname"]) == ("bea", "Bea")


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
    # An empty list is not allowed, and neither is omitting it (RFC 8414 §2, §3.2).
    assert document["response_types_supported"] == ["none"]
    assert document["scopes_supported"] == ALL.split()


def test_metadata_through_nginx_names_the_robot(api):
    path = "/auth/.well-known/oauth-authorization-server"
    for address, host in ("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]"):
        # What the snippet says of the robot's own address. The real nginx says where it listens.
        headers = {"X-Forwarded-Host": f"{address}:31950", "X-Forwarded-Proto": "https"}
        issuer = f"https://{host}:31950/auth"
        if isinstance(api.address, tuple):
            issuer = f"http://127.0.0.1:{api.address[1]}/auth"
        assert request(api.address, "GET", path, None, headers).json["issuer"] == issuer


def test_metadata_is_what_a_client_library_accepts(serve, tmp_path):
    """The issuer must be HTTPS: what nginx passes on from the robot's port for it."""
    path = tmp_path / "auth.sock"
    serve("--uds", path).wait_ready()
    headers = {"X-Forwarded-Host": "192.0.2.1:32313", "X-Forwarded-Proto": "https"}
    url = "/auth/.well-known/oauth-authorization-server"
    document = request(path, "GET", url, None, headers).json
    assert document["issuer"] == "https://192.0.2.1:32313/auth"
    AuthorizationServerMetadata(document).validate()


# Ceiling and effective scopes

UPDATES = "requireAdminCredsWhenUpdatingRobotSoftware"
PROTOCOLS = "requireAdminCredsWhenSendingProtocolToRobot"
SIGNOFF = "requireAdminCredsForSignoffProtocol"


def scopes_of(api, token):
    return set(api.introspect(token)["scope"].split())


def test_login_without_scope_has_no_ceiling(api):
    """When a setting is loosened, users need not log in again."""
    api.create("ada")
    first = api.login("ada")
    for setting, scope in ((UPDATES, "updates.write"), (PROTOCOLS, "protocols.write")):
        assert scope not in scopes_of(api, first["access_token"])
        api.settings(**{setting: False})
        assert scope in scopes_of(api, first["access_token"])
        second = api.refresh(first["refresh_token"]).json
        assert scope in second["scope"].split()
        api.settings(**{setting: True})
        for pair in (first, second):
            assert scope not in scopes_of(api, pair["access_token"])
    api.settings(**{SIGNOFF: True})
    assert "run_signoff.write" not in scopes_of(api, first["access_token"])


def test_scope_of_a_login_is_its_ceiling(api):
    api.create("ada")
    api.settings(**{UPDATES: False})
    pair = api.login("ada", scope="updates.write users.read.self")
    asked = {"updates.write", "users.read.self"}
    assert scopes_of(api, pair["access_token"]) == asked
    api.settings(**{UPDATES: True, PROTOCOLS: False})
    assert scopes_of(api, pair["access_token"]) == {"users.read.self"}
    assert api.refresh(pair["refresh_token"]).json["scope"] == "users.read.self"
    api.settings(**{UPDATES: False})
    assert scopes_of(api, pair["access_token"]) == asked
    again = api.refresh(pair["refresh_token"]).json
    assert set(again["scope"].split()) == scopes_of(api, again["access_token"]) == asked


def test_scope_of_a_refresh_is_no_ceiling_of_the_login(api):
    api.create("ada")
    pair = api.login("ada")
    narrow = api.refresh(pair["refresh_token"], scope="users.read.self").json
    api.settings(**{UPDATES: False})
    assert scopes_of(api, narrow["access_token"]) == {"users.read.self"}
    wide = api.refresh(narrow["refresh_token"]).json
    assert "updates.write" in wide["scope"].split()


@pytest.mark.parametrize("asked", ["users.write", "updates.write", "nonsense"])
def test_no_ceiling_is_no_right_to_more_than_the_account_may_have(api, asked):
    api.create("ada")
    pair = api.login("ada")
    answer = api.refresh(pair["refresh_token"], scope=asked)
    assert oauth_error(answer) == (400, "invalid_scope")
    assert api.get("/auth/users", pair["access_token"]).challenge() == (403, "insufficient_scope")
    assert api.refresh(pair["refresh_token"]).status == 200


def test_pending_password_change_shrinks_and_grows_within_the_ceiling(api):
    temporary = api.create("ada", password=None)["temporaryPassword"]
    pair = api.login("ada", temporary, scope="users.read.self users.write.self")
    assert api.patch(SELF, {"password": PASSWORD}, pair["access_token"]).status == 200
    assert scopes_of(api, pair["access_token"]) == {"users.read.self", "users.write.self"}


def test_ceiling_stays_over_a_restart(start):
    server, api = start()
    api.create("ada")
    free, bound = api.login("ada"), api.login("ada", scope="users.read.self")
    server.stop()
    _, api = start()
    api.settings(**{UPDATES: False})
    assert "updates.write" in scopes_of(api, free["access_token"])
    assert scopes_of(api, bound["access_token"]) == {"users.read.self"}


@pytest.mark.parametrize(
    ("setting", "scope"),
    [
        (UPDATES, "updates.write"),
        (PROTOCOLS, "protocols.write"),
        (SIGNOFF, "run_signoff.write"),
    ],
)
def test_settings_give_users_scopes(api, setting, scope):
    api.create("ada")
    for needs_admin in (True, False):
        api.settings(**{setting: needs_admin})
        assert (scope in api.login("ada")["scope"].split()) == (not needs_admin)


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
    # The wall clock was read again, so rounding may differ by a second.
    assert abs(after.pop("exp") - before.pop("exp")) <= 1
    assert abs(after.pop("iat") - before.pop("iat")) <= 1
    assert after == before
    server.kill()
    serve("--uds", socket, "--persistence-directory", state).wait_ready()
    assert api.refresh(pair["refresh_token"]).status == 200


def test_tokens_expire(api):
    api.create("ada")
    api.settings(idleLogout=1)
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
    new = {"password": "New-Password-3"}
    typo = {"username": "x", "fullName": "x", "password": 12345678901}
    for answer, status in (
        (api.try_login("ada", "Wrong-Password-1"), 400),
        (api.try_login("Mistyped-Password-2"), 400),
        (api.patch("/auth/users/self", new, pair["access_token"]), 200),
        (api.request("POST", "/auth/users", typo), 422),
        (api.refresh(pair["refresh_token"]), 200),
        (api.request("POST", "/auth/users", body=b'{"data": "Lost-Password-4"}'), 422),
    ):
        assert answer.status == status, answer.body
    assert api.active(pair["access_token"])
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
