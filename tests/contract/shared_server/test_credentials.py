"""Tokens over a real channel: which are accepted, and what becomes of them when files change."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from depgraph.v1 import access_service_pb2 as pb
from depgraph.v1 import dependency_service_pb2, types_pb2
from depgraph.v1.access_service_pb2_grpc import AccessServiceStub
from depgraph.v1.alert_service_pb2 import ResolveAlertRequest
from depgraph.v1.catalog_service_pb2 import CreateServiceRequest, GetServiceRequest
from depgraph.v1.graph_service_pb2 import GetStatusRequest, WatchRequest, WatchResponse
from server.access import identification
from server.app import Application
from server.config import AccessSettings, Settings
from tests.support.calls import Stubs
from tests.support.certificates import replace
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.failures import Failure, failure_of
from tests.support.issuer import (
    auth_file,
    bearer,
    claims,
    ec_key,
    grant,
    issuer_table,
    jwks,
    public_jwk,
    rsa_key,
    static_token,
    subject,
    token,
)

if TYPE_CHECKING:
    from depgraph.v1.access_service_pb2_grpc import AccessServiceAsyncStub

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
ADMIN = bearer("admin")
TABLES = (
    issuer_table('jwks_file = "jwks.json"'),
    grant(subject("alice"), "reader"),
    grant('issuer = "https://idp.example"\nclaim = { groups = "platform" }', "editor"),
    static_token("admin", "admin"),
    static_token("reporter", "ingester", sources=("kubernetes", "service_mesh")),
    static_token("old", "admin", more="expires = 2020-01-01T00:00:00Z"),
)


@pytest.fixture(scope="module", autouse=True)
def looking_often() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identification, "LOOK_EVERY", timedelta(milliseconds=20))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def server_settings(database_url: str, folder: Path, looking_often: None) -> Settings:
    path = auth_file(folder, *TABLES)
    return Settings(listen="127.0.0.1:0", database_url=database_url, access=AccessSettings(auth_file=path))


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def usual_files(folder: Path, application: Application) -> AsyncIterator[None]:
    """Put the files back that a test has replaced, and wait until the server has read them."""
    yield
    write(folder, *TABLES)
    replace(folder / "jwks.json", jwks({"1": rsa_key()}))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while application._identification is None or len(application._identification.problems()) != 1:
            await asyncio.sleep(0.01)


@pytest.fixture
def access(channel: grpc.aio.Channel) -> "AccessServiceAsyncStub":
    return AccessServiceStub(channel)


def write(folder: Path, *tables: str) -> None:
    replace(folder / "auth.toml", "\n".join(tables).encode())


async def who(access: "AccessServiceAsyncStub", text: str) -> pb.WhoAmIResponse:
    answer: pb.WhoAmIResponse = await access.WhoAmI(pb.WhoAmIRequest(), metadata=bearer(text))
    return answer


async def refused(access: "AccessServiceAsyncStub", text: str) -> Failure:
    return await failure_of(who(access, text))


async def becomes(access: "AccessServiceAsyncStub", text: str, code: grpc.StatusCode) -> None:
    """Wait until calls with a token end with a code."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await who(access, text)
                found = grpc.StatusCode.OK
            except grpc.aio.AioRpcError as error:
                found = error.code()
            if found is code:
                return
            await asyncio.sleep(0.01)


async def test_a_token_of_the_issuer_gives_its_subject_the_roles_of_all_grants_that_match(
    access: "AccessServiceAsyncStub",
) -> None:
    answer = await who(access, token(groups=["platform", "other"]))
    assert answer.principal == "alice"
    assert list(answer.roles) == [pb.ROLE_READER, pb.ROLE_EDITOR]


async def test_an_identity_without_a_grant_has_no_roles(access: "AccessServiceAsyncStub") -> None:
    answer = await who(access, token(sub="carol"))
    assert (answer.principal, list(answer.roles)) == ("carol", [])


async def test_a_static_token_has_its_name_its_roles_and_its_sources(
    access: "AccessServiceAsyncStub",
) -> None:
    answer = await who(access, "reporter")
    assert answer.principal == "reporter"
    assert list(answer.roles) == [pb.ROLE_INGESTER]
    assert list(answer.discovery_sources) == [
        types_pb2.DISCOVERY_SOURCE_KUBERNETES,
        types_pb2.DISCOVERY_SOURCE_SERVICE_MESH,
    ]


async def test_an_expired_static_token_is_refused_and_a_problem(
    access: "AccessServiceAsyncStub", channel: grpc.aio.Channel
) -> None:
    assert (await refused(access, "old")).code is UNAUTHENTICATED
    status = await Stubs(channel).graph.GetStatus(GetStatusRequest(), metadata=ADMIN)
    assert any("'old'" in problem for problem in status.problems)


