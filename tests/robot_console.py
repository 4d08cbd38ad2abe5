"""The console of a robot, as tests use it."""

import json

from support import run


class Robot:
    """A state directory, its console, and its API, which exists only while the service is
    running."""

    def __init__(self, state, api, server):
        self.state = state
        self.api = api
        self.server = server

    def console(self, *arguments, **options):
        return run(*arguments, env={"OT_AUTH_SERVER_persistence_directory": self.state}, **options)

    def json(self, *arguments, **options):
        done = self.console(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def rows(self):
        done = self.console("audit", "export")
        return [json.loads(line) for line in done.stdout.splitlines()]
