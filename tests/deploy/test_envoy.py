"""A real Envoy, with the configuration that users get, before two real replicas of one database."""

import asyncio
import http.client
import re
import ssl
import struct
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2

from depgraph.calls import REPEATABLE_CALLS, REPEATABLE_STREAMS
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from server.rpc.server import CONTRACT
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.command import serving
from tests.support.credentials import AUDIENCE, ISSUER, Credentials, seconds, unsigned
from tests.support.envoy import CONFIGURATION, Envoy, configuration, envoy, program
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.postgres import DatabaseServer, run_apart
from tests.support.required import required_package

QUESTION = graph.TraverseRequest(service_id="shop", direction=graph.DIRECTION_DOWNSTREAM)
TRAVERSE = "/depgraph.v1.GraphService/Traverse"
ORIGIN = "https://graph.example.com"


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    required_package("envoy")
    return Credentials(tmp_path_factory.mktemp("envoy"))


class FakeReplica:
    """A server that is healthy and answers every other call with a status; it counts them."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = code
        self.calls: Counter[str] = Counter()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((self,))  # type: ignore[arg-type]
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        return grpc.unary_unary_rpc_method_handler(
            self._healthy
            if details.method == "/grpc.health.v1.Health/Check"
            else self._refuse(details.method)
        )

    async def _healthy(self, *_: object) -> bytes:
        serving = health_pb2.HealthCheckResponse.SERVING
        answer: bytes = health_pb2.HealthCheckResponse(status=serving).SerializeToString()
        return answer

    def _refuse(self, method: str) -> Any:
        async def refuse(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            self.calls[method] += 1
            context.set_trailing_metadata((("grpc-retry-pushback-ms", "70"),))
            await context.abort(self.code, "not now")
            raise AssertionError

        return refuse


class Replica:
    """A ``depgraph serve`` that starts again at the address that it had."""

    def __init__(self, database: str) -> None:
        self._arguments = ("--database-url", database, "--transport", "grpcio", "--grace", "5")
        self._running = ExitStack()
        self.address = "127.0.0.1:0"

    def start(self) -> None:
        self.address, _ = self._running.enter_context(serving(*self._arguments, "--listen", self.address))

    def stop(self) -> None:
        self._running.close()


@dataclass(frozen=True, slots=True)
class Stage:
    """Envoy before two replicas."""

    front: Envoy
    replicas: tuple[Replica, Replica]
    credentials: Credentials


@pytest.fixture(scope="module")
def stage(credentials: Credentials, postgres: DatabaseServer, migrated_template: str) -> Iterator[Stage]:
    with postgres.shared_database(migrated_template) as url, ExitStack() as stack:
        replicas = Replica(url), Replica(url)
        for each in replicas:
            stack.callback(each.stop)
            each.start()
        run_apart(filled(replicas[0].address))
        front = stack.enter_context(
            envoy(configuration(credentials.folder, [each.address for each in replicas]))
        )
        yield Stage(front, replicas, credentials)


async def filled(address: str) -> None:
    async with open_channel(address) as channel:
        await Stubs(channel).write_edges("shop>payments", "payments>ledger")


@asynccontextmanager
async def before(credentials: Credentials, *replicas: str, **changes: str) -> AsyncIterator[Stubs]:
    """Run one more Envoy, before these replicas, and call through it."""
    file = configuration(credentials.folder, replicas, changes)
    with ExitStack() as stack:
        # In a thread, since a replica may be in this one.
        front = await asyncio.to_thread(stack.enter_context, envoy(file))
        async with credentials.caller(front.address) as channel:
            yield Stubs(channel)


def test_the_configuration_is_valid(credentials: Credentials) -> None:
    file = configuration(credentials.folder)
    finished = subprocess.run(
        [*program(), "--mode", "validate", "--config-path", file], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def test_envoy_repeats_exactly_the_calls_that_clients_may_repeat() -> None:
    yaml = required_package("yaml")
    (listener,) = yaml.safe_load(CONFIGURATION.read_text())["static_resources"]["listeners"]
    (filters,) = listener["filter_chains"][0]["filters"]
    (host,) = filters["typed_config"]["route_config"]["virtual_hosts"]
    *repeating, others = host["routes"]
    assert all("unavailable" in each["route"]["retry_policy"]["retry_on"] for each in repeating)
    assert "unavailable" not in host["retry_policy"]["retry_on"]
    assert "retry_policy" not in others["route"]
    regexes = [each["match"]["safe_regex"]["regex"] for each in repeating]
    pool = descriptor_pool.Default()
    services = {name: pool.FindServiceByName(name).methods for name in CONTRACT}
    methods = {f"/{name}/{method.name}" for name, found in services.items() for method in found}
    repeated = {path for path in methods if any(re.fullmatch(regex, path) for regex in regexes)}
    allowed = (REPEATABLE_CALLS, REPEATABLE_STREAMS)
    assert repeated == {
        f"/{service}/{method}" for calls in allowed for service, names in calls.items() for method in names
    }


async def test_a_caller_with_a_certificate_of_the_authority_gets_through(stage: Stage) -> None:
    certificate = stage.credentials.certificate("shop.example.com")
    async with stage.credentials.caller(stage.front.address, certificate) as channel:
        answer = await Stubs(channel).graph.Traverse(QUESTION)
    assert [service.service_id for service in answer.services] == ["payments", "ledger"]


async def test_a_caller_with_a_certificate_of_another_authority_does_not_get_through(stage: Stage) -> None:
    certificate = stage.credentials.certificate("shop.example.com", trustme.CA())
    async with stage.credentials.caller(stage.front.address, certificate) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await Stubs(channel).graph.Traverse(QUESTION)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_caller_in_plaintext_does_not_get_through(stage: Stage) -> None:
    async with open_channel(stage.front.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await Stubs(channel).graph.Traverse(QUESTION)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_caller_with_a_valid_token_gets_through(stage: Stage) -> None:
    async with stage.credentials.caller(stage.front.address) as channel:
        answer = await Stubs(channel).graph.Traverse(QUESTION, metadata=bearer(stage.credentials.token()))
    assert len(answer.services) == 2


WRONG_TOKENS: dict[str, Callable[[Credentials], str]] = {
    "signed by another key": lambda known: known.token(rsa.generate_private_key(65_537, 2_048)),
    "expired": lambda known: known.token(exp=seconds(timedelta(hours=-1))),
    "not yet valid": lambda known: known.token(nbf=seconds(timedelta(hours=1))),
    "of another issuer": lambda known: known.token(iss="https://login.example.org/"),
    "for another audience": lambda known: known.token(aud="shop"),
    "unsigned": lambda _: f"{unsigned({'alg': 'none'}, {'iss': ISSUER, 'aud': AUDIENCE})}.",
    "no token at all": lambda _: "secret",
}


@pytest.mark.parametrize("wrong", WRONG_TOKENS)
async def test_a_caller_with_a_wrong_token_does_not_get_through(stage: Stage, wrong: str) -> None:
    token = WRONG_TOKENS[wrong](stage.credentials)
    async with stage.credentials.caller(stage.front.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="Jwt") as refused:
            await Stubs(channel).graph.Traverse(QUESTION, metadata=bearer(token))
    assert refused.value.code() == (
        grpc.StatusCode.PERMISSION_DENIED if "audience" in wrong else grpc.StatusCode.UNAUTHENTICATED
    )


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def test_a_browser_calls_by_grpc_web_over_http_1(stage: Stage) -> None:
    message = QUESTION.SerializeToString()
    with connected(stage) as connection:
        connection.request(
            "POST",
            TRAVERSE,
            body=struct.pack(">BI", 0, len(message)) + message,
            headers={"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": ORIGIN},
        )
        response = connection.getresponse()
        body = response.read()
    assert (response.version, response.status) == (11, 200)
    assert response.headers["content-type"] == "application/grpc-web+proto"
    assert response.headers["access-control-allow-origin"] == ORIGIN
    (flags, answer), (last, trailers) = frames(body)
    assert (flags, last) == (0, 0x80)
    assert [each.service_id for each in graph.TraverseResponse.FromString(answer).services] == [
        "payments",
        "ledger",
    ]
    assert b"grpc-status:0" in trailers.replace(b" ", b"")


def test_a_browser_may_ask_from_the_origin_that_the_configuration_names_and_from_no_other(
    stage: Stage,
) -> None:
    allowed = []
    for origin in (ORIGIN, "https://evil.example.com"):
        with connected(stage) as connection:
            connection.request(
                "OPTIONS", TRAVERSE, headers={"origin": origin, "access-control-request-method": "POST"}
            )
            allowed.append(connection.getresponse().headers["access-control-allow-origin"])
    assert allowed == [ORIGIN, None]


@contextmanager
def connected(stage: Stage) -> Iterator[http.client.HTTPSConnection]:
    context = ssl.create_default_context(cadata=stage.credentials.root.decode())
    with closing(http.client.HTTPSConnection(stage.front.address, context=context, timeout=30)) as connection:
        yield connection


def frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Take the messages of gRPC-Web apart: a byte of flags, four of length, content."""
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        yield flags, body[5 : 5 + length]
        body = body[5 + length :]


