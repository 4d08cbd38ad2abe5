"""`audit export` of a part of the audit log."""

import csv
import io
import json
import sqlite3

import pytest

from api import SELF
from robot_console import Robot
from support import DATABASE, run

TIMES = [
    "2026-11-24T23:59:59.999Z",
    "2026-11-25T00:00:00.000Z",
    "2026-11-25T09:30:00.000Z",
    "2026-11-25T09:30:00.001Z",
    "2026-11-25T23:59:59.999Z",
    "2026-11-26T00:00:00.000Z",
]


@pytest.fixture
def robot(start, tmp_path):
    """A robot with an event at each of TIMES: half of them are by `ada`, over HTTP."""
    server, api = start()
    api.create("ada", "admin")
    api.create("bob")
    token = api.login("ada")["access_token"]
    for name in ("A", "B"):
        answer = api.request("PATCH", SELF, {"fullName": name}, token)
        assert answer.status == 200, answer.body
    server.stop()
    robot = Robot(tmp_path / "state", api, server)
    robot.console("user", "lock", "bob")
    with sqlite3.connect(robot.state / DATABASE) as database:
        (rows,) = database.execute("SELECT count(*) FROM audit_log").fetchone()
        assert rows == len(TIMES)
        triggers = database.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        triggers = triggers.fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        for seq, time in enumerate(TIMES, 1):
            database.execute("UPDATE audit_log SET time = ? WHERE seq = ?", (time, seq))
        for _, statement in triggers:
            database.execute(statement)
    database.close()
    return robot


def exported(robot, *filters):
    """Returns the numbers of the exported rows, of those that the fixture made."""
    done = robot.console("audit", "export", *filters)
    assert done.returncode == 0, done.stderr
    seqs = [json.loads(line)["seq"] for line in done.stdout.splitlines()]
    table = csv.DictReader(
        io.StringIO(
            robot.console("audit", "export", "--format", "csv", *filters).stdout, newline=""
        )
    )
    assert [seq for seq in seqs if seq <= len(TIMES)] == [
        int(row["seq"]) for row in table if int(row["seq"]) <= len(TIMES)
    ]
    return [seq for seq in seqs if seq <= len(TIMES)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], [1, 2, 3, 4, 5, 6]),
        (["--since", "2026-11-25"], [2, 3, 4, 5, 6]),
        (["--until", "2026-11-25"], [1, 2, 3, 4, 5]),
        (["--since", "2026-11-25", "--until", "2026-11-25"], [2, 3, 4, 5]),
        (["--since", "2026-11-25T09:30:00Z", "--until", "2026-11-25T09:30:00Z"], [3, 4]),
        (["--since", "2026-11-25T09:30:00Z", "--until", "2026-11-25T09:30:00.0Z"], [3]),
        (["--since", "2026-11-25T10:30:00.001+01:00"], [4, 5, 6]),
        (["--until", "2026-11-24T20:00:00-04:00"], [1, 2]),
        (["--since", "2026-11-27"], []),
    ],
)
def test_times_and_dates(robot, filters, expected):
    assert exported(robot, *filters)[: len(expected) + 1] == expected


def test_users_and_actions(robot):
    rows = {row["seq"]: row for row in robot.rows() if row["seq"] <= len(TIMES)}
    by_ada = [seq for seq, row in rows.items() if row["accountName"] == "ada"]
    assert len(by_ada) >= 2
    assert exported(robot, "--user", "ada") == by_ada
    assert exported(robot, "--user", "Ada") == by_ada
    assert exported(robot, "--user", "eve") == []
    created = [seq for seq, row in rows.items() if row["action"] == "create user"]
    assert len(created) == 2
    assert exported(robot, "--action", "create user") == created
    assert exported(robot, "--action", "create") == []
    both = [seq for seq in by_ada if TIMES[seq - 1] <= "2026-11-25T09:30:00.999Z"]
    filters = ("--user", "ada", "--until", "2026-11-25T09:30:00Z")
    assert exported(robot, *filters) == both and both != by_ada


def test_the_log_says_what_was_exported(robot):
    assert len(exported(robot, "--action", "create user")) == 2
    filters = ["--since=2026-11-25", "--until=2026-11-26T00:00:00Z", '--user=a"da', "--action=x"]
    exported(robot, *filters)
    whole = len(robot.rows())
    messages = [row["message"] for row in robot.rows() if row["action"] == "export audit log"]
    assert messages[0] == 'Exported 2 rows of the audit log with action "create user".'
    assert messages[2] == (
        "Exported 0 rows of the audit log since 2026-11-25T00:00:00.000Z until "
        '2026-11-26T00:00:00.999Z by user "a\\"da" with action "x".'
    )
    assert messages[-1] == f"Exported {whole} rows of the audit log."


def test_rows_of_a_filtered_export_can_be_compared_with_the_log(start, tmp_path):
    """It is no chain, as rows are missing, but each row has its number and hash."""
    server, api = start()
    api.create("ada", "admin")
    api.create("bob")
    robot = Robot(tmp_path / "state", api, server)
    lines = robot.console("audit", "export", "--user", "nobody", "--action", "x").stdout
    assert lines == ""
    lines = robot.console("audit", "export", "--action", "create user").stdout.splitlines()
    for row in map(json.loads, lines):
        noted = f"--noted={row['seq']}:{row['hash']}"
        assert robot.console("audit", "verify", noted).returncode == 0


@pytest.mark.parametrize("option", ["--since", "--until"])
@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "2026-11-27T09:30", "27.11.2026", ""])
def test_other_times_are_refused_and_the_option_is_named(option, time):
    done = run("audit", "export", option, time)
    assert done.returncode == 2 and done.stdout == ""
    assert option in done.stderr and f"'{time}'" in done.stderr
    assert time == "" or "2026-11-27T09:30:00Z, which is a whole second (RFC 3339)" in done.stderr


def test_period_that_ends_before_it_begins_is_refused():
    done = run("audit", "export", "--since", "2026-11-27", "--until", "2026-11-26")
    assert done.returncode == 2 and "--since must not be after --until" in done.stderr
