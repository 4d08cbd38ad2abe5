"""What was skipped and how to have it: lines for the end of a run."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

from support import ROOT

AS_ROOT = 'sudo --preserve-env=HOME env "PATH=$PATH"'


def how(reason):
    """Returns a command that makes tests run which are skipped for this reason, or None."""
    target = re.search(r"\bmake [a-z0-9-]+", reason)
    if "needs root" in reason:
        return f"{AS_ROOT} {target[0] if target else 'make test'}"
    if target:
        return target[0]
    tool = re.search(r"([\w.+-]+) is not installed", reason)
    if tool:
        command = ["/bin/bash", ROOT / ".ci/need", "--how", tool[1]]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return None


def lines(reports):
    """Returns one line for each file and reason of skipped tests: which tests, why, and how to have
    them."""
    skipped = defaultdict(set)
    for report in reports:
        # As pytest.skip() gives it: the file, the line and the text.
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        file, _, test = report.nodeid.partition("::")
        skipped[file, reason].add(test)
    for (file, reason), tests in sorted(skipped.items()):
        name = tests.pop() if len(tests) == 1 else f"{Path(file).name} ({len(tests)} tests)"
        yield ": ".join(filter(None, ("skipped", name, reason, how(reason))))
