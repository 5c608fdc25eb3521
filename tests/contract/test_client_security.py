"""The client by TLS and with tokens, against servers of gRPC's own."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from depgraph import AsyncClient, Client
from depgraph.security import is_local
from depgraph.v1.catalog_service_pb2 import CreateServiceRequest
from depgraph.v1.graph_service_pb2 import GetAdjacencyListRequest, GetAdjacencyListResponse, GetStatusRequest
from depgraph.v1.types_pb2 import Service
from tests.support.client_tls import Authority
from tests.support.fake_server import Script, fake_server

pytestmark = pytest.mark.one_transport

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
Serve = Callable[..., str]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "own")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strange"), "other")


@pytest.fixture
def script() -> Script:
    return Script([])


@pytest.fixture
def serve(script: Script) -> Iterator[Serve]:
    with ExitStack() as running:
        yield lambda credentials=None, address="127.0.0.1:0": running.enter_context(
            fake_server(script, address, credentials)
        )


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first\n")
    return file


def ask(address: str, **arguments: Any) -> int:
    with Client(address, **arguments) as client:
        return client.graph.GetStatus(GetStatusRequest()).service_count


def failure(address: str, **arguments: Any) -> str:
    with pytest.raises(grpc.RpcError) as raised:
        ask(address, attempts=1, **arguments)
    assert raised.value.code() is UNAVAILABLE
    return str(raised.value.details())


async def test_an_authority_turns_tls_on(serve: Serve, authority: Authority) -> None:
    address = serve(authority.good.server)
    assert ask(address, ca_cert=authority.ca) == 1
    async with AsyncClient(address, ca_cert=str(authority.ca)) as client:
        assert (await client.graph.GetStatus(GetStatusRequest())).service_count == 1
        assert len([row async for row in client.graph.GetAdjacencyList(GetAdjacencyListRequest())]) == 1


def test_with_tls_alone_the_authorities_of_the_system_vouch(
    serve: Serve, authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = serve(authority.good.server)
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.ca))
    assert "CERTIFICATE_VERIFY_FAILED" in failure(address, tls=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    assert ask(address, tls=True) == 1


def test_a_client_shows_its_certificate_to_a_server_that_asks(
    serve: Serve, authority: Authority, stranger: Authority
) -> None:
    address = serve(authority.good.server_for(authority.ca))
    assert ask(address, ca_cert=authority.ca, **authority.for_another.client) == 1
    assert failure(address, ca_cert=authority.ca)
    assert failure(address, ca_cert=authority.ca, **stranger.good.client)


def test_the_name_in_the_certificate_must_be_the_one_expected(serve: Serve, authority: Authority) -> None:
    address = serve(authority.for_another.server)
    assert "Hostname Verification Check failed" in failure(address, ca_cert=authority.ca)
    assert ask(address, ca_cert=authority.ca, server_name="graph.test") == 1


def test_a_certificate_that_is_not_good_is_named_as_the_cause(
    serve: Serve, authority: Authority, stranger: Authority
) -> None:
    address = serve(authority.good.server)
    assert "unable to get local issuer certificate" in failure(address, ca_cert=stranger.ca)
    expired = serve(authority.expired.server)
    assert "certificate has expired" in failure(expired, ca_cert=authority.ca)
    assert expired in failure(expired, ca_cert=authority.ca)


def test_two_ends_of_which_one_speaks_tls_do_not_meet(serve: Serve, authority: Authority) -> None:
    assert "WRONG_VERSION_NUMBER" in failure(serve(), ca_cert=authority.ca)
    assert failure(serve(authority.good.server))


async def test_the_token_goes_with_every_kind_of_call(
    serve: Serve, script: Script, authority: Authority
) -> None:
    plaintext, encrypted = serve(), serve(authority.good.server)
    for address, ca_cert in ((plaintext, None), (encrypted, authority.ca)):
        script.authorizations.clear()
        with Client(address, token="secret", ca_cert=ca_cert) as client:
            client.catalog.CreateService(CreateServiceRequest(service=Service(service_id="a")))
            client.graph.GetStatus.future(GetStatusRequest()).result()
            assert len(list(client.graph.GetAdjacencyList(GetAdjacencyListRequest()))) == 1
        async with AsyncClient(address, token="secret", ca_cert=ca_cert) as asynchronous:
            await asynchronous.graph.GetStatus(GetStatusRequest())
            assert [row async for row in asynchronous.graph.GetAdjacencyList(GetAdjacencyListRequest())]
            stream = asynchronous.graph.GetAdjacencyList(GetAdjacencyListRequest())
            assert await stream.read() == GetAdjacencyListResponse(service_id="a", target_service_ids=["b"])
        assert script.authorizations == ["Bearer secret"] * 6


def test_calls_that_are_tried_again_carry_the_token(serve: Serve, script: Script) -> None:
    failing = Script([UNAVAILABLE, UNAVAILABLE])
    with fake_server(failing) as address:
        assert ask(address, token="secret") == 1
    assert failing.authorizations == ["Bearer secret"] * 3


def test_metadata_of_the_caller_stays_and_its_own_authorization_wins(serve: Serve, script: Script) -> None:
    with Client(serve(), token="secret") as client:
        client.graph.GetStatus(GetStatusRequest(), metadata=(("x-trace", "1"),))
        client.graph.GetStatus(GetStatusRequest(), metadata=(("authorization", "Bearer own"),))
    assert script.authorizations == ["Bearer secret", "Bearer own"]


def test_without_a_token_there_is_no_authorization(serve: Serve, script: Script) -> None:
    ask(serve())
    assert script.authorizations == [None]


def test_a_token_file_is_read_again_when_it_changes(serve: Serve, script: Script, token_file: Path) -> None:
    def replaced_by(text: str) -> None:
        new = token_file.with_suffix(".new")
        new.write_text(text)
        new.replace(token_file)

    with Client(serve(), token_file=token_file) as client:
        client.graph.GetStatus(GetStatusRequest())
        replaced_by("second")
        client.graph.GetStatus(GetStatusRequest())
        token_file.unlink()
        client.graph.GetStatus(GetStatusRequest())
        token_file.write_text("")
        client.graph.GetStatus(GetStatusRequest())
        replaced_by("third")
        client.graph.GetStatus(GetStatusRequest())
    assert script.authorizations == [
        f"Bearer {each}" for each in ("first", "second", "second", "second", "third")
    ]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_token_does_not_leave_the_host_in_plaintext_unless_that_is_allowed(kind: Any) -> None:
    with pytest.raises(
        ValueError, match=r"would travel to graph\.test:50051 in plaintext.*`ca_cert`"
    ) as raised:
        kind("graph.test:50051", token="secret")
    assert "secret" not in str(raised.value)


async def test_a_token_leaves_the_host_where_that_is_allowed_or_encrypted(authority: Authority) -> None:
    Client("graph.test:50051", token="secret", plaintext_token=True).close()
    Client("graph.test:50051", token="secret", ca_cert=authority.ca).close()
    Client("graph.test:50051", token="secret", credentials=grpc.ssl_channel_credentials()).close()
    await AsyncClient("graph.test:50051", token="secret", plaintext_token=True).close()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.9.1:50051", True),
        ("localhost:50051", True),
        ("localhost", True),
        ("[::1]:50051", True),
        ("ipv6:[::1]:50051", True),
        ("dns:///localhost:50051", True),
        ("unix:/run/depgraph", True),
        ("unix-abstract:depgraph", True),
        ("10.0.0.1:50051", False),
        ("127.0.0.1.evil.test:50051", False),
        ("localhost.evil.test:50051", False),
        ("dns://evil.test/localhost:50051", False),
        ("ipv4:127.0.0.1:1,10.0.0.1:1", False),
        ("xds:///localhost", False),
        ("", False),
    ],
)
def test_only_loopback_and_unix_sockets_are_this_host(target: str, *, expected: bool) -> None:
    assert is_local(target) is expected


def test_a_proxy_of_the_environment_does_not_see_calls_to_this_host(
    serve: Serve, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert ask(serve(), token="secret") == 1
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_a_unix_socket_takes_a_token(serve: Serve, script: Script, reachable_folder: Path) -> None:
    assert ask(serve(address=f"unix:{reachable_folder / 'rpc'}"), token="secret") == 1
    assert script.authorizations == ["Bearer secret"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"client_cert": "c.pem"}, "`client_cert` and `client_key` go together"),
        ({"client_key": "c.key"}, "`client_cert` and `client_key` go together"),
        ({"server_name": "a"}, "`server_name` is for TLS"),
        ({"tls": True, "credentials": grpc.ssl_channel_credentials()}, "`credentials` stand instead of"),
        ({"token": "a", "token_file": "b"}, "`token` and `token_file` are two tokens"),
        ({"token": ""}, "`token` is empty"),
        ({"token": "tok en"}, "`token` is not a bearer token"),
        ({"token": "tökén"}, "`token` is not a bearer token"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as raised:
        Client(**arguments)
    assert "tok en" not in str(raised.value)


def test_files_that_can_not_be_used_are_named(authority: Authority, token_file: Path, tmp_path: Path) -> None:
    good, other = authority.good, authority.for_another
    empty = tmp_path / "empty"
    empty.write_text(" \n")
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        Client(ca_cert="no-such-file")
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        Client(token_file="no-such-file")
    with pytest.raises(ValueError, match=f"`token_file` {empty} is empty"):
        Client(token_file=empty)
    with pytest.raises(ValueError, match=f"`ca_cert` {token_file}: holds no PEM certificate"):
        Client(ca_cert=token_file)
    with pytest.raises(ValueError, match=f"`client_key` {other.key}.*KEY_VALUES_MISMATCH"):
        Client(client_cert=good.cert, client_key=other.key)


def test_an_argument_that_clients_do_not_have_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="a client has no argument 'cacert'"):
        Client(cacert="a")  # type: ignore[call-arg]


def test_an_address_that_accepts_and_says_nothing_fails_before_the_deadline_of_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("depgraph.calls.CONNECT_TIMEOUT_MS", 200)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert address in failure(address, timeout=60)


def test_a_name_that_does_not_resolve_is_named() -> None:
    assert "no-such-host.invalid" in failure("no-such-host.invalid:50051", timeout=60)
