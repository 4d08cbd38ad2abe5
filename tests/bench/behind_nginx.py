"""A request through nginx with the robot's configuration, compared with nginx's own speed: the same
answer by nginx itself, in the same configuration."""

import contextlib

from goal import Goal
from load import ROUNDS, fastest, load
from servers import command, running, says_hello

from nginx import Nginx
from support import wait_for

PATH = "/auth/settings/accessControlEnabled"
OWN = "/own"
ANSWER = '{"data":{"accessControlEnabled":false}}'
LOCATION = f"""
        location = {OWN} {{ default_type application/json; return 200 '{ANSWER}'; }}
        location /auth {{"""
CASES = {
    "nginx": "nginx's own answer, `return 200`",
    "ours": "nginx → ours",
    "peer": "nginx → Python peer",
}
LEAST = 0.2


@contextlib.contextmanager
def proxied(who, peer, folder):
    """Starts a server behind an nginx of its own, and yields the nginx."""
    own = folder / f"proxy-{who}"
    own.mkdir()
    nginx = Nginx(own, "flex")
    text = nginx.edited.read_text()
    assert text.count("\n        location /auth {") == 1
    nginx.edited.write_text(text.replace("\n        location /auth {", LOCATION))
    with running(command(who, peer, nginx.socket, own / "state"), folder):
        wait_for(lambda: says_hello(nginx.socket), f"{who} answers")
        try:
            nginx.test().start()
            for path in (OWN, PATH):
                assert nginx.request("GET", path).body.decode() == ANSWER
            yield nginx
        finally:
            nginx.stop()


def measure(peer, folder):
    """Returns the load of each case."""
    rounds = {case: [] for case in CASES}
    with contextlib.ExitStack() as stack:
        ports = {
            who: stack.enter_context(proxied(who, peer, folder)).port for who in ("ours", "peer")
        }
        for number in range(ROUNDS):
            rounds["nginx"].append(load(ports["ours"], OWN))
            for who, port in ports.items():
                rounds[who].append(load(port, PATH))
            print(f"proxy: round {number + 1} of {ROUNDS}", flush=True)
    return fastest(rounds)


def goals(figures):
    share = figures["ours"].rate / figures["nginx"].rate
    return [
        Goal(
            f"through the robot's nginx, at least {LEAST} × nginx's own speed",
            f"{share:.2f} ×",
            share >= LEAST,
        )
    ]


def table(figures):
    """Returns the results in Markdown."""
    own = figures["nginx"].rate
    lines = [
        f"| GET {PATH}, robot's nginx.conf | requests/s | of nginx's own | p50 | p99 |",
        "|---|---|---|---|---|",
    ]
    for case, came in figures.items():
        lines.append(
            f"| {CASES[case]} | {came.rate:,.0f} | {came.rate / own:.2f} | "
            f"{1000 * came.p50:.2f} ms | {1000 * came.p99:.2f} ms |"
        )
    return "\n".join(lines)
