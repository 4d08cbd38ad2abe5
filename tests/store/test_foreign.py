"""Files from elsewhere: whatever was done to a database, it is refused before anything is served,
restored or changed, and the message says where the fault is."""

import os
import shutil
import sqlite3

import pytest

from support import DATABASE, run

ROOM = (1 << 53) - 1
WEAK = "$argon2id$v=19$m=4194304,t=2,p=1$b3BlbnRyb25zLWF1dGgtLQ$" + "A" * 43
REMOVE_CHECKS = (
    "PRAGMA ignore_check_constraints = ON",
    "PRAGMA foreign_keys = OFF",
)


def rewrite(table, text, new):
    """Returns a statement that changes a table's definition in the schema."""
    return (
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_schema SET sql = replace(sql, '{text}', '{new}') WHERE name = '{table}'",
        "PRAGMA writable_schema = RESET",
    )


# What is done to the database, and what the message has to contain.
SCHEMA = {
    "trigger": (
        ["CREATE TRIGGER planted AFTER INSERT ON session BEGIN DELETE FROM user; END"],
        ["trigger", "planted"],
    ),
    "view": (["CREATE VIEW planted AS SELECT * FROM user"], ["view", "planted"]),
    "table": (["CREATE TABLE planted (x)"], ["table", "planted"]),
    "index": (["CREATE INDEX planted ON user (full_name)"], ["index", "planted"]),
    "view-in-place-of-table": (
        [
            "ALTER TABLE python_import RENAME TO gone",
            "DROP TABLE gone",
            (
                "CREATE VIEW python_import AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id"
                " FROM n) SELECT id, 'x' AS file, zeroblob(32) AS digest FROM n"
            ),
        ],
        ["view", "python_import"],
    ),
    "table-missing": (["DROP TABLE python_import"], ["table", "python_import", "missing"]),
    "trigger-missing": (
        ["DROP TRIGGER audit_log_is_not_changed"],
        ["trigger", "audit_log_is_not_changed", "missing"],
    ),
    "column-more": (["ALTER TABLE user ADD COLUMN planted TEXT"], ["table", "user"]),
    "default": (rewrite("user", "DEFAULT 0", "DEFAULT 1"), ["table", "user"]),
    "version-zero": (["PRAGMA user_version = 0"], ["not a database of the auth server"]),
    "version-of-before": (["PRAGMA user_version = 1"], ["schema of version 1"]),
}
USER = "UPDATE user SET {} WHERE id = 1"
VALUES = {
    "failed_logins": ([USER.format("failed_logins = 1 << 40")], ["user", "id 1", "failed_logins"]),
    "negative": ([USER.format("failed_logins = -1")], ["user", "id 1", "failed_logins"]),
    "id": (["UPDATE user SET id = 9223372036854775807 WHERE id = 1"], ["user", "column id"]),
    "id-zero": (["UPDATE user SET id = 0 WHERE id = 1"], ["user", "id 0", "column id"]),
    "date": ([USER.format("password_set_at = 1 << 60")], ["user", "id 1", "password_set_at"]),
    "last-failure": (
        [USER.format("last_failed_login = -(1 << 60)")],
        ["user", "id 1", "last_failed_login"],
    ),
    "utf-8": (
        [USER.format("full_name = CAST(x'ff' AS TEXT)")],
        ["user", "id 1", "full_name", "UTF-8"],
    ),
    "type": ([USER.format("account_type = 'owner'")], ["user", "id 1", "account_type"]),
    "reason": ([USER.format("reset_reason = 'NEVER'")], ["user", "id 1", "reset_reason"]),
    "flag": ([USER.format("locked_by_admin = 2")], ["user", "id 1", "locked_by_admin"]),
    "temporary": ([USER.format("temporary_password = 7")], ["user", "id 1", "temporary_password"]),
    "long": (
        [USER.format("full_name = CAST(zeroblob(1 << 21) AS TEXT)")],
        ["user", "id 1", "full_name"],
    ),
    "setting": (
        ["UPDATE setting SET max_login_attempts = 0"],
        ["setting", "id 1", "max_login_attempts"],
    ),
    "idle": (["UPDATE setting SET idle_logout = 1e300"], ["setting", "id 1", "idle_logout"]),
    "switch": (["UPDATE setting SET access_control = 5"], ["setting", "access_control"]),
    "clock": (["UPDATE clock_mark SET moment = 1 << 62"], ["clock_mark", "id 1", "moment"]),
    "session": (["UPDATE session SET expires = 1 << 62"], ["session", "column expires"]),
    "session-id": (["UPDATE session SET id = 9223372036854775807"], ["session", "column id"]),
    "scopes": (["UPDATE session SET scopes = 1 << 40"], ["session", "column scopes"]),
    "orphan": (["UPDATE session SET user_id = 77"], ["session", "does not exist"]),
    "token": (
        ["UPDATE access_token SET digest = x'00'"],
        ["access_token", "column digest"],
    ),
    "former": (
        ["INSERT INTO former_username VALUES ('eve', 9223372036854775807, 'Eve')"],
        ["former_username", "column user_id"],
    ),
    "directory": (
        ['INSERT INTO directory VALUES (1, \'{"bindPassword": "secret-words"}\')'],
        ["directory", "id 1", "column configuration"],
    ),
    "directory-id": (
        [USER.format("directory_id = 'secret-words', directory_looked_up = 1")],
        ["user", "id 1", "column directory_id"],
    ),
    "directory-time": (
        [USER.format(f"directory_id = '{'0' * 32}', directory_looked_up = 1 << 60")],
        ["user", "id 1", "column directory_looked_up"],
    ),
    "directory-no-time": ([USER.format(f"directory_id = '{'0' * 32}'")], ["user"]),
    "log-end": (["UPDATE audit_state SET last_seq = 0"], ["audit_state", "last_seq"]),
    "log-end-far": (["UPDATE audit_state SET last_seq = 1 << 62"], ["audit_state", "last_seq"]),
    "log-no-end": (["DELETE FROM audit_state"], ["audit_state", "exactly one row"]),
}
# Only when restored: the server's own ids may go on, a hash that cannot be verified keeps one user out
# and not all, and the audit log is not read at the start.
LOG = {
    "memory": ([USER.format(f"password_hash = '{WEAK}'")], ["user", "id 1", "password_hash"]),
    "hash": ([USER.format("password_hash = 'secret-words'")], ["user", "id 1", "password_hash"]),
    "id-room": ([f"UPDATE user SET id = {ROOM + 1} WHERE id = 1"], ["user", "column id"]),
    "log-time": (
        [
            (
                "INSERT INTO audit_log SELECT seq + 100, CAST(x'ff' AS TEXT), action, account_name,"
                " legal_name, message, reason, hash, origin FROM audit_log WHERE seq = 1"
            ),
            "UPDATE audit_state SET last_seq = 101",
        ],
        ["audit_log", "seq 101", "column time"],
    ),
}


