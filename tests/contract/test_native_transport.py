"""What the native transport owes its callers beyond what all transports do."""

import grpc
import pytest

from depgraph.v1.catalog_service_pb2 import GetServiceRequest
from server.config import Limits
from server.rpc.transport.native_call import NativeCall
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.failures import failure_of
from tests.support.fake_stores import HeldStore, running

pytestmark = pytest.mark.native_only


async def test_a_status_that_cannot_be_sent_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("no metadata of ours")

    monkeypatch.setattr(NativeCall, "abort", broken)
    async with running(HeldStore(), limits=Limits()) as server, open_channel(server.address) as channel:
        failure = await failure_of(Stubs(channel).catalog.GetService(GetServiceRequest(), timeout=30))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "error_id" in failure.metadata


async def test_what_says_when_to_come_again_is_told_without_grpcs_own_metadata() -> None:
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
