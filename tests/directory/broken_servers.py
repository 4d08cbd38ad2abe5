"""Servers that speak just enough LDAP (RFC 4511) to violate it."""

import socket
import ssl
import threading
from contextlib import suppress

from support import PATIENCE

# Tags of messages.
BIND, BOUND, UNBIND, SEARCH, ENTRY, DONE, REFERENCE, EXTENDED, EXTENDED_DONE = (
    *(0x60, 0x61, 0x42, 0x63, 0x64, 0x65, 0x73, 0x77, 0x78),
)
# Result codes.
SUCCESS, PROTOCOL_ERROR, REFERRAL, INVALID_CREDENTIALS, UNAVAILABLE = 0, 2, 10, 49, 52
STARTTLS = b"1.3.6.1.4.1.1466.20037"


def tlv(tag, *contents):
    """Returns an element in BER: tag, length, contents."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def text(value):
    return tlv(0x04, value.encode() if isinstance(value, str) else value)


def message(number, tag, *contents, controls=()):
    number = tlv(0x02, number.to_bytes(4, "big"))
    return tlv(0x30, number, tlv(tag, *contents), tlv(0xA0, *controls) if controls else b"")


def result(number, tag, code=SUCCESS, diagnostics="", *more, controls=()):
    contents = tlv(0x0A, bytes([code])), text(""), text(diagnostics), *more
    return message(number, tag, *contents, controls=controls)


def entry(number, dn, **attributes):
    """Returns a search's entry; each attribute has one value."""
    values = [tlv(0x30, text(name), tlv(0x31, text(value))) for name, value in attributes.items()]
    return message(number, ENTRY, text(dn), tlv(0x30, *values))


def tls(certificate, **options):
    """Returns the TLS context of a server with a certificate's files; `options`: its attributes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    for name, value in options.items():
        setattr(context, name, value)
    return context


class Connection:
    """One client's connection."""

    def __init__(self, server, sock):
        self.server = server
        self.sock = sock

    def start_tls(self):
        self.sock = self.server.context.wrap_socket(self.sock, server_side=True)

    def send(self, data):
        self.sock.sendall(data)

    def receive(self, length):
        data = b""
        while len(data) < length:
            chunk = self.sock.recv(length - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def read(self):
        """Returns the number, the tag and the content of the next message."""
        head = self.receive(2)
        length = head[1]
        if length & 0x80:
            size = self.receive(length & 0x7F)
            length = int.from_bytes(size, "big")
        body = self.receive(length)
        self.server.received.append(body)
        end = 2 + body[1]
        number = int.from_bytes(body[2:end], "big")
        return number, body[end], body[end:]

    def wait_closed(self):
        """Reads until the client closes the connection."""
        while data := self.sock.recv(1 << 16):
            self.server.received.append(data)


class Fake:
    """A server that finds nobody and accepts every bind. Tests derive servers that do otherwise."""

    def __init__(self, context=None):
        """`context`: of TLS, as `tls()` returns it."""
        self.context = context
        # Messages of all clients, without their outermost tag and length.
        self.received = []
        self.connections = 0
        # What went wrong in each connection.
        self.errors = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ldaps = f"ldaps://localhost:{self.port}"
        self.starttls = f"ldap://localhost:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.run, args=[sock], daemon=True).start()

    def run(self, sock):
        sock.settimeout(PATIENCE)
        connection = Connection(self, sock)
        try:
            self.serve(connection)
        except (OSError, EOFError, IndexError) as error:  # The last: not LDAP, but TLS.
            self.errors.append(error)
        finally:
            connection.sock.close()

    def serve(self, connection):
        """Serves one connection."""
        if self.context:
            connection.start_tls()
        self.converse(connection)

    def converse(self, connection):
        """Answers requests until the client goes."""
        while True:
            number, tag, content = connection.read()
            if tag == BIND:
                self.bind(connection, number, content)
            elif tag == SEARCH:
                self.search(connection, number, content)
            elif tag == EXTENDED:
                self.extended(connection, number, content)
            elif tag == UNBIND:
                return

    def bind(self, connection, number, _):
        connection.send(result(number, BOUND))

    def search(self, connection, number, _):
        connection.send(result(number, DONE))

    def extended(self, connection, number, _):
        connection.send(result(number, EXTENDED_DONE, PROTOCOL_ERROR))

    def got(self, secret):
        """Returns whether a client sent this text, outside of TLS or within."""
        return any(secret.encode() in each for each in self.received)

    def close(self):
        # Wakes the thread that accepts.
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Silent(Fake):
    """Accepts connections and says nothing, not even TLS's."""

    def serve(self, connection):
        connection.wait_closed()


class Deaf(Fake):
    """Ends every connection at once."""

    def serve(self, connection):
        pass


class Web(Fake):
    """Is no LDAP server at all."""

    def converse(self, connection):
        connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 100)
        connection.wait_closed()


