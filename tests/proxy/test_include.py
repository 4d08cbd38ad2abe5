"""The tool include-auth-server, which the layer runs on nginx's configuration: what it replaces,
what it refuses, and whether the real nginx accepts the result."""

import os
import re
import shutil
import socketserver
import ssl
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler

import pytest

from nginx import FLEX, INCLUDE, NGINX, Nginx, flex
from support import FILES, PATIENCE, free_port, wait_for

ETC = "/etc/nginx"
LOCATION = f"include {ETC}/server-conf.d/opentrons-auth-server*.conf;"
UPSTREAM = f"include {ETC}/conf.d/opentrons-auth-server*.conf;"
AUTH = "location /auth { proxy_pass http://unix:/run/opentrons-auth-server.sock; }"


class Rootfs:
    """A root file system with nginx's configuration directory and the snippets of our package."""

    def __init__(self, folder):
        self.folder = folder
        self.etc = folder / ETC[1:]
        for name in ("conf.d", "server-conf.d", "sites-available", "sites-enabled"):
            (self.etc / name).mkdir(parents=True)
        for kind, target in (("upstream", "conf.d"), ("location", "server-conf.d")):
            shutil.copy(
                FILES / f"nginx/{kind}.conf", self.etc / target / "opentrons-auth-server.conf"
            )

    def write(self, text, name="nginx-http.conf"):
        path = self.etc / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def read(self, name="nginx-http.conf"):
        return (self.etc / name).read_bytes().decode()

    def include(self):
        return subprocess.run(
            ["sh", INCLUDE, self.folder, ETC], check=False, capture_output=True, text=True
        )

    def everything(self):
        return {
            path: (path.read_bytes(), path.stat().st_mode, path.stat().st_ino)
            for path in self.etc.rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    def accepted(self):
        """Runs the tool twice, the second time without effect, and checks the result with nginx."""
        done = self.include()
        assert done.returncode == 0, done.stderr
        once = self.everything()
        assert self.include().returncode == 0 and self.everything() == once
        if NGINX:
            self.ask_nginx()

    def ask_nginx(self):
        """Runs `nginx -t` on a copy in which the paths are those of the test."""
        copy = self.folder / "as-nginx-sees-it"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.etc, copy, symlinks=True)
        for path in copy.rglob("*"):
            if path.is_file() and not path.is_symlink():
                path.write_bytes(path.read_bytes().replace(ETC.encode(), bytes(copy)))
        names = ("nginx-http.conf", "nginx-https.conf", "nginx.conf")
        present = [name for name in names if (copy / name).exists()]
        assert present
        for name in present:
            command = [NGINX, "-t", "-q", "-c", copy / name, "-g", f"pid {copy}/pid;"]
            test = subprocess.run(command, check=False, capture_output=True, text=True)
            assert test.returncode == 0, test.stderr

    def refused(self):
        """Runs the tool, which must change nothing, and returns its output."""
        before = self.everything()
        done = self.include()
        assert (done.returncode, self.everything()) == (1, before)
        (line,) = done.stderr.splitlines()
        assert line.startswith("include-auth-server: ") and line.endswith("no file was changed")
        return line


@pytest.fixture
def rootfs(tmp_path):
    return Rootfs(tmp_path)


def whole(server):
    return f"events {{}}\nhttp {{\n    {server}\n}}\n"


def test_only_auth_of_the_robots_own_files_is_replaced(rootfs):
    before = {}
    for path in FLEX.glob("*.conf"):
        before[path.name] = path.read_text()
        rootfs.write(path.read_text(), path.name).chmod(0o640)
    assert len(before) == 2
    assert rootfs.include().returncode == 0
    for name, text in before.items():
        block = re.search(r"location /auth \{[^}]*\}", text)[0]
        expected = text.replace(block, LOCATION).replace(
            "\nhttp {\n", f"\nhttp {{\n    {UPSTREAM}\n"
        )
        assert rootfs.read(name) == expected
        assert (rootfs.etc / name).stat().st_mode & 0o777 == 0o640
    once = rootfs.everything()
    assert rootfs.include().returncode == 0 and rootfs.everything() == once
    assert sorted(path.name for path in rootfs.etc.iterdir() if path.is_file()) == sorted(before)


