"""`directory` at the console, while the service is running and while it is not. A stand-in answers for
opentrons-auth-directory."""

import json
import os
import subprocess

import pytest

from api import Api
from directory_process import WORKS
from examples import DIRECTORY
from robot_console import NOBODY, Robot

PASSWORD = DIRECTORY["bindPassword"]
SHOWN = {
    **{name: value for name, value in DIRECTORY.items() if name != "bindPassword"},
    "fullNameAttribute": "displayName",
    "auditorGroups": [],
    "offlineDays": 7,
    "maxWrongPasswords": 3,
}
FOUND = [f"{server}: {WORKS}" for server in DIRECTORY["servers"]]


class Lab(Robot):
    """A robot whose commands ask the stand-in, too."""

    def __init__(self, state, api, server, process):
        super().__init__(state, api, server)
        self.process = process

    @property
    def env(self):
        return {**super().env, "OT_AUTH_SERVER_directory_uds": self.process.path}


@pytest.fixture(params=["running", "stopped"])
def lab(request, serve, tmp_path, directory_process):
    path, state = tmp_path / "auth.sock", tmp_path / "state"
    arguments = ("--uds", path, "--persistence-directory", state)
    server = serve(*arguments, "--directory-uds", directory_process.path).wait_ready()
    api = Api(path)
    api.create("ada", "admin")
    if request.param == "stopped":
        server.stop()
    return Lab(state, api, server, directory_process)


@pytest.fixture
def files(tmp_path):
    """Files with the configuration, the certificates of the CA and the password of the bind account."""
    paths = [tmp_path / name for name in ("directory.json", "ca.pem", "password")]
    for path, text in zip(
        paths, (json.dumps(DIRECTORY), DIRECTORY["ca"], f"{PASSWORD}\n"), strict=True
    ):
        path.write_text(text)
    return paths


