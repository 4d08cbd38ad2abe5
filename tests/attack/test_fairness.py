"""One client must not take what belongs to all: hashing and logins under attack."""

import threading
from contextlib import contextmanager

import pytest

from api import SELF, Api
from support import PATIENCE, wait_for

STRANGER, QUIET = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def clients(serve, tmp_path):
    """The API of a server, as two sources reach it: a stranger and a quiet one."""
    server = serve("--persistence-directory", tmp_path / "state").wait_ready()
    return tuple(Api(("127.0.0.1", server.port), source=source) for source in (STRANGER, QUIET))


@contextmanager
def attack(number_of_clients, log_in):
    """Logs in wrongly from many connections, until the end of the block; it has begun when the
    first were answered. Returns a function that waits until more are answered."""
    over = threading.Event()
    answered = []

    def client(number):
        while not over.is_set():
            status = log_in(number).status
            assert status in (400, 429, 503)
            answered.append(status)

    def goes_on():
        seen = len(answered)
        return wait_for(lambda: len(answered) > seen + 5, "the attack goes on")

    threads = [
        threading.Thread(target=client, args=(each,), daemon=True)
        for each in range(number_of_clients)
    ]
    for thread in threads:
        thread.start()
    try:
        assert goes_on()
        yield goes_on
        assert all(thread.is_alive() for thread in threads)
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)


def test_200_connections_of_unknown_users_hold_up_nobody(clients):
    stranger, quiet = clients
    quiet.create("ada")

    def unknown(number):
        return stranger.try_login(f"nobody{number}", "wrong-password")

    with attack(200, unknown) as goes_on:
        for client in (quiet, stranger):
            assert [client.try_login("ada").status for _ in range(10)] == [200] * 10
        assert goes_on()


def test_service_account_is_let_in_from_a_quiet_source(clients):
    stranger, quiet = clients
    quiet.create("robot", "service")

    def is_slowed_down():
        return stranger.try_login("robot", "wrong-password").status == 429

    with attack(1, lambda _: stranger.try_login("robot", "wrong-password")) as goes_on:
        wait_for(is_slowed_down, "the stranger is slowed down")
        assert [quiet.try_login("robot").status for _ in range(11)] == [200] * 11
        # The quiet source's logins do not free the stranger either.
        assert goes_on()
    # On a slow machine the first try may be due again.
    assert is_slowed_down() or is_slowed_down()


def test_last_administrator_is_kept_out_by_nobody(clients):
    stranger, quiet = clients
    quiet.create("admin", "admin")
    quiet.enable_access_control()
    token = quiet.login("admin")["access_token"]
    wait_for(
        lambda: stranger.try_login("admin", "wrong-password").status == 429,
        "the stranger is slowed down",
    )
    assert quiet.user("admin", token)["locked"] is False
    assert quiet.get(SELF, token).status == 200
    assert quiet.try_login("admin").status == 200