async def test_a_read_that_a_replica_refuses_is_answered_by_another(stage: Stage) -> None:
    fake = FakeReplica(grpc.StatusCode.UNAVAILABLE)
    async with (
        fake.serving() as refusing,
        before(stage.credentials, refusing, stage.replicas[0].address) as stubs,
    ):
        for _ in range(6):
            assert len((await stubs.graph.Traverse(QUESTION)).services) == 2
    assert fake.calls[TRAVERSE] >= 2


async def test_a_write_that_a_replica_refuses_is_not_repeated(stage: Stage) -> None:
    fake = FakeReplica(grpc.StatusCode.UNAVAILABLE)
    async with fake.serving() as refusing, before(stage.credentials, refusing, refusing) as stubs:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stubs.catalog.DeleteService(catalog.DeleteServiceRequest(service_id="shop"))
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert fake.calls.total() == 1


async def test_a_caller_hears_at_once_that_a_replica_is_overloaded_and_when_to_come_back(
    stage: Stage,
) -> None:
    fake = FakeReplica(grpc.StatusCode.RESOURCE_EXHAUSTED)
    async with fake.serving() as refusing, before(stage.credentials, refusing, refusing) as stubs:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stubs.graph.Traverse(QUESTION)
    assert failed.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ("grpc-retry-pushback-ms", "70") in tuple(failed.value.trailing_metadata() or ())
    assert fake.calls.total() == 1


