"""Accounts that the directory's password policy does not let in (draft-behera-ldap-password-policy)."""

from datetime import UTC, datetime, timedelta

import pytest

from directory_client import look_up, type_of, verify
from slapd import AUDITORS, MAX_FAILURES, SUFFIX, USERS, dn_of


def time(days):
    """Returns the time in so many days, as LDAP writes it (RFC 4517 section 3.3.13)."""
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


# A time with a meaning of its own: locked for good, by an administrator.
DISABLED = {"pwdAccountLockedTime": "000001010000Z"}
EXPIRED = {"pwdEndTime": time(-1)}
NOT_YET = {"pwdStartTime": time(1)}
LOCKED = {"pwdAccountLockedTime": time(0)}
MUST_CHANGE = {"pwdReset": "TRUE"}
STATES = [
    (DISABLED, "disabled"),
    (EXPIRED, "accountExpired"),
    (LOCKED, "locked"),
    (MUST_CHANGE, "passwordExpired"),
]


@pytest.fixture
def in_state(lab, newcomer):
    """Returns a function that adds a person whose account is in a state."""

    def add(state):
        name = newcomer()
        for attribute, value in state.items():
            lab.set(dn_of(name), attribute, value)
        return name

    return add


@pytest.mark.parametrize("state, reason", STATES)
def test_right_password_of_a_barred_account(ask, in_state, state, reason):
    assert ask(verify(in_state(state))) == ("barred", reason)


@pytest.mark.parametrize("state, reason", STATES)
def test_wrong_password_of_a_barred_account_is_never_right(ask, in_state, state, reason):
    assert ask(verify(in_state(state), "wrong")) in [("barred", reason), ("wrongPassword", None)]


@pytest.mark.parametrize("state, reason", STATES)
def test_looking_up_a_barred_account(ask, lab, in_state, state, reason):
    """A lock or an old password ends no session, and hides no other group."""
    name = in_state(state)
    lab.leave(USERS, dn_of(name))
    lab.join(AUDITORS, dn_of(name))
    answer = ask(look_up(lab.identifier(name)))
    if reason in ("locked", "passwordExpired"):
        assert type_of(answer) == "auditor"
    else:
        assert answer == ("barred", reason)


@pytest.mark.parametrize("state, reason", STATES)
def test_account_that_is_barred_no_longer(ask, lab, in_state, state, reason):
    name = in_state(state)
    assert ask(verify(name)) == ("barred", reason)
    for attribute in state:
        lab.set(dn_of(name), attribute)
    assert type_of(ask(verify(name))) == "user"
    assert type_of(ask(look_up(lab.identifier(name)))) == "user"


@pytest.mark.parametrize("state, reason", STATES)
def test_looking_up_a_barred_account_in_no_group(ask, lab, in_state, state, reason):
    """That the person may no longer use the robot is not hidden by a lock or an old password, which end
    no session."""
    name = in_state(state)
    lab.leave(USERS, dn_of(name))
    answer = ask(look_up(lab.identifier(name)))
    if reason in ("locked", "passwordExpired"):
        assert type_of(answer) is None
    else:
        assert answer == ("barred", reason)


def test_account_before_its_time(ask, in_state):
    kind, reason = ask(verify(in_state(NOT_YET)))
    assert kind == "barred"
    assert reason in ("disabled", "notHereOrNow", "accountExpired")


def test_looking_up_an_account_before_its_time(ask, lab, in_state):
    name = in_state(NOT_YET)
    assert type_of(ask(look_up(lab.identifier(name)))) == "user"


def test_account_that_will_expire(ask, in_state):
    assert type_of(ask(verify(in_state({"pwdStartTime": time(-1), "pwdEndTime": time(1)})))) == (
        "user"
    )


def test_lock_by_wrong_passwords(ask, lab, newcomer):
    """One password too many, and the right one does not help, either."""
    name = newcomer()
    for _ in range(MAX_FAILURES):
        assert ask(verify(name, "wrong")) == ("wrongPassword", None)
    assert lab.search(dn_of(name), "pwdAccountLockedTime")["pwdAccountLockedTime"]
    assert ask(verify(name)) == ("barred", "locked")


@pytest.fixture
def aging(lab, newcomer):
    """Returns a function that adds a person whose password is as old as a number of seconds, and valid
    for a day."""

    def add(age):
        name = newcomer()
        lab.set(dn_of(name), "pwdPolicySubentry", f"cn=aging,ou=policies,{SUFFIX}")
        changed = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y%m%d%H%M%SZ")
        lines = (f"dn: {dn_of(name)}", "changetype: modify", "replace: pwdChangedTime")
        ldif = "\n".join([*lines, f"pwdChangedTime: {changed}", ""])
        lab.tool("ldapmodify", "-e", "!relax", ldif=ldif)
        return name

    return add


def test_expired_password(ask, aging):
    assert ask(verify(aging(2 * 86400))) == ("barred", "passwordExpired")


def test_wrong_password_where_the_password_has_expired(ask, aging):
    assert ask(verify(aging(2 * 86400), "wrong"))[0] in ("wrongPassword", "barred")


def test_password_that_expires_soon_is_right(ask, aging):
    """The server warns in a control."""
    assert type_of(ask(verify(aging(3600)))) == "user"
