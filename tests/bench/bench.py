"""Measures the server against its Python peer, and a request through nginx against nginx's own
speed, in one run: `make bench`.

    bench.py PEER_PYTHON

Writes results.svg beside this file, and the tables into README.md. Exits with 1 if a goal is
missed. Each round runs all cases in turn, so that drift of the machine affects all of them alike,
and the fastest round of each counts; only ratios are meaningful.
"""

import datetime
import os
import platform
import re
import sys
import tempfile
import time
from pathlib import Path

import behind_nginx
import directory_logins
import logins
import routes
import start
import years
from chart import chart
from load import CLIENTS
from servers import HERE, ROOT, WORKERS

PARTS = (routes, behind_nginx, start, logins, directory_logins, years)


# Seconds for which the machine is watched before the measurements.
WATCHED = 5


def busy():
    """Returns the share of the processors that other work uses."""

    def times():
        spent = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        # Idle, and waiting for disks (proc_stat(5)).
        return sum(spent), spent[3] + spent[4]

    (total, idle) = times()
    time.sleep(WATCHED)
    (later, idle_later) = times()
    return 1 - (idle_later - idle) / (later - total)


def machine():
    """Describes the machine and the day."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = model[1] if model else platform.machine()
    return f"{os.cpu_count()} × {name}, {datetime.datetime.now(tz=datetime.UTC).date()}"


def report(figures, shared):
    """Returns all tables in Markdown, and whether all goals are met. `shared`: says how much other work
    there was."""
    goals = [goal for part in PARTS for goal in part.goals(figures[part])]
    rows = ["| goal | measured | |", "|---|---|---|"]
    for goal in goals:
        rows.append(f"| {goal.aim} | {goal.measured} | {'met' if goal.met else '**missed**'} |")
    tables = [part.table(figures[part]) for part in PARTS]
    where = (
        f"{machine()}; ours with {WORKERS} workers, the peer as one process, wrk -t2 -c{CLIENTS}; "
        f"{shared}."
    )
    text = "\n\n".join([*tables, "\n".join(rows), where])
    return text, all(goal.met for goal in goals)


def main():
    peer = Path(sys.argv[1]).absolute()
    before = busy()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures = {part: part.measure(peer, Path(folder)) for part in PARTS}
    shared = f"other work used {before:.0%} of the processors before, {busy():.0%} after"
    text, met = report(figures, shared)
    print(text)
    where = f"{machine()}; {shared}"
    (HERE / "results.svg").write_text(chart(routes.charted(figures[routes]), where))
    readme = ROOT / "README.md"
    marked = re.sub(
        r"(<!-- make bench -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{text}\n{match[2]}",
        readme.read_text(),
        count=1,
        flags=re.DOTALL,
    )
    readme.write_text(marked)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
