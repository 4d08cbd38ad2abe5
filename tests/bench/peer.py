"""The Python peer: the measured routes, on the software stack that this server replaces.

Like the Python server, it searches tokens in a list, and reads their user from SQLite on every use.
Its initial tokens are the lines of the file $PEER_TOKENS.
"""

import os
import secrets
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import FastAPI, Form
from fastapi.responses import JSONResponse
from pydantic import BaseModel

SCOPE = (
    "audit_log.write protocol_analyses.write restart.write robot_control.write "
    "robot_settings.write users.read.self users.write.self"
)
LIFETIME = 86_400
# Hash of `correct-horse`, the password of the tests.
HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$05aC5jzlRymiXiXXtzWebQ"
    "$XmWTrI59ZBtyDzn7TKCbC+wKjj+tPaPcdOB7sAP7dOE"
)


class AccessControl(BaseModel):
    accessControlEnabled: bool


class AccessControlEnvelope(BaseModel):
    data: AccessControl


class Introspection(BaseModel):
    active: bool
    scope: str | None = None
    username: str | None = None
    ot_fullname: str | None = None
    ot_account_type: str | None = None
    client_id: str | None = None
    exp: int | None = None
    iat: int | None = None
    token_type: str | None = None


class Pair(BaseModel):
    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int
    scope: str


@dataclass
class Token:
    access_token: str
    refresh_token: str
    username: str
    issued: float


def stored_tokens():
    path = os.environ.get("PEER_TOKENS")
    now = time.time()
    lines = Path(path).read_text().split() if path else []
    return [Token(line, secrets.token_urlsafe(32), "ada", now) for line in lines]


app = FastAPI()
hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
tokens = stored_tokens()
database = sqlite3.connect(":memory:", check_same_thread=False)
database.execute("CREATE TABLE user (username TEXT PRIMARY KEY, full_name, account_type, password)")
database.execute("INSERT INTO user VALUES ('ada', 'ada X', 'user', ?)", [HASH])


def user(username):
    return database.execute(
        "SELECT full_name, account_type, password FROM user WHERE username = ?", (username,)
    ).fetchone()


@app.get("/auth/hello")
async def hello() -> dict[str, str]:
    return {"message": "hello world"}


@app.get("/auth/settings/accessControlEnabled")
async def access_control() -> AccessControlEnvelope:
    return AccessControlEnvelope(data=AccessControl(accessControlEnabled=False))


@app.post("/auth/oauth2/introspect", response_model_exclude_none=True)
async def introspect(
    token: Annotated[str, Form()], client_id: Annotated[str, Form()]
) -> Introspection:
    found = next((each for each in tokens if each.access_token == token), None)
    if found is None or found.issued + LIFETIME < time.time():
        return Introspection(active=False)
    full_name, account_type, _ = user(found.username)
    return Introspection(
        active=True,
        scope=SCOPE,
        username=found.username,
        ot_fullname=full_name,
        ot_account_type=account_type,
        client_id=client_id,
        exp=int(found.issued + LIFETIME),
        iat=int(found.issued),
        token_type="Bearer",
    )


@app.post("/auth/oauth2/token", response_model=Pair)
def log_in(
    username: Annotated[str, Form()],
    password: Annotated[str, Form()],
    grant_type: Annotated[str, Form(pattern="^password$")],
    client_id: Annotated[str, Form()],
):
    try:
        hasher.verify(user(username)[2], password)
    except (TypeError, VerifyMismatchError):
        return JSONResponse({"error": "invalid_grant"}, status_code=400)
    issued = Token(secrets.token_urlsafe(32), secrets.token_urlsafe(32), username, time.time())
    tokens.append(issued)
    return Pair(
        access_token=issued.access_token,
        refresh_token=issued.refresh_token,
        token_type="Bearer",
        expires_in=LIFETIME,
        scope=SCOPE,
    )
