"""The journal beside the audit log: histories that each are whole, and do not fit each other."""

import os
import re
import shutil

import pytest

from audit_log import verify


def write_journal(server, file, keep=lambda line: True):
    """The lines of a server's log that are to be kept, as a file for `--journal`."""
    lines = server.log.splitlines(keepends=True)
    file.write_text("".join(line for line in lines if keep(line)))
    return file


@pytest.mark.parametrize("journal_has", ["one history", "both histories"])
def test_journal_does_not_fit_a_chain_that_was_rewritten_whole(start, tmp_path, journal_has):
    """The log was put back to an earlier state and written on from there."""
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
    # The first row that is another one.
    assert re.search(r"\brow 2\b", said), said


def test_journal_fits_the_log_that_it_was_written_with(start, tmp_path):
    server, api = start()
    for name in "abc":
        api.create(name)
    code, said = verify(tmp_path, f"--journal={write_journal(server, tmp_path / 'journal')}")
    assert code == 0, said
    # Over a restart, and without the lines that the journal has let go by now.
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


def test_journal_that_says_nothing_of_the_log_does_not_vouch_for_it(start, tmp_path):
    server, api = start()
    api.create("ada")
    server.stop()
    empty = write_journal(server, tmp_path / "journal", lambda line: "audit {" not in line)
    assert verify(tmp_path, f"--journal={empty}")[0] == 1


def test_journal_that_was_rotated_vouches_for_what_it_has(start, tmp_path):
    server, api = start()
    for name in "abcde":
        api.create(name)
    server.stop()
    late = re.compile(r'audit \{"seq":[45],')
    file = write_journal(server, tmp_path / "journal", late.search)
    code, said = verify(tmp_path, f"--journal={file}")
    assert code == 0 and "vouches for 2 of them, from row 4 to row 5" in said


def test_lines_from_before_a_factory_reset_do_not_count(start, tmp_path):
    server, api = start()
    api.create("before")
    server.stop()
    (tmp_path / "state").rename(tmp_path / "before")
    file = write_journal(server, tmp_path / "journal")
    server, api = start()
    api.create("after")
    server.stop()
    code, said = verify(tmp_path, f"--journal={file}")
    assert code == 1 and "no line of any of the audit log's 1 rows" in said
    file.write_text(file.read_text() + server.log)
    code, said = verify(tmp_path, f"--journal={file}")
    assert code == 0 and "vouches for 1 of them" in said


def test_journal_is_asked_for_without_a_file(start, tmp_path):
    """By a stand-in for journalctl: this machine has no unit of the service's name."""
    server, api = start()
    api.create("ada")
    server.stop()
    write_journal(server, tmp_path / "journal")
    tool = tmp_path / "bin/journalctl"
    tool.parent.mkdir()
    path = f"{tool.parent}:{os.environ['PATH']}"

    def asked(script):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        return verify(tmp_path, "--journal", env={"PATH": path})

    unit = '[ "$*" = "--output=cat --unit=opentrons-auth-server" ]'
    code, said = asked(f"{unit} && cat {tmp_path}/journal")
    assert code == 0 and "vouches for 1" in said
    code, said = asked("echo broken >&2; exit 3")
    assert code == 1 and "journalctl" in said and "broken" in said
    code, said = verify(tmp_path, "--journal", env={"PATH": str(tmp_path)})
    assert code == 1 and "cannot run journalctl" in said
