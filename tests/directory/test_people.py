"""People of the directory: who may log in, as what, and who they are after a change."""

import re

import pytest

from api import PASSWORD
from directory_client import found, look_up, type_of, verify
from slapd import ADMINS, AUDITORS, GROUPS, PEOPLE, SUFFIX, USERS, dn_of, person


def test_right_password(ask, lab):
    assert ask(verify("ada")) == (
        "found",
        {
            "id": lab.identifier("ada"),
            "username": "ada",
            "fullName": "Ada Sample",
            "accountType": "admin",
        },
    )


@pytest.mark.parametrize("server", ["ldaps", "starttls"])
def test_both_kinds_of_tls(ask, lab, server):
    servers = [getattr(lab, server)]
    assert type_of(ask(verify("ada"), servers=servers)) == "admin"
    assert ask(verify("ada", "wrong"), servers=servers) == ("wrongPassword", None)


def test_server_by_its_address(ask, lab):
    """The certificate names the address, too."""
    servers = [lab.ldaps.replace("localhost", "127.0.0.1")]
    assert type_of(ask(verify("ada"), servers=servers)) == "admin"


@pytest.mark.parametrize(
    "password", ["wrong", f"{PASSWORD} ", PASSWORD.upper(), "pässwörd", "\0", "x" * 5000]
)
def test_wrong_password(ask, newcomer, password):
    assert ask(verify(newcomer(), password)) == ("wrongPassword", None)


@pytest.mark.parametrize(
    "password", ["päss wörd", "密码密码", " spaces ", "*)(uid=*", "back\\slash", "x" * 200]
)
def test_right_password_of_any_characters(ask, newcomer, password):
    assert type_of(ask(verify(newcomer(password=password), password))) == "user"


@pytest.mark.parametrize("password", ["", "\0", f"\0{PASSWORD}", f"{PASSWORD}\0", f"{PASSWORD}\0x"])
def test_empty_password_is_never_sent(ask, lab, newcomer, password):
    """A server would answer it with success, as an unauthenticated bind (RFC 4513 section 5.1.2). A
    text with a NUL is shorter for some."""
    name = newcomer()
    assert ask(verify(name, password)) == ("wrongPassword", None)
    assert lab.binds(dn_of(name)) == 0
    assert type_of(ask(verify(name))) == "user"
    assert lab.binds(dn_of(name)) == 1


def test_each_question_costs_the_person_one_bind(ask, lab, newcomer):
    """More would count twice towards a lock."""
    name = newcomer()
    assert ask(verify(name, "wrong")) == ("wrongPassword", None)
    assert lab.binds(dn_of(name)) == 1
    assert len(lab.search(dn_of(name), "pwdFailureTime")["pwdFailureTime"]) == 1


def test_looking_up_is_no_bind_of_the_person(ask, lab, newcomer):
    name = newcomer()
    assert found(ask(look_up(lab.identifier(name))))["username"] == name
    assert lab.binds(dn_of(name)) == 0


@pytest.mark.parametrize(
    "name, account_type",
    [("ada", "admin"), ("grace", "user"), ("alan", "auditor"), ("margaret", None)],
)
def test_type_by_group(ask, lab, name, account_type):
    assert type_of(ask(verify(name))) == account_type
    assert type_of(ask(look_up(lab.identifier(name)))) == account_type


def test_group_in_a_group_in_a_group(ask, lab):
    assert type_of(ask(verify("katherine"))) == "user"
    assert type_of(ask(look_up(lab.identifier("katherine")))) == "user"


@pytest.mark.parametrize(
    "groups, account_type",
    [
        ([AUDITORS, ADMINS, USERS], "admin"),
        ([AUDITORS, USERS], "user"),
        ([f"cn=chemistry,{GROUPS}", AUDITORS], "user"),
    ],
)
def test_most_powerful_group_counts(ask, newcomer, groups, account_type):
    assert type_of(ask(verify(newcomer(*groups)))) == account_type


def test_groups_are_compared_as_distinguished_names(ask):
    """By RFC 4517 section 4.2.15: neither case nor spaces around the parts matter."""
    written = ADMINS.upper().replace(",", " , ").replace("=", " = ")
    assert type_of(ask(verify("ada"), adminGroups=[written])) == "admin"
    escaped = ADMINS.replace("robot-admins", "\\72obot\\2dadmins")
    assert type_of(ask(verify("ada"), adminGroups=[escaped])) == "admin"


