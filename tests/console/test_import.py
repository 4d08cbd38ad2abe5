"""The console command `import`: dry run, import of valid rows with `--force`, and `--again`."""

import json
import os
import shutil
import subprocess

import pytest

from api import PASSWORD, Api
from python_state import FIRST, UPGRADED, edit, lay, newest, theirs
from support import BINARY, ENVIRONMENT, PATIENCE, commands_of_section, request, run, wait_for

DATABASE = "auth-server.sqlite"
ADMIN = "UPDATE user SET {} WHERE id = 1"
NO_TYPE = "is not one of admin, user, auditor, service"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def console(state, *arguments, **options):
    return run(*arguments, "--persistence-directory", state, **options)


def names(state):
    return {str(path.relative_to(state)) for path in state.rglob("*")}


def summary(done):
    return json.loads(done.stdout)


def rows(state):
    return [json.loads(line) for line in console(state, "audit", "export").stdout.splitlines()]


def is_on(state):
    return console(state, "access-control", "status").stdout == "access control is on\n"


def answers(path):
    try:
        return request(path, "GET", "/auth/hello").status == 200
    except OSError:
        return False


# Dry run.


@pytest.mark.parametrize("elsewhere", [True, False])
def test_dry_run_tells_and_changes_nothing(state, tmp_path, elsewhere):
    database = lay(state)
    before, there = theirs(state), names(state)
    if elsewhere:
        done = console(tmp_path / "none", "import", "--dry-run", state)
    else:
        done = console(state, "import", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert str(database) in done.stdout and "users: 10 (administrators: 1)" in done.stdout
    assert "access control: on" in done.stdout
    assert theirs(state) == before and names(state) == there
    done = console(tmp_path / "none", "import", "--dry-run", "--json", state)
    assert summary(done) == {
        "file": str(database),
        "users": 10,
        "administrators": 1,
        "failedLogins": 7,
        "settings": 4,
        "accessControl": True,
        "notes": [],
        "faults": [],
    }


def test_dry_run_tells_all_that_stands_in_the_way(state):
    database = lay(state)
    edit(
        database,
        ADMIN.format("hashed_password = '$secret$'"),
        "UPDATE user SET account_type = 'robot' WHERE id = 2",
        "INSERT INTO setting VALUES ('theme', '1')",
    )
    there = names(state)
    done = console(state, "import", "--dry-run")
    assert done.returncode == 1
    said = [line for line in done.stdout.splitlines() if line.startswith("prevents the import: ")]
    assert said == [
        f"prevents the import: {database}: table setting: contains an unknown key",
        f"prevents the import: {database}: table user, id 1, column hashed_password: is not a PHC string",
        f"prevents the import: {database}: table user, id 2, column account_type: {NO_TYPE}",
    ]
    assert "secret" not in done.stdout + done.stderr
    assert names(state) == there


def test_dry_run_beside_accounts_of_ours(start, state):
    """Works whether or not the service is running."""
    start()
    lay(state)
    assert console(state, "import", "--dry-run").returncode == 0


@pytest.mark.parametrize("arguments", [("--dry-run",), (), ("--force",)])
def test_nothing_to_import(state, arguments):
    state.mkdir()
    done = console(state, "import", *arguments)
    assert done.returncode == 3
    assert done.stderr == f"error: no state of the Python server found in {state}\n"
    assert not (state / DATABASE).exists()


def test_folder_that_is_not_there(state, tmp_path):
    done = console(state, "import", "--dry-run", tmp_path / "none")
    assert done.returncode == 3 and str(tmp_path / "none") in done.stderr


# Import.


def test_import_as_the_first_start_would(start, state):
    database = lay(state)
    before = theirs(state)
    done = console(state, "import", "--json")
    assert done.returncode == 0, done.stderr
    assert summary(done)["users"] == 10
    [event] = rows(state)[:1]
    assert (event["action"], event["origin"]) == ("import", "console")
    assert str(database) in event["message"]
    assert theirs(state) == before
    assert names(state) - {"lock", "reserve", DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"} == {
        FIRST,
        UPGRADED,
        f"{FIRST}/auth_server.db",
        f"{UPGRADED}/auth_server.db",
    }
    server, api = start()
    assert "WARN" not in server.log
    assert api.login("admin1", "adminpassword1")


def test_import_from_another_folder(start, state, tmp_path):
    """For example, from a copy of the old system's /var."""
    other = tmp_path / "other"
    lay(other, "first")
    state.mkdir()
    assert console(state, "import", other).returncode == 0
    _, api = start()
    assert api.login("admin1", "adminpassword1")


@pytest.mark.parametrize("command", [("import",), ("user", "list"), ("access-control", "status")])
def test_every_command_fails_closed(state, command):
    """No command creates a new database beside state that cannot be imported."""
    edit(lay(state), ADMIN.format("account_type = 'robot'"))
    done = console(state, *command)
    assert done.returncode == 1
    assert "column account_type" in done.stderr and str(newest(state)) in done.stderr
    assert not (state / DATABASE).exists()


def test_command_before_the_first_start_takes_over(state):
    lay(state)
    users = json.loads(console(state, "user", "list", "--json").stdout)
    assert len(users) == 10 and is_on(state)


def test_accounts_that_are_there_are_not_replaced_unasked(start, state):
    server, api = start()
    api.create("ada", "admin")
    lay(state)
    for running in (True, False):
        if not running:
            server.stop()
        for arguments in ((), ("--force",)):
            done = console(state, "import", *arguments)
            assert done.returncode == 4 and "pass --again" in done.stderr
    users = json.loads(console(state, "user", "list", "--json").stdout)
    assert [user["username"] for user in users] == ["ada"]


# With --force.

DOUBTS = {
    "damaged file": lambda path: path.write_bytes(path.read_bytes()[:30000]),
    "no database": lambda path: path.write_bytes(b"x" * 10000),
    "no row": lambda path: edit(path, "DELETE FROM access_control_enabled", ADMIN.format("id = 0")),
    "nonsense": lambda path: edit(path, "UPDATE access_control_enabled SET enabled = 'no'"),
    "twice": lambda path: edit(path, "INSERT INTO access_control_enabled VALUES (2, 0)"),
    "no table": lambda path: edit(path, "DROP TABLE access_control_enabled"),
    "view": lambda path: edit(
        path,
        "DROP TABLE access_control_enabled",
        "CREATE VIEW access_control_enabled AS SELECT 1 AS id, 0 AS enabled",
    ),
    "trigger": lambda path: edit(
        path, "CREATE TRIGGER t AFTER INSERT ON user BEGIN DELETE FROM user; END"
    ),
    "link": lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")),
    "newer folder": lambda path: shutil.copytree(
        path.parent, path.parent.with_name("1_dddddddddddd")
    ),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_force_leaves_access_control_on_in_doubt(state, doubt):
    database = lay(state, "first")
    edit(database, "UPDATE access_control_enabled SET enabled = 0")
    DOUBTS[doubt](database)
    before = theirs(state)
    assert console(state, "import").returncode == 1
    done = console(state, "import", "--force")
    assert done.returncode == 0, done.stderr
    assert "skipped: " in done.stdout and is_on(state)
    assert theirs(state) == before
    [event] = rows(state)[:1]
    assert event["action"] == "import" and "Skipped: " in event["message"]


def test_force_takes_what_can_be_had(start, state):
    database = lay(state)
    edit(
        database,
        "UPDATE access_control_enabled SET enabled = 0",
        "UPDATE user SET account_type = 'robot' WHERE id = 2",
        "UPDATE setting SET value = '[]' WHERE key = 'idleLogout'",
    )
    done = console(state, "import", "--force", "--json")
    assert done.returncode == 0
    told = summary(done)
    # Access control certainly was off, because the rest of the database is intact.
    assert (told["users"], told["settings"], told["accessControl"]) == (9, 3, False)
    assert [fault.removeprefix(f"{database}: ") for fault in told["faults"]] == [
        "table setting, key idleLogout, column value: is not a number above 0",
        f"table user, id 2, column account_type: {NO_TYPE}",
    ]
    _, api = start()
    assert api.login("admin1", "adminpassword1")
    assert api.get("/auth/settings").json["data"]["idleLogout"] == 180.0
    message = rows(state)[0]["message"]
    assert "id 2, column account_type" in message and "key idleLogout" in message


def test_force_without_an_administrator_says_what_to_do(start, state):
    edit(lay(state), "UPDATE user SET account_type = 'robot' WHERE account_type = 'admin'")
    done = console(state, "import", "--force")
    assert "there is no administrator" in done.stdout and is_on(state)
    done = console(state, "user", "add", "ada", "--full-name", "Ada", "--account-type", "admin")
    assert done.returncode == 0
    password = done.stdout.split("temporary password: ")[1].strip()
    _, api = start()
    assert api.login("ada", password)


# With --again.


@pytest.fixture(params=["running", "stopped"])
def back(request, start, state):
    """A robot that ran the Python server for a time and then returned to this server."""
    database = lay(state)
    server, api = start()
    token = api.login("admin1", "adminpassword1")["access_token"]
    api.create("later", token=token)
    edit(database, "UPDATE user SET full_name = 'Changed there' WHERE id = 2")
    if request.param == "stopped":
        server.stop()
    return server, api, token


def test_again_replaces_accounts_and_ends_logins(back, start, state):
    server, api, old = back
    before = theirs(state)
    done = console(state, "import", "--again", "--yes")
    assert done.returncode == 0, done.stderr
    assert "users: 10" in done.stdout
    assert theirs(state) == before and not list(state.glob("import-*"))
    if server.process.poll() is not None:
        server, api = start()
        assert "WARN" not in server.log
    assert api.get("/auth/users/self", old).status == 401
    token = api.login("admin1", "adminpassword1")["access_token"]
    assert api.user("user1", token)["fullName"] == "Changed there"
    assert api.get("/auth/users/byUsername/later", token).status == 404
    actions = [row["action"] for row in rows(state)]
    assert actions[0] == "import" and actions.count("import") == 2
    assert console(state, "audit", "verify").returncode == 0
    server.stop()
    server, _ = start()
    assert "WARN" not in server.log


@pytest.mark.parametrize("theirs_on", [True, False])
@pytest.mark.parametrize("ours_on", [True, False])
def test_again_leaves_access_control_on_if_either_has_it(start, state, ours_on, theirs_on):
    _, api = start()
    api.create("ada", "admin")
    if ours_on:
        api.enable_access_control()
    edit(lay(state), ("UPDATE access_control_enabled SET enabled = ?", [theirs_on]))
    done = console(state, "import", "--again", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert summary(done)["accessControl"] is (ours_on or theirs_on) is is_on(state)
    state_now = api.get("/auth/settings/accessControlEnabled").json["data"]
    assert state_now["accessControlEnabled"] is (ours_on or theirs_on)
    assert api.try_login("ada", PASSWORD).status == 400


def test_again_asks_and_changes_nothing_when_it_may_not(back, state):
    there = names(state)
    done = console(state, "import", "--again", stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "--yes" in done.stderr
    edit(newest(state), ADMIN.format("account_type = 'robot'"))
    done = console(state, "import", "--again", "--yes")
    assert done.returncode == 1 and "column account_type" in done.stderr
    users = json.loads(console(state, "user", "list", "--json").stdout)
    assert "later" in {user["username"] for user in users}
    assert {name for name in names(state) ^ there if not name.startswith(DATABASE)} <= {"lock"}


def test_again_by_force(back, state):
    edit(newest(state), "UPDATE user SET account_type = 'robot' WHERE id = 2")
    done = console(state, "import", "--again", "--force", "--yes")
    assert done.returncode == 0 and "skipped: " in done.stdout
    assert "users: 9" in done.stdout and is_on(state)


def test_commands_of_the_readme_work_as_they_stand(state, tmp_path):
    """In order, on a robot with state of the Python server."""
    commands = commands_of_section("In place of the Python server")
    assert [command.split()[2] for command in commands] == ["--dry-run", "--force", "--again"]
    lay(state)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/opentrons-auth-server").symlink_to(BINARY)
    environment = {**ENVIRONMENT, "OT_AUTH_SERVER_persistence_directory": str(state)}
    environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"
    for command in commands:
        done = subprocess.run(
            ["sh", "-ec", command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and "users: 10" in done.stdout, (command, done.stderr)


# Permissions.


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_without_rights_it_is_refused(state, tmp_path):
    lay(state)
    state.chmod(0o700)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o001 == 0:
            path.chmod(path.stat().st_mode | 0o011)
    binary = shutil.copy(BINARY, tmp_path / "server")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary]
    for arguments in (("import",), ("import", "--dry-run"), ("import", "--again", "--yes")):
        done = subprocess.run(
            [*nobody, *arguments, "--persistence-directory", state],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 5
        assert str(state) in done.stderr and "Permission denied" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
@pytest.mark.parametrize("again", [True, False])
def test_what_root_makes_is_the_services(state, tmp_path, again):
    """The service's user can write to the files that root creates, and read the copy that it is
    handed."""
    nobody = 65534
    lay(state)
    state.chmod(0o700)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o001 == 0:
            path.chmod(path.stat().st_mode | 0o011)
    for path in (state, *state.rglob("*")):
        os.chown(path, nobody, nobody)
    binary = shutil.copy(BINARY, tmp_path / "server")
    socket = tmp_path / "socket"
    socket.mkdir()
    os.chown(socket, nobody, nobody)
    command = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", binary]
    command += ["--uds", socket / "auth.sock", "--persistence-directory", state]
    if not again:
        assert console(state, "import").returncode == 0
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(socket / "auth.sock"), "the server answers")
        if again:
            other = tmp_path / "other"
            lay(other, "first")
            other.chmod(0o700)
            done = console(state, "import", "--again", "--yes", other)
            assert done.returncode == 0, done.stderr
        assert Api(socket / "auth.sock").login("admin1", "adminpassword1")
    finally:
        process.kill()
        process.wait()
    assert {path.stat().st_uid for path in state.rglob("*")} == {nobody}
