"""Logins through the directory: the auth server, the process beside it and slapd."""

import itertools

import pytest

import slapd
from api import SELF, by_name, error_of
from robots import DAY, DIRECTORY, LOOK_UP_AFTER, MINUTE, OFFLINE_DAYS
from slapd import ADMINS, AUDITORS, USERS, dn_of, person
from support import free_port, wait_for

# Values of pwdAccountLockedTime: by an administrator, and by the policy after wrong passwords.
DISABLED, LOCKED = "000001010000Z", "20260101000000Z"
# Robots of a lab.
ROBOTS = 20


@pytest.fixture
def away(make_robot, certificate, tmp_path):
    """A robot whose directory is its own, so that the test may stop it."""
    folder = tmp_path / "slapd"
    folder.mkdir()
    server = slapd.Slapd(folder, certificate, slapd.SAMPLE).create().start()
    yield make_robot().is_told(servers=[server.ldaps]), server
    server.kill()


# --- Logging in.


@pytest.mark.parametrize(
    "name, account_type", [("ada", "admin"), ("grace", "user"), ("alan", "auditor")]
)
def test_first_login_makes_the_user(robot, name, account_type):
    assert name not in robot.users()
    token = robot.api.login(name)["access_token"]
    shown = robot.api.introspect(token)
    assert shown["username"] == name
    assert shown["ot_account_type"] == account_type
    assert shown["ot_fullname"] == f"{name.capitalize()} Sample"
    user = robot.user(name)
    assert user["source"] == "directory"
    assert user["accountType"] == account_type
    assert user["resetPassword"] is False
    assert user["locked"] is False
    assert robot.user("boss")["source"] == "local"
    assert any(name in each and "directory" in each for each in robot.messages())


def test_later_login_is_of_the_same_user(robot):
    for _ in range(3):
        robot.api.login("grace")
    assert robot.users() == ["boss", "grace"]


def test_name_in_another_case_is_the_same_user(robot):
    robot.api.login("GRACE")
    robot.api.login("grace")
    assert robot.users() == ["boss", "grace"]


def test_wrong_password_and_nobody_get_the_same_answer(robot):
    wrong, nobody = robot.api.try_login("grace", "wrong-password"), robot.api.try_login("nobody")
    assert wrong.status == nobody.status == 400
    assert wrong.json == nobody.json
    assert robot.users() == ["boss"]


def test_person_in_no_group_is_refused(robot):
    assert robot.login_is_refused("margaret")
    assert robot.users() == ["boss"]
    assert any("no group" in each for each in robot.messages())


def test_group_in_a_group(robot):
    robot.api.login("katherine")
    assert robot.user("katherine")["accountType"] == "user"


@pytest.mark.parametrize(
    "attribute, value, reason",
    [
        ("pwdAccountLockedTime", DISABLED, "is disabled"),
        ("pwdAccountLockedTime", LOCKED, "is locked"),
        ("pwdEndTime", "20200101000000Z", "has expired"),
        ("pwdReset", "TRUE", "needs a new password"),
    ],
)
def test_barred_account_is_refused(robot, lab, newcomer, attribute, value, reason):
    name = newcomer()
    lab.set(dn_of(name), attribute, value)
    assert robot.login_is_refused(name)
    assert robot.users() == ["boss"]
    assert any("A login was refused" in each and reason in each for each in robot.messages())


# --- Local accounts come first.


def test_local_account_with_the_name_of_a_person(robot, lab):
    robot.api.create("grace", token=robot.token, password="local-horse")
    before = lab.binds(dn_of("grace"))
    assert robot.login_is_refused("grace")
    robot.api.login("grace", "local-horse")
    assert robot.user("grace")["source"] == "local"
    assert lab.binds(dn_of("grace")) == before


def test_local_administrator_while_the_directory_is_away(away):
    robot, server = away
    server.kill()
    robot.api.login("boss")


def test_last_local_administrator_stays(robot):
    """Administrators of the directory do not count."""
    ada = robot.api.login("ada")["access_token"]
    assert error_of(robot.api.delete("boss", ada)) == (409, "lastAdmin")
    assert error_of(robot.api.update("boss", ada, accountType="user")) == (409, "lastAdmin")