SERVERS = {
    "usual": f"server {{\n        listen 127.0.0.1:1;\n        {AUTH}\n    }}",
    "one line": f"server {{ listen 127.0.0.1:1; {AUTH} return 301 https://$host$request_uri; }}",
    "no spaces": "server{listen 127.0.0.1:1;location /auth{proxy_pass http://127.0.0.1:9;}}",
    "braces on lines of their own": f"server\n    {{\n        listen 127.0.0.1:1;\n{AUTH}\n    }}",
    "each word on a line": "server\n{\nlisten\n127.0.0.1:1\n;\nlocation\n/auth\n{\nproxy_pass\nhttp://127.0.0.1:9\n;\n}\n}",
    "quoted path": 'server { listen 127.0.0.1:1; location "/auth" { proxy_pass http://127.0.0.1:9; } }',
    "escaped quotes": r"""server { listen 127.0.0.1:1; location /auth { add_header A "\"} ; #"; add_header B '\'}'; proxy_pass http://127.0.0.1:9; } }""",
    "comments with braces": "server { # } location /auth {\n listen 127.0.0.1:1; # {\nlocation /auth { # }\nproxy_pass http://127.0.0.1:9; # '\n} # \"\n}",
    "hash within a word": "server { listen 127.0.0.1:1; location /a#b { return 200 a#; } location /auth { proxy_pass http://127.0.0.1:9/#}; } }",
    "variables in braces": "server { listen 127.0.0.1:1; location / { return 200 ${host}x; } location /auth { proxy_set_header A a${host}b; proxy_pass http://127.0.0.1:9; } }",
    "braces in a regular expression": f'server {{ listen 127.0.0.1:1; location ~ "^/p{{2,}}$" {{ return 204; }} {AUTH} }}',
    "regular expressions beside it": rf"server {{ listen 127.0.0.1:1; location ~* \.(gif|jpe?g)$ {{ return 204; }} location ~ ^/(?<name>oauth) {{ return 204; }} {AUTH} }}",
    "nested locations": f"server {{ listen 127.0.0.1:1; location / {{ location /a {{ location /a/b {{ return 204; }} }} }} {AUTH} }}",
    "neighbours": f"server {{ listen 127.0.0.1:1; location /authors {{ return 204; }} location = /aut {{ return 204; }} location @auth {{ return 204; }} {AUTH} }}",
    "a block within": "server { listen 127.0.0.1:1; location /auth { types { a/b c; } proxy_pass http://127.0.0.1:9; } }",
    "two servers": f"server {{ listen 127.0.0.1:1; {AUTH} }}\n    server {{ listen 127.0.0.1:2; {AUTH} }}",
    "rows of a map": f"map $uri $a {{ /auth 1; location 2; server 3; }}\n    server {{ listen 127.0.0.1:1; {AUTH} }}",
    "servers of an upstream": f"upstream a {{ server 127.0.0.1:9; }}\n    server {{ listen 127.0.0.1:1; {AUTH} }}",
    "bytes that are no UTF-8": f"server {{ listen 127.0.0.1:1; {AUTH} }} # \udcff",
}


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("ends", ["\n", "\r\n and no end"])
def test_auth_is_replaced_in_whatever_way_it_is_written(rootfs, server, ends):
    text = whole(server)
    if ends != "\n":
        text = text.replace("\n", "\r\n").rstrip()
    rootfs.write(text.encode(errors="surrogateescape"))
    rootfs.accepted()
    after = (rootfs.etc / "nginx-http.conf").read_bytes().decode(errors="surrogateescape")
    auths = server.count("127.0.0.1:2;") + 1
    assert after.count(LOCATION) == auths and after.count(UPSTREAM) == 1
    # All other bytes are unchanged, in the same order.
    rest = after.replace(LOCATION, "<>")
    for added in (f"    {UPSTREAM}\r\n", f"    {UPSTREAM}\n", f" {UPSTREAM}"):
        rest = rest.replace(added, "", 1)
    removed = re.fullmatch("(.*)".join(map(re.escape, rest.split("<>"))), text, re.DOTALL).groups()
    assert len(removed) == auths
    for block in removed:
        assert re.match(r"location\s", block) and block.endswith("}")
        assert block.count("location") == block.count("proxy_pass") == 1


