"""Authorization: every combination of account type, route, access control and state of the token.

Each request, once authorized, is refused for another reason or changes nothing, so that all of them
can go to one server.
"""

import re

import pytest

from api import PASSWORD, SELF, SWITCH, Api, Pending, by_name
from examples import DIRECTORY
from hashes import SLOW
from support import ROOT, edit_database, run, wait_for

# Scopes of each account type with the default settings, from the contract.
SCOPES = {
    "admin": {
        "audit_log.write",
        "auth_settings.write",
        "protocol_analyses.write",
        "protocols.write",
        "restart.write",
        "robot_control.write",
        "robot_settings.write",
        "run_data.write",
        "run_signoff.write",
        "shutdown.write",
        "ssh_keys.write",
        "system_time.write",
        "updates.write",
        "users.read.others",
        "users.read.self",
        "users.write",
        "users.write.self",
    },
    "user": {
        "audit_log.write",
        "protocol_analyses.write",
        "restart.write",
        "robot_control.write",
        "robot_settings.write",
        "run_signoff.write",
        "users.read.self",
        "users.write.self",
    },
    "auditor": {"users.read.others", "users.read.self", "users.write.self"},
}
SCOPES["service"] = SCOPES["admin"]
SELF_ONLY = {"users.read.self", "users.write.self"}
# (method, path, scope or None, whether a token is always required, body, status if authorized)
ROUTES = [
    ("GET", "/auth/hello", None, False, None, 200),
    ("GET", "/auth/health", None, False, None, 200),
    ("GET", "/auth/openapi.json", None, False, None, 200),
    ("GET", "/auth/redoc", None, False, None, 200),
    ("GET", "/auth/.well-known/oauth-authorization-server", None, False, None, 200),
    ("GET", "/.well-known/oauth-authorization-server/auth", None, False, None, 200),
    ("POST", "/auth/oauth2/token", None, False, {}, 400),
    ("POST", "/auth/oauth2/introspect", None, False, {}, 400),
    ("POST", "/auth/oauth2/revoke", None, False, {}, 400),
    ("GET", "/auth/settings", None, False, None, 200),
    ("PATCH", "/auth/settings", "auth_settings.write", False, {}, 200),
    ("DELETE", "/auth/settings", "auth_settings.write", False, None, 200),
    ("GET", SWITCH, None, False, None, 200),
    ("PATCH", SWITCH, "auth_settings.write", False, {}, 422),
    ("GET", "/auth/directory", "auth_settings.write", False, None, 404),
    ("PUT", "/auth/directory", "auth_settings.write", False, {}, 422),
    ("DELETE", "/auth/directory", "auth_settings.write", False, None, 404),
    ("POST", "/auth/directory/test", "auth_settings.write", False, {}, 422),
    ("GET", "/auth/users", "users.read.others", False, None, 200),
    ("POST", "/auth/users", "users.write", False, {}, 422),
    ("GET", "/auth/users/byUsername/{username}", "users.read.others", False, None, 404),
    ("PATCH", "/auth/users/byUsername/{username}", "users.write", False, {}, 404),
    ("DELETE", "/auth/users/byUsername/{username}", "users.write", False, None, 404),
    ("POST", "/auth/users/byUsername/{username}/resetPassword", "users.write", False, None, 404),
    ("GET", "/auth/users/byUsername/{username}/loginStatus", None, False, None, 404),
    ("GET", "/auth/users/self", "users.read.self", True, None, 200),
    ("PATCH", "/auth/users/self", "users.write.self", True, {}, 200),
    ("POST", "/auth/users/self/validatePassword", "users.read.self", True, {}, 422),
]
NARROW = {"auditor": "users.read.others"}


def tokens(api, account_type, keeper):
    """Returns a token in each state, with the scopes that it has; None means that the token is not
    valid. `keeper`: the token of an administrator, where one is needed."""
    names = {state: f"{account_type}-{state}"[:20] for state in ("whole", "out", "must")}
    for name in names.values():
        api.create(name, account_type, token=keeper)
    narrow = NARROW.get(account_type, "users.read.self")
    api.settings(keeper, idleLogout=1)
    expired = api.login(names["out"])["access_token"]
    wait_for(lambda: not api.active(expired), "the token expires")
    assert api.request("DELETE", "/auth/settings", token=keeper).status == 200
    revoked = api.login(names["out"])["access_token"]
    assert api.revoke(revoked).status == 200
    assert api.update(names["must"], keeper, resetPassword=True).status == 200
    must_reset = api.login(names["must"])["access_token"]
    return {
        "none": (None, None),
        "unknown": ("x" * 43, None),
        "expired": (expired, None),
        "revoked": (revoked, None),
        "whole": (api.login(names["whole"])["access_token"], SCOPES[account_type]),
        "narrowed": (api.login(names["whole"], scope=narrow)["access_token"], {narrow}),
        "must reset": (must_reset, SELF_ONLY),
    }


