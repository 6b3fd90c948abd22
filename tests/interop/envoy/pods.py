"""Pods as servers in this process: each listens on its own address, says who it is and what it was asked."""

import http.server
import json
import threading
import time


class Server(http.server.ThreadingHTTPServer):
    """One pod's server. `failures`: how many of the next requests it answers with 503. `delay`: seconds before each answer."""

    daemon_threads = True

    def __init__(self, name, address, port=8080):
        super().__init__((address, port), Handler)
        self.name = name
        self.failures = 0
        self.delay = 0
        self.asked = 0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def begin(self):
        """Whether the request shall fail."""
        with self.lock:
            self.asked += 1
            fails = self.failures > 0
            self.failures -= fails
            return fails


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes

    def do_GET(self):
        fails = self.server.begin()
        time.sleep(self.server.delay)
        told = {"server": self.server.name, "method": self.command, "path": self.path,
                "headers": {name.lower(): self.headers.get_all(name) for name in self.headers}}
        body = json.dumps(told).encode()
        self.send_response(503 if fails else 200)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-server", self.server.name)
        self.send_header("x-secret", "of the server")
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass
