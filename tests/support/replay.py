"""A small HTTP server that replays answers of Prometheus, Jaeger, Kiali and Backstage."""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Asked(NamedTuple):
    """A request: its path, its query with one value a key, and its headers in lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(slots=True)
class Answer:
    """``cut``: the connection ends in the middle of the body; ``slow``: it never begins."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    slow: bool = False

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Replay:
    """``answers``: what each path is answered with; a function makes it of the request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.answers: dict[str, Answer | Callable[[Asked], Answer]] = {}
        self.ends = Event()

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        found = self.answers.get(asked.path, Answer(b"no such page", 404))
        return found(asked) if callable(found) else found


@contextmanager
def replaying(tls: ssl.SSLContext | None = None) -> Iterator[Replay]:
    """Serve on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = replay.answer(Asked(parts.path, query, headers))
            if answer.slow:
                replay.ends.wait()
                self.close_connection = True
                return
            content = answer.content
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if answer.cut else content)
            self.close_connection = answer.cut

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            # A client that refuses the certificate ends the connection.
            with suppress(OSError):
                super().handle()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            # The handshake then is made by the thread of the connection.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "http" if tls is None else "https"
        replay = Replay(f"{scheme}://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield replay
        finally:
            replay.ends.set()
            server.shutdown()
            thread.join()


def vector(*series: Mapping[str, str], value: str = "1", **more: Any) -> Answer:
    """Answer as Prometheus does: an instant vector."""
    result = [{"metric": labels, "value": [1_700_000_000, value]} for labels in series]
    return Answer({"status": "success", "data": {"resultType": "vector", "result": result}, **more})


def prometheus(*pairs: tuple[str, str], total: int | None = None, **more: Any) -> Callable[[Asked], Answer]:
    """Answer the queries of a pull: pairs that rose, ``total`` series, and no gauge."""

    def answer(asked: Asked) -> Answer:
        query = asked.query["query"]
        if "_connection_info" in query:
            return vector()
        if query.startswith("count("):
            return vector({}, value=str(len(pairs) if total is None else total))
        return vector(*({"client": client, "server": server} for client, server in pairs), **more)

    return answer
