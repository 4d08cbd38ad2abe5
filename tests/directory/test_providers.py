"""Two providers that replicate to each other."""

import pytest

import slapd
from directory_client import found, look_up, type_of, verify
from slapd import dn_of, person
from support import wait_for


@pytest.fixture
def ask(process, settings, providers):
    def ask(operation, *servers):
        urls = [each.ldaps for each in servers or providers]
        return process.ask(settings(servers=urls), operation)

    return ask


def test_a_person_is_the_same_at_both(ask, providers):
    one, two = providers
    assert found(ask(verify("ada"), one)) == found(ask(verify("ada"), two))


def test_change_at_either_holds_at_both(ask, providers):
    one, two = providers
    for here, there, name in (one, two, "sophie"), (two, one, "emmy"):
        here.add(person(name))
        here.join(slapd.USERS, dn_of(name))
        wait_for(
            lambda there=there, name=name: there.has(slapd.USERS, "member", dn_of(name)),
            "the group is replicated",
        )
        who = found(ask(verify(name), there))
        assert who["accountType"] == "user"
        there.set(dn_of(name), "pwdAccountLockedTime", "000001010000Z")
        wait_for(
            lambda here=here, name=name: here.has(dn_of(name), "pwdAccountLockedTime"),
            "the lock is replicated",
        )
        assert ask(look_up(who["id"]), here) == ("barred", "disabled")


def test_either_may_be_away(ask, providers):
    one, two = providers
    one.kill()
    try:
        assert type_of(ask(verify("ada"))) == "admin"
        two.set(dn_of("alan"), "cn", "Changed Meanwhile")
    finally:
        one.start()
    wait_for(lambda: one.has(dn_of("alan"), "cn", "Changed Meanwhile"), "it catches up")
    two.kill()
    try:
        assert found(ask(verify("alan")))["fullName"] == "Changed Meanwhile"
    finally:
        two.start()
