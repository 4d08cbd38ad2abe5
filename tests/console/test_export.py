"""What the audit log looks like to a person: in a spreadsheet, at a terminal and in the journal."""

import csv
import io
import json
import re
from urllib.parse import quote

import pytest

from api import SELF
from audit_log import rows, verify
from support import run

# First characters of a cell that a spreadsheet takes for a formula (OWASP, "CSV Injection"), except
# white space, which the server trims.
FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
# Characters that control a terminal, and that change the order in which text is shown.
MISLEADING = "\x00\x07\x1b\x7f\x80\x9b\x85\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"


@pytest.fixture
def export_of(start, tmp_path):
    """Returns a function that has notes recorded, and returns the server and a function that
    exports the log in a format."""

    def export_of(notes):
        server, api = start()
        api.create("ada", "admin")
        token = api.login("ada")["access_token"]
        headers = {"Opentrons-User-Notes": quote(notes)}
        answer = api.request("PATCH", SELF, {"fullName": "Ada L"}, token, headers=headers)
        assert answer.status == 200, answer.body

        def export(form):
            state = tmp_path / "state"
            done = run("audit", "export", "--format", form, "--persistence-directory", state)
            assert done.returncode == 0, done.stderr
            return done.stdout

        return server, export

    return export_of


@pytest.mark.parametrize("first", FORMULA)
def test_no_cell_begins_like_a_formula(first, export_of, tmp_path):
    notes = f"{first}cmd|' /C calc'!A0"
    _, export = export_of(notes)
    table = list(csv.reader(io.StringIO(export("csv"), newline="")))
    assert not [cell for row in table for cell in row if cell.startswith(tuple(FORMULA))]
    assert f"'{notes}" in [cell for row in table for cell in row]
    assert notes in [row["reason"] for row in rows(tmp_path)]


def test_misleading_characters_are_visible_and_jsonl_is_exact(export_of, tmp_path):
    notes = f"a{MISLEADING}b"
    server, export = export_of(notes)
    lines = [line for line in server.log.splitlines() if "update self" in line]
    assert len(lines) == 1
    for text, escape in [
        (export("csv"), r"\u{202e}"),
        (export("jsonl"), r"\u202e"),
        (lines[0], r"\u202e"),
    ]:
        assert not re.search(f"[{re.escape(MISLEADING)}]", text)
        assert escape in text
    assert notes in [row["reason"] for row in rows(tmp_path)]
    # The journal's line is JSON with the same text, and confirms the row.
    assert json.loads(lines[0].split(" audit audit ")[1])["reason"] == notes
    assert verify(tmp_path, f"--journal={server.log_path}")[0] == 0


def test_other_log_lines_escape_what_a_client_sent(serve, tmp_path):
    server = serve("--log-level", "debug").wait_ready()
    body = json.dumps({"data": {"b\u202e\u009b": 1}}).encode()
    server.request("PATCH", "/auth/settings", body, {"Content-Type": "application/json"})
    server.wait_log(r"ignoring unknown field")
    server.stop()
    assert not re.search(f"[{re.escape(MISLEADING)}]", server.log)
    assert r"\u{202e}\u{9b}" in server.log