def expected(route, access_control, token, scopes):
    """Returns the status, the challenge, and whether the request is authorized."""
    _, _, scope, always, _, status = route
    if scope is None or (token is None and not always and not access_control):
        return status, None
    if token is None:
        return 401, 'Bearer error="invalid_request"'
    if scopes is None:
        return 401, 'Bearer error="invalid_token"'
    if scope not in scopes:
        return 403, 'Bearer error="insufficient_scope"'
    return status, None


@pytest.mark.parametrize("account_type", sorted(SCOPES))
def test_scopes_of_an_account_type(serve, account_type):
    api = Api(("127.0.0.1", serve().wait_ready().port))
    api.create("ada", account_type)
    pair = api.login("ada")
    scopes = " ".join(sorted(SCOPES[account_type]))
    assert pair["scope"] == api.introspect(pair["access_token"])["scope"] == scopes


@pytest.mark.parametrize("access_control", [False, True])
@pytest.mark.parametrize("account_type", sorted(SCOPES))
def test_every_cell(serve, account_type, access_control):
    api = Api(("127.0.0.1", serve().wait_ready().port))
    if access_control:
        api.create("keeper", "admin")
        # The request that turns access control on ends all other sessions, but there are none yet.
        keeper = api.login("keeper")["access_token"]
        api.enable_access_control(keeper)
    else:
        keeper = None
    held = tokens(api, account_type, keeper)
    session = api.session()
    cells = 0
    for route in ROUTES:
        method, path, scope, _, data, _ = route
        for state, (token, scopes) in held.items():
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            body = None
            if data is not None:
                headers["Content-Type"] = "application/json"
                body = '{"data": {}}'
            answer = session.request(method, path.replace("{username}", "nobody"), body, headers)
            status, challenge = expected(route, access_control, token, scopes)
            cell = (method, path, state)
            assert (answer.status, answer.headers.get("www-authenticate")) == (
                status,
                challenge,
            ), cell
            if challenge:
                refusal = answer.json
                assert set(refusal) == {"debugMessage", "requiredScopes", "providedScopes"}, cell
                assert refusal["requiredScopes"] == [scope], cell
                provided = sorted(scopes or ()) if token else []
                assert refusal["providedScopes"] == provided, cell
            cells += 1
    assert cells == len(ROUTES) * 7


def test_table_has_every_route(serve):
    """Otherwise a route in the code or in the document would not be tested."""
    table = {(method, path) for method, path, *_ in ROUTES}
    document = serve().wait_ready().request("GET", "/auth/openapi.json").json
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described == table
    source = (ROOT / "src/http/routes.rs").read_text()
    served = set()
    for part in source.split(".service(")[1:]:
        path = re.search(r'"(/[^"]+)"', part)[1]
        methods = set(re.findall(r"\.(post|patch|delete|put)\(", part))
        methods |= {"get"} if "readable(" in part else set()
        served |= {(method.upper(), path) for method in methods}
    assert served == table


BEARER = ("invalid_request", "invalid_token", "insufficient_scope")


def errors_of(answers, status):
    """Returns the references to the errors of a response in the document."""
    content = answers.get(status, {}).get("content", {})
    return content.get("application/json", {}).get("examples", {}).values()


def test_document_names_the_scope_of_each_route(serve):
    document = serve().wait_ready().request("GET", "/auth/openapi.json").json
    for method, path, scope, always, *_ in ROUTES:
        operation = document["paths"][path][method.lower()]
        security = operation["security"]
        # Also without a token, where that is allowed while access control is off.
        without = [] if always else [{}]
        named = [each for each in security if each]
        assert named == ([{"oauth2": [scope]}] if scope else []), (method, path)
        assert [each for each in security if not each] == (without if scope else [])
        # 401 without a scope is about the client; 403, about the origin of a change.
        answers = operation["responses"]
        about_token = [f"#/components/examples/bearer.{name}" for name in BEARER]
        referred = {
            each["$ref"] for status in ("401", "403") for each in errors_of(answers, status)
        }
        assert [ref in referred for ref in about_token] == [scope is not None] * 3, (method, path)
        assert ("#/components/examples/foreignOrigin" in referred) is (method != "GET")