def fields(**values):
    """Returns the arguments that give these values."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    return [f"{name}={each}" for name, value in lists.items() for each in value]


SHORT = fields(
    **{name: DIRECTORY[name] for name in DIRECTORY if name not in ("ca", "bindPassword")}
)


def fails(done, code, says):
    assert done.returncode == code, (done.returncode, done.stderr)
    assert done.stdout == "" and says in done.stderr, (done.stdout, done.stderr)


def test_no_directory_is_configured(lab):
    for command in (("show",), ("test",), ("remove", "--yes")):
        fails(lab.console("directory", *command), 3, "No directory is configured.")
    done = lab.console("directory", "show", "--json")
    assert json.loads(done.stderr)["errors"][0]["id"] == "directoryNotConfigured"
    assert lab.process.requests == []


def test_configuration_of_a_file(lab, files):
    assert lab.json("directory", "set", "--file", files[0]) == SHOWN
    (asked,) = lab.process.requests
    assert (asked["operation"], asked["configuration"]["bindPassword"]) == ("test", PASSWORD)
    assert lab.json("directory", "show") == SHOWN
    row = lab.rows()[-1]
    assert (row["action"], row["origin"]) == ("edit directory", "console")
    assert PASSWORD not in json.dumps(lab.rows())


def test_configuration_of_standard_input(lab):
    """As the serial line has no scp."""
    shown = lab.json("directory", "set", "--file", "-", input=json.dumps(DIRECTORY))
    assert shown == SHOWN
    again = lab.json("directory", "set", "--file", "-", "offlineDays=1", input=json.dumps(SHOWN))
    assert again == {**SHOWN, "offlineDays": 1}


def test_configuration_of_single_fields(lab, files):
    given = ("--ca", files[1], "--bind-password-file", files[2], *SHORT)
    assert lab.json("directory", "set", *given) == SHOWN
    changed = lab.json("directory", "set", *fields(offlineDays=0, userGroups=["CN=a", "CN=b"]))
    assert changed == {**SHOWN, "offlineDays": 0, "userGroups": ["CN=a", "CN=b"]}
    # One of these takes the place of the other; a field without a value gets its default.
    changed = lab.json("directory", "set", "userFilter=(uid={name})", "offlineDays=", "userGroups=")
    expected = {**SHOWN, "userFilter": "(uid={name})", "userGroups": []}
    expected.pop("upnSuffix")
    assert changed == expected
    passwords = {each["configuration"]["bindPassword"] for each in lab.process.requests}
    assert passwords == {PASSWORD} and lab.process.operations == ["test"] * 3


def test_configuration_is_shown_as_a_table(lab, files):
    done = lab.console("directory", "set", "--file", files[0])
    assert done.stdout.splitlines()[:2] == FOUND
    done = lab.console("directory", "show")
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert lines[:4] == [
        ["FIELD", "VALUE"],
        ["kind", "activeDirectory"],
        ["servers", "ldaps://dc1.lab.example"],
        ["servers", "ldaps://dc2.lab.example"],
    ]
    assert ["ca", "number of certificates: 1; --json shows them"] in lines
    assert ["offlineDays", "7"] in lines and PASSWORD not in done.stdout


def test_configuration_that_does_not_work_is_not_taken(lab, files):
    lab.process.answers["test"] = {"misconfigured": "the base does not exist"}
    fails(lab.console("directory", "set", "--file", files[0]), 1, "the base does not exist")
    done = lab.console("directory", "set", "--file", files[0], "--json")
    assert json.loads(done.stderr)["errors"][0]["id"] == "directoryTestFailed"
    assert lab.console("directory", "show").returncode == 3
    assert lab.json("directory", "set", "--file", files[0], "--no-test") == SHOWN
    assert lab.process.operations == ["test"] * 2


def test_process_that_is_not_there_is_named_with_what_to_do(lab, files):
    lab.process.close()
    done = lab.console("directory", "set", "--file", files[0])
    fails(done, 1, str(lab.process.path))
    assert "install" in done.stderr and "opentrons-auth-directory.socket" in done.stderr


def test_test_takes_changes_and_changes_nothing(lab, files):
    assert lab.json("directory", "test", "--file", files[0]) == {"found": FOUND}
    assert lab.console("directory", "show").returncode == 3
    lab.json("directory", "set", "--file", files[0], "--no-test")
    assert lab.console("directory", "test").stdout.splitlines() == FOUND
    lab.json("directory", "test", "offlineDays=1")
    days = [each["configuration"]["offlineDays"] for each in lab.process.requests]
    assert days == [7, 7, 1] and lab.json("directory", "show") == SHOWN
    assert lab.rows()[-1]["action"] == "test directory"


def test_remove_asks_and_says_what_becomes_of_users(lab, files):
    lab.json("directory", "set", "--file", files[0])
    fails(lab.console("directory", "remove", stdin=subprocess.DEVNULL), 1, "pass --yes")
    assert lab.json("directory", "show") == SHOWN
    assert lab.json("directory", "remove", "--yes") == {"users": 0}
    fails(lab.console("directory", "remove", "--yes"), 3, "No directory is configured.")
    lab.json("directory", "set", "--file", files[0])
    done = lab.console("directory", "remove", "--yes")
    assert done.stdout == "removed the directory; users who cannot log in any more: 0\n"
    assert lab.rows()[-1]["action"] == "remove directory"


def test_terminal_is_asked_before_the_directory_is_removed(lab, files):
    lab.json("directory", "set", "--file", files[0])
    asks = "Remove the directory? Its users (0 now) cannot log in any more, and their sessions end. [y/N] "
    for answer, code in (("n", 1), ("y", 0)):
        assert lab.typed("directory", "remove", answers=[(asks, answer)])[0] == code
    assert lab.console("directory", "show").returncode == 3


def test_password_is_typed_and_not_shown(lab, files):
    given = ("directory", "set", "--no-test", "--ca", files[1], "--bind-password", *SHORT)
    answers = [("Password of the bind account: ", "typed-one"), ("Again: ", "typed-one")]
    code, said = lab.typed(*given, answers=answers)
    assert code == 0 and "typed-one" not in said, said
    lab.json("directory", "test")
    assert lab.process.requests[-1]["configuration"]["bindPassword"] == "typed-one"
    changed = lab.json("directory", "set", "--bind-password", input="another\n")
    assert changed == SHOWN
    assert lab.process.requests[-1]["configuration"]["bindPassword"] == "another"
    assert lab.rows()[-1]["message"] == "Changed the directory: bindPassword."


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "required arguments were not provided"),
        (("--no-test",), "required arguments were not provided"),
        (("base",), "must be FIELD=VALUE"),
        (("bse=DC=lab",), '"bse" is none of kind, servers, base, userFilter'),
        # Other users of the system would see it.
        (("bindPassword=secret",), '"bindPassword" is none of kind'),
        (("ca=MIIB",), '"ca" is none of kind'),
        (("offlineDays=many",), "offlineDays: must be between 0 and 90"),
        (("--bind-password", "--bind-password-file", "x"), "--bind-password-file"),
    ],
)
def test_wrong_use(lab, arguments, says):
    fails(lab.console("directory", "set", *arguments), 2, says)


def test_values_that_a_rule_forbids(lab, files):
    for changes, says in (
        (["base=lab"], "base: must be a distinguished name"),
        (["kind=x"], "kind: must be activeDirectory or ldap"),
        (["servers="], "servers: is required"),
        (["servers=ldaps://a", "servers=x"], "servers: item 2 must be ldaps://HOST[:PORT]"),
        (["offlineDays=91"], "offlineDays: must be between 0 and 90"),
    ):
        fails(lab.console("directory", "set", "--file", files[0], *changes), 4, f"error: {says}")
    fails(
        lab.console("directory", "set", *SHORT, "--ca", files[1]), 4, "--bind-password: is required"
    )
    assert lab.process.requests == [] and lab.console("directory", "show").returncode == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "--file: must be a JSON object; error at line 1, column 0"),
        ("[]", "--file: must be a JSON object"),
        ('{"kind": "ldap",\n}', "--file: must be a JSON object; error at line 2"),
        ('{"colour": "green"}', '--file: "colour" is no field'),
        ('{"servers": "ldaps://a"}', "servers: must be an array of strings"),
        ('{"kind": 1}', "kind: must be a string"),
        (" " * 70_000, "directory.json: must have at most 65536 bytes"),
    ],
)
def test_file_that_is_no_configuration(lab, files, text, says):
    files[0].write_text(text)
    fails(lab.console("directory", "set", "--file", files[0]), 4, says)


def test_file_that_does_not_exist(lab, tmp_path):
    for option in ("--file", "--ca", "--bind-password-file"):
        done = lab.console("directory", "set", option, tmp_path / "none")
        fails(done, 3, str(tmp_path / "none"))


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's directory needs root")
def test_files_are_read_with_the_rights_of_who_names_them(tmp_path, directory_process, files):
    """Root names them; the owner of the state directory, as whom the command goes on, may not read them."""
    state = tmp_path / "owned"
    state.mkdir(mode=0o700)
    os.chown(state, NOBODY, NOBODY)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == "root" and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o011)
    for path in files:
        path.chmod(0o600)
    lab = Lab(state, None, None, directory_process)
    given = ("--ca", files[1], "--bind-password-file", files[2], *SHORT)
    assert lab.json("directory", "set", "--no-test", *given) == SHOWN
    assert lab.json("directory", "set", "--no-test", "--file", files[0]) == SHOWN
    assert {path.owner() for path in state.iterdir()} == {"nobody"}
