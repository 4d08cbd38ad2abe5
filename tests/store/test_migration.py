"""A database of an earlier schema version is taken over as it is, or refused and left as it is."""

import sqlite3
import time
from hashlib import sha256
from pathlib import Path

import pytest

from hashes import BACKTICK
from support import read_database, run

DATABASE = "auth-server.sqlite"
FIRST_SCHEMA = Path(__file__).parents[2] / "src/store/migrations/001-accounts.sql"
APPLICATION_ID = 0x4F544153
OLD_PASSWORD, OLD_HASH = BACKTICK
ACCESS, REFRESH = "a" * 43, "r" * 43


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
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(FIRST_SCHEMA.read_text())
        for table, values in rows.items():
            marks = ", ".join("?" * len(values))
            database.execute(f"INSERT INTO {table} VALUES ({marks})", values)
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
