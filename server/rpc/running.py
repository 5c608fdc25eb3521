"""The calls in progress, and their end when the server stops."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta

from server.domain.errors import DomainError, NotReadyError
from server.rpc.methods import HEALTH, STANDARD, WATCH


class RunningCalls:
    """
    Counts the calls of the contract and, once draining, refuses new ones.

    Only health is answered to the end.
    """

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._endless: dict[asyncio.Task[object], str] = {}
        self._ended: dict[asyncio.Task[object], DomainError] = {}
        # Of streams: admits the caller once more, or raises.
        self._admissions: dict[asyncio.Task[object], Callable[[], object]] = {}
        self.is_draining = False

    def __len__(self) -> int:
        return self._count

    def enter(self, method: str) -> None:
        """Count a call that begins in this task."""
        if (kind := _endless_kind(method)) is not None:
            self._endless[_this_task()] = kind
            return
        self._count += 1
        self._idle.clear()

    def leave(self, method: str) -> None:
        """Count a call out, after its status was sent."""
        if self._ended or self._admissions:
            self._ended.pop(_this_task(), None)
            self._admissions.pop(_this_task(), None)
        if _endless_kind(method) is not None:
            self._endless.pop(_this_task(), None)
            return
        self._count -= 1
        if not self._count:
            self._idle.set()

    def admit(self, method: str) -> None:
        """Raise ``NotReadyError`` for a call that begins while draining."""
        if self.is_draining and not method.startswith(HEALTH):
            raise NotReadyError(
                "the server is shutting down: another replica, or this one in a moment, will answer"
            )

    def keep_admitted(self, admit: Callable[[], object]) -> None:
        """Let ``end_refused`` end this task, a stream, once ``admit`` raises an error."""
        self._admissions[_this_task()] = admit

    async def end_refused(self) -> None:
        """End the streams whose callers would not be admitted any more, each with the reason."""
        for task in tuple(self._admissions):
            try:
                if (admit := self._admissions.get(task)) is not None:
                    admit()
            except DomainError as error:
                self.end(task, error)
            # Signatures may have to be checked again, 0.1 ms each.
            await asyncio.sleep(0)

    def begin_drain(self) -> None:
        """Refuse new calls, and end watches of the graph."""
        self.is_draining = True
        self._end(WATCH)

    async def drained(self, within: timedelta) -> bool:
        """Wait until the running calls are over; returns False when that took too long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), within.total_seconds())
        return self._idle.is_set()

    async def end_streams(self, within: timedelta) -> None:
        """Interrupt gRPC's own streams; those of health get the time to report the last status."""
        self._end(STANDARD)
        if health := self._of(HEALTH):
            await asyncio.wait(health, timeout=within.total_seconds())
        self._end(HEALTH)

    def end(self, task: asyncio.Task[object], error: DomainError) -> None:
        """Cancel the task of a stream, which ends with the error; the first one counts."""
        self._ended.setdefault(task, error)
        task.cancel()

    def why_ended(self) -> DomainError | None:
        """Return the error with which ``end`` cancelled this task; None = it did not."""
        return self._ended.get(_this_task())

    def _of(self, kind: str) -> list[asyncio.Task[object]]:
        return [task for task, of_task in self._endless.items() if of_task == kind]

    def _end(self, kind: str) -> None:
        for task in self._of(kind):
            self.end(task, NotReadyError("the server is shutting down"))


# Calls that may last as long as their client likes. The server waits for none of them: it ends
# watches of the graph when draining begins, so that they continue at another replica, and the
# streams of gRPC's own services (health, reflection) at the end.
def _endless_kind(method: str) -> str | None:
    """Return how its method's name begins; None = ``drained`` waits for the call."""
    if method == WATCH:
        return WATCH
    if method.startswith(HEALTH):
        return HEALTH
    return STANDARD if method.startswith(STANDARD) else None


def _this_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a call runs in a task")
    return task
