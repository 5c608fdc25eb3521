"""Requests from bytes to messages, without harm to other calls whatever the bytes hold."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from server.concurrency.cooperative_yield import CooperativeYield
from server.config import Limits
from server.domain.errors import InvalidInputError
from server.rpc.errors import UNREADABLE
from server.rpc.load import RequestBytes
from server.rpc.request_bounds import SMALL_BYTES, RequestBounds

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Large requests of one method in work at once. Others wait as bytes: a tenth of the memory.
_AT_ONCE = 4
# Parsed in two milliseconds at most.
_PART_BYTES = SMALL_BYTES // 2
# Items of a batch that take so long to convert that a thread is worth it.
_MANY_ITEMS = 200


class RequestReader:
    """
    Reads the requests of one method; made when the method is registered.

    Small ones are parsed in one go. Large ones are checked first and parsed in parts, between
    which other calls run; only a few of them are in work at a time.
    """

    def __init__(self, method: str, limits: Limits, large: RequestBytes) -> None:
        request = _request_of(method)
        self._make: Callable[[], Message] = GetMessageClass(request)
        self._bounds = RequestBounds(request, limits)
        self._large = large
        self._in_work = asyncio.Semaphore(_AT_ONCE)

    def read(self, request: bytes) -> Any:
        """
        Parse a small request; None = it is a large one, for ``reading``.

        Raises ``RequestTooLargeError`` and ``InvalidInputError``.
        """
        self._bounds.check_size(request)
        if len(request) > SMALL_BYTES:
            return None
        message = self._make()
        _merge(message, request)
        return message

    @asynccontextmanager
    async def reading(self, request: bytes) -> AsyncIterator[Any]:
        """
        Parse a large request whose size ``read`` has checked, and count it until the context ends.

        Raises ``OverloadedError`` and ``InvalidInputError``.
        """
        size = len(request)
        self._large.take(size)
        try:
            async with self._in_work:
                yield await self._read_in_parts(request)
        finally:
            self._large.give_back(size)

    async def _read_in_parts(self, request: bytes) -> Message:
        message, yielding = self._make(), CooperativeYield()
        for part in self._bounds.parts(request, _PART_BYTES):
            _merge(message, part)
            await yielding.checkpoint()
        return message


async def convert(
    items: int, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """
    Convert a batch between messages and domain values: call ``work``, in a thread for many items.

    10,000 rows take a tenth of a second, for which no other call should have to wait.
    """
    if items < _MANY_ITEMS:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def _merge(message: Message, part: Any) -> None:
    try:
        message.MergeFromString(part)
    except DecodeError:
        raise InvalidInputError(UNREADABLE) from None


def _request_of(method: str) -> Descriptor:
    """Look up the request message of a method by its full name ``/package.Service/Method``."""
    service, name = method.removeprefix("/").split("/")
    request: Descriptor = Default().FindServiceByName(service).methods_by_name[name].input_type
    return request
