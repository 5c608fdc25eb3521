"""Requests on their way from bytes to messages, without harm to anybody else whatever they hold."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from server.concurrency.cooperative_yield import CooperativeYield
from server.config import Limits, flag
from server.domain.errors import InvalidInputError, OverloadedError
from server.rpc.errors import UNREADABLE
from server.rpc.request_bounds import SMALL_BYTES, RequestBounds

# Large requests of one method that are worked on at once. The others wait as bytes, which take a tenth of the memory.
_AT_ONCE = 4
# Read in two milliseconds at most.
_PART_BYTES = SMALL_BYTES // 2


class RequestBytes:
    """The bytes of large requests that a process holds now, and how many it may."""

    def __init__(self, most: int) -> None:
        self.held = 0
        self._most = most
        self._full = OverloadedError(
            f"the server works on as many bytes of large requests as it may, {most:,}: try again, send less at a time, "
            f"or have its {flag('requests_bytes')} raised",
            limit="requests_bytes",
        )

    def take(self, size: int) -> None:
        """Count a request in; raises ``OverloadedError``."""
        if self.held and self.held + size > self._most:
            raise self._full
        self.held += size

    def give_back(self, size: int) -> None:
        """Count a request out."""
        self.held -= size


class RequestReader:
    """
    Reads the requests of one method; made when it is registered.

    Small ones are read at once. Large ones, of which only a few are worked on at a time, are looked through before and read in parts, between which others
    have their turn.
    """

    def __init__(self, method: str, limits: Limits, large: RequestBytes, *, as_bytes: bool) -> None:
        request = _request_of(method)
        self._make: Callable[[], Message] = GetMessageClass(request)
        self._bounds = RequestBounds(request, limits)
        self._large = large
        self._as_bytes = as_bytes
        self._at_work = asyncio.Semaphore(_AT_ONCE)

    def read(self, request: bytes) -> Any:
        """
        Read a small request; None = it is a large one, for ``reading``.

        Raises ``RequestTooLargeError`` and ``InvalidInputError``.
        """
        self._bounds.check_size(request)
        if len(request) > SMALL_BYTES:
            return None
        if self._as_bytes:
            return request
        message = self._make()
        _merge(message, request)
        return message

    @asynccontextmanager
    async def reading(self, request: bytes) -> AsyncIterator[Any]:
        """
        Read a large request that ``read`` found to be small enough, and count it as being worked on while the context lasts.

        Raises ``OverloadedError``, ``InvalidInputError``.
        """
        size = len(request)
        self._large.take(size)
        try:
            async with self._at_work:
                yield await self._read_in_parts(request)
        finally:
            self._large.give_back(size)

    async def _read_in_parts(self, request: bytes) -> Any:
        message, yielding = self._make(), CooperativeYield()
        for part in self._bounds.parts(request, _PART_BYTES):
            _merge(message, part)
            await yielding.checkpoint()
        return request if self._as_bytes else message


def _merge(message: Message, part: Any) -> None:
    try:
        message.MergeFromString(part)
    except DecodeError:
        raise InvalidInputError(UNREADABLE) from None


def _request_of(method: str) -> Descriptor:
    """Look up the message that a method takes, by the method's full name ``/package.Service/Method``."""
    service, name = method.removeprefix("/").split("/")
    request: Descriptor = Default().FindServiceByName(service).methods_by_name[name].input_type
    return request
