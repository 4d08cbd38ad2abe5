"""State of the Python server: the samples, and changes that tests make to them."""

import shutil
import sqlite3
from pathlib import Path

SAMPLES = Path(__file__).resolve().parent / "python-state"
FIRST, UPGRADED = "1_b8c4e2f1a903", "1_c3a91d4e2b70"
FILE = "auth_server.db"
# Users who can log in right after the import, with their passwords.
PASSWORDS = {
    "admin1": "adminpassword1",
    "auditor1": "auditorpassword1",
    "service1": "servicepassword1",
    "fails2": "userpassword4",
    "mustreset": "userpassword5",
    "we.ird+n@me!": "p@ss:w/ord\\1",
}
LOCKED = {"adminlocked": "userpassword2", "faillocked": "userpassword3"}


def lay(state, sample="upgraded"):
    """Copies a sample into a state directory, and returns its newest database."""
    state.mkdir(exist_ok=True)
    for folder in (SAMPLES / sample).iterdir():
        shutil.copytree(folder, state / folder.name)
    return newest(state)


def newest(state):
    return max(state.glob(f"1_*/{FILE}"))


def edit(database, *statements):
    """Runs SQL statements, each with or without parameters, on a database of the Python server."""
    connection = sqlite3.connect(database, isolation_level=None)
    for statement in statements:
        sql, parameters = (statement, ()) if isinstance(statement, str) else statement
        connection.execute(sql, parameters)
    connection.close()


def add_users(database, count):
    """Adds users with the password of admin1."""
    connection = sqlite3.connect(database)
    [(hashed, at)] = connection.execute(
        "SELECT hashed_password, password_set_at FROM user WHERE username = 'admin1'"
    )
    rows = [(f"robot{number}", hashed, f"Robot {number}", at) for number in range(count)]
    connection.executemany(
        "INSERT INTO user (username, hashed_password, full_name, account_type, password_set_at)"
        " VALUES (?, ?, ?, 'user', ?)",
        rows,
    )
    connection.commit()
    connection.close()


def theirs(state):
    """Returns the content and modification time of all files of the Python server in a state
    directory."""
    return {
        path.relative_to(state): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(state.glob("*_*/*"))
        if path.is_file() and not path.is_symlink()
    }
