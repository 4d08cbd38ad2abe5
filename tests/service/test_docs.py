"""The API documentation page in a real browser, on a network that contains only this machine."""

import json
import os
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from html import escape, unescape
from urllib.parse import unquote

import pytest

from examples import DOCS, ORIGIN, answers
from support import BINARY, PATIENCE, ROOT

PAGE = DOCS / "page.html"
AXE = ROOT / ".venv/node/node_modules/axe-core/axe.min.js"

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
        for method, operation in operations.items():
            title = f"<b>{method.upper()}</b> <code>{path}</code>"
            assert f'<h3 id="{operation["operationId"]}">{title}</h3>' in html
            summary = re.sub(
                "`([^`]+)`", r"<code>\1</code>", escape(operation["summary"], quote=False)
            )
            assert f"<p>{summary}</p>" in html, path


def test_page_is_the_rendered_document(server):
    """`make generate` renders it."""
    rendered = subprocess.run(
        [sys.executable, ROOT / ".ci/api-page", DOCS], check=True, capture_output=True, text=True
    ).stdout
    assert PAGE.read_text() == rendered, "src/http/docs/page.html is out of date: make generate"
    assert server.request("GET", "/auth/redoc").body.decode() == rendered


def test_links_of_the_page_lead_somewhere():
    html = PAGE.read_text()
    targets = set(re.findall(r'href="#([^"]+)"', html))
    names = re.findall(r'id="([^"]+)"', html)
    assert len(targets) > 50 and targets <= set(names)
    assert len(names) == len(set(names))


def test_commands_of_the_page_work_in_its_order(serve, directory_process):
    """Each prints the answer that the page shows below it."""
    server = serve("--directory-uds", directory_process.path).wait_ready()
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    parts = re.findall(
        r'<pre class="sh"[^>]*>(.*?)</pre>(?:\s*<p>(Answer[^<]*)</p>\s*<pre[^>]*>(.*?)</pre>)?',
        PAGE.read_text(),
        re.DOTALL,
    )
    assert len(parts) > 24
    mark = "a line between the answers"
    commands = [unescape(command).replace(ORIGIN, address(server)) for command, *_ in parts]
    script = "".join(f"{command}\necho\necho {mark!r}\n" for command in commands)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    said = done.stdout.split(f"\n{mark}\n")
    for (_, label, expected), command, answer in zip(parts, commands, said, strict=False):
        if not label:
            assert answer == "", command
            continue
        text = unescape(expected)
        example = json.loads(text) if text[0] in "{[" else text
        assert answers(answer, server.port, example, "begins" in label), (command, answer)


def address(server):
    return f"http://127.0.0.1:{server.port}"


# Waits for axe, and tells what it found and what the page looks like.
ASK = """
axe.run().then(found => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const said = {
    dark, width: innerWidth, needed: root.scrollWidth, passes: found.passes.length,
    violations: found.violations.map(each => [each.id, each.nodes.map(node => node.html)]),
    unsure: found.incomplete.map(each => [each.id, each.nodes.map(node => node.html)]),
  };
  parent.postMessage(btoa(encodeURIComponent(JSON.stringify(said))), "*");
});
"""
# The browser has no windows as narrow as a phone, but frames.
FRAME = """<!doctype html><iframe src="page.html" style="width: {}px; height: 2000px; border: 0"></iframe>
<script>onmessage = event => document.body.textContent = `said:${{event.data}}:said`</script>
"""


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_is_accessible_and_fits_the_screen(tmp_path, width, dark):
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make lint installs it with npm")
    copy = tmp_path / "page.html"
    scripts = f"<script>{AXE.read_text()}</script><script>{ASK}</script></body>"
    copy.write_text(PAGE.read_text().replace("</body>", scripts))
    (tmp_path / "frame.html").write_text(FRAME.format(width))
    options = [f"--blink-settings=preferredColorScheme={int(not dark)}", "--window-size=1400,2100"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    options += [(tmp_path / "frame.html").as_uri()]
    done = subprocess.run(
        [*BROWSER[:-1], "--virtual-time-budget=120000", *options],
        check=True,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
    )
    encoded = re.search("said:(.*?):said", done.stdout)
    assert encoded, done.stderr
    said = json.loads(unquote(b64decode(encoded[1]).decode()))
    assert said["violations"] == [] and said["unsure"] == [] and said["passes"] > 10
    assert (said["dark"], said["width"]) == (dark, width)
    assert said["needed"] <= width


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
