"""Floods of logins, compared with the Python peer, one of them with hashes imported from the Python
server; and the duration of refusals."""

import itertools
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from goal import Goal
from servers import most_memory, serving

from api import CLIENT, FORM, PASSWORD, Api
from python_state import PASSWORDS, add_users, lay
from support import PATIENCE

CLIENTS = 64
SECONDS = 10
# Number of refused logins of each kind.
REFUSALS = 200
# Number of users with an imported hash.
IMPORTED = 2000
KINDS = {"nobody": "no such user", "ada": "wrong password", "bob": "locked account"}
QUANTILES = {"p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95}


def storm(api, users):
    """Returns the logins per second that were granted, those that were told to retry later, and
    those without an answer, while the maximum number of clients log in without pause. `users`:
    usernames and passwords, used in turn."""
    granted, later, lost = [], [], []
    end = time.monotonic() + SECONDS
    turns = itertools.cycle(users)

    def log_in(_client):
        while time.monotonic() < end:
            try:
                answer = api.try_login(*next(turns))
            except TimeoutError as error:
                lost.append(error)
                continue
            if answer.status == 503:
                later.append(answer)
                time.sleep(float(answer.headers["retry-after"]))
            else:
                assert answer.status == 200, answer.body
                granted.append(answer)

    begun = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        for _done in clients.map(log_in, range(CLIENTS)):
            pass  # raises the exception of a client that failed
    taken = time.monotonic() - begun
    return {"granted": len(granted) / taken, "later": len(later) / taken, "lost": len(lost) / taken}


def imported(state):
    """Creates state of the Python server with as many users as can log in during a flood, because a
    hash is replaced once it was verified. Returns their usernames and passwords."""
    state.mkdir()
    add_users(lay(state), IMPORTED)
    return [(f"robot{number}", PASSWORDS["admin1"]) for number in range(IMPORTED)]


def refusals(api):
    """Returns the durations of refused logins, in seconds, by username; the kinds take turns."""
    api.settings(maxNumberOfLoginAttempts=None)
    for username in ("ada", "bob"):
        api.create(username)
    api.update("bob", locked=True)
    taken = {username: [] for username in KINDS}
    session = api.session()
    for _ in range(REFUSALS):
        for username in random.sample(list(KINDS), len(KINDS)):
            body = urlencode(
                {
                    "grant_type": "password",
                    "client_id": CLIENT,
                    "username": username,
                    "password": "wrong-horse",
                }
            )
            begun = time.perf_counter()
            answer = session.request("POST", "/auth/oauth2/token", body, FORM)
            taken[username].append(time.perf_counter() - begun)
            assert answer.status == 400, answer.body
            assert ("opentrons_account_locked" in answer.json) == (username == "bob")
    session.close()
    return taken


def measure(peer, folder):
    """Returns the floods for each server, with `imported` for ours with imported hashes, and the
    durations of refusals in seconds for each username."""
    storms = {}
    for who in ("ours", "peer"):
        with serving(who, peer, folder, f"logins-{who}") as (process, socket):
            api = Api(socket)
            user = ("admin1", PASSWORDS["admin1"])
            if who == "ours":
                user = ("ada", PASSWORD)
                api.create(user[0])
            print(f"logins: a storm on {who}", flush=True)
            storms[who] = {**storm(api, [user]), "memory": most_memory(process)}
    users = imported(folder / "logins-imported-state")
    with serving("ours", peer, folder, "logins-imported") as (process, socket):
        print("logins: a storm on imported hashes", flush=True)
        came = storm(Api(socket), users)
        storms["imported"] = {**came, "memory": most_memory(process)}
    with serving("ours", peer, folder, "refusals") as (_, socket):
        print("logins: refusals", flush=True)
        taken = refusals(Api(socket))
    return {"storms": storms, "refusals": taken}


def goals(figures):
    most = figures["storms"]["ours"]["memory"] / 1e6
    foreign = figures["storms"]["imported"]["memory"] / 1e6
    middles = [statistics.median(taken) for taken in figures["refusals"].values()]
    apart = max(middles) / min(middles) - 1
    return [
        Goal("at most 64 MB in a storm of logins", f"{most:.1f} MB", most <= 64),
        Goal("at most 96 MB in one of imported hashes", f"{foreign:.1f} MB", foreign <= 96),
        Goal("refusals at most 5 % apart (medians)", f"{apart:.1%}", apart <= 0.05),
    ]


def table(figures):
    """Returns the results in Markdown."""
    lines = [
        f"| a storm of logins, {CLIENTS} clients | ours | Python peer | ours, imported hashes |",
        "|---|---|---|---|",
    ]
    names = {
        "granted": ("granted, per second", 1, "{:.1f}"),
        "later": ("told to come later, per second", 1, "{:.1f}"),
        "lost": (f"not answered in {PATIENCE:.0f} s, per second", 1, "{:.1f}"),
        "memory": ("most memory (VmHWM)", 1e6, "{:.1f} MB"),
    }
    for key, (name, unit, form) in names.items():
        cells = [form.format(storm[key] / unit) for storm in figures["storms"].values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"| a refused login takes | {' | '.join(QUANTILES)} |",
        "|---|" + "---|" * len(QUANTILES),
    ]
    for username, name in KINDS.items():
        percentiles = statistics.quantiles(figures["refusals"][username], n=100)
        cells = [f"{1000 * percentiles[number - 1]:.1f} ms" for number in QUANTILES.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
