"""Refused logins in the audit log: strangers cannot fill the disk."""

import re

from api import PASSWORD
from audit_log import journal_of, rows, verify


def written(tmp_path):
    """The rows of the log but for the exports, which are events too."""
    return [row for row in rows(tmp_path) if row["action"] != "export audit log"]


def test_refusals_of_one_kind_are_counted_after_twenty_in_a_minute(start, tmp_path):
    server, api = start()
    api.create("ada")
    for _ in range(33):
        api.try_login("nobody")
    assert len(written(tmp_path)) == 21
    # What is no refusal is an event all the same.
    api.login("ada")
    api.update("ada", fullName="Ada")
    assert [row["action"] for row in written(tmp_path)[21:]] == ["login succeeded", "update user"]
    # The rest of the minute is told at the latest when the service stops.
    assert server.stop() == 0
    log = written(tmp_path)
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
    assert [row["action"] for row in written(tmp_path)] == ["login failed"] * 20


def test_refusals_of_a_locked_account_are_counted_too(start, tmp_path):
    server, api = start()
    api.create("ada")
    api.fail_logins("ada", 5)
    for password in ("wrong-password", PASSWORD):
        for _ in range(15):
            api.try_login("ada", password)
    server.stop()
    log = written(tmp_path)
    # With the five that locked it, or as another kind.
    assert len(log) in (1 + 20 + 1, 1 + 5 + 20 + 1)
    assert re.search(r"\b(10|15)\b", log[-1]["message"]), log[-1]


def test_refusal_that_locks_an_account_is_an_event_whatever_came_before(start, tmp_path):
    """It is a change, and tells whose account it was: nobody can hide it among others."""
    server, api = start()
    api.settings(maxNumberOfLoginAttempts=None)
    for name in ("noise", "ada"):
        api.create(name)
    api.fail_logins("noise", 25)
    api.settings(maxNumberOfLoginAttempts=30)
    api.fail_logins("noise", 2)
    api.settings(maxNumberOfLoginAttempts=5)
    api.fail_logins("ada", 5)
    assert api.user("ada")["locked"] is True
    server.stop()
    about = [row for row in written(tmp_path) if row["accountName"] == "ada"]
    assert about and "lock" in about[-1]["message"]
