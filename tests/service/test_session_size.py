"""A session stays small, whatever its client does, and the reuse of any of its refresh tokens ends
it."""

from urllib.parse import urlencode

from api import CLIENT, FORM
from audit_log import rows
from support import DATABASE, read_database

SPACE = "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"


def refreshes(session, token, number):
    """Refreshes so many times, each time with the newest token, and returns the newest one."""
    for _ in range(number):
        form = {"client_id": CLIENT, "grant_type": "refresh_token", "refresh_token": token}
        answer = session.request("POST", "/auth/oauth2/token", urlencode(form), FORM)
        assert answer.status == 200, answer.body
        token = answer.json["refresh_token"]
    return token


def memory(server):
    """Returns the private memory of the server, in bytes."""
    with open(f"/proc/{server.process.pid}/smaps_rollup") as file:
        sizes = dict(line.split(":", 1) for line in file if ":" in line)
    return 1024 * int(sizes["Anonymous"].split()[0])


def disk(state):
    """Returns the bytes of the database, and its pages in use. Its write-ahead log begins anew from
    time to time."""
    return (state / DATABASE).stat().st_size, read_database(state, SPACE)[0][0]


def test_refresh_loop_leaves_memory_and_database_as_they_were(start, tmp_path, figures):
    server, api = start()
    api.create("ada")
    state = tmp_path / "state"
    first = api.login("ada")["refresh_token"]
    session = api.session()
    token = refreshes(session, first, 500)
    before = memory(server), *disk(state)
    token = refreshes(session, token, 2500)
    after = memory(server), *disk(state)
    figures(f"refreshes: after 500 and 3,000: memory, database, pages in use: {before}, {after}")
    # Each refresh took 400 bytes of memory and 203 of disk: 1 MB and 500 kB here.
    assert after[0] - before[0] < 250_000
    assert after[1] - before[1] < 50_000
    assert (state / f"{DATABASE}-wal").stat().st_size < 5_000_000
    assert after[2] - before[2] <= 4
    # The first token is still known to have been used: its session ends.
    assert api.refresh(first).json["error"] == "invalid_grant"
    assert api.refresh(token).json["error"] == "invalid_grant"
    last = rows(tmp_path)[-1]
    assert (
        last["message"] == 'A refresh token of "ada" ("ada X") was reused: its session was ended.'
    )


def test_first_token_ends_the_session_after_a_restart_too(start):
    server, api = start()
    api.create("ada")
    pair, other = api.login("ada"), api.login("ada")
    token = refreshes(api.session(), pair["refresh_token"], 100)
    server.stop()
    _, api = start()
    token = api.refresh(token).json["refresh_token"]
    assert api.refresh(pair["refresh_token"]).status == 400
    assert api.refresh(token).status == 400
    assert api.refresh(other["refresh_token"]).status == 200


def test_logout_with_any_earlier_token_ends_the_session(start):
    _, api = start()
    api.create("ada")
    first = api.login("ada")["refresh_token"]
    token = refreshes(api.session(), first, 100)
    assert api.revoke(first).status == 200
    assert api.refresh(token).status == 400


def test_guessed_tokens_end_no_session(start):
    _, api = start()
    api.create("ada")
    token = api.login("ada")["refresh_token"]
    other = api.login("ada")["refresh_token"]
    for guess in ("x" * 67, "x" * 24 + token[24:], token[1:], other[:23] + "é" + token[25:]):
        assert api.refresh(guess).json["error"] == "invalid_grant"
        assert api.revoke(guess).status == 200
    assert api.refresh(token).status == 200
    assert api.refresh(other).status == 200
