"""What strangers on the lab's network do to the server, all at once and through nginx."""

import contextlib
import http.client
import random
import socket
import threading

from api import CLIENT, Api
from support import PATIENCE

# Numbers of connections.
LOGINS, IDLE, HALF = 24, 150, 100
NOTES = "%FF" * 2_700
MALFORMED = (
    b"GET /auth/hello HTTP/1.1\r\nHost: x\r\nX-A: \x01\r\n\r\n",
    b"GET /auth/hello HTTP/1.1\r\n\r\n",
    b"GET /auth/hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"POST /auth/users HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /auth/%zz HTTP/9.9\r\nHost: x\r\n\r\n",
    b"POST /auth/oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\xff\xfe\xfd\xfc\xfb",
)


class Attacks:
    """Threads that attack until stopped, and count what they did."""

    def __init__(self, robot):
        self.robot = robot
        self.stopped = threading.Event()
        self.count = dict.fromkeys(("logins", "notes", "malformed", "idle", "refreshes"), 0)
        self.lock = threading.Lock()
        kinds = [self.guess] * LOGINS + [self.shout, self.stammer, self.loiter, self.spin]
        self.threads = [
            threading.Thread(target=self.repeat, args=(kind, f"127.0.2.{number + 1}"))
            for number, kind in enumerate(kinds)
        ]

    def start(self):
        for thread in self.threads:
            thread.start()

    def finish(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(PATIENCE)

    def repeat(self, attack, source):
        while not self.stopped.wait(0.01):
            # What happens to an attacker is of no interest.
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                attack(Api(self.robot.address, source))

    def counted(self, name):
        with self.lock:
            self.count[name] += 1

    def guess(self, api):
        """Wrong logins of users that nobody has, of one that somebody has, and of the administrator."""
        api.try_login(random.choice((f"nobody{random.randrange(1000)}", "victim", "boss")), "wrong")
        self.counted("logins")

    def shout(self, api):
        """Refused requests with long notes."""
        form = {"client_id": CLIENT, "grant_type": "password", "username": "x", "password": "y"}
        api.form("token", form, {"Opentrons-User-Notes": NOTES})
        api.request("POST", "/auth/users", {}, headers={"Opentrons-User-Notes": NOTES})
        self.counted("notes")

    def stammer(self, _):
        """Malformed requests."""
        with socket.create_connection(self.robot.address, PATIENCE) as stream:
            stream.sendall(random.choice(MALFORMED))
            stream.shutdown(socket.SHUT_WR)
            stream.recv(4096)
        self.counted("malformed")

    def loiter(self, _):
        """Idle connections, and some with half a head or half a body."""
        with contextlib.ExitStack() as open_ones:
            for number in range(IDLE + HALF):
                stream = socket.create_connection(self.robot.address, PATIENCE)
                open_ones.enter_context(stream)
                if number >= IDLE:
                    body = b"Content-Length: 9\r\n\r\nabc" if number % 2 else b""
                    stream.sendall(b"POST /auth/oauth2/token HTTP/1.1\r\nHost: x\r\n" + body)
            self.count["idle"] += IDLE + HALF
            self.stopped.wait(20)

    def spin(self, api):
        """Refreshes without end, by a user whose account was taken over."""
        answer = api.try_login("loop")
        while answer.status == 200 and not self.stopped.is_set():
            answer = api.refresh(answer.json["refresh_token"])
            self.counted("refreshes")
