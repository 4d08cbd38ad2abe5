"""Refused logins in the audit log: unauthenticated clients cannot fill the disk."""

import re

from api import PASSWORD
from audit_log import journal_of, rows, verify
from support import wait_for

SERVER = ("opentrons-auth-server", "Opentrons Auth Server")


def written(tmp_path):
    """Returns the rows of the log, except those for exports."""
    return [row for row in rows(tmp_path) if row["action"] != "export audit log"]


def test_refusals_of_one_kind_are_counted_after_twenty_in_a_minute(start, tmp_path):
    server, api = start()
    api.create("ada")
    for _ in range(33):
        api.try_login("nobody")
    assert len(written(tmp_path)) == 21
    # Other events are still recorded.
    api.login("ada")
    api.update("ada", fullName="Ada")
    assert [row["action"] for row in written(tmp_path)[21:]] == ["login succeeded", "update user"]
    # The refusals of the current minute are summarized at the latest when the service stops.
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
    # Either counted with the five that locked the account, or as another kind.
    assert len(log) in (1 + 20 + 1, 1 + 5 + 20 + 1)
    assert re.search(r"\b(10|15)\b", log[-1]["message"]), log[-1]


def test_refusal_that_locks_an_account_is_an_event_whatever_came_before(start, tmp_path):
    """It is a change that names the account, so it must not be hidden among counted refusals."""
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


def test_refusals_beyond_twenty_are_counted(start, tmp_path):
    server, api = start()
    api.create("ada")
    api.settings(maxNumberOfLoginAttempts=None)
    for _ in range(23):
        assert api.try_login("nobody").status == 400
    for _ in range(22):
        assert api.try_login("ada", "wrong-password").status == 400
    assert api.login("ada")
    # Counted refusals have effect, too: all of ada's are counted, except the last, which locks.
    api.settings(maxNumberOfLoginAttempts=24)
    for left in range(23, -1, -1):
        answer = api.try_login("ada", "wrong-password")
        assert answer.json["opentrons_login_attempts_remaining"] == left
    assert answer.json["opentrons_account_locked"] is True
    server.stop()
    log = rows(tmp_path)
    failed = [row for row in log if row["action"] == "login failed"]
    assert len(failed) == 43
    told = [
        ((row["accountName"], row["legalName"]), row["origin"], row["reason"], row["message"])
        for row in failed[-2:]
    ]
    assert told == [
        (
            SERVER,
            "server",
            None,
            "3 further logins were refused within a minute: there is no such user.",
        ),
        (SERVER, "server", None, "25 further logins were refused within a minute: wrong password."),
    ]
    assert server.log.count('"login failed"') == 43
    assert verify(tmp_path)[0] == 0


def test_what_was_counted_is_written_when_the_minute_is_over(start, tmp_path):
    server, api = start()
    for _ in range(22):
        api.try_login("nobody")
    wait_for(lambda: "2 further logins were refused" in server.log, "the event", 90)
    assert [row["seq"] for row in rows(tmp_path)] == list(range(1, 22))
