"""The first start on a robot that ran the Python server: either everything is imported, or nothing
is, and the server does not start. The people in the samples are fictitious."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from audit_server import AuditServer
from python_state import FIRST, LOCKED, PASSWORDS, UPGRADED, add_users, edit, lay, newest, theirs
from support import BINARY, ENVIRONMENT, PATIENCE, run, wait_for

DATABASE = "auth-server.sqlite"
KILLS = 50
root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
NULLABLE = (
    "DROP TABLE access_control_enabled",
    "CREATE TABLE access_control_enabled (id INTEGER NOT NULL, enabled BOOLEAN, PRIMARY KEY (id))",
)
ADMIN = "UPDATE user SET {} WHERE id = 1"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def is_on(api):
    return api.get("/auth/settings/accessControlEnabled").json["data"]["accessControlEnabled"]


def rows(state):
    done = run("audit", "export", "--persistence-directory", state)
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(state):
    """Returns the message of a server that refuses to start; checks that nothing was written, and
    that the Python server's files are unchanged."""
    before, names = theirs(state), {path.name for path in state.iterdir()}
    done = run("--persistence-directory", state)
    assert done.returncode == 1, done.stderr
    assert theirs(state) == before
    assert {path.name for path in state.iterdir()} - {"lock"} == names
    said = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert len(said) == 1 and "cannot import the Python server's state" in said[0]
    assert "$argon2" not in done.stderr
    return said[0]


# What is imported.


@pytest.mark.parametrize("sample", ["first", "upgraded"])
def test_users_log_in_with_the_passwords_that_they_have(start, state, sample):
    lay(state, sample)
    before = theirs(state)
    server, api = start()
    version = {"first": FIRST, "upgraded": UPGRADED}[sample]
    said = "users: 10 (administrators: 1), failed logins: 7, settings: 4, access control: on"
    [line] = [line for line in server.log.splitlines() if said in line and "audit" not in line]
    assert str(state / version / "auth_server.db") in line
    assert is_on(api) and api.get("/auth/users").status == 401
    for username, password in PASSWORDS.items():
        assert api.login(username, password), username
    for username, password in LOCKED.items():
        answer = api.try_login(username, password).json
        assert answer["opentrons_account_locked"] is True, username
    # A pending temporary password takes precedence.
    assert api.login("temp1", "rFZMvqlt")
    assert api.login("user1", "userpassword1" if sample == "first" else "Temp0rary")
    if sample == "upgraded":
        assert api.try_login("user1", "userpassword1").status == 400
    assert theirs(state) == before


def test_everything_else_is_taken_over(start, state):
    lay(state)
    _, api = start()
    token = api.login("admin1", "adminpassword1")["access_token"]
    users = {user["username"]: user for user in api.get("/auth/users", token).json["data"]}
    reasons = {name: user["resetPasswordReason"] for name, user in users.items()}
    assert {name: reason for name, reason in reasons.items() if reason != "NONE"} == {
        "temp1": "FIRST_TIME_LOGIN",
        "user1": "ADMIN_FORCED",
        "mustreset": "ADMIN_FORCED",
    }
    types = {name: user["accountType"] for name, user in users.items()}
    assert {types.pop(name) for name in ("admin1", "auditor1", "service1")} == {
        "admin",
        "auditor",
        "service",
    }
    assert set(types.values()) == {"user"}
    assert {name for name, user in users.items() if user["locked"]} == set(LOCKED)
    assert users["we.ird+n@me!"]["fullName"] == 'O\'Brien "Q"'
    assert users["user1"]["fullName"] == "Ülrich Üser"
    settings = api.get("/auth/settings").json["data"]
    assert settings["maxNumberOfLoginAttempts"] == 5
    assert settings["passwordResetTime"] == 7776000.0
    assert settings["idleLogout"] == 600.0
    assert settings["requireAdminCredsWhenSendingProtocolToRobot"] is False
    assert settings["requireAdminCredsWhenUpdatingRobotSoftware"] is True
    # Two of five attempts are used up.
    answer = api.try_login("fails2", "wrong-password").json
    assert answer["opentrons_login_attempts_remaining"] == 2
    # A new user gets the id after the last one.
    assert api.create("new", token=token)["username"] == "new"
    with sqlite3.connect(state / DATABASE) as database:
        ids = dict(database.execute("SELECT username, id FROM user").fetchall())
    database.close()
    assert ids["admin1"] == 1 and ids["we.ird+n@me!"] == 10 and ids["new"] == 11


