"""The audit log as the console exports it, and its lines in the journal."""

import json
import sqlite3

from support import DATABASE, run


def rows(tmp_path):
    """Returns the rows of the server whose state is in `tmp_path`."""
    done = run("audit", "export", "--persistence-directory", tmp_path / "state")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def journal_of(server):
    """Returns the audit log's lines in the journal of a server."""
    return [
        json.loads(line.split(" audit audit ")[1])
        for line in server.log.splitlines()
        if " audit audit " in line
    ]


def verify(tmp_path, *arguments, **options):
    """Returns the exit code and output of `audit verify`."""
    state = tmp_path / "state"
    done = run("audit", "verify", "--persistence-directory", state, *arguments, **options)
    return done.returncode, done.stdout + done.stderr


def tamper(tmp_path, *statements):
    """Changes the log like an attacker who can write to the database."""
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        for trigger in ("changed", "shortened"):
            database.execute(f"DROP TRIGGER IF EXISTS audit_log_is_not_{trigger}")
        for statement in statements:
            database.execute(statement)
    database.close()
