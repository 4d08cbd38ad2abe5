"""Console commands for what HTTP can change: users, sessions and settings, while the service is
running and while it is not."""

import re

import pytest

from api import DEFAULT_SETTINGS, PASSWORD, Api
from support import edit_database

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def while_running(robot, serve):
    """Returns a function that calls `use` with the API while the service is running."""

    def call(use):
        if robot.server.process.poll() is None:
            return use(robot.api)
        path = robot.state.parent / "auth.sock"
        server = serve("--uds", path, "--persistence-directory", robot.state).wait_ready()
        result = use(Api(path))
        server.stop()
        return result

    return call


@pytest.fixture
def log_in(robot, while_running):
    """Returns a function that logs users in and returns their access tokens."""
    return lambda *names: while_running(
        lambda api: [api.login(name)["access_token"] for name in names]
    )


@pytest.fixture
def active(while_running):
    """Returns a function that tells which tokens are active."""
    return lambda tokens: while_running(lambda api: [api.active(token) for token in tokens])


def refused(robot, *arguments, says, code=None, **options):
    """Runs a command that fails, and changes nothing."""
    before = robot.json("user", "list"), robot.json("settings", "show")
    done = robot.console(*arguments, **options)
    assert done.returncode != 0 and done.stdout == "", done.stdout
    assert code in (None, done.returncode), done.returncode
    assert says in done.stderr, done.stderr
    assert (robot.json("user", "list"), robot.json("settings", "show")) == before


def last_row(robot):
    return robot.rows()[-1]


def test_settings_are_shown_with_what_they_accept(robot):
    assert robot.json("settings", "show") == DEFAULT_SETTINGS
    lines = robot.console("settings", "show").stdout.splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "ACCEPTS"]
    assert [line.split()[0] for line in lines[1:]] == list(DEFAULT_SETTINGS)
    assert re.fullmatch(r"idleLogout +180\.0 +between 1 and 604800 seconds", lines[5])
    assert re.fullmatch(r"passwordResetTime +null +between 86400 and .* seconds, or null", lines[2])


def test_every_setting_can_be_changed_and_reset(robot, while_running):
    changed = {
        "maxNumberOfLoginAttempts": None,
        "passwordResetTime": 86400.0,
        "passwordComplexityMinimumLength": 12,
        "passwordComplexitySpecialCharacters": True,
        "idleLogout": 0.5 + 600,
        "requireAdminCredsWhenUpdatingRobotSoftware": False,
        "requireAdminCredsWhenSendingProtocolToRobot": False,
        "requireAdminCredsForSignoffProtocol": True,
    }
    text = {None: "null", True: "true", False: "false"}
    pairs = [f"{name}={text.get(value, value)}" for name, value in changed.items()]
    assert robot.json("settings", "set", *pairs) == changed
    row = last_row(robot)
    assert (row["action"], row["origin"]) == ("edit CRS settings", "console")
    assert "idleLogout 180.0 → 600.5" in row["message"]
    assert while_running(lambda api: api.get("/auth/settings").json["data"]) == changed
    refused(robot, "settings", "reset", input="", says="--yes")
    assert robot.json("settings", "reset", "--yes") == DEFAULT_SETTINGS
    assert last_row(robot)["action"] == "reset CRS settings"


def test_one_setting_leaves_the_others(robot):
    shown = robot.json("settings", "set", "maxNumberOfLoginAttempts=3")
    assert shown == {**DEFAULT_SETTINGS, "maxNumberOfLoginAttempts": 3}


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (["idleLogout"], "must be NAME=VALUE"),
        (["idle=5"], "requireAdminCredsForSignoffProtocol"),
        (["idleLogout=0"], "idleLogout: must be between 1 and 604800 seconds"),
        (["idleLogout=nan"], "idleLogout: must be between 1 and 604800 seconds"),
        (["idleLogout=null"], "idleLogout: must be between 1 and 604800 seconds"),
        (["maxNumberOfLoginAttempts=2", "passwordResetTime=86399"], "86400"),
        (["maxNumberOfLoginAttempts=2.5"], "between 1 and 1000000, or null"),
        (["passwordComplexityMinimumLength=-1"], "between 1 and 1024, or null"),
        (["requireAdminCredsForSignoffProtocol=yes"], "must be true or false"),
        (["idleLogout=5", "idleLogout=6"], "idleLogout: must not be given more than once"),
        ([], "NAME=VALUE"),
    ],
)
def test_invalid_settings_are_refused(robot, pairs, says):
    refused(robot, "settings", "set", *pairs, says=says)


