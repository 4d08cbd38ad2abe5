"""Servers that are away, broken or hostile."""

import ssl
import time
from contextlib import closing, contextmanager

import pytest

import broken_servers as broken
import network
import slapd
from api import PASSWORD
from certificates import Authority, key_pem
from directory_client import (
    TEST,
    DirectoryProcess,
    look_up,
    request,
    type_of,
    verify,
)
from support import free_port, wait_for

# What the auth server waits for an answer at most, in seconds.
DEADLINE = 5
# What a login takes at most if the first server does not answer, in seconds; on a robot, about 1.
FIRST_SERVER_DOWN = 3
# Maximum growth of the process's memory by what a server sends, in kB.
MEMORY = 32_000


@pytest.fixture
def serve_broken(certificate):
    """Returns a function that starts a broken server."""
    servers = []

    def start(kind, context=None):
        servers.append(kind(context or broken.tls(certificate)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def closed():
    """URL of a port that refuses connections."""
    return f"ldaps://localhost:{free_port()}"


@contextmanager
def in_time(seconds=DEADLINE):
    """The auth server still waits for the answer."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


def unavailable(answer):
    """Returns what an answer says of the servers."""
    kind, content = answer
    assert kind == "unavailable", answer
    return content


def unanswered(answer):
    """Returns what an answer says of the server that was given the password."""
    kind, content = answer
    assert kind == "unanswered", answer
    return content


# --- Certificates.


def test_certificate_of_another_authority(ask, serve_broken, tmp_path):
    other = Authority(tmp_path, "Other CA")
    server = serve_broken(broken.Fake, broken.tls(other.issue("localhost")))
    said = unavailable(ask(verify("ada"), servers=[server.ldaps]))
    assert server.ldaps.removeprefix("ldaps://") in said
    assert "certificate" in said
    wait_for(lambda: server.errors, "the handshake fails")
    assert not server.received


def test_authority_of_the_system_is_not_trusted(tmp_path, settings, serve_broken):
    """Only the configured one is."""
    other = Authority(tmp_path, "Other CA")
    server = serve_broken(broken.Fake, broken.tls(other.issue("localhost")))
    with closing(DirectoryProcess(tmp_path, env={"SSL_CERT_FILE": str(other.file)})) as process:
        unavailable(process.ask(settings(servers=[server.ldaps]), verify("ada")))
    assert not server.received


@pytest.mark.parametrize("kind", [broken.Fake, broken.Upgrading])
@pytest.mark.parametrize(
    "hosts, days",
    [
        (["other.lab.example"], {}),
        (["127.0.0.2"], {}),
        (["*.localhost"], {}),
        (["localhost"], {"begin": -10, "end": -1}),
        (["localhost"], {"begin": 1}),
    ],
    ids=["other host", "other address", "subdomains", "expired", "not yet valid"],
)
def test_certificate_that_is_not_valid_here_and_now(
    ask, serve_broken, authority, kind, hosts, days
):
    server = serve_broken(kind, broken.tls(authority.issue(*hosts, **days)))
    url = server.ldaps if kind is broken.Fake else server.starttls
    said = unavailable(ask(verify("ada"), servers=[url]))
    assert "certificate" in said
    assert not server.got(slapd.ROBOT_PASSWORD)
    assert not server.got(PASSWORD)


def test_name_of_the_certificate_does_not_count_for_an_address(ask, serve_broken, authority):
    server = serve_broken(broken.Fake, broken.tls(authority.issue("localhost")))
    url = server.ldaps.replace("localhost", "127.0.0.1")
    assert "certificate" in unavailable(ask(verify("ada"), servers=[url]))
    assert not server.received


def test_certificate_that_signs_itself(ask, serve_broken, tmp_path):
    other = Authority(tmp_path, "localhost")
    files = other.file, tmp_path / "key"
    files[1].write_bytes(key_pem(other.key))
    server = serve_broken(broken.Fake, broken.tls(files))
    assert "certificate" in unavailable(ask(verify("ada"), servers=[server.ldaps]))
    assert not server.received


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_old_tls(ask, serve_broken, certificate):
    context = broken.tls(
        certificate,
        minimum_version=ssl.TLSVersion.TLSv1,
        maximum_version=ssl.TLSVersion.TLSv1_1,
    )
    # OpenSSL has no cipher suites for it at its own level of security.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    server = serve_broken(broken.Fake, context)
    unavailable(ask(verify("ada"), servers=[server.ldaps]))
    wait_for(lambda: server.errors, "the handshake fails")
    assert server.errors[0].reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_new_tls(ask, serve_broken, certificate, version):
    context = broken.tls(certificate, minimum_version=version, maximum_version=version)
    server = serve_broken(broken.Fake, context)
    assert ask(verify("ada"), servers=[server.ldaps]) == ("nobodyFound", None)


# --- A password is never sent in clear.


@pytest.fixture
def plain(tmp_path_factory):
    """A directory without TLS."""
    server = slapd.Slapd(tmp_path_factory.mktemp("plain"), data=slapd.SAMPLE).create().start()
    yield server
    server.kill()


def test_server_without_tls(ask, plain):
    for url in plain.starttls, plain.starttls.replace("ldap:", "ldaps:"):
        unavailable(ask(verify("ada"), servers=[url]))
    assert "method=128" not in plain.log


@pytest.mark.parametrize("kind", [broken.Plain, broken.Stripping])
def test_starttls_that_is_refused_or_stripped(ask, serve_broken, kind):
    server = serve_broken(kind)
    unavailable(ask(verify("ada"), servers=[server.starttls]))
    assert server.connections > 0
    assert not server.got(PASSWORD)
    assert not server.got(slapd.ROBOT_PASSWORD)


def test_answers_in_clear_do_not_count_after_starttls(ask, serve_broken):
    server = serve_broken(broken.Injecting)
    assert ask(verify("ada"), servers=[server.starttls])[0] != "found"
    assert not server.got(PASSWORD)


def test_ldaps_to_the_port_of_starttls_and_the_other_way_round(ask, lab):
    for url in (f"ldaps://localhost:{lab.port}", f"ldap://localhost:{lab.tls_port}"):
        with in_time():
            unavailable(ask(verify("ada"), servers=[url]))


@pytest.mark.parametrize(
    "url", ["ldapi://%2Frun%2Fslapd", "http://localhost", "localhost", "", "ldap://"]
)
def test_url_of_another_kind(ask, url):
    assert ask(verify("ada"), servers=[url])[0] in ("misconfigured", "unavailable")


# --- Servers that do not answer as they should.


@pytest.mark.parametrize("kind", broken.BROKEN, ids=lambda kind: kind.__name__)
def test_broken_server_alone(ask, serve_broken, kind):
    server = serve_broken(kind)
    with in_time():
        said = unavailable(ask(verify("ada"), servers=[server.ldaps]))
    assert f"localhost:{server.port}" in said


@pytest.mark.parametrize("kind", broken.BROKEN, ids=lambda kind: kind.__name__)
def test_broken_server_before_a_good_one(ask, lab, serve_broken, kind):
    server = serve_broken(kind)
    with in_time():
        assert type_of(ask(verify("ada"), servers=[server.ldaps, lab.ldaps])) == "admin"
    assert server.connections > 0


@pytest.mark.parametrize("kind", broken.FLOODING, ids=lambda kind: kind.__name__)
def test_server_that_floods(ask, lab, process, serve_broken, kind):
    server = serve_broken(kind)
    assert type_of(ask(verify("ada"))) == "admin"
    before = process.memory()
    with in_time():
        kind, _ = ask(verify("ada"), servers=[server.ldaps])
    assert kind in ("unavailable", "severalFound")
    assert process.memory() - before < MEMORY
    # It has hung up.
    wait_for(lambda: server.errors, "the connection is closed")
    assert type_of(ask(verify("ada"))) == "admin"


def test_answer_of_many_short_values(ask, serve_broken):
    """It would take many times its length in memory, and is given up at once."""
    server = serve_broken(broken.Values)
    assert "4096" in unavailable(ask(verify("ada"), servers=[server.ldaps]))


def test_address_that_refuses(ask, lab, closed):
    assert closed.removeprefix("ldaps://") in unavailable(ask(verify("ada"), servers=[closed]))
    assert type_of(ask(verify("ada"), servers=[closed, lab.ldaps])) == "admin"


@pytest.mark.parametrize("host", [network.DROPPING, network.UNREACHABLE])
@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_host_that_drops_packets_or_cannot_be_reached(ask, lab, scheme, host):
    url = f"{scheme}://{host}"
    with in_time():
        assert host in unavailable(ask(verify("ada"), servers=[url]))
    with in_time(seconds=FIRST_SERVER_DOWN):
        assert type_of(ask(verify("ada"), servers=[url, lab.ldaps])) == "admin"


def test_host_without_an_address(ask, lab):
    """The name ends in .invalid, which no resolver finds (RFC 6761 section 6.4)."""
    unknown = "ldaps://directory.invalid"
    with in_time():
        assert "directory.invalid" in unavailable(ask(verify("ada"), servers=[unknown]))
    with in_time():
        assert type_of(ask(verify("ada"), servers=[unknown, lab.ldaps])) == "admin"


def test_all_servers_are_silent(ask, serve_broken):
    servers = [serve_broken(broken.Silent) for _ in range(5)]
    with in_time():
        said = unavailable(ask(verify("ada"), servers=[each.ldaps for each in servers]))
    assert f"localhost:{servers[0].port}" in said


def test_first_server_that_answers_is_the_only_one_asked(ask, lab, serve_broken):
    """Even if it says no: another one would count the wrong password, too."""
    second = serve_broken(broken.Fake)
    servers = [lab.ldaps, second.ldaps]
    assert type_of(ask(verify("ada"), servers=servers)) == "admin"
    assert ask(verify("ada", "wrong"), servers=servers) == ("wrongPassword", None)
    assert ask(verify("nobody"), servers=servers) == ("nobodyFound", None)
    assert second.connections == 0


class Confirming(broken.Fake):
    """Finds one person by any name, and accepts the bind account alone. It says what it is told of
    everybody else."""

    answer = staticmethod(lambda number: broken.result(number, broken.BOUND))
    uid = "ada"

    def bind(self, connection, number, content):
        if slapd.ROBOT.encode() in content:
            return connection.send(broken.result(number, broken.BOUND))
        answer = self.answer(number)
        if answer is None:
            return connection.wait_closed()
        connection.send(answer)

    def search(self, connection, number, _):
        connection.send(
            broken.entry(
                number,
                slapd.dn_of("ada"),
                uid=self.uid,
                cn="Ada Sample",
                entryUUID="01234567-89ab-cdef-0123-456789abcdef",
                memberOf=slapd.ADMINS,
            )
        )
        connection.send(broken.result(number, broken.DONE))


def test_person_of_a_stand_in(ask, serve_broken):
    """The stand-in is good enough for a login, so that what follows shows what it is meant to show."""
    server = serve_broken(Confirming)
    kind, person = ask(verify("ada"), servers=[server.ldaps])
    assert kind == "found"
    assert person["id"] == "0123456789abcdef0123456789abcdef"
    assert person["accountType"] == "admin"


def refusing(code):
    """Returns a server that answers the person's bind with a result code (RFC 4511 appendix A)."""

    class Refusing(Confirming):
        answer = staticmethod(lambda number: broken.result(number, broken.BOUND, code))

    return Refusing


@pytest.mark.parametrize("code", [1, 2, 8, 10, 11, 14, 32, 34, 48, 50, 53, 118, 123], ids=str)
def test_bind_that_the_server_refuses_to_the_person(ask, serve_broken, code):
    """It is neither away nor wrongly configured: then the password confirmed last would be good."""
    server = serve_broken(refusing(code))
    reason = "disabled" if code == 53 else "notHereOrNow"  # As 389 Directory Server has it.
    assert ask(verify("ada"), servers=[server.ldaps]) == ("barred", reason)


@pytest.mark.parametrize("code", [3, 51, 52, 80], ids=str)
def test_bind_that_the_server_cannot_decide_now(ask, serve_broken, code):
    """It may have counted a wrong password. No other server gets it."""
    first, second = serve_broken(refusing(code)), serve_broken(Confirming)
    assert first.ldaps in unanswered(ask(verify("ada"), servers=[first.ldaps, second.ldaps]))
    assert first.got(PASSWORD)
    assert not second.got(PASSWORD)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"0\x00",
        b"\x00" * 20,
        b"0\x0c\x02\x01",
        b"\xff" * 40,
    ],
    ids=["silence", "nothing", "empty", "zeros", "half", "ones"],
)
def test_bind_of_the_person_that_is_not_answered(ask, serve_broken, answer):
    class Cutting(Confirming):
        def bind(self, connection, number, content):
            if slapd.ROBOT.encode() in content:
                return super().bind(connection, number, content)
            if answer is None:
                return connection.wait_closed()
            connection.send(answer)
            raise EOFError

    server = serve_broken(Cutting)
    with in_time():
        unanswered(ask(verify("ada"), servers=[server.ldaps]))


