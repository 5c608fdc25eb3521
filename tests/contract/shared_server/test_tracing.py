"""The spans of calls, as a real OTLP receiver gets them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from structlog.testing import capture_logs

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import Service
from server.app import Application
from server.cli.validation import checked_tracing
from server.config import Limits, Settings
from server.domain.caller import ANYONE, Caller
from server.domain.errors import UnauthenticatedError
from server.lifecycle import tracing
from server.lifecycle.stopping import ClosingTime
from server.lifecycle.tracing import TracingError, call_tracer
from tests.support.calls import FRESH, Stubs
from tests.support.channels import open_channel
from tests.support.eventually import eventually
from tests.support.failures import failure_of
from tests.support.fake_stores import HeldStore, running
from tests.support.otlp import Parent, Receiver, receiving, values

CLOSING = timedelta(seconds=30)
DOWNSTREAM = pb.DIRECTION_DOWNSTREAM


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        patch.setenv("OTEL_SERVICE_NAME", "our graph")
        yield receiver


@pytest.fixture(scope="module")
def server_settings(database_url: str, receiver: Receiver) -> Settings:
    return Settings(
        listen="127.0.0.1:0", database_url=database_url, tracing=True, limits=Limits(max_streaming_calls=1)
    )


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def test_the_span_of_a_call_answered_from_memory_says_what_was_called_and_from_which_snapshot(
    stubs: Stubs, receiver: Receiver
) -> None:
    await stubs.write_edges("a>b")
    await stubs.graph.GetComponent(pb.GetComponentRequest(service_id="a", consistency=FRESH))
    parent = Parent()
    # Answered at once where the transport can.
    answer = await stubs.graph.Traverse(
        pb.TraverseRequest(service_id="a", direction=DOWNSTREAM), metadata=parent.metadata
    )
    span = await receiver.span(parent.trace_id)
    assert span.name == "depgraph.v1.GraphService/Traverse"
    assert span.kind is Span.SPAN_KIND_SERVER
    assert span.parent_span_id.hex() == parent.span_id
    assert values(span.attributes) == {
        "rpc.system.name": "grpc",
        "rpc.method": "depgraph.v1.GraphService/Traverse",
        "rpc.response.status_code": "OK",
        "depgraph.revision": answer.freshness.revision,
    }
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert receiver.resource(span)["service.name"] == "our graph"
    assert receiver.resource(span)["service.instance.id"]


async def test_the_span_of_a_write_has_the_revision_of_the_write(stubs: Stubs, receiver: Receiver) -> None:
    parent = Parent()
    request = catalog.CreateServiceRequest(service=Service(service_id="a"))
    written = await stubs.catalog.CreateService(request, metadata=parent.metadata)
    span = await receiver.span(parent.trace_id)
    assert values(span.attributes)["depgraph.revision"] == written.revision


async def test_the_span_of_a_message_with_freshness_has_its_revision(
    stubs: Stubs, receiver: Receiver
) -> None:
    parent = Parent()
    status = await stubs.graph.GetStatus(pb.GetStatusRequest(), metadata=parent.metadata)
    span = await receiver.span(parent.trace_id)
    assert values(span.attributes)["depgraph.revision"] == status.freshness.revision


async def test_a_failed_call_has_its_code_and_no_revision_of_an_earlier_call(
    stubs: Stubs, receiver: Receiver
) -> None:
    await stubs.write_services("a")
    parent = Parent()
    await stubs.graph.Traverse(pb.TraverseRequest(service_id="a", direction=DOWNSTREAM, consistency=FRESH))
    await stubs.graph.Traverse(pb.TraverseRequest(service_id="a", direction=DOWNSTREAM))
    missing = pb.TraverseRequest(service_id="missing", direction=DOWNSTREAM)
    await failure_of(stubs.graph.Traverse(missing, metadata=parent.metadata))
    span = await receiver.span(parent.trace_id)
    attributes = values(span.attributes)
    assert attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert "depgraph.revision" not in attributes
    # The caller's mistake, not the server's.
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert "error.type" not in attributes


async def test_a_stream_has_one_span_from_its_start_to_its_end(stubs: Stubs, receiver: Receiver) -> None:
    await stubs.write_edges("a>b")
    await stubs.graph.GetComponent(pb.GetComponentRequest(service_id="a", consistency=FRESH))
    parent = Parent()
    question = pb.StreamTraverseRequest(service_id="a", direction=DOWNSTREAM)
    parts = [part async for part in stubs.graph.StreamTraverse(question, metadata=parent.metadata)]
    span = await receiver.span(parent.trace_id)
    assert span.name == "depgraph.v1.GraphService/StreamTraverse"
    assert values(span.attributes)["depgraph.revision"] == parts[0].freshness.revision


async def test_a_stream_that_is_refused_and_one_that_is_cancelled_have_spans_with_their_codes(
    stubs: Stubs, receiver: Receiver, application: Application
) -> None:
    cancelled, refused = Parent(), Parent()
    watch = stubs.graph.Watch(pb.WatchRequest(include_state=True), metadata=cancelled.metadata)
    seen = await watch.read()
    assert isinstance(seen, pb.WatchResponse)
    beyond = stubs.graph.Watch(pb.WatchRequest(), metadata=refused.metadata)
    with pytest.raises(grpc.aio.AioRpcError):
        await beyond.read()
    span = await receiver.span(refused.trace_id)
    assert values(span.attributes)["rpc.response.status_code"] == "RESOURCE_EXHAUSTED"
    assert receiver.spans(cancelled.trace_id) == []
    watch.cancel()
    span = await receiver.span(cancelled.trace_id)
    attributes = values(span.attributes)
    assert attributes["rpc.response.status_code"] == "CANCELLED"
    assert attributes["depgraph.revision"] == seen.freshness.revision
    assert span.status.code == Status.STATUS_CODE_UNSET


async def test_a_caller_that_does_not_sample_gets_no_span_and_health_has_none(
    stubs: Stubs, channel: grpc.aio.Channel, receiver: Receiver
) -> None:
    silent, health, last = Parent(sampled=False), Parent(), Parent()
    await stubs.graph.GetStatus(pb.GetStatusRequest(), metadata=silent.metadata)
    check = health_pb2.HealthCheckRequest()
    await health_pb2_grpc.HealthStub(channel).Check(check, metadata=health.metadata)
    await stubs.graph.GetStatus(pb.GetStatusRequest(), metadata=last.metadata)
    await receiver.span(last.trace_id)
    assert receiver.spans(silent.trace_id) == []
    assert receiver.spans(health.trace_id) == []


async def test_a_call_without_a_parent_begins_a_trace_and_so_does_one_with_a_broken_header(
    stubs: Stubs, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(receiver.received)
    await stubs.catalog.ListServices(catalog.ListServicesRequest())
    await stubs.catalog.ListServices(
        catalog.ListServicesRequest(), metadata=(("traceparent", "00-no-such-1"),)
    )
    await eventually(lambda: len(receiver.received) == before + 2)
    spans = [span for span, _ in receiver.received[before:]]
    assert [span.parent_span_id for span in spans] == [b"", b""]
    assert len({span.trace_id for span in spans}) == 2
    parent = Parent()
    state = ("tracestate", "no state at all")
    await stubs.catalog.ListServices(catalog.ListServicesRequest(), metadata=(*parent.metadata, state))
    await receiver.span(parent.trace_id)
    # Callers could fill the log otherwise.
    assert caplog.records == []


class Known:
    """Knows one caller, by a header."""

    def admit(self, method: str, context: Any) -> Caller:
        if not method.startswith("/depgraph."):
            return ANYONE
        if ("who", "ana") not in [tuple(pair) for pair in context.invocation_metadata()]:
            raise UnauthenticatedError("the call carries no identity")
        return Caller("ana", ANYONE.roles)


async def test_the_span_names_the_caller_and_the_last_spans_are_sent_at_the_end(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    store, known, unknown = HeldStore(), Parent(), Parent()
    store.error = ZeroDivisionError("a defect")
    store.let_go.set()
    asked = catalog.GetServiceRequest(service_id="a")
    async with (
        call_tracer(ClosingTime(CLOSING), enabled=True, worker=3) as tracer,
        running(store, access=Known(), tracer=tracer) as server,
        open_channel(server.address) as channel,
    ):
        get = Stubs(channel).catalog.GetService
        await failure_of(get(asked, metadata=(("who", "ana"), *known.metadata)))
        await failure_of(get(asked, metadata=unknown.metadata))
        await eventually(lambda: sum(calls.ended.get("UNAUTHENTICATED", 0) for calls in server.counts) == 1)
    [of_known], [of_unknown] = receiver.spans(known.trace_id), receiver.spans(unknown.trace_id)
    attributes = values(of_known.attributes)
    assert attributes["depgraph.principal"] == "ana"
    assert attributes["error.type"] == attributes["rpc.response.status_code"] == "INTERNAL"
    assert of_known.status.code == Status.STATUS_CODE_ERROR
    assert "depgraph.principal" not in values(of_unknown.attributes)
    assert receiver.resource(of_known)["depgraph.worker"] == "3"


@pytest.mark.one_transport
async def test_a_receiver_that_is_away_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    # Nothing listens there, and the exporter would try for longer than tests may last.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    store, closing = HeldStore(), ClosingTime(timedelta())
    store.let_go.set()
    closing.begin()
    with capture_logs() as lines:
        async with (
            call_tracer(closing, enabled=True) as tracer,
            running(store, tracer=tracer) as server,
            open_channel(server.address) as channel,
        ):
            await Stubs(channel).catalog.GetService(catalog.GetServiceRequest(service_id="a"))
    assert "the last spans were not sent in time" in [line["event"] for line in lines]


@pytest.mark.one_transport
async def test_another_protocol_than_grpc_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    with pytest.raises(TracingError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'http/protobuf'"):
        async with call_tracer(ClosingTime(CLOSING), enabled=True):
            pass


@pytest.mark.one_transport
async def test_a_variable_that_can_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    with pytest.raises(TracingError, match=r"OTEL_.*soon"):
        async with call_tracer(ClosingTime(CLOSING), enabled=True):
            pass


@pytest.mark.one_transport
async def test_tracing_that_is_not_installed_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    assert checked_tracing(wanted=True)
    monkeypatch.setattr(tracing, "find_spec", missing)
    assert not checked_tracing(wanted=False)
    with pytest.raises(typer.BadParameter, match="install the extra 'tracing' too"):
        checked_tracing(wanted=True)
