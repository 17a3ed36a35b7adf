"""A server that is told what happens in rooms: it checks each event's signature with LiveKit's own SDK."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from livekit import api

from rig import tokens


class Receiver:
    """A webhook on loopback. It answers the first `failures` requests with 503."""

    def __init__(self, failures: int = 0):
        self.events: list[api.WebhookEvent] = []
        self.troubles: list[str] = []
        self.requests = 0
        verifier = api.TokenVerifier(str(tokens.APP_ID), tokens.SECRET)
        checker = api.WebhookReceiver(verifier)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.requests += 1
                if receiver.requests <= failures:
                    self.send_error(503)
                    return
                try:
                    assert self.headers["Content-Type"] == "application/webhook+json"
                    receiver.events.append(checker.receive(body, self.headers["Authorization"]))
                except Exception as trouble:
                    receiver.troubles.append(repr(trouble))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
