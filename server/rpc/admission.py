"""Who is let in: no more calls at once than the server may take on, and each in its turn."""

import asyncio
import time
from collections import deque
from enum import Enum, auto

from server.config import Limits, flag
from server.domain.errors import OverloadedError
from server.rpc.context import Context

# A round of the event loop that takes so long for each call in it keeps others from being heard of ...
_LONG_SECONDS = 0.001
# ... so that those that come in the next moment may have waited for its end.
_CROWDED_SECONDS = 0.001
# As often as this, and for as long at most, everybody who waits outside is let in.
_LETTING_IN_SECONDS = 0.004
# gRPC's own thread hands a call over with the interpreter in its hands, which it gets soon only while ours sleeps: the shortest sleep there is,
# a tenth of a millisecond. Then it takes some rounds until the call is counted. After two such gaps without one nobody is left outside.
_GAP_SECONDS, _ROUNDS_A_GAP, _QUIET_GAPS = 0.00001, 8, 2


class Kind(Enum):
    """Kinds of calls that are counted apart: with one answer, with a stream of answers, and gRPC's own streams (watching health, reflection)."""

    UNARY = auto()
    STREAMING = auto()
    STANDARD_STREAMING = auto()


class _Room:
    """Calls of one kind that are inside, and what those are told who find it full."""

    __slots__ = ("full", "inside", "most")

    def __init__(self, most: int, what: str, limit: str) -> None:
        self.most = most
        self.inside = 0
        # Made once, for it is needed most when there is least time.
        self.full = OverloadedError(
            f"the server answers {most:,} {what} at once, as many as it may: try again, ask another replica, or have its {flag(limit)} raised",
            limit=limit,
        )


class Admission:
    """
    Lets calls in.

    A call beyond the limits is refused at once: nobody learns from waiting long that there is no answer. gRPC hands calls over one at a time,
    the next one when the last has had its answer, and leaves the others where nobody counts them. So once a call has taken long, those that
    came meanwhile are all let in, or refused, before the next one is answered. Where nothing takes long this costs a microsecond.
    """

    def __init__(self, limits: Limits) -> None:
        self._rooms = {
            Kind.UNARY: _Room(limits.max_concurrent_calls, "calls", "concurrent_calls"),
            Kind.STREAMING: _Room(limits.max_streaming_calls, "streams", "streaming_calls"),
            Kind.STANDARD_STREAMING: _Room(
                limits.max_streaming_calls, "streams of gRPC's own services", "streaming_calls"
            ),
        }
        # By peer, those first whose last turn was the longest ago.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._letting_in: asyncio.Task[None] | None = None
        self._crowded_until = 0.0
        self._came = 0
        self._round_began = 0.0
        self._calls_in_round = 0

    @property
    def waiting(self) -> int:
        """Calls that are let in and wait for their turn."""
        return sum(map(len, tuple(self._waiting.values())))

    def enter(self, kind: Kind) -> None:
        """Count a call in; raises ``OverloadedError`` when that is one too many."""
        if self.is_full(kind):
            raise self.refusal(kind)
        self._came += 1
        self._rooms[kind].inside += 1

    def is_full(self, kind: Kind) -> bool:
        """Whether ``enter`` would refuse a call now."""
        room = self._rooms[kind]
        return room.inside >= room.most

    def refusal(self, kind: Kind) -> OverloadedError:
        """Note a call that came in vain, and return what it is told."""
        self._came += 1
        return self._rooms[kind].full

    def leave(self, kind: Kind) -> None:
        """Count a call out."""
        self._rooms[kind].inside -= 1

    async def turn(self, context: Context, began: float) -> None:
        """Wait for the turn of a call that began just now; connections take turns, so that none keeps another waiting with a crowd."""
        loop = asyncio.get_running_loop()
        if began < self._crowded_until or self._waiting:
            turn = loop.create_future()
            self._waiting.setdefault(context.peer(), deque()).append(turn)
            if self._letting_in is None:
                self._letting_in = asyncio.create_task(self._let_in())
            await turn
            began = time.perf_counter()
        if not self._round_began:
            self._round_began = began
            loop.call_soon(self._end_round)
        self._calls_in_round += 1

    def _end_round(self) -> None:
        """Look how long this round of the event loop took: answering calls, and handing their answers to gRPC."""
        now = time.perf_counter()
        if now - self._round_began > _LONG_SECONDS * self._calls_in_round:
            self._crowded_until = now + _CROWDED_SECONDS
        self._round_began, self._calls_in_round = 0.0, 0

    async def _let_in(self) -> None:
        """Give those that wait their turn, one of each connection and then the next, as long as there are any."""
        next_look = 0.0
        while self._waiting:
            if time.perf_counter() >= next_look:
                await self._all_came()
                next_look = time.perf_counter() + _LETTING_IN_SECONDS
            turn = self._next()
            # One whose caller is gone has ended already.
            if not turn.done():
                turn.set_result(None)
                await asyncio.sleep(0)
        self._letting_in = None

    def _next(self) -> asyncio.Future[None]:
        peer, waiting = next(iter(self._waiting.items()))
        del self._waiting[peer]
        turn = waiting.popleft()
        if waiting:
            self._waiting[peer] = waiting
        return turn

    async def _all_came(self) -> None:
        """Wait until nobody comes any more, or for as long as others may be kept waiting."""
        quiet, ends = 0, time.perf_counter() + _LETTING_IN_SECONDS
        while quiet < _QUIET_GAPS and time.perf_counter() < ends:
            came = self._came
            time.sleep(_GAP_SECONDS)  # noqa: ASYNC251 - see above
            for _ in range(_ROUNDS_A_GAP):
                await asyncio.sleep(0)
                # Others may have rounds of their own to fill.
                if time.perf_counter() >= ends:
                    return
            quiet = quiet + 1 if self._came == came else 0
