"""The rule by which a supervisor finds out that a worker hangs."""

from datetime import timedelta

# So many pings in a row without an answer make a worker hang: one alone may get lost in our own delays.
TOLERATED_PINGS = 10
# From so many on it counts as not serving, though it may come back.
SUSPICIOUS_PINGS = 5
STARTING = timedelta(seconds=60)
"""
The patience with a worker that does not serve yet.

It holds nobody up, for it does not listen. Importing everything from a slow disk may hold up its event loop for long, and one that
was killed for that would never start.
"""


class Heartbeat:
    """
    Counts the pings in a row that a worker did not answer until the next one was due.

    It counts what the supervisor did and not what a clock says. A supervisor that was suspended, or was denied the processor, sent
    nothing in that time, so all of it counts as a single ping.
    """

    def __init__(self, worker_timeout: timedelta) -> None:
        self._timeout = worker_timeout
        self._answered = False
        self.unanswered = 0
        self.serves = False
        """Whether the worker has said that it serves; set by whoever heard that."""

    @property
    def interval(self) -> timedelta:
        """How long after a ping the next one is due."""
        return self._timeout / TOLERATED_PINGS

    def heard(self) -> None:
        """Note that anything came from the worker, which only a running event loop sends."""
        self._answered = True

    def ping_is_over(self) -> None:
        """Note that the next ping is due."""
        self.unanswered = 0 if self._answered else self.unanswered + 1
        self._answered = False

    @property
    def is_suspicious(self) -> bool:
        """Whether the worker has not answered for so long that nobody should rely on it."""
        return self.unanswered >= SUSPICIOUS_PINGS

    @property
    def is_hung(self) -> bool:
        """Whether nothing more is expected of the worker."""
        return self.unanswered * self.interval >= self.patience

    @property
    def patience(self) -> timedelta:
        """How long the worker may leave pings unanswered now."""
        return self._timeout if self.serves else max(self._timeout, STARTING)