def test_one_audit_event_says_it_and_is_delivered(start, state, tmp_path):
    audit = AuditServer(tmp_path / "audit.sock")
    database = lay(state)
    start("--audit-server-uds", tmp_path / "audit.sock")
    wait_for(lambda: audit.events, "the event is delivered")
    [event, *_] = rows(state)
    assert (event["action"], event["origin"]) == ("import", "server")
    assert "users: 10" in event["message"] and str(database) in event["message"]
    assert "$argon2" not in event["message"]
    assert audit.events[0]["action"] == "import"
    audit.close()
    assert run("audit", "verify", "--persistence-directory", state).returncode == 0


def test_newer_schema_counts_and_folders_of_migrations_do_not(start, state):
    lay(state)
    edit(state / FIRST / "auth_server.db", "DELETE FROM user")
    shutil.copytree(state / UPGRADED, state / "temp-1_dddddddddddd")
    edit(state / "temp-1_dddddddddddd/auth_server.db", "DELETE FROM user")
    (state / "lost+found").mkdir()
    server, _ = start()
    assert "users: 10" in server.log


def test_folder_without_database_counts_for_nothing(start, state):
    lay(state, "first")
    (state / UPGRADED).mkdir()
    server, _ = start()
    assert f"{FIRST}/auth_server.db, which was left unchanged: users: 10" in server.log


@pytest.mark.parametrize(("hours", "reason"), [(23, "NONE"), (25, "PASSWORD_EXPIRED")])
def test_password_keeps_its_age(start, state, hours, reason):
    """The age is computed in UTC."""
    at = datetime.now(UTC) - timedelta(hours=hours)
    edit(
        lay(state),
        (ADMIN.format("password_set_at = ?"), [f"{at:%Y-%m-%d %H:%M:%S.%f}"]),
        "UPDATE setting SET value = '86400.0' WHERE key = 'passwordResetTime'",
    )
    _, api = start()
    status = api.get("/auth/users/byUsername/admin1/loginStatus").json["data"]
    assert status["resetPasswordReason"] == reason


def test_empty_state_is_a_new_robot_with_access_control_off(start, state):
    tables = ("user", "failed_login", "setting", "access_control_enabled")
    edit(lay(state), *(f"DELETE FROM {table}" for table in tables))
    server, api = start()
    assert "users: 0" in server.log and not is_on(api)


@pytest.mark.parametrize(
    "statements",
    [
        (*NULLABLE, "INSERT INTO access_control_enabled VALUES (1, NULL)"),
        ("UPDATE access_control_enabled SET enabled = 0",),
        ("DELETE FROM access_control_enabled",),
    ],
    ids=["null", "off", "no row"],
)
def test_access_control_that_was_off_stays_off(start, state, statements):
    edit(lay(state), *statements)
    server, api = start()
    assert "users: 10" in server.log and "access control: off" in server.log
    assert not is_on(api)


def test_usernames_that_differ_in_case_alone(start, state):
    copy = (
        "INSERT INTO user SELECT 11, 'ADMIN1', hashed_password, 'Other', 'user', 0,"
        " password_set_at, 0, NULL FROM user WHERE username = 'service1'"
    )
    edit(lay(state), copy)
    _, api = start()
    assert (
        api.introspect(api.login("admin1", "adminpassword1")["access_token"])["ot_fullname"]
        == "Ada Admin"
    )
    assert (
        api.introspect(api.login("ADMIN1", "servicepassword1")["access_token"])["ot_fullname"]
        == "Other"
    )