# --- Changes in the directory.


def test_rename(robot, lab, newcomer):
    name = newcomer()
    robot.api.login(name)
    lab.rename(dn_of(name), f"uid={name}r")
    # slapd itself does not rename the group's member.
    lab.join(USERS, dn_of(f"{name}r"))
    lab.set(dn_of(f"{name}r"), "cn", "Another Name")
    assert robot.login_is_refused(name)
    robot.api.login(f"{name}r")
    assert robot.users() == ["boss", f"{name}r"]
    assert robot.user(f"{name}r")["fullName"] == "Another Name"


def test_another_person_with_the_name_is_not_the_user(robot, lab, newcomer):
    name = newcomer(cn="One Person")
    token = robot.api.login(name)["access_token"]
    lab.delete(dn_of(name))
    # The group still has the name.
    lab.add(person(name, cn="Somebody Else"))
    assert robot.login_is_refused(name)
    assert robot.user(name)["fullName"] == "One Person"
    assert not robot.api.active(token)


@pytest.mark.parametrize("group, account_type", [(ADMINS, "admin"), (AUDITORS, "auditor")])
def test_change_of_group_at_the_next_login(robot, lab, newcomer, group, account_type):
    name = newcomer()
    first = robot.api.login(name)["access_token"]
    lab.leave(USERS, dn_of(name))
    lab.join(group, dn_of(name))
    second = robot.api.login(name)["access_token"]
    assert robot.api.introspect(second)["ot_account_type"] == account_type
    assert not robot.api.active(first)


def exclude(lab, name, how):
    """Makes a person one who may not use the robot."""
    if how == "disabled":
        lab.set(dn_of(name), "pwdAccountLockedTime", DISABLED)
    elif how == "deleted":
        lab.delete(dn_of(name))
    else:
        lab.leave(USERS, dn_of(name))


OUT = ["disabled", "deleted", "out of the group"]


@pytest.mark.parametrize("how", OUT)
def test_session_of_somebody_who_is_out_ends_after_a_refresh(robot, lab, newcomer, later, how):
    name, other = newcomer(), newcomer()
    # In this order, so that the sweep looks up the other person first.
    others, pair = robot.api.login(other), robot.api.login(name)
    exclude(lab, name, how)
    # The last look is not old yet.
    pair = robot.api.refresh(pair["refresh_token"]).json
    assert robot.api.active(pair["access_token"])
    later(LOOK_UP_AFTER)
    # The refresh does not wait for the directory.
    answer = robot.api.refresh(pair["refresh_token"])
    assert answer.status == 200
    wait_for(lambda: not robot.api.active(answer.json["access_token"]), "the session ends")
    assert robot.api.refresh(answer.json["refresh_token"]).status == 400
    assert robot.api.active(others["access_token"])
    assert robot.login_is_refused(name)


@pytest.mark.parametrize("how", OUT)
def test_session_of_somebody_who_is_out_ends_without_a_refresh(robot, lab, newcomer, later, how):
    name, other = newcomer(), newcomer()
    # In this order, so that the sweep looks up the other person first.
    others, token = (robot.api.login(each)["access_token"] for each in (other, name))
    exclude(lab, name, how)
    later(LOOK_UP_AFTER)
    wait_for(lambda: not robot.api.active(token), "the session ends")
    assert robot.api.active(others)


@pytest.mark.parametrize(
    "attribute, value", [("pwdAccountLockedTime", LOCKED), ("pwdReset", "TRUE")]
)
def test_session_of_somebody_who_is_locked_or_needs_a_password_goes_on(
    robot, lab, newcomer, later, attribute, value
):
    """A lock keeps strangers out, not the owner (NIST SP 800-63B section 5.2.2)."""
    name, out = newcomer(), newcomer()
    token, other = (robot.api.login(each)["access_token"] for each in (name, out))
    lab.set(dn_of(name), attribute, value)
    exclude(lab, out, "disabled")
    later(LOOK_UP_AFTER)
    wait_for(lambda: not robot.api.active(other), "people are looked up")
    assert robot.api.active(token)
    assert robot.login_is_refused(name)


def test_change_of_group_ends_sessions(robot, lab, newcomer, later):
    name = newcomer(ADMINS)
    pair = robot.api.login(name)
    lab.leave(ADMINS, dn_of(name))
    lab.join(AUDITORS, dn_of(name))
    later(LOOK_UP_AFTER)
    robot.api.refresh(pair["refresh_token"])
    wait_for(lambda: robot.user(name)["accountType"] == "auditor", "the type is taken over")
    assert not robot.api.active(pair["access_token"])


# --- The directory is away.


def test_login_with_the_password_that_was_confirmed_last(away):
    robot, server = away
    robot.api.login("grace")
    server.kill()
    assert robot.login_is_refused("grace", "wrong-password")
    robot.api.login("grace")
    assert any("cannot be asked" in each for each in robot.messages())
    # Somebody who has never logged in here.
    assert robot.login_is_refused("alan")
    assert robot.users() == ["boss", "grace"]


def test_directory_that_is_frozen_is_away(away):
    robot, server = away
    robot.api.login("grace")
    server.freeze()
    robot.api.login("grace")


def test_process_that_does_not_run_is_like_a_directory_that_is_away(robot):
    robot.api.login("grace")
    robot.process.process.kill()
    robot.process.listener.close()
    robot.api.login("grace")
    assert robot.login_is_refused("alan")


def test_password_confirmed_last_grows_old(away, later):
    robot, server = away
    robot.api.login("grace")
    later(OFFLINE_DAYS * DAY - MINUTE)
    server.kill()
    robot.api.login("grace")
    # A login without the directory confirms nothing.
    later(2 * MINUTE)
    assert robot.login_is_refused("grace")
    server.start()
    robot.api.login("grace")
    server.kill()
    robot.api.login("grace")


def test_password_confirmed_last_survives_a_restart(away):
    robot, server = away
    robot.api.login("grace")
    server.kill()
    assert robot.server.stop() == 0
    robot.start()
    robot.api.login("grace")


def test_without_days_offline_nothing_is_kept(away):
    robot, server = away
    robot.is_told(servers=[server.ldaps], offlineDays=0)
    robot.api.login("grace")
    server.kill()
    assert robot.login_is_refused("grace")


@pytest.mark.parametrize("how", OUT)
def test_password_of_somebody_who_is_out_is_forgotten(away, later, how):
    robot, server = away
    token = robot.api.login("grace")["access_token"]
    exclude(server, "grace", how)
    later(LOOK_UP_AFTER)
    wait_for(lambda: not robot.api.active(token), "the session ends")
    server.kill()
    assert robot.login_is_refused("grace")


def test_old_password_is_not_good_after_a_new_one(away):
    robot, server = away
    robot.api.login("grace")
    server.set(dn_of("grace"), "userPassword", "another-horse")
    # The policy demands another one after one that an administrator has set.
    server.set(dn_of("grace"), "pwdReset")
    robot.api.login("grace", "another-horse")
    server.kill()
    assert robot.login_is_refused("grace")
    robot.api.login("grace", "another-horse")


def test_sessions_go_on(away, later):
    robot, server = away
    pair = robot.api.login("grace")
    server.kill()
    for _ in range(3):
        later(LOOK_UP_AFTER)
        pair = robot.api.refresh(pair["refresh_token"]).json
        assert robot.api.active(pair["access_token"])


# --- Passwords.


def test_password_routes(robot):
    token = robot.api.login("grace")["access_token"]
    managed = (400, "passwordManagedByDirectory")
    api = robot.api
    assert error_of(api.patch(SELF, {"password": "another-horse"}, token)) == managed
    assert error_of(api.validate("another-horse", token)) == managed
    assert error_of(api.update("grace", robot.token, password="another-horse")) == managed
    assert error_of(api.update("grace", robot.token, resetPassword=True)) == managed
    reset = api.request("POST", by_name("grace", "/resetPassword"), token=robot.token)
    assert error_of(reset) == managed
    api.login("grace")


