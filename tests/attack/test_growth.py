"""What strangers send through nginx adds little to database and log, whatever it is."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from api import CLIENT, FORM, SWITCH, Api
from nginx import NGINX, Nginx
from support import connection

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")

MEGABYTE = 1_000_000
JSON = {"Content-Type": "application/json"}
NOTES = "Opentrons-User-Notes"
# The largest notes that pass, each worst in another place: in the request and the database, in the
# journal, where the character is escaped, and in both.
LARGEST = ["🧪".encode() * 2000, "\u202e".encode() * 2000, b"%01" * 2000, b"\xff" * 2000]
TOO_LONG = b"\xff" * 8000
CLIENTS = 8


@pytest.fixture
def nginx(tmp_path):
    """nginx as plain meta-webserver configures it, with our snippets."""
    proxy = Nginx(tmp_path, "plain")
    proxy.install_snippets()
    assert proxy.include().returncode == 0
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def robot(serve, tmp_path, nginx):
    """A robot behind nginx, with access control and three users; returns its server and its API."""
    state = tmp_path / "state"
    server = serve("--uds", nginx.socket, "--persistence-directory", state).wait_ready()
    api = Api(("127.0.0.1", nginx.port))
    api.create("root", "admin")
    token = api.login("root")["access_token"]
    assert api.patch(SWITCH, {"accessControlEnabled": True}, token).status == 200
    for name in ("ada", "eve"):
        api.create(name, token=token)
    return server, api


def size(server, tmp_path):
    """Returns the size of database and log, in bytes."""
    state = sum(path.stat().st_size for path in (tmp_path / "state").iterdir() if path.is_file())
    return state + server.log_path.stat().st_size


def storm(api, number, method, path, body, headers, notes):
    """Sends a request `number` times with each of the `notes`, over several connections, and returns
    the statuses."""

    def client(index):
        statuses = set()
        requests = connection(api.address)
        for _ in range(index, number, CLIENTS):
            for note in notes:
                named = {**headers, NOTES: note}
                requests.request(method, path, body, named)
                answer = requests.getresponse()
                answer.read()
                statuses.add(answer.status)
        requests.close()
        return statuses

    with ThreadPoolExecutor(CLIENTS) as pool:
        return set().union(*pool.map(client, range(CLIENTS)))


def test_refused_requests_add_at_most_a_megabyte(robot, tmp_path, figures):
    """Of each kind, many more than are recorded one by one."""
    server, api = robot
    token = api.login("eve")["access_token"]
    before = size(server, tmp_path)

    def login(name, number):
        form = urlencode(
            {
                "client_id": CLIENT,
                "grant_type": "password",
                "username": name,
                "password": "wrong-password",
            }
        )
        return storm(api, number, "POST", "/auth/oauth2/token", form, FORM, LARGEST)

    grown = {}

    def attack(name, statuses, allowed):
        assert statuses and statuses <= allowed, (name, statuses)
        grown[name] = size(server, tmp_path) - before

    settings = "/auth/settings"
    body = '{"data": {"idleLogout": 1}}'
    attack("too long", storm(api, 2000, "PATCH", settings, body, JSON, [TOO_LONG]), {401, 422})
    attack("no token", storm(api, 500, "PATCH", settings, body, JSON, LARGEST), {401})
    bearer = {**JSON, "Authorization": f"Bearer {token}"}
    attack("no scope", storm(api, 500, "PATCH", settings, body, bearer, LARGEST), {403})
    attack("no user", login("nobody", 30), {400, 429, 503})
    attack("locked user", login("ada", 30), {400, 429, 503})
    attack("last admin", login("root", 30), {400, 429, 503})
    form = urlencode({"client_id": CLIENT, "grant_type": "refresh_token", "refresh_token": "x"})
    path = "/auth/oauth2/token"
    attack("no session", storm(api, 500, "POST", path, form, FORM, LARGEST), {400})
    form = urlencode({"client_id": CLIENT, "token": "x"})
    path = "/auth/oauth2/revoke"
    attack("no such token", storm(api, 500, "POST", path, form, FORM, LARGEST), {200})
    server.stop()
    grown["stop"] = size(server, tmp_path) - before
    figures(f"refused requests added at most {max(grown.values())} bytes: {grown}")
    assert max(grown.values()) <= MEGABYTE, grown
