"""Fuzzes the layer's tool include-auth-server, which is Python: nginx_include.py SECONDS [INPUT]

libFuzzer knows nothing of Python, so this is a small fuzzer of its own. It changes configurations of
its corpus, and keeps those that run other transitions between lines of the tool than all before. Each
must be refused without a change, or accepted so that a second run changes nothing and nginx still
accepts what it accepted before. With INPUT, a file, tries that one alone.

Exits with 1 after an input for which that does not hold; prints its file.
"""

import contextlib
import hashlib
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOOL = (
    ROOT / "meta-auth-server/dynamic-layers/webserver/recipes-httpd/nginx/files"
    "/include-auth-server.py"
)
SNIPPETS = ROOT / "meta-auth-server/recipes-connectivity/opentrons-auth-server/files/nginx"
SEEDS = (HERE / "corpus/nginx_include", ROOT / "tests/proxy/flex")
ARTIFACTS = HERE / "artifacts/nginx_include"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# Maximum time of one input, in seconds; only a broken tool exceeds it.
PATIENCE = 20
# One accepted configuration in so many is shown to nginx, which takes longer than the tool.
ASK_NGINX = 20
WORDS = [
    *(
        b"http",
        b"server",
        b"location",
        b"include",
        b"events",
        b"/auth",
        b"/auth/",
        b"=",
        b"~",
        b"^~",
    ),
    *(b"~*", b"{", b"}", b";", b"#", b"\\", b'"', b"'", b"$", b"${", b"\n", b"(?<n>a)", b"(a+)+$"),
    *(b"proxy_pass http://unix:/run/opentrons-auth-server.sock;", b"return 403;", b"deny all;"),
    *(b"include /etc/nginx/conf.d/*.conf;", b"include ../nginx/nginx-http.conf;", b"include a b;"),
    *(b"location /auth { }", b"server { }", b"http { }", b"x_by_lua_block {", b"\xff", b"\x00"),
]


def load():
    """Returns the tool as a module."""
    spec = importlib.util.spec_from_file_location("include_auth_server", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Transitions:
    """Counts which lines of the tool ran after which."""

    def __init__(self):
        self.seen = set()
        self.now = set()

    def trace(self, frame, event, _):
        if frame.f_code.co_filename != str(TOOL):
            return None
        last = 0

        def line(frame, _event, _argument):
            nonlocal last
            self.now.add((last, frame.f_lineno))
            last = frame.f_lineno
            return line

        return line(frame, event, None)

    @contextlib.contextmanager
    def traced(self):
        self.now = set()
        sys.settrace(self.trace)
        try:
            yield
        finally:
            sys.settrace(None)

    def are_new(self):
        """Returns whether the last run had transitions that no run before had."""
        new = not self.now <= self.seen
        self.seen |= self.now
        return new


class Rootfs:
    """A root file system with one configuration of nginx."""

    def __init__(self, folder):
        self.folder = folder
        self.etc = folder / "etc/nginx"
        for name in ("conf.d", "server-conf.d"):
            (self.etc / name).mkdir(parents=True)
        for kind, target in (("upstream", "conf.d"), ("location", "server-conf.d")):
            shutil.copy(SNIPPETS / f"{kind}.conf", self.etc / target / "opentrons-auth-server.conf")
        self.conf = self.etc / "nginx-http.conf"

    def files(self):
        return {path: path.read_bytes() for path in self.etc.rglob("*") if path.is_file()}

    def nginx_accepts(self, text):
        """Returns whether nginx accepts a configuration, with the paths of this test."""
        copy = self.folder / "as-nginx-sees-it.conf"
        copy.write_bytes(text.replace(b"/etc/nginx", bytes(self.etc)))
        command = [NGINX, "-t", "-q", "-p", self.folder, "-c", copy, "-g", "pid nginx.pid;"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


def late(*_):
    raise TimeoutError(f"the tool took longer than {PATIENCE} s")


def attempt(tool, rootfs, text, transitions, ask_nginx):
    """Runs the tool on a configuration. Raises an exception if a promise is broken."""
    rootfs.conf.write_bytes(text)
    before = rootfs.files()
    signal.alarm(PATIENCE)
    try:
        with transitions.traced():
            tool.include_auth_server(str(rootfs.folder), "/etc/nginx")
    except tool.Refused:
        assert rootfs.files() == before, "refused, but a file was changed"
        return
    finally:
        signal.alarm(0)
    once = rootfs.files()
    others = {path: before[path] for path in before if path != rootfs.conf}
    assert {path: once[path] for path in once if path != rootfs.conf} == others
    tool.include_auth_server(str(rootfs.folder), "/etc/nginx")
    assert rootfs.files() == once, "a second run changed it again"
    if ask_nginx and rootfs.nginx_accepts(text):
        assert rootfs.nginx_accepts(once[rootfs.conf]), "nginx does not accept it any more"


def changed(chance, corpus):
    """Returns a configuration of the corpus with some changes."""
    text = bytearray(chance.choice(corpus))
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.choice((0, 1, 4, 16, 64)))
        other = chance.choice(corpus)
        start = chance.randrange(len(other) + 1)
        text[at:end] = chance.choice(
            (
                b"",
                chance.randbytes(chance.randrange(4)),
                chance.choice(WORDS),
                b" " + chance.choice(WORDS) + b" ",
                other[start : start + chance.randrange(200)],
                text[at:end] * 2,
            )
        )
    return bytes(text[:20_000])


@contextlib.contextmanager
def reported(text):
    """Keeps an input that raises an exception, and prints its file."""
    with contextlib.ExitStack() as failed:
        failed.callback(keep, text)
        yield
        failed.pop_all()


def keep(text):
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    path = ARTIFACTS / f"crash-{hashlib.sha1(text).hexdigest()}"
    path.write_bytes(text)
    print(f"nginx_include: failing input: {path.relative_to(ROOT)}", file=sys.stderr)


def main():
    signal.signal(signal.SIGALRM, late)
    tool, transitions = load(), Transitions()
    with tempfile.TemporaryDirectory() as folder:
        rootfs = Rootfs(Path(folder))
        if sys.argv[2:]:
            seeds, deadline = [Path(sys.argv[2]).read_bytes()], 0
        else:
            paths = sorted(path for folder in SEEDS for path in folder.iterdir())
            seeds = [path.read_bytes() for path in paths]
            deadline = time.monotonic() + float(sys.argv[1])
        # Another one each time; a failing input is kept, so it need not be repeated from the start.
        chance = random.Random()
        corpus, runs, accepted = list(seeds), 0, 0
        waiting = list(seeds)
        while waiting or time.monotonic() < deadline:
            text = waiting.pop() if waiting else changed(chance, corpus)
            ask_nginx = NGINX and (runs < len(seeds) or chance.randrange(ASK_NGINX) == 0)
            with reported(text):
                attempt(tool, rootfs, text, transitions, ask_nginx)
            runs += 1
            accepted += rootfs.conf.read_bytes() != text
            if transitions.are_new() and text not in corpus:
                corpus.append(text)
        print(f"nginx_include: {runs} runs, {accepted} accepted, {len(corpus)} inputs kept")


if __name__ == "__main__":
    main()
