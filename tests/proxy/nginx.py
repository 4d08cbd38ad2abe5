"""The real nginx, with configurations like those of meta-webserver and the Flex."""

import getpass
import os
import re
import shutil
import subprocess
from pathlib import Path

from support import FILES, LAYER, PATIENCE, ROOT, free_port, request, wait_for

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
INCLUDE = LAYER / "dynamic-layers/webserver/recipes-httpd/nginx/files/include-auth-server"

# In http {}: directories to write to, in place of those that only root can write to.
TEMPORARY = """client_body_temp_path {run}/body; proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi; uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;"""
# nginx.conf and default_server: a server without includes.
PLAIN = """
user {user};
worker_processes 1;
pid {run}/nginx.pid;
error_log {run}/error.log;
events {{ worker_connections 768; }}
http {{
    access_log off;
    {temporary}
    include {etc}/conf.d/*.conf;
    include {etc}/sites-enabled/*;
}}
"""
DEFAULT_SERVER = """# Default server
server {{
    listen 127.0.0.1:{port} default_server;
    server_name _;
    location / {{ return 200 "elsewhere"; }}
}}
"""
# Nearly identical to the Flex's nginx-http.conf and nginx-https.conf.
FLEX = Path(__file__).parent / "flex"


def flex(name, run, port, socket, without_auth=False):
    """Returns one of the Flex's configurations, with the directories and ports of a test."""
    text = (FLEX / name).read_text()
    if without_auth:
        text, count = re.subn(r"\n        location /auth \{[^}]*\}\n", "", text)
        assert count == 1
    for old, new in (
        ("user root root;", f"user {getpass.getuser()}; error_log {run}/error.log;"),
        ("/run/opentrons-auth-server.sock", str(socket)),
        ("/run/nginx/", f"{run}/"),
        ("unix:/run/", f"unix:{run}/"),
        ("/var/lib/opentrons-key-server/tls/", f"{run}/"),
        ("/var/www/localhost/html/stream", str(run)),
        ("access_log syslog:server=unix:/dev/log combined;", "access_log off;"),
        ("error_log stderr;", ""),
        ("\nhttp {\n", f"\nhttp {{\n    {TEMPORARY.format(run=run)}\n"),
    ):
        text = text.replace(old, new)
    return re.sub(r"0\.0\.0\.0:\d+", f"127.0.0.1:{port}", text)


class Nginx:
    """A configuration in `folder`, and the nginx that runs with it."""

    def __init__(self, folder, kind):
        """`kind`: "plain"; "flex", which has a location /auth; or "flex without auth"."""
        self.socket = folder / "auth.sock"
        self.port = free_port()
        self.etc = folder / "etc/nginx"
        self.run = folder / "run"
        self.process = None
        for path in (
            self.run,
            *(
                self.etc / name
                for name in ("conf.d", "server-conf.d", "sites-available", "sites-enabled")
            ),
        ):
            path.mkdir(parents=True)
        values = {
            "user": getpass.getuser(),
            "run": self.run,
            "etc": self.etc,
            "port": self.port,
            "socket": self.socket,
            "temporary": TEMPORARY.format(run=self.run),
        }
        if kind == "plain":
            self.conf = self.etc / "nginx.conf"
            self.conf.write_text(PLAIN.format(**values))
            self.edited = self.etc / "sites-available/default_server"
            self.edited.write_text(DEFAULT_SERVER.format(**values))
            (self.etc / "sites-enabled/default_server").symlink_to(self.edited)
        else:
            self.edited = self.etc / "nginx-http.conf"
            without = kind != "flex"
            text = flex(self.edited.name, self.run, self.port, self.socket, without)
            self.edited.write_text(text)
            self.conf = self.etc / "nginx-run.conf"

    def install_snippets(self):
        """Installs the snippets as `make install` does, except for the socket's path."""
        name = "opentrons-auth-server.conf"
        upstream = (FILES / "nginx/upstream.conf").read_text()
        assert "unix:/run/opentrons-auth-server.sock" in upstream
        upstream = upstream.replace("/run/opentrons-auth-server.sock", str(self.socket))
        (self.etc / "conf.d" / name).write_text(upstream)
        shutil.copy(FILES / "nginx/location.conf", self.etc / "server-conf.d" / name)

    def include(self):
        """Includes the snippets as the bbappend does."""
        return subprocess.run(
            ["sh", INCLUDE, "", self.etc], check=False, capture_output=True, text=True
        )

    def configuration(self):
        """Returns the configuration that nginx runs with: without rtmp, whose module is missing in
        Debian's nginx-light."""
        if self.conf.name == "nginx-run.conf":
            self.conf.write_text(self.edited.read_text().partition("\nrtmp {")[0] + "\n")
        return self.conf

    def test(self):
        done = subprocess.run(
            [NGINX, "-t", "-c", self.configuration()], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return self

    def start(self):
        self.process = subprocess.Popen(
            [NGINX, "-c", self.configuration(), "-g", "daemon off;"], cwd=ROOT
        )
        wait_for(self.answers, "nginx answers")
        return self

    def answers(self):
        try:
            return request(("127.0.0.1", self.port), "GET", "/").status in (200, 502)
        except OSError:
            assert self.process.poll() is None, (self.run / "error.log").read_text()
            return False

    def request(self, method, path, body=None, headers=None):
        return request(("127.0.0.1", self.port), method, path, body, headers)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(PATIENCE)
