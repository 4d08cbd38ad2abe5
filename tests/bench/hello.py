"""`GET /auth/hello`, the minimum cost of a request, compared with the Python peer and a bare
nginx."""

import contextlib
import statistics
import time

import instructions
from goal import Goal
from instructions import ROBOTS
from load import ROUNDS, load, medians
from servers import HELLO, command, memory, running, says_hello

from nginx import TEMPORARY
from support import FILES, free_port, wait_for

STARTS = 10
BODY = HELLO.decode().replace('"', '\\"')
NGINX = """
user root; daemon off; worker_processes 1; pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    {temporary}
{servers}
}}
"""
CEILING = """
    server {{ listen 127.0.0.1:{port};
        location /auth {{ default_type application/json; return 200 "{body}"; }} }}
"""
KEEPALIVE = """
    upstream {name} {{ server unix:{socket} max_fails=0; keepalive 16; }}
    server {{ listen 127.0.0.1:{port};
{location}
    }}
"""
# As in the robot's own configuration.
NO_KEEPALIVE = """
    server {{ listen 127.0.0.1:{port};
        location /auth {{ proxy_http_version 1.1; proxy_pass http://unix:{socket}; }} }}
"""
CASES = {
    "nginx": "nginx alone, `return 200`",
    "ours": "ours, direct",
    "peer": "Python peer, direct",
    "ours-keepalive": "nginx → ours, keep-alive",
    "peer-keepalive": "nginx → Python peer, keep-alive",
    "ours-no-keepalive": "nginx → ours, no keep-alive",
    "peer-no-keepalive": "nginx → Python peer, no keep-alive",
}


def first_answer(who, peer, folder):
    """Returns the seconds from the start of a server to its first response; ours has existing
    state, as at every boot."""
    socket = folder / "start.sock"
    socket.unlink(missing_ok=True)
    arguments = command(who, peer, socket, folder / "start-state")
    begun = time.perf_counter()
    with running(arguments, folder) as process:
        while not says_hello(socket):
            assert process.poll() is None
        return time.perf_counter() - begun


def nginx_configuration(folder, ports, sockets):
    servers = CEILING.format(port=ports["nginx"], body=BODY)
    snippet = (FILES / "nginx/location.conf").read_text()
    for who, socket in sockets.items():
        name = "opentrons-auth-server" if who == "ours" else "peer"
        location = snippet.replace("http://opentrons-auth-server", f"http://{name}")
        servers += KEEPALIVE.format(
            name=name, socket=socket, port=ports[f"{who}-keepalive"], location=location
        )
        servers += NO_KEEPALIVE.format(socket=socket, port=ports[f"{who}-no-keepalive"])
    path = folder / "nginx.conf"
    temporary = TEMPORARY.format(run=folder)
    path.write_text(NGINX.format(folder=folder, temporary=temporary, servers=servers))
    return path


def measure(peer, folder):
    """Returns all figures: the load for each case, the others for each server."""
    starts = {who: [] for who in ("ours", "peer")}
    first_answer("ours", peer, folder)
    for _ in range(STARTS):
        for who, taken in starts.items():
            taken.append(first_answer(who, peer, folder))
    ports = {case: free_port() for case in CASES}
    sockets = {who: folder / f"{who}.sock" for who in starts}
    rounds = {case: [] for case in CASES}
    with contextlib.ExitStack() as stack:
        processes = {}
        for who, socket in sockets.items():
            processes[who] = stack.enter_context(running(command(who, peer, socket), folder))
            stack.enter_context(running(command(who, peer, ports[who]), folder))
        conf = nginx_configuration(folder, ports, sockets)
        stack.enter_context(running(["/usr/sbin/nginx", "-c", conf], folder))
        for case, port in ports.items():
            wait_for(lambda port=port: says_hello(("127.0.0.1", port)), case)
        for number in range(ROUNDS):
            for case, port in ports.items():
                rounds[case].append(load(port, "/auth/hello"))
            print(f"hello: round {number + 1} of {ROUNDS}", flush=True)
        used = {who: memory(process) for who, process in processes.items()}
    return {
        "cases": medians(rounds),
        "start": {who: statistics.median(taken) for who, taken in starts.items()},
        "memory": used,
        "instructions": instructions.measure(folder)["hello"],
        "binary": ROBOTS.stat().st_size,
    }