@pytest.mark.parametrize(
    "answer",
    [
        lambda number: broken.result(number + 1, broken.BOUND),
        lambda number: broken.result(number, broken.DONE),
        lambda number: broken.result(number, broken.EXTENDED_DONE),
        lambda number: broken.result(number, broken.BOUND, controls=[b"0"]),
        lambda number: broken.message(number, broken.BOUND, b"\x0a\x01\x00\x04\x00\x04\x00\x87"),
    ],
    ids=["other request", "search", "extended operation", "half a control", "half an element"],
)
def test_answer_that_is_none_to_a_bind_confirms_nobody(ask, serve_broken, answer):
    """Though it says success."""

    mistaken = type("Mistaken", (Confirming,), {"answer": staticmethod(answer)})
    server = serve_broken(mistaken)
    with in_time():
        unanswered(ask(verify("ada"), servers=[server.ldaps]))


@pytest.mark.parametrize(
    "attributes",
    [
        {"entryUUID": None},
        {"entryUUID": "not a UUID"},
        {"entryUUID": "01234567-89ab-cdef-0123-456789abcdef0"},
        {"uid": None},
    ],
)
def test_person_without_an_identity(ask, serve_broken, attributes):
    """Nobody is confirmed who could not be told from somebody else later."""

    class Nameless(Confirming):
        def search(self, connection, number, _):
            values = {
                "uid": "ada",
                "cn": "Ada Sample",
                "entryUUID": "01234567-89ab-cdef-0123-456789abcdef",
                "memberOf": slapd.ADMINS,
            } | attributes
            values = {name: value for name, value in values.items() if value is not None}
            connection.send(broken.entry(number, slapd.dn_of("ada"), **values))
            connection.send(broken.result(number, broken.DONE))

    server = serve_broken(Nameless)
    kind, why = ask(verify("ada"), servers=[server.ldaps])
    assert kind == "misconfigured"
    assert next(iter(attributes)) in why


