"""Logins through Samba's Active Directory: the auth server, the process beside it and Samba."""

import json

import pytest

from api import PASSWORD, error_of
from certificates import Authority
from robots import DIRECTORY, LOOK_UP_AFTER
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
    ROBOT_PASSWORD,
    SUFFIX,
    URL,
    USERS,
    dn_of,
    person,
)
from support import wait_for


@pytest.fixture
def stop(domain):
    """Returns a function that stops the domain by a method of it, until the end of the test."""
    yield lambda how: getattr(domain, how)()
    if domain.process.poll() is None:
        domain.thaw()
    else:
        domain.start()


def refused_because(robot, name, reason, password=PASSWORD):
    """Returns whether a login with the right password is refused like one with a wrong one, and the audit
    log has the reason."""
    before = len(robot.messages())
    assert robot.login_is_refused(name, password)
    said = robot.messages()[before:]
    return any("A login was refused" in each and reason in each for each in said)


# --- Logging in.


@pytest.mark.parametrize(
    "name, account_type",
    [("ada", "admin"), ("grace", "user"), ("alan", "auditor"), ("katherine", "user")],
)
def test_first_login_makes_the_user(robot, domain, name, account_type):
    """Katherine's group is in a group of a group of the users; AD's matching rule for chains
    ([MS-ADTS] section 3.1.1.3.4.4.3) finds them."""
    if name == "katherine":
        direct = domain.search(dn_of(name), "memberOf")
        assert direct == [f"CN=chromatography,{GROUPS}".encode()]
    assert robot.users() == ["boss"]
    shown = robot.api.introspect(robot.api.login(name)["access_token"])
    assert shown["username"] == name
    assert shown["ot_account_type"] == account_type
    assert shown["ot_fullname"] == f"{name.capitalize()} Sample"
    user = robot.user(name)
    assert user["source"] == "directory"
    assert user["accountType"] == account_type
    robot.api.login(name.upper())
    assert set(robot.users()) == {"boss", name}


def test_wrong_password_and_nobody_get_the_same_answer(robot):
    wrong, nobody = robot.api.try_login("grace", "wrong-password"), robot.api.try_login("nobody")
    assert wrong.status == nobody.status == 400
    assert wrong.json == nobody.json
    assert robot.users() == ["boss"]


def test_person_in_no_group_is_refused(robot):
    assert refused_because(robot, "margaret", "no group")
    assert robot.users() == ["boss"]


def test_robot_cannot_lock_somebody_out_of_the_domain(robot, domain, newcomer):
    name = newcomer()
    answers = [robot.api.try_login(name, f"wrong-{number}") for number in range(MAX_FAILURES + 1)]
    assert [answer.status for answer in answers] == [400] * 3 + [429] * (MAX_FAILURES - 2)
    assert domain.search(dn_of(name), "badPwdCount") == [b"3"]


# --- Accounts that the domain lets nobody in by.


@pytest.mark.parametrize(
    "change, back, reason",
    [
        (("userAccountControl", NORMAL | DISABLED), ("userAccountControl", NORMAL), "is disabled"),
        (("accountExpires", LONG_AGO), ("accountExpires", 0), "has expired"),
        (("pwdLastSet", 0), ("pwdLastSet", -1), "needs a new password"),
        (("logonHours:", NEVER), ("logonHours",), "may not log in here or now"),
    ],
    ids=["disabled", "expired", "must change its password", "outside of its hours"],
)
def test_barred_account_is_refused(robot, domain, newcomer, change, back, reason):
    name = newcomer()
    domain.set(dn_of(name), *change)
    assert refused_because(robot, name, reason)
    assert robot.users() == ["boss"]
    domain.set(dn_of(name), *back)
    robot.api.login(name)


def test_locked_account_is_refused(robot, domain, newcomer):
    name = newcomer()
    domain.lock(name)
    assert refused_because(robot, name, "is locked")
    domain.set(dn_of(name), "lockoutTime", 0)
    robot.api.login(name)


def test_password_that_is_too_old_is_refused(robot, domain, newcomer):
    name = newcomer()
    domain.age_password(name, MAX_AGE + 1)
    assert refused_because(robot, name, "needs a new password")
    assert robot.users() == ["boss"]
    domain.set_password(name, "another-horse")
    robot.api.login(name, "another-horse")


# --- Changes in the domain.


