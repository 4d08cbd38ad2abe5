"""The units as systemd reads them, in the tree that `make install` creates."""

import json
import re
import shutil
import subprocess

import pytest

from api import Api
from audit_server import AuditServer
from support import BINARY, DATABASE, installed, read_database, wait_for

ANALYZE = shutil.which("systemd-analyze")
NAME = "opentrons-auth-server"
UNITS = f"{NAME}.service", f"{NAME}.socket", f"{NAME}.target"
REMOTE_ACCESS = "opentrons-remote-access-allowed.service"
EXPOSURE = 0.4
# Units that the drop-in and the unit refer to, as in OpenEmbedded; the second is the robot's.
DEPENDANTS = {
    "dropbear@.service": "[Service]\nExecStart=-/usr/sbin/dropbear -i\nStandardInput=socket\n",
    "jupyter-notebook.service": "[Service]\nExecStart=/usr/bin/true\n",
}

pytestmark = [
    pytest.mark.lint,
    pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed"),
]


@pytest.fixture
def root(tmp_path):
    """A root directory with our files among systemd's own units."""
    installed(tmp_path)
    units = tmp_path / "usr/lib/systemd/system"
    for folder in ("/usr/lib/systemd/system", "/lib/systemd/system"):
        # copytree would fail: both may be the same directory, and files exist already. Some
        # versions of cp exit with an error if --no-clobber skips a file.
        subprocess.run(["cp", "--archive", "--no-clobber", f"{folder}/.", units], check=False)
    assert (units / "multi-user.target").exists()
    return tmp_path


def verify(root):
    """Returns the output and exit code of systemd-analyze. The manual page is checked below."""
    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", f"--root={root}", *UNITS, REMOTE_ACCESS],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr, done.returncode


def test_systemd_finds_nothing_wrong(root):
    assert verify(root) == ("", 0)


def test_systemd_would_find_something(root):
    with open(root / "usr/lib/systemd/system" / UNITS[0], "a") as unit:
        unit.write("[Service]\nProtectSytem=strict\n")
    assert "ProtectSytem" in verify(root)[0]


def test_exposure_is_low(root, figures):
    output = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--no-pager", f"--root={root}", UNITS[0]],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    score = float(output.split("Overall exposure level for")[1].split(":")[1].split()[0])
    figures(f"systemd-analyze security --offline=true: {score} (at most {EXPOSURE})")
    assert score <= EXPOSURE


def test_documentation_is_installed(root):
    for unit in UNITS:
        text = (root / "usr/lib/systemd/system" / unit).read_text()
        assert f"Documentation=man:{NAME}(8)" in text
    page = root / f"usr/share/man/man8/{NAME}.8"
    assert re.search(rf"^\.TH {NAME} 8\b", page.read_text(), re.MULTILINE)


def test_sysusers_makes_the_user_of_the_service(root):
    subprocess.run(["systemd-sysusers", f"--root={root}", f"{NAME}.conf"], check=True)
    users = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines()]
    (user,) = [user for user in users if user[0] == NAME]
    assert int(user[2]) < 1000 and user[6].endswith("nologin")
    service = (root / "usr/lib/systemd/system" / UNITS[0]).read_text()
    assert f"\nUser={NAME}\n" in service


def test_libraries_may_be_mapped_on_a_lib64_system_too(root):
    """Such as this machine, if its loader is in /lib64: the kernel maps the loader into the
    process."""
    service = (root / "usr/lib/systemd/system" / UNITS[0]).read_text()
    paths = re.search(r"^ExecPaths=(.*)$", service, re.MULTILINE)[1].split()
    allowed = [path.removeprefix("-") for path in paths]
    linked = subprocess.run(["ldd", BINARY], check=True, capture_output=True, text=True).stdout
    files = re.findall(r"(/\S+) \(0x", linked)
    assert files
    for file in files:
        assert any(file.startswith(f"{path}/") for path in allowed), file
    assert {"/lib", "/lib64", "/usr/lib", "/usr/lib64"} < set(allowed)


