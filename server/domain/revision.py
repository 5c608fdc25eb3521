"""
Which snapshot of which database: the arithmetic behind freshness and revision tokens.

A replica stands at a whole ``pg_snapshot``, not a number: transactions do not finish in the order
in which they began. A *write's* revision is the id of its transaction, an *answer's* the snapshot
that it came from. A snapshot holds a write if it sees its transaction as finished, and another
snapshot if it sees everything that one saw.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from server.domain.errors import InvalidRevisionError

_MAX_TOKEN_LENGTH = 16_384
_LAST_XID = 2**63 - 1
_PLAIN = re.compile(r"(?P<feed>\d+:\d+:[0-9a-f-]{36})/(?P<position>\d+(?P<snapshot>:\d+:[\d,]*)?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    A ``pg_snapshot``; ``text`` is PostgreSQL's own form, ``xmin:xmax:xip,…``.

    Transactions below ``xmin`` are finished, those from ``xmax`` on have not begun, and those in
    ``in_progress`` lie between them. Ids have 64 bits and never wrap around.
    """

    text: str
    xmin: int
    xmax: int
    in_progress: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        """Read PostgreSQL's form; ``ValueError`` on anything that the database would not make."""
        xmin, xmax, in_progress = text.split(":")
        running = [int(xid) for xid in in_progress.split(",") if xid]
        bounds = [int(xmin), *running, int(xmax)]
        if bounds != sorted(bounds) or bounds[-1] > _LAST_XID or int(xmax) in running:
            raise ValueError(text)
        return cls(text, int(xmin), int(xmax), frozenset(running))

    def sees(self, xid: int) -> bool:
        """Whether the transaction had finished, committed or not, when the snapshot was taken."""
        return xid < self.xmax and xid not in self.in_progress

    def shows_the_end_of_any(self, xids: Iterable[int], since: "Snapshot") -> bool:
        """Whether any of these transactions is finished here and not in the earlier snapshot."""
        return any(self.sees(xid) and not since.sees(xid) for xid in xids)

    def covers(self, other: "Snapshot") -> bool:
        """Whether it sees everything that ``other`` sees. O(transactions in progress)."""
        return self.xmax >= other.xmax and not any(other.sees(xid) for xid in self.in_progress)


def in_progress(snapshot: str | None) -> frozenset[int]:
    """Read which transactions were in progress in a snapshot's text; None = no snapshot."""
    return frozenset() if snapshot is None else Snapshot.parse(snapshot).in_progress


@dataclass(frozen=True, slots=True)
class Revision:
    """
    The meaning of a token: transaction ``xid``, or everything in ``snapshot``, of ``feed_id``.

    ``feed_id`` names one run of one database between crashes: ``system identifier:database
    oid:incarnation``.
    """

    feed_id: str
    xid: int | None = None
    snapshot: Snapshot | None = None

    def held_by(self, snapshot: Snapshot) -> bool:
        """Whether a replica of the same database at ``snapshot`` holds this revision."""
        if self.snapshot is not None:
            return snapshot.covers(self.snapshot)
        return self.xid is not None and snapshot.sees(self.xid)

    @property
    def token(self) -> str:
        """The opaque text that callers keep."""
        position = self.snapshot.text if self.snapshot is not None else str(self.xid)
        plain = f"{self.feed_id}/{position}".encode()
        return base64.urlsafe_b64encode(plain).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> "Revision":
        """
        Read a token, or the plain form that the database makes and people copy out of ``psql``.

        ``InvalidRevisionError`` if no server or database of ours can have made it.
        """
        if not 0 < len(token) <= _MAX_TOKEN_LENGTH:
            raise _not_ours()
        try:
            if ":" in token:
                return cls.of(token)
            padded = token.encode("ascii") + b"=" * (-len(token) % 4)
            return cls.of(base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii"))
        except (ValueError, binascii.Error):
            raise _not_ours() from None

    @classmethod
    def of(cls, plain: str) -> "Revision":
        """Read the plain form, ``feed id/xid`` or ``feed id/snapshot``; else ``ValueError``."""
        found = _PLAIN.fullmatch(plain)
        if found is None:
            raise ValueError(plain)
        if found["snapshot"]:
            return cls(found["feed"], snapshot=Snapshot.parse(found["position"]))
        xid = int(found["position"])
        if xid > _LAST_XID:
            raise ValueError(plain)
        return cls(found["feed"], xid=xid)


def _not_ours() -> InvalidRevisionError:
    return InvalidRevisionError("the revision is not one that this service gave: pass a token on as it came")
