"""A stand-in for the audit server."""

import http.server
import json
import socket
import threading


class AuditServer:
    """Takes what is sent to it, unless it is told to refuse; on a Unix socket or on TCP.

    `closing`: whether it closes the connection after each answer, "announced" by a header or
    "silent"."""

    def __init__(self, path=None, port=0, closing=None):
        taken = self.taken = []
        # What was sent and answered, taken or not: statuses and messages.
        answered = self.answered = []
        server = self
        # What it answers to all; the real one answers 201, 503 while its keys are out of reach,
        # 500 when it cannot store.
        self.status = 201
        # What it answers to an event, if that is another status: a function of the event's data.
        self.status_for = lambda data: None
        # Where its answers are cut off, if anywhere: in the "head" or in the "body".
        self.cut = None
        # While this is not set, all wait for their answers.
        self.answers = threading.Event()
        self.answers.set()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                data = json.loads(body)["data"]
                server.answers.wait()
                status = server.status_for(data) or server.status
                if server.cut:
                    whole = b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\n{}"
                    self.wfile.write(whole[:12] if server.cut == "head" else whole)
                    self.close_connection = True
                    return
                if status // 100 == 2:
                    taken.append((self.command, self.path, data))
                answered.append((status, data.get("message")))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                if closing == "announced":
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"{}")
                if closing:
                    self.close_connection = True

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
