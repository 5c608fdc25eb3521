"""Callers by their certificates, over TLS or as a proxy passes them on, over real channels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from depgraph.v1.access_service_pb2 import ROLE_ADMIN, ROLE_READER, WhoAmIRequest, WhoAmIResponse
from depgraph.v1.access_service_pb2_grpc import AccessServiceStub
from server.access.certificates import TlsFiles
from server.access.identification import Identification
from server.rpc import listeners
from server.rpc.callers import CallAccess, TrustedProxies
from server.rpc.server import RpcServer
from tests.support.certificates import Authority, CertificateFiles, Pair, secure_channel
from tests.support.channels import open_channel
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.failures import failure_of
from tests.support.fake_stores import HeldStore, codes, running
from tests.support.issuer import auth_file, bearer, grant, static_token

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
SHOP, ADMIN = "spiffe://example.org/shop", "spiffe://example.org/admin"
TABLES = (
    grant(f'spiffe_id = "{SHOP}"', "reader"),
    grant(f'spiffe_id = "{ADMIN}"', "admin"),
    static_token("ci", "reader"),
)
Header = tuple[str, str]


def forwarded(*elements: str) -> Header:
    return ("x-forwarded-client-cert", ",".join(f"By=spiffe://example.org/proxy;{each}" for each in elements))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def of_clients() -> Authority:
    return Authority()


async def who(channel: grpc.aio.Channel, *metadata: Header) -> WhoAmIResponse:
    request = WhoAmIRequest()
    return await AccessServiceStub(channel).WhoAmI(request, metadata=metadata, timeout=PATIENCE_SECONDS)


@asynccontextmanager
async def server(folder: Path, *trusted: str, tables: tuple[str, ...] = TABLES) -> AsyncIterator[RpcServer]:
    """Run a server in plaintext that trusts proxies."""
    access = CallAccess(Identification(auth_file(folder, *tables)), TrustedProxies(trusted))
    async with running(HeldStore(), access=access) as serving:
        yield serving


@asynccontextmanager
async def mutual(
    folder: Path, authority: Authority, of_clients: Authority, *, auth: bool = True
) -> AsyncIterator[RpcServer]:
    """Run a server whose clients need certificates."""
    access = CallAccess(Identification(auth_file(folder, *TABLES) if auth else None), TrustedProxies(()))
    files = CertificateFiles(folder, authority, of_clients)
    async with running(HeldStore(), tls=files.open(), access=access) as serving:
        yield serving


def certificate(of_clients: Authority, *names: x509.GeneralName) -> Pair:
    return of_clients.issue_for(*names)


async def test_the_header_of_a_trusted_proxy_names_the_caller(tmp_path: Path) -> None:
    async with server(tmp_path, "127.0.0.1") as serving, open_channel(serving.address) as channel:
        answer = await who(channel, forwarded(f"Hash=1;URI={SHOP}"))
        assert (answer.principal, list(answer.roles)) == (SHOP, [ROLE_READER])


async def test_the_header_of_any_other_peer_is_ignored(tmp_path: Path) -> None:
    async with server(tmp_path, "10.0.0.0/8", "unix") as serving, open_channel(serving.address) as channel:
        failure = await failure_of(who(channel, forwarded(f"Hash=1;URI={ADMIN}")))
        assert (failure.code, "carries no credential" in failure.message) == (UNAUTHENTICATED, True)
        await eventually(lambda: codes(serving)["UNAUTHENTICATED"] == 1)
        answer = await who(channel, forwarded(f"Hash=1;URI={ADMIN}"), *bearer("ci"))
        assert answer.principal == "ci"


async def test_elements_that_the_client_has_sent_itself_count_for_nothing(tmp_path: Path) -> None:
    forged, real = f"Hash=2;URI={ADMIN}", f"Hash=1;URI={SHOP}"
    async with server(tmp_path, "127.0.0.1") as serving, open_channel(serving.address) as channel:
        for headers in ([forwarded(forged, real)], [forwarded(forged), forwarded(real)]):
            assert (await who(channel, *headers)).principal == SHOP
        # An open quote would hide what the proxy has added.
        failure = await failure_of(who(channel, ("x-forwarded-client-cert", f'{forged},By="{real}')))
        assert failure.code is UNAUTHENTICATED


async def test_a_token_comes_before_what_a_proxy_says_and_a_bad_one_does_not_fall_back(
    tmp_path: Path,
) -> None:
    vouched = forwarded(f"Hash=1;URI={ADMIN}")
    async with server(tmp_path, "127.0.0.1") as serving, open_channel(serving.address) as channel:
        assert (await who(channel, vouched, *bearer("ci"))).principal == "ci"
        assert (await failure_of(who(channel, vouched, *bearer("unknown")))).code is UNAUTHENTICATED
        assert (
            await failure_of(who(channel, vouched, ("authorization", "Basic YTpi")))
        ).code is UNAUTHENTICATED


async def test_a_proxy_at_a_unix_socket_may_be_trusted(reachable_folder: Path) -> None:
    access = CallAccess(Identification(auth_file(reachable_folder, *TABLES)), TrustedProxies(["unix"]))
    address = f"unix:{reachable_folder / 'socket'}"
    async with running(HeldStore(), address, access=access), open_channel(address) as channel:
        assert (await who(channel, forwarded(f"Hash=1;URI={SHOP}"))).principal == SHOP


async def test_health_answers_callers_without_a_credential(tmp_path: Path) -> None:
    async with server(tmp_path) as serving, open_channel(serving.address) as channel:
        checked = await HealthStub(channel).Check(HealthCheckRequest(), metadata=bearer("unknown"))
        assert checked.status == HealthCheckResponse.SERVING


@pytest.mark.parametrize("served", [True, False])
async def test_reflection_is_for_everybody_or_for_nobody(tmp_path: Path, served: bool) -> None:
    access = CallAccess(Identification(auth_file(tmp_path, *TABLES)), TrustedProxies(()))
    async with (
        running(HeldStore(), access=access, reflection=served) as serving,
        open_channel(serving.address) as channel,
    ):
        stub = ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([ServerReflectionRequest(list_services="")]))
        if served:
            assert (await call.read()).list_services_response.service
        else:
            failure = await failure_of(call.read())
            assert failure.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.grpcio_only
async def test_a_client_certificate_names_the_caller(
    tmp_path: Path, authority: Authority, of_clients: Authority
) -> None:
    client = certificate(of_clients, x509.UniformResourceIdentifier(SHOP))
    async with (
        mutual(tmp_path, authority, of_clients) as serving,
        secure_channel(serving.addresses.tls, authority, client) as channel,
    ):
        answer = await who(channel, forwarded(f"Hash=1;URI={ADMIN}"))
        assert (answer.principal, list(answer.roles)) == (SHOP, [ROLE_READER])
        assert (await who(channel, *bearer("ci"))).principal == "ci"


@pytest.mark.grpcio_only
@pytest.mark.parametrize(
    "names",
    [
        [x509.DNSName(ADMIN)],
        [x509.UniformResourceIdentifier(ADMIN), x509.UniformResourceIdentifier(SHOP)],
        [x509.UniformResourceIdentifier(ADMIN.replace("spiffe", "SPIFFE"))],
        [x509.UniformResourceIdentifier(ADMIN + "/")],
    ],
)
async def test_a_name_that_only_looks_right_names_no_caller(
    tmp_path: Path, authority: Authority, of_clients: Authority, names: list[x509.GeneralName]
) -> None:
    async with (
        mutual(tmp_path, authority, of_clients) as serving,
        secure_channel(serving.addresses.tls, authority, certificate(of_clients, *names)) as channel,
    ):
        assert (await failure_of(who(channel))).code is UNAUTHENTICATED


@pytest.mark.grpcio_only
async def test_a_certificate_of_another_authority_gets_no_connection(
    tmp_path: Path, authority: Authority, of_clients: Authority
) -> None:
    client = certificate(Authority(), x509.UniformResourceIdentifier(ADMIN))
    async with (
        mutual(tmp_path, authority, of_clients) as serving,
        secure_channel(serving.addresses.tls, authority, client) as channel,
    ):
        assert (await failure_of(who(channel))).code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.grpcio_only
async def test_without_an_auth_file_a_certificate_names_an_admin(
    tmp_path: Path, authority: Authority, of_clients: Authority
) -> None:
    client = certificate(of_clients, x509.UniformResourceIdentifier(SHOP))
    async with (
        mutual(tmp_path, authority, of_clients, auth=False) as serving,
        secure_channel(serving.addresses.tls, authority, client) as secure,
        open_channel(serving.address) as plain,
    ):
        answer = await who(secure, ("authorization", "Basic YTpi"))
        assert (answer.principal, list(answer.roles)) == (SHOP, [ROLE_ADMIN])
        assert (await who(plain)).principal == ""


@pytest.mark.grpcio_only
async def test_clients_with_certificates_connect_again_after_a_while_and_no_call_fails(
    tmp_path: Path, authority: Authority, of_clients: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    handshakes = 0
    look = TlsFiles.look

    def counted(files: TlsFiles) -> None:
        nonlocal handshakes
        handshakes += 1
        look(files)

    monkeypatch.setattr(TlsFiles, "look", counted)
    monkeypatch.setattr(listeners, "CONNECTION_AGE", timedelta(milliseconds=50))
    client = certificate(of_clients, x509.UniformResourceIdentifier(SHOP))
    async with (
        mutual(tmp_path, authority, of_clients) as serving,
        secure_channel(serving.addresses.tls, authority, client) as channel,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        while handshakes < 4:
            answers = await asyncio.gather(*(who(channel) for _ in range(4)))
            assert {answer.principal for answer in answers} == {SHOP}


@pytest.mark.grpcio_only
async def test_calls_of_a_connection_end_with_its_certificate(
    tmp_path: Path, authority: Authority, of_clients: Authority
) -> None:
    client = of_clients.issue_for(x509.UniformResourceIdentifier(SHOP), valid=timedelta(seconds=3))
    async with (
        mutual(tmp_path, authority, of_clients) as serving,
        secure_channel(serving.addresses.tls, authority, client) as channel,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        assert (await who(channel)).principal == SHOP
        while True:
            try:
                await who(channel)
            except grpc.aio.AioRpcError as error:
                assert error.code() is UNAUTHENTICATED
                assert "expired" in (error.details() or "")
                break
            await asyncio.sleep(0.05)
