"""People of an Active Directory, whose reasons are told apart."""

import pytest

from api import PASSWORD
from directory_client import TEST, found, look_up, type_of, verify
from samba_ad import (
    ADMINS,
    AUDITORS,
    DISABLED,
    GROUPS,
    LONG_AGO,
    MAX_AGE,
    MAX_FAILURES,
    NEVER,
    NORMAL,
    PEOPLE,
    REALM,
    ROBOT,
    SUFFIX,
    URL,
    USERS,
    dn_of,
    person,
)

FILTER = "(&(objectCategory=person)(objectClass=user)(sAMAccountName={name}))"
STATES = [
    (("userAccountControl", NORMAL | DISABLED), ("userAccountControl", NORMAL), "disabled"),
    (("accountExpires", LONG_AGO), ("accountExpires", 0), "accountExpired"),
    (("pwdLastSet", 0), ("pwdLastSet", -1), "passwordExpired"),
]


def test_right_password(ask, domain):
    """The identifier is objectGUID's bytes in their order."""
    assert ask(verify("ada")) == (
        "found",
        {
            "id": domain.identifier("ada"),
            "username": "ada",
            "fullName": "Ada Sample",
            "accountType": "admin",
        },
    )


@pytest.mark.parametrize("server", [URL, URL.replace("ldaps", "ldap"), f"{URL}:636"])
@pytest.mark.parametrize("names", [{"upnSuffix": REALM}, {"filter": FILTER}])
def test_both_kinds_of_tls_and_of_names(ask, server, names):
    how = {"servers": [server], "names": names}
    assert type_of(ask(verify("ada"), **how)) == "admin"
    assert ask(verify("ada", "wrong"), **how) == ("wrongPassword", None)
    assert ask(verify("nobody"), **how) == ("nobodyFound", None)


@pytest.mark.parametrize(
    "bind_name", [ROBOT, "LAB\\robot", dn_of("robot", f"OU=Accounts,{SUFFIX}")]
)
def test_bind_account_by_each_of_its_names(ask, bind_name):
    assert ask(TEST, bindName=bind_name)[0] == "tested"


def test_empty_password_is_wrong(ask):
    """The server itself would take it for an anonymous login, which succeeds."""
    assert ask(verify("ada", "")) == ("wrongPassword", None)


def test_unusual_password(ask, domain, newcomer):
    assert type_of(ask(verify(newcomer(password="päss wörd €"), "päss wörd €"))) == "user"


@pytest.mark.parametrize(
    "name, account_type",
    [("ada", "admin"), ("grace", "user"), ("alan", "auditor"), ("margaret", None)],
)
def test_type_by_group(ask, domain, name, account_type):
    assert type_of(ask(verify(name))) == account_type
    assert type_of(ask(look_up(domain.identifier(name)))) == account_type


def test_group_in_a_group_in_a_group(ask, domain):
    """By the matching rule for chains ([MS-ADTS] section 3.1.1.3.4.4.3)."""
    assert domain.search(dn_of("katherine"), "memberOf") == [f"CN=chromatography,{GROUPS}".encode()]
    assert type_of(ask(verify("katherine"))) == "user"
    assert type_of(ask(look_up(domain.identifier("katherine")))) == "user"


@pytest.mark.parametrize(
    "groups, account_type",
    [
        ([AUDITORS, ADMINS, USERS], "admin"),
        ([AUDITORS, USERS], "user"),
        ([AUDITORS, f"CN=chemistry,{GROUPS}"], "user"),
    ],
)
def test_most_powerful_group_counts(ask, newcomer, groups, account_type):
    assert type_of(ask(verify(newcomer(*groups)))) == account_type


def test_primary_group(ask, domain, newcomer):
    """It is in no memberOf ([MS-ADTS] section 3.1.1.1.3); no robot's group has to be one."""
    domain_users = f"CN=Domain Users,CN=Users,{SUFFIX}"
    kind, content = ask(verify(newcomer()), adminGroups=[domain_users])
    assert kind == "found"
    assert content["accountType"] == "user"


def test_name_in_any_case(ask):
    assert found(ask(verify("ADA")))["username"] == "ada"


@pytest.mark.parametrize(
    "name",
    [
        *("*", "a*", "ada)(sAMAccountName=*", "ada\0", "\\61da", f"ada@{REALM}", "LAB\\ada", ""),
        *("ada)(|(objectClass=*", "ada\\00", "x" * 300, "🧪", dn_of("ada"), " ", "@", f"@{REALM}"),
    ],
    ids=ascii,
)
def test_injection_in_a_name_finds_nobody(ask, name):
    assert ask(verify(name)) == ("nobodyFound", None)


