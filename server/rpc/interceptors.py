"""What every call passes through: counting, the error table, one line in the log."""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from types import CoroutineType
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import grpc

from server.config import Limits
from server.domain.errors import DomainError, LimitError, NotReadyError
from server.rpc.admission import Admission, Kind
from server.rpc.call_log import CallLog
from server.rpc.context import Context
from server.rpc.errors import code_of
from server.rpc.ports import CallObserver, Load
from server.rpc.reading import RequestBytes, RequestReader
from server.rpc.running import RunningCalls
from server.rpc.sending import abort, abort_unimplemented, after_failed_write, forget_frames
from server.rpc.unsent import UNCOUNTED_BYTES, UnsentAnswers

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Context], "Awaitable[Any] | AsyncGenerator[Any, None]"]

Method = TypeVar("Method", bound=Callable[..., Any])

_TAKES_BYTES = "takes_bytes"
_STANDARD = "/grpc."
# How the methods that write begin; what they did must be told.
_WRITES = ("Create", "Update", "Delete", "BatchUpsert", "MarkStale", "Ingest", "Acknowledge", "Resolve")
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


class _Method(NamedTuple):
    """A method of the contract: how its calls are counted, what answers them, and what refuses them when they are too many."""

    kind: Kind
    answering: Handler
    refusing: Handler


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
        limits: Limits,
        observer: CallObserver | None = None,
        call_log: CallLog | None = None,
    ) -> None:
        self._server = server
        self._calls = calls
        self._limits = limits
        self._observer = observer
        self._log = call_log or CallLog()
        self._admission = Admission(limits)
        self._large_requests = RequestBytes(limits.max_requests_bytes)
        self._unsent = UnsentAnswers(limits)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Do nothing: what generated code gives here it gives by name, too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """
        Wrap and register the methods of a service.

        gRPC waits for the next call of every registered method by itself, so that one is not behind the calls of others, and looks through all that it
        waits for at every call, which for fifty methods takes an eighth of a short one. Only gRPC's own services, of which health must always
        answer, are registered; those of the contract are looked up by name.
        """
        methods = {name: f"/{service}/{name}" for name in handlers}
        if service.startswith(_STANDARD.removeprefix("/")):
            wrapped = {name: self.wrapped(methods[name], handler) for name, handler in handlers.items()}
            self._server.add_registered_method_handlers(service, wrapped)
            return
        found = {methods[name]: self._method(methods[name], handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((_ByName(found, self._admission),))

    @property
    def load(self) -> Load:
        """What callers take of this process now."""
        return Load(self._admission.waiting, self._large_requests.held, self._unsent.total)

    def wrapped(self, method: str, handler: Handler) -> Handler:
        """Wrap the handler of a method, given by its full name."""
        make = _MAKE_HANDLER[handler.request_streaming, handler.response_streaming]
        # A stream of requests is read by its handler.
        deserialize = handler.request_deserializer if handler.request_streaming else None
        return make(
            self._wrapped(method, handler),
            request_deserializer=deserialize,
            response_serializer=_unless_bytes(_serializer(handler)),
        )

    def _wrapped(self, method: str, handler: Handler) -> Callable[[Any, Context], Awaitable[Any]]:
        kind, answering = _kind(method, handler), self._answering(method, handler)

        async def call(request: Any, context: Context) -> Any:
            began = time.perf_counter()
            code = "OK"
            self._calls.enter(method)
            try:
                self._calls.admit(method)
                if kind is None:
                    return await answering(request, context)
                self._admission.enter(kind)
                try:
                    await self._admission.turn(context, began)
                    _refuse_late(context)
                    return await answering(request, context)
                finally:
                    self._admission.leave(kind)
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
                self._note_refusal(known)
                forget_frames(error)
                await abort(context, known)
            finally:
                self._calls.leave(method)
                self._note_end(method, code, began, context)
                # As in ``abort``.
                del request, context

        return call

    def _method(self, method: str, handler: Handler) -> _Method:
        kind = Kind.STREAMING if handler.response_streaming else Kind.UNARY

        async def refuse(_: Any, context: Context) -> None:
            began, error = time.perf_counter(), self._admission.refusal(kind)
            self._note_refusal(error)
            try:
                await abort(context, error)
            finally:
                self._note_end(method, code_of(error).name, began, context)
                # As in ``abort``.
                del context

        # One that reads its requests by itself need not wait for them.
        refusing: Handler = grpc.stream_unary_rpc_method_handler(cast("Any", refuse))
        return _Method(kind, self.wrapped(method, handler), refusing)

    def _note_end(self, method: str, code: str, began: float, context: Context) -> None:
        elapsed = time.perf_counter() - began
        self._log.ended(method, code, elapsed, context)
        if self._observer is not None:
            self._observer.called(method, code, elapsed)

    def _answering(self, method: str, handler: Handler) -> Callable[[Any, Context], Awaitable[Any]]:
        """Make what reads a request, has it answered by the handler and counts the answer until it is sent."""
        behaviour = _behaviour(handler)
        serialize = _unless_bytes(_serializer(handler))

        is_owed = method.rpartition("/")[2].startswith(_WRITES)

        async def write(part: Any, context: Context) -> None:
            await self._write(serialize(part), context)

        async def answer(request: Any, context: Context) -> Any:
            given: Any = _Counting(context, write) if handler.response_streaming else context
            try:
                result = behaviour(request, given)
                # What handlers return nearly always; looking for any awaitable takes longer.
                if isinstance(result, CoroutineType) or inspect.isawaitable(result):
                    answer = await result
                    return (
                        None if answer is None else self._sent_whole(serialize(answer), context, owed=is_owed)
                    )
                async with aclosing(result) as messages:
                    async for message in messages:
                        await write(message, context)
            except grpc.aio.InternalError:
                await after_failed_write()
                raise
            return None

        return answer if handler.request_streaming else self._reading(method, handler, answer)

    def _reading(
        self, method: str, handler: Handler, answer: Callable[[Any, Context], Awaitable[Any]]
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        """Make what reads a request and has it answered."""
        as_bytes = getattr(_behaviour(handler), _TAKES_BYTES, False)
        reader = RequestReader(method, self._limits, self._large_requests, as_bytes=as_bytes)
        is_standard = method.startswith(_STANDARD)

        async def read_and_answer(request: bytes, context: Context) -> Any:
            if self._unsent.total and not is_standard:
                self._unsent.check(context.peer())
            small = reader.read(request)
            if small is not None:
                return await answer(small, context)
            async with reader.reading(request) as large:
                _refuse_late(context)
                if not handler.response_streaming:
                    return await answer(large, context)
            # A stream lasts as long as its reader likes.
            return await answer(large, context)

        return read_and_answer

    def _sent_whole(self, answer: bytes, context: Context, *, owed: bool) -> bytes:
        """Count an answer that gRPC sends when the handler is done, until that has happened."""
        size = len(answer)
        if size > UNCOUNTED_BYTES:
            peer = context.peer()
            self._unsent.take(peer, size, owed=owed)
            context.add_done_callback(partial(self._given_back, peer, size))  # type: ignore[arg-type] # a partial has no parameter names
        return answer

    def _given_back(self, peer: str, size: int, _: Context) -> None:
        self._unsent.give_back(peer, size)

    async def _write(self, part: bytes, context: Context) -> None:
        """Send a part of a stream, which takes as long as its reader lets it."""
        size = len(part)
        if size <= UNCOUNTED_BYTES:
            await context.write(part)
            return
        peer = context.peer()
        self._unsent.take(peer, size)
        try:
            await context.write(part)
        finally:
            self._unsent.give_back(peer, size)

    def _note_refusal(self, error: DomainError) -> None:
        if isinstance(error, LimitError) and self._observer is not None:
            self._observer.refused(error.limit)


class _Counting:
    """A call's context for a handler that writes its answers itself: they are counted as others are."""

    def __init__(self, context: Context, write: Callable[[Any, Context], Awaitable[None]]) -> None:
        self._context = context
        self._write = write

    async def write(self, part: Any) -> None:
        await self._write(part, self._context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class _ByName(grpc.GenericRpcHandler):
    """Finds what handles a call."""

    def __init__(self, methods: Mapping[str, _Method], admission: Admission) -> None:
        self._methods = methods
        self._admission = admission

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """Look a method up by its full name."""
        found = self._methods.get(handler_call_details.method)
        if found is None:
            return None
        return found.refusing if self._admission.is_full(found.kind) else found.answering


def _kind(method: str, handler: Handler) -> Kind | None:
    """Tell how a call is counted; None = it is let in always, being asked for by those who decide whether this process lives."""
    if method.startswith(_STANDARD):
        return Kind.STANDARD_STREAMING if handler.response_streaming else None
    return Kind.STREAMING if handler.response_streaming else Kind.UNARY


def _refuse_late(context: Context) -> None:
    """
    Do no work for a caller whose deadline passed while the call waited its turn.

    gRPC cancels such a call too, but only after it was handed over: a quick write would be committed by then. Nobody
    is left to be told a status.
    """
    remaining: float | None = context.time_remaining()
    if remaining is not None and remaining <= 0:
        raise asyncio.CancelledError("the deadline had passed when the call's turn came")


def _is_unimplemented(error: Exception, context: Context) -> bool:
    """Whether it comes from a method of generated code that nobody overrode, which sets the code itself."""
    return isinstance(error, NotImplementedError) and context.code() is grpc.StatusCode.UNIMPLEMENTED


def _behaviour(handler: Any) -> Behaviour:
    behaviour: Behaviour = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return behaviour


def _serializer(handler: Any) -> Callable[[Any], bytes]:
    serialize: Callable[[Any], bytes] = handler.response_serializer
    return serialize


def _unless_bytes(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Let answers that are bytes pass as they are."""

    def write(answer: Any) -> bytes:
        return answer if isinstance(answer, bytes) else serialize(answer)

    return write


# Reflection registers with nothing that is not a server of ``grpc.aio``.
grpc.aio.Server.register(CallRegistrar)