WITHOUT = {
    "one line": "server { listen 127.0.0.1:1; return 301 https://$host$request_uri; }",
    "empty": "server {}",
    "brace on a line of its own": "server\n    {\n        listen 127.0.0.1:1;\n    }",
    "comment after the brace": "server { # the robot's\n        listen 127.0.0.1:1;\n    }",
    "comment with a brace": "server { # }\n    }",
    "location /auth in a comment": "server {\n # location /auth { }\n listen 127.0.0.1:1;\n }",
}


@pytest.mark.parametrize("server", WITHOUT.values(), ids=WITHOUT)
def test_server_without_auth_gets_it(rootfs, server):
    rootfs.write(whole(server))
    rootfs.accepted()
    after = rootfs.read()
    start = after.index("server")
    assert start < after.index(LOCATION) < after.rindex("}", 0, after.rindex("}"))
    assert after.count(UPSTREAM) == 1


def test_where_one_server_has_auth_the_others_are_left_alone(rootfs):
    redirect = "server { listen 127.0.0.1:2; return 301 https://$host$request_uri; }"
    rootfs.write(whole(f"{redirect}\n    server {{ listen 127.0.0.1:1; {AUTH} }}"))
    rootfs.accepted()
    assert redirect in rootfs.read() and rootfs.read().count(LOCATION) == 1


def test_auth_in_an_included_file_is_replaced_there(rootfs):
    (rootfs.etc / "robot").mkdir()
    shared = f"# of both servers\n{AUTH}\n"
    rootfs.write(shared, "robot/locations.conf")
    for name in ("nginx-http.conf", "nginx-https.conf"):
        rootfs.write(whole("server { listen 127.0.0.1:1; include robot/*.conf; }"), name)
    rootfs.accepted()
    assert rootfs.read("robot/locations.conf") == shared.replace(AUTH, LOCATION)
    assert "server-conf.d" not in rootfs.read()


