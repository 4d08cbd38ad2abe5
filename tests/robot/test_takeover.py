"""The auth server on a robot that was in use: the Python server's state is on its disk at the first
boot. The tests depend on each other, and use the serial console, because ssh is refused at first.
"""

import http.client
import json
import ssl
import subprocess
from urllib.parse import urlencode

import pytest

import virtual_robot
from api import FORM, PASSWORD, Api
from support import PATIENCE, ROOT, Answer, wait_for
from test_push import push
from test_robot import STATE, assert_boots_clean, main_pid
from virtual_robot import BOOT_PATIENCE, UNIT, Robot

SAMPLES = ROOT / "tests/python-state"
AUDIT_STATE = "/var/lib/opentrons-audit-server"
OVERRIDE = "/etc/opentrons-allow-remote-access"
# Users in `upgraded` with their passwords, without the locked ones, which follow below.
ACCOUNTS = {
    "admin1": "adminpassword1",
    "user1": "Temp0rary",
    "auditor1": "auditorpassword1",
    "service1": "servicepassword1",
    "fails2": "userpassword4",
    "temp1": "rFZMvqlt",
    "mustreset": "userpassword5",
    "we.ird+n@me!": "p@ss:w/ord\\1",
}
LOCKED = {"adminlocked": "userpassword2", "faillocked": "userpassword3"}
# The other servers, which send requests all the time: one line per response or failure.
ASK = f"""
systemd-run --quiet --unit=others sh -c 'while :; do
    curl --silent --max-time 5 --unix-socket /run/{UNIT}.sock --write-out "\\n" \
        http://localhost/auth/settings/accessControlEnabled || echo "no answer"
    sleep 0.1
done >/run/asked'
"""
# Commands to type, with 4 s between the steps.
FIELD_RESET = (
    f"systemctl stop {UNIT} && sleep 4 && rm -rf {STATE} && sleep 4 && systemctl start {UNIT}"
)


@pytest.fixture(scope="module")
def robot(tmp_path_factory):
    """A robot that boots for the first time with this server."""

    def change(root):
        state = root / STATE.lstrip("/")
        virtual_robot.call("cp", "-r", SAMPLES / "upgraded", state)
        virtual_robot.call("chown", "-R", "root:root", state)

    robot = Robot(tmp_path_factory.mktemp("robot"), change=change)
    robot.by_serial = True
    robot.boot()
    yield robot
    robot.cut()


class Https(Api):
    """Client of the HTTP API over TLS, with the robot's own certificate."""

    def form(self, path, parameters, headers=None):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = http.client.HTTPSConnection(*self.address, context=context, timeout=PATIENCE)
        try:
            path = f"/auth/oauth2/{path}"
            client.request("POST", path, urlencode(parameters), {**FORM, **(headers or {})})
            return Answer(client.getresponse())
        finally:
            client.close()


@pytest.fixture(scope="module")
def api(robot):
    return Api(("127.0.0.1", robot.ports[31950]))


def access_control(api):
    answer = api.get("/auth/settings/accessControlEnabled")
    assert answer.status == 200, answer.body
    return answer.json["data"]["accessControlEnabled"]


def taken(robot):
    """Returns the requests that the audit server received: method, path and data."""
    lines = robot(f"cat {AUDIT_STATE}/taken").splitlines()
    return [(method, path, body["data"]) for method, path, body in map(json.loads, lines)]


def ssh(robot):
    """Returns whether ssh accepts a login."""
    done = subprocess.run(
        [*robot.ssh, "uname -m"], check=False, capture_output=True, text=True, timeout=BOOT_PATIENCE
    )
    assert (done.returncode, done.stdout) in ((0, "aarch64\n"), (255, "")), done
    return done.returncode == 0


def change_root(robot, command):
    robot(f"mount -o remount,rw / && {command}; mount -o remount,ro /")


def test_first_boot_is_clean(robot):
    """Except for units that depend on remote access, which stays refused."""
    robot.wait_booted()
    failed = robot("systemctl --failed --no-legend --plain").split()
    assert [word for word in failed if word.endswith(".service")] in (
        [],
        [virtual_robot.REMOTE_ACCESS],
    )
    assert robot.show(UNIT, "ActiveState") == "active"
    assert robot.show(UNIT, "NRestarts") == "0"


def test_first_boot_says_what_it_took(robot):
    lines = [line["MESSAGE"] for line in robot.journal()]
    (line,) = [line for line in lines if line.startswith("imported")]
    assert f"{STATE}/1_c3a91d4e2b70/auth_server.db" in line
    assert "users: 10 " in line and line.endswith("access control: on")


def test_access_control_is_on(api):
    assert access_control(api) is True
    assert api.get("/auth/users").status == 401


def test_all_accounts_log_in_through_both_ports(robot, api):
    for username, password in ACCOUNTS.items():
        for each in api, Https(("127.0.0.1", robot.ports[32313])):
            answer = each.try_login(username, password)
            assert answer.status == 200, (username, answer.body)


def test_the_locked_stay_locked(api):
    for username, password in LOCKED.items():
        answer = api.try_login(username, password)
        assert answer.status == 400, username
        assert answer.json["error"] == "invalid_grant"
        assert answer.json["opentrons_account_locked"] is True
    token = api.login("admin1", ACCOUNTS["admin1"])["access_token"]
    users = api.get("/auth/users", token).json["data"]
    assert {user["username"] for user in users} == {*ACCOUNTS, *LOCKED}
    assert {user["username"] for user in users if user["locked"]} == set(LOCKED)


