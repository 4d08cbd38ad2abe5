"""The hot routes over the Unix socket, compared with the Python peer: the switch of access control,
introspection with few and many tokens, and refreshing."""

import contextlib
import itertools
import json
import os
import random
import re
import secrets
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from goal import Goal
from load import CLIENTS, ROUNDS, fastest, load
from native import shared_library
from servers import LIFETIME, in_memory, memory, serving

from api import CLIENT, FORM, Api
from support import connection

COUNTS = (10, 1_000, 100_000)
FEW, SOME, MANY = COUNTS
# Minimum number of sessions that many tokens belong to; maximum number of access tokens that one
# session keeps; number of threads that log in and refresh.
LOGINS = 100
PER_SESSION = 32
THREADS = 8
# Number of prepared requests in each case, however few tokens there are.
READY = 100_000
# Rounds that alternate few and many tokens: their difference is smaller than that between rounds.
PAIRS = 15
# Sessions that are refreshed in a round: at least one for each connection, and some to spare.
REFRESHED = 2 * CLIENTS
# Number of times that the disk is tried.
SYNCS = 200
SWITCH, INTROSPECT, TOKEN = (
    "/auth/settings/accessControlEnabled",
    "/auth/oauth2/introspect",
    "/auth/oauth2/token",
)
NAMES = {
    "switch": f"GET {SWITCH}",
    **{count: f"POST {INTROSPECT}, {count:,} tokens" for count in COUNTS},
    "refresh": f"POST {TOKEN}, refresh",
}


def log_in(api, times):
    """Logs a new user in this many times, and returns the pairs of tokens."""
    api.settings(idleLogout=LIFETIME)
    api.create("ada")
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(lambda _: api.login("ada"), range(times)))


def fill(api, count):
    """Creates this many active access tokens, by refreshing sessions, and returns the pairs."""
    logins = max(min(LOGINS, count), count // PER_SESSION)

    def refresh(issued):
        """Refreshes one session, and returns its share of the pairs."""
        session = api.session()
        pairs = [issued]
        while len(pairs) < count // logins:
            body = f"grant_type=refresh_token&client_id={CLIENT}&refresh_token="
            body += pairs[-1]["refresh_token"]
            pairs.append(session.request("POST", TOKEN, body, FORM).json)
        session.close()
        return pairs

    issued = log_in(api, logins)
    with ThreadPoolExecutor(THREADS) as threads:
        pairs = list(itertools.chain.from_iterable(threads.map(refresh, issued)))
    assert len({pair["access_token"] for pair in pairs}) == count
    return pairs


def invented(count):
    """Returns pairs of tokens for the peer, which takes them from a file."""
    kinds = ("access_token", "refresh_token")
    return [{kind: secrets.token_urlsafe(32) for kind in kinds} for _ in range(count)]


@contextlib.contextmanager
def with_tokens(who, peer, folder, create, count):
    """Starts a server with active tokens, and yields the process, its socket and the pairs.
    `create`: creates this many on ours."""
    name = f"{who}-{create.__name__}-{count}"
    if who == "ours":
        with serving(who, peer, folder, name) as (process, socket):
            yield process, socket, create(Api(socket), count)
        return
    pairs = invented(count)
    listed = folder / f"{name}-tokens"
    listed.write_text("".join(f"{' '.join(pair.values())}\n" for pair in pairs))
    with serving(who, peer, folder, name, "--tokens", listed) as (process, socket):
        yield process, socket, pairs


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


class Refreshing:
    """Refreshes of one server: each session's with the token that the one before gave."""

    def __init__(self, socket, pairs, file):
        self.socket, self.file = socket, file
        self.tokens = iter([pair["refresh_token"] for pair in pairs])

    def load(self, shim):
        tokens = itertools.islice(self.tokens, REFRESHED)
        self.file.write_text("".join(f"{token}\n" for token in tokens))
        return load(self.socket, TOKEN, shim, "refresh", self.file)


def sync(folder):
    """Returns the seconds that the disk takes to store a page."""
    taken = []
    with open(folder / "page", "wb", buffering=0) as file:
        for _ in range(SYNCS):
            begun = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file)
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def measure(peer, folder):
    """Returns the load for each server and case (of NAMES), the memory for each server and number of
    tokens, how much slower introspection is with many tokens than with few, and what the disk takes,
    on which ours stores each refresh. The state of the other cases is in memory."""
    shim = shared_library("unix", folder)
    cases, processes = {}, {}
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="bench-", dir=in_memory(folder))
        memory_folder = Path(stack.enter_context(temporary))

        def serve(where, who, create, count):
            print(f"routes: {who} with {count} tokens", flush=True)
            return stack.enter_context(with_tokens(who, peer, where, create, count))

        for count, who in itertools.product(COUNTS, ("ours", "peer")):
            processes[who, count], socket, pairs = serve(memory_folder, who, fill, count)
            if count == FEW:
                nothing = bodies(folder / "nothing", [])
                cases[who, "switch"] = Case(socket, SWITCH, nothing)
            tokens = [pair["access_token"] for pair in pairs]
            file = bodies(folder / f"bodies-{who}-{count}", tokens)
            cases[who, count] = Case(socket, INTROSPECT, file)
        for who in ("ours", "peer"):
            _, socket, pairs = serve(folder, who, log_in, ROUNDS * REFRESHED)
            cases[who, "refresh"] = Refreshing(socket, pairs, folder / "refreshed")
        rounds = {case: [] for case in cases}
        for number in range(ROUNDS):
            for key, case in cases.items():
                rounds[key].append(case.load(shim))
            print(f"routes: round {number + 1} of {ROUNDS}", flush=True)
        few, many = cases["ours", FEW], cases["ours", MANY]
        losses = [1 - many.load(shim).rate / few.load(shim).rate for _ in range(PAIRS)]
        used = {key: memory(process) for key, process in processes.items()}
    return {
        "cases": fastest(rounds),
        "memory": used,
        "loss": statistics.median(losses),
        "sync": sync(folder),
    }


