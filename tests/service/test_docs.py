"""The API documentation page in a real browser, on a network that contains only this machine."""

import os
import shutil
import subprocess
from html import escape

import pytest

from support import BINARY, PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Runs the server and the browser in a network namespace of their own.
LOOK = """
ip link set lo up
"$1" --port 33950 --log-level warning & server=$!
trap 'kill $server' EXIT
until (exec 3<>/dev/tcp/127.0.0.1/33950) 2>/dev/null; do kill -0 $server; done
shift
"$@"
"""
BROWSER = [
    CHROMIUM,
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page as HTML after the browser has loaded it, and the browser's error messages."""
    return look(tmp_path_factory.mktemp("profile"), "http://127.0.0.1:33950/auth/redoc")


def look(profile, url):
    """Loads a URL in the browser, and returns the HTML and the error messages."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    if os.getuid() != 0:
        pytest.skip("needs root, for a network namespace")
    done = subprocess.run(
        [
            *("unshare", "--net", "bash", "-euc", LOOK, "bash", BINARY, *BROWSER),
            *(f"--user-data-dir={profile}", "--dump-dom", url),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_page_shows_every_route(page, server):
    html, _ = page
    paths = server.request("GET", "/auth/openapi.json").json["paths"]
    assert {"/auth/hello", "/auth/users/self"} < set(paths)
    for path, operations in paths.items():
        assert path in html
        for operation in operations.values():
            assert escape(operation["summary"], quote=False) in html, path


def test_browser_has_nothing_to_complain_of(page):
    """The content security policy blocks nothing. (The browser reports no failed loads; the next
    test checks that the page loads nothing.)"""
    assert page[1] == []


def test_page_asks_for_nothing_else(page):
    html, _ = page
    for asks in ("<script", "<link", "<img", "@import", "url("):
        assert asks not in html


def test_browser_would_complain(tmp_path):
    """The browser reports a style that the policy blocks."""
    policy = "<meta http-equiv=Content-Security-Policy content=\"style-src 'none'\">"
    file = tmp_path / "page.html"
    file.write_text(f"{policy}<style>a {{}}</style>")
    (complaint,) = look(tmp_path / "profile", file.as_uri())[1]
    assert "Content Security Policy" in complaint
