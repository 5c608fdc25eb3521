"""
Work that one process at a time does: the process that holds the database's lock for it.

When that process ends, another takes over. Waiting processes check in the database that the work is
done.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from server.postgres import DRIVER_ERRORS, Session, cause_of, connect, explain, reconnect_pause
from server.store import query

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger(__name__)

RunnerConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Work: TypeAlias = Callable[[RunnerConnection], Awaitable[None]]

DETECTION = "detection"
DETECTION_KEY, SWEEPER_KEY, SOURCES_KEY, HISTORY_KEY = 2, 3, 6, 9
"""
The second halves of the locks' keys.

1 and 4 are the feed's, 5 is that of the account of writes, 8 that of names, and 10 that of the
history's functions.

Migrations use a key of 64 bits; those never collide with these.
"""

_TRY = query("single_runner_try")
# After holding the lock for so long, a failure is followed by short pauses again.
_WENT_WELL_SECONDS = 1.0
_JITTER = (0.5, 1.5)
DID = query("single_runner_did")
_HOLDER = query("single_runner_holder")
# The names of our sessions, unless the URL names them otherwise.
OURS = "depgraph "


class SingleRunner:
    """
    Runs work while it holds an advisory lock, on the connection that holds it.

    So a process that has lost the lock can't write any more. A waiting process asks for the lock
    about every ``poll_interval``: a statement that waits would hold a snapshot, and keep the
    database from cleaning up. When the holder ends, another takes over within about that time; when
    its machine vanishes, within some ten seconds. No statement of the work may take longer than
    ``limit``.

    The work calls ``did`` whenever it was done; ``problems`` reports when that is ``tolerance``
    ago.
    """

    def __init__(
        self,
        url: str,
        name: str,
        key: int,
        limit: timedelta = timedelta(seconds=10),
        poll_interval: timedelta = timedelta(seconds=1),
        *,
        undone: str = "",
        tolerance: timedelta = timedelta(minutes=1),
    ) -> None:
        self._url = url
        self._name = name
        self._key = key
        self._limit = limit
        self._poll_interval = poll_interval.total_seconds()
        self._backoffs = 0
        self._watch = DutyWatch(undone or f"{name} was not done", tolerance)
        self.is_running = False
        """Whether this process has the lock and does the work."""
        self.failures = 0
        """How often connecting or the work failed, since the process began."""
        self.last_failure = ""
        """What it failed with last; empty = it never did."""

    def problems(self) -> Iterator[str]:
        """Report when no process does the work, or this one can't ask for the lock."""
        return self._watch.problems()

    async def did(self, connection: RunnerConnection) -> None:
        """Note for waiting processes that the work was done just now."""
        await connection.execute(DID, self._name)

    async def run_forever(self, work: Work) -> None:
        """
        Wait for the lock and run ``work(connection)``; begin again when it ends, until cancelled.

        When the connection dies, the work is cancelled. Only a statement notices a dead network, so
        the work should run one every few seconds. After a failure there is a pause that doubles
        from 0.1 s to 5 s, of which a random part is waited.
        """
        while True:
            began, has_lock = time.monotonic(), False
            error: Exception | None = None
            connection: RunnerConnection | None = None
            try:
                connection = await connect(self._url, runner_session(self._name, self._limit))
                await self._locked(connection)
                began, has_lock = time.monotonic(), True
                await self._hold(connection, work)
            # No list of types: the work may raise anything, and the driver has no common base for
            # what it raises.
            except Exception as failure:  # noqa: BLE001
                error = failure
                if not has_lock:
                    self._watch.could_not_ask(str(explain(failure)))
            finally:
                if connection is not None:
                    # Without goodbye: the server notices at once, rolls back and frees the lock.
                    connection.terminate()
            await self._back_off(error, time.monotonic() - began)

    async def _locked(self, connection: RunnerConnection) -> None:
        try:
            while True:
                found = await connection.fetchrow(_TRY, self._key, self._name)
                self._watch.asked()
                if found is not None and found["is_mine"]:
                    return
                undone_for = None if found is None else found["undone_for"]
                await self._watch.look(connection, self._key, undone_for)
                await asyncio.sleep(self._poll_interval * random.uniform(*_JITTER))  # noqa: S311 - jitter, no secret
        finally:
            self._watch.stop_waiting()

    async def _hold(self, connection: RunnerConnection, work: Work) -> None:
        """Run the work until it ends or the connection does; it never outlives this call."""
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end(*_: Any) -> None:
            if not lost.done():
                lost.set_result(None)

        connection.add_termination_listener(end)
        self.is_running = True
        log.info("this process took over the work", work=self._name)
        working = asyncio.ensure_future(work(connection))
        try:
            if connection.is_closed():
                end()
            await asyncio.wait((working, lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.is_running = False
            connection.remove_termination_listener(end)
            await _stop(working, connection)
        if working.cancelled():
            raise ConnectionAbortedError("the connection that held the lock was lost")
        working.result()

    async def _back_off(self, error: Exception | None, lasted_seconds: float) -> None:
        self._backoffs = 1 if lasted_seconds > _WENT_WELL_SECONDS else self._backoffs + 1
        pause = reconnect_pause(self._backoffs)
        if error is not None:
            self.failures += 1
            self.last_failure = type(error).__name__
            log.warning(
                "this process can't do the work now",
                work=self._name,
                error=f"{type(error).__name__}: {error}",
                cause=str(cause_of(error) or ""),
                # A trace of the driver's errors would say nothing about our code.
                exc_info=None if isinstance(error, DRIVER_ERRORS) else error,
                retry_in_seconds=round(pause, 3),
            )
        await asyncio.sleep(pause)


async def _stop(working: "asyncio.Future[None]", connection: RunnerConnection) -> None:
    """End the work if it still runs, and wait for that."""
    if working.done():
        return
    # First of all, so that no running statement waits for a peer that no longer answers.
    connection.terminate()
    working.cancel()
    await asyncio.wait((working,))
    # A connection that ends in the middle of a statement is its own error, which no caller asks for
    # while the process stops.
    if not working.cancelled():
        working.exception()


def runner_session(name: str, limit: timedelta) -> Session:
    """Return a runner's settings, with which its lock is free soon after its machine vanished."""
    seconds = limit.total_seconds()
    return Session(
        name=f"depgraph {name}",
        limit=limit,
        command_timeout=limit,
        settings={
            # A forgotten transaction of another session must not delay the work for longer than a
            # statement may take.
            "lock_timeout": str(int(seconds * 500)),
            "idle_in_transaction_session_timeout": str(int(seconds * 2000)),
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_user_timeout": str(math.ceil(seconds) * 1000),
        },
    )


class DutyWatch:
    """
    What a waiting process knows of the one that holds the lock for some work.

    ``what`` begins the problems: what is not done. ``tolerance`` is how long that is tolerated.
    """

    def __init__(self, what: str, tolerance: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._tolerance = tolerance.total_seconds()
        self._clock = clock
        self._waits_since: float | None = None
        self._undone_since: float | None = None
        self._holder = ""
        self._blind_since: float | None = None
        self._blind_because = ""

    def could_not_ask(self, cause: str) -> None:
        """Note why this process can't ask for the lock, nor know whether another does the work."""
        if self._blind_since is None:
            self._blind_since = self._clock()
        self._blind_because = cause

    def asked(self) -> None:
        """Note that the database answered."""
        self._blind_since = None

    def stop_waiting(self) -> None:
        """Note that this process has the lock itself, or no connection to look with."""
        self._waits_since = self._undone_since = None
        self._holder = ""

    async def look(self, connection: Any, key: int, undone_for: timedelta | None) -> None:
        """
        Note how long ago a process last did the work; None = not known.

        After too long a time it asks the database which session has the lock.
        """
        now = self._clock()
        if self._waits_since is None:
            self._waits_since = now
        self._undone_since = self._waits_since if undone_for is None else now - undone_for.total_seconds()
        if not self._is_neglected():
            self._holder = ""
        elif not self._holder:
            holder = await connection.fetchrow(_HOLDER, key)
            if undone_for is None and holder is not None and holder["application_name"].startswith(OURS):
                # A replica of the version before never notes what it did.
                return
            self._holder = "no session has the lock" if holder is None else _described(holder)

    def problems(self) -> Iterator[str]:
        """Report that no process does the work, as far as this process knows."""
        if self._blind_since is not None:
            lasts = self._clock() - self._blind_since
            if lasts > self._tolerance:
                yield f"{self._what} by this process for {lasts:,.0f} s: {self._blind_because}"
        elif self._holder and self._undone_since is not None:
            yield f"{self._what} for {self._clock() - self._undone_since:,.0f} s: {self._holder}"

    def _is_neglected(self) -> bool:
        if self._waits_since is None or self._undone_since is None:
            return False
        # A process that has just begun to wait may come before the one that will do the work.
        return min(self._clock() - self._undone_since, self._clock() - self._waits_since) > self._tolerance


def _described(holder: Any) -> str:
    # Of sessions of other roles the database shows the process id only, unless the role may see
    # more.
    name, address, began = holder["application_name"], holder["address"], holder["backend_start"]
    parts = (
        f"session {holder['pid']}",
        f" of {name!r}" if name else "",
        f" at {address}" if address else "",
        f", since {began:%Y-%m-%d %H:%M:%S} UTC" if began else "",
    )
    return (
        f"another process has the lock for it and does not do it ({''.join(parts)}); "
        "end that, and another takes over"
    )
