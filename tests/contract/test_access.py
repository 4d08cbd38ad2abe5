"""Who may do what: account type × route × access control × state of the token, every cell.

Each request is one that, once it is let in, is refused for another reason or changes nothing, so
that all of them can go to one server.
"""

import re

import pytest

from api import PASSWORD, Api, by_name
from support import ROOT, wait_for

# By the contract: what an account of a type may do, with the default settings.
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
    "auditor": {"users.read.others"},
}
SCOPES["service"] = SCOPES["admin"]
SELF_ONLY = {"users.read.self", "users.write.self"}
SWITCH = "/auth/settings/accessControlEnabled"
# (method, path, scope or None, always with a token, body, status when let in)
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


def tokens(api, account_type):
    """A token in each state, with the scopes that it has then; None is no token that works."""
    names = {state: f"{account_type}-{state}"[:20] for state in ("whole", "out", "must")}
    for name in names.values():
        api.create(name, account_type)
    narrow = NARROW.get(account_type, "users.read.self")
    api.settings(idleLogout=0.001)
    expired = api.login(names["out"])["access_token"]
    wait_for(lambda: not api.active(expired), "the token expires")
    api.request("DELETE", "/auth/settings")
    revoked = api.login(names["out"])["access_token"]
    assert api.revoke(revoked).status == 200
    must_reset = api.login(names["must"])["access_token"]
    assert api.update(names["must"], resetPassword=True).status == 200
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
    """Status, challenge, and whether the request gets past the check."""
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


@pytest.mark.parametrize("access_control", [False, True])
@pytest.mark.parametrize("account_type", sorted(SCOPES))
def test_every_cell(serve, account_type, access_control):
    api = Api(("127.0.0.1", serve().wait_ready().port))
    held = tokens(api, account_type)
    if access_control:
        api.create("keeper", "admin")
        api.enable_access_control()
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
    """A route that is in the code or in the document, and not in the table, has no cells."""
    table = {(method, path) for method, path, *_ in ROUTES}
    document = serve().wait_ready().request("GET", "/auth/openapi.json").json
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if method != "head"
    }
    assert described == table
    source = (ROOT / "src/routes.rs").read_text()
    served = set()
    for part in source.split(".service(")[1:]:
        path = re.search(r'"(/[^"]+)"', part)[1]
        methods = set(re.findall(r"\.(post|patch|delete|put)\(", part))
        methods |= {"get"} if "readable(" in part else set()
        served |= {(method.upper(), path) for method in methods}
    assert served == table


def test_head_is_get_everywhere(serve):
    api = Api(("127.0.0.1", serve().wait_ready().port))
    api.create("nobody")
    token = api.login("nobody")["access_token"]
    for method, path, _, always, *_ in ROUTES:
        path = path.replace("{username}", "nobody")
        if method == "GET":
            used = token if always else None
            get, head = (api.request(each, path, token=used) for each in ("GET", "HEAD"))
            assert (head.status, head.body) == (get.status, b""), path


def test_other_methods_are_405_with_allow(serve):
    api = Api(("127.0.0.1", serve().wait_ready().port))
    for path in {path for _, path, *_ in ROUTES}:
        known = {method for method, other, *_ in ROUTES if other == path}
        known |= {"HEAD"} if "GET" in known else set()
        answer = api.request("PUT", path.replace("{username}", "nobody"))
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
    """Also while access control is off: whoever sends one means to be checked."""
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
    for token in (None, user):
        assert api.update("ada", token, accountType="admin").status in (401, 403)
        assert api.request("DELETE", by_name("ada"), token=token).status in (401, 403)
        new = {"username": "x", "fullName": "x", "accountType": "admin", "password": PASSWORD}
        assert api.request("POST", "/auth/users", new, token).status in (401, 403)
        assert api.patch("/auth/settings", {"idleLogout": 1}, token).status in (401, 403)
    assert api.user("ada", admin) == before
    assert len(api.get("/auth/users", admin).json["data"]) == 2
    assert api.get("/auth/settings").json["data"]["idleLogout"] == 180.0
