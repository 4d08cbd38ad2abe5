"""The reason that a user types, on its way from the apps to the audit server and into the
export."""

import csv
import io
import json
from urllib.parse import quote

import pytest

from api import SELF
from audit_server import AuditServer
from support import run, wait_for

# As encoded by JavaScript's encodeURIComponent.
UNRESERVED = "!'()*-._~"
TYPED = [
    "Because it is due",
    "Größe geändert: 5 µl",
    "first line\nsecond line",
    "first line\r\nsecond line, with \"quotes\", commas; and 'more'",
    "100 % of 50%25 and a % alone",
    "1+1=2 & more? #5 /a/b",
    "\U0001f9ea 移液器 пипетка",
]


@pytest.mark.parametrize("trimmed", ["", " ", "\n"])
def test_notes_reach_the_audit_server_and_the_export(start, tmp_path, trimmed):
    audit = AuditServer(tmp_path / "audit.sock")
    _, api = start("--audit-server-uds", tmp_path / "audit.sock")
    api.create("ada", "admin")
    token = api.login("ada")["access_token"]
    for number, typed in enumerate(TYPED):
        notes = {"Opentrons-User-Notes": quote(f"{trimmed}{typed}{trimmed}", safe=UNRESERVED)}
        answer = api.request("PATCH", SELF, {"fullName": f"Ada {number}"}, token, headers=notes)
        assert answer.status == 200, answer.body
    wait_for(lambda: len(audit.taken) == 2 + len(TYPED), "all events are taken")
    assert [event["reason"] for event in audit.events] == [None, None, *TYPED]
    export = ("audit", "export", "--persistence-directory", tmp_path / "state")
    lines = run(*export).stdout.splitlines()
    assert [json.loads(line)["reason"] for line in lines] == [None, None, *TYPED]
    table = list(csv.DictReader(io.StringIO(run(*export, "--format", "csv").stdout, newline="")))
    reasons = [row["reason"] for row in table if row["action"] == "update self"]
    # Python normalizes line endings in the output of a subprocess.
    assert reasons == [typed.replace("\r\n", "\n") for typed in TYPED]
    audit.close()
