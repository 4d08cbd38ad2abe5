"""Client of the HTTP API: accounts, tokens and settings."""

import json
import select
from urllib.parse import quote, urlencode

from support import Answer, connection, request

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLIENT = "opentrons_app"
SELF = "/auth/users/self"
SWITCH = "/auth/settings/accessControlEnabled"
PASSWORD = "correct-horse"
# Settings of a new robot, as clients see them.
DEFAULT_SETTINGS = {
    "maxNumberOfLoginAttempts": 5,
    "passwordResetTime": None,
    "passwordComplexityMinimumLength": None,
    "passwordComplexitySpecialCharacters": None,
    "idleLogout": 180.0,
    "requireAdminCredsWhenUpdatingRobotSoftware": True,
    "requireAdminCredsWhenSendingProtocolToRobot": True,
    "requireAdminCredsForSignoffProtocol": False,
}


class Api:
    """A server at an address: a path, or a host and a port."""

    def __init__(self, address, source=None):
        """`source`: the IP address to send requests from."""
        self.address = address
        self.source = source

    def exchange(self, method, path, body, headers):
        """Sends a request on a new connection and returns the response."""
        return request(self.address, method, path, body, headers, self.source)

    def request(self, method, path, data=None, token=None, body=None, headers=None):
        """Sends a request. `data`: the content of the envelope; `body`: raw bytes in its place."""
        headers = dict(headers or {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if data is not None:
            body = json.dumps({"data": data})
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        return self.exchange(method, path, body, headers)

    def get(self, path, token=None):
        return self.request("GET", path, token=token)

    def patch(self, path, data, token=None):
        return self.request("PATCH", path, data, token)

    def form(self, path, parameters, headers=None):
        """Sends a form-encoded request to an OAuth 2.0 endpoint."""
        headers = {**FORM, **(headers or {})}
        return self.exchange("POST", f"/auth/oauth2/{path}", urlencode(parameters), headers)

    def token(self, **parameters):
        return self.form("token", {"client_id": CLIENT, **parameters})

    def try_login(self, username, password=PASSWORD, **parameters):
        return self.token(grant_type="password", username=username, password=password, **parameters)

    def login(self, username, password=PASSWORD, **parameters):
        """Logs in and returns the pair of tokens."""
        answer = self.try_login(username, password, **parameters)
        assert answer.status == 200, answer.body
        return answer.json

    def refresh(self, token, **parameters):
        return self.token(grant_type="refresh_token", refresh_token=token, **parameters)

    def introspect(self, token):
        answer = self.form("introspect", {"client_id": CLIENT, "token": token})
        assert answer.status == 200, answer.body
        return answer.json

    def active(self, token):
        return self.introspect(token)["active"]

    def revoke(self, token):
        return self.form("revoke", {"client_id": CLIENT, "token": token})

    def create(self, name, account_type="user", password=PASSWORD, token=None, **fields):
        """Creates a user and returns the response data."""
        data = {"username": name, "fullName": f"{name} X", "accountType": account_type}
        data |= fields
        if password is not None:
            data["password"] = password
        answer = self.request("POST", "/auth/users", data, token)
        assert answer.status == 201, answer.body
        return answer.json["data"]

    def user(self, username, token=None):
        answer = self.get(by_name(username), token)
        assert answer.status == 200, answer.body
        return answer.json["data"]

    def update(self, name, token=None, /, **fields):
        """Changes the user with this username."""
        return self.patch(by_name(name), fields, token)

    def delete(self, name, token=None):
        return self.request("DELETE", by_name(name), token=token)

    def reset(self, name, token=None):
        """Resets a user's password and returns the temporary one."""
        answer = self.request("POST", by_name(name, "/resetPassword"), token=token)
        assert answer.status == 200, answer.body
        return answer.json["data"]["temporaryPassword"]

    def login_status(self, name):
        answer = self.get(by_name(name, "/loginStatus"))
        assert answer.status == 200, answer.body
        return answer.json["data"]

    def validate(self, password, token):
        """Checks whether the authenticated user could set a new password."""
        return self.request("POST", f"{SELF}/validatePassword", {"password": password}, token)

    def fail_logins(self, name, times=5):
        """Tries to log in with wrong passwords and returns the last response."""
        return [self.try_login(name, "wrong-password") for _ in range(times)][-1]

    def settings(self, token=None, **fields):
        """Changes settings and returns all of them."""
        answer = self.patch("/auth/settings", fields, token)
        assert answer.status == 200, answer.body
        return answer.json["data"]

    def enable_access_control(self, token=None):
        answer = self.patch(SWITCH, {"accessControlEnabled": True}, token)
        assert answer.status == 200, answer.body

    def session(self):
        """A persistent connection for many requests."""
        return Session(self.address)


class Pending(Api):
    """Sends requests without waiting: each call returns the session on which the response will
    arrive."""

    def exchange(self, method, path, body, headers):
        session = self.session()
        # After this, the server has accepted the connection and reads from it.
        session.request("GET", "/auth/hello")
        session.send(method, path, body, headers)
        return session


class Session:
    """Requests on one persistent connection."""

    def __init__(self, address):
        self.client = connection(address)

    def request(self, method, path, body=None, headers=None):
        self.send(method, path, body, headers)
        return self.receive()

    def send(self, method, path, body=None, headers=None):
        self.client.request(method, path, body, headers or {})

    def answered(self):
        """Returns whether a response has arrived."""
        return bool(select.select([self.client.sock], [], [], 0)[0])

    def receive(self):
        return Answer(self.client.getresponse())

    def close(self):
        self.client.close()


def by_name(username, rest=""):
    return f"/auth/users/byUsername/{quote(username, safe='')}{rest}"


def error_of(answer):
    """Returns the status and the error id of an error response."""
    return answer.status, answer.error_id()
