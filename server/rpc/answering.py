"""The path of every call, whichever transport it came by: limits, errors, log and metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import grpc

from server.access.grants import UnknownKeyError
from server.config import Limits
from server.domain.caller import ANYONE, Caller, acting_as
from server.domain.errors import DomainError, LimitError, NotReadyError, PermissionDeniedError
from server.rpc.admission import Admission, Load
from server.rpc.answers import answered_revision
from server.rpc.call_counts import CallCounts
from server.rpc.call_log import CallLog
from server.rpc.context import Context, abort, abort_unimplemented
from server.rpc.errors import code_of, forget_frames
from server.rpc.handling import Answer, Handling, cancel_if_late
from server.rpc.methods import (
    STANDARD,
    Handler,
    Kind,
    Method,
    attempt_of,
    behaviour_of,
    kind_of,
)
from server.rpc.places import Slot
from server.rpc.running import RunningCalls
from server.rpc.shares import Rates, share_of

if TYPE_CHECKING:
    from server.rpc.tracing import CallTracer


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
        self.counts = CallCounts()
        self._log = call_log or CallLog()
        self._rates = Rates.of(limits)
        self._handling = Handling(limits, notes_revision=tracer is not None)

    @property
    def load(self) -> Load:
        """The load that callers put on this process now."""
        return Load(self.admission.waiting, self._handling.held_bytes, self._handling.unsent_bytes)

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
        self._note_end(method.name, code_of(error).name, time.perf_counter(), context, _denied(error))

    def _caller(self, method: str, context: Context) -> Caller:
        return ANYONE if self._access is None else self._access.admit(method, context)

    def _at_once(
        self, method: str, kind: Kind | None, attempt: Callable[[Any], "bytes | None"]
    ) -> Callable[[bytes, Context, Callable[[bytes], None], Caller], bool]:
        reader = self._handling.reader(method)

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
            self._note_end(method, "OK", began, context, caller.principal)
            return True

        return answer

    def _answer(self, method: str, kind: Kind | None, handler: Handler) -> Callable[..., Awaitable[Any]]:
        answer = self._handling.answer(method, handler)

        async def call(request: Any, context: Context, admitted: Admitted | None = None) -> Any:
            began = time.perf_counter()
            code, principal = "OK", ""
            self._forget_revision()
            self.counts.start(method)
            self._calls.enter(method)
            slot = None if admitted is None else admitted.slot
            try:
                self._calls.admit(method)
                caller, slot = admitted or await self._admitted(kind, method, context)
                principal = caller.principal
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
                code, principal = code_of(known).name, principal or _denied(known)
                self._note_refusal(known)
                forget_frames(error)
                await abort(context, known)
            finally:
                if slot is not None:
                    slot.release()
                self._calls.leave(method)
                # Not later: after the end of a call, grpc.aio crashes if asked for its peer.
                self._note_end(method, code, began, context, principal)
                # As in ``abort``.
                del request, context

        return call

    async def _in_turn(self, slot: Slot | None, answer: Answer, request: Any, context: Context) -> Any:
        """Answer when the turn of the call comes; calls without places need none."""
        if slot is not None:
            await self.admission.turn(context, time.perf_counter())
            cancel_if_late(context)
        return await answer(request, context)

    def _forget_revision(self) -> None:
        """Keep the revision of an earlier answer out of the span of the call that begins."""
        if self._tracer is not None:
            answered_revision.set("")

    def _note_end(self, method: str, code: str, began: float, context: Context, principal: str) -> None:
        elapsed = time.perf_counter() - began
        self._log.ended(method, code, elapsed, context, principal)
        self.counts.end(method, code, elapsed)
        if self._tracer is not None:
            self._tracer.record(method, code, elapsed, context, principal)

    def _note_refusal(self, error: DomainError) -> None:
        if isinstance(error, LimitError):
            self.counts.refused[error.limit] += 1


def _denied(error: DomainError) -> str:
    """Return the principal of a caller that was known and not admitted; empty = there is none."""
    return error.principal if isinstance(error, PermissionDeniedError) else ""


def _code_of_ended(error: DomainError) -> str:
    """Return the code to note for a stream that the server ended with an error."""
    # The caller gets another, but that the server stops is nothing to warn of.
    return "CANCELLED" if isinstance(error, NotReadyError) else code_of(error).name
