"""The path of every call, whichever transport it came by: limits, errors, log and metrics."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import grpc

from server.access.grants import UnknownKeyError
from server.config import Limits
from server.domain.caller import ANYONE, Caller, acting_as
from server.domain.errors import DomainError, LimitError, NotReadyError
from server.rpc.admission import UNCOUNTED_BYTES, Admission, Load, RequestBytes, UnsentAnswers
from server.rpc.answers import answered_revision, noting_revision
from server.rpc.call_counts import CallCounts
from server.rpc.call_log import CallLog
from server.rpc.context import Context, abort, abort_unimplemented, after_failed_write
from server.rpc.errors import code_of, forget_frames
from server.rpc.methods import (
    STANDARD,
    Handler,
    Kind,
    Method,
    attempt_of,
    behaviour_of,
    does_write,
    kind_of,
    noting_call,
    serializer_of,
)
from server.rpc.places import Slot
from server.rpc.reading import RequestReader
from server.rpc.running import RunningCalls
from server.rpc.shares import Rates, share_of

if TYPE_CHECKING:
    from server.rpc.tracing import CallTracer

_Answer = Callable[[Any, Context], Awaitable[Any]]


class Access(Protocol):
    """Decides who may call what."""

    def admit(self, method: str, context: Context) -> Caller:
        """
        Identify the caller of a method, by its full name.

        Raises ``UnauthenticatedError`` or ``PermissionDeniedError``. Health is for everybody. A
        long stream is admitted again from time to time.
        """

    async def renew(self, error: UnknownKeyError) -> None:
        """Look for newer keys, since ``admit`` did not know one."""


class Admitted(NamedTuple):
    """A call that may be answered: whose it is, and its places (None = it needs none)."""

    caller: Caller
    slot: Slot | None


class Answering:
    """
    Turns handlers, which answer with messages or their bytes, into methods for transports.

    ``access`` None = every caller is ``ANYONE``; ``tracer`` None = calls have no spans.
    """

    def __init__(
        self,
        calls: RunningCalls,
        limits: Limits,
        admission: Admission,
        call_log: CallLog | None = None,
        *,
        access: Access | None = None,
        tracer: "CallTracer | None" = None,
    ) -> None:
        self.admission = admission
        self._access = access
        self._tracer = tracer
        self._calls = calls
        self._limits = limits
        self.counts = CallCounts()
        self._log = call_log or CallLog()
        self._rates = Rates.of(limits)
        self._large_requests = RequestBytes(limits.max_requests_bytes)
        self._unsent = UnsentAnswers(limits)

    @property
    def load(self) -> Load:
        """The load that callers put on this process now."""
        return Load(self.admission.waiting, self._large_requests.held, self._unsent.total)

    def method(self, name: str, handler: Handler) -> Method:
        """Make the method of a handler, by its full name."""
        self.counts.know(
            name, request_streaming=handler.request_streaming, response_streaming=handler.response_streaming
        )
        kind = kind_of(name, handler)
        attempt = attempt_of(behaviour_of(handler))
        at_once = None if attempt is None else self._at_once(name, kind, attempt)
        return Method(name, kind, handler, self._answer(name, kind, handler), at_once)

    def admit(self, method: str, context: Context) -> Caller:
        """
        Identify the caller of a method, and count the call; raises ``DomainError``.

        ``method.answer`` may admit a call that ``UnknownKeyError`` refuses here.
        """
        if self._access is None and self._rates is None:
            return ANYONE
        caller = self._caller(method, context)
        if self._rates is not None and not method.startswith(STANDARD):
            self._rates.take(share_of(caller, context))
        return caller

    async def _admitted(self, kind: Kind | None, method: str, context: Context) -> Admitted:
        """Admit and enter; a caller whose key is unknown waits until newer ones were looked for."""
        try:
            caller = self.admit(method, context)
        except UnknownKeyError as error:
            if self._access is not None:
                await self._access.renew(error)
            caller = self.admit(method, context)
        return self.enter(kind, caller, context)

    def enter(self, kind: Kind | None, caller: Caller, context: Context) -> Admitted:
        """Count in a call that was admitted; raises ``OverloadedError`` beyond a limit."""
        if kind is None:
            return Admitted(caller, None)
        return Admitted(caller, self.admission.enter(kind, partial(share_of, caller, context)))

    def refusal(self, method: Method, context: Context) -> DomainError | None:
        """Decide about a call that comes while a limit is reached; None = its caller may go on."""
        assert method.kind is not None  # noqa: S101 - calls without a kind have no limit
        try:
            caller = self._caller(method.name, context)
        except UnknownKeyError:
            return None
        except DomainError as error:
            return error
        return self.admission.refusal(method.kind, share_of(caller, context))

    def note_refused(self, method: Method, context: Context, error: DomainError) -> None:
        """Note a call that is refused before ``method.answer``."""
        forget_frames(error)
        self.counts.start(method.name)
        self._note_refusal(error)
        self._forget_revision()
        self._note_end(method.name, code_of(error).name, time.perf_counter(), context)

    def _caller(self, method: str, context: Context) -> Caller:
        return ANYONE if self._access is None else self._access.admit(method, context)

    def _at_once(
        self, method: str, kind: Kind | None, attempt: Callable[[Any], "bytes | None"]
    ) -> Callable[[bytes, Context, Callable[[bytes], None], Caller], bool]:
        reader = RequestReader(method, self._limits, self._large_requests)

        def answer(request: bytes, context: Context, send: Callable[[bytes], None], caller: Caller) -> bool:
            began = time.perf_counter()
            if self._calls.is_draining or (
                kind is not None and not self.admission.may_answer_at_once(kind, began)
            ):
                return False
            self._forget_revision()
            try:
                small = reader.read(request)
                made = None if small is None else attempt(small)
            # ``_answer`` gets the same error again and reports it.
            except Exception:  # noqa: BLE001
                return False
            if made is None:
                return False
            # The caller need not wait for the rest.
            send(made)
            self.admission.answered_at_once(began)
            self.counts.start(method)
            self._note_end(method, "OK", began, context, caller)
            return True

        return answer

    def _answer(self, method: str, kind: Kind | None, handler: Handler) -> Callable[..., Awaitable[Any]]:
        answer = self._handle(method, handler)

        async def call(request: Any, context: Context, admitted: Admitted | None = None) -> Any:
            began = time.perf_counter()
            code, caller = "OK", ANYONE
            self._forget_revision()
            self.counts.start(method)
            self._calls.enter(method)
            slot = None if admitted is None else admitted.slot
            try:
                self._calls.admit(method)
                caller, slot = admitted or await self._admitted(kind, method, context)
                if self._access is None:
                    return await self._in_turn(slot, answer, request, context)
                if handler.response_streaming:
                    self._calls.keep_admitted(partial(self._access.admit, method, context))
                with acting_as(caller):
                    return await self._in_turn(slot, answer, request, context)
            except grpc.aio.AbortError:
                code = context.code().name
                raise
            except asyncio.CancelledError:
                code = "CANCELLED"
                if (ended := self._calls.why_ended()) is not None:
                    code = _code_of_ended(ended)
                    await abort(context, ended)
                raise
            except Exception as error:  # noqa: BLE001 - whatever a handler raises, the caller gets a status
                # A generated method without a handler raises this, and sets the code itself.
                if isinstance(error, NotImplementedError) and context.code() is grpc.StatusCode.UNIMPLEMENTED:
                    code = "UNIMPLEMENTED"
                    await abort_unimplemented(context)
                known = error if isinstance(error, DomainError) else self._log.failed(method, error)
                code = code_of(known).name
                self._note_refusal(known)
                forget_frames(error)
                await abort(context, known)
            finally:
                if slot is not None:
                    slot.release()
                self._calls.leave(method)
                # Not later: after the end of a call, grpc.aio crashes if asked for its peer.
                self._note_end(method, code, began, context, caller)
                # As in ``abort``.
                del request, context

        return call

    async def _in_turn(self, slot: Slot | None, answer: _Answer, request: Any, context: Context) -> Any:
        """Answer when the turn of the call comes; calls without places need none."""
        if slot is not None:
            await self.admission.turn(context, time.perf_counter())
            _cancel_if_late(context)
        return await answer(request, context)

    def _forget_revision(self) -> None:
        """Keep the revision of an earlier answer out of the span of the call that begins."""
        if self._tracer is not None:
            answered_revision.set("")

    def _note_end(
        self, method: str, code: str, began: float, context: Context, caller: Caller = ANYONE
    ) -> None:
        elapsed = time.perf_counter() - began
        self._log.ended(method, code, elapsed, context)
        self.counts.end(method, code, elapsed)
        if self._tracer is not None:
            self._tracer.record(method, code, elapsed, context, caller.principal)

    def _note_refusal(self, error: DomainError) -> None:
        if isinstance(error, LimitError):
            self.counts.refused[error.limit] += 1

    def _handle(self, method: str, handler: Handler) -> _Answer:
        """Make a function that calls the handler and counts its answer until it is sent."""
        behaviour = behaviour_of(handler)
        serialize = serializer_of(handler)
        if self._tracer is not None:
            serialize = noting_revision(serialize)
        # The caller of a method that writes must learn what was written.
        is_owed = does_write(method)
        if is_owed:
            behaviour = noting_call(method, behaviour)

        async def write(part: Any, context: Context) -> None:
            await self._write(serialize(part), context)

        async def answer(request: Any, context: Context) -> Any:
            given: Any = _WritingContext(context, write) if handler.response_streaming else context
            try:
                result = behaviour(request, given)
                # Nearly all handlers return coroutines; checking for any awaitable takes longer.
                if isinstance(result, CoroutineType) or inspect.isawaitable(result):
                    message = await result
                    if message is None:
                        return None
                    return self._count_until_sent(serialize(message), context, owed=is_owed)
                async with aclosing(result) as messages:
                    async for message in messages:
                        await write(message, context)
            except grpc.aio.InternalError:
                await after_failed_write()
                raise
            return None

        return answer if handler.request_streaming else self._read_first(method, handler, answer)

    def _read_first(self, method: str, handler: Handler, answer: _Answer) -> _Answer:
        """Make a function that reads a request and passes it to ``answer``."""
        reader = RequestReader(method, self._limits, self._large_requests)
        is_standard = method.startswith(STANDARD)

        async def read_and_answer(request: bytes, context: Context) -> Any:
            if self._unsent.total and not is_standard:
                self._unsent.check(context.peer())
            small = reader.read(request)
            if small is not None:
                return await answer(small, context)
            async with reader.reading(request) as large:
                _cancel_if_late(context)
                if not handler.response_streaming:
                    return await answer(large, context)
            # A stream may last for ever, so its request is counted out before.
            return await answer(large, context)

        return read_and_answer

    def _count_until_sent(self, answer: bytes, context: Context, *, owed: bool) -> bytes:
        """Count an answer that the transport sends after the handler has returned."""
        size = len(answer)
        if size > UNCOUNTED_BYTES:
            peer = context.peer()
            self._unsent.take(peer, size, owed=owed)
            # gRPC passes the context by position, whatever the name.
            context.add_done_callback(lambda _: self._unsent.give_back(peer, size))  # type: ignore[arg-type]
        return answer

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


class _WritingContext:
    """The context of a handler that writes its answers itself: serializes and counts them."""

    def __init__(self, context: Context, write: Callable[[Any, Context], Awaitable[None]]) -> None:
        self._context = context
        self._write = write

    async def write(self, part: Any) -> None:
        await self._write(part, self._context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def _code_of_ended(error: DomainError) -> str:
    """Return the code to note for a stream that the server ended with an error."""
    # The caller gets another, but that the server stops is nothing to warn of.
    return "CANCELLED" if isinstance(error, NotReadyError) else code_of(error).name


def _cancel_if_late(context: Context) -> None:
    """
    Raise ``CancelledError`` if the deadline passed while the call waited for its turn.

    Transports cancel such a call too, but only after they handed it over: by then a quick write
    would be committed. The caller no longer waits for a status.
    """
    remaining: float | None = context.time_remaining()
    if remaining is not None and remaining <= 0:
        raise asyncio.CancelledError("the deadline had passed when the call's turn came")
