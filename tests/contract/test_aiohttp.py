"""A client like those of the robot's servers: aiohttp over the Unix socket, with strict models."""

import asyncio
from dataclasses import dataclass

import aiohttp
import pytest

from api import CLIENT, PASSWORD, Api


@dataclass(frozen=True)
class Introspected:
    """Expected response for an active token: exactly these fields, of these types."""

    active: bool
    scope: str
    username: str
    ot_fullname: str
    ot_account_type: str
    client_id: str
    exp: int
    iat: int
    token_type: str

    def __post_init__(self):
        for name, kind in self.__annotations__.items():
            assert type(getattr(self, name)) is kind, name


@dataclass(frozen=True)
class AccessControl:
    accessControlEnabled: bool

    def __post_init__(self):
        assert type(self.accessControlEnabled) is bool


async def asks(path, token):
    """Sends the requests that robot-server sends for one protected request."""
    connector = aiohttp.UnixConnector(path=str(path))
    async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
        async with session.get("/auth/settings/accessControlEnabled") as answer:
            assert answer.status == 200
            body = await answer.json()
            enabled = AccessControl(**body["data"])
        form = {"client_id": CLIENT, "token": token}
        async with session.post("/auth/oauth2/introspect", data=form) as answer:
            assert answer.status == 200
            return enabled, await answer.json()


@pytest.fixture
def path(serve, tmp_path):
    path = tmp_path / "auth.sock"
    serve("--uds", path).wait_ready()
    return path


def test_protected_request(path):
    api = Api(path)
    api.create("ada", "admin")
    api.enable_access_control()
    pair = api.login("ada", PASSWORD)
    enabled, body = asyncio.run(asks(path, pair["access_token"]))
    assert enabled.accessControlEnabled is True
    introspected = Introspected(**body)
    assert introspected.username == "ada" and "users.write" in introspected.scope.split()
    for token in (pair["refresh_token"], "unknown"):
        _, body = asyncio.run(asks(path, token))
        assert body == {"active": False}


def test_many_at_once(path):
    api = Api(path)
    api.create("ada")
    token = api.login("ada")["access_token"]

    async def many():
        return await asyncio.gather(*(asks(path, token) for _ in range(100)))

    for _, body in asyncio.run(many()):
        Introspected(**body)
