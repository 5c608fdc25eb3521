"""The transport of grpcio, ``grpc.aio``: for every caller and every platform."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import grpc

from server.config import Limits, TransportName
from server.domain.errors import InvalidInputError
from server.rpc.admission import BACKLOG_SECONDS, Admission
from server.rpc.answering import Answering
from server.rpc.context import Context, abort
from server.rpc.methods import STANDARD, Handler, Method, serializer_of

if TYPE_CHECKING:
    from server.access.certificates import CertificatePair, TlsFiles

# gRPC's own thread needs the interpreter lock to hand a call over, and gets it soon only while
# this thread sleeps: the shortest sleep, a tenth of a millisecond. Then it takes some iterations
# of the event loop until the call is counted. After two gaps without a call the backlog is empty.
_GAP_SECONDS, _ITERATIONS_A_GAP, _QUIET_GAPS = 0.00001, 8, 2
_SECOND_MS = 1000
KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS = 60 * _SECOND_MS, 20 * _SECOND_MS
# For TLS and the first frames of HTTP/2; gRPC's own two minutes would let connections that say
# nothing keep others out.
HANDSHAKE_TIMEOUT_MS = 20 * _SECOND_MS
_NO_LIMIT = 2**31 - 1
_ENDED_STREAMS = 10
_MAKE_HANDLER = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class GrpcioTransport:
    """
    The HTTP/2 server of grpcio, made in the event loop. Call ``serve``, ``listen``, ``start``.

    It does not use ``Method.at_once``. Clients connect again when their connection has reached
    ``connection_age``; calls do not notice, and streams stay on the old one.
    """

    name: TransportName = "grpcio"

    def __init__(
        self, limits: Limits, *, share_port: bool = False, connection_age: timedelta | None = None
    ) -> None:
        options = server_options(limits, share_port=share_port)
        if connection_age is not None:
            options.append(("grpc.max_connection_age_ms", _milliseconds(connection_age)))
        self._server = grpc.aio.server(options=options)

    async def admit_backlog(self, count_arrived: Callable[[], int]) -> None:
        """
        Let ``answering.admission`` admit or refuse the calls that wait in gRPC.

        Ends when none arrives any more, or time is up. ``count_arrived`` returns how many have
        arrived.
        """
        quiet, ends = 0, time.perf_counter() + BACKLOG_SECONDS
        while quiet < _QUIET_GAPS and time.perf_counter() < ends:
            before = count_arrived()
            time.sleep(_GAP_SECONDS)  # noqa: ASYNC251 - see above
            for _ in range(_ITERATIONS_A_GAP):
                await asyncio.sleep(0)
                # Other tasks may take long in their iterations.
                if time.perf_counter() >= ends:
                    return
            quiet = quiet + 1 if count_arrived() == before else 0

    def serve(self, methods: Sequence[Method], answering: Answering) -> None:
        """
        Set the methods to serve.

        gRPC waits for the next call of each registered method separately, so that a method is not
        behind the calls of others. But it scans all of them at every call, an eighth of a short
        call with fifty methods. So only gRPC's own services are registered, because health must
        always answer; the methods of the contract are looked up by name.
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
        self._found = _ByName(by_name, answering.admission)
        self._server.add_generic_rpc_handlers((self._found,))

    @property
    def arrived(self) -> int:
        """How many calls of the contract gRPC has handed over."""
        return self._found.arrived

    def listen(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """
        Bind, return the port; raises ``OSError``, ``ValueError`` or ``RuntimeError``.

        With ``credentials``, which are used up, the port speaks TLS.
        """
        if credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, credentials)

    async def start(self) -> None:
        """Accept calls."""
        await self._server.start()

    async def stop(self, flush: timedelta | None) -> None:
        """Close; answers have the time ``flush`` to leave the process, None = no time."""
        await self._server.stop(None if flush is None else flush.total_seconds())


