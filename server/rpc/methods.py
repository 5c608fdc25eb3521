"""What is known of a method once it is registered."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from server.rpc.context import Context

if TYPE_CHECKING:
    import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], "Awaitable[Any] | AsyncGenerator[Any, None]"]
Decorated = TypeVar("Decorated", bound=Callable[..., Any])

STANDARD = "/grpc."

_TAKES_BYTES, _AT_ONCE = "takes_bytes", "at_once"


class Kind(Enum):
    """Kinds of calls that are counted apart: with one answer, with a stream of answers, and gRPC's own streams (watching health, reflection)."""

    UNARY = auto()
    STREAMING = auto()
    STANDARD_STREAMING = auto()


@dataclass(frozen=True, slots=True)
class Method:
    """
    A method as transports call it, by its full name ``/package.Service/Method``.

    ``kind`` None = it is let in always, being asked by those who decide whether this process lives. ``answer`` takes the request's bytes (a stream of
    requests, where the method takes one) and returns the bytes of the answer, None for a stream, which it has written by then; it sends the status of a
    call that failed. A ``Place`` after the context says that the transport has counted the call in; who answers counts it out. ``at_once`` sends an answer
    that can be made without waiting by the function that it is given; False = ``answer`` is to be asked.
    """

    name: str
    kind: Kind | None
    handler: Handler
    answer: Callable[..., Awaitable["bytes | None"]]
    at_once: Callable[[bytes, Context, Callable[[bytes], None]], bool] | None = None


def takes_bytes(behaviour: Decorated) -> Decorated:
    """Mark a handler that wants its requests as they came."""
    setattr(behaviour, _TAKES_BYTES, True)
    return behaviour


def at_once(attempt: Callable[[Any, Any], "bytes | None"]) -> Callable[[Decorated], Decorated]:
    """
    Mark a handler whose answer can often be made without waiting.

    ``attempt`` is a method of the same class. It takes the request as the handler does, and returns the bytes of the answer, or None when the handler is to
    be asked, which is asked as well after an error.
    """

    def mark(behaviour: Decorated) -> Decorated:
        setattr(behaviour, _AT_ONCE, attempt)
        return behaviour

    return mark


def wants_bytes(behaviour: Behaviour) -> bool:
    """Whether a handler ``takes_bytes``."""
    return getattr(behaviour, _TAKES_BYTES, False)


def attempt_of(behaviour: Any) -> Callable[[Any], "bytes | None"] | None:
    """Return what answers ``at_once`` in the place of a handler, if there is such."""
    attempt = getattr(behaviour, _AT_ONCE, None)
    return None if attempt is None else attempt.__get__(behaviour.__self__)


def behaviour_of(handler: Any) -> Behaviour:
    """Return what answers the calls of a method."""
    behaviour: Behaviour = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return behaviour


def serializer_of(handler: Any) -> Callable[[Any], bytes]:
    """Return what makes bytes of an answer; those that are bytes pass as they are."""
    serialize: Callable[[Any], bytes] = handler.response_serializer

    def write(answer: Any) -> bytes:
        return answer if isinstance(answer, bytes) else serialize(answer)

    return write


def kind_of(name: str, handler: Handler) -> Kind | None:
    """Tell how the calls of a method are counted."""
    if name.startswith(STANDARD):
        return Kind.STANDARD_STREAMING if handler.response_streaming else None
    return Kind.STREAMING if handler.response_streaming else Kind.UNARY
