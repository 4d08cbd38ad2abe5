"""A web page from elsewhere, in the browser of somebody who can reach the robot, while access control
is off: what browsers let it send without asking the server first changes nothing."""

import json

import pytest

from api import FORM, PASSWORD, Api
from support import Answer, connection, request

METADATA = [
    "/auth/.well-known/oauth-authorization-server",
    "/.well-known/oauth-authorization-server/auth",
]
USER = {
    "username": "mallory",
    "fullName": "Mallory",
    "accountType": "admin",
    "password": "Passw0rd!",
}
JSON_ROUTES = [
    ("POST", "/auth/users", USER),
    ("PATCH", "/auth/users/byUsername/ada", {"fullName": "Changed"}),
    ("PATCH", "/auth/settings", {"idleLogout": 1}),
    ("PATCH", "/auth/settings/accessControlEnabled", {"accessControlEnabled": True}),
    ("PATCH", "/auth/users/self", {"fullName": "Changed"}),
    ("POST", "/auth/users/self/validatePassword", {"password": "Another0!"}),
]
CHANGES = [
    *JSON_ROUTES,
    ("POST", "/auth/users/byUsername/ada/resetPassword", None),
    ("DELETE", "/auth/users/byUsername/ada", None),
    ("DELETE", "/auth/settings", None),
]
FOREIGN = [
    "http://evil.example",
    "https://evil.example:443",
    "http://robot.evil.example",
    "http://127.0.0.1.evil.example",
    "http://localhost@evil.example",
    "chrome-extension://abcdefgh",
    "",
]


@pytest.fixture
def robot(start):
    """The API of a server with an administrator, and the administrator's token."""
    _, api = start()
    api.create("ada", accountType="admin")
    return api, api.login("ada")["access_token"]


def state(api):
    """Returns all that the routes can change."""
    return api.get("/auth/users").json, api.get("/auth/settings").json


@pytest.mark.parametrize("method, path, data", JSON_ROUTES)
@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
)
def test_body_that_is_not_said_to_be_json_is_415(robot, method, path, data, kind):
    api, token = robot
    before = state(api)
    headers = {"Authorization": f"Bearer {token}"} | ({"Content-Type": kind} if kind else {})
    answer = api.exchange(method, path, json.dumps({"data": data}), headers)
    assert answer.status == 415
    assert answer.json["errors"][0]["id"] == "unsupportedMediaType"
    assert state(api) == before


def test_two_content_types_are_415(robot):
    api, _ = robot
    client = connection(api.address)
    body = json.dumps({"data": USER})
    client.putrequest("POST", "/auth/users")
    for kind in "application/json", "text/plain":
        client.putheader("Content-Type", kind)
    client.putheader("Content-Length", str(len(body)))
    client.endheaders(body.encode())
    assert Answer(client.getresponse()).status == 415
    client.close()


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_is_json_with_parameters_and_in_any_case(robot, kind):
    api, _ = robot
    body = json.dumps({"data": USER})
    assert api.exchange("POST", "/auth/users", body, {"Content-Type": kind}).status == 201


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("method, path, data", CHANGES)
def test_page_of_another_host_changes_nothing(robot, method, path, data, origin):
    api, token = robot
    before = state(api)
    answer = api.request(method, path, data, token, headers={"Origin": origin})
    assert answer.status == 403
    assert answer.json["errors"][0]["id"] == "foreignOrigin"
    assert state(api) == before


@pytest.mark.parametrize("route", ["token", "revoke", "introspect"])
def test_page_of_another_host_uses_no_oauth_route(robot, route):
    api, token = robot
    headers = {"Origin": "http://evil.example"}
    parameters = {"client_id": "opentrons_app", "token": token, "grant_type": "password"}
    parameters |= {"username": "ada", "password": PASSWORD}
    assert api.form(route, parameters, headers).status == 403
    assert api.introspect(token)["active"]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "file://",
        "http://localhost:5173",
        "http://127.0.0.1:8080",
        "http://[::1]:3000",
        "http://robot.lab:31950",
        "https://ROBOT.lab:31950",
    ],
)
def test_apps_and_the_robots_own_pages_may(robot, origin):
    api, _ = robot
    headers = {"Host": "robot.lab:31950"} | ({"Origin": origin} if origin else {})
    assert api.request("POST", "/auth/users", USER, headers=headers).status == 201


def test_second_origin_is_heeded_too(robot):
    api, _ = robot
    client = connection(api.address)
    client.putrequest("DELETE", "/auth/users/byUsername/ada")
    for origin in "null", "http://evil.example":
        client.putheader("Origin", origin)
    client.endheaders()
    assert Answer(client.getresponse()).status == 403
    client.close()
    assert api.get("/auth/users/byUsername/ada").status == 200


def test_refused_page_leaves_the_connection_open(robot):
    """nginx keeps its connections for all clients."""
    api, _ = robot
    client = connection(api.address)
    body = json.dumps({"data": USER})
    headers = {"Origin": "http://evil.example", "Content-Type": "application/json"}
    for _ in range(2):
        client.request("POST", "/auth/users", body, headers)
        answer = client.getresponse()
        assert answer.status == 403 and not answer.will_close
        answer.read()
    client.close()


def test_reading_asks_for_no_origin(robot):
    api, _ = robot
    for method in "GET", "HEAD":
        answer = api.request(method, "/auth/hello", headers={"Origin": "http://evil.example"})
        assert answer.status == 200
        assert "access-control-allow-origin" not in answer.headers


def test_login_needs_its_form_type(robot):
    api, _ = robot
    body = f"grant_type=password&client_id=opentrons_app&username=ada&password={PASSWORD}"
    for kind in {}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"}:
        assert api.exchange("POST", "/auth/oauth2/token", body, kind).status == 400
    assert api.exchange("POST", "/auth/oauth2/token", body, FORM).status == 200


@pytest.mark.parametrize("path", METADATA)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
        {"X-Forwarded-Host": "192.0.2.1:80", "X-Forwarded-Proto": "https"},
        {"Forwarded": "host=evil.example;proto=https"},
    ],
)
def test_metadata_names_nothing_that_a_client_writes(server, start, path, headers):
    _, api = start()
    issuer = request(("127.0.0.1", server.port), "GET", path, None, headers).json["issuer"]
    assert issuer == f"http://127.0.0.1:{server.port}/auth"
    # As nginx without the layer's snippet passes a client's headers on.
    for option in "close", "Upgrade", "keep-alive, upgrade":
        passed = {**headers, "Connection": option}
        issuer = Api(api.address).exchange("GET", path, None, passed).json["issuer"]
        assert issuer == "http://localhost/auth", option
