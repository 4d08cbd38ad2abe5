"""Audit: the journal, the chained log, and the queue to a stand-in audit server."""

import itertools
import json
import re
import shutil
import socket
import sqlite3
import time
from urllib.parse import quote

import pytest

from api import PASSWORD, SELF, SWITCH, by_name, error_of
from audit_server import AuditServer
from support import DATABASE, ENVIRONMENT, run, wait_for

SERVER = ("opentrons-auth-server", "Opentrons Auth Server")


def rows(tmp_path):
    """The audit log, as the console exports it."""
    state = tmp_path / "state"
    done = run("audit", "export", "--persistence-directory", state)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


FIELDS = {"action", "accountName", "legalName", "message"}


def journal_of(server):
    """The audit log's lines in the journal of a server."""
    return [
        json.loads(line.split(" audit audit ")[1])
        for line in server.log.splitlines()
        if " audit audit " in line
    ]


def who(row):
    return row["accountName"], row["legalName"]


def test_every_change_and_every_login_is_an_event(start, tmp_path):
    server, api = start()
    api.create("ada", "admin")
    api.create("bob")
    token = api.login("ada")["access_token"]
    api.try_login("bob", "wrong-password")
    api.try_login("nobody")
    notes = {"Opentrons-User-Notes": "Because it is due."}
    api.request("PATCH", by_name("bob"), {"fullName": "Bob"}, token, headers=notes)
    api.settings(token, idleLogout=170)
    api.request("POST", by_name("bob", "/resetPassword"), token=token)
    # A dry run.
    api.validate("another-one", token)
    api.validate("short", token)
    api.patch("/auth/users/self", {"fullName": "Ada L."}, token)
    api.request("DELETE", by_name("bob"), token=token)
    api.request("DELETE", "/auth/settings", token=token)
    api.enable_access_control(token)
    api.revoke(token)
    ada, renamed = ("ada", "ada X"), ("ada", "Ada L.")
    expected = [
        ("create user", SERVER),
        ("create user", SERVER),
        ("login succeeded", ada),
        ("login failed", ("bob", "bob X")),
        ("login failed", SERVER),
        ("update user", ada),
        ("edit CRS settings", ada),
        ("reset password", ada),
        ("update self", ada),
        ("delete user", renamed),
        ("reset CRS settings", renamed),
        ("update CRS enabled", renamed),
        ("logout", renamed),
    ]
    log = rows(tmp_path)
    assert [(row["action"], who(row)) for row in log] == expected
    assert [row["seq"] for row in log] == list(range(1, len(expected) + 1))
    assert [row["reason"] for row in log if row["reason"]] == ["Because it is due."]
    server.stop()
    lines = journal_of(server)
    # With the row's number and its hash, so that the two can be held against each other.
    assert lines[: len(log)] == log
    for row in log:
        assert set(row) == {*FIELDS, "reason", "seq", "time", "hash", "origin"}
        assert re.fullmatch("[0-9a-f]{64}", row["hash"])
    # The export is one as well.
    assert [line["action"] for line in lines[len(log) :]] == ["export audit log"]


def test_events_say_username_and_full_name_of_whom_they_are_about(start, tmp_path):
    """A username alone is no person (21 CFR 11.50(a)(1) wants the printed name)."""
    _, api = start()
    api.create("ada", fullName="Ada Lovelace")
    api.update("ada", locked=True)
    api.reset("ada")
    api.update("ada", fullName="Ada Byron")
    api.update("ada", username="byron")
    api.delete("byron")
    said = [row["message"] for row in rows(tmp_path)]
    people = [("ada", "Ada Lovelace")] * 4 + [("ada", "Ada Byron")] + [("byron", "Ada Byron")]
    assert len(said) == len(people)
    for message, (username, full_name) in zip(said, people, strict=True):
        assert username in message and full_name in message, message
    # Both sides of a change.
    assert "Ada Byron" in said[3] and "byron" in said[4]


def test_what_changes_nothing_is_no_event(start, tmp_path):
    _, api = start()
    api.create("ada")
    api.update("ada")
    api.settings(idleLogout=180)
    api.update("ada", accountType="nonsense")
    api.revoke("unknown")
    assert len(rows(tmp_path)) == 1


def test_events_are_logged_whatever_the_level(start, serve):
    server, api = start("--log-level", "error")
    api.create("ada")
    server.wait_log(r" audit audit \{.*create user")


def verify(tmp_path, *arguments, **options):
    state = tmp_path / "state"
    done = run("audit", "verify", "--persistence-directory", state, *arguments, **options)
    return done.returncode, done.stdout + done.stderr


