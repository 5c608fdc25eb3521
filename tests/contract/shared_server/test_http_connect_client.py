"""A client of Connect by its authors: https://connectrpc.com/docs/python."""

from typing import Any

import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from depgraph.v1.catalog_service_pb2 import (
    CreateServiceRequest,
    CreateServiceResponse,
    GetServiceRequest,
    GetServiceResponse,
)
from depgraph.v1.types_pb2 import Service
from server.app import Application
from server.config import Settings
from tests.support.eventually import eventually
from tests.support.required import required_package

pytestmark = pytest.mark.one_transport


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    required_package("connectrpc")
    return Settings(listen="127.0.0.1:0", http_listen="127.0.0.1:0", database_url=database_url)


class CatalogClient:
    """What its generator would make of two methods."""

    def __init__(self, url: str, encoding: str) -> None:
        codecs = {
            each.name(): each for each in required_package("connectrpc.compat").google_protobuf_codecs()
        }
        self._client = required_package("connectrpc.client").ConnectClient(url, codec=codecs[encoding])
        self._method = required_package("connectrpc.method")

    async def create_service(self, request: CreateServiceRequest, **options: Any) -> Any:
        return await self._call("CreateService", request, CreateServiceResponse, options)

    async def get_service(self, request: GetServiceRequest, **options: Any) -> Any:
        return await self._call("GetService", request, GetServiceResponse, options)

    async def _call(self, name: str, request: Any, answer: Any, options: dict[str, Any]) -> Any:
        method = self._method.MethodInfo(
            name=name,
            service_name="depgraph.v1.CatalogService",
            input=type(request),
            output=answer,
            idempotency_level=self._method.IdempotencyLevel.UNKNOWN,
            stream_type=self._method.StreamType.UNARY,
        )
        return await self._client.execute_unary(request=request, method=method, **options)


@pytest.mark.parametrize("encoding", ["json", "proto"])
async def test_calls_errors_and_deadlines_of_a_connect_client(
    application: Application, connection: Any, encoding: str
) -> None:
    failed = required_package("connectrpc.errors").ConnectError
    client = CatalogClient(application.addresses.console.rstrip("/"), encoding)
    service = Service(service_id="cart", team="größe")
    # It packs requests by gzip, of itself.
    created = await client.create_service(CreateServiceRequest(service=service), timeout_ms=60_000)
    found = await client.get_service(GetServiceRequest(service_id="cart"))
    assert (created.service, found.service.team) == (found.service, "größe")

    with pytest.raises(failed, match="no service is named 'nobody'") as caught:
        await client.get_service(GetServiceRequest(service_id="nobody"))
    assert caught.value.code.value == "not_found"
    (detail,) = caught.value.details
    assert detail.type_name == "google.rpc.ErrorInfo"
    reason = ErrorInfo.FromString(detail.message_bytes)
    assert (reason.reason, reason.metadata["service_id"]) == ("SERVICE_NOT_FOUND", "nobody")

    async with connection.transaction():
        await connection.execute("LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
        late = CreateServiceRequest(service=Service(service_id="late"))
        with pytest.raises(failed) as caught:
            await client.create_service(late, timeout_ms=300)
        assert caught.value.code.value == "deadline_exceeded"
        # The lock is still held: the deadline has ended the call in the server.
        await eventually(lambda: application.running_calls == 0)