def test_entry_without_a_name_gets_no_bind(ask, serve_broken):
    """A bind with an empty name is anonymous (RFC 4513 section 5.1.1), and always succeeds."""

    class Anonymous(Confirming):
        def search(self, connection, number, _):
            connection.send(
                broken.entry(
                    number,
                    "",
                    uid="ada",
                    entryUUID="01234567-89ab-cdef-0123-456789abcdef",
                    memberOf=slapd.ADMINS,
                )
            )
            connection.send(broken.result(number, broken.DONE))

    server = serve_broken(Anonymous)
    assert ask(verify("ada"), servers=[server.ldaps])[0] != "found"
    assert not server.got(PASSWORD)


class OfOnePerson(broken.Fake):
    """Accepts every bind, and finds one person with any filter."""

    controls = ()

    def attributes(self):
        return {
            "uid": "ada",
            "cn": "Ada Sample",
            "displayName": "Ada Sample",
            "entryUUID": "01234567-89ab-cdef-0123-456789abcdef",
            "objectGUID": bytes.fromhex("0123456789abcdef0123456789abcdef"),
            "memberOf": slapd.ADMINS,
        }

    def search(self, connection, number, _):
        connection.send(broken.entry(number, slapd.dn_of("ada"), **self.attributes()))
        connection.send(broken.result(number, broken.DONE, controls=self.controls))


