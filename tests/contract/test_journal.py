"""Comparison of the journal with the audit log: whether it confirms the log, or shows another
history."""

import hashlib
import json
import os
import re
import shutil
import sqlite3

import pytest

from audit_log import tamper, verify
from support import DATABASE, run


def write_journal(server, file, keep=lambda line: True):
    """Writes the given lines of a server's log to a file for `--journal`."""
    lines = server.log.splitlines(keepends=True)
    file.write_text("".join(line for line in lines if keep(line)))
    return file


@pytest.mark.parametrize("journal_has", ["one history", "both histories"])
def test_journal_does_not_fit_a_chain_that_was_rewritten_whole(start, tmp_path, journal_has):
    """The log was reset to an earlier state, and new rows were added."""
    server, api = start()
    api.create("ada")
    server.stop()
    journal = server.log
    shutil.copytree(tmp_path / "state", tmp_path / "earlier")
    server, api = start()
    api.create("mallory", "admin")
    api.delete("mallory")
    api.create("bea")
    server.stop()
    journal += server.log
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "earlier").rename(tmp_path / "state")
    server, api = start()
    for name in ("bea", "carl", "dora"):
        api.create(name)
    server.stop()
    if journal_has == "both histories":
        journal += server.log
    assert verify(tmp_path)[0] == 0
    file = tmp_path / "journal"
    file.write_text(journal)
    code, said = verify(tmp_path, f"--journal={file}")
    assert code == 1
    # The first row that differs.
    assert re.search(r"\brow 2\b", said), said


def test_journal_fits_the_log_that_it_was_written_with(start, tmp_path):
    server, api = start()
    for name in "abc":
        api.create(name)
    code, said = verify(tmp_path, f"--journal={write_journal(server, tmp_path / 'journal')}")
    assert code == 0, said
    # After a restart, and without the lines that the journal has already discarded.
    server.stop()
    log = server.log
    server, api = start()
    api.create("d")
    server.stop()
    file = tmp_path / "both"
    file.write_text(log + server.log)
    assert verify(tmp_path, f"--journal={file}")[0] == 0
    assert verify(tmp_path, f"--journal={write_journal(server, tmp_path / 'journal')}")[0] == 0


def test_journal_does_not_fit_a_log_that_was_put_back(start, tmp_path):
    server, api = start()
    api.create("ada")
    server.stop()
    shutil.copytree(tmp_path / "state", tmp_path / "earlier")
    log = server.log
    server, api = start()
    api.create("mallory", "admin")
    server.stop()
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "earlier").rename(tmp_path / "state")
    file = tmp_path / "journal"
    file.write_text(log + server.log)
    assert verify(tmp_path)[0] == 0
    assert verify(tmp_path, f"--journal={file}")[0] == 1


def test_journal_does_not_fit_a_database_that_was_replaced(start, tmp_path):
    server, api = start()
    api.create("mallory", "admin")
    server.stop()
    journal = write_journal(server, tmp_path / "journal")
    shutil.rmtree(tmp_path / "state")
    server, api = start()
    api.create("ada", "admin")
    server.stop()
    assert verify(tmp_path)[0] == 0
    assert verify(tmp_path, f"--journal={journal}")[0] == 1


def chained(seq, before, time, action, account, legal, message, reason, origin):
    """Computes the hash of a row, as the server does."""
    link = hashlib.sha256(before + seq.to_bytes(8, "big"))
    for field in (time, action, account, legal, message, reason):
        if field is None:
            link.update(b"\xff" * 8)
        else:
            link.update(len(field.encode()).to_bytes(8, "big") + field.encode())
    link.update((origin or "").encode())
    return link.digest()


def rewrite(tmp_path, *statements):
    """Changes the log and recomputes the chain, so that it is intact, like an attacker with root
    privileges."""
    tamper(tmp_path, *statements)
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        link, seq = bytes(32), 0
        for row in database.execute("SELECT * FROM audit_log ORDER BY seq").fetchall():
            seq, (*fields, _, origin) = row[0], row[1:]
            link = chained(seq, link, *fields, origin)
            database.execute("UPDATE audit_log SET hash = ? WHERE seq = ?", (link, seq))
        database.execute("UPDATE audit_state SET last_seq = ?, last_hash = ?", (seq, link))
    database.close()
    assert verify(tmp_path)[0] == 0