@pytest.mark.parametrize(
    "name", ["with space", "ünïcode", "n" * 60, "..", "a/b?c#d%41", "back`tick", "' OR 1=1 --"]
)
def test_names_that_todays_rules_refuse_stay_good(start, state, name):
    edit(lay(state), (ADMIN.format("username = ?, full_name = ?"), [name, "\u202e" + "f" * 400]))
    _, api = start()
    token = api.login(name, "adminpassword1")["access_token"]
    assert api.introspect(token)["username"] == name


@pytest.mark.parametrize(
    "date",
    [
        "2026-01-31 23:59:59",
        "2026-01-31T23:59:59",
        "2026-01-31T23:59:59.5Z",
        "2026-01-31 23:59:59.123456+00:00",
        "2026-02-01T01:29:59.123+01:30",
        "2099-01-01 00:00:00.000000",
    ],
)
def test_dates_in_other_forms_are_understood(start, state, date):
    edit(lay(state), (ADMIN.format("password_set_at = ?"), [date]))
    edit(newest(state), ("UPDATE failed_login SET attempted_at = ?", [date]))
    _, api = start()
    assert api.login("admin1", "adminpassword1")
    with sqlite3.connect(state / DATABASE) as database:
        [[moment]] = database.execute("SELECT password_set_at FROM user WHERE id = 1").fetchall()
    database.close()
    is_past = date.startswith("2026")
    expected = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    expected = expected if is_past else time.time()
    assert abs(moment / 1000 - expected) < (1 if is_past else PATIENCE)


@pytest.mark.parametrize(
    ("key", "value", "now"),
    [
        ("idleLogout", "0.5", 1.0),
        ("idleLogout", "864000", 604800.0),
        ("passwordResetTime", "3600.0", 86400.0),
        ("passwordResetTime", "1e12", 3155760000.0),
        ("maxNumberOfLoginAttempts", "1e9", 1000000),
        ("passwordComplexityMinimumLength", "5000", 1024),
    ],
)
def test_settings_out_of_todays_bounds_are_put_to_the_nearest(start, state, key, value, now):
    edit(lay(state), ("INSERT OR REPLACE INTO setting VALUES (?, ?)", [key, value]))
    server, api = start()
    assert api.get("/auth/settings").json["data"][key] == now
    assert f"; {key} " in server.log
    assert key in rows(state)[0]["message"]


@pytest.mark.parametrize(
    ("key", "value", "now"),
    [
        ("maxNumberOfLoginAttempts", "null", None),
        ("maxNumberOfLoginAttempts", "7.0", 7),
        ("passwordComplexitySpecialCharacters", "true", True),
        ("passwordComplexityMinimumLength", "12", 12),
        ("idleLogout", "60", 60.0),
        ("requireAdminCredsForSignoffProtocol", "true", True),
    ],
)
def test_settings_are_taken_over(start, state, key, value, now):
    edit(lay(state), ("INSERT OR REPLACE INTO setting VALUES (?, ?)", [key, value]))
    _, api = start()
    assert api.get("/auth/settings").json["data"][key] == now


def test_failed_logins_of_users_who_are_gone_count_for_nothing(start, state):
    """The Python server did not remove them when it deleted a user."""
    edit(lay(state), "INSERT INTO failed_login VALUES (99, 4711, '2026-01-01 00:00:00.000000')")
    server, _ = start()
    assert "failed logins: 7" in server.log
    assert "failed logins of users who do not exist were skipped: 1" in server.log