def test_audit_server_has_the_import_and_the_logins(robot):
    def events():
        return [data for method, _, data in taken(robot) if method == "POST"]

    wait_for(
        lambda: set(ACCOUNTS) <= {event["accountName"] for event in events()},
        "the audit server has the logins",
        BOOT_PATIENCE,
    )
    assert [event["action"] for event in events()].count("import") == 1
    assert events()[0]["action"] == "import"


def test_ssh_is_refused_while_access_control_is_on(robot):
    assert not ssh(robot)
    assert robot.ssh_says() == b""
    said = robot(f"journalctl -b -o cat -u {virtual_robot.REMOTE_ACCESS}")
    assert "remote access is refused: access control is on" in said.splitlines()


def test_push_says_that_access_control_may_be_on(robot):
    code, line = push(robot)
    assert code == 2
    assert line.startswith("cannot reach root@127.0.0.1: ")
    assert "access control" in line and "serial console" in line


def test_override_file_lets_ssh_in(robot):
    change_root(robot, f"touch {OVERRIDE}")
    assert ssh(robot)
    change_root(robot, f"rm {OVERRIDE}")
    assert not ssh(robot)


def test_field_reset_while_others_ask(robot, api):
    """Nothing starts the service during the reset, and no state reappears."""
    robot(ASK)
    wait_for(lambda: "true" in robot("cat /run/asked"), "the others ask")
    robot(FIELD_RESET)
    # Access control is off from the first response after the reset on.
    wait_for(lambda: "false" in robot("tail -n 1 /run/asked"), "the others have an answer")
    asked = robot("cat /run/asked")
    assert "true" not in asked[asked.index("false") :]
    assert "no answer" in asked[: asked.index("false")]
    for _ in range(2):
        assert access_control(api) is False
        assert api.get("/auth/users").json["data"] == []
        assert robot(f"ls {STATE}").split()
        robot(f"systemctl restart {UNIT}")
    robot("systemctl stop others")
    stops = robot(f"journalctl -b -o cat -u {UNIT} _COMM=systemd | grep -c '^Stopped '")
    assert int(stops) == 3  # from the reset and the two restarts only
    assert ssh(robot)


def test_stopped_service_stays_stopped_and_ssh_is_refused(robot):
    pid = main_pid(robot)
    robot(ASK)
    robot(f"systemctl stop {UNIT}")
    robot("truncate -s 0 /run/asked")
    count = "grep -c 'no answer' /run/asked || true"
    wait_for(lambda: int(robot(count)) > 3, "the others ask")
    for unit in f"{UNIT}.service", f"{UNIT}.socket":
        assert robot.show(unit, "ActiveState") == "inactive"
    assert robot(f"ls /run/{UNIT}.sock", check=False).endswith("No such file or directory")
    assert not ssh(robot)
    robot(f"systemctl start {UNIT}")
    assert main_pid(robot) not in ("0", pid)
    assert ssh(robot)
    robot("systemctl stop others")


def test_crash_leaves_the_socket_as_it_is(robot):
    """Requests wait in the socket meanwhile. A stop, even right after a start, closes it."""
    since = robot.show(f"{UNIT}.socket", "ActiveEnterTimestampMonotonic")
    pid = main_pid(robot)
    robot(f"kill -9 {pid}")
    wait_for(lambda: main_pid(robot) not in ("0", pid), "it starts again", BOOT_PATIENCE)
    assert robot.show(f"{UNIT}.socket", "ActiveEnterTimestampMonotonic") == since
    for command in f"systemctl stop {UNIT}", f"systemctl start {UNIT}; systemctl stop {UNIT}":
        robot(command)
        wait_for(
            lambda: robot.show(f"{UNIT}.socket", "ActiveState") == "inactive", "the socket closes"
        )
        assert robot.show(UNIT, "ActiveState") == "inactive"
    robot(f"systemctl start {UNIT}")


def test_turning_access_control_on_shuts_ssh_and_turns_the_audit_log_on(robot, api):
    api.create("ada", "admin")
    api.enable_access_control(api.login("ada", PASSWORD)["access_token"])
    assert not ssh(robot)
    wait_for(
        lambda: (
            (
                "PATCH",
                "/audit/internal/loggingEnabled",
                True,
            )
            in [(method, path, data.get("loggingEnabled")) for method, path, data in taken(robot)]
        ),
        "the audit server's log is turned on",
        BOOT_PATIENCE,
    )


def test_disable_crs_at_the_serial_console(robot, api):
    def type_password(password):
        robot.serial.send("opentrons-disable-crs")
        robot.serial.expect("Password: ")
        robot.serial.send(password)

    for wrong in "", "-0000", "0000":
        type_password(wrong)
        robot.serial.expect("wrong password: nothing was changed")
    assert access_control(api) is True
    serial = robot("cat /var/serial")
    type_password(f"{serial}-0000")
    assert f"{serial}-0000" not in robot.serial.expect("rebooting the robot").string
    robot.process.wait(BOOT_PATIENCE)
    robot.cut()
    robot.by_serial = False
    robot.boot()
    assert_boots_clean(robot)
    assert access_control(api) is False
    assert api.get("/auth/users").json["data"] == []
    assert robot(f"cat {AUDIT_STATE}/taken") == ""
    assert api.try_login("ada", PASSWORD).status == 400
