"""Notes: the reason that a user types, sent in the header `Opentrons-User-Notes`."""

from urllib.parse import quote

import pytest

from api import PASSWORD, SELF, SWITCH, by_name, error_of
from audit_log import journal_of, rows

WORDS = "Größe geändert: 5 µl, 100 % \n zweite Zeile\t\U0001f9ea 李"
NOTES = {
    "umlauts": ("Gr%C3%B6%C3%9Fe%20ge%C3%A4ndert", "Größe geändert"),
    "all that the apps encode": (quote(WORDS, safe="!'()*-._~"), WORDS),
    "lower case digits": ("%c3%bc%2f", "ü/"),
    "decoded once": ("%2541", "%41"),
    "plus is plus": ("a+b%2Bc", "a+b+c"),
    "trimmed": ("%20 because%0A%20", "because"),
    "blank when decoded": ("%20%0A%09%E3%80%80", None),
    "blank": ("   ", None),
    "empty": ("", None),
    "not encoded": ("Because it is due.", "Because it is due."),
    "not encoded, in UTF-8": ("Größe".encode(), "Größe"),
    "malformed": ("100%", "100%"),
    "malformed: no digits": ("%zz and %", "%zz and %"),
    "malformed: one digit": ("%4", "%4"),
    "malformed beside a right one": ("%C3%BC 50%", "ü 50%"),
    "malformed: signs": ("%+1 %-1 % 1", "%+1 %-1 % 1"),
    "longest": ("x" * 2000, "x" * 2000),
    "longest when trimmed": (" " * 20 + "x" * 2000 + "%20" * 20, "x" * 2000),
}


@pytest.mark.parametrize("kind", NOTES)
def test_notes_are_what_the_user_typed(start, tmp_path, kind):
    header, reason = NOTES[kind]
    server, api = start()
    notes = {"Opentrons-User-Notes": header}
    answer = api.request("PATCH", "/auth/settings", {"idleLogout": 170}, headers=notes)
    assert answer.status == 200, answer.body
    [row] = rows(tmp_path)
    assert row["reason"] == reason
    # A single line of the journal, whatever the notes contain.
    server.stop()
    assert journal_of(server)[0]["reason"] == reason


def test_notes_that_are_no_utf8_are_no_reason_to_refuse(start, tmp_path):
    _, api = start()
    notes = {"Opentrons-User-Notes": "%FF%C3"}
    answer = api.request("PATCH", "/auth/settings", {"idleLogout": 170}, headers=notes)
    assert answer.status == 200
    assert rows(tmp_path)[0]["reason"] in ("%FF%C3", "\ufffd\ufffd")


@pytest.mark.parametrize("character", ["ü", "\U0001f9ea", "%"])
def test_notes_have_at_most_2000_characters_when_decoded(start, tmp_path, character):
    _, api = start()
    longest = {"Opentrons-User-Notes": quote(character * 2000)}
    answer = api.request("PATCH", "/auth/settings", {"idleLogout": 170}, headers=longest)
    assert answer.status == 200, answer.body
    assert rows(tmp_path)[0]["reason"] == character * 2000


@pytest.mark.parametrize("character", ["x", "ü", "李"])
def test_longest_notes_pass_by_every_way(api, character):
    notes = {"Opentrons-User-Notes": quote(character * 2000)}
    data = {"maxNumberOfLoginAttempts": 3}
    assert api.request("PATCH", "/auth/settings", data, headers=notes).status == 200


def test_notes_over_2000_characters_are_422_and_change_nothing(start, tmp_path):
    _, api = start()
    api.create("ada")
    token = api.login("ada")["access_token"]
    before = api.user("ada")
    long = {"Opentrons-User-Notes": "%C3%BC" * 2001}
    new = {"username": "bea", "fullName": "x", "accountType": "user", "password": PASSWORD}
    for answer in (
        api.request("POST", "/auth/users", new, headers=long),
        api.request("PATCH", by_name("ada"), {"fullName": "New"}, headers=long),
        api.request("PATCH", by_name("ada"), {"password": "another-one"}, headers=long),
        api.request("POST", by_name("ada", "/resetPassword"), headers=long),
        api.request("DELETE", by_name("ada"), headers=long),
        api.request("PATCH", "/auth/settings", {"idleLogout": 170}, headers=long),
        api.request("DELETE", "/auth/settings", headers=long),
        api.request("PATCH", SWITCH, {"accessControlEnabled": True}, headers=long),
        api.request("PATCH", SELF, {"fullName": "New"}, token, headers=long),
    ):
        assert error_of(answer) == (422, "invalidRequest")
        assert "Opentrons-User-Notes" in answer.json["detail"]
    login = {"client_id": "opentrons_app", "grant_type": "password", "username": "ada"}
    assert api.form("token", {**login, "password": PASSWORD}, long).status == 422
    assert api.get("/auth/users").json["data"] == [before]
    assert api.get("/auth/settings").json["data"]["idleLogout"] == 180.0
    assert len(rows(tmp_path)) == 2
    assert api.active(token)
