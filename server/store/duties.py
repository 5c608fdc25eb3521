"""
Whether any process does the work that one process at a time does.

A process that waits for the lock reads that from the database.
"""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from server.store import query

DID = query("single_runner_did")
_HOLDER = query("single_runner_holder")
# The names of our sessions, unless the URL names them otherwise.
OURS = "depgraph "


class DutyWatch:
    """
    What a waiting process knows of the one that has the lock for a duty.

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
        """
        Note that this process can't ask for the lock, and why.

        It neither does the work nor knows whether another process does.
        """
        if self._blind_since is None:
            self._blind_since = self._clock()
        self._blind_because = cause

    def asked(self) -> None:
        """Note that the database answered; another process may have the lock."""
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
            if undone_for is None and holder is not None and _may_be_older(holder):
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


def _may_be_older(holder: Any) -> bool:
    return str(holder["application_name"]).startswith(OURS)


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
