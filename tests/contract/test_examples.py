"""The examples of the OpenAPI document, and the errors in it: each is sent to a new robot, whose response
is the one in the document."""

import json
import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import pytest

from api import CLIENT, FORM, PASSWORD, SELF, SWITCH, Api, by_name
from examples import DIRECTORY, DOCS, EXAMPLES, LOGIN, answers
from support import DATABASE, ROOT

ERRORS = {error["name"]: error for error in json.loads((DOCS / "errors.json").read_text())}
DOCUMENT = json.loads((DOCS / "openapi.json").read_text())
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def sent(api, example, tokens):
    """Sends the request of an example, with `tokens` in place of those in the examples."""
    method, path, operation = OPERATIONS[example["operation"]]
    values = dict(example.get("parameters", {}))
    headers = {}
    for name in [name for name in values if f"{{{name}}}" in path]:
        path = path.replace(f"{{{name}}}", quote(values.pop(name)))
    if "Opentrons-User-Notes" in values:
        headers["Opentrons-User-Notes"] = values.pop("Opentrons-User-Notes")
    if values:
        texts = {name: json.dumps(value) for name, value in values.items()}
        path += f"?{urlencode(texts)}"
    if operation["security"] and tokens:
        headers["Authorization"] = f"Bearer {tokens['access_token']}"
    body = None
    if "request" in example:
        (kind,) = operation["requestBody"]["content"]
        headers["Content-Type"] = kind
        encode = urlencode if kind == FORM["Content-Type"] else json.dumps
        body = encode(example["request"])
        for name, token in tokens.items():
            body = body.replace(LOGIN["response"][name], token)
    return api.exchange(method, path, body, headers)


def test_examples_are_what_the_server_answers(serve, directory_process):
    server = serve("--directory-uds", directory_process.path).wait_ready()
    api = Api(("127.0.0.1", server.port))
    tokens = {}
    for example in EXAMPLES:
        answer = sent(api, example, tokens)
        said = answer.body.decode()
        assert answer.status == example["status"], (example, answer.body)
        excerpt = example.get("excerpt", False)
        assert answers(said, server.port, example["response"], excerpt), (example, said)
        if not tokens:
            # Two sessions: the examples end the one of the refresh token.
            tokens["access_token"] = api.login("ada", "correct horse")["access_token"]
            tokens["refresh_token"] = api.login("ada", "correct horse")["refresh_token"]


def test_every_operation_has_examples():
    assert {each["operation"] for each in EXAMPLES} == set(OPERATIONS)
    for name, (_, _, operation) in OPERATIONS.items():
        bodies = [*operation["responses"].items()]
        bodies += [("request", operation["requestBody"])] if "requestBody" in operation else []
        for which, body in bodies:
            for media in body["content"].values():
                assert "example" in media or media["examples"], (name, which)


def create(**fields):
    data = {"username": "bea", "fullName": "Bea", "accountType": "user", "password": PASSWORD}
    return lambda api: api.request("POST", "/auth/users", {**data, **fields})


def storm(request):
    """Sends a request from many clients at a time until one is told to come later."""

    def send(api):
        told = threading.Event()

        def until_told(number):
            while not told.is_set():
                answer = request(api, number)
                if answer.status == 503:
                    told.set()
                    return answer
            return None

        with ThreadPoolExecutor(64) as clients:
            return next(filter(None, clients.map(until_told, range(64))))

    return send


def with_token(send, username="ada", **parameters):
    """Sends a request with a user's access token."""
    return lambda api: send(api, api.login(username, **parameters)["access_token"])


def after(prepare, send):
    """Sends a request after a preparation."""
    return lambda api: [prepare(api), send(api)][1]


def form(route, **parameters):
    return lambda api: api.form(route, parameters)


def login(username="ada", password=PASSWORD):
    return lambda api: api.try_login(username, password)


def fail_until_slowed(api):
    """Fails logins until one is told to come later; on a slow machine, the first delays pass by."""
    answers = (api.fail_logins("ada", 1) for _ in range(100))
    return next(answer for answer in answers if answer.status != 400)