def cut_off(database, mode):
    """Leaves an incomplete change in the files beside the database, as after a power cut."""
    change = f"""
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = {mode}")
connection.execute("PRAGMA cache_size = 1")
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("BEGIN")
connection.execute("UPDATE user SET full_name = 'Changed'")
connection.execute("CREATE TABLE filler (x)")
connection.execute("INSERT INTO filler SELECT zeroblob(100000) FROM user")
connection.execute("DROP TABLE filler")
if {mode!r} == "wal":
    connection.execute("COMMIT")
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(["python3", "-c", change, database], check=False)
    assert done.returncode == -signal.SIGKILL


def test_log_that_a_power_cut_left_is_heeded(start, state):
    database = lay(state)
    cut_off(database, "wal")
    assert database.with_name("auth_server.db-wal").stat().st_size > 0
    before = theirs(state)
    _, api = start()
    token = api.login("admin1", "adminpassword1")["access_token"]
    assert api.user("admin1", token)["fullName"] == "Changed"
    assert theirs(state) == before


def test_journal_that_a_power_cut_left_is_heeded(start, state):
    """The incomplete change is rolled back, in our copy and not in the original."""
    database = lay(state)
    cut_off(database, "delete")
    assert database.with_name("auth_server.db-journal").stat().st_size > 0
    before = theirs(state)
    _, api = start()
    token = api.login("admin1", "adminpassword1")["access_token"]
    assert api.user("admin1", token)["fullName"] == "Ada Admin"
    assert theirs(state) == before


# What is refused.

NONSENSE = {
    "account type": (ADMIN.format("account_type = 'superuser'"), "column account_type"),
    "account type in capitals": (ADMIN.format("account_type = 'Admin'"), "column account_type"),
    "no password": (ADMIN.format("hashed_password = NULL"), "column hashed_password"),
    "no PHC string": (ADMIN.format("hashed_password = 'secret'"), "column hashed_password"),
    "empty hash": (ADMIN.format("hashed_password = ''"), "column hashed_password"),
    "bytes as hash": (ADMIN.format("hashed_password = x'00ff'"), "column hashed_password"),
    "another scheme": (
        ADMIN.format(
            "hashed_password = '$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA'"
        ),
        "column hashed_password",
    ),
    "4 GiB": (
        ADMIN.format("hashed_password = replace(hashed_password, 'm=65536', 'm=4194304')"),
        "column hashed_password: requires more than m=262144",
    ),
    "17 passes": (
        ADMIN.format("hashed_password = replace(hashed_password, 't=3', 't=17')"),
        "column hashed_password",
    ),
    "17 lanes": (
        ADMIN.format("hashed_password = replace(hashed_password, 'p=4', 'p=17')"),
        "column hashed_password",
    ),
    "4 GiB in a temporary hash": (
        "UPDATE user SET temporary_hashed_password ="
        + " replace(temporary_hashed_password, 'm=65536', 'm=4194304') WHERE id = 8",
        "id 8, column temporary_hashed_password",
    ),
    "no costs": (
        ADMIN.format("hashed_password = replace(hashed_password, '$m=65536,t=3,p=4', '')"),
        "column hashed_password",
    ),
    "no version": (
        ADMIN.format("hashed_password = replace(hashed_password, '$v=19', '')"),
        "column hashed_password",
    ),
    "short salt": (
        ADMIN.format(
            "hashed_password = '$argon2id$v=19$m=65536,t=3,p=4$YWJj$'"
            " || substr(hashed_password, -43)"
        ),
        "column hashed_password",
    ),
    "empty name": (ADMIN.format("username = ''"), "column username"),
    "name with NUL": (ADMIN.format("username = 'a' || char(0) || 'b'"), "column username"),
    "name with line break": (ADMIN.format("username = 'a' || char(10)"), "column username"),
    "name that is no text": (ADMIN.format("username = x'ff'"), "column username"),
    "name that is not UTF-8": (ADMIN.format("username = CAST(x'ff41' AS TEXT)"), "column username"),
    "absurd name": (ADMIN.format("full_name = printf('%.*c', 9999, 'x')"), "column full_name"),
    "no date": (ADMIN.format("password_set_at = 'yesterday'"), "column password_set_at"),
    "31 February": (ADMIN.format("password_set_at = '2026-02-31 00:00:00'"), "password_set_at"),
    "American date": (ADMIN.format("password_set_at = '02/01/2026 00:00:00'"), "password_set_at"),
    "date as number": (ADMIN.format("password_set_at = 1700000000"), "column password_set_at"),
    "date with more": (
        ADMIN.format("password_set_at = '2026-01-01 00:00:00 x'"),
        "password_set_at",
    ),
    "neither 0 nor 1": (ADMIN.format("deactivated = 2"), "column deactivated"),
    "text for a boolean": (ADMIN.format("reset_password = 'no'"), "column reset_password"),
    "id 0": ("UPDATE user SET id = 0 WHERE id = 1", "column id"),
    "greatest id": (f"UPDATE user SET id = {2**63 - 1} WHERE id = 1", "column id"),
    "failed login of nobody": ("UPDATE failed_login SET user_id = 'x'", "column user_id"),
    "failed login without date": ("UPDATE failed_login SET attempted_at = ''", "attempted_at"),
    "unknown setting": ("INSERT INTO setting VALUES ('theme', '1')", "table setting"),
    "setting of the wrong type": (
        "UPDATE setting SET value = '\"600\"' WHERE key = 'idleLogout'",
        "key idleLogout",
    ),
    "setting that is no JSON": (
        "UPDATE setting SET value = 'NaN' WHERE key = 'idleLogout'",
        "key idleLogout",
    ),
    "setting that may not be null": (
        "UPDATE setting SET value = 'null' WHERE key = 'idleLogout'",
        "key idleLogout",
    ),
    "negative setting": (
        "UPDATE setting SET value = '-5' WHERE key = 'idleLogout'",
        "key idleLogout",
    ),
    "fraction of a login": (
        "UPDATE setting SET value = '2.5' WHERE key = 'maxNumberOfLoginAttempts'",
        "key maxNumberOfLoginAttempts",
    ),
    "number for a boolean": (
        "UPDATE setting SET value = '0' WHERE key LIKE '%Protocol%'",
        "key requireAdminCredsWhenSendingProtocolToRobot",
    ),
    "access control 2": ("UPDATE access_control_enabled SET enabled = 2", "column enabled"),
    "access control false": ("UPDATE access_control_enabled SET enabled = 'false'", "enabled"),
    "access control twice": ("INSERT INTO access_control_enabled VALUES (2, 0)", "column id"),
    "trigger": (
        "CREATE TRIGGER t AFTER INSERT ON user BEGIN DELETE FROM user; END",
        'has a trigger "t"',
    ),
    "view": ("CREATE VIEW v AS SELECT * FROM user", 'has a view "v"'),
    "another table": ("CREATE TABLE more (x)", 'has a table "more"'),
    "another column": ("ALTER TABLE user ADD COLUMN more", "table user"),
    "missing column": ("ALTER TABLE user DROP COLUMN deactivated", "table user"),
    "computed column": (
        "ALTER TABLE user ADD COLUMN more GENERATED ALWAYS AS (1) VIRTUAL",
        "table user",
    ),
    "computed index": ("CREATE INDEX i ON user (lower(username))", "table user"),
    "missing table": ("DROP TABLE setting", "table setting"),
    "other version": ("UPDATE alembic_version SET version_num = 'b8c4e2f1a903'", "alembic_version"),
    "no version at all": ("DELETE FROM alembic_version", "alembic_version"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_what_makes_no_sense_is_refused(state, case):
    statement, expected = NONSENSE[case]
    database = lay(state)
    edit(database, statement)
    said = refused(state)
    assert str(database) in said and expected in said, said


def test_view_that_pretends_to_be_a_table_is_refused(state):
    edit(
        lay(state),
        "ALTER TABLE access_control_enabled RENAME TO real",
        "CREATE VIEW access_control_enabled AS SELECT 1 AS id, 0 AS enabled",
    )
    assert "no known version has" in refused(state)


def test_virtual_table_that_pretends_is_refused(state):
    edit(
        lay(state),
        "DROP TABLE setting",
        "CREATE VIRTUAL TABLE setting USING fts5(key, value)",
    )
    assert "setting" in refused(state)


def test_index_that_hides_rows_is_refused(state):
    """With a damaged or forged index, a row is found by one query and not by another."""
    database = lay(state)
    edit(
        database,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name ="
        " 'sqlite_autoindex_setting_1') WHERE name = 'sqlite_autoindex_user_1'",
    )
    assert str(database) in refused(state)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a database" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:20000]),
        lambda path: path.write_bytes(path.read_bytes()[:8192] + b"\xa5" * 40960),
        lambda path: os.truncate(path, 300 * 2**20),
    ],
    ids=["empty", "no database", "cut", "overwritten", "300 MiB"],
)
def test_damaged_file_is_refused(state, damage):
    database = lay(state)
    damage(database)
    assert str(database) in refused(state)


@pytest.mark.parametrize("name", ["1_dddddddddddd", "2_c3a91d4e2b70", "elsewhere"])
@pytest.mark.parametrize("sample", ["upgraded", None])
def test_unknown_version_is_refused_beside_a_known_one_too(state, name, sample):
    state.mkdir()
    if sample:
        lay(state, sample)
    other = state.with_name("other")
    shutil.copytree(lay(other).parent, state / name)
    said = refused(state)
    assert str(state / name) in said and "unknown version" in said


def test_database_in_the_wrong_place_is_refused(state):
    state.mkdir()
    shutil.copy(lay(state.with_name("other")), state)
    assert str(state / "auth_server.db") in refused(state)


def test_log_without_its_database_is_refused(state):
    database = lay(state)
    database.rename(database.with_name("auth_server.db-wal"))
    assert "is missing" in refused(state)


def make_link(path):
    moved = path.rename(path.with_name("moved"))
    path.symlink_to(moved)


def make_fifo(path):
    path.unlink()
    os.mkfifo(path)


def make_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("put", [make_link, make_fifo, make_folder])
@pytest.mark.parametrize("name", ["auth_server.db", "auth_server.db-wal", "auth_server.db-journal"])
def test_something_else_in_place_of_a_file_is_refused(state, put, name):
    path = lay(state).with_name(name)
    if not path.exists():
        path.write_bytes(b"")
    put(path)
    said = refused(state)
    assert str(path) in said
    if put is make_link:
        assert "is a symbolic link" in said


def test_link_in_place_of_the_folder_is_refused(state):
    lay(state)
    (state / UPGRADED).rename(state.with_name("elsewhere"))
    (state / UPGRADED).symlink_to(state.with_name("elsewhere"))
    said = refused(state)
    assert str(state / UPGRADED) in said and "is not a directory" in said


@root
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_no_permission_is_refused(tmp_path, closed):
    """Runs as an unprivileged user, because permissions do not restrict root."""
    nobody = 65534
    home = tmp_path / "home"
    home.mkdir()
    state = home / "state"
    database = lay(state)
    binary = shutil.copy(BINARY, home / "server")
    for path in (*tmp_path.parents, tmp_path):
        if path.stat().st_mode & 0o001 == 0:
            path.chmod(path.stat().st_mode | 0o011)
    for path in (home, state):
        os.chown(path, nobody, nobody)
    (database if closed == "file" else database.parent).chmod(0o000)
    command = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", binary]
    done = subprocess.run(
        [*command, "--persistence-directory", state],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert UPGRADED in said and "Permission denied" in said
    assert not (state / DATABASE).exists()


def test_many_faults_are_one_line(state):
    edit(lay(state), "UPDATE user SET deactivated = 7")
    assert "(and 9 more)" in refused(state)


# Disks and power.


@root
def test_full_disk_in_the_middle_leaves_nothing(tmp_path, start):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "state", disk], check=True)
    try:
        state = disk / "state"
        add_users(lay(state), 5000)
        fill = disk / "fill"
        # From too little space for the copy to nearly enough for everything.
        free = 0
        failures = 0
        while True:
            with open(fill, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(b"x" * 4096)
            os.truncate(fill, fill.stat().st_size - free)
            before, names = theirs(state), {path.name for path in state.iterdir()}
            done = run("import", "--persistence-directory", state)
            if done.returncode == 0:
                break
            failures += 1
            assert done.returncode == 1
            assert "No space left" in done.stderr or "full" in done.stderr, done.stderr
            assert theirs(state) == before
            assert {path.name for path in state.iterdir()} - {"lock"} == names - {"lock"}
            free += 128 * 1024
        assert failures > 5
        fill.unlink()
        _, api = start(state=state)
        assert is_on(api) and api.login("admin1", "adminpassword1")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_kills_leave_all_or_nothing(state, figures):
    seed = int(os.environ.get("IMPORT_SEED", random.randrange(2**32)))
    print(f"IMPORT_SEED={seed}")
    chance = random.Random(seed)
    add_users(lay(state), 9990)
    before = theirs(state)
    path = state / DATABASE

    def run_import():
        command = [BINARY, "import", "--persistence-directory", state]
        return subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def check_whole():
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert database.execute("SELECT count(*) FROM user").fetchone() == (10000,)
            assert database.execute("SELECT access_control FROM setting").fetchone() == (1,)
            assert database.execute("SELECT action FROM audit_log").fetchall() == [("import",)]
            assert database.execute("SELECT count(*) FROM python_import").fetchone() == (1,)
        database.close()

    began = time.monotonic()
    assert run_import().wait(PATIENCE) == 0
    took = time.monotonic() - began
    check_whole()
    outcomes = {True: 0, False: 0}
    for _ in range(KILLS):
        for file in state.glob(DATABASE + "*"):
            if path.exists() or not file.name.startswith(DATABASE + ".new"):
                file.unlink()
        process = run_import()
        # The moment is random on purpose; nothing is waited for.
        threading.Event().wait(chance.uniform(0, 1.1 * took))
        process.kill()
        process.wait()
        outcomes[path.exists()] += 1
        if path.exists():
            check_whole()
        assert theirs(state) == before
    for file in state.glob(DATABASE):
        file.unlink()
    assert run_import().wait(PATIENCE) == 0
    check_whole()
    assert {entry.name for entry in state.iterdir()} == {FIRST, UPGRADED, "lock", DATABASE}
    assert outcomes[False] > 0
    figures(
        f"{KILLS} kills while 10,000 users are imported in {took:.2f} s:"
        f" {outcomes[True]} times done whole, {outcomes[False]} times not done"
    )


# Changing back and forth between the servers.


def restarted(start, server):
    server.stop()
    return start()


def test_state_that_stays_as_it_is_gives_no_warning(start, state):
    lay(state)
    server, _ = start()
    server, _ = restarted(start, server)
    assert "WARN" not in server.log and "import" not in server.log


def test_change_after_the_import_is_warned_of(start, state):
    database = lay(state)
    server, api = start()
    edit(database, ADMIN.format("full_name = 'Changed'"))
    server, api = restarted(start, server)
    [line] = [line for line in server.log.splitlines() if "WARN" in line]
    assert str(database) in line and "opentrons-auth-server import --again" in line
    assert is_on(api) and api.login("admin1", "adminpassword1")


def test_newer_schema_after_the_import_is_warned_of(start, state):
    lay(state, "first")
    server, _ = start()
    other = state.with_name("other")
    shutil.copytree(lay(other).parent, state / UPGRADED)
    server, _ = restarted(start, server)
    assert UPGRADED in next(line for line in server.log.splitlines() if "WARN" in line)


def test_state_that_becomes_unknown_is_warned_of(start, state):
    lay(state)
    server, _ = start()
    shutil.copytree(state / UPGRADED, state / "1_dddddddddddd")
    server, _ = restarted(start, server)
    assert "1_dddddddddddd" in next(line for line in server.log.splitlines() if "WARN" in line)


def test_state_that_was_never_taken_over_is_warned_of(start, state):
    """As on a robot that had the first edition of this server."""
    server, _ = start()
    database = lay(state)
    server, api = restarted(start, server)
    [line] = [line for line in server.log.splitlines() if "WARN" in line]
    assert "never imported" in line and str(database) in line
    assert not is_on(api)


def test_state_that_is_removed_gives_no_warning(start, state):
    lay(state)
    server, _ = start()
    for version in (FIRST, UPGRADED):
        shutil.rmtree(state / version)
    server, _ = restarted(start, server)
    assert "WARN" not in server.log


def test_restored_backup_knows_what_was_taken_over(start, state, tmp_path):
    lay(state)
    server, _ = start()
    console = ("--persistence-directory", state)
    assert run("backup", tmp_path / "backup", *console).returncode == 0
    server.stop()
    (state / DATABASE).write_bytes(b"damaged" * 1000)
    done = run("restore", tmp_path / "backup", "--yes", *console)
    assert done.returncode == 0, done.stderr
    server, api = start()
    assert "WARN" not in server.log and is_on(api)
