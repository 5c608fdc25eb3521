"""Admission of calls: limits on calls and bytes in progress, and turns between callers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from server.config import Limits, flag
from server.domain.caller import current_caller
from server.domain.errors import OverloadedError, UnreadAnswersError
from server.rpc.context import Context
from server.rpc.listening import is_socket_path
from server.rpc.methods import Kind
from server.rpc.places import Limit, LimitOfEach, Slot
from server.rpc.shares import Turns, share_of

# An iteration of the event loop that takes this much processor time for each call in it delays
# calls that arrive meanwhile. Elapsed time alone does not count: on a busy machine other programs
# have the processor ...
_LONG_SECONDS = 0.001
# ... and calls that begin within this time afterwards may have waited for the end of the iteration.
_CROWDED_SECONDS = 0.001
# The backlog of the transport is admitted this often, for at most as long.
BACKLOG_SECONDS = 0.004
# gRPC keeps more than this for any call, so shorter answers and parts of streams are not counted.
UNCOUNTED_BYTES = 4 * 1024
_EXTRA_FOR_READERS = 4

# Waits until the calls that wait in the transport are admitted or refused.
AdmitBacklog = Callable[[], Awaitable[None]]


class Admission:
    """
    Admits calls.

    A call beyond the limits is refused at once: waiting long for no answer helps no caller.
    Calls that arrive while another is answered wait inside the transport, uncounted. So after a
    call that took long, the transport's ``admit_backlog`` admits or refuses all of them before the
    next one is answered. As long as every call is quick this costs a microsecond.
    """

    def __init__(self, limits: Limits, admit_backlog: AdmitBacklog) -> None:
        self._admit_backlog = admit_backlog
        calls = Limit(limits.max_concurrent_calls, "calls", "concurrent_calls")
        analyses = Limit(limits.max_concurrent_analyses, "analyses", "concurrent_analyses")
        streams = Limit(limits.max_streaming_calls, "streams", "streaming_calls")
        watches = Limit(limits.max_watches, "watches", "watches")
        standard = Limit(limits.max_streaming_calls, "streams of gRPC's own services", "streaming_calls")
        of_each = LimitOfEach(limits.max_streams_per_principal, "streams", "streams_per_principal")
        self._limits: dict[Kind, tuple[Limit | LimitOfEach, ...]] = {
            Kind.UNARY: (calls,),
            Kind.ANALYSIS: (analyses, calls),
            Kind.STREAMING: (of_each, streams),
            Kind.STREAMING_ANALYSIS: (of_each, analyses, streams),
            Kind.WATCH: (of_each, watches, streams),
            Kind.STANDARD_STREAMING: (standard,),
        }
        self._waiting = Turns()
        self._giving_turns: asyncio.Task[None] | None = None
        self._crowded_until = 0.0
        # The iteration of the event loop in which calls have turns; 0 = none of this iteration has.
        self._began = 0.0
        self._calls = 0
        # The thread's processor time at its beginning, and at that of the last ``begin_iteration``.
        self._used = self._used_at_once = 0.0

    @property
    def waiting(self) -> int:
        """Admitted calls that wait for their turn."""
        return len(self._waiting)

    def enter(self, kind: Kind, share: Callable[[], str]) -> Slot:
        """
        Count a call in; raises ``OverloadedError`` beyond a limit.

        ``share`` returns who calls; it is not called while it does not matter.
        """
        slot = Slot()
        slot.take(self._limits[kind], share)
        return slot

    def is_full(self, kind: Kind) -> bool:
        """Whether ``enter`` would refuse a call of some callers now."""
        return any(limit.is_full for limit in self._limits[kind])

    def may_answer_at_once(self, kind: Kind, now: float) -> bool:
        """Whether a call may be answered without a turn: no call waits, and no limit is reached."""
        return now >= self._crowded_until and not self._waiting and not self.is_full(kind)

    def begin_iteration(self) -> None:
        """Note that an iteration of the event loop begins in which calls are answered at once."""
        self._used_at_once = time.thread_time()

    def answered_at_once(self, began: float) -> None:
        """Note a call that was answered without a turn."""
        self._note_duration(began, self._used_at_once, _LONG_SECONDS)

    def refusal(self, kind: Kind, share: str) -> OverloadedError | None:
        """Return the error with which ``enter`` would refuse a call now; None = it would not."""
        for limit in self._limits[kind]:
            if not limit.has_room_for(share):
                return limit.full
        return None

    async def turn(self, context: Context, began: float) -> None:
        """Wait for the turn of a call that just began; callers take turns, one call each."""
        loop = asyncio.get_running_loop()
        if began < self._crowded_until or self._waiting:
            turn = self._waiting.add(share_of(current_caller(), context), context.peer())
            if self._giving_turns is None:
                self._giving_turns = asyncio.create_task(self._give_turns())
            await turn
            began = time.perf_counter()
        if not self._began:
            self._began, self._used = began, time.thread_time()
            loop.call_soon(self._end_iteration)
        self._calls += 1

    def _end_iteration(self) -> None:
        """Note how long this iteration took, including what gRPC did to send the answers."""
        self._note_duration(self._began, self._used, _LONG_SECONDS * self._calls)
        self._began, self._calls = 0.0, 0

    def _note_duration(self, began: float, used: float, usual: float) -> None:
        now = time.perf_counter()
        if now - began > usual and time.thread_time() - used > usual:
            self._crowded_until = now + _CROWDED_SECONDS

    async def _give_turns(self) -> None:
        """Give turns while calls wait."""
        next_backlog = 0.0
        try:
            while self._waiting:
                if time.perf_counter() >= next_backlog:
                    await self._admit_backlog()
                    next_backlog = time.perf_counter() + BACKLOG_SECONDS
                turn = self._waiting.next()
                # The turn of a cancelled call is done already.
                if not turn.done():
                    turn.set_result(None)
                    await asyncio.sleep(0)
        finally:
            # After an unexpected error the next call that waits starts a new task.
            self._giving_turns = None


class Load(NamedTuple):
    """Calls that wait for their turn, bytes of large requests in work, bytes of unsent answers."""

    waiting_calls: int
    requests_bytes: int
    unsent_bytes: int


class RequestBytes:
    """Counts the bytes of large requests in work, up to a limit."""

    def __init__(self, most: int) -> None:
        self.held = 0
        self._most = most
        self._full = OverloadedError(
            f"the server works on as many bytes of large requests as it may, {most:,}: "
            f"try again, send less at a time, or have its {flag('requests_bytes')} raised",
            limit="requests_bytes",
        )

    def take(self, size: int) -> None:
        """Count a request in, any size if there is no other; raises ``OverloadedError``."""
        if self.held and self.held + size > self._most:
            raise self._full
        self.held += size

    def give_back(self, size: int) -> None:
        """Count a request out."""
        self.held -= size


class UnsentAnswers:
    """
    Counts the bytes of answers that wait to be sent, per connection and in total.

    Connections through a Unix socket have no names, so only the total counts for them.
    A single answer is sent at any size. A connection that has read all of its answers may exceed
    the total by a quarter, so that callers that don't read do no harm to others.
    """

    def __init__(self, limits: Limits) -> None:
        self.total = 0
        self._most = limits.max_unsent_bytes
        self._most_of_one = limits.max_unsent_bytes_per_connection
        self._of: dict[str, int] = {}

    def take(self, peer: str, size: int, *, owed: bool = False) -> None:
        """Count an answer in, or raise ``UnreadAnswersError``; what is ``owed`` is always sent."""
        if not owed:
            self.check(peer, size)
        self.total += size
        self._of[peer] = self._of.get(peer, 0) + size

    def check(self, peer: str, size: int = 0) -> None:
        """Raise ``UnreadAnswersError`` if ``peer`` may get no further answer of that size."""
        of_peer = 0 if is_socket_path(peer) else self._of.get(peer, 0)
        if of_peer and of_peer + size > self._most_of_one:
            raise UnreadAnswersError(
                f"{of_peer:,} bytes of answers wait to be read on this connection, "
                f"of which there may be {self._most_of_one:,}: read them, ask for less at a time, "
                "or have the server's --max-unsent-bytes-per-connection raised",
                limit="unsent_bytes_per_connection",
            )
        most = self._most if of_peer else self._most + self._most // _EXTRA_FOR_READERS
        if self.total and self.total + size > most:
            raise UnreadAnswersError(
                f"{self.total:,} bytes of answers wait to be read on all connections, "
                f"of which there may be {self._most:,}: try again, "
                "or have the server's --max-unsent-bytes raised",
                limit="unsent_bytes",
            )

    def give_back(self, peer: str, size: int) -> None:
        """Count out an answer that was sent or never will be."""
        self.total -= size
        left = self._of[peer] - size
        if left:
            self._of[peer] = left
        else:
            del self._of[peer]
