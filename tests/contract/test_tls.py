"""The address with TLS: who gets a connection, and what becomes of files that are replaced."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace as with_other
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from depgraph.v1.catalog_service_pb2 import GetServiceRequest
from depgraph.v1.graph_service_pb2 import GetStatusRequest
from server import app
from server.access.reloading import keep_looking
from server.app import Application
from server.config import Addresses, Limits, Settings, TlsSettings
from server.rpc.listeners import Listeners
from server.rpc.listening import AddressInUseError
from server.rpc.server import RpcServer
from server.rpc.transport import grpcio
from tests.support.calls import Stubs
from tests.support.certificates import Authority, CertificateFiles, Pair, handshake, replace, secure_channel
from tests.support.channels import open_channel
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.failures import failure_of
from tests.support.fake_stores import ANY_PORT, HeldStore, rpc_server, running


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def of_clients() -> Authority:
    return Authority()


@pytest.fixture
def store() -> HeldStore:
    answering = HeldStore()
    answering.let_go.set()
    return answering


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> CertificateFiles:
    return CertificateFiles(tmp_path, authority)


@pytest.fixture
async def server(store: HeldStore, files: CertificateFiles) -> AsyncIterator[RpcServer]:
    async with running(store, tls=files.open()) as serving:
        yield serving


@pytest.fixture
async def mutual(
    store: HeldStore, tmp_path: Path, authority: Authority, of_clients: Authority
) -> AsyncIterator[RpcServer]:
    """A server whose clients need certificates."""
    async with running(store, tls=CertificateFiles(tmp_path, authority, of_clients).open()) as serving:
        yield serving


async def get(channel: grpc.aio.Channel) -> str:
    request = GetServiceRequest(service_id="a")
    return (await Stubs(channel).catalog.GetService(request, timeout=PATIENCE_SECONDS)).service.service_id


async def connects(address: str, authority: Authority, client: Pair | None = None) -> bool:
    """Whether a call with a new connection is answered; False = there is no connection."""
    async with secure_channel(address, authority, client) as channel:
        try:
            return await get(channel) == "a"
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error
            return False


async def test_calls_are_answered_with_tls_and_in_plaintext(server: RpcServer, authority: Authority) -> None:
    addresses = server.addresses
    assert str(addresses) == f"{addresses.plain}, {addresses.tls} (TLS)"
    assert await connects(addresses.tls, authority)
    async with open_channel(addresses.plain) as plain:
        assert await get(plain) == "a"


async def test_plaintext_gets_no_connection_where_tls_is_spoken(server: RpcServer) -> None:
    async with open_channel(server.addresses.tls) as channel:
        failure = await failure_of(get(channel))
    assert failure.code is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_trusts_another_authority_does_not_connect(server: RpcServer) -> None:
    assert not await connects(server.addresses.tls, Authority())


@pytest.mark.one_transport
async def test_a_connection_that_does_not_begin_is_closed(
    store: HeldStore, files: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpcio, "HANDSHAKE_TIMEOUT_MS", 100)
    async with running(store, tls=files.open(), limits=Limits(max_connections=1)) as server:
        host, _, port = server.addresses.tls.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await asyncio.wait_for(reader.read(), PATIENCE_SECONDS) == b""
        writer.close()


@pytest.mark.one_transport
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_versions_before_tls_1_2_are_refused(server: RpcServer, authority: Authority) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(handshake, server.addresses.tls, authority, ssl.TLSVersion.TLSv1_1)
    with await asyncio.to_thread(
        handshake, server.addresses.tls, authority, ssl.TLSVersion.TLSv1_2
    ) as connected:
        assert connected.version() == "TLSv1.2"


async def test_a_client_needs_a_certificate_of_the_authority_of_clients(
    mutual: RpcServer, authority: Authority, of_clients: Authority
) -> None:
    address = mutual.addresses.tls
    assert await connects(address, authority, of_clients.issue("client"))
    assert not await connects(address, authority)
    assert not await connects(address, authority, Authority().issue("client"))
    # The server's own authority is not that of clients.
    assert not await connects(address, authority, authority.issue("client"))
    expired = of_clients.issue("client", age=timedelta(days=9), valid=timedelta(days=8))
    assert not await connects(address, authority, expired)


async def test_calls_go_on_while_the_certificate_is_replaced_and_new_connections_see_it(
    server: RpcServer, files: CertificateFiles, authority: Authority
) -> None:
    answered, stop = 0, asyncio.Event()

    async def call_again_and_again() -> None:
        nonlocal answered
        async with secure_channel(server.addresses.tls, authority) as lasting:
            while not stop.is_set():
                assert await get(lasting) == "a"
                assert await connects(server.addresses.tls, authority)
                answered += 2

    callers = [asyncio.create_task(call_again_and_again()) for _ in range(3)]
    for _ in range(10):
        pair = authority.issue()
        files.write(pair)
        assert await asyncio.to_thread(files.serial_at, server.addresses.tls) == pair.serial
        before = answered
        while answered < before + 6 and not any(caller.done() for caller in callers):
            await asyncio.sleep(0)
    stop.set()
    await asyncio.gather(*callers)


@pytest.mark.one_transport
async def test_a_broken_or_half_replaced_pair_leaves_the_old_one_in_use_until_it_is_right_again(
    store: HeldStore, files: CertificateFiles, authority: Authority
) -> None:
    tls = files.open()
    async with running(store, tls=tls) as server:

        async def serial() -> int:
            return await asyncio.to_thread(files.serial_at, server.addresses.tls)

        old = await serial()
        new = authority.issue()
        replace(files.cert, new.chain)
        assert await serial() == old
        [problem] = tls.problems()
        assert "the key does not belong to the first certificate" in problem
        replace(files.cert, b"broken")
        assert await serial() == old
        [problem] = tls.problems()
        assert problem.startswith(f"--tls-cert {files.cert}: ")
        files.write(new)
        assert await serial() == new.serial != old
        assert tls.problems() == ()


@pytest.mark.one_transport
async def test_new_connections_need_a_certificate_of_the_authority_that_was_replaced_last(
    store: HeldStore, tmp_path: Path, authority: Authority, of_clients: Authority
) -> None:
    files, later = CertificateFiles(tmp_path, authority, of_clients), Authority()
    tls = files.open()
    async with running(store, tls=tls) as server:
        address = server.addresses.tls
        replace(files.client_ca, b"broken")
        assert await connects(address, authority, of_clients.issue("client"))
        assert not await connects(address, authority)
        assert any("--tls-client-ca" in problem for problem in tls.problems())
        replace(files.client_ca, later.pem)
        assert await connects(address, authority, later.issue("client"))
        assert not await connects(address, authority, of_clients.issue("client"))
        assert tls.problems() == ()


@pytest.mark.one_transport
async def test_get_status_shows_a_broken_certificate_without_any_connection_until_it_is_mended(
    database_url: str, files: CertificateFiles, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "keep_looking", partial(keep_looking, every=timedelta(milliseconds=1)))
    settings = Settings(
        listen="",
        tls_listen=ANY_PORT,
        tls=TlsSettings(cert=files.cert, key=files.key),
        database_url=database_url,
    )
    async with Application(settings, report=lambda _: None) as application:
        assert application.addresses.plain == ""
        async with secure_channel(application.addresses.tls, authority) as channel:

            async def problems(until: int) -> list[str]:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while (
                        len(found := (await Stubs(channel).graph.GetStatus(GetStatusRequest())).problems)
                        != until
                    ):
                        pass
                return list(found)

            assert await problems(until=0) == []
            key = files.key.read_bytes()
            files.key.write_bytes(b"")
            [problem] = await problems(until=1)
            assert problem.startswith(f"--tls-key {files.key}: no private key in PEM form is in it; ")
            files.key.write_bytes(key)
            assert await problems(until=0) == []


async def test_limits_count_the_calls_of_all_addresses_together(
    files: CertificateFiles, authority: Authority
) -> None:
    store = HeldStore()
    async with (
        running(store, tls=files.open(), limits=Limits(max_concurrent_calls=1)) as server,
        secure_channel(server.addresses.tls, authority) as secure,
        open_channel(server.addresses.plain) as plain,
    ):
        held = asyncio.ensure_future(get(secure))
        await store.asked.wait()
        assert (await failure_of(get(plain))).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        store.let_go.set()
        assert await held == await get(plain) == "a"


async def test_a_stop_waits_for_calls_over_tls(files: CertificateFiles, authority: Authority) -> None:
    store = HeldStore()
    server = rpc_server(store, tls=files.open(), health=True)
    await server.start()
    server.set_serving(serving=True)
    async with secure_channel(server.addresses.tls, authority) as secure:
        held = asyncio.ensure_future(get(secure))
        await store.asked.wait()
        stopping = asyncio.ensure_future(server.stop(timedelta(hours=1)))
        while server.is_serving:
            await asyncio.sleep(0)
        assert not stopping.done()
        store.let_go.set()
        assert await held == "a"
        await stopping
    for address in (server.addresses.plain, server.addresses.tls, server.addresses.health):
        host, _, port = address.rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))


@pytest.mark.one_transport
async def test_connections_are_limited_with_tls_as_in_plaintext(
    files: CertificateFiles, authority: Authority, store: HeldStore
) -> None:
    async with (
        running(store, tls=files.open(), limits=Limits(max_connections=1)) as server,
        secure_channel(server.addresses.tls, authority) as first,
    ):
        assert await get(first) == "a"
        assert not await connects(server.addresses.tls, authority)


class Backlog:
    """A transport that takes down by which count it admitted its backlog; native needs none."""

    def __init__(self, arrived: int = 0) -> None:
        self.arrived = arrived
        self.counted: list[int] = []

    async def admit_backlog(self, count_arrived: Callable[[], int] = lambda: 0) -> None:
        self.counted.append(count_arrived())


@pytest.mark.one_transport
async def test_the_backlog_of_grpcio_is_admitted_once_and_by_the_calls_of_its_addresses_alone(
    files: CertificateFiles,
) -> None:
    addresses = Addresses(ANY_PORT, ANY_PORT, ANY_PORT)
    for transport, kinds in {"native": (1, 1), "grpcio": (0, 2)}.items():
        listeners: Any = Listeners(addresses, Limits(), transport=cast("Any", transport), tls=files.open())
        assert (len(listeners._native), len(listeners._grpcio)) == kinds
        listeners._native, listeners._grpcio = [Backlog()], [Backlog(1), Backlog(2)]
        await listeners.admit_backlog()
        counted = [each.counted for each in (*listeners._native, *listeners._grpcio)]
        assert counted == [[0], [3], []]


async def test_an_address_in_use_is_named_and_no_other_is_served(
    store: HeldStore, server: RpcServer, files: CertificateFiles
) -> None:
    another = rpc_server(store, tls=files.open())
    another._transport._wanted = with_other(another._transport._wanted, tls=server.addresses.tls)
    with pytest.raises(AddressInUseError, match=server.addresses.tls):
        await another.start()