@pytest.fixture
def environment(root):
    """Returns the environment variables that the unit sets, with the robot's directories below
    `root`."""
    service = (root / "usr/lib/systemd/system" / UNITS[0]).read_text()
    lines = re.findall(r"^Environment=(\w+)=(\S+)$", service, re.MULTILINE)
    (root / "var/lib").mkdir(parents=True)
    (root / "run").mkdir()
    return {name: re.sub("^/(var/lib|run)/", rf"{root}/\1/", value) for name, value in lines}


def test_service_is_told_where_its_state_is(root, environment, serve):
    """systemd creates that directory, and the service may write nowhere else."""
    service = (root / "usr/lib/systemd/system" / UNITS[0]).read_text()
    (name,) = re.findall("^StateDirectory=(.*)$", service, re.MULTILINE)
    state = root / "var/lib" / name
    state.mkdir()
    serve(env=environment).wait_ready()
    assert (state / DATABASE).stat().st_size > 0


def test_service_is_told_of_the_audit_server(root, environment, serve):
    """The variable contains the path of the audit server's socket on the robot."""
    audit = AuditServer(root / "run/opentrons-audit-server.sock")
    server = serve(env=environment).wait_ready()
    Api(("127.0.0.1", server.port)).create("ada")
    wait_for(lambda: audit.events, "the event is taken")
    assert "ada" in audit.events[0]["message"]
    audit.close()


def test_service_is_told_which_boot_it_is(root, environment, serve):
    """systemd replaces the specifier %b by the boot id (systemd.unit(5)), which token lifetimes
    depend on."""
    (name,) = [name for name, value in environment.items() if value == "%b"]
    assert serve(env={**environment, name: "0123456789abcdef"}).wait_ready().stop() == 0
    state = root / "var/lib/opentrons-auth-server"
    assert read_database(state, "SELECT boot FROM clock_mark") == [("0123456789abcdef",)]


def test_ssh_and_notebooks_require_remote_access(root):
    """The drop-ins are enabled, and systemd reads them together with the robot's units."""
    units = root / "usr/lib/systemd/system"
    for name, text in DEPENDANTS.items():
        (units / name).write_text(text)
    systemctl = ["systemctl", "--quiet", f"--root={root}"]
    subprocess.run([*systemctl, "enable", REMOTE_ACCESS], check=True)
    for name in DEPENDANTS:
        assert (root / "etc/systemd/system" / f"{name}.requires" / REMOTE_ACCESS).is_symlink()
    for program in ("usr/sbin/dropbear", "usr/bin/true"):
        path = root / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    done = subprocess.run(
        [
            ANALYZE,
            "verify",
            "--man=no",
            f"--root={root}",
            "dropbear@1.service",
            *list(DEPENDANTS)[1:],
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_installed_tree(tmp_path):
    installed(tmp_path)
    files = {
        str(path.relative_to(tmp_path)): oct(path.stat().st_mode & 0o777)
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert files == {
        f"usr/bin/{NAME}": "0o755",
        "usr/bin/opentrons-disable-crs": "0o755",
        "usr/bin/opentrons_check_remote_access_allowed": "0o755",
        "usr/lib/systemd/system/dropbear@.service.d/opentrons-remote-access.conf": "0o644",
        f"usr/lib/systemd/system/{REMOTE_ACCESS}": "0o644",
        f"usr/lib/systemd/system/{NAME}.service": "0o644",
        f"usr/lib/systemd/system/{NAME}.socket": "0o644",
        f"usr/lib/systemd/system/{NAME}.target": "0o644",
        f"usr/lib/sysusers.d/{NAME}.conf": "0o644",
        f"etc/nginx/conf.d/{NAME}.conf": "0o644",
        f"etc/nginx/server-conf.d/{NAME}.conf": "0o644",
        f"usr/share/man/man8/{NAME}.8": "0o644",
        f"usr/share/bash-completion/completions/{NAME}": "0o644",
        f"usr/share/fish/vendor_completions.d/{NAME}.fish": "0o644",
        f"usr/share/zsh/site-functions/_{NAME}": "0o644",
    }, json.dumps(files, indent=4)
