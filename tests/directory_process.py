"""A stand-in for opentrons-auth-directory: what the auth server asks, answered from a table of people."""

import json
import socket
import struct
import threading
from contextlib import suppress

# What the process says of a server at which a configuration works.
WORKS = "the certificate, the bind account, the base and the attributes are right; 2 groups exist"


class DirectoryProcess:
    """Answers on a Unix socket, each request on a connection of its own."""

    def __init__(self, path):
        self.path = path
        # Requests, in the order in which they came.
        self.requests = []
        # People by the names that they type: `put` adds them.
        self.people = {}
        # Answers in place of the table, to requests whose operation has this name.
        self.answers = {}
        # Bytes to send in place of any answer.
        self.raw = None
        # While this is not set, no answer is sent.
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.listener = None
        self.open()

    def open(self):
        """Listens, as after the start of the process."""
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(64)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """Refuses connections, as after the end of the process."""
        self.may_answer.set()
        if self.listener:
            # Ends the waiting accept, too.
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        self.path.unlink(missing_ok=True)

    def put(self, name, account_type="user", password="correct-horse", **fields):
        """Adds or changes a person. `barred`: the reason why the person may not log in."""
        known = self.people.get(name, {"id": f"{len(self.people) + 1:032x}"})
        person = {"username": name, "fullName": f"{name} X", "accountType": account_type}
        self.people[name] = {**known, **person, "password": password, "barred": None, **fields}

    @property
    def operations(self):
        """Returns the names of the operations that were asked for."""
        return [operation_of(request) for request in self.requests]

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            (length,) = struct.unpack(">I", exactly(connection, 4))
            request = json.loads(exactly(connection, length))
            self.requests.append(request)
            self.may_answer.wait()
            answer = json.dumps(self.answer(request)).encode()
            whole = struct.pack(">I", len(answer)) + answer
            with suppress(BrokenPipeError):  # nobody waits for it any more
                connection.sendall(whole if self.raw is None else self.raw)

    def answer(self, request):
        name = operation_of(request)
        if name in self.answers:
            return self.answers[name]
        if name == "test":
            servers = request["configuration"]["servers"]
            return {"tested": [f"{server}: {WORKS}" for server in servers]}
        asked = request["operation"][name]
        if name == "verify":
            person = self.people.get(asked["name"])
        else:
            found = (each for each in self.people.values() if each["id"] == asked["id"])
            person = next(found, None)
        if person is None:
            return "nobodyFound"
        if name == "verify" and person["password"] != asked["password"]:
            return "wrongPassword"
        if person["barred"]:
            return {"barred": person["barred"]}
        return {
            "found": {key: person[key] for key in ("id", "username", "fullName", "accountType")}
        }


def operation_of(request):
    operation = request["operation"]
    return operation if isinstance(operation, str) else next(iter(operation))


def exactly(connection, count):
    """Returns the next bytes of a connection."""
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        assert more, "the request ended early"
        data += more
    return data
