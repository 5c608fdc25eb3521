"""The transport of grpcio, ``grpc.aio``: for every caller and every platform."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, cast

import grpc

from server.config import Limits, TransportName
from server.rpc.admission import LETTING_IN_SECONDS, Admission
from server.rpc.answering import Answering
from server.rpc.context import Context
from server.rpc.methods import STANDARD, Handler, Method, serializer_of
from server.rpc.sending import abort

# gRPC's own thread hands a call over with the interpreter in its hands, which it gets soon only while ours sleeps: the shortest sleep there is,
# a tenth of a millisecond. Then it takes some rounds until the call is counted. After two such gaps without one nobody is left outside.
_GAP_SECONDS, _ROUNDS_A_GAP, _QUIET_GAPS = 0.00001, 8, 2
_SECOND_MS = 1000
KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS = 60 * _SECOND_MS, 20 * _SECOND_MS
_NO_LIMIT = 2**31 - 1
_CLEARED_AWAY = 10
_MAKE_HANDLER = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class GrpcioTransport:
    """See ``Transport``. It calls ``Method.answer`` only."""

    name: TransportName = "grpcio"

    def __init__(self, limits: Limits, *, share_port: bool = False) -> None:
        self._server = grpc.aio.server(options=server_options(limits, share_port=share_port))

    async def all_came(self, came: Callable[[], int]) -> None:
        """Sleep, and let the loop turn, until nobody comes any more, or for as long as others may be kept waiting."""
        quiet, ends = 0, time.perf_counter() + LETTING_IN_SECONDS
        while quiet < _QUIET_GAPS and time.perf_counter() < ends:
            before = came()
            time.sleep(_GAP_SECONDS)  # noqa: ASYNC251 - see above
            for _ in range(_ROUNDS_A_GAP):
                await asyncio.sleep(0)
                # Others may have rounds of their own to fill.
                if time.perf_counter() >= ends:
                    return
            quiet = quiet + 1 if came() == before else 0

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """
        Take over what is to be answered.

        gRPC waits for the next call of every registered method by itself, so that one is not behind the calls of others, and looks through all that it
        waits for at every call, which for fifty methods takes an eighth of a short one. Only gRPC's own services, of which health must always
        answer, are registered; those of the contract are looked up by name.
        """
        registered: dict[str, dict[str, Handler]] = defaultdict(dict)
        by_name = {}
        for method in methods:
            if method.name.startswith(STANDARD):
                service, _, name = method.name.removeprefix("/").partition("/")
                registered[service][name] = _handler_of(method)
            else:
                by_name[method.name] = _Found(method, _handler_of(method), _refusing(method, answering))
        for service, handlers in registered.items():
            self._server.add_registered_method_handlers(service, handlers)
        self._server.add_generic_rpc_handlers((_ByName(by_name, answering.admission),))

    def listen(self, address: str) -> int:
        """Take an address."""
        return self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Let calls in."""
        await self._server.start()

    async def stop(self, flush: timedelta | None) -> None:
        """Close."""
        await self._server.stop(None if flush is None else flush.total_seconds())


class _Found(NamedTuple):
    method: Method
    answering: Handler
    refusing: Handler


class _ByName(grpc.GenericRpcHandler):
    """
    Finds what handles a call.

    No ``grpc.aio.ServerInterceptor``, for that is asked again at every call, which takes 20 µs of a short one.
    """

    def __init__(self, methods: Mapping[str, _Found], admission: Admission) -> None:
        self._methods = methods
        self._admission = admission

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """Look a method up by its full name."""
        found = self._methods.get(handler_call_details.method)
        if found is None:
            return None
        kind = found.method.kind
        return found.refusing if kind is not None and self._admission.is_full(kind) else found.answering


def _handler_of(method: Method) -> Handler:
    """Make what gRPC calls; the method reads and writes its messages itself, but for a stream of requests."""
    handler = method.handler
    make: Any = _MAKE_HANDLER[handler.request_streaming, handler.response_streaming]
    wrapped: Handler = make(
        method.answer,
        request_deserializer=handler.request_deserializer if handler.request_streaming else None,
        response_serializer=serializer_of(handler),
    )
    return wrapped


def _refusing(method: Method, answering: Answering) -> Handler:
    async def refuse(_: Any, context: Context) -> None:
        try:
            await abort(context, answering.refuse(method, context))
        finally:
            # As in ``abort``.
            del context

    # One that reads its requests by itself need not wait for them.
    return grpc.stream_unary_rpc_method_handler(cast("Any", refuse))


def server_options(limits: Limits, *, share_port: bool = False) -> list[tuple[str, int]]:
    """
    Channel arguments.

    What is sent has no limit here: traversals and pages keep to ``max_response_bytes`` by themselves, with an error that helps, and
    a batch that was written must be answered. What is received may be twice as long, packed or not, as the longest request may be: those in
    between are refused with an error that helps, too. Clients may send a ping every ten seconds, with or without calls; the server
    looks after a silent client once a minute, so that streams to machines that are gone end.
    """
    longest_request = max(
        limits.max_request_bytes, limits.max_metadata_request_bytes, limits.max_question_bytes
    )
    return [
        ("grpc.so_reuseport", int(share_port)),
        ("grpc.max_receive_message_length", 2 * longest_request),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", limits.max_streams_per_connection),
        # So many more may be over and not yet cleared away: a client that keeps to the limit would be refused now and then, above all
        # after a moment in which the server stood still and calls ran out of time.
        ("grpc.http2.max_deallocating_streams", _CLEARED_AWAY * limits.max_streams_per_connection),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_connection_idle_ms", _milliseconds(limits.connection_idle_timeout)),
        # Calls that wait to be let in would be cancelled by gRPC without a word: their number is bounded by those of connections and
        # streams, and letting them in or refusing them is up to Admission.
        ("grpc.server.max_pending_requests", _NO_LIMIT),
        ("grpc.server.max_pending_requests_hard_limit", _NO_LIMIT),
        ("grpc.server_max_unrequested_time_in_server", _NO_LIMIT),
        ("grpc.http2.min_ping_interval_without_data_ms", 10 * _SECOND_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ]


def _milliseconds(length: timedelta) -> int:
    return min(round(length.total_seconds() * _SECOND_MS), _NO_LIMIT)