class Mute(Fake):
    """Says nothing after TLS's handshake."""

    def converse(self, connection):
        connection.wait_closed()


class Half(Fake):
    """Sends half of its first answer, and then nothing; or it closes the connection."""

    closes = False

    def bind(self, connection, number, _):
        answer = result(number, BOUND, SUCCESS, "x" * 100)
        connection.send(answer[: len(answer) // 2])
        if not self.closes:
            connection.wait_closed()
        raise EOFError


class HalfClosing(Half):
    closes = True


class HalfSearch(Fake):
    """Sends half of an entry, and then nothing."""

    def search(self, connection, number, _):
        answer = entry(number, "uid=ada", uid="ada", cn="x" * 100)
        connection.send(answer[: len(answer) // 2])
        connection.wait_closed()


class Torrent(Fake):
    """Answers a search with one entry that does not end. Its length is a lie."""

    def search(self, connection, number, _):
        connection.send(bytes.fromhex("30847fffffff") + tlv(0x02, number.to_bytes(4, "big")))
        connection.send(bytes.fromhex("64847ffffff0"))
        while True:
            connection.send(bytes(1 << 20))


class Entries(Fake):
    """Answers a search with entries without end."""

    def search(self, connection, number, _):
        block = b"".join(
            entry(number, f"uid=ada{each}", uid="ada", cn="x" * 1000) for each in range(1000)
        )
        while True:
            connection.send(block)


class Attributes(Fake):
    """Answers a search with an entry of 64 MiB."""

    def search(self, connection, number, _):
        connection.send(entry(number, "uid=ada", uid="ada", cn="x" * (64 << 20)))
        connection.send(result(number, DONE))


class Values(Fake):
    """Answers a search with an entry of values that are as short as they can be."""

    def search(self, connection, number, _):
        values = tlv(0x30, text("uid"), tlv(0x31, text("") * 200_000))
        connection.send(message(number, ENTRY, text("uid=ada"), tlv(0x30, values)))
        connection.wait_closed()


class Repeats(Fake):
    """Answers a search with references without end, each of them short."""

    def search(self, connection, number, _):
        block = message(number, REFERENCE, text("ldap://localhost:1/")) * 1000
        while True:
            connection.send(block)


class Nested(Fake):
    """Answers a bind with elements within elements."""

    def bind(self, connection, number, _):
        element = b""
        for _ in range(20_000):
            element = tlv(0x30, element)
        connection.send(element)
        connection.wait_closed()


BROKEN = [Silent, Deaf, Web, Mute, Half, HalfClosing, HalfSearch]
FLOODING = [Torrent, Entries, Attributes, Values, Repeats, Nested]


class Plain(Fake):
    """Speaks LDAP without TLS, and refuses StartTLS."""

    def serve(self, connection):
        self.converse(connection)


class Upgrading(Plain):
    """Accepts StartTLS."""

    def extended(self, connection, number, content):
        if STARTTLS not in content:
            return super().extended(connection, number, content)
        connection.send(result(number, EXTENDED_DONE))
        connection.start_tls()


class Stripping(Upgrading):
    """Accepts StartTLS, and goes on without TLS."""

    def extended(self, connection, number, _):
        connection.send(result(number, EXTENDED_DONE))


class Injecting(Upgrading):
    """Somebody between client and server adds answers to the server's last one before TLS, so that
    later requests seem to be answered; the server itself refuses every bind."""

    def extended(self, connection, number, _):
        forged = b"".join(
            result(later, BOUND) + entry(later, "uid=ada", uid="ada") + result(later, DONE)
            for later in range(number + 1, number + 5)
        )
        connection.send(result(number, EXTENDED_DONE) + forged)
        connection.start_tls()

    def bind(self, connection, number, _):
        connection.send(result(number, BOUND, INVALID_CREDENTIALS))
