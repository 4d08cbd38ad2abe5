"""The units as systemd reads them, in the tree that `make install` creates."""

import json
import re
import shutil
import subprocess

import pytest

from api import Api
from audit_server import AuditServer
from support import BINARY, DATABASE, installed, installed_directory, read_database, run, wait_for

ANALYZE = shutil.which("systemd-analyze")
NAME = "opentrons-auth-server"
DIRECTORY = "opentrons-auth-directory"
UNITS = f"{NAME}.service", f"{NAME}.socket", f"{NAME}.target"
DIRECTORY_UNITS = f"{DIRECTORY}.service", f"{DIRECTORY}.socket"
REMOTE_ACCESS = "opentrons-remote-access-allowed.service"
# The second has the network, which counts for 0.8.
EXPOSURE = {NAME: 0.4, DIRECTORY: 1.0}
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
    program = tmp_path / "program"
    program.touch()
    installed_directory(tmp_path, program)
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
        [ANALYZE, "verify", "--man=no", f"--root={root}", *UNITS, *DIRECTORY_UNITS, REMOTE_ACCESS],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr, done.returncode


def test_systemd_finds_nothing_wrong(root):
    assert verify(root) == ("", 0)


@pytest.mark.parametrize("name", [NAME, DIRECTORY])
def test_systemd_would_find_something(root, name):
    with open(root / f"usr/lib/systemd/system/{name}.service", "a") as unit:
        unit.write("[Service]\nProtectSytem=strict\n")
    assert "ProtectSytem" in verify(root)[0]


@pytest.mark.parametrize("name", [NAME, DIRECTORY])
def test_exposure_is_low(root, figures, name):
    service = f"{name}.service"
    output = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--no-pager", f"--root={root}", service],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    score = float(output.split("Overall exposure level for")[1].split(":")[1].split()[0])
    figures(f"systemd-analyze security --offline=true: {name} {score} (at most {EXPOSURE[name]})")
    assert score <= EXPOSURE[name]


def test_documentation_is_installed(root):
    for unit in (*UNITS, *DIRECTORY_UNITS):
        text = (root / "usr/lib/systemd/system" / unit).read_text()
        assert f"Documentation=man:{NAME}(8)" in text
    page = root / f"usr/share/man/man8/{NAME}.8"
    assert re.search(rf"^\.TH {NAME} 8\b", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", [NAME, DIRECTORY])
def test_sysusers_makes_the_user_of_the_service(root, name):
    subprocess.run(["systemd-sysusers", f"--root={root}", f"{name}.conf"], check=True)
    users = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines()]
    (user,) = [user for user in users if user[0] == name]
    assert int(user[2]) < 1000 and user[6].endswith("nologin")
    service = (root / f"usr/lib/systemd/system/{name}.service").read_text()
    assert f"\nUser={name}\n" in service


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
    # The other service's libraries lie in the same directories.
    (others,) = settings(root, DIRECTORY_UNITS[0], "ExecPaths")
    assert others.replace("+", "") == " ".join(paths).replace(NAME, DIRECTORY)


def settings(root, unit, name):
    """Returns the values of each line of a unit that sets `name`."""
    text = (root / "usr/lib/systemd/system" / unit).read_text()
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def test_auth_server_alone_may_connect_to_the_directory(root):
    """The socket belongs to its user, and it is told of no other path than the default."""
    socket = DIRECTORY_UNITS[1]
    assert settings(root, socket, "SocketUser") == settings(root, UNITS[0], "User")
    assert settings(root, socket, "SocketMode") == ["0600"]
    (path,) = settings(root, socket, "ListenStream")
    helped = run("--help").stdout
    assert re.search(rf"directory-uds.*?\[default: {path}\]", helped, re.DOTALL), helped


def test_directory_sees_no_files_but_those_that_it_needs(root):
    """Those of name resolution and libraries, in a root directory of its own, which has mount points and
    nothing else. Whatever is added here is a hole in the sandbox."""
    service = DIRECTORY_UNITS[0]
    (folder,) = settings(root, service, "RootDirectory")
    below = [path for path in (root / folder.lstrip("/")).rglob("*")]
    assert below and all(path.is_dir() for path in below)
    bound = " ".join(settings(root, service, "BindReadOnlyPaths")).split()
    assert {path.removeprefix("-").split(":")[0] for path in bound} == {
        *(f"/usr/bin/{DIRECTORY}", "/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64"),
        *("/run/NetworkManager", "/run/systemd/resolve"),
    }
    text = (root / "usr/lib/systemd/system" / service).read_text()
    assert not re.search(r"^(BindPaths|ReadWritePaths|(?!Root)\w+Directory)=", text, re.MULTILINE)
    # Where a file system is mounted below the root directory, there is a directory for it.
    (temporary,) = settings(root, service, "TemporaryFileSystem")
    tops = [path.split(":")[0] for path in temporary.split()]
    for path in (path.removeprefix("-").split(":")[0] for path in bound):
        here = next((top for top in tops if path.startswith(f"{top}/")), path)
        assert (root / f"{folder}{here}".lstrip("/")).is_dir(), path


def test_directory_is_not_started_before_it_is_asked(root):
    systemctl = ["systemctl", "--quiet", f"--root={root}"]
    subprocess.run([*systemctl, "enable", DIRECTORY_UNITS[1]], check=True)
    wanted = root / "etc/systemd/system/sockets.target.wants" / DIRECTORY_UNITS[1]
    assert wanted.is_symlink()
    assert "[Install]" not in (root / "usr/lib/systemd/system" / DIRECTORY_UNITS[0]).read_text()


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


def files_in(folder):
    """Returns the modes of all files in a directory, by path."""
    return {
        str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_installed_tree(tmp_path):
    installed(tmp_path)
    files = files_in(tmp_path)
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


def test_installed_tree_of_the_directory(tmp_path):
    program = tmp_path / "program"
    program.touch()
    tree = installed_directory(tmp_path / "tree", program)
    files = files_in(tree)
    assert files == {
        f"usr/bin/{DIRECTORY}": "0o755",
        f"usr/lib/systemd/system/{DIRECTORY}.service": "0o644",
        f"usr/lib/systemd/system/{DIRECTORY}.socket": "0o644",
        f"usr/lib/sysusers.d/{DIRECTORY}.conf": "0o644",
    }, json.dumps(files, indent=4)
    assert (tree / f"usr/lib/{DIRECTORY}/run").is_dir()
