"""Delivery to an audit server that closes connections, and to one that refuses events."""

import itertools
import json
import re

import pytest

from audit_server import AuditServer
from support import run, wait_for


@pytest.fixture
def audit(tmp_path):
    server = AuditServer(tmp_path / "audit.sock")
    yield server
    server.close()


def messages(audit):
    return [event["message"].split('"')[1] for event in audit.events]


@pytest.mark.parametrize("ending", ["HTTP/1.0", "Connection: close", "silently"])
@pytest.mark.parametrize("by", ["uds", "url"])
def test_audit_server_that_closes_after_each_answer_is_connected_to_anew_at_once(
    start, audit, tmp_path, ending, by
):
    if by == "uds":
        arguments = ("--audit-server-uds", tmp_path / "audit.sock")
    else:
        audit.close()
        audit = AuditServer()
        arguments = ("--audit-server-url", f"http://127.0.0.1:{audit.port}")
    audit.ending = ending
    # All events are in the queue when the first one is answered.
    audit.answers.clear()
    server, api = start(*arguments)
    names = [f"user{number}" for number in range(30)]
    for name in names:
        api.create(name)
    audit.answers.set()
    wait_for(lambda: len(audit.taken) >= 30, "all events are taken")
    # A delay after each event would be at least 0.25 s; most gaps are shorter on a busy machine, too.
    gaps = [after - before for before, after in itertools.pairwise(audit.times)]
    assert sorted(gaps)[len(gaps) // 2] < 0.25 / 2
    assert messages(audit) == names
    # Each on a new connection, without a log line.
    assert audit.connections >= 30
    server.stop()
    assert "cannot deliver events" not in server.log
    audit.close()


@pytest.mark.parametrize("ending", ["head", "body"])
def test_connection_that_is_cut_in_an_answer_is_a_failure(start, audit, tmp_path, ending):
    audit.ending = ending
    server, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("one")
    server.wait_log("they stay queued: the connection was closed")
    api.create("two")
    audit.ending = "kept"
    wait_for(lambda: len(audit.taken) == 2, "both are taken")
    assert messages(audit) == ["one", "two"]


def status(tmp_path):
    done = run("audit", "status", "--json", "--persistence-directory", tmp_path / "state")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def resend(tmp_path):
    options = ("--reason", "repaired", "--json", "--persistence-directory", tmp_path / "state")
    done = run("audit", "resend", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["sentAgain"]


def refuse(*names):
    """Returns a function that makes the audit server refuse events of these users."""
    return lambda _, data: 422 if any(f'"{name}"' in data["message"] for name in names) else 201


@pytest.mark.parametrize("running", [True, False])
def test_event_that_is_refused_for_good_is_set_aside(start, audit, tmp_path, running):
    tries = []

    def judge(method, data):
        code = refuse("bad", "worse")(method, data)
        if code != 201:
            tries.append(data["message"])
        return code

    audit.judge = judge
    arguments = ("--audit-server-uds", tmp_path / "audit.sock")
    server, api = start(*arguments)
    for name in ("one", "bad", "two", "worse", "three"):
        api.create(name)
    wait_for(lambda: len(audit.taken) == 3, "the others are taken")
    assert messages(audit) == ["one", "two", "three"]
    assert len(tries) == 10
    line = server.wait_log(r"ERROR .* it was set aside: row 2, .create user.: .*422.*")[0]
    assert "bad" not in line
    expected = {"rows": 5, "deliveryConfigured": True, "deliveredUpTo": 5, "waiting": 0}
    wait_for(lambda: status(tmp_path).items() >= expected.items(), "all is delivered")
    assert status(tmp_path)["setAside"] == [2, 4]
    # One is accepted now, the other is still refused.
    audit.judge = refuse("worse")
    if not running:
        server.stop()
    assert resend(tmp_path) == 2
    if not running:
        assert status(tmp_path)["toBeSentAgain"] == [2, 4]
        start(*arguments)
    wait_for(lambda: len(audit.taken) == 5, "what is good and the order are taken")
    assert '"bad"' in audit.events[3]["message"]
    assert audit.events[4]["action"] == "resend audit events"
    assert audit.events[4]["reason"] == "repaired"
    wait_for(lambda: status(tmp_path)["deliveredUpTo"] == 6, "all is delivered")
    found = status(tmp_path)
    assert (found["setAside"], found["toBeSentAgain"]) == ([4], [])
    audit.judge = refuse()
    if running:
        assert resend(tmp_path) == 1
        wait_for(lambda: status(tmp_path)["setAside"] == [], "nothing is left")
        assert resend(tmp_path) == 0


def test_refused_switch_sets_its_event_aside(start, audit, tmp_path):
    audit.judge = lambda method, _: 404 if method == "PATCH" else 201
    _, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("ada", "admin")
    api.enable_access_control()
    token = api.login("ada")["access_token"]
    wait_for(lambda: len(audit.taken) == 2, "the others are taken")
    assert [event["action"] for event in audit.events] == ["create user", "login succeeded"]
    assert status(tmp_path)["setAside"] == [2]
    assert api.active(token)


def test_status_says_that_nothing_is_delivered(start, tmp_path):
    _, api = start()
    for name in "abcde":
        api.create(name)
    assert status(tmp_path) == {
        "rows": 5,
        "deliveryConfigured": False,
        "deliveredUpTo": 0,
        "waiting": 0,
        "setAside": [],
        "toBeSentAgain": [],
    }
    done = run("audit", "status", "--persistence-directory", tmp_path / "state")
    assert "rows in the audit log: 5\n" in done.stdout


# Statuses of an audit server that will never accept the event (RFC 9110 §15.5).
FOR_GOOD = (400, 404, 422, 413, 403)


def refuse_by_turns(audit, word, statuses):
    """Makes the audit server refuse the events that contain a word, with each of these statuses in
    turn."""
    turns = itertools.cycle(statuses)
    audit.judge = lambda _, data: next(turns) if word in data.get("message", "") else 201


def test_event_that_is_refused_for_good_is_sent_five_times_and_again_when_asked(
    start, audit, tmp_path
):
    refuse_by_turns(audit, "refused", FOR_GOOD)
    server, api = start("--audit-server-uds", tmp_path / "audit.sock")
    for name in ("before", "refused", "after"):
        api.create(name)
    wait_for(lambda: len(audit.taken) == 2, "the others are taken")
    assert ['"after"' in event["message"] for event in audit.events] == [False, True]
    # Five attempts, and then no more.
    assert [code for code, _ in audit.answered if code != 201] == list(FOR_GOOD)
    [line] = [line for line in server.log.splitlines() if " ERROR " in line]
    assert re.search(r"\b2\b", line) and str(FOR_GOOD[-1]) in line
    assert status(tmp_path)["setAside"] == [2]
    said = run("audit", "status", "--persistence-directory", tmp_path / "state").stdout
    assert re.search(r"set aside[^\n\d]*1\b", said)
    # It stays set aside after a restart, and does not delay other events.
    server.stop()
    server, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("later")
    wait_for(lambda: len(audit.taken) == 3, "a later one is taken")
    assert len([code for code, _ in audit.answered if code != 201]) == 5
    assert status(tmp_path)["setAside"] == [2]
    audit.judge = refuse()
    assert resend(tmp_path) == 1
    wait_for(lambda: any("refused" in event["message"] for event in audit.events), "it is taken")
    wait_for(lambda: status(tmp_path)["setAside"] == [], "none is set aside")
    said = [event["message"] for event in audit.events]
    assert len(set(said)) == len(said)


def test_event_that_is_refused_for_now_waits_and_is_not_set_aside(start, audit, tmp_path):
    refuse_by_turns(audit, "", [408, 429, 503, 500])
    server, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("one")
    api.create("two")
    wait_for(lambda: len(audit.answered) >= 6, "it is sent a sixth time")
    assert status(tmp_path)["setAside"] == []
    assert {'"one"' in message for _, message in audit.answered} == {True}
    server.stop()
    audit.judge = refuse()
    start("--audit-server-uds", tmp_path / "audit.sock")
    wait_for(lambda: len(audit.taken) == 2, "both are taken")
