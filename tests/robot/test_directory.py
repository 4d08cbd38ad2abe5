"""The lab's directory on a booted robot: a slapd of this machine, which the robot reaches over its
network. The tests depend on each other."""

import pytest

import virtual_robot
from api import PASSWORD, Api, by_name
from certificates import Authority
from slapd import ADMINS, AUDITORS, PEOPLE, ROBOT, ROBOT_PASSWORD, SAMPLE, SLAPD, USERS, Slapd
from support import wait_for
from test_robot import (
    ALLOWED,
    AS_ROOT,
    FORBIDDEN,
    STATE,
    assert_boots_clean,
    probe_unit,
    tries,
)
from virtual_robot import BOOT_PATIENCE, DIRECTORY, DIRECTORY_BINARY, HOST, UNIT

pytestmark = pytest.mark.skipif(not SLAPD, reason="slapd is not installed")
# Name of the directory's server in its certificate, which the robot finds in its /etc/hosts.
NAME = "directory.lab.example"
PORT = 636
# Operations that the sandbox of the second process forbids, beyond those of the auth server's.
ALSO_FORBIDDEN = (
    "connect to nginx",
    "connect to the auth server",
    "connect to the audit server",
    "connect to the second process",
)
NETWORK = "connect to the lab's directory"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory, authority):
    """A directory with sample people."""
    server = Slapd(tmp_path_factory.mktemp("slapd"), authority.issue(NAME), SAMPLE)
    server.create().start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def robot(tmp_path_factory, probe, lab):
    """A booted robot with the second process and the probe."""

    def change(root):
        virtual_robot.call("install", "-m", "0755", probe, root / "data/probe-program")
        with open(root / "etc/hosts", "a") as hosts:
            hosts.write(f"{HOST} {NAME}\n")
        (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")

    robot = virtual_robot.Robot(
        tmp_path_factory.mktemp("robot"),
        change=change,
        directory=DIRECTORY_BINARY,
        servers={PORT: lab.tls_port},
    ).boot()
    assert robot.wait_booted() == "running", robot("systemctl --failed", check=False)
    yield robot
    robot.cut()


@pytest.fixture
def api(robot):
    """The auth server behind nginx."""
    return Api(("127.0.0.1", robot.ports[31950]))


def test_boots_clean_and_does_not_start_it(robot):
    assert_boots_clean(robot)
    assert robot.show(f"{DIRECTORY}.socket", "ActiveState") == "active"
    assert robot.show(DIRECTORY, "ActiveState") == "inactive"
    owner = robot(f"stat -c '%U %G %a' /run/{DIRECTORY}.sock")
    assert owner == f"{UNIT} {UNIT} 600"


def test_login_through_nginx(robot, api, lab, authority, figures):
    """The auth server, in its sandbox, reaches the second process, and that one the directory."""
    configuration = {
        "kind": "ldap",
        "servers": [f"ldaps://{NAME}:{PORT}"],
        "ca": authority.pem,
        "base": PEOPLE,
        "userFilter": "(uid={name})",
        "bindName": ROBOT,
        "bindPassword": ROBOT_PASSWORD,
        "adminGroups": [ADMINS],
        "userGroups": [USERS],
        "auditorGroups": [AUDITORS],
    }
    answer = api.request("PUT", "/auth/directory", configuration)
    assert answer.status == 200, (answer.body, robot(f"journalctl -b -u {DIRECTORY}"))
    assert api.login("ada")["scope"]
    assert api.user("ada")["source"] == "directory"
    assert api.user("ada")["accountType"] == "admin"
    assert api.try_login("ada", "wrong-horse").json["error"] == "invalid_grant"
    assert robot.show(DIRECTORY, "ActiveState") == "active"
    pid = robot.show(DIRECTORY, "MainPID")
    assert robot(f"ps -o user:32= -p {pid}") == DIRECTORY
    used = int(robot.show(DIRECTORY, "MemoryCurrent"))
    figures(f"virtual robot: {DIRECTORY} uses {used / 1e6:.1f} MB after a login")


def test_passwords_are_in_no_log(robot):
    # The journal is read, and has the lines of the process.
    assert int(robot(f"journalctl -b -u {DIRECTORY} -o cat | wc -l")) > 1
    for password in (PASSWORD, ROBOT_PASSWORD):
        assert robot(f"journalctl -b | grep -c {password}", check=False) == "0"


def test_sandbox_forbids_what_it_should(robot):
    """Each operation succeeds outside the sandbox, so that its failure inside is significant. The auth
    server reaches the second process, and still not the network."""
    probe = f"{HOST}:{PORT}"
    as_root = tries(robot(AS_ROOT.replace("PROBE=1", f"PROBE={probe}")))
    expected = {*ALLOWED, *FORBIDDEN, *ALSO_FORBIDDEN, NETWORK}
    assert as_root == dict.fromkeys(expected, "done")
    robot(f"rm -f {STATE}/probe /var/lib/probe /data/probe /run/probe")
    sandboxed = tries(robot(probe_unit(DIRECTORY, probe)))
    assert set(sandboxed) == expected
    assert [name for name in sandboxed if sandboxed[name] == "done"] == [NETWORK]
    sandboxed = tries(robot(probe_unit(UNIT, probe)))
    done = {name for name in sandboxed if sandboxed[name] == "done"}
    assert done == {*ALLOWED, "connect to the audit server", "connect to the second process"}


def test_memory_is_bounded_by_the_kernel(robot):
    group = f"/sys/fs/cgroup{robot.show(DIRECTORY, 'ControlGroup')}"
    assert robot(f"cat {group}/memory.max") == str(160 << 20)
    limits = robot(f"cat /proc/{robot.show(DIRECTORY, 'MainPID')}/limits")
    assert "Max core file size        0                    0" in limits


def test_login_after_it_was_killed(robot, api):
    pid = robot.show(DIRECTORY, "MainPID")
    robot(f"kill -9 {pid}")
    wait_for(
        lambda: robot.show(DIRECTORY, "MainPID") not in ("0", pid), "it is restarted", BOOT_PATIENCE
    )
    assert api.login("grace")["scope"]


def test_login_while_the_directory_is_away(robot, api, lab):
    """Of somebody who has logged in before."""
    lab.kill()
    assert api.login("ada")["scope"]
    assert api.try_login("ada", "wrong-horse").json["error"] == "invalid_grant"
    assert api.try_login("alan").json["error"] == "invalid_grant"
    lab.start()
    assert api.login("alan")["scope"]


def test_disabled_and_removed_without_a_trace(robot, api):
    """Without the configuration, a robot is one that never had it: the process does not run."""
    assert api.request("DELETE", "/auth/directory").status == 200
    robot(f"systemctl stop {DIRECTORY}.service")
    assert api.try_login("ada").json["error"] == "invalid_grant"
    assert api.get(by_name("ada")).status == 200
    assert robot.show(DIRECTORY, "ActiveState") == "inactive"
