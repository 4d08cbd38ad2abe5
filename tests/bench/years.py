"""Simulates ten years of use with years.rs: the size of the database, and the delays by
housekeeping."""

import json
import os
import subprocess

from servers import ROOT, in_memory


def measure(_peer, folder):
    """Returns what years.rs prints."""
    print("years: ten years of logins", flush=True)
    result = subprocess.run(
        ["cargo", "bench", "--locked", "--quiet", "--bench", "years"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": in_memory(folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(result.stdout)


def goals(_figures):
    return []


def table(figures):
    """Returns the results in Markdown."""
    lines = [
        f"| after {figures['years']} years, {figures['events']:,} audited events | |",
        "|---|---|",
        f"| database | {figures['bytes'] / 1e6:.1f} MB |",
        f"| `audit verify` takes | {figures['verify_seconds']:.2f} s |",
        (
            f"| longest read while {figures['tokens']:,} tokens of ended sessions are removed "
            f"| {1000 * figures['longest_read_seconds']:.1f} ms |"
        ),
        f"| longest write meanwhile | {1000 * figures['longest_write_seconds']:.1f} ms |",
    ]
    return "\n".join(lines)
