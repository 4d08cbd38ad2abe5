"""The server under test, reached over its socket and through nginx."""

import pytest

from api import Api
from nginx import NGINX, Nginx


@pytest.fixture(params=["socket", "nginx"])
def api(request, serve, tmp_path):
    """A new robot: no users, access control off."""
    if request.param == "socket":
        path = tmp_path / "auth.sock"
        serve("--uds", path, "--persistence-directory", tmp_path / "state").wait_ready()
        yield Api(path)
        return
    if not NGINX:
        pytest.skip("nginx is not installed")
    nginx = Nginx(tmp_path, "plain")
    nginx.install_snippets()
    nginx.include()
    serve("--uds", nginx.socket, "--persistence-directory", tmp_path / "state").wait_ready()
    nginx.start()
    yield Api(("127.0.0.1", nginx.port))
    nginx.stop()


@pytest.fixture
def admin(api):
    """The access token of the administrator of a robot with access control on."""
    api.create("admin", "admin")
    api.enable_access_control()
    return api.login("admin")["access_token"]