ONE_PERSON = look_up("0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize(
    "value, answer", [("TRUE", ("barred", "disabled")), ("true", ("barred", "disabled"))]
)
def test_account_that_389_directory_server_has_made_inactive(ask, serve_broken, value, answer):
    class Inactive(OfOnePerson):
        def attributes(self):
            return super().attributes() | {"nsAccountLock": value}

    assert ask(ONE_PERSON, servers=[serve_broken(Inactive).ldaps]) == answer


def test_account_that_389_directory_server_has_made_active_again(ask, serve_broken):
    class Active(OfOnePerson):
        def attributes(self):
            return super().attributes() | {"nsAccountLock": "FALSE"}

    assert type_of(ask(ONE_PERSON, servers=[serve_broken(Active).ldaps])) == "admin"


@pytest.mark.parametrize("value", [None, "", "normal"])
@pytest.mark.parametrize(
    "operation", [ONE_PERSON, verify("ada"), TEST], ids=["look up", "verify", "test"]
)
def test_flags_that_the_bind_account_may_not_read(ask, serve_broken, operation, value):
    """Whether an account of Active Directory is disabled would remain unknown."""

    class Hidden(OfOnePerson):
        def attributes(self):
            return super().attributes() | ({} if value is None else {"userAccountControl": value})

    server = serve_broken(Hidden)
    kind, text = ask(operation, servers=[server.ldaps], kind="activeDirectory")
    assert kind == "misconfigured"
    assert "userAccountControl" in text and "right" in text


