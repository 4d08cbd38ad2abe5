"""The Python peer: the measured routes as the Python server has them, written anew with its libraries.

    peer.py --database FILE [--tokens FILE] (--uds PATH | --port PORT)

What the Python server does for a request, this does too: FastAPI finds the route and resolves its
dependencies, a middleware is passed, oauthlib checks forms and asks a validator whose arguments
pydantic checks, SQLAlchemy reads users and settings from a database of that server, and pydantic
checks the settings. Tokens are a list in memory, which is searched. It is one process, whose event
loop also verifies passwords. What the Python server does besides is left out: migrations when it
starts, audit events, failed logins, and the clients of other servers.

Initial tokens, of the user user1, are the lines of a file: an access token and a refresh token.
"""

import argparse
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import oauthlib.oauth2
import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from oauthlib.common import Request as OAuthRequest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import BaseModel, ConfigDict, validate_call
from sqlalchemy import JSON, Engine, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

CLIENT = "opentrons_app"
OWNER = "user1"
SELF = {"users.read.self", "users.write.self"}
USER = SELF | {
    "audit_log.write",
    "protocol_analyses.write",
    "restart.write",
    "robot_control.write",
    "robot_settings.write",
}
ADMIN = USER | {
    "auth_settings.write",
    "protocols.write",
    "run_data.write",
    "run_signoff.write",
    "shutdown.write",
    "ssh_keys.write",
    "system_time.write",
    "updates.write",
    "users.read.others",
    "users.write",
}
SCOPES = {"admin": ADMIN, "service": ADMIN, "user": USER, "auditor": SELF | {"users.read.others"}}

checked = validate_call(config=ConfigDict(strict=True, arbitrary_types_allowed=True))
passwords = PasswordHash((Argon2Hasher(),))


class Base(DeclarativeBase):
    """Tables of the Python server."""


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    hashed_password: Mapped[str | None]
    full_name: Mapped[str]
    account_type: Mapped[str]
    reset_password: Mapped[bool]
    password_set_at: Mapped[datetime]
    deactivated: Mapped[bool]
    temporary_hashed_password: Mapped[str | None]


class Setting(Base):
    __tablename__ = "setting"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class Switch(Base):
    __tablename__ = "access_control_enabled"
    id: Mapped[int] = mapped_column(primary_key=True)
    enabled: Mapped[bool]


class Settings(BaseModel):
    maxNumberOfLoginAttempts: int | None = 5
    passwordResetTime: float | None = None
    passwordComplexityMinimumLength: int | None = None
    passwordComplexitySpecialCharacters: bool | None = None
    idleLogout: float = 180.0
    requireAdminCredsWhenUpdatingRobotSoftware: bool = True
    requireAdminCredsWhenSendingProtocolToRobot: bool = True
    requireAdminCredsForSignoffProtocol: bool = False


class AccessControl(BaseModel):
    accessControlEnabled: bool


Data = TypeVar("Data")


class Body(BaseModel, Generic[Data]):
    data: Data


class Store:
    """Reads users and settings, each with a session of its own."""

    def __init__(self, engine: Engine):
        self.session = sessionmaker(engine, expire_on_commit=False)

    def user(self, username: str) -> User | None:
        with self.session() as session:
            found = session.scalar(select(User).where(User.username == username))
            if found is not None:
                session.expunge(found)
            return found

    def settings(self) -> Settings:
        with self.session() as session:
            rows = session.scalars(select(Setting)).all()
            return Settings.model_validate({row.key: row.value for row in rows})

    def access_control(self) -> AccessControl:
        with self.session() as session:
            row = session.execute(select(Switch).where(Switch.id == 1)).scalar_one_or_none()
            return AccessControl(accessControlEnabled=row is not None and row.enabled)

    def scopes(self, user: User) -> set[str]:
        """Returns the scopes that the user has now."""
        settings = self.settings()
        age = datetime.now(UTC) - user.password_set_at.replace(tzinfo=UTC)
        limit = settings.passwordResetTime
        if user.reset_password or (limit is not None and age > timedelta(seconds=limit)):
            return SELF
        scopes = set(SCOPES[user.account_type])
        for lenient, scope in (
            (not settings.requireAdminCredsWhenUpdatingRobotSoftware, "updates.write"),
            (not settings.requireAdminCredsWhenSendingProtocolToRobot, "protocols.write"),
            (not settings.requireAdminCredsForSignoffProtocol, "run_signoff.write"),
        ):
            if lenient and user.account_type == "user":
                scopes.add(scope)
        return scopes


@dataclass
class Issue:
    """A pair of tokens."""

    access: str
    refresh: str
    username: str
    scopes: set[str]
    issued: datetime
    expires: datetime


class Tokens:
    """All pairs that were issued."""

    def __init__(self, issues: list[Issue]):
        self.issues = issues

    def find(self, field: str, token: str) -> Issue | None:
        now = datetime.now(UTC)
        for issue in self.issues:
            if issue.expires > now and getattr(issue, field) == token:
                return issue
        return None

    def add(self, added: Issue, replaced: str | None):
        """Adds a pair in place of the one with the refresh token `replaced`, and removes expired
        ones."""
        now = datetime.now(UTC)
        kept = (each for each in self.issues if each.expires > now and each.refresh != replaced)
        self.issues = [*kept, added]


@dataclass
class Client:
    client_id: str


