"""The trial of a configuration, and what it says is wrong."""

import pytest

from api import PASSWORD
from broken_servers import Fake, tls
from certificates import Authority
from directory_client import TEST, verify
from slapd import ADMINS, GROUPS, PEOPLE, ROBOT_PASSWORD, SUFFIX, dn_of
from support import free_port


def said(answer):
    """Returns the words of an answer."""
    kind, content = answer
    return kind, content if isinstance(content, str) else "\n".join(content)


def test_configuration_that_works(ask, lab):
    kind, lines = ask(TEST, servers=[lab.ldaps, lab.starttls])
    assert kind == "tested"
    assert len(lines) == 2
    assert str(lab.tls_port) in lines[0]
    assert str(lab.port) in lines[1]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"bindPassword": "wrong"}, "password"),
        ({"bindName": f"cn=nobody,{SUFFIX}"}, "nobody"),
        ({"bindName": "not a DN"}, "not a DN"),
        ({"base": f"ou=nowhere,{SUFFIX}"}, "ou=nowhere"),
        ({"base": "not a DN"}, "not a DN"),
        ({"userGroups": ["not a DN"]}, "not a DN"),
        ({"names": {"filter": "(uid={name}"}}, "(uid={name}"),
        ({"names": {"filter": "uid={name})("}}, "filter"),
        ({"names": {"filter": "(uid={name}*)"}}, "(uid={name}*)"),
        ({"names": {"filter": "(uid=*{name})"}}, "(uid=*{name})"),
        ({"ca": "no certificate"}, "certificate"),
        ({"ca": ""}, "certificate"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "certificate"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(ask, changes, words):
    kind, text = said(ask(TEST, **changes))
    assert kind == "misconfigured"
    assert words in text
    assert ROBOT_PASSWORD not in text


@pytest.mark.parametrize("changes", [{"bindPassword": "wrong"}, {"base": f"ou=nowhere,{SUFFIX}"}])
def test_login_with_a_wrong_configuration_is_not_a_wrong_password(ask, changes):
    kind, _ = ask(verify("ada"), **changes)
    assert kind == "misconfigured"


def test_bind_account_without_a_password(ask, lab):
    """It would be anonymous (RFC 4513 section 5.1.2)."""
    before = lab.log.count("BIND dn=")
    assert ask(TEST, bindPassword="")[0] == "misconfigured"
    assert ask(verify("ada"), bindPassword="")[0] == "misconfigured"
    assert lab.log.count("BIND dn=") == before


def test_bind_account_that_may_see_nobody(ask, lab):
    """The person grace may log in, but may not read other people."""
    kind, text = said(ask(TEST, bindName=dn_of("grace"), bindPassword=PASSWORD))
    assert kind == "misconfigured"
    assert PEOPLE in text or ADMINS in text


@pytest.mark.parametrize("field", ["adminGroups", "userGroups", "auditorGroups"])
def test_group_that_does_not_exist_is_a_warning(ask, field):
    """It may be made later."""
    kind, text = said(ask(TEST, **{field: [ADMINS, f"cn=nothing,{GROUPS}"]}))
    assert kind == "tested"
    assert "warning" in text
    assert f"cn=nothing,{GROUPS}" in text
    assert ADMINS not in text


def test_person_with_several_names_is_a_warning(ask, lab, newcomer):
    name = newcomer()
    assert "several" not in said(ask(TEST))[1]
    lab.modify(dn_of(name), ("add", "uid", f"z{name}"))
    kind, text = said(ask(TEST))
    lab.delete(dn_of(name))
    assert kind == "tested"
    assert "warning" in text and "several values of uid" in text and dn_of(name) in text


def test_every_server_is_tried(ask, lab):
    """One that is away is a warning: it may be switched on later."""
    closed = f"ldaps://localhost:{free_port()}"
    kind, (first, second) = ask(TEST, servers=[lab.ldaps, closed])
    assert kind == "tested"
    assert "warning" not in first
    assert closed in second and "warning" in second


def test_every_server_has_the_right_certificate(ask, lab, authority, tmp_path):
    """One that is trusted is not enough: the others would never be asked."""
    other = Fake(tls(Authority(tmp_path, "Other CA").issue("localhost")))
    kind, text = said(ask(TEST, servers=[lab.ldaps, other.ldaps]))
    assert kind == "misconfigured"
    assert f"localhost:{other.port}" in text
    other.close()


def test_no_server_answers(ask):
    closed = f"ldaps://localhost:{free_port()}"
    kind, text = said(ask(TEST, servers=[closed]))
    assert kind == "unavailable"
    assert closed.removeprefix("ldaps://") in text


def test_several_authorities(ask, authority, tmp_path):
    """While a lab changes from one to another, both are trusted."""
    other = Authority(tmp_path, "Other CA")
    for both in (authority.pem + other.pem, other.pem + authority.pem):
        assert ask(TEST, ca=both)[0] == "tested"
    kind, text = said(ask(TEST, ca=other.pem))
    assert kind in ("unavailable", "misconfigured")
    assert "certificate" in text


def test_authority_with_comments_and_other_line_endings(ask, authority):
    """As `openssl` prints certificates, and as Windows saves them."""
    text = f"subject=CN = Lab CA\n\n{authority.pem}\n".replace("\n", "\r\n")
    assert ask(TEST, ca=text)[0] == "tested"
