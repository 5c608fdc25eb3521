"""Pages of lists: page tokens, bound to a list and its filters, and pages that fit an answer."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from server.domain.alerts import EventKey
from server.domain.errors import InvalidPageTokenError, ResponseTooLargeError
from server.domain.ports import PageKey
from server.domain.writes import WriteKey
from server.rpc.validate import EPOCH, Check

Item = TypeVar("Item")
Key = TypeVar("Key")
Encoded = TypeVar("Encoded", bound=Message | bytes)

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
_DIGEST_BYTES = 8
# A position among changes holds two snapshots.
_MAX_TOKEN_LENGTH = 32_768
_MICROSECOND = timedelta(microseconds=1)
# Room for the page token, counts and freshness; for the tag and length of a record.
PAGE_OVERHEAD = 24 * 1024
_RECORD_OVERHEAD = 6


class ComponentKey(NamedTuple):
    """The position in a list of components: size and first member of the last one shown."""

    size: int
    first_member: str


class PairKey(NamedTuple):
    """The position in a list of pairs of services: the names of the last one shown."""

    source: str
    target: str


class ChangeKey(NamedTuple):
    """
    The position in a list of changes: number and distance of the last one shown.

    ``window`` says as a text between which states the list is, so that all pages show the same.
    """

    seq: int
    hops: int
    window: str


@dataclass(frozen=True)
class Position(Generic[Key]):
    """How a token holds the position in a list: as a number and a text."""

    write: Callable[[Key], tuple[int, str]]
    read: Callable[[int, str], Key]


# Lists of rows are newest first; ``NAMES`` are texts in order.
ROWS = Position[PageKey](
    lambda key: ((key.created_at - EPOCH) // _MICROSECOND, key.id.hex),
    lambda age, key: PageKey(EPOCH + age * _MICROSECOND, UUID(hex=key)),
)
COMPONENTS = Position[ComponentKey](lambda key: key, ComponentKey)
NAMES = Position[str](lambda name: (0, name), lambda _, name: name)
EVENTS = Position[EventKey](lambda key: (key.id, ""), lambda key, _: EventKey(key))
WRITES = Position[WriteKey](
    lambda key: ((key.written_at - EPOCH) // _MICROSECOND, str(key.id)),
    lambda age, key: WriteKey(EPOCH + age * _MICROSECOND, int(key)),
)
PAIRS = Position[PairKey](
    lambda key: (len(key.source), key.source + key.target),
    lambda length, names: PairKey(names[:length], names[length:]),
)


def _change_key(seq: int, text: str) -> ChangeKey:
    hops, _, window = text.partition("/")
    return ChangeKey(seq, int(hops), window)


CHANGES = Position[ChangeKey](lambda key: (key.seq, f"{key.hops}/{key.window}"), _change_key)


class PageTokens(Generic[Key]):
    """
    Writes and reads the tokens of one list with certain filters.

    A token is base64url of a digest and a position. The digest covers the name of the list, the
    filters and the position, so the token of another list and a changed token are refused. This
    guards against mistakes; it is no secret.
    """

    def __init__(self, list_name: str, filters: object, position: Position[Key]) -> None:
        self._scope = f"{list_name}/{filters!r}/".encode()
        self._position = position

    def write(self, key: Key | None) -> str:
        """Write the token of a position; empty when there is no next page."""
        if not key:
            return ""
        rank, text = self._position.write(key)
        plain = f"{rank}/{text}".encode()
        return base64.urlsafe_b64encode(self._digest(plain) + plain).decode().rstrip("=")

    def read(self, check: Check, token: str) -> Key | None:
        """Read a token; None = from the start."""
        if not token:
            return None
        try:
            rank, _, text = self._verified(token).decode().partition("/")
            return self._position.read(int(rank), text)
        except (ValueError, OverflowError):
            check.add("page_token", "not a token of this list with these filters", InvalidPageTokenError)
            return None

    def _verified(self, token: str) -> bytes:
        if len(token) > _MAX_TOKEN_LENGTH:
            raise ValueError(len(token))
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        digest, plain = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if digest != self._digest(plain):
            raise ValueError(token)
        return plain

    def _digest(self, plain: bytes) -> bytes:
        return hashlib.sha256(self._scope + plain).digest()[:_DIGEST_BYTES]


def page_size(check: Check, wanted: int) -> int:
    """Read the number of items on a page: 0 stands for 100."""
    return (
        check.number("page_size", wanted, 0, MAX_PAGE_SIZE, f"0 = {DEFAULT_PAGE_SIZE}") or DEFAULT_PAGE_SIZE
    )


def fitted_page(
    rows: Sequence[Item],
    following: Key | None,
    encode: Callable[[Item], Encoded],
    key_of: Callable[[Item], Key],
    max_bytes: int,
) -> tuple[list[Encoded], Key | None]:
    """
    Encode a page as far as it fits one answer; returns the position after it, too (None = the end).

    So a page may be shorter than wanted. Raises ``ResponseTooLargeError`` when its first row alone
    does not fit. O(rows).
    """
    encoded: list[Encoded] = []
    room = max_bytes - PAGE_OVERHEAD
    for row in rows:
        message = encode(row)
        room -= (len(message) if isinstance(message, bytes) else message.ByteSize()) + _RECORD_OVERHEAD
        if room < 0:
            break
        encoded.append(message)
    if len(encoded) == len(rows):
        return encoded, following
    if not encoded:
        raise ResponseTooLargeError(
            f"one item of the page takes more than the response limit of {max_bytes:,} bytes: "
            "raise the server's limit",
            limit_bytes=str(max_bytes),
        )
    return encoded, key_of(rows[len(encoded) - 1])
