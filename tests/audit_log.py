"""The audit log, as the console exports it, and its lines in the journal."""

import json

from support import run


def rows(tmp_path):
    """The rows of the server whose state is in `tmp_path`."""
    done = run("audit", "export", "--persistence-directory", tmp_path / "state")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def journal_of(server):
    """The audit log's lines in the journal of a server."""
    return [
        json.loads(line.split(" audit audit ")[1])
        for line in server.log.splitlines()
        if " audit audit " in line
    ]


def verify(tmp_path, *arguments, **options):
    """Exit code and output of `audit verify`."""
    state = tmp_path / "state"
    done = run("audit", "verify", "--persistence-directory", state, *arguments, **options)
    return done.returncode, done.stdout + done.stderr