@pytest.fixture
def stopped(start, tmp_path):
    """The state directory of a stopped server with something in each table."""
    server, api = start()
    api.create("ada", "admin")
    api.create("bob")
    api.settings(maxNumberOfLoginAttempts=3)
    api.login("ada")
    server.stop()
    return tmp_path / "state"


def tamper(path, statements):
    with sqlite3.connect(path, isolation_level=None) as database:
        for statement in (*REMOVE_CHECKS, *statements):
            database.execute(statement)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def contents(directory):
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if not path.name.endswith(("-shm", "-wal")) and path.is_file()
    }


def check_message(said, path, parts):
    assert str(path) in said, said
    for part in parts:
        assert part in said, (part, said)
    assert "$argon2" not in said and "secret-words" not in said


def check_refused_start(state, parts):
    before = contents(state)
    done = run("--persistence-directory", state)
    assert done.returncode == 1, done.stderr
    assert contents(state) == before
    check_message(done.stderr.splitlines()[-1], state / DATABASE, parts)


def check_refused_restore(state, file, parts):
    before, theirs = contents(state), file.read_bytes()
    done = run("restore", file, "--yes", "--persistence-directory", state)
    assert done.returncode == 1, done.stderr
    assert contents(state) == before and file.read_bytes() == theirs
    check_message(done.stderr, file, parts)