@pytest.mark.parametrize("change, back, reason", STATES, ids=lambda each: str(each)[:30])
def test_account_that_is_barred_and_is_no_longer(ask, domain, newcomer, change, back, reason):
    name = newcomer()
    who = domain.identifier(name)
    domain.set(dn_of(name), *change)
    assert ask(verify(name)) == ("barred", reason)
    assert ask(verify(name, "wrong")) == ("wrongPassword", None)
    answer = ask(look_up(who))
    if reason in ("locked", "passwordExpired"):
        assert type_of(answer) == "user"
    else:
        assert answer == ("barred", reason)
    domain.set(dn_of(name), *back)
    assert type_of(ask(verify(name))) == "user"
    assert type_of(ask(look_up(who))) == "user"


def test_lock_by_wrong_passwords(ask, domain, newcomer):
    name = newcomer()
    for _ in range(MAX_FAILURES):
        assert ask(verify(name, "wrong")) == ("wrongPassword", None)
    assert ask(verify(name)) == ("barred", "locked")
    assert type_of(ask(look_up(domain.identifier(name)))) == "user"
    domain.set(dn_of(name), "lockoutTime", 0)
    assert type_of(ask(verify(name))) == "user"


def test_password_that_is_too_old(ask, domain, newcomer):
    """The domain tells it apart from one that an administrator wants to be changed: sub-code 532, not
    773."""
    name = newcomer()
    who = domain.identifier(name)
    domain.age_password(name, MAX_AGE - 1)
    assert type_of(ask(verify(name))) == "user"
    domain.age_password(name, MAX_AGE + 1)
    assert "data 532," in domain.bind(name)
    assert ask(verify(name)) == ("barred", "passwordExpired")
    assert ask(verify(name, "wrong")) == ("wrongPassword", None)
    assert type_of(ask(look_up(who))) == "user"
    domain.leave(USERS, dn_of(name))
    assert type_of(ask(look_up(who))) is None
    domain.set_password(name, "another-horse")
    assert type_of(ask(verify(name, "another-horse"))) is None


def test_each_question_counts_one_wrong_password(ask, domain, newcomer):
    name = newcomer()
    for times in (1, 2, 3):
        assert ask(verify(name, "wrong")) == ("wrongPassword", None)
        assert domain.search(dn_of(name), "badPwdCount") == [str(times).encode()]


def test_hours_in_which_nobody_may_log_in(ask, domain, newcomer):
    name = newcomer()
    domain.modify(dn_of(name), ("replace", "logonHours:", NEVER))
    assert ask(verify(name)) == ("barred", "notHereOrNow")


def test_change_of_group(ask, domain, newcomer):
    name = newcomer()
    who = domain.identifier(name)
    domain.join(ADMINS, dn_of(name))
    assert type_of(ask(look_up(who))) == "admin"
    domain.leave(ADMINS, dn_of(name))
    domain.leave(USERS, dn_of(name))
    assert type_of(ask(look_up(who))) is None


def test_rename(ask, domain, newcomer):
    name = newcomer()
    who = found(ask(verify(name)))["id"]
    domain.rename(dn_of(name), f"CN={name} renamed", f"OU=Guests,{PEOPLE}")
    dn = f"CN={name} renamed,OU=Guests,{PEOPLE}"
    domain.modify(
        dn,
        ("replace", "sAMAccountName", f"{name}r"),
        ("replace", "userPrincipalName", f"{name}r@{REALM}"),
        ("replace", "displayName", "Another Name"),
    )
    for operation in (look_up(who), verify(f"{name}r")):
        person = found(ask(operation))
        assert person == {
            "id": who,
            "username": f"{name}r",
            "fullName": "Another Name",
            "accountType": "user",
        }
    assert ask(verify(name)) == ("nobodyFound", None)


def test_deletion_and_another_person_with_the_name(ask, domain, newcomer):
    name = newcomer()
    who = found(ask(verify(name)))["id"]
    domain.delete(dn_of(name))
    assert ask(verify(name)) == ("nobodyFound", None)
    assert ask(look_up(who)) == ("nobodyFound", None)
    domain.add(person(name))
    assert found(ask(verify(name)))["id"] != who
    assert ask(look_up(who)) == ("nobodyFound", None)


def test_password_that_was_changed(ask, domain, newcomer):
    """Whether AD takes the one before for a time depends on its policy; the new one is right at once."""
    name = newcomer()
    domain.set_password(name, "another-horse")
    assert type_of(ask(verify(name, "another-horse"))) == "user"
    assert ask(verify(name, PASSWORD))[0] == "wrongPassword"


def test_what_is_wrong_is_said(ask):
    for changes, words in (
        ({"bindPassword": "wrong"}, "password"),
        ({"bindName": f"nobody@{REALM}"}, "nobody"),
        ({"base": f"OU=Nowhere,{SUFFIX}"}, "OU=Nowhere"),
    ):
        kind, said = ask(TEST, **changes)
        assert kind == "misconfigured"
        assert words in said


def test_group_that_does_not_exist_is_a_warning(ask):
    """It may be made later."""
    kind, [said] = ask(TEST, userGroups=[f"CN=nothing,{GROUPS}"])
    assert kind == "tested"
    assert f"CN=nothing,{GROUPS}" in said and "warning" in said
