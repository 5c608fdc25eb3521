"""What a browser is kept from, and requests that are not clear."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from server.app import Application
from server.config import Settings
from tests.support.http import JSON, Raw, client_of, exchange

pytestmark = pytest.mark.one_transport

PATH = "/depgraph.v1.AccessService/WhoAmI"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HOST = "Host: localhost\r\n"


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(
        listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        http_hosts=("graph.example.com",),
        database_url=database_url,
    )


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def cleared(application: Application) -> None:
    """Leave the rows alone: no call here reads any."""


@pytest.fixture
def address(application: Application) -> str:
    return application.addresses.http


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application.addresses.http) as opened:
        yield opened


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "127.0.0.1:1", "10.1.2.3:8051"),
        *("[::1]", "[::1]:8051", "[fe80::1]", "graph.example.com", "GRAPH.example.com:443"),
    ],
)
async def test_a_request_may_name_an_address_localhost_or_a_name_of_the_server(
    client: httpx.AsyncClient, host: str
) -> None:
    for path in ("/", "/healthz"):
        assert (await client.get(path, headers={"host": host})).status_code == 200
    assert (await client.post(PATH, json={}, headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8051", "localhost.evil.example", "127.0.0.1.evil.example", ""),
        *("example.com", "xgraph.example.com", "localhost:8051:80", "[::1", "::1", "a b", "localhost/"),
    ],
)
async def test_a_request_by_another_name_is_refused(client: httpx.AsyncClient, host: str) -> None:
    # Also what needs no credential: a name that points here makes this the page's own site.
    for method, path in (("GET", "/"), ("GET", "/healthz"), ("POST", PATH), ("GET", "/app.js")):
        response = await client.request(method, path, headers=JSON | {"host": host}, content=b"{}")
        assert response.status_code in (400, 403), (path, response.text)
        if response.status_code == 403:
            assert response.json()["code"] == "permission_denied"
            assert "--http-host" in response.json()["message"]


@pytest.mark.parametrize(
    "headers",
    [
        *({"origin": origin} for origin in ("http://evil.example", "null", "http://localhost", "https://x")),
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
    ],
)
async def test_a_page_of_another_site_calls_nothing(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.post(PATH, json={}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


async def test_the_console_s_own_page_calls_and_a_link_leads_to_it(client: httpx.AsyncClient) -> None:
    own = {"origin": str(client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    assert (await client.post(PATH, json={}, headers=own)).status_code == 200
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert (await client.get("/", headers=followed)).status_code == 200
    for within in ("iframe", "embed", "object", "script"):
        response = await client.get("/", headers=followed | {"sec-fetch-dest": within})
        assert response.status_code == 403
    assert (await client.get("/", headers={"sec-fetch-site": "none"})).status_code == 200


async def test_no_other_site_is_permitted_anything(client: httpx.AsyncClient) -> None:
    asked = {
        "origin": str(client.base_url).rstrip("/"),
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type, authorization",
    }
    for path in ("/", PATH):
        response = await client.options(path, headers=asked)
        assert response.status_code == 405
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("HEAD", "/", {}),
        ("GET", "/app.js", {}),
        ("GET", "/nothing", {}),
        ("PUT", "/", {}),
        ("GET", "/healthz", {}),
        ("POST", PATH, JSON),
        ("POST", PATH, {}),
        ("POST", "/nothing", JSON),
        ("GET", "/", {"host": "evil.example"}),
        ("GET", "/mcp", {}),
    ],
)
async def test_every_answer_has_the_headers_for_browsers(
    client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    found = (await client.request(method, path, headers=headers, content=b"{}")).headers
    assert found["content-security-policy"] == POLICY
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "no-referrer"
    assert found["cross-origin-opener-policy"] == found["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in found["permissions-policy"]
    assert "date" in found
    assert not {"server", "set-cookie", "access-control-allow-origin", "x-powered-by"} & set(found)


async def test_files_are_asked_for_anew_and_sent_only_when_they_have_changed(
    client: httpx.AsyncClient,
) -> None:
    first = await client.get("/app.js")
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    again = await client.get("/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    head = await client.head("/app.js")
    assert (head.headers["etag"], head.content) == (first.headers["etag"], b"")


@pytest.mark.parametrize(
    "path",
    [
        *("/../transport.py", "/%2e%2e/transport.py", "/lib/../../transport.py", "/..%2ftransport.py"),
        *("//etc/passwd", "/%2fetc%2fpasswd", "/%00", "/lib", "/" + "x" * 5_000),
    ],
)
async def test_nothing_but_the_files_is_read(address: str, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
    status, answer = await exchange(address, request.encode())
    assert status == 404, answer


async def test_an_answer_of_a_method_is_kept_by_nobody(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATH, json={})).headers["cache-control"] == "no-store"


CALL = f"POST {PATH} HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"
GET = f"GET /healthz HTTP/1.1\r\n{HOST}"
UNCLEAR = {
    "a length and chunks": f"{CALL}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": f"{CALL}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "two lengths": f"{CALL}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
    "the same length twice": f"{CALL}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}",
    "a list of lengths": f"{CALL}Content-Length: 2, 3\r\n\r\n{{}}",
    "a length with a sign": f"{CALL}Content-Length: +2\r\n\r\n{{}}",
    "a negative length": f"{CALL}Content-Length: -2\r\n\r\n{{}}",
    "a length in hexadecimal": f"{CALL}Content-Length: 0x2\r\n\r\n{{}}",
    "an unknown encoding": f"{CALL}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an encoding that looks like chunked": f"{CALL}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two encodings": f"{CALL}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": f"{GET}X: a\r\n b\r\n\r\n",
    "a folded encoding": f"{CALL}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a line that ends with a carriage return": f"{GET}X: a\rY: b\r\n\r\n",
    "a line that ends with a line feed": f"{GET}X: a\nY: b\r\n\r\n",
    "line feeds alone": "GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "a NUL": f"{GET}X: a\0b\r\n\r\n",
    "a space before the colon": f"{GET}X : a\r\n\r\n",
    "a length with a space before the colon": f"{CALL}Content-Length : 2\r\n\r\n{{}}",
    "a header without a name": f"{GET}: a\r\n\r\n",
    "no host": "GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": f"{GET}{HOST}\r\n",
    "another target": f"GET http://localhost/healthz HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n",
    "a tunnel": f"CONNECT localhost:80 HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n",
    "no target": f"GET  HTTP/1.1\r\n{HOST}\r\n",
    "another version": f"GET /healthz HTTP/3.0\r\n{HOST}\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a long head": f"{GET}X: {'a' * 100_000}\r\n\r\n",
}


@pytest.mark.parametrize("request_text", UNCLEAR.values(), ids=UNCLEAR)
async def test_a_request_that_is_not_clear_is_refused_and_the_connection_closed(
    address: str, request_text: str
) -> None:
    # What follows would be the request that somebody smuggles.
    smuggled = f"{GET}Connection: close\r\n\r\n"
    status, answer = await exchange(address, (request_text + smuggled).encode("latin-1"))
    assert status == 400, answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()
    assert b"SERVING" not in answer
    assert b"content-security-policy" in answer


async def test_an_unclear_request_has_a_line_in_the_log(application: Application, address: str) -> None:
    http: Any = application._rpc_server
    # Those of tests before may have had the line of these ten seconds.
    http._transport._http._refusals._silent_until.clear()
    with capture_logs() as lines:
        await exchange(address, UNCLEAR["two hosts"].encode())
        await exchange(address, UNCLEAR["a folded line"].encode())
    (line,) = [line for line in lines if line["event"] == "refused a request"]
    assert (line["kind"], line["reason"]) == ("unclear", "the request has to have one header Host")
    assert line["peer"].startswith("ipv4:127.0.0.1:")


async def test_a_chunk_without_a_size_is_refused_and_the_connection_closed(address: str) -> None:
    text = f"{CALL}Transfer-Encoding: chunked\r\n\r\nz\r\n\r\n{GET}Connection: close\r\n\r\n"
    status, answer = await exchange(address, text.encode())
    assert status == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"SERVING" not in answer


async def test_a_second_request_that_is_not_clear_is_refused_as_the_first_is(address: str) -> None:
    for second in (UNCLEAR["a folded line"], UNCLEAR["two hosts"], UNCLEAR["a length and chunks"]):
        status, answer = await exchange(address, f"{GET}\r\n{second}".encode())
        assert status == 200
        assert answer.count(b"HTTP/1.1 400") == 1


async def test_requests_after_one_another_on_one_connection_are_answered(address: str) -> None:
    body = f"{CALL}Content-Length: 2\r\n\r\n{{}}"
    status, answer = await exchange(address, f"{GET}\r\n{body}{GET}Connection: close\r\n\r\n".encode())
    assert status == 200
    assert answer.count(b"HTTP/1.1 200") == 3


async def test_a_head_that_comes_byte_by_byte_is_judged_as_a_whole(address: str) -> None:
    for text, expected in (
        (f"{GET}X: a\r\nConnection: close\r\n\r\n", 200),
        (f"{GET}X: a\r\n b\r\n\r\n", 400),
    ):
        raw = await Raw.to(address)
        for byte in text.encode():
            await raw.send(bytes([byte]))
        assert (await raw.head())[0] == expected
        raw.close()


async def test_an_upgrade_is_not_taken(address: str) -> None:
    for upgrade in ("websocket", "h2c"):
        request = f"{GET}Connection: upgrade, close\r\nUpgrade: {upgrade}\r\n\r\n"
        status, answer = await exchange(address, request.encode())
        assert status in (200, 400), answer
