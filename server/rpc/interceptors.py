"""What every call passes through: counting, the error table, one line in the log."""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from types import CoroutineType
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError

from server.domain.errors import DomainError, InvalidInputError, NotReadyError
from server.rpc.call_log import CallLog
from server.rpc.context import Context
from server.rpc.errors import UNREADABLE, code_of
from server.rpc.ports import CallObserver
from server.rpc.running import RunningCalls
from server.rpc.sending import abort, abort_unimplemented, after_failed_write

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], "Awaitable[Any] | AsyncGenerator[Any, None]"]

Method = TypeVar("Method", bound=Callable[..., Any])

_UNREADABLE = object()
_TAKES_BYTES = "takes_bytes"
_MAKE_HANDLER = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def takes_bytes(behaviour: Method) -> Method:
    """Mark a handler that wants its requests as they came."""
    setattr(behaviour, _TAKES_BYTES, True)
    return behaviour


class CallRegistrar:
    """
    Wraps the handlers of all services, of all four kinds of RPC, and gives them to a server.

    No ``grpc.aio.ServerInterceptor``, for that is asked again at every call, which takes 20 µs of a short one. A handler may answer with messages or with
    the bytes of messages, and one that ``takes_bytes`` is given the bytes of its request.
    """

    def __init__(
        self,
        server: Any,
        calls: RunningCalls,
        observer: CallObserver | None = None,
        call_log: CallLog | None = None,
    ) -> None:
        self._server = server
        self._calls = calls
        self._observer = observer
        self._log = call_log or CallLog()

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Do nothing: what generated code gives here it gives by name, too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Wrap and register the methods of a service."""
        wrapped = {name: self.wrapped(f"/{service}/{name}", handler) for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, wrapped)

    def wrapped(self, method: str, handler: Handler) -> Handler:
        """Wrap the handler of a method, given by its full name."""
        make = _MAKE_HANDLER[handler.request_streaming, handler.response_streaming]
        behaviour = _behaviour(handler)
        reads_by_itself = getattr(behaviour, _TAKES_BYTES, False)
        return make(
            self._wrapped(method, behaviour),
            request_deserializer=None if reads_by_itself else _tolerant(handler.request_deserializer),
            response_serializer=_unless_bytes(handler.response_serializer),
        )

    def _wrapped(self, method: str, behaviour: Behaviour) -> Callable[[Any, Context], Awaitable[Any]]:
        async def call(request: Any, context: Context) -> Any:
            began = time.perf_counter()
            code = "OK"
            self._calls.enter(method)
            try:
                self._calls.admit(method)
                _refuse_late(context)
                return await _answer(behaviour, request, context)
            except grpc.aio.AbortError:
                code = context.code().name
                raise
            except asyncio.CancelledError:
                code = "CANCELLED"
                if self._calls.is_ended():
                    await abort(context, NotReadyError("the server is shutting down"))
                raise
            except Exception as error:  # noqa: BLE001 - whatever a handler raises, the caller gets a status
                if _is_unimplemented(error, context):
                    code = "UNIMPLEMENTED"
                    await abort_unimplemented(context)
                known = error if isinstance(error, DomainError) else self._log.failed(method, error)
                code = code_of(known).name
                await abort(context, known)
            finally:
                self._calls.leave(method)
                elapsed = time.perf_counter() - began
                self._log.ended(method, code, elapsed, context)
                if self._observer is not None:
                    self._observer.called(method, code, elapsed)

        return call


def _refuse_late(context: Context) -> None:
    """
    Do no work for a caller whose deadline passed while the call waited its turn.

    gRPC cancels such a call too, but only after it was handed over: a quick write would be committed by then. Nobody
    is left to be told a status.
    """
    remaining: float | None = context.time_remaining()
    if remaining is not None and remaining <= 0:
        raise asyncio.CancelledError("the deadline had passed when the call's turn came")


async def _answer(behaviour: Behaviour, request: Any, context: Context) -> Any:
    """Run a handler that returns its answer, yields its answers or writes them."""
    if request is _UNREADABLE:
        raise InvalidInputError(UNREADABLE)
    try:
        result = behaviour(request, context)
        # What handlers return nearly always; looking for any awaitable takes longer.
        if isinstance(result, CoroutineType) or inspect.isawaitable(result):
            return await result
        async with aclosing(result) as messages:
            async for message in messages:
                await context.write(message)
    except grpc.aio.InternalError:
        await after_failed_write()
        raise
    return None


def _is_unimplemented(error: Exception, context: Context) -> bool:
    """Whether it comes from a method of generated code that nobody overrode, which sets the code itself."""
    return isinstance(error, NotImplementedError) and context.code() is grpc.StatusCode.UNIMPLEMENTED


def _behaviour(handler: Any) -> Behaviour:
    behaviour: Behaviour = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return behaviour


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Let a message that can't be read reach the error table, instead of failing inside gRPC as INTERNAL."""
    if deserialize is None:
        return None

    def read(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except DecodeError:
            return _UNREADABLE

    return read


def _unless_bytes(serialize: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    """Let answers that are bytes pass as they are."""
    if serialize is None:
        return None

    def write(answer: Any) -> bytes:
        return answer if isinstance(answer, bytes) else serialize(answer)

    return write


# Reflection registers with nothing that is not a server of ``grpc.aio``.
grpc.aio.Server.register(CallRegistrar)
