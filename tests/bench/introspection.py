"""The hot routes over the Unix socket, with few and many tokens, compared with the Python peer."""

import contextlib
import itertools
import json
import random
import re
import secrets
import statistics
from concurrent.futures import ThreadPoolExecutor

from goal import Goal
from load import CLIENTS, ROUNDS, load, medians
from native import shared_library
from servers import WORKERS, memory, serving

from api import CLIENT, FORM, Api
from support import connection

COUNTS = (10, 1_000, 100_000)
FEW, SOME, MANY = COUNTS
# Minimum number of sessions that many tokens belong to; maximum number of access tokens that one
# session keeps; number of threads that refresh them.
LOGINS = 100
PER_SESSION = 32
THREADS = 8
# Number of prepared requests in each case, however few tokens there are.
READY = 100_000
# Rounds that alternate few and many tokens: their difference is smaller than that between rounds.
PAIRS = 15
HELLO, SWITCH, INTROSPECT = (
    "/auth/hello",
    "/auth/settings/accessControlEnabled",
    "/auth/oauth2/introspect",
)


def fill(socket, count):
    """Creates this many active access tokens, by refreshing sessions."""
    api = Api(socket)
    api.settings(idleLogout=86_400)
    api.create("ada")
    logins = max(min(LOGINS, count), count // PER_SESSION)

    def refresh(issued):
        """Refreshes one session, and returns its share of the access tokens."""
        session = api.session()
        tokens = [issued["access_token"]]
        while len(tokens) < count // logins:
            body = f"grant_type=refresh_token&client_id={CLIENT}&refresh_token="
            body += issued["refresh_token"]
            issued = session.request("POST", "/auth/oauth2/token", body, FORM).json
            tokens.append(issued["access_token"])
        session.close()
        return tokens

    with ThreadPoolExecutor(THREADS) as threads:
        issued = list(threads.map(lambda _: api.login("ada"), range(logins)))
        tokens = list(itertools.chain.from_iterable(threads.map(refresh, issued)))
    assert len(set(tokens)) == count
    return tokens


def bodies(path, tokens):
    """Writes a file of introspection requests for all tokens in random order; without tokens, of
    empty bodies."""
    asked = [f"client_id={CLIENT}&token={token}" for token in tokens] or [""]
    lines = list(itertools.islice(itertools.cycle(asked), READY))
    random.shuffle(lines)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


class Case:
    """A route of one server, with the requests to send to it."""

    def __init__(self, socket, path, file):
        self.socket, self.path, self.bodies = socket, path, file
        self.method = "POST" if path == INTROSPECT else "GET"
        self.length = self.answer_length()

    def answer_length(self):
        """Returns the length of a response including its head, in bytes; an introspected token must
        be active."""
        with self.bodies.open() as lines:
            body = next(lines).strip()
        client = connection(self.socket)
        client.connect()
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: localhost\r\n"
        if body:
            head += f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {len(body)}\r\n"
        client.sock.sendall(f"{head}\r\n{body}".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += client.sock.recv(65536)
        head, content = answer.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)[1])
        while len(content) < length:
            content += client.sock.recv(65536)
        client.close()
        assert self.path != INTROSPECT or json.loads(content)["active"]
        return len(head) + 4 + length

    def load(self, shim):
        return load(self.socket, self.path, shim, self.method, self.bodies, self.length)


@contextlib.contextmanager
def with_tokens(who, count, peer, folder):
    """Starts a server with active tokens, and yields the process, its socket and the tokens."""
    name = f"{who}-{count}"
    if who == "ours":
        with serving(who, peer, folder, name) as (process, socket):
            yield process, socket, fill(socket, count)
    else:
        tokens = [secrets.token_urlsafe(32) for _ in range(count)]
        listed = folder / f"{name}-tokens"
        listed.write_text("\n".join(tokens))
        with serving(who, peer, folder, name, PEER_TOKENS=str(listed)) as (process, socket):
            yield process, socket, tokens


def measure(peer, folder):
    """Returns the load for each server and case (`hello`, `switch`, and introspection by number of
    tokens), the memory for each server and number of tokens, and how much slower introspection is
    with many tokens than with few."""
    shim = shared_library("unix", folder)
    nothing = bodies(folder / "nothing", [])
    cases, processes = {}, {}
    with contextlib.ExitStack() as stack:
        for count, who in itertools.product(COUNTS, ("ours", "peer")):
            print(f"introspection: {who} with {count} tokens", flush=True)
            server = stack.enter_context(with_tokens(who, count, peer, folder))
            processes[who, count], socket, tokens = server
            if count == FEW:
                cases[who, "hello"] = Case(socket, HELLO, nothing)
                cases[who, "switch"] = Case(socket, SWITCH, nothing)
            file = bodies(folder / f"bodies-{who}-{count}", tokens)
            cases[who, count] = Case(socket, INTROSPECT, file)
        rounds = {case: [] for case in cases}
        for number in range(ROUNDS):
            for key, case in cases.items():
                rounds[key].append(case.load(shim))
            print(f"introspection: round {number + 1} of {ROUNDS}", flush=True)
        few, many = cases["ours", FEW], cases["ours", MANY]
        losses = [1 - many.load(shim).rate / few.load(shim).rate for _ in range(PAIRS)]
        used = {key: memory(process) for key, process in processes.items()}
    return {"cases": medians(rounds), "memory": used, "loss": statistics.median(losses)}


def goals(figures):
    cases, used = figures["cases"], figures["memory"]
    of_hello = min(cases["ours", count].rate for count in COUNTS) / cases["ours", "hello"].rate
    of_peer = min(cases["ours", count].rate / cases["peer", count].rate for count in COUNTS)
    some, many = (used["ours", count] / 1e6 for count in (SOME, MANY))
    loss = figures["loss"]
    return [
        Goal("introspection at least 0.6 × `/auth/hello`", f"{of_hello:.2f} ×", of_hello >= 0.6),
        Goal("introspection at least 5 × the Python peer", f"{of_peer:.1f} ×", of_peer >= 5),
        Goal(f"at most 10 % slower with {MANY:,} tokens than {FEW}", f"{loss:.1%}", loss <= 0.1),
        Goal(f"at most 12 MB with {SOME:,} tokens", f"{some:.1f} MB", some <= 12),
        Goal(f"at most 64 MB with {MANY:,} tokens", f"{many:.1f} MB", many <= 64),
    ]


def table(figures):
    """Returns the results in Markdown."""
    cases, used = figures["cases"], figures["memory"]
    names = {"hello": f"GET {HELLO}", "switch": f"GET {SWITCH}"}
    names |= {count: f"POST {INTROSPECT}, {count:,} tokens" for count in COUNTS}
    lines = [
        (
            f"| over a Unix socket, {CLIENTS} clients, {WORKERS} workers | ours, requests/s "
            "| p50 | p99 | memory (PSS) | Python peer, requests/s | p50 | p99 | memory (PSS) |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, name in names.items():
        cells = [name]
        for who in ("ours", "peer"):
            came = cases[who, case]
            cells += [f"{came.rate:,.0f}", f"{1000 * came.p50:.2f} ms", f"{1000 * came.p99:.2f} ms"]
            held = used.get((who, case))
            cells.append(f"{held / 1e6:.1f} MB" if held else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
