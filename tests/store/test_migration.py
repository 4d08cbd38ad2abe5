"""A database of an earlier schema version is taken over as it is, or refused and left as it is."""

import sqlite3
import time
from hashlib import sha256
from pathlib import Path

import pytest

from hashes import BACKTICK
from support import read_database, run

DATABASE = "auth-server.sqlite"
MIGRATIONS = Path(__file__).parents[2] / "src/store/migrations"
FIRST_SCHEMA = MIGRATIONS / "001-accounts.sql"
SECOND_SCHEMA = MIGRATIONS / "002-second-edition.sql"
APPLICATION_ID = 0x4F544153
OLD_PASSWORD, OLD_HASH = BACKTICK
ACCESS, REFRESH = "a" * 43, "r" * 43
# Refresh tokens of the same session: one that was used long ago, and one that another window has.
USED, OTHER = "u" * 43, "v" * 43


@pytest.fixture
def first(tmp_path):
    """Database of schema version 1, with an administrator who is logged in."""
    path = tmp_path / "state" / DATABASE
    path.parent.mkdir()
    now = int(time.time() * 1000)
    later = now + 3_600_000
    rows = {
        "clock_mark": (1, now, "earlier boot", 1, now),
        "setting": (1, 1, 5, None, None, None, 600.0, 1, 1, 0),
        "user": (7, "old", "Old", "admin", OLD_HASH, now, "NONE", 0, 0, None),
        "login": (3, 7, 2**32 - 1, later),
        "access_token": (sha256(ACCESS.encode()).digest(), 3, 2**32 - 1, now, later),
        "refresh_token": (sha256(REFRESH.encode()).digest(), 3, later, None),
    }
    more = [(USED, later, now - 60_000), (OTHER, later, None)]
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(FIRST_SCHEMA.read_text())
        for table, values in rows.items():
            marks = ", ".join("?" * len(values))
            database.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        for token, expires, used in more:
            values = (sha256(token.encode()).digest(), 3, expires, used)
            database.execute("INSERT INTO refresh_token VALUES (?, ?, ?, ?)", values)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")
    database.close()
    return path


def test_first_version_is_taken_over_with_its_accounts_and_logins(start, first):
    server, api = start()
    assert api.login("old", OLD_PASSWORD)["access_token"]
    assert api.active(ACCESS)
    assert api.user("old", ACCESS)["fullName"] == "Old"
    assert api.refresh(REFRESH).status == 200
    server.stop()
    [(version,)] = read_database(first.parent, "PRAGMA user_version")
    assert version > 1
    # And it is the current version from then on.
    _, api = start()
    assert api.active(ACCESS)


@pytest.fixture
def second(first):
    """The same database in schema version 2."""
    with sqlite3.connect(first) as database:
        database.executescript(SECOND_SCHEMA.read_text())
        database.execute("PRAGMA user_version = 2")
    database.close()
    return first


@pytest.fixture(params=["first", "second"])
def earlier(request):
    return request.getfixturevalue(request.param)


def refreshes(api, token, number):
    """Refreshes so many times, and returns the newest token."""
    for _ in range(number):
        answer = api.refresh(token)
        assert answer.status == 200, answer.body
        token = answer.json["refresh_token"]
    return token


@pytest.mark.parametrize("reused", [USED, REFRESH, OTHER])
def test_reuse_of_an_earlier_versions_token_ends_its_session(start, earlier, reused):
    """Also of one that was used before the migration."""
    _, api = start()
    assert api.active(ACCESS)
    token = refreshes(api, REFRESH, 40)
    other = refreshes(api, OTHER, 40)
    access = api.refresh(token).json["access_token"]
    assert api.active(access)
    assert api.refresh(reused).json["error"] == "invalid_grant"
    assert not api.active(access)
    for lost in (token, other):
        assert api.refresh(lost).json["error"] == "invalid_grant"


def test_session_of_an_earlier_version_grows_no_further(start, earlier):
    server, api = start()
    token = refreshes(api, refreshes(api, OTHER, 1) and REFRESH, 200)
    server.stop()
    for table, most in {"refresh_token": 64, "access_token": 32, "session_handle": 5}.items():
        [(number,)] = read_database(earlier.parent, f"SELECT count(*) FROM {table}")
        assert 0 < number <= most, table
    _, api = start()
    assert api.refresh(token).status == 200


def test_backup_of_an_earlier_version_is_restored(start, earlier, tmp_path):
    backup = tmp_path / "backup"
    earlier.rename(backup)
    _, api = start()
    state = tmp_path / "state"
    done = run("restore", backup, "--yes", "--persistence-directory", state)
    assert done.returncode == 0, done.stderr
    assert api.login("old", OLD_PASSWORD)["access_token"]
    assert not api.active(ACCESS) and api.refresh(REFRESH).status == 400
    [(version,)] = read_database(state, "PRAGMA user_version")
    assert version == 5


@pytest.mark.parametrize("table", ["user", "login", "refresh_token"])
def test_damaged_first_version_is_refused_and_left_as_it_is(first, tmp_path, table):
    with sqlite3.connect(first) as database:
        [(page,)] = database.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)
        ).fetchall()
        [(size,)] = database.execute("PRAGMA page_size").fetchall()
    database.close()
    content = bytearray(first.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    first.write_bytes(content)
    done = run("--uds", tmp_path / "auth.sock", "--persistence-directory", first.parent)
    assert done.returncode != 0 and str(first) in done.stderr
    assert first.read_bytes() == content
