"""The methods of the server: their handlers as registered, and as transports call them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

import grpc

from server.domain.caller import Caller
from server.domain.writes import WritingCall, writing_for
from server.rpc.context import Context

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], "Awaitable[Any] | AsyncGenerator[Any, None]"]

# How the names of gRPC's own methods begin: health, reflection.
STANDARD = "/grpc."
HEALTH = "/grpc.health."
# How the names of methods that write begin.
_WRITES = (
    *("Create", "Update", "Delete", "BatchUpsert", "MarkStale", "Ingest", "Acknowledge", "Resolve"),
    *("AddAlias", "RemoveAlias", "MergeServices"),
)
# Exporters of OTLP call it. Its handler takes the bytes of requests.
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
WATCH = "/depgraph.v1.GraphService/Watch"
_ANALYSES = (
    "/depgraph.v1.AnalysisService/",
    "/depgraph.v1.CatalogService/SuggestAliases",
    "/depgraph.v1.GraphService/GetMap",
    "/depgraph.v1.GraphService/GetNeighbourhood",
    "/depgraph.v1.HistoryService/DiffGraph",
)


class Kind(Enum):
    """Kinds of calls, by the limits on how many are in progress; the last is gRPC's own streams."""

    UNARY = auto()
    ANALYSIS = auto()
    STREAMING = auto()
    STREAMING_ANALYSIS = auto()
    WATCH = auto()
    STANDARD_STREAMING = auto()


@dataclass(frozen=True, slots=True)
class Method:
    """
    A method as transports call it, by its full name ``/package.Service/Method``.

    ``kind`` None = calls are always admitted: supervisors ask them whether the process lives.

    ``answer`` takes the bytes of the request (an iterator where requests are streamed), the context
    and, if the transport has admitted the call already, what that gave: it releases the slot.
    It returns the bytes of the answer, None for a stream, which it has written by then. It sends
    the status of a call that failed.

    ``at_once`` passes an answer that needs no waiting to the function it is given, for a caller
    that was admitted; the servicer's method ``HANDLER_at_once`` makes it, or returns None. False =
    nothing was done, call ``answer``.
    """

    name: str
    kind: Kind | None
    handler: Handler
    answer: Callable[..., Awaitable["bytes | None"]]
    at_once: Callable[[bytes, Context, Callable[[bytes], None], Caller], bool] | None = None


class Registrar:
    """Collects the handlers that generated code registers with a server, by full method name."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, _: object) -> None:
        """Do nothing: generated code registers the same handlers by name, too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Keep the handlers of a service."""
        self.handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


# Reflection accepts only servers of ``grpc.aio``.
grpc.aio.Server.register(Registrar)


def attempt_of(behaviour: Any) -> Callable[[Any], "bytes | None"] | None:
    """Find the method ``HANDLER_at_once`` beside a handler: see ``Method.at_once``."""
    servicer = getattr(behaviour, "__self__", None)
    return getattr(servicer, f"{behaviour.__name__}_at_once", None)


def behaviour_of(handler: Any) -> Behaviour:
    """Return the function that answers the calls of a method."""
    behaviour: Behaviour = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return behaviour


def serializer_of(handler: Any) -> Callable[[Any], bytes]:
    """Return the function that serializes an answer; bytes stay as they are."""
    serialize: Callable[[Any], bytes] = handler.response_serializer

    def write(answer: Any) -> bytes:
        return answer if isinstance(answer, bytes) else serialize(answer)

    return write


def kind_of(name: str, handler: Handler) -> Kind | None:
    """Return the kind of a method's calls; see ``Method``."""
    if name.startswith(STANDARD):
        return Kind.STANDARD_STREAMING if handler.response_streaming else None
    if name == WATCH:
        return Kind.WATCH
    if name.startswith(_ANALYSES):
        return Kind.STREAMING_ANALYSIS if handler.response_streaming else Kind.ANALYSIS
    return Kind.STREAMING if handler.response_streaming else Kind.UNARY


def does_write(method: str) -> bool:
    """Whether a method writes, by its full name."""
    return method.rpartition("/")[2].startswith(_WRITES)


def noting_call(method: str, behaviour: Any) -> Behaviour:
    """Make a handler of a method that writes let the store know which call it writes for."""
    name = method.removeprefix("/")

    async def answer(request: Any, context: Context) -> Any:
        with writing_for(WritingCall(name, context.peer())):
            return await behaviour(request, context)

    return answer