def goals(figures):
    cases, used = figures["cases"], figures["memory"]
    introspection = min(cases["ours", count].rate / cases["peer", count].rate for count in COUNTS)
    refresh = cases["ours", "refresh"].rate / cases["peer", "refresh"].rate
    held = used["peer", FEW] / used["ours", FEW]
    some, many = (used["ours", count] / 1e6 for count in (SOME, MANY))
    loss = figures["loss"]
    return [
        Goal(
            "introspection at least 20 × the Python peer",
            f"{introspection:.0f} ×",
            introspection >= 20,
        ),
        Goal(f"at most 10 % slower with {MANY:,} tokens than {FEW}", f"{loss:.1%}", loss <= 0.1),
        Goal(
            "refresh, stored on disk, at least as fast as the Python peer's, which is not",
            f"{refresh:.1f} ×",
            refresh >= 1,
        ),
        Goal("memory at most 1/10 of the Python peer's", f"1/{held:.0f}", held >= 10),
        Goal(f"at most 12 MB with {SOME:,} tokens", f"{some:.1f} MB", some <= 12),
        Goal(f"at most 64 MB with {MANY:,} tokens", f"{many:.1f} MB", many <= 64),
    ]


def table(figures):
    """Returns the results in Markdown."""
    cases, used = figures["cases"], figures["memory"]
    lines = [
        (
            f"| over the Unix socket, {CLIENTS} clients | ours, requests/s | p50 | p99 | memory (PSS) "
            "| Python peer, requests/s | p50 | p99 | memory (PSS) |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, name in NAMES.items():
        cells = [name]
        for who in ("ours", "peer"):
            came = cases[who, case]
            cells += [f"{came.rate:,.0f}", f"{1000 * came.p50:.2f} ms", f"{1000 * came.p99:.2f} ms"]
            held = used.get((who, case))
            cells.append(f"{held / 1e6:.1f} MB" if held else "")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"This disk stores a page in {1000 * figures['sync']:.2f} ms."]
    return "\n".join(lines)


def charted(figures):
    """Returns the rates of both servers for the routes that the chart shows, by name."""
    return {
        NAMES[case]: {who: figures["cases"][who, case].rate for who in ("ours", "peer")}
        for case in ("switch", SOME, "refresh")
    }