def unsigned(algorithm: str, kid: str = "1") -> str:
    header = {"alg": algorithm, "kid": kid}
    parts = (json.dumps(part).encode() for part in (header, claims()))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def signed_with_the_public_key() -> str:
    """Sign as HS256 with what everybody knows, by hand: the library refuses to."""
    public = rsa_key().public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    content = unsigned("HS256").rstrip(".")
    signature = hmac.digest(pem, content.encode(), "sha256")
    return f"{content}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


BAD_TOKENS: Mapping[str, Callable[[], str]] = {
    "of another issuer": lambda: token(iss="https://other.example"),
    "without an issuer": lambda: token(iss=None),
    "for another audience": lambda: token(aud="other"),
    "without an audience": lambda: token(aud=None),
    "expired": lambda: token(exp=int(time.time()) - 40),
    "without an end": lambda: token(exp=None),
    "with an end that is no number": lambda: token(exp="tomorrow"),
    "not valid yet": lambda: token(nbf=int(time.time()) + 120),
    "issued in the future": lambda: token(iat=int(time.time()) + 120),
    "of the algorithm none": lambda: unsigned("none"),
    "of HS256 with the public key": signed_with_the_public_key,
    "of an algorithm that the issuer does not use": lambda: token(algorithm="RS512"),
    "of an algorithm that does not fit the key": lambda: token(ec_key(), algorithm="ES256"),
    "signed by another key": lambda: token(rsa_key(1)),
    "of an unknown key": lambda: token(kid="2"),
    "without a key id": lambda: token(kid=None),
    "with a key of its own": lambda: jwt.encode(
        claims(), rsa_key(1), "RS256", {"kid": "2", "jwk": public_jwk(rsa_key(1), "2")}
    ),
    "with a critical extension": lambda: jwt.encode(
        claims(), rsa_key(), "RS256", {"kid": "1", "crit": ["x"], "x": 1}
    ),
    "without a subject": lambda: token(sub=None),
    "with a subject of two lines": lambda: token(sub="alice\nadmin"),
    "with a signature cut off": lambda: token()[:-10],
    "of dots": lambda: "..",
    "that is no token": lambda: "hello",
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_a_bad_token_is_refused(access: "AccessServiceAsyncStub", kind: str) -> None:
    text = BAD_TOKENS[kind]()
    failure = await refused(access, text)
    assert failure.code is UNAUTHENTICATED
    assert text not in failure.message


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "admin", "BearerX admin"])
async def test_another_header_than_bearer_is_refused(access: "AccessServiceAsyncStub", header: str) -> None:
    call = access.WhoAmI(pb.WhoAmIRequest(), metadata=(("authorization", header),))
    assert (await failure_of(call)).code is UNAUTHENTICATED


async def test_the_word_bearer_may_be_in_any_case(access: "AccessServiceAsyncStub") -> None:
    answer = await access.WhoAmI(pb.WhoAmIRequest(), metadata=(("authorization", "bEARER admin"),))
    assert answer.principal == "admin"


async def test_a_subject_that_spells_a_certificate_or_a_static_token_is_neither(
    access: "AccessServiceAsyncStub", folder: Path
) -> None:
    write(folder, *TABLES, grant('spiffe_id = "spiffe://example.org/shop"', "admin"))
    for name in ("spiffe://example.org/shop", "admin"):
        assert list((await who(access, token(sub=name))).roles) == []


async def test_an_ingester_writes_for_its_own_sources_only(channel: grpc.aio.Channel) -> None:
    stub = Stubs(channel).dependencies
    own, foreign = (
        dependency_service_pb2.IngestGraphRequest(
            discovery_source=source, nodes=[dependency_service_pb2.IngestNode(service_id="shop")]
        )
        for source in (types_pb2.DISCOVERY_SOURCE_KUBERNETES, types_pb2.DISCOVERY_SOURCE_MANUAL)
    )
    assert (await stub.IngestGraph(own, metadata=bearer("reporter"))).services_created == 1
    failure = await failure_of(stub.IngestGraph(foreign, metadata=bearer("reporter")))
    assert (failure.code, failure.metadata) == (DENIED, {"discovery_source": "manual"})
    assert "manual" in failure.message


async def test_the_log_names_a_caller_that_is_denied(channel: grpc.aio.Channel) -> None:
    request = ResolveAlertRequest()
    with capture_logs() as lines:
        failure = await failure_of(Stubs(channel).alerts.ResolveAlert(request, metadata=bearer(token())))
        await eventually(lambda: any(line["event"] == "call" for line in lines))
    assert failure.code is DENIED
    assert [line["principal"] for line in lines if line["event"] == "call"] == ["alice"]


