"""Measures the server against its Python peer and a bare nginx in one run: `make bench`.

    bench.py PEER_PYTHON

Writes results.svg beside this file, and the tables into README.md. Exits with 1 if a goal is
missed. Each round runs all cases in turn, so that drift of the machine affects all of them alike;
only ratios are meaningful.
"""

import datetime
import os
import platform
import re
import sys
import tempfile
from pathlib import Path

import hello
import introspection
import logins
import years
from load import CLIENTS
from servers import HERE, ROOT, WORKERS

PARTS = (hello, introspection, logins, years)


def machine():
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = model[1] if model else platform.machine()
    date = datetime.datetime.now(tz=datetime.UTC).date()
    return f"{os.cpu_count()} × {name}, {WORKERS} workers each, wrk -t2 -c{CLIENTS}, {date}"


def report(figures):
    """Returns all tables in Markdown, and whether all goals are met."""
    goals = [goal for part in PARTS for goal in part.goals(figures[part])]
    rows = ["| goal | measured | |", "|---|---|---|"]
    for goal in goals:
        rows.append(f"| {goal.aim} | {goal.measured} | {'met' if goal.met else '**missed**'} |")
    tables = [part.table(figures[part]) for part in PARTS]
    text = "\n\n".join([*tables, "\n".join(rows), f"{machine()}."])
    return text, all(goal.met for goal in goals)


def main():
    peer = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures = {part: part.measure(peer, Path(folder)) for part in PARTS}
    text, met = report(figures)
    print(text)
    (HERE / "results.svg").write_text(hello.chart(figures[hello], machine()))
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
