"""A stand-in for the audit server."""

import http.server
import json
import socket
import threading
import time


class AuditServer:
    """Accepts events on a Unix or TCP socket, unless a test makes it refuse them."""

    def __init__(self, path=None, port=0):
        taken = self.taken = []
        # Time of each request.
        times = self.times = []
        # Status and message of each request, accepted or refused.
        answered = self.answered = []
        server = self
        # Status of all responses. The real server responds with 201, with 503 while its keys are
        # unavailable, and with 500 if it cannot store the event.
        self.status = 201
        # Returns the status of one response for the request's method and data.
        self.judge = lambda method, data: self.status
        # What happens to a connection after a response: it is "kept"; or closed as in "HTTP/1.0",
        # with "Connection: close", "silently", or within the "head" or "body" of the response.
        self.ending = "kept"
        self.connections = 0
        # While this is not set, no response is sent.
        self.answers = threading.Event()
        self.answers.set()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                server.connections += 1
                super().setup()

            def answer(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                data = json.loads(body)["data"]
                server.answers.wait()
                ending = server.ending
                status = server.judge(self.command, data)
                answered.append((status, data.get("message")))
                if status // 100 == 2 and ending not in ("head", "body"):
                    taken.append((self.command, self.path, data))
                    times.append(time.monotonic())
                if ending == "head":
                    self.wfile.write(b"HTTP/1.1 20")
                elif ending == "HTTP/1.0":
                    self.wfile.write(b"HTTP/1.0 %d x\r\n\r\n{}" % status)
                else:
                    self.send_response(status)
                    self.send_header("Content-Length", "3" if ending == "body" else "2")
                    if ending == "Connection: close":
                        self.send_header("Connection", "close")
                    self.end_headers()
                    self.wfile.write(b"{}")
                self.close_connection = ending != "kept"

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