def test_stricter_passwords_end_sessions(robot, log_in, active):
    tokens = log_in("ada", "bob")
    robot.json("settings", "set", "passwordComplexityMinimumLength=9")
    assert active(tokens) == [False, False]
    reasons = {user["resetPasswordReason"] for user in robot.json("user", "list")}
    assert reasons == {"ADMIN_FORCED"}


def test_user_show(robot, log_in):
    log_in("ada")
    user = robot.json("user", "show", "ada")
    assert TIME.fullmatch(user.pop("created")) and TIME.fullmatch(user.pop("lastLogin"))
    assert user.pop("sessions") == 1
    assert user == robot.json("user", "list")[0]
    lines = robot.console("user", "show", "bob").stdout.splitlines()
    shown = dict(line.split(": ", 1) for line in lines)
    assert (shown["username"], shown["full name"], shown["type"]) == ("bob", "bob X", "user")
    assert (shown["sessions"], shown["last login"]) == ("0", "-")
    refused(robot, "user", "show", "eve", says='User "eve" does not exist.')


def test_long_list_tells_creation_and_last_login(robot, log_in):
    log_in("ada", "ada")
    robot.console("user", "add", "eve", "--full-name", "Eve")
    times = {row["action"]: row["time"] for row in robot.rows()}
    ada, bob, eve = robot.json("user", "list", "--long")
    assert (ada["sessions"], ada["lastLogin"]) == (2, times["login succeeded"])
    assert ada["created"] < bob["created"] < ada["lastLogin"]
    assert (eve["created"], eve["lastLogin"]) == (times["create user"], None)
    lines = robot.console("user", "list", "--long").stdout.splitlines()
    assert lines[0].endswith("CREATED                   LAST LOGIN")
    assert lines[1].split()[-2:] == [ada["created"], ada["lastLogin"]]
    assert lines[3].split()[-2:] == [eve["created"], "-"]


def test_times_follow_a_renamed_user_and_not_a_reused_name(robot, log_in):
    log_in("bob")
    before = robot.json("user", "show", "bob")
    robot.json("user", "set", "bob", "--username", "robert")
    robot.json("user", "add", "bob", "--full-name", "Another")
    after = robot.json("user", "show", "robert")
    assert (after["created"], after["lastLogin"]) == (before["created"], before["lastLogin"])
    another = robot.json("user", "show", "bob")
    assert another["created"] > before["lastLogin"] and another["lastLogin"] is None


def test_user_whose_creation_is_not_in_the_log(robot, serve):
    """As one who was imported from the Python server."""
    robot.server.stop()
    statement = (
        "INSERT INTO user SELECT"
        " 9, 'old', 'Old', 'user', 'x', 0, 'NONE', 0, 0, NULL, 0, NULL, NULL, NULL"
    )
    edit_database(robot.state, statement)
    old = robot.json("user", "show", "old")
    assert (old["created"], old["lastLogin"]) == (None, None)


def test_everything_about_a_user_can_be_set(robot, log_in, active, while_running):
    tokens = log_in("bob")
    arguments = ("--username", "robert", "--full-name", "Robert", "--account-type", "auditor")
    user = robot.json("user", "set", "bob", *arguments, "--password", input="another-one\n")
    assert (user["username"], user["fullName"]) == ("robert", "Robert")
    assert (user["accountType"], user["resetPassword"]) == ("auditor", False)
    assert active(tokens) == [False]
    row = last_row(robot)
    assert (row["action"], row["origin"]) == ("update user", "console")
    assert while_running(lambda api: api.try_login("robert", "another-one").status) == 200
    user = robot.json("user", "set", "robert", "--require-new-password")
    assert user["resetPasswordReason"] == "ADMIN_FORCED"
    assert robot.console("user", "set", "robert", "--full-name", "R").stdout == "changed robert\n"


def test_another_full_name_ends_no_session(robot, log_in, active):
    tokens = log_in("bob")
    robot.json("user", "set", "bob", "--full-name", "Robert")
    assert active(tokens) == [True]