@pytest.mark.parametrize("name", ["robot, and others", 'a "quoted" + name', "größe", "#1 \\ #2"])
def test_groups_with_special_characters(ask, lab, newcomer, name):
    escaped = re.sub(r'([,+"\\<>;=#])', r"\\\1", name)
    dn = f"cn={escaped},{GROUPS}"
    who = newcomer()
    lab.add(
        "\n".join(
            [f"dn: {dn}", "objectClass: groupOfNames", f"cn: {name}", f"member: {dn_of(who)}", ""]
        )
    )
    assert type_of(ask(verify(who), adminGroups=[dn])) == "admin"


def test_group_with_a_similar_name_is_another(ask, lab, newcomer):
    name = newcomer()
    for other in (f"cn=robot,{GROUPS}", f"cn=robot-admins2,{GROUPS}", f"cn=x,{ADMINS}", GROUPS):
        assert type_of(ask(verify(name), adminGroups=[other], auditorGroups=[])) == "user"


def test_change_of_group(ask, lab, newcomer):
    name = newcomer()
    who = lab.identifier(name)
    lab.join(ADMINS, dn_of(name))
    assert type_of(ask(look_up(who))) == "admin"
    lab.leave(ADMINS, dn_of(name))
    lab.leave(USERS, dn_of(name))
    assert type_of(ask(look_up(who))) is None
    assert type_of(ask(verify(name))) is None


def test_rename(ask, lab, newcomer):
    name = newcomer()
    who = found(ask(verify(name)))["id"]
    lab.rename(dn_of(name), f"uid={name}-renamed")
    lab.set(dn_of(f"{name}-renamed"), "cn", "Another Name")
    for operation in (look_up(who), verify(f"{name}-renamed")):
        person = found(ask(operation))
        assert person["id"] == who
        assert person["username"] == f"{name}-renamed"
        assert person["fullName"] == "Another Name"
    assert ask(verify(name)) == ("nobodyFound", None)


def test_move_within_the_base(ask, lab, newcomer):
    name = newcomer()
    who = found(ask(verify(name)))["id"]
    lab.rename(dn_of(name), f"uid={name}", f"ou=guests,{PEOPLE}")
    assert found(ask(verify(name)))["id"] == who
    assert found(ask(look_up(who)))["username"] == name


def test_move_out_of_the_base(ask, lab, newcomer):
    name = newcomer()
    who = found(ask(verify(name)))["id"]
    lab.rename(dn_of(name), f"uid={name}", f"ou=accounts,{SUFFIX}")
    assert ask(verify(name)) == ("nobodyFound", None)
    assert ask(look_up(who)) == ("nobodyFound", None)


def test_deletion_and_another_person_with_the_name(ask, lab, newcomer):
    name = newcomer()
    who = found(ask(verify(name)))["id"]
    lab.delete(dn_of(name))
    assert ask(verify(name)) == ("nobodyFound", None)
    assert ask(look_up(who)) == ("nobodyFound", None)
    lab.add(person(name))
    assert found(ask(verify(name)))["id"] != who
    assert ask(look_up(who)) == ("nobodyFound", None)


def test_nobody(ask):
    assert ask(verify("nobody")) == ("nobodyFound", None)
    assert ask(look_up("0" * 32)) == ("nobodyFound", None)


def test_two_people_with_one_name(ask, lab):
    before = lab.binds(dn_of("twin"))
    assert ask(verify("twin")) == ("severalFound", None)
    assert lab.binds(dn_of("twin")) == before


@pytest.mark.parametrize("attribute", ["cn", "mail", "sn"])
def test_full_name(ask, newcomer, lab, attribute):
    """The bind account may not read mail and sn: then there is no full name."""
    name = newcomer()
    full_name = {"cn": f"{name.capitalize()} Sample"}.get(attribute)
    assert found(ask(verify(name), fullNameAttribute=attribute))["fullName"] == full_name


@pytest.mark.parametrize("name", ["Ada", "ADA"])
def test_name_is_as_the_directory_writes_it(ask, name):
    assert found(ask(verify(name)))["username"] == "ada"


