"""Each method of the contract, called in each role."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default

from server.access.roles import ROLES_OF_METHODS
from server.app import Application
from server.config import AccessSettings, Settings, WatchSettings
from server.domain.caller import ROLES
from server.rpc.server import CONTRACT
from tests.support.channels import open_channel
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.issuer import bearer, static_token

WHO_AM_I = "/depgraph.v1.AccessService/WhoAmI"
METHODS: dict[str, MethodDescriptor] = {
    f"/{service}/{method.name}": method
    for service in CONTRACT
    for method in Default().FindServiceByName(service).methods
}
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture(scope="module")
def server_settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("access") / "auth.toml"
    # An empty export of OTLP is one of this source.
    sources = ("otel_service_graph",)
    tables = [static_token(role, role, sources=sources if role == "ingester" else ()) for role in ROLES]
    path.write_text("\n".join(tables))
    return Settings(
        listen="127.0.0.1:0",
        database_url=database_url,
        access=AccessSettings(auth_file=Path(path)),
        watch=replace(WatchSettings(), heartbeat=timedelta(milliseconds=10)),
    )


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def cleared(application: Application) -> None:
    """Leave the rows alone: no call here writes any."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(application: Application) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(application.address) as opened:
        yield opened


async def code_of_empty_call(channel: grpc.aio.Channel, method: str, *tokens: str) -> grpc.StatusCode:
    """Call a method with an empty request, and return its code; streams that begin are OK."""
    metadata = [pair for token in tokens for pair in bearer(token)]
    streams = METHODS[method].server_streaming
    make: Any = channel.unary_stream if streams else channel.unary_unary
    call = make(method)(b"", metadata=metadata, timeout=PATIENCE_SECONDS)
    try:
        await (call.read() if streams else call)
    except grpc.aio.AioRpcError as error:
        return error.code()
    call.cancel()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", METHODS)
async def test_a_role_may_call_what_the_table_says_and_nothing_else(
    channel: grpc.aio.Channel, method: str, role: str
) -> None:
    code = await code_of_empty_call(channel, method, role)
    assert code is not UNAUTHENTICATED
    assert (code is not DENIED) == (role in ROLES_OF_METHODS[method])


@pytest.mark.parametrize("method", METHODS)
async def test_without_an_identity_nothing_may_be_called(channel: grpc.aio.Channel, method: str) -> None:
    assert await code_of_empty_call(channel, method) is UNAUTHENTICATED
    assert await code_of_empty_call(channel, method, "unknown") is UNAUTHENTICATED
    assert await code_of_empty_call(channel, method, "admin", "admin") is UNAUTHENTICATED
