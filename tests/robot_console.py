"""The console of a robot, as tests use it."""

import json
import os
import pty
import select
import subprocess

from support import BINARY, ENVIRONMENT, PATIENCE, run

# User and group without rights.
NOBODY = 65534


class Robot:
    """A state directory, its console, and its API, which exists only while the service is
    running."""

    def __init__(self, state, api, server):
        self.state = state
        self.api = api
        self.server = server

    @property
    def env(self):
        return {"OT_AUTH_SERVER_persistence_directory": self.state}

    def console(self, *arguments, **options):
        return run(*arguments, env=self.env, **options)

    def json(self, *arguments, **options):
        done = self.console(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def as_nobody(self, *arguments, **options):
        """Runs a command as a user without rights, who may run the binary, but not enter the directories
        in which it is."""
        binary = os.open(BINARY, os.O_RDONLY)
        done = subprocess.run(
            [f"/proc/self/fd/{binary}", *arguments, "--persistence-directory", self.state],
            env=ENVIRONMENT,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            pass_fds=[binary],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            **options,
        )
        os.close(binary)
        return done

    def typed(self, *arguments, answers=()):
        """Runs a command at a terminal of its own. `answers`: pairs of a prompt to wait for and the line
        to type then. Returns the exit code and all that the terminal showed."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            # setsid gives the command a controlling terminal, at which it asks for passwords.
            ["setsid", "--wait", "--ctty", BINARY, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**ENVIRONMENT, **self.env},
        )
        os.close(theirs)
        said, start = "", 0
        for prompt, answer in answers:
            while prompt not in said[start:]:
                more = read_terminal(ours)
                assert more, f"the command ended without asking {prompt!r}: {said}"
                said += more
            start = said.index(prompt, start) + len(prompt)
            os.write(ours, answer.encode() + b"\n")
        while more := read_terminal(ours):
            said += more
        code = process.wait(PATIENCE)
        os.close(ours)
        return code, said

    def rows(self):
        done = self.console("audit", "export")
        return [json.loads(line) for line in done.stdout.splitlines()]


def read_terminal(descriptor):
    """Returns what a program wrote to its terminal; nothing once the program has ended."""
    ready, _, _ = select.select([descriptor], [], [], PATIENCE)
    assert ready, "the program neither writes nor ends"
    try:
        return os.read(descriptor, 4096).decode(errors="replace")
    except OSError:  # EIO: no process has the terminal open any more
        return ""