class _Found(NamedTuple):
    method: Method
    answering: Handler
    refusing: Handler


class _ByName(grpc.GenericRpcHandler):
    """Finds the handler of a call; a ``ServerInterceptor`` would cost 20 µs a call."""

    def __init__(self, methods: Mapping[str, _Found], admission: Admission) -> None:
        self._methods = methods
        self._admission = admission
        self.arrived = 0

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """Look a method up by its full name."""
        self.arrived += 1
        found = self._methods.get(handler_call_details.method)
        if found is None:
            return None
        kind = found.method.kind
        return found.refusing if kind is not None and self._admission.is_full(kind) else found.answering


def _handler_of(method: Method) -> Handler:
    """Make the handler for gRPC; the method parses and serializes, except streamed requests."""
    handler = method.handler
    make: Any = _MAKE_HANDLER[handler.request_streaming, handler.response_streaming]
    wrapped: Handler = make(
        method.answer,
        request_deserializer=handler.request_deserializer if handler.request_streaming else None,
        response_serializer=serializer_of(handler),
    )
    return wrapped


def _refusing(method: Method, answering: Answering) -> Handler:
    """
    Make the handler of calls that come while a limit is reached.

    It refuses before the request is read, or goes on if the caller has less than its share.
    """

    async def refuse(requests: AsyncIterable[bytes], context: Context) -> "bytes | None":
        try:
            if (error := answering.refusal(method, context)) is not None:
                answering.note_refused(method, context, error)
                await abort(context, error)
            async for request in requests:
                return await method.answer(request, context)
            await abort(context, InvalidInputError("the call has no request"))
        finally:
            # As in ``abort``.
            del context

    # A handler of streamed requests need not wait for the request.
    make = _MAKE_HANDLER[True, method.handler.response_streaming]
    return make(cast("Any", refuse), response_serializer=serializer_of(method.handler))


def tls_credentials(files: "TlsFiles") -> grpc.ServerCredentials:
    """
    Make the credentials of one port: TLS 1.2 or later, with what the files hold at each handshake.

    gRPC calls ``renewed`` on its own threads, one at a time.
    """
    given = files.pair, files.client_ca

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        files.look()
        now = files.pair, files.client_ca
        if all(new is old for new, old in zip(now, given, strict=True)):
            return None
        given = now
        return _configuration(*given)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(*given),
        cast("Any", renewed),
        require_client_authentication=files.client_ca is not None,
    )


def _configuration(pair: "CertificatePair", client_ca: bytes | None) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.chain)], root_certificates=client_ca)


def server_options(limits: Limits, *, share_port: bool = False) -> list[tuple[str, int]]:
    """
    Make the channel arguments.

    Answers have no limit here: traversals and pages keep to ``max_response_bytes`` by themselves,
    with a helpful error, and a batch that was written must be answered. A request may be twice as
    long, compressed or not, as the longest one allowed: those in between are refused with a
    helpful error, too. An export of OTLP may be as long as its own limit. Clients may send a ping
    every ten seconds, with or without calls. The server pings a silent client once a minute, so
    that streams to machines that are gone end.
    """
    longest_request = max(
        limits.max_request_bytes, limits.max_metadata_request_bytes, limits.max_question_bytes
    )
    return [
        ("grpc.so_reuseport", int(share_port)),
        ("grpc.max_receive_message_length", max(2 * longest_request, limits.max_otlp_request_bytes)),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", limits.max_streams_per_connection),
        # Streams that have ended but are not deallocated yet. With fewer, a client that keeps to
        # the limit would be refused sometimes, above all after calls ran out of time together.
        ("grpc.http2.max_deallocating_streams", _ENDED_STREAMS * limits.max_streams_per_connection),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.max_connection_idle_ms", _milliseconds(limits.connection_idle_timeout)),
        # Otherwise gRPC would cancel calls of the backlog without a reason. Connections and streams
        # bound their number, and Admission decides about them.
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
