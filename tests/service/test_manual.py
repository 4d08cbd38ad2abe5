"""The manual page: what it says of files, variables and exit codes, and that it can be read."""

import re
import shutil
import subprocess

import pytest

from support import FILES, ROOT, installed, run

PAGE = FILES / "man/opentrons-auth-server.8"
SECTIONS = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "OPTIONS",
    "COMMANDS",
    "EXIT STATUS",
    "ENVIRONMENT",
    "FILES",
    "ADMINISTRATION",
    "SEE ALSO",
]


def sections():
    """Returns the text of each section, without what only roff needs."""
    text = re.sub(r"\\f[BIR]", "", PAGE.read_text()).replace("\\-", "-")
    parts = re.split(r'^\.SH "?(.*?)"?$', text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def terms(section):
    """Returns the terms of the lists in a section."""
    lines = re.findall(r"^\.TP\n(.*)$", sections()[section], re.MULTILINE)
    return [term for line in lines for term in line.split(", ")]


def test_page_renders_without_warnings():
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    command = ["mandoc", "-Tlint", "-Wwarning", PAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # The page is made anew from every version of the program, so it has no date.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
    assert done.stderr == ""


def test_sections_are_complete_and_in_the_usual_order():
    assert list(sections()) == SECTIONS


def test_variables_of_all_options_and_of_systemd_are_explained():
    explained = terms("ENVIRONMENT")
    options = re.findall(r"\[env: (\w+)=", run("--help").stdout)
    assert len(options) >= 9 and {*options} < {*explained}
    paths = (path for path in (ROOT / "src").rglob("*.rs") if path.name != "build.rs")
    sources = "".join(path.read_text() for path in paths)
    read = re.findall(r'env::var\w*\(\s*"(\w+)"', sources)
    unit = (FILES / "systemd/opentrons-auth-server.service").read_text()
    set_by_unit = re.findall(r"^Environment=(\w+)=", unit, re.MULTILINE)
    systemd = ["LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]
    assert {*read, *set_by_unit, *systemd, "RUST_LOG", "TMPDIR"} <= {*explained}
    assert "SUDO_USER" in read


def test_files_of_a_running_server_are_named(start, tmp_path):
    _, api = start()
    api.create("ada", "admin")
    named = " ".join(sections()["FILES"].split())
    found = {path.name for path in (tmp_path / "state").iterdir()}
    assert "auth-server.sqlite" in found and "control.sock" in found
    for name in found:
        assert re.search(rf"(^| ){re.escape(name)}[ ,]", named), name


def test_installed_files_are_named_where_they_are(tmp_path):
    named = {term for term in terms("FILES") if term.startswith(("/usr/", "/etc/nginx/"))}
    root = installed(tmp_path / "root")
    for name in named:
        assert (root / name[1:]).is_file(), name
    folders = ["usr/bin", "usr/lib/systemd/system", "etc/nginx"]
    there = {
        f"/{path.relative_to(root)}" for each in folders for path in root.joinpath(each).rglob("*")
    }
    unnamed = {path for path in there - named if (root / path[1:]).is_file()}
    assert unnamed == {
        "/usr/bin/opentrons-auth-server",
        "/usr/lib/systemd/system/dropbear@.service.d/opentrons-remote-access.conf",
    }


def test_exit_codes_are_explained():
    assert terms("EXIT STATUS") == ["0", "1", "2", "3", "4", "5", "130", "143"]


def test_pages_that_the_text_refers_to_are_in_see_also():
    sections_of = sections()
    listed = re.findall(r"^([\w.]+)\((\d)\),?$", sections_of.pop("SEE ALSO"), re.MULTILINE)
    assert len(listed) >= 5
    sections_of.pop("NAME")
    referred = re.findall(r"\b([a-z][\w.]+)\((\d)\)", " ".join(sections_of.values()))
    assert referred and {*referred} <= {*listed}