async def test_errors_do_not_tell_whether_a_name_exists(channel: grpc.aio.Channel) -> None:
    catalog = Stubs(channel).catalog
    created = CreateServiceRequest(service=types_pb2.Service(service_id="shop"))
    await catalog.CreateService(created, metadata=ADMIN)
    for credential in ((), bearer("unknown"), bearer("reporter"), bearer(token(sub="carol"))):
        failures = [
            await failure_of(catalog.GetService(GetServiceRequest(service_id=name), metadata=credential))
            for name in ("shop", "missing", "")
        ]
        assert failures[0].code in {UNAUTHENTICATED, DENIED}
        assert failures[0] == failures[1] == failures[2]


async def test_a_token_that_the_new_file_does_not_have_is_refused_at_once(
    access: "AccessServiceAsyncStub", folder: Path
) -> None:
    assert (await who(access, "reporter")).principal == "reporter"
    write(folder, *[table for table in TABLES if '"reporter"' not in table])
    await becomes(access, "reporter", UNAUTHENTICATED)
    assert (await who(access, "admin")).principal == "admin"


async def test_a_broken_new_file_keeps_the_old_and_is_a_problem(
    access: "AccessServiceAsyncStub", channel: grpc.aio.Channel, folder: Path
) -> None:
    write(folder, *TABLES, "[[grant]]\nroles = ['queen']")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            status = await Stubs(channel).graph.GetStatus(GetStatusRequest(), metadata=ADMIN)
            if any("[[grant]] number 3" in problem for problem in status.problems):
                break
            await asyncio.sleep(0.01)
    assert (await who(access, token())).principal == "alice"


async def test_keys_are_replaced_under_load_and_no_call_fails(
    access: "AccessServiceAsyncStub", folder: Path
) -> None:
    replace(folder / "jwks.json", jwks({"1": rsa_key(1)}))
    current = token(rsa_key(1), "1")
    replaced = asyncio.Event()
    answered = 0

    async def call_on() -> None:
        nonlocal answered
        while not replaced.is_set():
            assert (await who(access, current)).principal == "alice"
            answered += 1

    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(call_on()) for _ in range(8)]
        for number in (2, 3, 4):
            key, last = rsa_key(number), rsa_key(number - 1)
            replace(folder / "jwks.json", jwks({str(number - 1): last, str(number): key}))
            # The new key is known at once, before the server has looked by itself.
            current, before = token(key, str(number)), answered
            while answered < before + 40:
                await asyncio.sleep(0)
        replaced.set()
        await asyncio.gather(*callers)


async def test_the_auth_file_is_replaced_under_load_and_no_call_fails(
    access: "AccessServiceAsyncStub", folder: Path
) -> None:
    replaced = asyncio.Event()

    async def call_on(text: str, principal: str) -> None:
        while not replaced.is_set():
            assert (await who(access, text)).principal == principal

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(call_on(token(), "alice"))
            group.create_task(call_on("admin", "admin"))
        for name in ("first", "second", "third"):
            write(folder, *TABLES, static_token(name, "reader"))
            await becomes(access, name, grpc.StatusCode.OK)
        replaced.set()


async def test_a_key_that_its_issuer_takes_back_is_good_no_longer(
    access: "AccessServiceAsyncStub", folder: Path
) -> None:
    text = token()
    assert (await who(access, text)).principal == "alice"
    replace(folder / "jwks.json", jwks({"2": rsa_key(2)}))
    await becomes(access, text, UNAUTHENTICATED)


async def test_a_stream_ends_when_its_credential_expires(channel: grpc.aio.Channel) -> None:
    # Half a minute is granted for clocks that differ.
    text = token(exp=int(time.time()) - 28)
    call = Stubs(channel).graph.Watch(WatchRequest(), metadata=bearer(text))
    failure = await failure_of(end_of(call))
    assert (failure.code, "expired" in failure.message) == (UNAUTHENTICATED, True)


async def test_a_stream_ends_when_its_caller_loses_the_role(channel: grpc.aio.Channel, folder: Path) -> None:
    watch = Stubs(channel).graph.Watch
    call, other = watch(WatchRequest(), metadata=bearer(token())), watch(WatchRequest(), metadata=ADMIN)
    await call.read()
    await other.read()
    write(folder, *[table for table in TABLES if '"alice"' not in table])
    assert (await failure_of(end_of(call))).code is DENIED
    assert not other.done()
    other.cancel()


async def end_of(call: "grpc.aio.UnaryStreamCall[WatchRequest, WatchResponse]") -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await call.read() is not grpc.aio.EOF:
            pass