def tamper(tmp_path, *statements):
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        for trigger in ("changed", "shortened"):
            database.execute(f"DROP TRIGGER IF EXISTS audit_log_is_not_{trigger}")
        for statement in statements:
            database.execute(statement)
    database.close()


@pytest.fixture
def logged(start, tmp_path):
    """A log of five rows, of a server that has stopped."""
    server, api = start()
    for name in "abcde":
        api.create(name)
    server.stop()
    assert verify(tmp_path)[0] == 0


@pytest.mark.parametrize("column", ["time", "action", "account_name", "legal_name", "message"])
def test_verify_detects_a_changed_row(logged, tmp_path, column):
    tamper(tmp_path, f"UPDATE audit_log SET {column} = {column} || 'x' WHERE seq = 3")
    code, said = verify(tmp_path)
    assert code == 1 and "row 3 was changed" in said


def test_verify_detects_a_reason_that_was_added(logged, tmp_path):
    tamper(tmp_path, "UPDATE audit_log SET reason = '' WHERE seq = 3")
    assert "row 3 was changed" in verify(tmp_path)[1]


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_verify_detects_a_removed_row(logged, tmp_path, seq):
    tamper(tmp_path, f"DELETE FROM audit_log WHERE seq = {seq}")
    code, said = verify(tmp_path)
    assert code == 1 and f"row {seq} is missing" in said


def test_verify_detects_rows_that_closed_the_gap(logged, tmp_path):
    tamper(
        tmp_path,
        "DELETE FROM audit_log WHERE seq = 3",
        "UPDATE audit_log SET seq = seq - 1 WHERE seq > 3",
    )
    assert verify(tmp_path)[0] == 1


def test_verify_detects_an_added_row(logged, tmp_path):
    tamper(
        tmp_path,
        "INSERT INTO audit_log (seq, time, action, account_name, legal_name, message, hash) "
        "VALUES (6, 't', 'a', 'b', 'c', 'd', zeroblob(32))",
    )
    assert "row 6 was" in verify(tmp_path)[1]


def test_log_cannot_be_changed_by_mistake(logged, tmp_path):
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        for statement in ("DELETE FROM audit_log", "UPDATE audit_log SET message = ''"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(statement)
    database.close()


# The journal beside it


def write_journal(server, file, keep=lambda line: True):
    """The lines of a server's log that are to be kept, as a file for `--journal`."""
    lines = server.log.splitlines(keepends=True)
    file.write_text("".join(line for line in lines if keep(line)))
    return file


def rewritten(start, tmp_path):
    """A server whose log was put back to an earlier state and written on from there: its chain is
    whole, and is another than the one that the journal has. Returns the journal."""
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
    assert verify(tmp_path)[0] == 0
    file = tmp_path / "journal"
    file.write_text(journal)
    return file


def test_journal_fits_the_log_that_it_was_written_with(start, tmp_path):
    server, api = start()
    for name in "abc":
        api.create(name)
    code, said = verify(tmp_path, "--journal", write_journal(server, tmp_path / "journal"))
    assert code == 0, said
    # Over a restart, and without the lines that the journal has let go by now.
    server.stop()
    log = server.log
    server, api = start()
    api.create("d")
    server.stop()
    file = tmp_path / "both"
    file.write_text(log + server.log)
    assert verify(tmp_path, "--journal", file)[0] == 0
    assert verify(tmp_path, "--journal", write_journal(server, tmp_path / "journal"))[0] == 0


@pytest.mark.parametrize(
    "prefix", ["", "<5>", "Nov 25 16:17:03 robot opentrons-auth-server[517]: "]
)
def test_journal_comes_from_standard_input_in_any_format(start, tmp_path, prefix):
    server, api = start()
    api.create("ada")
    server.stop()
    lines = [
        re.sub(r"^.* audit (audit )?\{", f"{prefix}audit {{", line) if "audit {" in line else line
        for line in server.log.splitlines()
    ]
    assert f"{prefix}audit {{" in "\n".join(lines)
    code, said = verify(tmp_path, "--journal", "-", input="\n".join(lines) + "\n")
    assert code == 0, said
    forged = "\n".join(lines).replace("ada", "eve") + "\n"
    assert verify(tmp_path, "--journal", "-", input=forged)[0] == 1


def test_journal_does_not_fit_a_chain_that_was_rewritten_whole(start, tmp_path):
    journal = rewritten(start, tmp_path)
    code, said = verify(tmp_path, "--journal", journal)
    assert code == 1
    # The first row that is another one.
    assert re.search(r"\brow 2\b", said), said


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
    assert verify(tmp_path, "--journal", file)[0] == 1


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
    assert verify(tmp_path, "--journal", journal)[0] == 1


def test_journal_that_says_nothing_of_the_log_does_not_vouch_for_it(start, tmp_path):
    server, api = start()
    api.create("ada")
    server.stop()
    empty = write_journal(server, tmp_path / "journal", lambda line: "audit {" not in line)
    assert verify(tmp_path, "--journal", empty)[0] == 1


def test_journal_file_that_is_missing_is_named(logged, tmp_path):
    code, said = verify(tmp_path, "--journal", tmp_path / "none")
    assert code == 1 and str(tmp_path / "none") in said


def test_journal_is_asked_of_journalctl(start, tmp_path):
    server, api = start()
    api.create("ada")
    server.stop()
    write_journal(server, tmp_path / "journal")
    tools = tmp_path / "tools"
    tools.mkdir()
    tool = tools / "journalctl"
    tool.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\nexec cat {tmp_path}/journal\n')
    tool.chmod(0o755)
    path = {"PATH": f"{tools}:{ENVIRONMENT['PATH']}"}
    code, said = verify(tmp_path, "--journal", env=path)
    assert code == 0, said
    assert "opentrons-auth-server" in (tmp_path / "asked").read_text()
    write_journal(server, tmp_path / "journal", lambda line: "audit {" not in line)
    assert verify(tmp_path, "--journal", env=path)[0] == 1
    tool.write_text("#!/bin/sh\necho 'no journal' >&2\nexit 1\n")
    code, said = verify(tmp_path, "--journal", env=path)
    assert code == 1 and "journalctl" in said
    code, said = verify(tmp_path, "--journal", env={"PATH": str(tmp_path / "nowhere")})
    assert code == 1 and "journalctl" in said


# Where a request came from


def test_origin_is_where_a_request_came_from(start, tmp_path):
    server, api = start()
    state = ("--persistence-directory", tmp_path / "state")
    api.create("ada", "admin")
    api.login("ada")
    api.try_login("nobody")
    # The console, while the service runs and while it does not.
    assert run("user", "reset-password", "ada", *state).returncode == 0
    server.stop()
    assert run("user", "reset-password", "ada", *state).returncode == 0
    origins = [row["origin"] for row in rows(tmp_path)]
    assert origins == ["http", "http", "http", "console", "console"]


def test_origin_tells_a_user_from_whom_they_name_themself_after(start, tmp_path):
    _, api = start()
    state = ("--persistence-directory", tmp_path / "state")
    api.create("root", "admin", fullName="root at the console")
    api.create("opentrons-server", "admin", fullName="Opentrons Auth Server")
    for name in ("root", "opentrons-server"):
        token = api.login(name)["access_token"]
        api.patch(SELF, {"password": "another-one"}, token)
    assert run("user", "delete", "root", "--yes", *state).returncode == 0
    log = rows(tmp_path)
    assert {row["origin"] for row in log[:-1]} == {"http"}
    assert log[-1]["origin"] == "console"


# Notes

WORDS = "Größe geändert: 5 µl, 100 % \n zweite Zeile\t\U0001f9ea 李"
NOTES = {
    "umlauts": ("Gr%C3%B6%C3%9Fe%20ge%C3%A4ndert", "Größe geändert"),
    "all that the apps encode": (quote(WORDS, safe="!'()*-._~"), WORDS),
    "lower case digits": ("%c3%bc%2f", "ü/"),
    "decoded once": ("%2541", "%41"),
    "plus is plus": ("a+b%2Bc", "a+b+c"),
    "trimmed": ("%20 because%0A%20", "because"),
    "blank when decoded": ("%20%0A%09%E3%80%80", None),
    "blank": ("   ", None),
    "empty": ("", None),
    "not encoded": ("Because it is due.", "Because it is due."),
    "not encoded, in UTF-8": ("Größe".encode(), "Größe"),
    "malformed": ("100%", "100%"),
    "malformed: no digits": ("%zz and %", "%zz and %"),
    "malformed: one digit": ("%4", "%4"),
    "malformed beside a right one": ("%C3%BC 50%", "ü 50%"),
    "malformed: signs": ("%+1 %-1 % 1", "%+1 %-1 % 1"),
    "longest": ("x" * 2000, "x" * 2000),
    "longest when trimmed": (" " * 20 + "x" * 2000 + "%20" * 20, "x" * 2000),
}


@pytest.mark.parametrize("kind", NOTES)
def test_notes_are_what_the_user_typed(start, tmp_path, kind):
    header, reason = NOTES[kind]
    server, api = start()
    notes = {"Opentrons-User-Notes": header}
    answer = api.request("PATCH", "/auth/settings", {"idleLogout": 170}, headers=notes)
    assert answer.status == 200, answer.body
    [row] = rows(tmp_path)
    assert row["reason"] == reason
    # One line of the journal, whatever was typed.
    server.stop()
    assert journal_of(server)[0]["reason"] == reason


def test_notes_that_are_no_utf8_are_no_reason_to_refuse(start, tmp_path):
    _, api = start()
    notes = {"Opentrons-User-Notes": "%FF%C3"}
    answer = api.request("PATCH", "/auth/settings", {"idleLogout": 170}, headers=notes)
    assert answer.status == 200
    assert rows(tmp_path)[0]["reason"] in ("%FF%C3", "\ufffd\ufffd")


@pytest.mark.parametrize("character", ["ü", "\U0001f9ea", "%"])
def test_notes_have_at_most_2000_characters_when_decoded(start, tmp_path, character):
    _, api = start()
    longest = {"Opentrons-User-Notes": quote(character * 2000)}
    answer = api.request("PATCH", "/auth/settings", {"idleLogout": 170}, headers=longest)
    assert answer.status == 200, answer.body
    assert rows(tmp_path)[0]["reason"] == character * 2000


def test_notes_over_2000_characters_are_422_and_change_nothing(start, tmp_path):
    _, api = start()
    api.create("ada")
    token = api.login("ada")["access_token"]
    before = api.user("ada")
    long = {"Opentrons-User-Notes": "%C3%BC" * 2001}
    new = {"username": "bea", "fullName": "x", "accountType": "user", "password": PASSWORD}
    for answer in (
        api.request("POST", "/auth/users", new, headers=long),
        api.request("PATCH", by_name("ada"), {"fullName": "New"}, headers=long),
        api.request("PATCH", by_name("ada"), {"password": "another-one"}, headers=long),
        api.request("POST", by_name("ada", "/resetPassword"), headers=long),
        api.request("DELETE", by_name("ada"), headers=long),
        api.request("PATCH", "/auth/settings", {"idleLogout": 170}, headers=long),
        api.request("DELETE", "/auth/settings", headers=long),
        api.request("PATCH", SWITCH, {"accessControlEnabled": True}, headers=long),
        api.request("PATCH", SELF, {"fullName": "New"}, token, headers=long),
    ):
        assert error_of(answer) == (422, "invalidRequest")
        assert "Opentrons-User-Notes" in answer.json["detail"]
    login = {"client_id": "opentrons_app", "grant_type": "password", "username": "ada"}
    assert api.form("token", {**login, "password": PASSWORD}, long).status == 422
    assert api.get("/auth/users").json["data"] == [before]
    assert api.get("/auth/settings").json["data"]["idleLogout"] == 180.0
    assert len(rows(tmp_path)) == 2
    assert api.active(token)


# Strangers cannot fill the disk


def test_refusals_of_one_kind_are_counted_after_twenty_in_a_minute(start, tmp_path):
    server, api = start()
    api.create("ada")
    for _ in range(33):
        api.try_login("nobody")
    assert len(rows(tmp_path)) == 21
    # What is no refusal is an event all the same.
    api.login("ada")
    api.update("ada", fullName="Ada")
    assert [row["action"] for row in rows(tmp_path)[21:]] == ["login succeeded", "update user"]
    # The rest of the minute is told at the latest when the service stops.
    assert server.stop() == 0
    log = rows(tmp_path)
    assert len(log) == 24
    assert re.search(r"\b13\b", log[-1]["message"]), log[-1]
    assert log[-1]["origin"] == "server"
    assert verify(tmp_path)[0] == 0
    assert journal_of(server)[-1]["hash"] == log[-1]["hash"]


def test_refusals_up_to_twenty_are_events_of_their_own(start, tmp_path):
    server, api = start()
    for _ in range(20):
        api.try_login("nobody")
    server.stop()
    assert [row["action"] for row in rows(tmp_path)] == ["login failed"] * 20


def test_refusals_of_a_locked_account_are_counted_too(start, tmp_path):
    server, api = start()
    api.create("ada")
    api.fail_logins("ada", 5)
    for password in ("wrong-password", PASSWORD):
        for _ in range(15):
            api.try_login("ada", password)
    server.stop()
    log = rows(tmp_path)
    # With the five that locked it, or as another kind.
    assert len(log) in (1 + 20 + 1, 1 + 5 + 20 + 1)
    assert re.search(r"\b(10|15)\b", log[-1]["message"]), log[-1]


# The queue


@pytest.mark.parametrize("by", ["uds", "url", "uds and url"])
def test_events_reach_the_audit_server_in_order(start, tmp_path, by):
    path = tmp_path / "audit.sock"
    audit = AuditServer(None if by == "url" else path)
    arguments = []
    if "uds" in by:
        arguments += ["--audit-server-uds", path]
    if "url" in by:
        port = getattr(audit, "port", 1)
        arguments += ["--audit-server-url", f"http://127.0.0.1:{port}"]
    _, api = start(*arguments)
    for number in range(50):
        api.create(f"user{number}")
    wait_for(lambda: len(audit.taken) == 50, "all events are taken")
    assert {(method, path) for method, path, _ in audit.taken} == {
        ("POST", "/audit/internal/logMessage")
    }
    assert [event["message"].split('"')[1] for event in audit.events] == [
        f"user{number}" for number in range(50)
    ]
    assert set(audit.events[0]) == {"action", "accountName", "legalName", "message", "reason"}
    audit.close()


def test_access_control_turns_logging_on_first(start, tmp_path):
    audit = AuditServer(tmp_path / "audit.sock")
    _, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("ada", "admin")
    token = api.login("ada")["access_token"]
    notes = {"Opentrons-User-Notes": "go live"}
    api.request("PATCH", SWITCH, {"accessControlEnabled": True}, token, headers=notes)
    wait_for(lambda: len(audit.taken) == 4, "all is taken")
    method, path, data = audit.taken[2]
    assert (method, path) == ("PATCH", "/audit/internal/loggingEnabled")
    assert data == {
        "loggingEnabled": True,
        "accountName": "ada",
        "legalName": "ada X",
        "reason": "go live",
    }
    assert audit.taken[3][2]["action"] == "update CRS enabled"
    audit.close()


def test_outage_and_restarts_lose_no_event(start, tmp_path):
    path = tmp_path / "audit.sock"
    server, api = start("--audit-server-uds", path)
    api.create("one")
    server.wait_log("does not take events, they wait")
    audit = AuditServer(path)
    audit.status = 503
    api.create("two")
    server.kill()
    server, api = start("--audit-server-uds", path)
    api.create("three")
    # The console, while the service is down.
    server.stop()
    state = tmp_path / "state"
    assert run("user", "unlock", "one", "--persistence-directory", state).returncode == 0
    assert run("user", "delete", "one", "--yes", "--persistence-directory", state).returncode == 0
    audit.status = 201
    start("--audit-server-uds", path)
    wait_for(lambda: len(audit.events) == 4, "all events are taken")
    messages = [event["message"] for event in audit.events]
    assert [message.split('"')[1] for message in messages] == ["one", "two", "three", "one"]
    audit.close()


def test_no_request_waits_for_the_audit_server(start, tmp_path):
    """It accepts, and never answers."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "audit.sock"))
        silent.listen()
        _, api = start("--audit-server-uds", tmp_path / "audit.sock")
        for number in range(20):
            api.create(f"user{number}")
        assert api.login("user1")


def test_events_from_before_there_was_an_audit_server_are_not_owed(start, tmp_path):
    server, api = start()
    api.create("before")
    server.stop()
    audit = AuditServer(tmp_path / "audit.sock")
    _, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("after")
    wait_for(lambda: audit.events, "an event is taken")
    assert ['"after"' in event["message"] for event in audit.events] == [True]
    audit.close()


@pytest.mark.parametrize("closing", ["announced", "silent"])
@pytest.mark.parametrize("by", ["uds", "url"])
def test_audit_server_that_closes_after_each_answer_is_connected_to_anew_at_once(
    start, tmp_path, closing, by
):
    path = tmp_path / "audit.sock"
    if by == "uds":
        audit = AuditServer(path, closing=closing)
        server, api = start("--audit-server-uds", path)
    else:
        audit = AuditServer(closing=closing)
        server, api = start("--audit-server-url", f"http://127.0.0.1:{audit.port}")
    # All wait in the queue when the first one is answered.
    audit.answers.clear()
    for number in range(30):
        api.create(f"user{number}")
    audit.answers.set()
    began = time.monotonic()
    wait_for(lambda: len(audit.taken) >= 30, "all events are taken")
    # A wait after each of them would last 0.25 s at least.
    assert time.monotonic() - began < 30 * 0.25 / 2
    assert [event["message"].split('"')[1] for event in audit.events] == [
        f"user{number}" for number in range(30)
    ]
    server.stop()
    assert "does not take events" not in server.log
    audit.close()


def console_of(tmp_path, *arguments):
    done = run("audit", *arguments, "--persistence-directory", tmp_path / "state")
    assert done.returncode == 0, done.stderr
    return done.stdout


def set_aside(tmp_path):
    """How many events are set aside, as the console tells a person and a program."""
    text = console_of(tmp_path, "status")
    [count] = re.findall(r"(?i)set aside\D*(\d+)|(\d+)[^\n\d]*set aside", text)
    data = json.loads(console_of(tmp_path, "status", "--json"))
    assert data["setAside"] == int("".join(count)), text
    return data["setAside"]


# What an audit server answers that will never take an event (RFC 9110 §15.5).
FOR_GOOD = (400, 404, 422, 413, 403)


def refuse(audit, word, statuses):
    """Has the events refused that have a word in them, with these statuses by turns."""
    turns = itertools.cycle(statuses)
    audit.status_for = lambda data: next(turns) if word in data.get("message", "") else None


def test_event_that_is_refused_for_good_is_set_aside_and_sent_again_when_asked(start, tmp_path):
    audit = AuditServer(tmp_path / "audit.sock")
    refuse(audit, "refused", FOR_GOOD)
    server, api = start("--audit-server-uds", tmp_path / "audit.sock")
    for name in ("before", "refused", "after"):
        api.create(name)
    wait_for(lambda: len(audit.taken) == 2, "the others are taken")
    assert ['"after"' in event["message"] for event in audit.events] == [False, True]
    # Five times, and then no more.
    assert [status for status, _ in audit.answered if status != 201] == list(FOR_GOOD)
    [line] = [line for line in server.log.splitlines() if " ERROR " in line]
    assert re.search(r"\b2\b", line) and str(FOR_GOOD[-1]) in line
    assert set_aside(tmp_path) == 1
    # It stays so over a restart, and holds up nothing.
    server.stop()
    server, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("later")
    wait_for(lambda: len(audit.taken) == 3, "a later one is taken")
    assert len([status for status, _ in audit.answered if status != 201]) == 5
    assert set_aside(tmp_path) == 1
    audit.status_for = lambda data: None
    console_of(tmp_path, "resend")
    wait_for(lambda: any("refused" in event["message"] for event in audit.events), "it is taken")
    wait_for(lambda: set_aside(tmp_path) == 0, "none is set aside")
    messages = [event["message"] for event in audit.events]
    assert len(set(messages)) == len(messages)
    audit.close()


def test_event_that_is_refused_again_when_asked_is_set_aside_again(start, tmp_path):
    audit = AuditServer(tmp_path / "audit.sock")
    refuse(audit, "refused", [400])
    _, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("refused")
    wait_for(lambda: set_aside(tmp_path) == 1, "it is set aside")
    console_of(tmp_path, "resend")
    wait_for(lambda: len(audit.answered) >= 10, "it is sent again")
    wait_for(lambda: set_aside(tmp_path) == 1, "it is set aside again")
    api.create("after")
    wait_for(lambda: audit.taken, "another one is taken")
    audit.close()


def test_nothing_is_set_aside_when_nothing_was_refused(start, tmp_path):
    start()
    assert set_aside(tmp_path) == 0


def test_event_that_is_refused_for_now_waits_and_is_not_set_aside(start, tmp_path):
    audit = AuditServer(tmp_path / "audit.sock")
    refuse(audit, "", [408, 429, 503, 500])
    server, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("one")
    api.create("two")
    wait_for(lambda: len(audit.answered) >= 6, "it is sent a sixth time")
    assert set_aside(tmp_path) == 0
    assert {'"one"' in message for _, message in audit.answered} == {True}
    server.stop()
    audit.status_for = lambda data: None
    start("--audit-server-uds", tmp_path / "audit.sock")
    wait_for(lambda: len(audit.taken) == 2, "both are taken")
    audit.close()


@pytest.mark.parametrize("url", ["https://x", "nonsense", "/x", "ftp://x"])
def test_bad_url_is_refused(url):
    done = run("--audit-server-url", url)
    assert done.returncode == 2 and "--audit-server-url" in done.stderr