# Names that would find somebody, everybody, or break the filter if they were not escaped (RFC 4515
# section 3).
INJECTIONS = [
    *("*", "a*", "*a", "ad*a", "ada)(uid=*", "*)(uid=*))(|(uid=*", "ada)(objectClass=*"),
    *("ada))", "((ada", "ada\0", "\0", "\0ada", "ada\\", "\\61da", "ad\\61", "\\2a", "ada\\00"),
    *("ada,ou=people", "uid=ada", dn_of("ada"), "ada&", "|", "!ada", "ada=", "~=ada", ">=a"),
    *("ada\nuid: grace", "ada\r\n", "ada\x7f", "аdа", "ad\u0430", "ada\u200b", "\ufeff", "💉"),
    *("{name}", "%s", "'ada'", '"ada"', "<ada>", "x" * 256, "x" * 100_000, "\\", ")", "("),
]


@pytest.mark.parametrize("name", INJECTIONS, ids=ascii)
def test_injection_in_a_name_finds_nobody(ask, lab, name):
    before = lab.log.count(" method=128")
    assert ask(verify(name)) == ("nobodyFound", None)
    # No bind but the bind account's, if at all.
    assert lab.log.count(" method=128") - before <= 2
    assert lab.process.poll() is None


@pytest.mark.parametrize("name", ["", " ", "\t", "   "])
def test_empty_name_finds_nobody(ask, name):
    assert ask(verify(name)) == ("nobodyFound", None)


@pytest.mark.parametrize(
    "name", ["a.b", "o'neil", "x-y_z", "half(paren", "star*name", "back\\slash"]
)
def test_names_with_special_characters_are_found(ask, lab, newcomer, name):
    who = newcomer()
    escaped = name.replace("\\", "\\\\")
    lab.rename(dn_of(who), f"uid={escaped}")
    assert found(ask(verify(name)))["username"] == name


def test_person_with_several_names(ask, lab, newcomer):
    """Each would have a limit of wrong passwords of its own. A look-up renames nobody."""
    name = newcomer()
    lab.modify(dn_of(name), ("add", "uid", f"z{name}", f"a{name}"))
    before = lab.binds(dn_of(name))
    for each in (name, f"z{name}", f"a{name}"):
        assert ask(verify(each)) == ("severalFound", None)
    assert lab.binds(dn_of(name)) == before
    assert found(ask(look_up(lab.identifier(name))))["username"] == f"a{name}"
    lab.delete(dn_of(name))


@pytest.mark.parametrize("value", ["{name} Sample", "{name}\\20Sample", "{name} SAMPLE"])
def test_name_within_a_value(ask, newcomer, lab, value):
    """Another value of the attribute is none of the person's names."""
    name = newcomer()
    lab.modify(dn_of(name), ("add", "cn", f"A {name}"))
    names = {"filter": f"(cn={value})"}
    assert found(ask(verify(name), names=names))["username"] == name.capitalize()
    who = lab.identifier(name)
    assert found(ask(look_up(who), names=names))["username"] == name.capitalize()


def test_name_in_another_place_of_the_filter_is_no_name(ask, newcomer):
    name = newcomer(cn="One Name")
    other = newcomer(cn=name.upper())
    either = "(&(objectClass=inetOrgPerson)(|(uid={name})(cn={name})))"
    assert ask(verify("One Name"), names={"filter": either}) == ("nobodyFound", None)
    assert ask(verify(name), names={"filter": either}) == ("severalFound", None)
    assert found(ask(verify(other), names={"filter": either}))["username"] == other


def test_referrals_are_not_followed(ask, lab, listener):
    lab.tool(
        "ldapadd",
        "-M",
        ldif=f"""dn: ou=elsewhere,{PEOPLE}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://localhost:{listener.port}/ou=elsewhere,{PEOPLE}
""",
    )
    try:
        assert type_of(ask(verify("ada"))) == "admin"
        assert ask(verify("nobody")) == ("nobodyFound", None)
        kind, _ = ask(verify("ada"), base=f"ou=elsewhere,{PEOPLE}")
        assert kind in ("misconfigured", "nobodyFound")
        assert listener.connections == 0
    finally:
        lab.tool("ldapdelete", "-M", f"ou=elsewhere,{PEOPLE}")
