"""The real nginx, with configurations shaped as meta-webserver's and the Flex's."""

import getpass
import os
import shutil
import subprocess

from support import FILES, LAYER, PATIENCE, ROOT, free_port, request, wait_for

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
INCLUDE = LAYER / "dynamic-layers/webserver/recipes-httpd/nginx/files/include-auth-server"

# In http {}: where nginx writes, in place of folders that only root may.
TEMPORARY = """client_body_temp_path {run}/body; proxy_temp_path {run}/proxy;
    fastcgi_temp_path {run}/fastcgi; uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;"""
# nginx.conf and default_server: one server, which includes nothing.
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
# nginx-http.conf: whole, conf.d is not included.
FLEX = """
user {user};
worker_processes 1;
pid {run}/nginx.pid;
error_log {run}/error.log;
events {{
    worker_connections 1024;
}}

http {{
    access_log off;
    {temporary}
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        ''      close;
    }}

    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 2M;

        location / {{
            return 200 "elsewhere";
        }}
{auth}    }}
}}
"""
FLEX_AUTH = """
        location /auth {{
            proxy_http_version 1.1;
            proxy_pass http://unix:{socket};
        }}
"""


class Nginx:
    """A configuration in `folder`, and the nginx that runs it."""

    def __init__(self, folder, kind):
        """`kind`: "plain"; "flex", which has /auth; "flex without auth"."""
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
            auth = FLEX_AUTH.format(**values) if kind == "flex" else ""
            self.conf = self.edited = self.etc / "nginx-http.conf"
            self.conf.write_text(FLEX.format(auth=auth, **values))

    def install_snippets(self):
        """As `make install` does, but for the socket's path."""
        name = "opentrons-auth-server.conf"
        upstream = (FILES / "nginx/upstream.conf").read_text()
        assert "unix:/run/opentrons-auth-server.sock" in upstream
        upstream = upstream.replace("/run/opentrons-auth-server.sock", str(self.socket))
        (self.etc / "conf.d" / name).write_text(upstream)
        shutil.copy(FILES / "nginx/location.conf", self.etc / "server-conf.d" / name)

    def include(self):
        """As the bbappend does."""
        return subprocess.run(
            ["sh", INCLUDE, "", self.etc], check=False, capture_output=True, text=True
        )

    def test(self):
        done = subprocess.run(
            [NGINX, "-t", "-c", self.conf], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return self

    def start(self):
        self.process = subprocess.Popen([NGINX, "-c", self.conf, "-g", "daemon off;"], cwd=ROOT)
        wait_for(self.answers, "nginx answers")
        return self

    def answers(self):
        try:
            return request(("127.0.0.1", self.port), "GET", "/").status == 200
        except OSError:
            assert self.process.poll() is None, (self.run / "error.log").read_text()
            return False

    def request(self, method, path, body=None, headers=None):
        return request(("127.0.0.1", self.port), method, path, body, headers)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(PATIENCE)
