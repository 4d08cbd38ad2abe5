"""The auth server on a booted robot. The tests depend on each other: they continue from boot to
boot in this order."""

import http.client
import re
import ssl
import threading
import time
import urllib.request

from api import Api
from support import request, wait_for
from test_restart import Load
from virtual_robot import BOOT_PATIENCE, UNIT

HELLO = '{"message":"hello world"}'
STATE = "/var/lib/opentrons-auth-server"
RESTARTS = 50
# Operations that only the sandbox forbids, as root may do everything.
FORBIDDEN = (
    "write to /var/lib",
    "write to /data",
    "write to /run",
    "read /root",
    "read a disk",
    "set a kernel parameter",
    "listen on TCP",
    "open a UDP socket",
    "see other processes",
    "run a program",
    "change its groups",
    "set a hostname",
    "make writable code",
    "make a set-user-ID file",
    "make a user namespace",
)
AS_ROOT = f"PROBE=1 OT_AUTH_SERVER_persistence_directory={STATE} /data/probe-program"
# What the sandbox allows.
ALLOWED = "write to its state", "read its state"


def probe_unit(unit, probe):
    """Returns commands that run the probe in place of a service, in a unit with all sandbox settings of
    the service, and print what it prints. `probe`: the value of its environment variable."""
    return f"""
sed -e '/^Type=/d; /^NotifyAccess=/d; /^WatchdogSec=/d; /^Restart/d; /socket$/d; /target$/d' \
    -e '/^\\[Service\\]/a Type=oneshot\\nEnvironment=PROBE={probe}' \
    -e '/^\\[Service\\]/a Environment=OT_AUTH_SERVER_persistence_directory={STATE}' \
    -e '/^\\[Service\\]/a BindReadOnlyPaths=/data/probe-program:/usr/bin/{unit}' \
    /usr/lib/systemd/system/{unit}.service >/run/systemd/system/probe-{unit}.service
systemctl daemon-reload
systemctl start probe-{unit}.service
journalctl -b -o cat -u probe-{unit}.service _TRANSPORT=stdout
"""


def over_socket(robot):
    return robot(f"curl --silent --fail --unix-socket /run/{UNIT}.sock http://robot/auth/hello")


def tries(text):
    return dict(re.findall(r"^([^:\n]+): (.*)$", text, re.MULTILINE))


def main_pid(robot):
    return robot.show(UNIT, "MainPID")


def wait_for_another(robot, pid):
    """Waits until the service's main process is another one than `pid`."""
    wait_for(lambda: main_pid(robot) not in ("0", pid), "the service is restarted", BOOT_PATIENCE)
    assert over_socket(robot) == HELLO


def active_since(robot, unit):
    return int(robot.show(unit, "ActiveEnterTimestampMonotonic"))


def assert_boots_clean(robot):
    assert robot.wait_booted() == "running"
    assert robot("systemctl --failed --no-legend --plain") == ""
    assert over_socket(robot) == HELLO
    # Units that depend on the server start after it is ready; it starts after the units it wants.
    started = int(robot.show("opentrons-robot-server", "InactiveExitTimestampMonotonic"))
    assert started >= active_since(robot, UNIT) > 0


def test_boots_clean(robot, figures):
    assert_boots_clean(robot)
    ready = active_since(robot, UNIT)
    begun = int(robot.show(UNIT, "InactiveExitTimestampMonotonic"))
    assert begun >= active_since(robot, "opentrons-audit-server")
    boot = int(robot.show("multi-user.target", "ActiveEnterTimestampMonotonic"))
    figures(
        f"virtual robot: the service needs {(ready - begun) / 1000:.0f} ms to READY, "
        f"{100 * (ready - begun) / boot:.1f} % of the boot's {boot / 1e6:.1f} s"
    )


def test_answers_through_both_nginx_ports(robot):
    assert request(("127.0.0.1", robot.ports[31950]), "GET", "/auth/hello").body == HELLO.encode()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    url = f"https://127.0.0.1:{robot.ports[32313]}/auth/hello"
    assert urllib.request.urlopen(url, context=context).read() == HELLO.encode()


def test_journal_has_every_line_with_its_priority(robot):
    lines = [line for line in robot.journal() if line["_COMM"] != "systemd"]
    assert re.match(rf"{UNIT} \d+\.\d+\.\d+ \(git \w+\) starting", lines[0]["MESSAGE"])
    assert lines[1]["MESSAGE"] == f"state directory: {STATE}"
    assert {line["PRIORITY"] for line in lines} == {"6"}
    assert robot.journal("-p", "warning") == []


