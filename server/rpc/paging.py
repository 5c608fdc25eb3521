"""Pages of lists: page tokens, bound to a list and its filters, and pages that fit an answer."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from server.domain.alerts import EventKey
from server.domain.errors import InvalidPageTokenError, ResponseTooLargeError
from server.domain.ports import PageKey
from server.rpc.validate import EPOCH, Check

Item = TypeVar("Item")
Key = TypeVar("Key", bound=tuple[object, ...])
Encoded = TypeVar("Encoded", bound=Message | bytes)

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
_DIGEST_BYTES = 8
_MAX_TOKEN_LENGTH = 4_096
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


class PageTokens:
    """
    Writes and reads the tokens of one list with certain filters.

    A token is base64url of a digest and a position. The digest covers the name of the list, the
    filters and the position, so the token of another list and a changed token are refused. This
    guards against mistakes; it is no secret.
    """

    def __init__(self, list_name: str, filters: object) -> None:
        self._scope = f"{list_name}/{filters!r}/".encode()

    def of_row(self, key: PageKey | None) -> str:
        """Write the token of a newest-first list; empty when there is no next page."""
        if key is None:
            return ""
        return self._write((key.created_at - EPOCH) // _MICROSECOND, key.id.hex)

    def row(self, check: Check, token: str) -> PageKey | None:
        """Read such a token; None = from the start."""
        return self._read(check, token, lambda age, key: PageKey(EPOCH + age * _MICROSECOND, UUID(hex=key)))

    def of_component(self, key: ComponentKey | None) -> str:
        """Write the token of a list of components; empty when there is no next page."""
        return "" if key is None else self._write(*key)

    def component(self, check: Check, token: str) -> ComponentKey | None:
        """Read such a token; None = from the start."""
        return self._read(check, token, ComponentKey)

    def of_name(self, name: str) -> str:
        """Write the token of a list of names in order; empty when there is no next page."""
        return self._write(0, name) if name else ""

    def name(self, check: Check, token: str) -> str:
        """Read such a token; empty = from the start."""
        return self._read(check, token, lambda _, name: name) or ""

    def of_event(self, key: EventKey | None) -> str:
        """Write the token of a history; empty when there is no next page."""
        return "" if key is None else self._write(key.id, "")

    def event(self, check: Check, token: str) -> EventKey | None:
        """Read such a token; None = from the start."""
        return self._read(check, token, lambda key, _: EventKey(key))

    def of_pair(self, key: PairKey | None) -> str:
        """Write the token of a list of pairs; empty when there is no next page."""
        return "" if key is None else self._write(len(key.source), key.source + key.target)

    def pair(self, check: Check, token: str) -> PairKey | None:
        """Read such a token; None = from the start."""
        return self._read(check, token, lambda length, names: PairKey(names[:length], names[length:]))

    def _write(self, rank: int, key: str) -> str:
        plain = f"{rank}/{key}".encode()
        return base64.urlsafe_b64encode(self._digest(plain) + plain).decode().rstrip("=")

    def _read(self, check: Check, token: str, build: Callable[[int, str], Item]) -> Item | None:
        if not token:
            return None
        try:
            rank, _, key = self._verified(token).decode().partition("/")
            return build(int(rank), key)
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
