"""A stand-in for the audit server."""

import http.server
import json
import socket
import threading


class AuditServer:
    """Takes what is sent to it, unless it is told to refuse; on a Unix socket or on TCP."""

    def __init__(self, path=None, port=0):
        taken = self.taken = []
        server = self
        self.status = 200

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = server.status
                if status == 200:
                    taken.append((self.command, self.path, json.loads(body)["data"]))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_PATCH = answer

            def address_string(self):
                return "auth server"

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        if path:

            class Server(Server):
                address_family = socket.AF_UNIX

                def server_bind(self):
                    self.socket.bind(self.server_address)

            path.unlink(missing_ok=True)
            self.server = Server(str(path), Handler)
        else:
            self.server = Server(("127.0.0.1", port), Handler)
            self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def events(self):
        return [data for method, _, data in self.taken if method == "POST"]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
