"""A robot whose service is running, and one whose service is not."""

import pytest

from api import Api
from robot_console import Robot


@pytest.fixture(params=["running", "stopped"])
def robot(request, serve, tmp_path):
    path, state = tmp_path / "auth.sock", tmp_path / "state"
    server = serve("--uds", path, "--persistence-directory", state).wait_ready()
    api = Api(path)
    api.create("ada", "admin")
    api.create("bob")
    if request.param == "stopped":
        server.stop()
    return Robot(state, api, server)