def rename(domain, name):
    """Gives a person another name, in another place, and returns it."""
    new = f"{name}r"
    domain.rename(dn_of(name), f"CN={new}", f"OU=Guests,{PEOPLE}")
    domain.modify(
        dn_of(new, f"OU=Guests,{PEOPLE}"),
        ("replace", "sAMAccountName", new),
        ("replace", "userPrincipalName", f"{new}@{REALM}"),
        ("replace", "displayName", "Another Name"),
    )
    return new


def test_rename_at_a_login(robot, domain, newcomer):
    """Who somebody is, objectGUID says, which stays."""
    name = newcomer()
    token = robot.api.login(name)["access_token"]
    new = rename(domain, name)
    assert robot.login_is_refused(name)
    robot.api.login(new)
    assert robot.users() == ["boss", new]
    assert robot.user(new)["fullName"] == "Another Name"
    # Sessions end with another username, as after a change by an administrator.
    assert not robot.api.active(token)


def test_rename_at_a_look_up(robot, domain, newcomer, later):
    name = newcomer()
    token = robot.api.login(name)["access_token"]
    new = rename(domain, name)
    later(LOOK_UP_AFTER)
    wait_for(lambda: robot.users() == ["boss", new], "the user is renamed")
    assert not robot.api.active(token)


def test_another_person_with_the_name_is_somebody_else(robot, domain, newcomer):
    """Nobody gets the account of somebody who had the name before, who is out."""
    name = newcomer(displayName="One Person")
    token = robot.api.login(name)["access_token"]
    domain.delete(dn_of(name))
    domain.add(person(name, password="another-horse", displayName="Somebody Else"))
    domain.join(ADMINS, dn_of(name))
    assert robot.login_is_refused(name)
    reason = "has the username of another account"
    assert refused_because(robot, name, reason, password="another-horse")
    assert robot.user(name)["fullName"] == "One Person"
    assert robot.user(name)["accountType"] == "user"
    assert not robot.api.active(token)


def exclude(domain, name, how):
    """Makes a person one who may not use the robot."""
    if how == "disabled":
        domain.set(dn_of(name), "userAccountControl", NORMAL | DISABLED)
    elif how == "expired":
        domain.set(dn_of(name), "accountExpires", LONG_AGO)
    elif how == "deleted":
        domain.delete(dn_of(name))
    else:
        domain.leave(USERS, dn_of(name))


@pytest.mark.parametrize("how", ["disabled", "expired", "deleted", "out of the group"])
@pytest.mark.parametrize("refreshes", [True, False], ids=["a refresh", "no refresh"])
def test_session_of_somebody_who_is_out_ends(robot, domain, newcomer, later, how, refreshes):
    name, other = newcomer(), newcomer()
    # In this order, so that the other person is looked up first.
    others, pair = robot.api.login(other), robot.api.login(name)
    exclude(domain, name, how)
    later(LOOK_UP_AFTER)
    if refreshes:
        answer = robot.api.refresh(pair["refresh_token"])
        assert answer.status == 200
        pair = answer.json
    wait_for(lambda: not robot.api.active(pair["access_token"]), "the session ends")
    assert robot.api.refresh(pair["refresh_token"]).status == 400
    assert robot.api.active(others["access_token"])
    assert robot.login_is_refused(name)


@pytest.mark.parametrize("how", ["locked", "must change its password", "has an old password"])
def test_session_goes_on_of_somebody_who_may_only_not_log_in(robot, domain, newcomer, later, how):
    name, out = newcomer(), newcomer()
    token, other = (robot.api.login(each)["access_token"] for each in (name, out))
    if how == "locked":
        domain.lock(name)
    elif how == "has an old password":
        domain.age_password(name, MAX_AGE + 1)
    else:
        domain.set(dn_of(name), "pwdLastSet", 0)
    exclude(domain, out, "disabled")
    later(LOOK_UP_AFTER)
    wait_for(lambda: not robot.api.active(other), "people are looked up")
    assert robot.api.active(token)
    assert robot.login_is_refused(name)


def test_change_of_group(robot, domain, newcomer, later):
    name = newcomer(ADMINS)
    token = robot.api.login(name)["access_token"]
    domain.leave(ADMINS, dn_of(name))
    domain.join(AUDITORS, dn_of(name))
    later(LOOK_UP_AFTER)
    wait_for(lambda: robot.user(name)["accountType"] == "auditor", "the type is taken over")
    assert not robot.api.active(token)