def compare(tmp_path, journal="-", **options):
    """Runs `audit verify --journal` with a file or with standard input."""
    done = run(
        "audit",
        "verify",
        f"--journal={journal}" if journal else "--journal",
        "--persistence-directory",
        tmp_path / "state",
        **options,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def journaled(start, tmp_path):
    """The state and the journal of a stopped server whose log has five rows."""
    server, api = start()
    notes = {"Opentrons-User-Notes": '%C2%85%7F%0A"{%7D'}
    for name in "abcde":
        user = {"username": name, "fullName": name, "accountType": "user"}
        assert api.request("POST", "/auth/users", user, headers=notes).status == 201
    server.stop()
    return server.log


def test_journal_vouches_for_the_log(journaled, tmp_path):
    file = tmp_path / "journal"
    file.write_text(journaled)
    code, said = compare(tmp_path, file)
    assert code == 0 and "confirms 5 of them, from row 1 to row 5" in said
    short = "".join(
        f"Nov 25 16:00:00 robot auth[12]: audit {line.split(' audit audit ')[1]}\n"
        for line in journaled.splitlines()
        if " audit audit " in line
    )
    assert compare(tmp_path, input=short)[0] == 0
    messages = [line.split(": ", 1)[1] for line in short.splitlines()]
    as_json = "\n".join(json.dumps({"MESSAGE": message}) for message in messages)
    assert "confirms 5" in compare(tmp_path, input=as_json)[1]
    done = run(
        *("audit", "verify", "--json", f"--journal={file}"),
        *("--persistence-directory", tmp_path / "state"),
    )
    assert json.loads(done.stdout)["journal"] == {"vouchedFor": 5, "first": 1, "last": 5}


def test_journal_that_was_rotated_vouches_for_what_it_has(journaled, tmp_path):
    kept = journaled[journaled.index('audit {"seq":4') :]
    code, said = compare(tmp_path, input=kept)
    assert code == 0 and "confirms 2 of them, from row 4 to row 5" in said


@pytest.mark.parametrize(
    ("statements", "finding"),
    [
        (["UPDATE audit_log SET message = 'x' WHERE seq = 2"], "row 2 has a different hash"),
        (["DELETE FROM audit_log WHERE seq = 5"], "row 5 is in the journal but not in the table"),
        (["DELETE FROM audit_log"], "row 1 is in the journal but not in the table"),
        (
            [
                "DELETE FROM audit_log WHERE seq = 3",
                "UPDATE audit_log SET seq = seq - 1 WHERE seq > 3",
            ],
            "row 3 has a different hash",
        ),
    ],
)
def test_log_that_was_rewritten_whole_does_not_fit_the_journal(
    journaled, tmp_path, statements, finding
):
    rewrite(tmp_path, *statements)
    code, said = compare(tmp_path, input=journaled)
    assert code == 1 and finding in said


def test_row_before_the_first_line_is_held_by_the_chain(journaled, tmp_path):
    rewrite(tmp_path, "UPDATE audit_log SET message = 'x' WHERE seq = 1")
    kept = journaled[journaled.index('audit {"seq":5') :]
    code, said = compare(tmp_path, input=kept)
    assert code == 1 and "row 5 has a different hash" in said


def test_lines_from_before_a_factory_reset_do_not_count(journaled, start, tmp_path):
    (tmp_path / "state").rename(tmp_path / "before")
    server, api = start()
    assert compare(tmp_path, input=journaled)[0] == 0
    api.create("other")
    code, said = compare(tmp_path, input=journaled)
    assert code == 1 and "no line for any row of the audit log (rows: 1;" in said
    server.stop()
    code, said = compare(tmp_path, input=journaled + server.log)
    assert code == 0 and "confirms 1 of them" in said


def test_journal_is_asked_without_a_file(journaled, tmp_path):
    """Uses a stand-in for journalctl, because the service is not a unit on this machine."""
    tool = tmp_path / "bin" / "journalctl"
    tool.parent.mkdir()
    (tmp_path / "journal").write_text(journaled)
    path = f"{tool.parent}:{os.environ['PATH']}"

    def asked(script):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        return compare(tmp_path, None, env={"PATH": path})

    unit = '[ "$*" = "--output=cat --unit=opentrons-auth-server" ]'
    code, said = asked(f"{unit} && cat {tmp_path}/journal")
    assert code == 0 and "confirms 5" in said
    code, said = asked("echo broken >&2; exit 3")
    assert code == 1 and "journalctl" in said and "broken" in said and "--journal=FILE" in said
    code, said = compare(tmp_path, None, env={"PATH": str(tmp_path)})
    assert code == 1 and "cannot run journalctl" in said
    code, said = compare(tmp_path, tmp_path / "none")
    assert code == 3 and str(tmp_path / "none") in said


def test_noted_hash_shows_that_a_chain_was_rewritten(start, tmp_path):
    server, api = start()
    for name in "abc":
        api.create(name)
    noted = json.loads(verify(tmp_path, "--json")[1])
    argument = f"--noted={noted['rows']}:{noted['hash']}"
    api.create("d")
    server.stop()
    assert verify(tmp_path, argument)[0] == 0
    # Another history of the same length, with a chain that fits it.
    shutil.rmtree(tmp_path / "state")
    server, api = start()
    for name in "abcd":
        api.create(name, "auditor")
    server.stop()
    assert verify(tmp_path)[0] == 0
    code, said = verify(tmp_path, argument)
    assert code == 1
    assert "row 3 has a different hash than noted" in said
    # A history that is shorter.
    shutil.rmtree(tmp_path / "state")
    start()[0].stop()
    code, said = verify(tmp_path, argument)
    assert code == 1
    assert "row 3 is missing" in said


@pytest.mark.parametrize("noted", ["3", "x:" + "0" * 64, "3:12", ""])
def test_malformed_noted_hash_is_refused(noted, tmp_path):
    code, said = verify(tmp_path, f"--noted={noted}")
    assert code == 2
    assert "64 hexadecimal digits" in said