def test_path_of_an_include_is_its_bytes_in_any_locale(rootfs, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    rootfs.write(f"{AUTH}\n", "grün.conf")
    conf = whole("server { listen 127.0.0.1:1; include grün.conf; }")
    rootfs.write(conf)
    rootfs.accepted()
    assert rootfs.read("grün.conf") == f"{LOCATION}\n"
    rootfs.write("server {", "grün.conf")
    assert ":1: " in rootfs.refused()


def test_meta_webservers_default_server_gets_the_location_alone(rootfs):
    """meta-webserver's nginx.conf includes conf.d already."""
    conf = "events {}\nhttp {\n    include /etc/nginx/conf.d/*.conf;\n    include /etc/nginx/sites-enabled/*;\n}\n"
    rootfs.write(conf, "nginx.conf")
    rootfs.write(
        "# Default server\nserver {\n    listen 127.0.0.1:1;\n}\n", "sites-available/default_server"
    )
    (rootfs.etc / "sites-enabled/default_server").symlink_to(
        "/etc/nginx/sites-available/default_server"
    )
    assert rootfs.include().returncode == 0
    assert rootfs.read("nginx.conf") == conf
    site = f"# Default server\nserver {{\n    {LOCATION}\n    listen 127.0.0.1:1;\n}}\n"
    assert rootfs.read("sites-available/default_server") == site
    assert (rootfs.etc / "sites-enabled/default_server").is_symlink()


REFUSED = {
    "other modifier": ("location ^~ /auth { return 204; }", 4, "only the plain location /auth"),
    "glued modifier": ("location ^~/auth { return 204; }", 4, "only the plain location /auth"),
    "exact": ("location = /auth { return 204; }", 4, "only the plain location /auth"),
    "below": ("location /auth/ { return 204; }", 4, "only the plain location /auth"),
    "below, exact": ("location =/auth/hello { return 204; }", 4, "only the plain"),
    "expression": ("location ~ ^/(auth|keys)/ { return 204; }", 4, "matches requests below /auth"),
    "expression of any case": (r"location ~* ^/AUTH/ { return 204; }", 4, "matches requests below"),
    "catch-all": ("location ~ . { return 204; }", 4, "matches requests below /auth"),
    "file type": (r"location ~ \.json$ { return 204; }", 4, "matches requests below /auth"),
    "path of ours that is not known": ("location ~ ^/(x|auth)/y { return 204; }", 4, "matches"),
    "expression of PCRE alone": (r"location ~ \Gx { return 204; }", 4, "cannot tell"),
    "class of PCRE alone": ("location ~ ^/[0-9[:alpha:]]+/ { }", 4, "cannot tell"),
    "count without a bound": ('location ~ "(x){4294967296}" { }', 4, "cannot tell"),
    "expression that is too deep": (
        f"location ~ {'(' * 5000}x{')' * 5000} {{ }}",
        4,
        "cannot tell",
    ),
    "nested": (f"location / {{\n{AUTH} }}", 5, "only the plain location /auth of a server"),
    "twice": (f"{AUTH}\n{AUTH}", 5, "/auth is configured twice"),
    "and an include of ours": (
        f"{AUTH}\ninclude server-conf.d/*.conf;",
        5,
        "/auth is configured twice",
    ),
    "include of ours in a location": (
        "location / { include server-conf.d/*; }",
        4,
        "must be included in a server",
    ),
    "who may ask": (
        "location /auth {\n deny all; proxy_pass http://127.0.0.1:9; }",
        5,
        '"deny" in location /auth would be lost',
    ),
    "a condition": ("location /auth { if ($a) { return 204; } }", 4, '"if" in location /auth'),
    "NUL byte": ("\ninclude a\0b;", 5, "cannot contain a NUL byte"),
    "file that is not there": ("include robot/missing.conf;", 4, "it does not exist"),
    "three words": ("location a b c { }", 4, "cannot parse"),
    "no block": ("location /auth;", 4, '"location" has no block'),
    "name of ours": ("location @opentrons-auth-server-413 { }", 4, "uses that name"),
    "a program": ('content_by_lua_block { ngx.say("}") }', 4, "cannot parse the program"),
    "open block": ("location /auth {", 2, '"http" is not closed'),
    "closed too often": ("}\n}\n}", 6, 'unexpected "}"'),
    "open quote": ("set $a 'b;", 4, "the quote ' is not closed"),
    "word after a quote": ("set $a 'b'c;", 4, "after the quote"),
    "no end": ("listen 1\n}", 5, 'unexpected "}" after "listen"'),
    "nothing before": ("; listen 1;", 4, 'unexpected ";"'),
}


@pytest.mark.parametrize(("text", "line", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_understood_is_refused_with_file_line_and_reason(rootfs, text, line, reason):
    # The other file is valid and comes first, and is not changed either.
    rootfs.write(whole(f"server {{ {AUTH} }}"))
    bad = rootfs.write(f"events {{}}\nhttp {{\n    server {{\n{text}\n}} }}\n", "nginx-https.conf")
    said = rootfs.refused()
    assert f"{bad}:{line}: " in said and reason in said, said


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "found none of nginx-http.conf"),
        ({"nginx-http.conf": "events {}\n"}, "expected one http block, found 0"),
        ({"nginx-http.conf": "events {}\nhttp {}\n"}, "no server for /auth"),
        ({"nginx.conf": "events {}\nhttp {}\n"}, "no http block has a server"),
        ({"nginx.conf": "http {}", "sites-available/default_server": "map $a $b {}"}, "no server"),
        ({"nginx.conf": "http { include a; }", "a": "include a;"}, "include each other"),
        ({"nginx.conf": "http { include a; }", "a": "server {"}, "a:1: the block of"),
        ({"nginx.conf": "http { upstream opentrons-auth-server {} server {} }"}, "already exists"),
        ({"nginx.conf": "http { " + "a { " * 60}, "nested blocks"),
    ],
)
def test_distribution_that_looks_otherwise_is_refused(rootfs, files, reason):
    for name, text in files.items():
        rootfs.write(text, name)
    assert reason in rootfs.refused()


