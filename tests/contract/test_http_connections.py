"""Connections of the HTTP port: their number, slow clients, HTTPS, several addresses, the end."""

import asyncio
import contextlib
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from server.config import Limits
from server.domain.errors import OverloadedError
from server.rpc.listening import AddressInUseError
from server.rpc.reading import bounds_of
from server.rpc.server import RpcServer
from server.web import transport
from server.web.bodies import Bodies
from server.web.connection import Times
from server.web.transport import HttpTransport
from tests.support.certificates import Authority, CertificateFiles, Pair, handshake, replace
from tests.support.eventually import eventually
from tests.support.fake_stores import ANY_PORT, HeldStore, rpc_server
from tests.support.http import Port, Raw, client_of

# The HTTP port is the same beside either transport.
pytestmark = pytest.mark.one_transport

GET = "CatalogService/GetService"
SHORT = timedelta(milliseconds=50)
LONG = timedelta(minutes=5)
HOST = "Host: localhost\r\n"
HEAD = f"POST /depgraph.v1.{GET} HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"
HEALTH = f"GET /healthz HTTP/1.1\r\n{HOST}\r\n".encode()
PATIENT = {"head": LONG, "body": LONG, "unread": LONG, "idle": LONG}


@asynccontextmanager
async def served(
    store: HeldStore | None = None,
    *,
    limits: Limits | None = None,
    times: dict[str, timedelta] | None = None,
    listen: str = ANY_PORT,
    **parts: Any,
) -> AsyncIterator[RpcServer]:
    """Run a server with nothing but services, by HTTP; ``times`` are those that are short."""
    store, limits = store or answering(), limits or Limits()
    http = HttpTransport(
        limits,
        is_serving=lambda: server.is_serving,
        times=Times(**(PATIENT | (times or {}))),
        **parts,
    )
    server = rpc_server(store, limits=limits, http=http, http_at=listen)
    await server.start()
    server.set_serving(serving=True)
    try:
        yield server
    finally:
        await server.stop(timedelta(0))


def answering() -> HeldStore:
    store = HeldStore()
    store.let_go.set()
    return store


async def get(client: httpx.AsyncClient) -> str:
    answer = await Port(client).call(GET, {"serviceId": "a"})
    return str(answer["service"]["serviceId"])


async def test_a_connection_too_many_is_closed_until_another_ends() -> None:
    async with served(limits=Limits(max_connections=2)) as server:
        at = server.addresses.http
        first, second = await Raw.to(at), await Raw.to(at)
        for raw in (first, second):
            await raw.send(HEALTH)
            assert (await raw.head())[0] == 200
        third = await Raw.to(at)
        assert await third.rest() == b""
        third.close()
        first.close()

        async def is_answered() -> bool:
            raw = await Raw.to(at)
            try:
                await raw.send(HEALTH)
                return (await raw.head())[0] == 200
            except (asyncio.IncompleteReadError, ConnectionError):
                return False
            finally:
                raw.close()

        async with asyncio.timeout(30):
            while not await is_answered():
                await asyncio.sleep(0.01)
        second.close()


@pytest.mark.parametrize(
    ("late", "sent"),
    [
        ("head", b""),
        ("head", b"GET / HTTP/1.1\r\n"),
        ("head", f"{HEAD}Content-Length: 9\r\n".encode()),
        ("body", f"{HEAD}Content-Length: 9\r\n\r\n".encode()),
        ("body", f'{HEAD}Content-Length: 9\r\n\r\n{{"a'.encode()),
        ("body", f"{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{".encode()),
        ("idle", HEALTH),
    ],
)
async def test_a_client_that_sends_no_more_is_left(late: str, sent: bytes) -> None:
    async with served(times={late: SHORT}) as server:
        raw = await Raw.to(server.addresses.http)
        await raw.send(sent)
        # It ends: the other times are minutes.
        answer = await raw.rest()
        assert answer.count(b"HTTP/1.1 200") == (late == "idle")
        raw.close()