class Validator(oauthlib.oauth2.RequestValidator):
    """What oauthlib asks about a request."""

    def __init__(self, store: Store, tokens: Tokens):
        self.store = store
        self.tokens = tokens

    @checked
    def client_authentication_required(self, request: OAuthRequest) -> bool:
        return False

    @checked
    def authenticate_client_id(self, client_id: str | None, request: OAuthRequest) -> bool:
        request.client = Client(client_id)
        return client_id == CLIENT

    @checked
    def validate_grant_type(
        self, client_id: str, grant_type: str, client: Client, request: OAuthRequest
    ) -> bool:
        return grant_type in ("password", "refresh_token")

    @checked
    def validate_user(
        self, username: str, password: str, client: Client, request: OAuthRequest
    ) -> bool:
        user = self.store.user(username)
        if user is None or user.deactivated or user.hashed_password is None:
            return False
        request.user = user
        return passwords.verify(password, user.hashed_password)

    @checked
    def validate_scopes(
        self, client_id: str, scopes: list[str], client: Client, request: OAuthRequest
    ) -> bool:
        return set(scopes) <= self.store.scopes(request.user)

    @checked
    def get_default_scopes(self, client_id: str, request: OAuthRequest) -> list[str]:
        return sorted(self.store.scopes(request.user))

    @checked
    def validate_refresh_token(
        self, refresh_token: str, client: Client, request: OAuthRequest
    ) -> bool:
        issue = self.tokens.find("refresh", refresh_token)
        request.user = None if issue is None else self.store.user(issue.username)
        return request.user is not None

    @checked
    def get_original_scopes(self, refresh_token: str, request: OAuthRequest) -> list[str]:
        issue = self.tokens.find("refresh", refresh_token)
        return sorted(issue.scopes & self.store.scopes(request.user))

    @checked
    def save_bearer_token(self, token: dict[str, Any], request: OAuthRequest) -> None:
        now = datetime.now(UTC)
        expires = now + timedelta(seconds=token["expires_in"])
        issue = Issue(
            token["access_token"],
            token["refresh_token"],
            request.user.username,
            set(request.scopes),
            now,
            expires,
        )
        self.tokens.add(issue, request.refresh_token)

    @checked
    def introspect_token(
        self, token: str, token_type_hint: str | None, request: OAuthRequest
    ) -> dict[str, int | str] | None:
        issue = self.tokens.find("access", token)
        user = None if issue is None else self.store.user(issue.username)
        if user is None:
            return None
        return {
            "scope": " ".join(sorted(issue.scopes & self.store.scopes(user))),
            "username": user.username,
            "ot_fullname": user.full_name,
            "ot_account_type": user.account_type,
            "client_id": CLIENT,
            "exp": int(issue.expires.timestamp()),
            "iat": int(issue.issued.timestamp()),
            "token_type": "Bearer",
        }


class Backend:
    """The OAuth 2 endpoints."""

    def __init__(self, store: Store, tokens: Tokens):
        self.endpoints = oauthlib.oauth2.LegacyApplicationServer(
            Validator(store, tokens),
            token_expires_in=lambda _request: int(store.settings().idleLogout),
        )

    def token(self, form, headers) -> Response:
        headers, body, status = self.endpoints.create_token_response("", "POST", form, headers)
        return Response(body, status, headers)

    def introspection(self, form, headers) -> Response:
        headers, body, status = self.endpoints.create_introspect_response("", "POST", form, headers)
        return Response(body, status, headers)


def initial(store: Store, path: Path | None) -> list[Issue]:
    now = datetime.now(UTC)
    expires = now + timedelta(seconds=store.settings().idleLogout)
    pairs = [line.split() for line in path.read_text().splitlines()] if path else []
    return [Issue(access, refresh, OWNER, USER, now, expires) for access, refresh in pairs]


@contextlib.asynccontextmanager
async def lifespan(app):
    arguments = app.state.arguments
    engine = create_engine(f"sqlite:///{arguments.database}")
    app.state.engine = engine
    app.state.store = Store(engine)
    app.state.backend = Backend(app.state.store, Tokens(initial(app.state.store, arguments.tokens)))
    yield
    engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def audit(request: Request, call_next):
    """In the place of the Python server's middleware, which has nothing to do on these routes."""
    return await call_next(request)


def get_state(request: Request) -> Any:
    return request.app.state


async def get_engine(state: Annotated[Any, Depends(get_state)]) -> Engine:
    return state.engine


def get_store(
    state: Annotated[Any, Depends(get_state)], engine: Annotated[Engine, Depends(get_engine)]
) -> Store:
    return state.store


def get_backend(state: Annotated[Any, Depends(get_state)]) -> Backend:
    return state.backend


async def form_of(request: Request) -> list[tuple[str, str]]:
    async with request.form() as form:
        return [(key, value) for key, value in form.multi_items() if isinstance(value, str)]


@app.get("/auth/hello")
async def hello() -> dict[str, str]:
    return {"message": "hello world"}


@app.get("/auth/settings/accessControlEnabled")
async def access_control(store: Annotated[Store, Depends(get_store)]) -> Body[AccessControl]:
    return Body.model_construct(data=store.access_control())


@app.post("/auth/oauth2/introspect")
async def introspect(
    request: Request, backend: Annotated[Backend, Depends(get_backend)]
) -> Response:
    return backend.introspection(await form_of(request), dict(request.headers))


@app.post("/auth/oauth2/token")
async def token(request: Request, backend: Annotated[Backend, Depends(get_backend)]) -> Response:
    return backend.token(await form_of(request), dict(request.headers))


def main():
    parser = argparse.ArgumentParser(description="The Python peer.")
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--uds")
    parser.add_argument("--port", type=int, default=0)
    app.state.arguments = parser.parse_args()
    where = {"uds": app.state.arguments.uds, "port": app.state.arguments.port}
    uvicorn.run(app, **where, access_log=False, log_level="error")


if __name__ == "__main__":
    main()
