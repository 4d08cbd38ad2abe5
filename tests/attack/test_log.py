"""Whatever clients do wrong, the log does not grow with it: it is counted and summed up."""

import json
import re
from collections import Counter

from support import edit_database

GET = b"GET /auth/hello HTTP/1.1\r\n"
POST = b"POST /auth/oauth2/token HTTP/1.1\r\nHost: x\r\n"
# What each is, and the summary's kind.
MALFORMED = {
    "control character": GET + b"Host: x\r\nX-A: \x01\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no host": GET + b"\r\n",
    "two hosts": GET + b"Host: x\r\nHost: y\r\n\r\n",
    "bad version": b"GET /auth/hello HTTP/9.9\r\nHost: x\r\n\r\n",
    "bad length": POST + b"Content-Length: -1\r\n\r\n",
    "two framings": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "forged line": b"GET /\n<3>forged HTTP/1.1\r\nHost: x\r\n\r\n",
}
TOO_LARGE = {
    "head": GET + b"Host: x\r\nX-A: " + b"a" * 140_000 + b"\r\n\r\n",
    "body": POST + b"Content-Length: 1000000\r\n\r\n",
}
# Requests of each kind.
TIMES = 30


def send(server, data):
    """Sends `data` and returns the response."""
    with server.connect() as client:
        answer = b""
        try:
            client.sendall(data)
            while chunk := client.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass  # the server does not read the whole of what is too large
        return answer


def test_malformed_requests_are_summed_up_in_one_line(server):
    before = server.log
    for name, data in (MALFORMED | TOO_LARGE).items():
        for _ in range(TIMES):
            answer = send(server, data)
            assert re.match(rb"HTTP/1.1 4\d\d ", answer) or name == "head", (name, answer)
    assert server.log == before
    server.stop()
    lines = server.log[len(before) :].splitlines()
    summaries = [line for line in lines if "refused within a minute" in line]
    sums = Counter()
    for number, kind in re.findall(r"(\d+) (malformed|requests that were too large)", server.log):
        sums[kind] += int(number)
    assert sums == {
        "malformed": TIMES * len(MALFORMED),
        "requests that were too large": TIMES * len(TOO_LARGE),
    }
    # The rest is what every stop logs.
    assert [re.sub(r"^\S+ +", "", line) for line in lines if line not in summaries] == [
        "INFO  auth_server::daemon stopping on SIGTERM: finishing requests in flight",
        "INFO  auth_server::daemon stopped",
    ]
    assert len(summaries) == 1 and " WARN " in summaries[0]


def test_nothing_is_summed_up_if_nothing_was_refused(server):
    for _ in range(TIMES):
        assert server.request("GET", "/auth/hello").status == 200
    server.stop()
    assert "within a minute" not in server.log


def test_refusals_by_a_rule_are_not_logged(server):
    before = server.log
    for path in ("/auth/nothing", "/auth/users/byUsername/nobody"):
        for _ in range(TIMES):
            assert server.request("GET", path).status == 404
    for _ in range(TIMES):
        assert server.request("GET", "/auth/users", headers={"Authorization": "x"}).status == 401
    assert server.log == before


def test_unknown_fields_are_logged_to_a_limit(server):
    before = server.log
    for number in range(200):
        body = json.dumps({"data": {f"field{number}": "\n<3>forged"}})
        headers = {"Content-Type": "application/json"}
        assert server.request("PATCH", "/auth/settings", body, headers).status == 200
    lines = server.log[len(before) :].splitlines()
    assert len([line for line in lines if "ignoring unknown field" in line]) == 64


def test_an_error_that_clients_repeat_is_counted(start, tmp_path):
    """A stored hash that cannot be checked is an error of ours, but each login causes it."""
    server, api = start()
    api.create("ada", "admin")
    api.settings(maxNumberOfLoginAttempts=None)
    server.stop()
    edit_database(tmp_path / "state", "UPDATE user SET password_hash = 'broken'")
    server, api = start()
    for _ in range(TIMES):
        assert api.try_login("ada").status == 400
    said = "cannot verify a password against its stored hash"
    assert len(re.findall(rf"ERROR .* {said}", server.log)) == 20
    server.stop()
    further = re.findall(
        rf"ERROR \S+ (\d+) further messages within a minute like: {said}", server.log
    )
    assert sum(map(int, further)) == TIMES - 20