def goals(figures):
    cases = figures["cases"]
    ours = cases["ours-keepalive"].rate
    peer = ours / cases["peer-keepalive"].rate
    ceiling = ours / cases["nginx"].rate
    start = figures["start"]["peer"] / figures["start"]["ours"]
    used = figures["memory"]["peer"] / figures["memory"]["ours"]
    size = figures["binary"]
    return [
        Goal("behind nginx, at least 3 × the Python peer", f"{peer:.1f} ×", peer >= 3),
        Goal("behind nginx, at least 0.35 × nginx alone", f"{ceiling:.2f} ×", ceiling >= 0.35),
        Goal("start at most 1/50 of the peer's", f"1/{start:.0f}", start >= 50),
        Goal("memory at most 1/10 of the peer's", f"1/{used:.0f}", used >= 10),
        Goal("stripped aarch64 binary at most 4 MB", f"{size / 1e6:.2f} MB", size <= 4_000_000),
    ]


def table(figures):
    """Returns the results in Markdown."""
    ceiling = figures["cases"]["nginx"].rate
    lines = [
        "| GET /auth/hello | requests/s | of nginx alone | p50 | p99 |",
        "|---|---|---|---|---|",
    ]
    for case, came in figures["cases"].items():
        lines.append(
            f"| {CASES[case]} | {came.rate:,.0f} | {came.rate / ceiling:.2f} | "
            f"{1000 * came.p50:.2f} ms | {1000 * came.p99:.2f} ms |"
        )
    start, used = figures["start"], figures["memory"]
    lines += [
        "",
        "| | ours | Python peer | ratio |",
        "|---|---|---|---|",
        (
            f"| start to first answer | {1000 * start['ours']:.1f} ms | {1000 * start['peer']:.0f} ms "
            f"| 1/{start['peer'] / start['ours']:.0f} |"
        ),
        (
            f"| memory after the load (PSS) | {used['ours'] / 1e6:.1f} MB | {used['peer'] / 1e6:.1f} MB "
            f"| 1/{used['peer'] / used['ours']:.0f} |"
        ),
        f"| aarch64 instructions per request | {figures['instructions']:,.0f} | | |",
    ]
    return "\n".join(lines)


def chart(figures, where):
    """Returns the request rates as an SVG chart with horizontal bars."""
    width, left, bar, gap = 760, 250, 22, 10
    most = max(came.rate for came in figures["cases"].values())
    colours = {"nginx": "#8a8a8a", "ours": "#1f6feb", "peer": "#d29922"}
    rows = []
    for number, (case, came) in enumerate(figures["cases"].items()):
        top = 40 + number * (bar + gap)
        length = (width - left - 90) * came.rate / most
        name = CASES[case].replace("`", "")
        rows.append(
            f'<text x="{left - 8}" y="{top + 16}" text-anchor="end">{name}</text>'
            f'<rect x="{left}" y="{top}" width="{length:.0f}" height="{bar}" '
            f'fill="{colours[case.split("-")[0]]}"/>'
            f'<text x="{left + length + 6:.0f}" y="{top + 16}">{came.rate:,.0f}</text>'
        )
    height = 40 + len(rows) * (bar + gap) + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="13">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
        f'<text x="{left}" y="24" font-weight="bold">GET /auth/hello, requests per second</text>'
        + "".join(rows)
        + f'<text x="8" y="{height - 10}" font-size="11" fill="#555">{where}</text></svg>\n'
    )