async def test_a_client_that_sends_slowly_is_left_however_often_it_sends() -> None:
    async with served(times={"head": timedelta(milliseconds=300)}) as server:
        raw = await Raw.to(server.addresses.http)
        await raw.send(f"GET / HTTP/1.1\r\n{HOST}".encode())

        async def send() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    await raw.send(b"X: a\r\n")
                    await asyncio.sleep(0.01)

        sending = asyncio.create_task(send())
        assert b"200" not in await raw.rest()
        sending.cancel()
        raw.close()


async def test_a_client_that_reads_nothing_is_left() -> None:
    store = answering()
    store.metadata = json.dumps({"text": "x" * 20_000_000})
    async with served(store, times={"unread": SHORT}) as server:
        raw = await Raw.to(server.addresses.http)
        body = b'{"serviceId": "a"}'
        await raw.send(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        http: Any = server._transport._http
        await eventually(lambda: server.load.unsent_bytes > 0)
        await eventually(lambda: http._open == 0)
        await eventually(lambda: server.load.unsent_bytes == 0)
        raw.close()


async def test_an_answer_that_is_not_read_is_counted_until_it_is() -> None:
    store = answering()
    store.metadata = json.dumps({"text": "x" * 20_000_000})
    async with served(store) as server:
        raw = await Raw.to(server.addresses.http)
        body = b'{"serviceId": "a"}'
        await raw.send(f"{HEAD}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await eventually(lambda: server.load.unsent_bytes > 20_000_000)
        answer = await raw.rest()
        assert len(answer) > 20_000_000
        await eventually(lambda: server.load.unsent_bytes == 0)
        raw.close()


async def test_bodies_of_all_callers_together_are_bounded() -> None:
    bodies = Bodies(Limits(max_requests_bytes=300_000))
    bounds = bounds_of("/depgraph.v1.DependencyService/BatchUpsertDependencies", Limits())

    class Sender:
        """Sends two parts, the second when it is let go."""

        def __init__(self) -> None:
            self.let_go = asyncio.Event()
            self.parts = [b" " * 200_000, b" "]

        async def receive(self) -> dict[str, Any]:
            if len(self.parts) == 1:
                await self.let_go.wait()
            part = self.parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self.parts)}

    async def read(sender: Sender) -> int:
        async with bodies.received(sender.receive, {}, bounds) as body:
            return len(body)

    first, second = Sender(), Sender()
    reading = asyncio.create_task(read(first))
    await eventually(lambda: bodies.held.held == 200_000)
    with pytest.raises(OverloadedError, match="max-requests-bytes"):
        await read(second)
    first.let_go.set()
    assert await reading == 200_001
    assert bodies.held.held == 0
    second = Sender()
    second.let_go.set()
    assert await read(second) == 200_001


async def test_calls_end_within_the_grace_and_the_port_closes() -> None:
    store = HeldStore()
    async with served(store) as server:
        at = server.addresses.http
        async with client_of(at) as client:
            asking = asyncio.create_task(get(client))
            await store.asked.wait()
            stopping = asyncio.create_task(server.stop(LONG))
            await eventually(lambda: not server.is_serving)
            # The connection of the call is the client's only one: others are new.
            response = await client.get("/healthz")
            assert (response.status_code, response.text) == (503, "NOT_SERVING\n")
            failure = await Port(client).failure(GET, {"serviceId": "a"})
            assert (failure.code, failure.reason) == ("unavailable", "NOT_READY")
            store.let_go.set()
            assert await asking == "a"
            await stopping
        with pytest.raises(ConnectionError):
            await Raw.to(at)


async def test_a_call_that_takes_longer_than_the_grace_is_cancelled() -> None:
    store = HeldStore()
    async with served(store) as server:
        async with client_of(server.addresses.http) as client:
            asking = asyncio.create_task(get(client))
            await store.asked.wait()
            await server.stop(timedelta(0))
            with pytest.raises((httpx.HTTPError, AssertionError)):
                await asking
        assert store.cancelled.is_set()


async def test_a_failure_that_nobody_foresaw_is_internal_and_has_an_id() -> None:
    store = answering()
    store.error = RuntimeError("secret")
    async with served(store) as server, client_of(server.addresses.http) as client:
        failure = await Port(client).failure(GET, {"serviceId": "a"})
        assert failure.code == "internal"
        assert "error_id" in failure.details[0]["metadata"]
        assert "secret" not in failure.message


