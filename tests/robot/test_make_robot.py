"""`make robot`, as a developer runs it."""

import re
import subprocess
import urllib.request

from support import as_in_readme, running_make, wait_for
from virtual_robot import BOOT_PATIENCE


def test_make_robot_prints_what_works():
    with running_make(as_in_readme("make robot")[1], patience=BOOT_PATIENCE) as make:
        printed = []
        for line in make.stdout:
            printed.append(line)
            if "Ctrl-C" in line:
                break
        text = "".join(printed)
        url = re.search(r"^http://\S+", text, re.MULTILINE)[0]
        ssh = re.search(r"^ssh .*", text, re.MULTILINE)[0]

        def hello():
            try:
                return urllib.request.urlopen(url).read()
            except OSError:
                return None

        assert wait_for(hello, "an answer", BOOT_PATIENCE) == b'{"message":"hello world"}'
        done = subprocess.run(
            [*ssh.split(), "uname -m"], check=True, capture_output=True, text=True
        )
        assert done.stdout == "aarch64\n"
