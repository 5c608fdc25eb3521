"""Answers that are made and not sent yet, because nobody reads them."""

from server.config import Limits
from server.domain.errors import UnreadAnswersError

# What gRPC keeps for any call takes more: answers, and parts of streams, that are no longer are not counted.
UNCOUNTED_BYTES = 4 * 1024
_UNIX = "unix:"
_MORE_FOR_READERS = 4


class UnsentAnswers:
    """
    Counts the bytes of answers that wait to be sent, of each connection and of all.

    Connections through a Unix socket can't be told apart, so for them only the limit of all counts. A single answer is sent however large it is. A
    connection that has read all of its answers is let go a quarter beyond the limit of all, so that those who don't read do no harm to those who do.
    """

    def __init__(self, limits: Limits) -> None:
        self.total = 0
        self._most = limits.max_unsent_bytes
        self._most_of_one = limits.max_unsent_bytes_per_connection
        self._of: dict[str, int] = {}

    def check(self, peer: str) -> None:
        """Raise ``UnreadAnswersError`` if ``peer`` is to be given no more answers now: before one is made."""
        self._check(peer, 0)

    def take(self, peer: str, size: int, *, owed: bool = False) -> None:
        """
        Count an answer in, which is on its way to ``peer`` now; raises ``UnreadAnswersError`` instead when that is too much.

        ``owed`` = it is told what was written, so it is sent anyway.
        """
        if not owed:
            self._check(peer, size)
        self.total += size
        self._of[peer] = self._of.get(peer, 0) + size

    def _check(self, peer: str, size: int) -> None:
        of_peer = 0 if peer.startswith(_UNIX) else self._of.get(peer, 0)
        if of_peer and of_peer + size > self._most_of_one:
            raise UnreadAnswersError(
                f"{of_peer:,} bytes of answers wait to be read on this connection, of which there may be {self._most_of_one:,}: read them, "
                "ask for less at a time, or have the server's --max-unsent-bytes-per-connection raised",
                limit="unsent_bytes_per_connection",
            )
        most = self._most if of_peer else self._most + self._most // _MORE_FOR_READERS
        if self.total and self.total + size > most:
            raise UnreadAnswersError(
                f"{self.total:,} bytes of answers wait to be read on all connections, of which there may be {self._most:,}: try again, "
                "or have the server's --max-unsent-bytes raised",
                limit="unsent_bytes",
            )

    def give_back(self, peer: str, size: int) -> None:
        """Count out an answer that is sent, or never will be."""
        self.total -= size
        left = self._of[peer] - size
        if left:
            self._of[peer] = left
        else:
            del self._of[peer]
