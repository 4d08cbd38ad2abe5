"""The OpenAPI document as programs use it: schemathesis, and an unmodified client generator."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api import PASSWORD, Api
from support import ROOT

# In the same directory as the Python that runs the tests.
TOOLS = Path(sys.executable).parent
SECONDS = 40
# The tags, which group the operations, in the order of the page.
TASKS = ["Log in", "Users", "Settings", "Directory", "Other servers", "Health and documents"]
# Fixed, so that a change does not fail because of an older fault that another seed finds.
SEED = 20261125
# Whether a password is long enough depends on the settings, which a schema cannot express.
EXCLUDED = "positive_data_acceptance"


@pytest.mark.parametrize("access_control", [False, True])
def test_schemathesis_finds_no_answer_outside_the_document(serve, tmp_path, access_control):
    state = tmp_path / "state"
    arguments = ("--log-level", "debug", "--workers", "2", "--persistence-directory", state)
    server = serve(*arguments)
    server.wait_message("READY", "1")
    port = int(server.messages[-1]["STATUS"].rsplit(":", 1)[1])
    api = Api(("127.0.0.1", port))
    command = [TOOLS / "schemathesis", "run", f"http://127.0.0.1:{port}/auth/openapi.json"]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "20"]
    command += ["--max-time", str(SECONDS), "--exclude-checks", EXCLUDED]
    command += ["--continue-on-failure", "--generation-database", "none", "--no-color"]
    command += ["--warnings", "off", "--seed", str(SEED)]
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here}:{ROOT / 'tests'}"}
    environment |= {"SCHEMATHESIS_HOOKS": "schemathesis_sizes"}
    if access_control:
        api.create("admin", "admin")
        api.enable_access_control()
        environment |= {"SCHEMATHESIS_HOOKS": "schemathesis_hooks"}
        environment |= {"AUTH_SERVER_PORT": str(port), "AUTH_SERVER_STATE": str(state)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Stateful (not applicable)" not in done.stdout
    assert api.get("/auth/hello").status == 200
    # The HTTP library logs malformed response heads as errors of its own.
    assert "ERROR auth_server" not in server.log
    paths = api.get("/auth/openapi.json").json["paths"]
    # All operations except the one that returns the document, which schemathesis leaves out.
    assert f"Tested: {sum(map(len, paths.values())) - 1}\n" in done.stdout
    if access_control:
        # Requests that need a token succeeded until the end.
        statuses = re.findall(r" [A-Z]+ /auth/users(?!\S*loginStatus)\S* (\d{3}) ", server.log)
        for part in statuses[: len(statuses) // 2], statuses[len(statuses) // 2 :]:
            assert any(status.startswith("2") for status in part)


def test_document_says_what_is_needed_and_what_goes_wrong(serve):
    document = serve().wait_ready().request("GET", "/auth/openapi.json").json
    schemes = document["components"]["securitySchemes"]
    assert len(schemes["oauth2"]["flows"]["password"]["scopes"]) == 17
    assert all(schemes["oauth2"]["flows"]["password"]["scopes"].values())
    ids = []
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert list(tags) == TASKS and all(tags.values())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            ids.append(operation["operationId"])
            assert method in ("get", "put", "post", "patch", "delete"), path
            assert operation["tags"][0] in tags, (method, path)
            if any(scope for each in operation["security"] for scope in each.values()):
                assert {"401", "403"} <= set(operation["responses"]), (method, path)
            for status, response in operation["responses"].items():
                assert response["description"], (method, path, status)
                assert "content" in response, (method, path, status)
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]+)+", name) for name in ids)
    assert ids and len(set(ids)) == len(ids)


@pytest.fixture
def generated(serve, tmp_path):
    """Generates a client from the document with openapi-python-client, as the module `client`;
    yields a server."""
    server = serve().wait_ready()
    document = tmp_path / "openapi.json"
    document.write_bytes(server.request("GET", "/auth/openapi.json").body)
    environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}"}
    command = [TOOLS / "openapi-python-client", "generate", "--path", document]
    command += ["--output-path", tmp_path / "client", "--meta", "none", "--fail-on-warning"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(tmp_path))
    yield server
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "client"]:
        del sys.modules[name]


def test_generated_client_speaks_to_the_server(generated):
    assert importlib.util.find_spec("client"), ROOT
    import client
    from client.api.users import create_user, list_users
    from client.models import AccountType, DataNewUser, NewUser

    connection = client.Client(base_url=f"http://127.0.0.1:{generated.port}")
    new = NewUser(
        username="ada", full_name="Ada", account_type=AccountType.ADMIN, password=PASSWORD
    )
    created = create_user.sync(client=connection, body=DataNewUser(data=new))
    assert json.loads(json.dumps(created.to_dict()))["data"]["username"] == "ada"
    listed = list_users.sync(client=connection)
    assert [user.username for user in listed.data] == ["ada"]
    assert listed.meta.total_length == 1
