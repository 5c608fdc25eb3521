"""The calls in progress, and their end when the server stops."""

import asyncio
import contextlib
from datetime import timedelta

from server.domain.errors import NotReadyError

_HEALTH = "/grpc.health."
_STANDARD = "/grpc."
# Streams of the contract that never end by themselves.
_ENDLESS = frozenset({"/depgraph.v1.GraphService/Watch"})


class RunningCalls:
    """
    Counts the calls of the contract and, once draining, refuses new ones.

    The streams of gRPC's own services (watching health, reflection) stay open as long as a client
    likes: the server does not wait for them but ends them by ``end_streams``. Only health is
    answered to the end. Watches of the graph end when draining begins, so that they continue at
    another replica.
    """

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._streams: set[asyncio.Task[object]] = set()
        self._health: set[asyncio.Task[object]] = set()
        self._endless: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return self._count

    @property
    def is_draining(self) -> bool:
        """Whether new calls are refused."""
        return self._draining

    def enter(self, method: str) -> None:
        """Count a call that begins in this task."""
        if (streams := self._streams_like(method)) is not None:
            streams.add(_this_task())
            return
        self._count += 1
        self._idle.clear()

    def leave(self, method: str) -> None:
        """Count a call out, after its status was sent."""
        if (streams := self._streams_like(method)) is not None:
            streams.discard(_this_task())
            return
        self._count -= 1
        if not self._count:
            self._idle.set()

    def admit(self, method: str) -> None:
        """Raise ``NotReadyError`` for a call that begins while draining."""
        if self._draining and not method.startswith(_HEALTH):
            raise NotReadyError(
                "the server is shutting down: another replica, or this one in a moment, will answer"
            )

    def begin_drain(self) -> None:
        """Refuse new calls, and end those that would never end by themselves."""
        self._draining = True
        self._end(self._endless)

    async def drained(self, within: timedelta) -> bool:
        """Wait until the running calls are over; returns False when that took too long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), within.total_seconds())
        return self._idle.is_set()

    async def end_streams(self, within: timedelta) -> None:
        """Interrupt streams; those of health get the time to report the last status."""
        self._end(self._streams)
        if self._health:
            await asyncio.wait(self._health, timeout=within.total_seconds())
        self._end(self._health)

    def is_ended(self) -> bool:
        """Whether it was ``end_streams`` or ``begin_drain`` that cancelled this task."""
        return _this_task() in self._ended

    def _streams_like(self, method: str) -> set[asyncio.Task[object]] | None:
        """Return the streams that a call belongs to; None = ``drained`` waits for it."""
        if method in _ENDLESS:
            return self._endless
        if method.startswith(_HEALTH):
            return self._health
        return self._streams if method.startswith(_STANDARD) else None

    def _end(self, streams: set[asyncio.Task[object]]) -> None:
        self._ended |= streams
        for stream in streams:
            stream.cancel()


def _this_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a call runs in a task")
    return task
