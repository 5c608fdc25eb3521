"""The bodies of requests: received up to a bound, unpacked, and counted while they are held."""

import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.types import Receive

from server.concurrency import CooperativeYield
from server.config import KIB, Limits
from server.domain.errors import InvalidInputError
from server.rpc.admission import RequestBytes
from server.rpc.reading import SMALL_BYTES, RequestBounds

IDENTITY, GZIP = "identity", "gzip"
_GZIP_WINDOW = 31
_UNPACKED_AT_ONCE = 64 * KIB


class CallerGoneError(Exception):
    """The caller has closed the connection."""


class Bodies:
    """
    Receives bodies; the large ones of all callers together are bounded, apart from those of gRPC.

    A caller that sends a body slowly, or many of them, keeps others from sending large ones by
    HTTP, and from nothing else.
    """

    def __init__(self, limits: Limits) -> None:
        self.held = RequestBytes(limits.max_requests_bytes)

    @asynccontextmanager
    async def received(
        self, receive: Receive, headers: Mapping[str, str], bounds: RequestBounds
    ) -> AsyncIterator[bytes]:
        """
        Give a whole body, which may be packed by gzip, counted until the context ends.

        Raises ``RequestTooLargeError`` as soon as it is too long, ``OverloadedError`` when others
        hold too much, ``InvalidInputError`` or ``CallerGoneError``.
        """
        is_packed = headers.get("content-encoding", IDENTITY) == GZIP
        if not is_packed and (length := headers.get("content-length", "")).isdecimal():
            bounds.check_size(int(length))
        parts: list[bytes] = []
        size = counted = 0
        try:
            async for part in _unpacked(receive, bounds) if is_packed else _parts(receive):
                size += len(part)
                bounds.check_size(size)
                if size > SMALL_BYTES:
                    self.held.take(size - counted)
                    counted = size
                parts.append(part)
            body = b"".join(parts)
            parts.clear()
            yield body
        finally:
            self.held.give_back(counted)


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] != "http.request":
            raise CallerGoneError
        has_more = message.get("more_body", False)
        yield message.get("body", b"")


async def _unpacked(receive: Receive, bounds: RequestBounds) -> AsyncIterator[bytes]:
    """Unpack a little at a time: a kilobyte may hold a megabyte."""
    unpacker, yielding = zlib.decompressobj(_GZIP_WINDOW), CooperativeYield()
    received = 0
    try:
        async for part in _parts(receive):
            received += len(part)
            # Also a body without end that unpacks to nothing.
            bounds.check_size(received)
            packed = part
            while packed:
                yield unpacker.decompress(packed, _UNPACKED_AT_ONCE)
                packed = unpacker.unconsumed_tail
                await yielding.checkpoint()
    except zlib.error as error:
        raise InvalidInputError(f"the body can't be unpacked by gzip: {error}") from None
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidInputError("the body is not one whole gzip file")
