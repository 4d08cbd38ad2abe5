"""Delivery to an audit server that closes connections, and to one that refuses events."""

import itertools
import json
import re
import time

import pytest

from audit_server import AuditServer
from support import run, wait_for


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
    """How many events are set aside, as the console tells a program."""
    return len(json.loads(console_of(tmp_path, "status", "--json"))["setAside"])


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
    assert re.search(r"set aside[^\n\d]*1\b", console_of(tmp_path, "status"))
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


@pytest.mark.parametrize("cut", ["head", "body"])
def test_answer_that_is_cut_off_is_a_failure(start, tmp_path, cut):
    audit = AuditServer(tmp_path / "audit.sock")
    audit.cut = cut
    server, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("one")
    server.wait_log("does not take events, they wait")
    api.create("two")
    audit.cut = None
    wait_for(lambda: len(audit.events) >= 2, "both are taken")
    assert [event["message"].split('"')[1] for event in audit.events][-2:] == ["one", "two"]
    audit.close()


def test_event_whose_switch_is_refused_for_good_is_set_aside(start, tmp_path):
    audit = AuditServer(tmp_path / "audit.sock")
    audit.status_for = lambda data: 404 if "loggingEnabled" in data else None
    _, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("ada", "admin")
    api.enable_access_control()
    token = api.login("ada")["access_token"]
    wait_for(lambda: len(audit.events) == 2, "the others are taken")
    assert [event["action"] for event in audit.events] == ["create user", "login succeeded"]
    assert set_aside(tmp_path) == 1
    assert api.active(token)
    audit.close()