def test_file_that_cannot_be_written_leaves_all_as_they_were(rootfs):
    if os.getuid() == 0:
        # Root can write anywhere, so a limit on file sizes makes writing fail.
        prefix = ["prlimit", "--fsize=64"]
    else:
        rootfs.etc.chmod(0o555)
        prefix = []
    for name in ("nginx-http.conf", "nginx-https.conf"):
        rootfs.write(whole(f"server {{ {AUTH} }}"), name)
    before = rootfs.everything()
    done = subprocess.run(
        [*prefix, "sh", INCLUDE, rootfs.folder, ETC], check=False, capture_output=True, text=True
    )
    rootfs.etc.chmod(0o755)
    assert done.returncode == 1 and "no file was changed" in done.stderr
    assert rootfs.everything() == before


@pytest.mark.skipif(not NGINX, reason="nginx is not installed")
def test_requests_before_and_after_the_replacement(tmp_path, serve):
    """Over HTTP, with the robot's configuration: the replacement affects only requests to /auth,
    and improves them."""
    nginx = Nginx(tmp_path, "flex")
    nginx.install_snippets()
    other = Echo(nginx.run / "aiohttp.sock")
    keys = Echo(nginx.run / "opentrons-key-server.sock")
    serve("--uds", nginx.socket).wait_ready()
    paths = {
        "/health": other,
        "/system/time": other,
        "/protocols/1": other,
        "/keys/external/1": keys,
    }
    seen = []
    for include in (False, True):
        if include:
            assert nginx.include().returncode == 0
        nginx.test().start()
        try:
            answers = {path: nginx.request("GET", path) for path in paths}
            for path, echo in paths.items():
                assert answers[path].body.decode() == f"{echo.name} {path}"
            hello = nginx.request("GET", "/auth/hello")
            assert (hello.status, hello.json) == (200, {"message": "hello world"})
            big = nginx.request("POST", "/auth/hello", b"x" * (64 * 1024 + 1))
            metadata = nginx.request("GET", "/auth/.well-known/oauth-authorization-server")
            seen.append((big.status, metadata.json["issuer"]))
        finally:
            nginx.stop()
    assert seen == [
        (413, "http://localhost/auth"),
        (413, f"http://127.0.0.1:{nginx.port}/auth"),
    ]
    other.shutdown()
    keys.shutdown()


@pytest.mark.skipif(not NGINX, reason="nginx is not installed")
@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_requests_through_https(tmp_path, serve):
    nginx = Nginx(tmp_path, "flex")
    nginx.install_snippets()
    nginx.edited.unlink()
    nginx.edited = nginx.conf = nginx.etc / "nginx-https.conf"
    port = free_port()
    nginx.edited.write_text(flex("nginx-https.conf", nginx.run, port, nginx.socket))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=robot"]
    command += ["-keyout", nginx.run / "ot-robot-tls-key.pem"]
    command += ["-out", nginx.run / "ot-robot-tls-cert.crt"]
    subprocess.run(command, check=True, capture_output=True)
    serve("--uds", nginx.socket).wait_ready()
    assert nginx.include().returncode == 0
    nginx.test()
    process = subprocess.Popen([NGINX, "-c", nginx.conf, "-g", "daemon off;"])
    context = ssl._create_unverified_context()
    url = f"https://127.0.0.1:{port}/auth/.well-known/oauth-authorization-server"

    def metadata():
        try:
            return urllib.request.urlopen(url, timeout=PATIENCE, context=context).read()
        except OSError:
            assert process.poll() is None
            return None

    try:
        answer = wait_for(metadata, "nginx answers over https")
        assert f'"issuer":"https://127.0.0.1:{port}/auth"' in answer.decode()
    finally:
        process.terminate()
        process.wait(PATIENCE)


class Echo(socketserver.ThreadingUnixStreamServer):
    """Responds to each request with the name of its socket and the path."""

    daemon_threads = True

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"{self.server.name} {self.path}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self):
            return "nginx"

        def log_message(self, *_):
            pass

    def __init__(self, path):
        super().__init__(str(path), self.Handler)
        self.name = path.name
        threading.Thread(target=self.serve_forever, daemon=True).start()