def failures(lab, name):
    """Returns how many wrong passwords of a person the directory has counted."""
    return len(lab.search(dn_of(name), "pwdFailureTime").get("pwdFailureTime", []))


def test_robot_cannot_lock_somebody_out_of_the_directory(robot, lab, newcomer):
    name = newcomer()
    tries = [name, name.upper(), name.capitalize(), f" {name}", f"{name} ", f"{name}\u200b"]
    answers = [
        robot.api.try_login(each, f"wrong-password-{number}")
        for number, each in enumerate(itertools.chain(tries, tries, [name] * 5))
    ]
    assert failures(lab, name) <= 3
    assert not lab.has(dn_of(name), "pwdAccountLockedTime")
    assert answers[-1].status == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    # Nor is anybody else kept out.
    robot.api.login("grace")


def test_wrong_passwords_are_forgotten_after_half_an_hour(robot, lab, newcomer, later):
    name = newcomer()
    for _ in range(3):
        assert robot.login_is_refused(name, "wrong-password")
    assert robot.api.try_login(name).status == 429
    later(30 * MINUTE)
    robot.api.login(name)


def test_setting_of_wrong_passwords(robot, lab, newcomer):
    robot.is_told(maxWrongPasswords=1)
    name = newcomer()
    assert robot.login_is_refused(name, "wrong-password")
    assert robot.api.try_login(name).status == 429
    assert failures(lab, name) == 1


# --- The configuration.


def test_configuration_is_tried_before_it_is_taken(make_robot):
    robot = make_robot()
    closed = f"ldaps://localhost:{free_port()}"
    for changes in {"bindPassword": "wrong"}, {"servers": [closed]}, {"base": "ou=nowhere"}:
        answer = robot.configure(**changes)
        assert error_of(answer) == (400, "directoryTestFailed")
        assert slapd.ROBOT_PASSWORD not in answer.body.decode()
    assert robot.api.get(DIRECTORY, robot.token).status == 404
    assert robot.login_is_refused("grace")


def test_bind_password_is_never_shown(robot):
    answer = robot.api.get(DIRECTORY, robot.token)
    assert answer.status == 200
    assert slapd.ROBOT_PASSWORD not in answer.body.decode()
    assert "bindPassword" not in answer.json["data"]


def test_nobody_of_the_directory_after_its_removal(robot):
    token = robot.api.login("grace")["access_token"]
    assert robot.api.request("DELETE", DIRECTORY, token=robot.token).status == 200
    assert not robot.api.active(token)
    assert robot.login_is_refused("grace")


def test_robot_without_a_directory_asks_nobody(make_robot):
    robot = make_robot()
    # Nobody else accepts connections then.
    robot.process.process.kill()
    robot.process.process.wait()
    assert robot.login_is_refused("grace")
    robot.process.listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        robot.process.listener.accept()


def test_console_shows_the_directory(robot):
    done = robot.console("directory", "show")
    assert done.returncode == 0, done.stderr
    assert "ldaps://localhost" in done.stdout
    assert slapd.ROBOT_PASSWORD not in done.stdout


# --- A lab.


def test_somebody_disabled_is_out_at_every_robot_with_one_provider_down(
    make_robot, providers, later
):
    one, two = providers
    for name in "nora", "omar":
        one.add(person(name))
        one.join(USERS, dn_of(name))
        wait_for(lambda name=name: two.has(USERS, "member", dn_of(name)), "it is replicated")
    robots = [make_robot() for _ in range(ROBOTS)]
    tokens = []
    for robot in robots:
        robot.is_told(servers=[one.ldaps, two.ldaps])
        tokens.append([robot.api.login(name)["access_token"] for name in ("nora", "omar")])
    one.kill()
    try:
        two.set(dn_of("nora"), "pwdAccountLockedTime", DISABLED)
        later(LOOK_UP_AFTER)
        for robot, (nora, omar) in zip(robots, tokens, strict=True):
            wait_for(lambda robot=robot, nora=nora: not robot.api.active(nora), "the session ends")
            assert robot.api.active(omar)
            assert robot.login_is_refused("nora")
            robot.api.login("omar")
    finally:
        one.start()