def test_operator_reads_what_it_does(robot):
    status = robot(f"systemctl status --no-pager {UNIT}")
    assert f'Status: "Serving requests on unix:/run/{UNIT}.sock"' in status


def test_runs_as_its_own_user(robot):
    assert robot(f"ps -o user:32= -p {main_pid(robot)}") == UNIT
    assert robot(f"stat -c '%U %a' {STATE}") == f"{UNIT} 700"
    assert robot(f"stat -c '%U %G %a' /run/{UNIT}.sock") == "root www-data 660"


def test_sandbox_forbids_what_it_should(robot):
    """Each operation succeeds outside the sandbox, so that its failure inside is significant."""
    as_root = tries(robot(AS_ROOT))
    assert {name: as_root[name] for name in FORBIDDEN} == dict.fromkeys(FORBIDDEN, "done")
    robot(f"rm -f {STATE}/probe /var/lib/probe /data/probe /run/probe")
    sandboxed = tries(robot(probe_unit(UNIT, 1)))
    assert [sandboxed.pop(name) for name in ALLOWED] == ["done", "done"]
    assert set(sandboxed) == set(FORBIDDEN)
    assert [name for name in FORBIDDEN if sandboxed[name] == "done"] == []


def test_memory_is_bounded_by_the_kernel(robot):
    """The limits of the unit are those of its control group and of its process."""
    group = f"/sys/fs/cgroup{robot.show(UNIT, 'ControlGroup')}"
    assert robot(f"cat {group}/memory.max") == str(320 << 20)
    # Without swap, the kernel may not have this file.
    assert robot(f"cat {group}/memory.swap.max 2>&1", check=False).startswith(("0", "cat: "))
    limits = robot(f"cat /proc/{robot.show(UNIT, 'MainPID')}/limits")
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), limits


def test_recovers_from_kill(robot):
    pid = main_pid(robot)
    robot(f"kill -9 {pid}")
    wait_for_another(robot, pid)


def test_recovers_from_hanging(robot):
    pid = main_pid(robot)
    robot(f"kill -STOP {pid}")
    wait_for_another(robot, pid)
    assert robot.show(UNIT, "NRestarts") == "2"


def test_restarts_under_load_lose_nothing(robot, figures):
    with Load(robot.ports[31950]) as load:
        robot(
            f"systemctl reset-failed; i=0; while [ $i -lt {RESTARTS} ]; "
            f"do systemctl restart {UNIT} || exit 1; i=$((i + 1)); done"
        )
    figures(
        f"virtual robot: {RESTARTS} restarts under load: "
        f"{len(load.failed)} of {load.requests} requests failed"
    )
    assert load.failed == []
    assert load.answered > 2 * RESTARTS


def api_of(robot):
    return Api(("127.0.0.1", robot.ports[31950]))


def test_setting_the_wall_clock_neither_ends_nor_extends_a_login(robot):
    api = api_of(robot)
    api.create("ada", "admin")
    api.settings(idleLogout=600)
    token = api.login("ada")["access_token"]
    left = api.introspect(token)["exp"] - int(robot("date +%s"))
    for step in "+1 year", "-2 years":
        robot(f"date -s '{step}'")
        wait_for(
            lambda: abs(api.introspect(token)["exp"] - int(robot("date +%s")) - left) < 60,
            "`exp` follows the wall clock",
        )
    api.settings(idleLogout=1)
    token = api.login("ada")["access_token"]
    robot("date -s '-1 hour'")
    wait_for(lambda: not api.active(token), "the login ends")
    # Set the clock right again: across a reboot, elapsed time is measured by the wall clock.
    robot(f"date -s @{int(time.time())}")


def log_in_for_a_day(robot):
    """Logs in with a token lifetime that lasts for all following boots, and returns the tokens."""
    api = api_of(robot)
    api.settings(idleLogout=86_400)
    return api.login("ada")


def assert_logged_in(robot, tokens):
    """Checks that the access token is active and the refresh token works; returns the new pair."""
    api = api_of(robot)
    assert api.introspect(tokens["access_token"])["username"] == "ada"
    assert api.get("/auth/users/self", tokens["access_token"]).status == 200
    answer = api.refresh(tokens["refresh_token"])
    assert answer.status == 200, answer.body
    return answer.json


