"""Addresses on which the server listens, and files that it refuses to replace."""

import os
import signal
import socket
import stat

from support import free_port, request, run, wait_for


def test_socket_file_has_mode_0660_and_goes_with_the_server(serve, tmp_path):
    path = tmp_path / "auth.sock"
    server = serve("--uds", path).wait_ready()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert server.stop() == 0
    assert not path.exists()


def test_socket_mode_can_be_chosen(serve, tmp_path):
    path = tmp_path / "auth.sock"
    serve("--uds", path, "--uds-mode", "0600").wait_ready()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_stale_socket_is_replaced(serve, tmp_path):
    path = tmp_path / "auth.sock"
    server = serve("--uds", path).wait_ready()
    server.signal(signal.SIGKILL)
    server.wait()
    assert path.exists()
    serve("--uds", path).wait_ready()
    assert request(path, "GET", "/auth/hello").status == 200


def test_live_socket_is_never_stolen(serve, tmp_path):
    path = tmp_path / "auth.sock"
    serve("--uds", path).wait_ready()
    inode = path.stat().st_ino
    second = run("--uds", path)
    assert_refused(second, str(path), "another server is already listening there")
    assert path.stat().st_ino == inode
    assert request(path, "GET", "/auth/hello").status == 200


def test_live_socket_with_a_full_backlog_is_never_stolen(tmp_path):
    path = tmp_path / "auth.sock"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(str(path))
        assert_refused(run("--uds", path), str(path), "another server is already listening there")
        for client in clients:
            client.close()
    assert path.exists()


def test_file_that_is_no_socket_is_kept(tmp_path):
    path = tmp_path / "auth.sock"
    path.write_text("precious")
    assert_refused(run("--uds", path), str(path), "not a socket")
    assert path.read_text() == "precious"


def test_missing_folder_is_named(tmp_path):
    path = tmp_path / "nowhere" / "auth.sock"
    assert_refused(run("--uds", path), str(path), "No such file or directory")
    assert not path.parent.exists()


def test_longest_path_is_107_bytes(serve, tmp_path):
    folder = "/tmp"
    fits = f"{folder}/{os.getpid()}-".ljust(107, "x")
    assert len(fits) == 107
    serve("--uds", fits).wait_ready().stop()
    assert not os.path.exists(fits)
    assert_refused(run("--uds", fits + "x"), fits, "108 bytes")


def test_folder_without_permission_is_named(tmp_path):
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    path = folder / "auth.sock"
    # Without this capability, permissions restrict root, too.
    prefix = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    assert_refused(run("--uds", path, prefix=prefix), str(path), "Permission denied")


def test_port_in_use_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_refused(run("--port", port), str(port), "Address already in use")


def test_unknown_host_is_named():
    done = run("--host", "no.such.host.invalid")
    assert_refused(done, "no.such.host.invalid", "failed to lookup address information")


def test_chosen_port_is_used_and_free_port_is_logged(serve):
    port = free_port()
    for server in serve("--port", port).wait_ready(), serve().wait_ready():
        # The port is in the log.
        assert server.request("GET", "/auth/hello").status == 200
        assert (server.port == port) is (port is not None)
        port = None


def test_handed_over_socket_comes_before_the_options(serve, tmp_path):
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", 0)),
        (socket.AF_UNIX, str(tmp_path / "given.sock")),
    ):
        with socket.socket(family) as given:
            given.bind(address)
            given.listen()
            server = serve("--uds", tmp_path / "own.sock", listen=given).wait_ready()
            assert request(given.getsockname(), "GET", "/auth/hello").status == 200
            assert not (tmp_path / "own.sock").exists()
            assert server.stop() == 0


def test_handed_over_socket_file_stays(serve, tmp_path):
    """actix-server would remove the file, so that every request after the next restart would
    fail."""
    path = tmp_path / "given.sock"
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(path))
        given.listen()
        for _ in range(3):
            server = serve(listen=given).wait_ready()
            assert request(path, "GET", "/auth/hello").status == 200
            assert server.stop() == 0
            assert path.exists()


def test_handed_over_socket_that_cannot_be_served_is_refused(serve):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        datagram.bind(("127.0.0.1", 0))
        server = serve(listen=datagram)
        assert server.wait() == 1
        assert (
            "file descriptor 3" in server.log and "not a listening Unix or TCP socket" in server.log
        )


def test_socket_survives_running_out_of_file_descriptors(serve, tmp_path):
    """actix-server would delete the socket file permanently when accept(2) fails."""
    path = tmp_path / "auth.sock"
    server = serve("--uds", path).wait_ready()
    import resource

    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (40, 40))
    clients = []
    while "cannot accept connections" not in server.log:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
        clients.append(client)
    for client in clients:
        client.close()
    assert wait_for(lambda: request(path, "GET", "/auth/hello").status == 200, "it serves again")


def assert_refused(done, *texts):
    """Checks that the exit code is 1, and that one line on standard error contains all of
    `texts`."""
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert len(errors) == 1, done.stderr
    for text in texts:
        assert text in errors[0]
