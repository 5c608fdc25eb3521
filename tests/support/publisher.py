"""A web server with the keys of an issuer."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.support.issuer import jwks, rsa_key


class Publisher:
    """What a web server answers, and how often it was asked."""

    def __init__(self) -> None:
        self.document, self.status, self.asked = jwks({"1": rsa_key()}), 200, 0
        self.url = ""
        self.is_endless = False


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, publisher: Publisher, *arguments: Any) -> None:
        self._publisher = publisher
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._publisher.asked += 1
        self.send_response(self._publisher.status)
        self.send_header("Location", f"{self._publisher.url}/elsewhere")
        self.end_headers()
        self.wfile.write(self._publisher.document)
        with contextlib.suppress(OSError):
            while self._publisher.is_endless:
                self.wfile.write(b" ")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def published() -> Iterator[Publisher]:
    publisher = Publisher()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, publisher)) as server:
        publisher.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield publisher
        finally:
            server.shutdown()
            thread.join()
