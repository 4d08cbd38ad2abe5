"""Audit: the journal, the hash-chained log, and the delivery to a stand-in for the audit server."""

import re
import socket
import sqlite3

import pytest

from api import SELF, SWITCH, by_name
from audit_log import journal_of, rows, tamper, verify
from audit_server import AuditServer
from support import DATABASE, PATIENCE, run, wait_for

SERVER = ("opentrons-auth-server", "Opentrons Auth Server")
FIELDS = {"action", "accountName", "legalName", "message"}


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
    api.patch(SELF, {"fullName": "Ada L."}, token)
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
    # With the row's number and hash, so that log and journal can be compared.
    assert len({line.pop("chain") for line in lines}) == 1
    assert lines[: len(log)] == log
    for row in log:
        assert set(row) == {*FIELDS, "reason", "seq", "time", "hash", "origin"}
        assert re.fullmatch("[0-9a-f]{64}", row["hash"])
    # The export itself is an event, too.
    assert [line["action"] for line in lines[len(log) :]] == ["export audit log"]


def test_events_say_username_and_full_name_of_whom_they_are_about(start, tmp_path):
    """A username alone does not identify a person: 21 CFR 11.50(a)(1) requires the printed name."""
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
    # The value before and after a change.
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


@pytest.fixture
def logged(start, tmp_path):
    """The state of a stopped server whose log has five rows."""
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
    code, said = verify(tmp_path)
    assert code == 1 and "row 3 was changed" in said


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
    code, said = verify(tmp_path)
    assert code == 1 and "row 6 was" in said


def test_log_cannot_be_changed_by_mistake(logged, tmp_path):
    with sqlite3.connect(tmp_path / "state" / DATABASE) as database:
        for statement in ("DELETE FROM audit_log", "UPDATE audit_log SET message = ''"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(statement)
    database.close()


# Origin of requests


def test_origin_is_where_a_request_came_from(start, tmp_path):
    server, api = start()
    state = ("--persistence-directory", tmp_path / "state")
    api.create("ada", "admin")
    api.login("ada")
    api.try_login("nobody")
    # The console, while the service is running and while it is not.
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
    server.wait_log("cannot deliver events to the audit server")
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
    """The audit server accepts connections and never responds."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "audit.sock"))
        silent.listen()
        _, api = start("--audit-server-uds", tmp_path / "audit.sock")
        silent.settimeout(PATIENCE)
        api.create("user0")
        connection, _ = silent.accept()
        assert connection.recv(4096).startswith(b"POST /audit/internal/logMessage ")
        api.create("user1")
        assert api.login("user1")
        # Both were answered while the delivery still waited: it would have closed the connection.
        connection.settimeout(0)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        for number in range(2, 20):
            api.create(f"user{number}")
        connection.close()


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


@pytest.mark.parametrize("url", ["https://x", "nonsense", "/x", "ftp://x"])
def test_bad_url_is_refused(url):
    done = run("--audit-server-url", url)
    assert done.returncode == 2 and "--audit-server-url" in done.stderr
