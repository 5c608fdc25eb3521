"""The load that callers put on this process: bytes of large requests, bytes of unsent answers."""

from typing import NamedTuple

from server.config import Limits, flag
from server.domain.errors import OverloadedError, UnreadAnswersError

# gRPC keeps more than this for any call, so shorter answers and parts of streams are not counted.
UNCOUNTED_BYTES = 4 * 1024
_UNIX = "unix:"
_EXTRA_FOR_READERS = 4


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

    def check(self, peer: str) -> None:
        """Raise ``UnreadAnswersError`` if ``peer`` may get no further answer."""
        self._check(peer, 0)

    def take(self, peer: str, size: int, *, owed: bool = False) -> None:
        """
        Count an answer to ``peer`` in; raises ``UnreadAnswersError`` if that is too much.

        ``owed`` = it reports a write that is committed, so it is sent in any case.
        """
        if not owed:
            self._check(peer, size)
        self.total += size
        self._of[peer] = self._of.get(peer, 0) + size

    def _check(self, peer: str, size: int) -> None:
        of_peer = 0 if peer.startswith(_UNIX) else self._of.get(peer, 0)
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