async def test_calls_to_a_replica_that_has_just_died_are_answered_by_another(
    stage: Stage,
) -> None:
    fake = FakeReplica(grpc.StatusCode.INTERNAL)
    async with AsyncExitStack() as dying:
        address = await dying.enter_async_context(fake.serving())
        # No health check tells Envoy of it: the next comes after the test.
        rarely = {"interval: 1s": "interval: 600s"}
        async with before(stage.credentials, address, stage.replicas[0].address, **rarely) as stubs:
            await dying.aclose()
            for _ in range(10):
                assert len((await stubs.graph.Traverse(QUESTION)).services) == 2


async def test_no_read_fails_while_both_replicas_are_replaced_one_after_the_other(stage: Stage) -> None:
    addresses = {each.address for each in stage.replicas}
    reads = Reads()
    async with stage.credentials.caller(stage.front.address) as channel:
        readers = [asyncio.create_task(reads.read(Stubs(channel))) for _ in range(4)]
        for each in stage.replicas:
            await asyncio.to_thread(each.stop)
            await stage.front.until_healthy(*(addresses - {each.address}))
            await reads.go_on(readers)
            await asyncio.to_thread(each.start)
            await stage.front.until_healthy(*addresses)
            await reads.go_on(readers)
        reads.ending = True
        await asyncio.gather(*readers)


@dataclass(slots=True)
class Reads:
    """Reads without a pause, all of which must be answered."""

    answered: int = 0
    ending: bool = False

    async def read(self, stubs: Stubs) -> None:
        while not self.ending:
            answer = await stubs.graph.Traverse(QUESTION, timeout=PATIENCE_SECONDS)
            assert len(answer.services) == 2
            self.answered += 1

    async def go_on(self, readers: list["asyncio.Task[None]"]) -> None:
        """Wait for more answers, unless a reader has failed."""
        enough = self.answered + 50
        await eventually(lambda: self.answered > enough or any(reader.done() for reader in readers))
