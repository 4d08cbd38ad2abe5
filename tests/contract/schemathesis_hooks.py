"""Keeps schemathesis logged in. schemathesis loads this module (SCHEMATHESIS_HOOKS); the server's port
and state directory are in AUTH_SERVER_PORT and AUTH_SERVER_STATE.

The generated requests end sessions, change passwords, and raise the requirements for passwords.
Whenever the token is inactive, the console therefore creates another administrator to log in.
"""

import itertools
import os

import schemathesis
import schemathesis_sizes  # noqa: F401 - its hook

from api import Api
from support import run

# As long as the settings can require, with special characters.
PASSWORD = "Aa1-" * 256
STATE = ("--persistence-directory", os.environ["AUTH_SERVER_STATE"])
api = Api(("127.0.0.1", int(os.environ["AUTH_SERVER_PORT"])))
names = (f"keeper{number}" for number in itertools.count())


@schemathesis.auth(refresh_interval=None)
class Keeper:
    token = ""

    def get(self, _case, _context):
        if not api.active(Keeper.token or "none"):
            name = next(names)
            new = ("user", "add", name, "--full-name", name, "--account-type", "admin")
            done = run(*new, "--password", *STATE, input=f"{PASSWORD}\n")
            assert done.returncode == 0, done.stderr
            Keeper.token = api.login(name, PASSWORD)["access_token"]
        return Keeper.token

    def set(self, case, data, _context):
        case.headers["Authorization"] = f"Bearer {data}"
