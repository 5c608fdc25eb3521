"""Looks at the database: which have begun, and which are done."""

import time
from datetime import timedelta


class Readings:
    """Numbers every look at the database, so that a reader can wait for one that began after its request."""

    def __init__(self) -> None:
        self._begun = self._done = 0
        self._began_at = self._level_at = 0.0

    def begin(self) -> int:
        """Say that a snapshot is about to be taken; returns the ticket that its result comes with."""
        self._begun += 1
        self._began_at = time.monotonic()
        return self._begun

    def end(self, ticket: int) -> None:
        """Say that memory is at the snapshot of this ticket."""
        if ticket != self._begun:
            raise ValueError(ticket)
        self._done = ticket
        self._level_at = self._began_at

    @property
    def next(self) -> int:
        """The ticket of the next look, the first one that counts for whoever asks now."""
        return self._begun + 1

    def is_done(self, ticket: int) -> bool:
        """Whether memory is at the snapshot of this ticket, or of a later one."""
        return self._done >= ticket

    @property
    def lag(self) -> timedelta:
        """Time since memory was last known to be level with the database."""
        return timedelta(seconds=time.monotonic() - self._level_at)
