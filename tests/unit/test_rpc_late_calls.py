"""A call whose deadline passed before its turn came is not begun."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from depgraph.v1.catalog_service_pb2 import CreateServiceRequest
from depgraph.v1.types_pb2 import Service
from server.rpc.running import RunningCalls
from tests.support.answering import answering

ASKED = CreateServiceRequest(service=Service(service_id="a"))
METHOD = "/depgraph.v1.CatalogService/CreateService"


class Handled:
    """A handler that remembers what it was asked, wrapped as the server does."""

    def __init__(self) -> None:
        self.calls = RunningCalls()
        self.requests: list[Any] = []

    async def call(self, remaining: float | None) -> Any:
        """Make a call with so much time left, in seconds; None = it has no deadline."""
        method = answering(calls=self.calls).method(METHOD, self._found())
        context = SimpleNamespace(time_remaining=lambda: remaining, peer=lambda: "somewhere")
        return await method.answer(ASKED.SerializeToString(), context)

    def _found(self) -> "grpc.RpcMethodHandler[Any, Any]":
        return grpc.unary_unary_rpc_method_handler(cast("Any", self._answer), response_serializer=str.encode)

    async def _answer(self, request: Any, _: Any) -> str:
        self.requests.append(request)
        return "answer"


async def test_a_call_past_its_deadline_does_not_reach_the_handler() -> None:
    handled = Handled()
    with pytest.raises(asyncio.CancelledError):
        await handled.call(remaining=0.0)
    assert handled.requests == []
    assert len(handled.calls) == 0


@pytest.mark.parametrize("remaining", [None, 0.001])
async def test_a_call_before_its_deadline_is_answered(remaining: float | None) -> None:
    handled = Handled()
    assert await handled.call(remaining) == b"answer"
    assert handled.requests == [ASKED]