@pytest.mark.parametrize("case", [*SCHEMA, *VALUES])
def test_start_refuses_what_no_server_wrote(stopped, case):
    statements, parts = {**SCHEMA, **VALUES}[case]
    tamper(stopped / DATABASE, statements)
    check_refused_start(stopped, parts)


@pytest.mark.parametrize("case", [*SCHEMA, *VALUES, *LOG])
def test_restore_refuses_what_no_server_wrote(stopped, tmp_path, case):
    statements, parts = {**SCHEMA, **VALUES, **LOG}[case]
    file = tmp_path / "backup"
    assert run("backup", file, "--persistence-directory", stopped).returncode == 0
    tamper(file, statements)
    check_refused_restore(stopped, file, parts)


def make_link(path, real):
    os.symlink(real, path)


def make_fifo(path, _):
    os.mkfifo(path)


def make_directory(path, _):
    path.mkdir()


def make_device(path, _):
    if os.geteuid() != 0:
        pytest.skip("making a device needs root")
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))


KINDS = [make_link, make_fifo, make_directory, make_device]


@pytest.mark.parametrize("put", KINDS)
@pytest.mark.parametrize("name", [DATABASE, f"{DATABASE}-wal", f"{DATABASE}-journal"])
def test_start_refuses_what_is_not_a_regular_file(stopped, tmp_path, put, name):
    real, path = tmp_path / "real", stopped / name
    shutil.copy(stopped / DATABASE, real)
    path.unlink(missing_ok=True)
    put(path, real)
    before = real.read_bytes()
    done = run("--persistence-directory", stopped)
    assert done.returncode == 1 and str(path) in done.stderr
    assert "symbolic link" in done.stderr or "not a regular file" in done.stderr
    assert real.read_bytes() == before


@pytest.mark.parametrize("put", KINDS)
def test_restore_refuses_what_is_not_a_regular_file(stopped, tmp_path, put):
    real, path = tmp_path / "real", tmp_path / "backup"
    assert run("backup", real, "--persistence-directory", stopped).returncode == 0
    put(path, real)
    before = contents(stopped)
    done = run("restore", path, "--yes", "--persistence-directory", stopped)
    assert done.returncode == 1 and str(path) in done.stderr
    assert "symbolic link" in done.stderr or "not a regular file" in done.stderr
    assert contents(stopped) == before


def test_running_service_refuses_too(start, tmp_path):
    server, api = start()
    api.create("ada", "admin")
    state, file = tmp_path / "state", tmp_path / "backup"
    assert run("backup", file, "--persistence-directory", state).returncode == 0
    tamper(file, VALUES["failed_logins"][0])
    done = run("restore", file, "--yes", "--persistence-directory", state)
    assert done.returncode == 1
    check_message(done.stderr, file, VALUES["failed_logins"][1])
    assert api.login("ada")
    assert server.stop() == 0


def test_ids_go_on_after_the_largest_that_is_allowed(start, stopped):
    statement = f"UPDATE user SET id = {ROOM} WHERE username = 'bob'"
    tamper(stopped / DATABASE, [statement])
    server, api = start()
    for name in ("eve", "joe"):
        api.create(name)
        assert api.login(name)
    server.stop()
    _, api = start()
    assert [user["username"] for user in api.get("/auth/users").json["data"]] == [
        "ada",
        "bob",
        "eve",
        "joe",
    ]