# How to get each error from a robot with the administrator `ada`.
CAUSES = {
    "bearer.invalid_request": lambda api: api.get(SELF),
    "bearer.invalid_token": lambda api: api.get(SELF, "unknown"),
    "bearer.insufficient_scope": with_token(
        lambda api, token: api.delete("ada", token), scope="users.read.self"
    ),
    "foreignOrigin": lambda api: api.request(
        "DELETE", "/auth/settings", headers={"Origin": "http://evil.example"}
    ),
    "unsupportedMediaType": lambda api: api.request(
        "PATCH", "/auth/settings", body="{}", headers={"Content-Type": "text/plain"}
    ),
    "invalidRequest.body": lambda api: api.request("POST", "/auth/users", body=""),
    "invalidRequest.notes": lambda api: api.request(
        "DELETE", "/auth/settings", headers={"Opentrons-User-Notes": "x" * 2001}
    ),
    "invalidRequest.query": lambda api: api.get("/auth/users?pageLength=0"),
    "usernameEmpty": create(username=""),
    "usernameContainsInvalidCharacters": create(username="a`b"),
    "userAlreadyExists": create(username="ada"),
    "fullNameEmpty": create(fullName=" "),
    "fullNameContainsInvalidCharacters": create(fullName="a\tb"),
    "passwordEmpty": create(password=""),
    "passwordTooShort": create(password="short"),
    "passwordMissingSpecialCharacters": after(
        lambda api: api.settings(passwordComplexitySpecialCharacters=True),
        create(password="withoutOne"),
    ),
    "passwordContainsInvalidCharacters": create(password="back`tick"),
    "passwordPreviouslyUsed": lambda api: api.update("ada", password=PASSWORD),
    "serviceAccountImmutable": after(
        lambda api: api.create("robot", "service", fullName="Service Account"),
        lambda api: api.update("robot", locked=True),
    ),
    "passwordManagedByDirectory": lambda api: api.update("person", password="another-one"),
    "managedByDirectory": lambda api: api.update("person", accountType="admin"),
    "userNotFound": lambda api: api.get(by_name("nobody")),
    "directoryNotConfigured": lambda api: api.get("/auth/directory"),
    "directoryTestFailed": lambda api: api.request("PUT", "/auth/directory", DIRECTORY),
    "lastAdmin": after(
        lambda api: api.update("ada", accountType="user"),
        lambda api: api.patch(SWITCH, {"accessControlEnabled": True}),
    ),
    "tooManyAttempts": with_token(
        lambda api, token: [api.validate("other-password", token) for _ in range(11)][-1]
    ),
    "busy": storm(lambda api, number: create(username=f"user{number}")(api)),
    "invalid_request": form("token", grant_type="password"),
    "invalid_client": form("token", grant_type="password", client_id="other"),
    "invalid_grant": login(password="wrong-password"),
    "invalid_grant.locked": lambda api: api.fail_logins("ada", 5),
    "invalid_grant.refresh_token": lambda api: api.refresh("unknown"),
    "invalid_scope": lambda api: api.try_login("ada", scope="everything"),
    "unsupported_grant_type": form("token", grant_type="client_credentials", client_id=CLIENT),
    "temporarily_unavailable.failures": after(
        lambda api: api.enable_access_control(), lambda api: fail_until_slowed(api)
    ),
    "temporarily_unavailable": storm(lambda api, _: api.try_login("ada")),
    "invalidRequest": lambda api: api.request("GET", "/auth/hello", headers={"Host": "a b"}),
    "notFound": lambda api: api.get("/auth/nothing"),
    "methodNotAllowed": lambda api: api.request("DELETE", "/auth/hello"),
    "payloadTooLarge": lambda api: api.request("POST", "/auth/users", body="x" * 65537),
}
# Errors that other tests cause: of slow clients, and of a full disk.
ELSEWHERE = {"requestTimeout", "internalError"}


@pytest.mark.parametrize("name", [name for name in ERRORS if name not in ELSEWHERE])
def test_error_is_what_the_server_answers(start, tmp_path, name):
    server, api = start()
    api.create("ada", "admin")
    if "anagedByDirectory" in name:
        api.create("person")
        server.stop()
        make_person(tmp_path / "state" / DATABASE)
        _, api = start()
    answer = CAUSES[name](api)
    error = ERRORS[name]
    assert answer.status == error["status"], answer.body
    if error.get("everywhere"):
        assert answer.error_id() == name
        return
    example = DOCUMENT["components"]["examples"][name]["value"]
    assert without_waiting(answer.json) == without_waiting(example)


def make_person(path):
    """Makes the user `person` one of the lab's directory."""
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE user SET directory_id = ?, directory_looked_up = 0 WHERE username = 'person'",
            ("0" * 32,),
        )
    database.close()


def without_waiting(body):
    """Returns a body without the time to wait, which depends on when the first attempt was."""
    return re.sub(r"\bin \d+ s\b", "in N s", json.dumps(body, sort_keys=True))


def test_no_error_is_left_out():
    """Each id in the source is in the list, except the one that only the console can get."""
    errors = (ROOT / "src/http/error.rs").read_text()
    errors = errors.split("fn status_and_id")[1].split("/// Returns the value of")[0]
    oauth = (ROOT / "src/http/oauth2/error.rs").read_text()
    oauth = oauth.split("let error = match self")[1].split("let mut response")[0]
    ids = set(re.findall(r'"(\w+)"', errors + oauth)) - {"sessionNotFound", "unauthorized"}
    listed = {name.split(".")[0] for name in ERRORS}
    assert ids == listed - {"bearer"}
