"""Measures the server beside its Python peer and nginx alone, in one run: `make bench`.

    bench.py PEER_PYTHON

Writes results.svg beside this file, and the table into README.md. Exits with 1 when
a goal is missed. Rounds go over all cases in turn, so that a drift of the machine hits all alike;
only ratios mean anything.
"""

import contextlib
import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import FILES, PATIENCE, connection, free_port, wait_for

SERVER = ROOT / "target/release/opentrons-auth-server"
ROBOTS = ROOT / "target/aarch64-unknown-linux-gnu/release/opentrons-auth-server"
WORKERS = 2
CLIENTS = 32
ROUNDS = 5
SECONDS = 3
STARTS = 10
HELLO = b'{"message":"hello world"}'
BODY = HELLO.decode().replace('"', '\\"')
# Requests whose instructions are counted, beyond those of a start.
COUNTED = 2000
NGINX = """
user root; daemon off; worker_processes 1; pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
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
# As the robot's own configuration has it.
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


def command(who, peer, socket=None, port=None):
    where = ["--uds", socket] if socket else ["--port", port]
    if who == "ours":
        return [SERVER, *where, "--workers", WORKERS, "--log-level", "error"]
    options = ["--workers", WORKERS, "--loop", "uvloop", "--http", "httptools"]
    options += ["--no-access-log", "--log-level", "error"]
    return [peer, "-m", "uvicorn", "peer:app", "--app-dir", HERE, *where, *options]


@contextlib.contextmanager
def running(arguments, folder):
    """A process, and its end."""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [str(part) for part in arguments], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def hello(address):
    client = connection(address)
    try:
        client.request("GET", "/auth/hello")
        return client.getresponse().read() == HELLO
    except OSError:
        return False
    finally:
        client.close()


def first_answer(who, peer, folder):
    """Seconds from a start to the first answer."""
    socket = folder / "start.sock"
    socket.unlink(missing_ok=True)
    begun = time.perf_counter()
    with running(command(who, peer, socket), folder) as process:
        while not hello(socket):
            assert process.poll() is None
        return time.perf_counter() - begun


def memory(process):
    """Proportional set size of a process and its children, in bytes."""
    total, waiting = 0, [process.pid]
    while waiting:
        pid = waiting.pop()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += 1024 * int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])
        for task in Path(f"/proc/{pid}/task").iterdir():
            waiting += (task / "children").read_text().split()
    return total


def load(port):
    """Requests/s, p50 and p99 in seconds of one round."""
    text = subprocess.run(
        [
            *("wrk", "-t2", f"-c{CLIENTS}", f"-d{SECONDS}s", "--latency"),
            f"http://127.0.0.1:{port}/auth/hello",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
    quantiles = [
        float(value) * units[unit]
        for value, unit in re.findall(r"^\s+(?:50|99)%\s+([\d.]+)(us|ms|s)$", text, re.MULTILINE)
    ]
    return (float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), *quantiles)


def instructions(folder):
    """aarch64 instructions per request on a kept connection, counted by a plug-in of QEMU."""
    plugin = folder / "count.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", plugin, HERE / "count.c"], check=True)

    def count(requests):
        socket = folder / "counted.sock"
        with open(folder / "counted", "wb") as log:
            process = subprocess.Popen(
                ["qemu-aarch64", "-plugin", plugin, "-L", "/usr/aarch64-linux-gnu", ROBOTS]
                + ["--uds", socket, "--workers", "1", "--log-level", "warning"],
                stderr=log,
            )
        wait_for(lambda: hello(socket), "it answers under QEMU")
        client = connection(socket)
        for _ in range(requests):
            client.request("GET", "/auth/hello")
            assert client.getresponse().read() == HELLO
        client.close()
        process.terminate()
        process.wait(PATIENCE)
        text = (folder / "counted").read_text()
        return int(re.search(r"instructions: (\d+)", text)[1])

    few, many = count(COUNTED // 10), count(COUNTED + COUNTED // 10)
    return (many - few) / COUNTED


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
    path.write_text(NGINX.format(folder=folder, servers=servers))
    return path


def measure(peer, folder):
    """All figures: rates and quantiles by case, the rest by who."""
    starts = {who: [] for who in ("ours", "peer")}
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
            stack.enter_context(running(command(who, peer, port=ports[who]), folder))
        conf = nginx_configuration(folder, ports, sockets)
        stack.enter_context(running(["/usr/sbin/nginx", "-c", conf], folder))
        for case, port in ports.items():
            wait_for(lambda port=port: hello(("127.0.0.1", port)), case)
        for number in range(ROUNDS):
            for case, port in ports.items():
                rounds[case].append(load(port))
            print(f"round {number + 1} of {ROUNDS}", flush=True)
        used = {who: memory(process) for who, process in processes.items()}
    return {
        "cases": {
            case: tuple(statistics.median(column) for column in zip(*values, strict=True))
            for case, values in rounds.items()
        },
        "start": {who: statistics.median(taken) for who, taken in starts.items()},
        "memory": used,
        "instructions": instructions(folder),
        "binary": ROBOTS.stat().st_size,
    }


def goals(figures):
    """Goal, figure, and whether it is met."""
    cases = figures["cases"]
    ours = cases["ours-keepalive"][0]
    peer = ours / cases["peer-keepalive"][0]
    ceiling = ours / cases["nginx"][0]
    start = figures["start"]["peer"] / figures["start"]["ours"]
    memory = figures["memory"]["peer"] / figures["memory"]["ours"]
    size = figures["binary"]
    return [
        ("behind nginx, at least 3 × the Python peer", f"{peer:.1f} ×", peer >= 3),
        ("behind nginx, at least 0.35 × nginx alone", f"{ceiling:.2f} ×", ceiling >= 0.35),
        ("start at most 1/50 of the peer's", f"1/{start:.0f}", start >= 50),
        ("memory at most 1/10 of the peer's", f"1/{memory:.0f}", memory >= 10),
        ("stripped aarch64 binary at most 4 MB", f"{size / 1e6:.2f} MB", size <= 4_000_000),
    ]


def table(figures, where):
    """The results in Markdown."""
    ceiling = figures["cases"]["nginx"][0]
    lines = [
        "| GET /auth/hello | requests/s | of nginx alone | p50 | p99 |",
        "|---|---|---|---|---|",
    ]
    for case, (rate, p50, p99) in figures["cases"].items():
        lines.append(
            f"| {CASES[case]} | {rate:,.0f} | {rate / ceiling:.2f} | "
            f"{1000 * p50:.2f} ms | {1000 * p99:.2f} ms |"
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
        "",
        "| goal | measured | |",
        "|---|---|---|",
    ]
    for goal, figure, met in goals(figures):
        lines.append(f"| {goal} | {figure} | {'met' if met else '**missed**'} |")
    return "\n".join([*lines, "", f"{where}."])


def chart(figures, where):
    """The rates as horizontal bars, in SVG."""
    width, left, bar, gap = 760, 250, 22, 10
    most = max(rate for rate, *_ in figures["cases"].values())
    colours = {"nginx": "#8a8a8a", "ours": "#1f6feb", "peer": "#d29922"}
    rows = []
    for number, (case, (rate, *_)) in enumerate(figures["cases"].items()):
        top = 40 + number * (bar + gap)
        length = (width - left - 90) * rate / most
        name = CASES[case].replace("`", "")
        rows.append(
            f'<text x="{left - 8}" y="{top + 16}" text-anchor="end">{name}</text>'
            f'<rect x="{left}" y="{top}" width="{length:.0f}" height="{bar}" '
            f'fill="{colours[case.split("-")[0]]}"/>'
            f'<text x="{left + length + 6:.0f}" y="{top + 16}">{rate:,.0f}</text>'
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


def machine():
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = model[1] if model else platform.machine()
    date = datetime.datetime.now(tz=datetime.UTC).date()
    return f"{os.cpu_count()} × {name}, {WORKERS} workers each, wrk -t2 -c{CLIENTS}, {date}"


def main():
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures = measure(Path(sys.argv[1]).absolute(), Path(folder))
    text = table(figures, machine())
    print(text)
    (HERE / "results.svg").write_text(chart(figures, machine()))
    readme = ROOT / "README.md"
    marked = re.sub(
        r"(<!-- make bench -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{text}\n{match[2]}",
        readme.read_text(),
        count=1,
        flags=re.DOTALL,
    )
    readme.write_text(marked)
    return 0 if all(met for *_, met in goals(figures)) else 1


if __name__ == "__main__":
    sys.exit(main())
