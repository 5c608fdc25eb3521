"""What every call passes through, whichever transport it came by: counting, the error table, one line in the log."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from types import CoroutineType
from typing import Any

import grpc

from server.config import Limits
from server.domain.errors import DomainError, LimitError, NotReadyError
from server.rpc.admission import Admission, Place
from server.rpc.call_log import CallLog
from server.rpc.context import Context
from server.rpc.errors import code_of
from server.rpc.methods import (
    STANDARD,
    Handler,
    Kind,
    Method,
    attempt_of,
    behaviour_of,
    kind_of,
    serializer_of,
    wants_bytes,
)
from server.rpc.ports import CallObserver, Load
from server.rpc.reading import RequestBytes, RequestReader
from server.rpc.running import RunningCalls
from server.rpc.sending import abort, abort_unimplemented, after_failed_write, forget_frames
from server.rpc.unsent import UNCOUNTED_BYTES, UnsentAnswers

_Answer = Callable[[Any, Context], Awaitable[Any]]

# How the methods that write begin; what they did must be told.
_WRITES = ("Create", "Update", "Delete", "BatchUpsert", "MarkStale", "Ingest", "Acknowledge", "Resolve")


class Answering:
    """
    Makes of handlers, of all four kinds of RPC, what transports call.

    A handler may answer with messages or with the bytes of messages, and one that ``takes_bytes`` is given the bytes of its request.
    """

    def __init__(
        self,
        calls: RunningCalls,
        limits: Limits,
        admission: Admission,
        observer: CallObserver | None = None,
        call_log: CallLog | None = None,
    ) -> None:
        self._calls = calls
        self._limits = limits
        self._observer = observer
        self._log = call_log or CallLog()
        self._admission = admission
        self._large_requests = RequestBytes(limits.max_requests_bytes)
        self._unsent = UnsentAnswers(limits)

    @property
    def admission(self) -> Admission:
        """Who counts the calls in."""
        return self._admission

    @property
    def load(self) -> Load:
        """What callers take of this process now."""
        return Load(self._admission.waiting, self._large_requests.held, self._unsent.total)

    def method(self, name: str, handler: Handler) -> Method:
        """Make of a handler what answers the calls of a method, given by its full name."""
        kind = kind_of(name, handler)
        behaviour = behaviour_of(handler)
        attempt, at_once = attempt_of(behaviour), None
        if attempt is not None:
            at_once = self._at_once(name, kind, self._attempt(self._reader(name, handler), attempt))
        return Method(name, kind, handler, self._whole(name, kind, handler), at_once)

    def refuse(self, method: Method, context: Context) -> DomainError:
        """Note a call that finds no room, and return what it is told."""
        assert method.kind is not None  # noqa: S101 - those without one are never refused
        error = self._admission.refusal(method.kind)
        self._note_refusal(error)
        self._note_end(method.name, code_of(error).name, time.perf_counter(), context)
        return error

    @staticmethod
    def _attempt(
        reader: RequestReader, attempt: Callable[[Any], "bytes | None"]
    ) -> Callable[[bytes], "bytes | None"]:
        def read_and_attempt(request: bytes) -> "bytes | None":
            small = reader.read(request)
            return None if small is None else attempt(small)

        return read_and_attempt

    def _at_once(
        self, method: str, kind: Kind | None, attempt: Callable[[bytes], "bytes | None"]
    ) -> Callable[[bytes, Context, Callable[[bytes], None]], bool]:
        def answer(request: bytes, context: Context, send: Callable[[bytes], None]) -> bool:
            began = time.perf_counter()
            if self._calls.is_draining or (kind is not None and not self._admission.is_at_ease(kind, began)):
                return False
            try:
                made = attempt(request)
            # The long way makes the error again, and tells it.
            except Exception:  # noqa: BLE001
                return False
            if made is None:
                return False
            # The caller need not wait for the rest.
            send(made)
            self._admission.took(began)
            self._note_end(method, "OK", began, context)
            return True

        return answer

    def _whole(self, method: str, kind: Kind | None, handler: Handler) -> Callable[..., Awaitable[Any]]:
        answering = self._answering(method, handler)

        async def call(request: Any, context: Context, place: Place | None = None) -> Any:
            began = time.perf_counter()
            code = "OK"
            self._calls.enter(method)
            try:
                self._calls.admit(method)
                if kind is None:
                    return await answering(request, context)
                place = place or self._admission.enter(kind)
                try:
                    await self._admission.turn(context, began)
                    _refuse_late(context)
                    return await answering(request, context)
                finally:
                    place.leave()
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
                # Not later: once grpc.aio has ended the call, asking for its peer crashes the process.
                self._note_end(method, code, began, context)
                # As in ``abort``.
                del request, context

        return call

    def _note_end(self, method: str, code: str, began: float, context: Context) -> None:
        elapsed = time.perf_counter() - began
        self._log.ended(method, code, elapsed, context)
        if self._observer is not None:
            self._observer.called(method, code, elapsed)

    def _answering(self, method: str, handler: Handler) -> _Answer:
        """Make what reads a request, has it answered by the handler and counts the answer until it is sent."""
        behaviour = behaviour_of(handler)
        serialize = serializer_of(handler)
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

    def _reading(self, method: str, handler: Handler, answer: _Answer) -> _Answer:
        """Make what reads a request and has it answered."""
        reader = self._reader(method, handler)
        is_standard = method.startswith(STANDARD)

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

    def _reader(self, method: str, handler: Handler) -> RequestReader:
        return RequestReader(
            method, self._limits, self._large_requests, as_bytes=wants_bytes(behaviour_of(handler))
        )

    def _sent_whole(self, answer: bytes, context: Context, *, owed: bool) -> bytes:
        """Count an answer that the transport sends when the handler is done, until that has happened."""
        size = len(answer)
        if size > UNCOUNTED_BYTES:
            peer = context.peer()
            self._unsent.take(peer, size, owed=owed)
            context.add_done_callback(partial(self._given_back, peer, size))  # type: ignore[arg-type] # a partial has no parameter names
        return answer

    def _given_back(self, peer: str, size: int, _: Any) -> None:
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


def _refuse_late(context: Context) -> None:
    """
    Do no work for a caller whose deadline passed while the call waited its turn.

    Transports cancel such a call too, but only after it was handed over: a quick write would be committed by then. Nobody
    is left to be told a status.
    """
    remaining: float | None = context.time_remaining()
    if remaining is not None and remaining <= 0:
        raise asyncio.CancelledError("the deadline had passed when the call's turn came")


def _is_unimplemented(error: Exception, context: Context) -> bool:
    """Whether it comes from a method of generated code that nobody overrode, which sets the code itself."""
    return isinstance(error, NotImplementedError) and context.code() is grpc.StatusCode.UNIMPLEMENTED
