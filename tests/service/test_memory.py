"""What is left of passwords and tokens in the memory of the server."""

from urllib.parse import quote

import pytest

from api import SELF
from support import wait_for

FIRST, SECOND, WRONG = "Gebirgsbach#77", "Talwiese%+88", "Hochmoor$99 "


def readable(process):
    """Returns the contents of all memory that a process can read."""
    with (
        open(f"/proc/{process.pid}/maps") as maps,
        open(f"/proc/{process.pid}/mem", "rb", 0) as memory,
    ):
        blocks = []
        for line in maps:
            span, mode, *_ = line.split()
            # The kernel's own pages, [vvar] and the like, cannot be read.
            if "r" in mode and "[v" not in line:
                start, end = (int(number, 16) for number in span.split("-"))
                memory.seek(start)
                blocks.append(memory.read(end - start))
        return blocks


def copies(process, secrets):
    """Returns how many copies of each secret are in memory."""
    blocks = readable(process)
    return {
        secret: sum(block.count(secret.encode()) for block in blocks) for secret in sorted(secrets)
    }


@pytest.fixture
def secrets(start):
    """Returns a server on which passwords and tokens were used in every way, its API, and the
    secrets."""
    server, api = start("--workers", 1)
    api.create("ada", "admin", FIRST)
    found = {FIRST, SECOND, WRONG}
    api.try_login("ada", WRONG)
    tokens = api.login("ada", FIRST)
    change = {"currentPassword": FIRST, "password": SECOND}
    api.validate(SECOND, tokens["access_token"])
    assert api.request("PATCH", SELF, change, tokens["access_token"]).status == 200
    pairs = [tokens, api.login("ada", SECOND)]
    pairs.append(api.refresh(pairs[-1]["refresh_token"]).json)
    for pair in pairs:
        api.introspect(pair["access_token"])
        found |= {pair["access_token"], pair["refresh_token"]}
    api.revoke(pairs[-1]["refresh_token"])
    # As in a form.
    found |= {quote(password, safe="") for password in (FIRST, SECOND, WRONG)}
    return server, api, found


def test_secrets_do_not_stay_in_memory(secrets):
    """The HTTP library keeps what it read with the last requests until the next ones."""
    server, api, found = secrets
    for _ in range(4):
        assert api.get("/auth/hello").status == 200
    # The search finds what is there.
    assert sum(copies(server.process, {"opentrons_app"}).values()) > 0
    left = {secret: 0 for secret in sorted(found)}
    wait_for(lambda: copies(server.process, found) == left, "the secrets are wiped")
