"""Who is let in: no more calls at once than the server may take on, and each in its turn."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from server.config import Limits, flag
from server.domain.errors import OverloadedError
from server.rpc.context import Context
from server.rpc.methods import Kind

# A round of the event loop that takes so much of the processor for each call in it keeps others from being heard of. One that only lasts, because other programs
# have the processor, does not: it would be so for each round of a busy machine ...
_LONG_SECONDS = 0.001
# ... so that those that come in the next moment may have waited for its end.
_CROWDED_SECONDS = 0.001
# As often as this, and for as long at most, everybody who waits outside is let in.
LETTING_IN_SECONDS = 0.004

# Waits until all those are let in, or refused, who stand before the server now; it is given what counts those who came.
LettingIn = Callable[[Callable[[], int]], Awaitable[None]]


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


class Place:
    """The place of one call inside."""

    __slots__ = ("_room",)

    def __init__(self, room: _Room) -> None:
        self._room: _Room | None = room
        room.inside += 1

    def leave(self) -> None:
        """Count the call out; once, however often this is called."""
        if self._room is not None:
            self._room.inside -= 1
            self._room = None


class Admission:
    """
    Lets calls in.

    A call beyond the limits is refused at once: nobody learns from waiting long that there is no answer. Those that come while another is answered
    stand inside the transport, where nobody counts them. So once a call has taken long, those that came meanwhile are all let in, or
    refused, before the next one is answered, by ``all_came`` of the transport. Where nothing takes long this costs a microsecond.
    """

    def __init__(self, limits: Limits, all_came: LettingIn) -> None:
        self._all_came = all_came
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
        # The time that this thread had used of the processor then, and when the last round began in which calls are answered at once.
        self._used = self._used_at_once = 0.0
        self._calls_in_round = 0

    @property
    def waiting(self) -> int:
        """Calls that are let in and wait for their turn."""
        return sum(map(len, tuple(self._waiting.values())))

    def enter(self, kind: Kind) -> Place:
        """Count a call in; raises ``OverloadedError`` when that is one too many."""
        if self.is_full(kind):
            raise self.refusal(kind)
        self._came += 1
        return Place(self._rooms[kind])

    def is_full(self, kind: Kind) -> bool:
        """Whether ``enter`` would refuse a call now."""
        room = self._rooms[kind]
        return room.inside >= room.most

    def is_at_ease(self, kind: Kind, now: float) -> bool:
        """Whether a call may be answered at once: there is room, and nobody else is to have a turn before."""
        return now >= self._crowded_until and not self._waiting and not self.is_full(kind)

    def begin_round(self) -> None:
        """Note that a round of the event loop begins, in which calls are answered at once."""
        self._used_at_once = time.thread_time()

    def took(self, began: float) -> None:
        """Note that a call, which had no turn, has been answered at once in a round that was begun."""
        self._look_how_long(began, self._used_at_once, _LONG_SECONDS)

    def refusal(self, kind: Kind) -> OverloadedError:
        """Note a call that came in vain, and return what it is told."""
        self._came += 1
        return self._rooms[kind].full

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
            self._round_began, self._used = began, time.thread_time()
            loop.call_soon(self._end_round)
        self._calls_in_round += 1

    def _end_round(self) -> None:
        """Look how long this round of the event loop took: answering calls, and handing their answers to gRPC."""
        self._look_how_long(self._round_began, self._used, _LONG_SECONDS * self._calls_in_round)
        self._round_began, self._calls_in_round = 0.0, 0

    def _look_how_long(self, began: float, used: float, usual: float) -> None:
        now = time.perf_counter()
        if now - began > usual and time.thread_time() - used > usual:
            self._crowded_until = now + _CROWDED_SECONDS

    async def _let_in(self) -> None:
        """Give those that wait their turn, one of each connection and then the next, as long as there are any."""
        next_look = 0.0
        try:
            while self._waiting:
                if time.perf_counter() >= next_look:
                    await self._all_came(self._those_who_came)
                    next_look = time.perf_counter() + LETTING_IN_SECONDS
                turn = self._next()
                # One whose caller is gone has ended already.
                if not turn.done():
                    turn.set_result(None)
                    await asyncio.sleep(0)
        finally:
            # After a defect the next one who waits begins anew.
            self._letting_in = None

    def _next(self) -> asyncio.Future[None]:
        peer, waiting = next(iter(self._waiting.items()))
        del self._waiting[peer]
        turn = waiting.popleft()
        if waiting:
            self._waiting[peer] = waiting
        return turn

    def _those_who_came(self) -> int:
        return self._came