@pytest.mark.parametrize("operation", [ONE_PERSON, verify("ada")], ids=["look up", "verify"])
@pytest.mark.parametrize("finds", [True, False])
def test_page_that_is_not_the_last(ask, serve_broken, finds, operation):
    """Somebody else may be on the next one."""

    class Paging(OfOnePerson):
        cookie = b"next"

        def attributes(self):
            return super().attributes() | {"userAccountControl": "512"}

        def search(self, connection, number, content):
            page = broken.tlv(0x30, broken.tlv(0x02, b"\0"), broken.text(self.cookie))
            name = broken.text("1.2.840.113556.1.4.319")
            self.controls = [broken.tlv(0x30, name, broken.text(page))]
            if finds:
                return super().search(connection, number, content)
            connection.send(broken.result(number, broken.DONE, controls=self.controls))

    class Last(Paging):
        cookie = b""

    server = serve_broken(Paging)
    unavailable(ask(operation, servers=[server.ldaps], kind="activeDirectory"))
    assert not server.got(PASSWORD)
    server = serve_broken(Last)
    kind, _ = ask(operation, servers=[server.ldaps], kind="activeDirectory")
    assert kind == ("found" if finds else "nobodyFound")


def test_referral_of_a_bind_is_not_followed(ask, serve_broken, listener):
    class Referring(Confirming):
        @staticmethod
        def answer(number):
            reference = broken.tlv(0xA3, broken.text(f"ldap://localhost:{listener.port}/"))
            return broken.result(number, broken.BOUND, broken.REFERRAL, "", reference)

    server = serve_broken(Referring)
    assert ask(verify("ada"), servers=[server.ldaps])[0] != "found"
    assert listener.connections == 0


# --- slapd itself.


@pytest.fixture
def second(tmp_path_factory, certificate):
    """A directory of its own for a test, which may stop it."""
    server = slapd.Slapd(tmp_path_factory.mktemp("second"), certificate, slapd.SAMPLE)
    server.create().start()
    yield server
    server.kill()


def test_server_that_is_killed(ask, lab, second):
    servers = [second.ldaps, lab.ldaps]
    assert type_of(ask(verify("ada"), servers=servers)) == "admin"
    assert second.binds(slapd.dn_of("ada")) == 1
    second.kill()
    assert type_of(ask(verify("ada"), servers=servers)) == "admin"
    unavailable(ask(verify("ada"), servers=[second.ldaps]))
    second.start()
    assert type_of(ask(verify("ada"), servers=servers)) == "admin"
    assert second.binds(slapd.dn_of("ada")) == 2


def test_server_that_freezes(ask, lab, second):
    servers = [second.ldaps, lab.ldaps]
    second.freeze()
    with in_time(seconds=FIRST_SERVER_DOWN):
        assert type_of(ask(verify("ada"), servers=servers)) == "admin"
    with in_time():
        unavailable(ask(verify("ada"), servers=[second.ldaps]))
    second.thaw()
    assert type_of(ask(verify("ada"), servers=[second.ldaps])) == "admin"


@pytest.mark.parametrize("ends", [True, False], ids=["cut", "frozen"])
def test_server_that_is_lost_while_it_checks_the_password(ask, lab, newcomer, serve_broken, ends):
    """It may have counted a wrong password. No other server gets the password, which would count it
    again, and lock the account after half as many as the robot passes on."""
    name = newcomer()

    class Lost(Confirming):
        uid = name

        def bind(self, connection, number, content):
            if slapd.ROBOT.encode() in content:
                return super().bind(connection, number, content)
            if ends:
                raise EOFError
            connection.wait_closed()

    first = serve_broken(Lost)
    with in_time():
        unanswered(ask(verify(name), servers=[first.ldaps, lab.ldaps]))
    assert first.got(PASSWORD)
    assert lab.binds(slapd.dn_of(name)) == 0


def test_slow_requests_do_not_hold_up_others(process, settings, serve_broken):
    """All of them wait for a silent server while another one is answered."""
    silent = serve_broken(broken.Silent)
    slow = [
        process.send(request(settings(servers=[silent.ldaps]), verify("ada"))) for _ in range(20)
    ]
    wait_for(lambda: silent.connections > 0, "the silent server is asked")
    assert type_of(process.ask(settings(), verify("ada"))) == "admin"
    for connection in slow:
        connection.close()