def test_accounts_and_logins_survive_a_reboot(robot):
    tokens = log_in_for_a_day(robot)
    robot("systemctl --no-block reboot")
    robot.process.wait(BOOT_PATIENCE)
    robot.cut()
    robot.boot()
    assert_boots_clean(robot)
    assert_logged_in(robot, tokens)
    assert robot(f"stat -c '%U %a' {STATE}/*.sqlite*").splitlines() == [f"{UNIT} 600"] * 3


def test_accounts_and_logins_survive_a_power_cut(robot, figures):
    """Every acknowledged change is still present, although the power was cut during further
    writes."""
    api = api_of(robot)
    tokens = log_in_for_a_day(robot)
    written, failures = [], []

    def write():
        try:
            while True:
                name = f"user{len(written)}"
                api.create(name)
                written.append(name)
        except (OSError, http.client.HTTPException):
            pass  # the power is gone
        except AssertionError as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    wait_for(lambda: len(written) >= 20, "users are written", BOOT_PATIENCE)
    assert writer.is_alive(), failures
    robot.cut()
    writer.join()
    assert failures == []
    # The real-time clock has no battery: the robot boots with a date years ago.
    robot.boot("-rtc", "base=2020-01-01")
    assert_boots_clean(robot)
    tokens = assert_logged_in(robot, tokens)
    # The clock is set over the network.
    robot(f"date -s @{int(time.time())}")
    wait_for(
        lambda: api.introspect(tokens["access_token"])["exp"] > time.time(),
        "`exp` follows the wall clock",
    )
    users = api.get("/auth/users?pageLength=1000").json["data"]
    names = {user["username"] for user in users}
    assert {"ada", *written} <= names
    # At most the one that was being written when the power was cut.
    assert len(names) <= len(written) + 2
    assert api.login(written[-1])["scope"]
    assert robot(f"{UNIT} audit verify").startswith("the audit log is intact")
    assert "the journal confirms" in robot(f"{UNIT} audit verify --journal")
    # A power cut does not turn access control off.
    api.enable_access_control(tokens["access_token"])
    robot.cut()
    robot.by_serial = True
    robot.boot()
    assert_boots_clean(robot)
    assert api.get("/auth/users").status == 401
    assert_logged_in(robot, tokens)
    robot(f"{UNIT} access-control disable --yes")
    robot.by_serial = False
    robot.wait_ssh()
    figures(f"virtual robot: power cut under writes: {len(written)} acknowledged, none lost")


def test_power_cut_leaves_a_robot_that_boots_clean(robot):
    """The power is cut while the service restarts under load."""
    pid = main_pid(robot)
    with Load(robot.ports[31950]) as load:
        restarts = threading.Thread(
            target=robot,
            args=(f"while systemctl restart {UNIT}; do :; done",),
            kwargs={"check": False},
        )
        restarts.start()
        wait_for(lambda: main_pid(robot) not in ("0", pid), "a restart", BOOT_PATIENCE)
        seen = load.answered
        wait_for(lambda: load.answered > seen + 50, "requests under restarts", BOOT_PATIENCE)
        robot.cut()
    restarts.join()
    robot.boot()
    assert_boots_clean(robot)


def test_boots_clean_when_others_are_late_or_missing(robot):
    """No state directory, no nginx, and an audit server that starts slowly."""
    robot(f"mount -o remount,rw / && systemctl stop {UNIT} && rm -r {STATE}")
    robot("systemctl mask nginx-http nginx-https")
    robot(
        "sed -i 's|^ExecStart=|ExecStartPre=/usr/bin/sleep 5\\nExecStart=|' "
        "/usr/lib/systemd/system/opentrons-audit-server.service && sync"
    )
    robot.cut()
    robot.boot()
    assert_boots_clean(robot)
    begun = int(robot.show(UNIT, "InactiveExitTimestampMonotonic"))
    assert begun >= active_since(robot, "opentrons-audit-server")
    assert robot(f"stat -c '%U %a' {STATE}") == f"{UNIT} 700"


def test_boots_clean_without_an_audit_server(robot):
    robot("mount -o remount,rw / && systemctl disable opentrons-audit-server")
    robot("rm /usr/lib/systemd/system/opentrons-audit-server.service && sync")
    robot.cut()
    robot.boot()
    assert_boots_clean(robot)