async def test_an_address_in_use_is_named() -> None:
    async with served() as first:
        taken = first.addresses.http
        with pytest.raises(AddressInUseError, match=taken):
            async with served(listen=taken):
                pass


async def test_localhost_is_served_at_all_of_its_addresses() -> None:
    found = {where[0] for *_, where in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    async with served(listen="localhost:0") as server:
        port = server.addresses.http.rpartition(":")[2]
        for address in found:
            host = f"[{address}]" if ":" in str(address) else address
            try:
                async with client_of(f"http://{host}:{port}") as client:
                    assert await get(client) == "a"
            except httpx.ConnectError:
                # A name may have an address that this machine does not.
                assert address == "::1"


async def test_the_peer_is_written_as_grpc_does() -> None:
    async with served(listen="[::1]:0") as server, client_of(server.addresses.http) as client:
        with capture_logs() as lines:
            answering_error = await Port(client).failure(GET, {})
        assert answering_error.code == "invalid_argument"
        (line,) = [line for line in lines if line["event"] == "call"]
        assert re.fullmatch(r"ipv6:%5B::1%5D:\d+", line["peer"])


def trusting(authority: Authority, client: Pair | None = None, folder: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if client is not None:
        assert folder is not None
        (folder / "client.pem").write_bytes(client.chain + client.key)
        context.load_cert_chain(folder / "client.pem")
    return context


async def serial_at(address: str, authority: Authority) -> int:
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusting(authority))
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(shown).serial_number


async def test_https_is_spoken_where_there_are_files_and_they_are_read_again(tmp_path: Path) -> None:
    authority = Authority()
    files = CertificateFiles(tmp_path, authority)
    async with served(tls=files.open()) as server:
        at = server.addresses.http
        async with client_of(f"https://{at}", verify=trusting(authority)) as client:
            assert await get(client) == "a"
        # Plaintext is no TLS: the connection ends.
        raw = await Raw.to(at)
        await raw.send(HEALTH)
        assert b"SERVING" not in await raw.rest()
        raw.close()
        before, pair = await serial_at(at, authority), authority.issue()
        files.write(pair)
        assert before != pair.serial
        async with asyncio.timeout(30):
            while await serial_at(at, authority) != pair.serial:
                await asyncio.sleep(0.01)
        # A pair that does not fit together changes nothing.
        replace(files.key, authority.issue().key)
        assert await serial_at(at, authority) == pair.serial


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    authority = Authority()
    async with served(tls=CertificateFiles(tmp_path, authority).open()) as server:
        at = server.addresses.http
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(handshake, at, authority, ssl.TLSVersion.TLSv1_1)
        connected = await asyncio.to_thread(handshake, at, authority, ssl.TLSVersion.TLSv1_2)
        assert connected.version() == "TLSv1.2"
        connected.close()


async def test_a_client_needs_a_certificate_where_there_is_an_authority_for_them(tmp_path: Path) -> None:
    authority, of_clients = Authority(), Authority()
    files = CertificateFiles(tmp_path, authority, of_clients)
    known = of_clients.issue_for(x509.UniformResourceIdentifier("spiffe://shop/web"))
    async with served(tls=files.open()) as server:
        url = f"https://{server.addresses.http}"
        async with client_of(url, verify=trusting(authority, known, tmp_path)) as client:
            assert await get(client) == "a"
        for other in (None, Authority().issue("web")):
            async with client_of(url, verify=trusting(authority, other, tmp_path)) as client:
                with pytest.raises(httpx.HTTPError):
                    await get(client)


async def test_a_client_that_does_not_shake_hands_takes_a_connection_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_HANDSHAKE_SECONDS", 0.05)
    authority = Authority()
    async with served(
        tls=CertificateFiles(tmp_path, authority).open(), limits=Limits(max_connections=1)
    ) as server:
        raw = await Raw.to(server.addresses.http)
        assert await raw.rest() == b""
        http: Any = server._transport._http
        await eventually(lambda: http._open == 0)
        async with client_of(f"https://{server.addresses.http}", verify=trusting(authority)) as client:
            assert await get(client) == "a"
        raw.close()