# --- The domain is away.


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_login_with_the_password_that_was_confirmed_last(robot, stop, how, later):
    pair = robot.api.login("grace")
    stop(how)
    assert robot.login_is_refused("grace", "wrong-password")
    robot.api.login("grace")
    assert any("cannot be asked" in each for each in robot.messages())
    # Somebody who has never logged in here.
    assert robot.login_is_refused("alan")
    assert robot.users() == ["boss", "grace"]
    later(LOOK_UP_AFTER)
    pair = robot.api.refresh(pair["refresh_token"]).json
    assert robot.api.active(pair["access_token"])


def test_domain_that_is_there_again_decides(robot, domain, newcomer, stop):
    name = newcomer()
    robot.api.login(name)
    stop("freeze")
    token = robot.api.login(name)["access_token"]
    domain.thaw()
    exclude(domain, name, "disabled")
    assert refused_because(robot, name, "is disabled")
    wait_for(lambda: not robot.api.active(token), "the session ends")
    # The password that it confirmed before is forgotten.
    stop("freeze")
    assert robot.login_is_refused(name)


# --- The configuration.


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"bindPassword": "wrong"}, "password"),
        ({"bindName": f"nobody@{REALM}"}, f"nobody@{REALM}"),
        ({"base": f"OU=Nowhere,{SUFFIX}"}, "OU=Nowhere"),
        ({"servers": ["ldaps://localhost:1"]}, "localhost:1"),
    ],
    ids=["password", "name", "base", "server"],
)
def test_configuration_that_does_not_work_is_not_taken(make_robot, changes, words):
    robot = make_robot()
    answer = robot.configure(**changes)
    assert error_of(answer) == (400, "directoryTestFailed")
    assert words in answer.json["detail"]
    assert ROBOT_PASSWORD not in answer.body.decode()
    assert robot.api.get(DIRECTORY, robot.token).status == 404
    assert robot.login_is_refused("grace")


def test_server_of_another_authority(make_robot, tmp_path):
    robot = make_robot()
    answer = robot.configure(ca=Authority(tmp_path, "Other CA").pem)
    assert error_of(answer) == (400, "directoryTestFailed")
    assert "certificate" in answer.json["detail"]


def test_configuration_that_works_is_taken(make_robot):
    robot = make_robot()
    missing = f"CN=nothing,{GROUPS}"
    answer = robot.configure(auditorGroups=[AUDITORS, missing])
    assert answer.status == 200, answer.body
    [found] = answer.json["meta"]["found"]
    assert URL in found and "warning" in found and missing in found and AUDITORS not in found
    shown = robot.api.get(DIRECTORY, robot.token).json["data"]
    assert shown["kind"] == "activeDirectory"
    assert shown["upnSuffix"] == REALM
    assert shown["fullNameAttribute"] == "displayName"
    assert "bindPassword" not in shown
    robot.api.login("alan")
    # Without the password, which is stored.
    tried = robot.api.request("POST", f"{DIRECTORY}/test", shown, robot.token)
    assert tried.status == 200, tried.body
    assert tried.json["data"]["found"] == [found]


def test_configuration_at_the_console(make_robot, robot_settings):
    robot = make_robot()
    file = robot.folder / "directory.json"

    def set_(**changes):
        file.write_text(json.dumps(robot_settings | changes))
        return robot.console("directory", "set", "--file", file)

    done = set_(bindPassword="wrong")
    assert done.returncode == 1
    assert "password" in done.stderr
    assert robot.console("directory", "show").returncode == 3
    done = set_()
    assert done.returncode == 0, done.stderr
    assert URL in done.stdout
    robot.api.login("katherine")
    done = robot.console("directory", "test")
    assert done.returncode == 0, done.stderr
    assert URL in done.stdout and "warning" not in done.stdout
    done = robot.console("directory", "test", "userGroups=" + f"CN=nothing,{GROUPS}")
    assert done.returncode == 0, done.stderr
    assert "warning" in done.stdout and f"CN=nothing,{GROUPS}" in done.stdout
    done = robot.console("directory", "test", f"base=OU=Nowhere,{SUFFIX}")
    assert done.returncode == 1
    assert "OU=Nowhere" in done.stderr