def test_invalid_changes_to_a_user_are_refused(robot):
    set_bob = ("user", "set", "bob")
    refused(robot, *set_bob, says="--full-name", code=2)
    refused(robot, *set_bob, "--password", "--require-new-password", says="cannot be used", code=2)
    refused(robot, *set_bob, "--account-type", "root", says="auditor", code=2)
    refused(robot, *set_bob, "--username", "ADA", says="already exists")
    refused(robot, *set_bob, "--password", input="short\n", says="at least 8")
    refused(robot, *set_bob, "--password", input=f"{PASSWORD}\n", says="current")
    refused(robot, "user", "set", "eve", "--full-name", "E", says='User "eve" does not exist.')
    robot.json("access-control", "enable", "--yes")
    refused(robot, "user", "set", "ada", "--account-type", "user", says="administrator")


def test_lock_ends_sessions_and_unlock_undoes_it(robot, log_in, active, while_running):
    tokens = log_in("bob", "ada")
    assert robot.json("user", "lock", "bob")["locked"] is True
    row = last_row(robot)
    assert (row["action"], row["origin"]) == ("update user", "console")
    assert 'user "bob" ("bob X"): locked' in row["message"]
    assert active(tokens) == [False, True]
    answer = while_running(lambda api: api.try_login("bob"))
    assert answer.json["opentrons_account_locked"] is True
    assert robot.console("user", "lock", "bob").stdout == "bob is already locked\n"
    assert robot.console("user", "unlock", "bob").stdout == "unlocked bob\n"
    assert while_running(lambda api: api.try_login("bob").status) == 200


def test_who_cannot_be_locked(robot):
    refused(robot, "user", "lock", "eve", says='User "eve" does not exist.')
    robot.json("user", "add", "pod", "--full-name", "x", "--account-type", "service")
    refused(robot, "user", "lock", "pod", says="service account")
    robot.json("access-control", "enable", "--yes")
    refused(robot, "user", "lock", "ada", says="at least one administrator")


def test_sessions_are_listed(robot, log_in):
    log_in("bob", "ada", "bob")
    sessions = robot.json("session", "list")
    assert [session["username"] for session in sessions] == ["bob", "ada", "bob"]
    assert len({session["id"] for session in sessions}) == 3
    for session in sessions:
        assert sorted(session) == ["expires", "id", "renewed", "username"]
        assert TIME.fullmatch(session["renewed"]) and session["renewed"] < session["expires"]
    assert robot.json("session", "list", "ada") == [sessions[1]]
    lines = robot.console("session", "list", "bob").stdout.splitlines()
    assert lines[0].split() == ["ID", "USERNAME", "RENEWED", "EXPIRES"]
    assert [line.split()[1] for line in lines[1:]] == ["bob", "bob"]
    refused(robot, "session", "list", "eve", says='User "eve" does not exist.')


def test_one_session_is_ended(robot, log_in, active):
    tokens = log_in("bob", "bob")
    number = str(robot.json("session", "list")[0]["id"])
    assert robot.console("session", "end", number).stdout == "ended 1 session\n"
    row = last_row(robot)
    assert (row["action"], row["origin"]) == ("end sessions", "console")
    assert row["message"] == f'Ended the session {number} of "bob" ("bob X").'
    assert active(tokens) == [False, True]
    refused(robot, "session", "end", number, says=f"Session {number} does not exist")


def test_sessions_of_a_user_are_ended(robot, log_in, active):
    tokens = log_in("bob", "ada", "bob")
    assert robot.json("session", "end", "--user", "bob") == {"ended": 2}
    assert last_row(robot)["message"] == 'Ended all sessions of "bob" ("bob X"): 2.'
    assert active(tokens) == [False, True, False]
    rows = len(robot.rows())
    assert robot.console("session", "end", "--user", "bob").stdout == "ended 0 sessions\n"
    # The export is the only new event.
    assert len(robot.rows()) == rows + 1
    refused(robot, "session", "end", "--user", "eve", says='User "eve" does not exist.')


def test_all_sessions_are_ended(robot, log_in, active):
    tokens = log_in("bob", "ada")
    refused(robot, "session", "end", "--all", input="", says="--yes")
    assert robot.json("session", "end", "--all", "--yes") == {"ended": 2}
    assert last_row(robot)["message"] == "Ended all sessions of all users: 2."
    assert active(tokens) == [False, False]
    assert robot.json("session", "list") == []


def test_which_sessions_to_end_must_be_said(robot):
    for arguments in ([], ["1", "--all"], ["--all", "--user", "bob"], ["first"]):
        refused(
            robot,
            "session",
            "end",
            *arguments,
            says="Usage" if arguments != ["first"] else "first",
            code=2,
        )
