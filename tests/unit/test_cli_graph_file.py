"""What a user names for import, fetched from a real HTTP server of this process."""

import gzip
import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import certifi
import pytest
import trustme

from server.cli import graph_file
from server.cli.failures import CommandError, InputError
from server.cli.graph_file import Reports, attribute, fetched, read_graph
from server.domain.reports import OBSERVATION_GRANULARITY
from server.formats.naming import NameRules
from tests.support.replay import Answer, replaying

CALLS = json.dumps([{"parent": "a", "child": "b", "callCount": 1}]).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/calls")
            self.end_headers()
            return
        self.send_response(404 if path == "/missing" else 200)
        content = (
            gzip.compress(CALLS) if path == "/packed" else CALLS if path != "/page" else b"<html></html>"
        )
        if path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content) + (path == "/short")))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/calls?lookback=1", "/packed", "/moved"])
def test_a_url_is_fetched(url: str, path: str) -> None:
    content = read_graph(None, url + path, NameRules())
    assert isinstance(content, Reports)
    assert (content.form, len(content.reports[0].edges)) == ("jaeger", 1)


def test_the_host_of_a_url_and_the_name_of_a_file_name_the_reporter(url: str) -> None:
    for place, reporter in (
        (f"{url}/calls?token=secret", "jaeger 127.0.0.1"),
        ("some/calls.json", "jaeger calls.json"),
        ("-", "jaeger"),
        ("calls\n.json", "jaeger"),
    ):
        content = read_graph(None, f"{url}/calls", NameRules())
        assert isinstance(content, Reports)
        attribute(content, place, None)
        (report,) = content.reports
        assert report.reporter == reporter
        assert report.observation_granularity.ToTimedelta() == OBSERVATION_GRANULARITY


def test_a_page_of_a_login_is_said_to_look_like_html(url: str) -> None:
    with pytest.raises(InputError, match=r"/page: not JSON but what looks like XML or HTML"):
        read_graph(None, f"{url}/page?token=secret", NameRules())


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("ftp://example.com/x", "^ftp://example.com/x: only http:// and https:// are fetched$"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("http://[::1", "^not a URL: Invalid IPv6 URL$"),
        ("http://me:secret@example.com/x", r"^http://example.com/x: a URL must hold no credentials"),
    ],
)
def test_a_url_that_is_not_fetched_says_why(place: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_graph(None, place, NameRules())
    assert "secret" not in str(caught.value)


def test_a_failed_answer_is_named_without_the_query(url: str) -> None:
    with pytest.raises(CommandError, match=r"^http://127.0.0.1:\d+/missing: HTTP 404 Not Found$"):
        fetched(f"{url}/missing?token=secret")
    with pytest.raises(CommandError, match="/short: "):
        fetched(f"{url}/short")


def test_an_answer_that_is_too_large_or_too_slow_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_file, "MAX_BYTES", 10)
    with pytest.raises(CommandError, match="the answer has more than 10 bytes"):
        fetched(f"{url}/calls")
    monkeypatch.undo()
    moments = iter((0.0, 61.0, 61.0))
    monkeypatch.setattr(graph_file, "monotonic", lambda: next(moments))
    with pytest.raises(CommandError, match="no whole answer in time"):
        fetched(f"{url}/calls")


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match=r"^http://127.0.0.1:1/x: .*[Cc]onnect"):
        fetched("http://127.0.0.1:1/x")


def test_authorities_are_those_of_the_system_or_of_a_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    # Authorities of httpx's own choice are not asked for.
    monkeypatch.delattr(certifi, "where")
    with replaying(context) as replay:
        replay.answers["/calls"] = Answer(CALLS)
        with pytest.raises(
            CommandError, match=r"CERTIFICATE_VERIFY_FAILED.*; SSL_CERT_FILE names a PEM file"
        ):
            fetched(f"{replay.url}/calls")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert fetched(f"{replay.url}/calls") == CALLS
