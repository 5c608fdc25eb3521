"""The native transport, beyond what all transports do."""

import asyncio
from contextlib import suppress
from threading import Thread
from typing import Any, cast

import grpc
import pytest

from depgraph.v1.catalog_service_pb2 import GetServiceRequest
from server.config import Limits
from server.rpc.transport.native import NativeTransport
from server.rpc.transport.native_call import NativeCall
from tests.support.answering import answering
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.eventually import eventually
from tests.support.failures import failure_of
from tests.support.fake_stores import ANY_PORT, HeldStore, running

WATCH = "/depgraph.v1.GraphService/Watch"

pytestmark = pytest.mark.native_only


async def test_a_status_that_cannot_be_sent_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("no metadata of ours")

    monkeypatch.setattr(NativeCall, "abort", broken)
    async with running(HeldStore(), limits=Limits()) as server, open_channel(server.address) as channel:
        failure = await failure_of(Stubs(channel).catalog.GetService(GetServiceRequest(), timeout=30))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "error_id" in failure.metadata


async def test_a_retry_delay_is_sent_in_the_details_without_grpcs_own_metadata() -> None:
    store = HeldStore()
    async with (
        running(store, limits=Limits(max_concurrent_calls=1)) as server,
        open_channel(server.address) as channel,
    ):
        held = Stubs(channel).catalog.GetService(GetServiceRequest(service_id="a"))
        await store.asked.wait()
        refused = Stubs(channel).catalog.GetService(GetServiceRequest(service_id="a"), timeout=30)
        failure = await failure_of(refused)
        assert failure.reason == "OVERLOADED"
        assert failure.retry_after is not None
        assert "grpc-retry-pushback-ms" not in [key for key, _ in await refused.trailing_metadata()]
        store.let_go.set()
        await held


async def test_a_late_call_gets_deadline_exceeded_from_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(HeldStore(), limits=Limits()) as server, open_channel(server.address) as channel:
        monkeypatch.setattr(NativeCall, "time_remaining", lambda _: 0.0)
        failure = await failure_of(
            Stubs(channel).catalog.GetService(GetServiceRequest(service_id="a"), timeout=30)
        )
    assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_no_method_of_the_contract_is_served_where_peers_are_not_known() -> None:
    answers = answering()
    handler: Any = grpc.stream_unary_rpc_method_handler(cast("Any", print))
    with pytest.raises(ValueError, match="stream of requests"):
        NativeTransport(Limits()).serve([answers.method("/depgraph.v1.A/Report", handler)], answers)


async def test_a_stream_that_is_cancelled_before_it_begins_ends() -> None:
    inside = 0

    async def endless(_request: Any, _context: Any) -> None:
        nonlocal inside
        inside += 1
        try:
            await asyncio.Event().wait()
        finally:
            inside -= 1

    answers = answering()
    handler: Any = grpc.unary_stream_rpc_method_handler(cast("Any", endless), response_serializer=bytes)
    transport = NativeTransport(Limits())
    transport.serve([answers.method(WATCH, handler)], answers)
    address = f"127.0.0.1:{transport.listen(ANY_PORT)}"
    await transport.start()
    try:
        for _ in range(5):
            caller = Thread(target=call_and_cancel, args=(address,))
            caller.start()
            # The loop is blocked: the call is handed over but not begun; its end is in the queue.
            caller.join()
            await transport.admit_backlog()
        await eventually(lambda: not inside)
    finally:
        await transport.stop(None)


def call_and_cancel(address: str) -> None:
    """Cancel each stream from another thread; a further call on the connection follows."""
    with grpc.insecure_channel(address) as channel:
        watch: Any = channel.unary_stream(WATCH)
        stream = watch(b"", wait_for_ready=True)
        _ask_in_vain(channel)
        stream.cancel()
        _ask_in_vain(channel)


def _ask_in_vain(channel: grpc.Channel) -> None:
    nothing: Any = channel.unary_unary("/nothing/of/this/name")
    with suppress(grpc.RpcError):
        nothing(b"", timeout=0.1)