def test_head_is_get_everywhere(serve):
    api = Api(("127.0.0.1", serve().wait_ready().port))
    api.create("nobody")
    token = api.login("nobody")["access_token"]
    assert api.request("PUT", "/auth/directory?test=false", DIRECTORY).status == 200
    for method, path, _, always, *_ in ROUTES:
        path = path.replace("{username}", "nobody")
        if method == "GET":
            used = token if always else None
            get, head = (api.request(each, path, token=used) for each in ("GET", "HEAD"))
            assert (get.status, head.status, head.body) == (200, 200, b""), path


def test_other_methods_are_405_with_allow(serve):
    api = Api(("127.0.0.1", serve().wait_ready().port))
    for path in {path for _, path, *_ in ROUTES}:
        known = {method for method, other, *_ in ROUTES if other == path}
        known |= {"HEAD"} if "GET" in known else set()
        other = "PATCH" if "PUT" in known else "PUT"
        answer = api.request(other, path.replace("{username}", "nobody"))
        assert (answer.status, answer.error_id()) == (405, "methodNotAllowed")
        assert set(answer.headers["allow"].split(", ")) == known, path


@pytest.mark.parametrize(
    "value",
    [
        "Basic YWRhOmNvcnJlY3QtaG9yc2U=",
        "Bearer",
        "Bearer ",
        "Token x",
        "{token}",
        "Bearer{token}",
    ],
)
def test_header_that_is_no_bearer_token_is_refused(serve, value):
    """Even while access control is off, because a client that sends the header expects to be
    authorized by it."""
    api = Api(("127.0.0.1", serve().wait_ready().port))
    api.create("ada", "admin")
    token = api.login("ada")["access_token"]
    headers = {"Authorization": value.format(token=token)}
    answer = api.request("GET", "/auth/users", headers=headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_request"'


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_scheme_has_any_case(serve, scheme):
    api = Api(("127.0.0.1", serve().wait_ready().port))
    api.create("ada", "admin")
    token = api.login("ada")["access_token"]
    headers = {"Authorization": f"{scheme} {token}"}
    assert api.request("GET", "/auth/users", headers=headers).status == 200


def test_two_tokens_are_refused(serve):
    server = serve().wait_ready()
    api = Api(("127.0.0.1", server.port))
    api.create("ada", "admin")
    token = api.login("ada")["access_token"]
    client = server.connect()
    line = f"Authorization: Bearer {token}\r\n"
    client.sendall(f"GET /auth/users HTTP/1.1\r\nHost: x\r\n{line}{line}\r\n".encode())
    assert client.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_token_in_the_query_or_the_body_counts_for_nothing(api, admin):
    assert api.get(f"/auth/users?access_token={admin}").status == 401
    answer = api.request("POST", "/auth/users", {"access_token": admin})
    assert answer.status == 401


def test_refresh_token_lets_nobody_in(api, admin):
    refresh = api.login("admin")["refresh_token"]
    assert api.get("/auth/users", refresh).status == 401


def test_nothing_is_half_done_without_authorization(api, admin):
    api.create("ada", token=admin)
    user = api.login("ada")["access_token"]
    before = api.user("ada", admin)
    for token, status in (None, 401), (user, 403):
        assert api.update("ada", token, accountType="admin").status == status
        assert api.request("DELETE", by_name("ada"), token=token).status == status
        new = {"username": "x", "fullName": "x", "accountType": "admin", "password": PASSWORD}
        assert api.request("POST", "/auth/users", new, token).status == status
        assert api.patch("/auth/settings", {"idleLogout": 1}, token).status == status
    assert api.user("ada", admin) == before
    assert len(api.get("/auth/users", admin).json["data"]) == 2
    assert api.get("/auth/settings").json["data"]["idleLogout"] == 180.0


# Authority is checked where the change is decided


class Held:
    """A robot on which hashing is held up by a slow password: a login of `slow`, whose imported
    hash needs so much memory that it is verified alone."""

    def __init__(self, start, state, access_control=True):
        server, api = start(state=state)
        api.create("slow")
        api.create("keeper", "admin")
        server.stop()
        edit_database(state, "UPDATE user SET password_hash = ? WHERE username = 'slow'", SLOW)
        # A single worker handles requests in the order of their arrival.
        self.server, self.api = start("--workers", "1", state=state)
        if access_control:
            self.api.enable_access_control()
        self.keeper = self.api.login("keeper")["access_token"]

    def meanwhile(self, ask, happens):
        """Calls `happens()` while the requests that `ask(api)` sends are waiting, and returns their
        responses; None if they did not wait, as on a machine that is too slow."""
        pending = Pending(self.api.address)
        holding = pending.try_login("slow", "wrong-password")
        self.passed()
        waiting = ask(pending)
        self.passed()
        happens()
        held = not holding.answered()
        answers = [session.receive() for session in waiting]
        assert holding.receive().status == 400
        return answers if held else None

    def passed(self):
        """Waits until the worker has read everything that was sent before."""
        assert self.api.get("/auth/hello").status == 200


MEANWHILE = {
    "deleted": lambda api, keeper, _: api.delete("eve", keeper),
    "locked": lambda api, keeper, _: api.update("eve", keeper, locked=True),
    "retyped": lambda api, keeper, _: api.update("eve", keeper, accountType="user"),
    "renamed": lambda api, keeper, _: api.update("eve", keeper, username="eva"),
    "made to set a new password": lambda api, keeper, _: api.update(
        "eve", keeper, resetPassword=True
    ),
    "logged out": lambda api, _, token: api.revoke(token),
}


def retried(attempt):
    """Returns the first result of `attempt(number)` that is not None; a slow machine may need
    several attempts."""
    for number in range(4):
        found = attempt(number)
        if found is not None:
            return found
    raise AssertionError("the requests never waited")


@pytest.mark.parametrize("what", MEANWHILE)
def test_request_that_waited_while_its_user_was(start, tmp_path, what):
    """The request changes nothing and is refused."""
    robot = Held(start, tmp_path / "state")
    api, keeper = robot.api, robot.keeper
    api.create("bob", token=keeper)
    new = {"username": "mallory", "fullName": "M", "accountType": "admin"}

    def attempt(_number):
        for name in ("eve", "eva"):
            api.delete(name, keeper)
        api.create("eve", "admin", token=keeper)
        token = api.login("eve")["access_token"]
        before = {user["username"]: user for user in api.get("/auth/users", keeper).json["data"]}
        answers = robot.meanwhile(
            lambda sent: [
                sent.request("POST", "/auth/users", {**new, "password": PASSWORD}, token),
                sent.request("POST", "/auth/users", {**new, "username": "mal"}, token),
                sent.update("bob", token, password="another-one", accountType="admin"),
                sent.request("POST", by_name("bob", "/resetPassword"), token=token),
                sent.patch(SELF, {"password": "another-one"}, token),
                sent.validate("another-one", token),
            ],
            lambda: MEANWHILE[what](api, keeper, token),
        )
        return answers and (answers, before)

    answers, before = retried(attempt)
    # Each of these ends the sessions of the user.
    assert [answer.challenge() for answer in answers] == [(401, "invalid_token")] * 6
    after = {user["username"]: user for user in api.get("/auth/users", keeper).json["data"]}
    for name in ("bob", "keeper", "slow"):
        assert after.pop(name) == before[name]
    name = "eva" if what == "renamed" else "eve"
    assert set(after) == ({name} if what != "deleted" else set())
    api.login("bob")
    assert api.try_login(name, "another-one").status == 400
    # The audit log contains no row for the refused request.
    log = run("audit", "export", "--persistence-directory", tmp_path / "state").stdout
    assert "mallory" not in log and "reset password" not in log


def test_request_without_token_that_waited_while_access_control_was_turned_on(start, tmp_path):
    new = {"username": "mallory", "fullName": "M", "accountType": "admin", "password": PASSWORD}

    def attempt(number):
        robot = Held(start, tmp_path / f"state{number}", access_control=False)
        answers = robot.meanwhile(
            lambda sent: [
                sent.request("POST", "/auth/users", new),
                sent.update("keeper", password="another-one"),
            ],
            lambda: robot.api.enable_access_control(robot.keeper),
        )
        if answers is None:
            robot.server.stop()
            return None
        return robot, answers

    robot, answers = retried(attempt)
    assert [answer.challenge() for answer in answers] == [(401, "invalid_request")] * 2
    assert robot.api.get(by_name("mallory"), robot.keeper).status == 404
    robot.api.login("keeper")


@pytest.mark.parametrize("change", [{"locked": True}, None])
def test_login_that_waited_while_its_user_was_locked_or_deleted(start, tmp_path, change):
    robot = Held(start, tmp_path / "state")
    api, keeper = robot.api, robot.keeper

    def attempt(number):
        name = f"eve{number}"
        api.create(name, token=keeper)
        return robot.meanwhile(
            lambda sent: [sent.try_login(name)],
            lambda: api.update(name, keeper, **change) if change else api.delete(name, keeper),
        )

    (answer,) = retried(attempt)
    assert (answer.status, answer.json["error"]) == (400, "invalid_grant")
