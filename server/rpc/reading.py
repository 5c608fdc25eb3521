"""Requests from bytes to messages: bounds, checked before they are parsed, and reading in parts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct

from server.concurrency import CooperativeYield
from server.config import KIB, Limits, flag
from server.domain.errors import FieldViolation, InvalidInputError, RequestTooLargeError, TooManyItemsError
from server.rpc.admission import RequestBytes
from server.rpc.errors import UNREADABLE
from server.rpc.metadata import MAX_STRUCT_BYTES

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# A message takes up to 60 times the memory of its bytes, and parsing a tenth of a second for 3 MiB.
# A request of this size does no harm, whatever it holds.
SMALL_BYTES: Final = 64 * KIB
_MAX_ITEM_BYTES = 64 * KIB
_MAX_METADATA_ITEM_BYTES = MAX_STRUCT_BYTES + 64 * KIB
# Fields of a request outside lists.
_MOST_SINGLE_FIELDS = 1_000
_MOST_BYTES_A_VARINT = 10
_MORE_FOLLOW = 0x80
_WIRE_VARINT, _WIRE_64, WIRE_BYTES, _WIRE_GROUP, _WIRE_END_GROUP, _WIRE_32 = range(6)
_FIXED = {_WIRE_64: 8, _WIRE_32: 4}
_GROUPS = {_WIRE_GROUP: 1, _WIRE_END_GROUP: -1}
# Large requests of one method in work at once. Others wait as bytes: a tenth of the memory.
_AT_ONCE = 4
# Parsed in two milliseconds at most.
_PART_BYTES = SMALL_BYTES // 2
_OTLP_LIMIT = "otlp_request_bytes"
# Items of a batch that take so long to convert that a thread is worth it.
_MANY_ITEMS = 200


@dataclass(frozen=True, slots=True)
class _Field:
    """A field whose values have a length: a list of ``most`` items, or a field written so often."""

    number: int
    name: str
    is_list: bool
    most: int
    max_bytes: int


class RequestBounds:
    """
    The bounds of one method's requests, derived from the fields of their message.

    ``max_bytes`` is the size of a whole request. A list may have ``max_items``; an item, or a field
    that is a message, may take 64 KiB, or what its free-form metadata may take.
    """

    def __init__(self, request: Descriptor, limits: Limits) -> None:
        self._fields = {
            field.number: _bounded(field, limits) for field in request.fields if _has_length(field)
        }
        self._numbers = {
            name: field.number for field in request.fields for name in (field.name, field.json_name)
        }
        lists = [field.most for field in self._fields.values() if field.is_list]
        self._has_lists = bool(lists)
        self._most_fields = _MOST_SINGLE_FIELDS + sum(lists)
        if _holds_metadata(request):
            self.max_bytes, self.limit = limits.max_metadata_request_bytes, "metadata_request_bytes"
        elif lists:
            self.max_bytes, self.limit = limits.max_request_bytes, "request_bytes"
        else:
            self.max_bytes, self.limit = limits.max_question_bytes, "question_bytes"

    def check_size(self, size: int) -> None:
        """Raise ``RequestTooLargeError`` for a request of more than ``max_bytes``."""
        if size > self.max_bytes:
            instead = (
                "send fewer items at a time" if self._has_lists else "no question of this kind is so long"
            )
            raise RequestTooLargeError(
                f"the request takes {size:,} bytes; "
                f"at most {self.max_bytes:,} fit a call of this method: {instead}, "
                f"or have the server's {flag(self.limit)} raised",
                limit=self.limit,
                limit_bytes=str(self.max_bytes),
            )

    def max_bytes_of(self, name: str) -> int:
        """Return what a field, or an item of its list, may take, by its name here or in JSON."""
        field = self._fields.get(self._numbers.get(name, 0))
        return _MAX_ITEM_BYTES if field is None else field.max_bytes

    def check_count(self, name: str, count: int) -> None:
        """Raise ``TooManyItemsError`` for a list of more than its field may have."""
        field = self._fields.get(self._numbers.get(name, 0))
        if field is not None and count > field.most:
            _refuse(field, count, 0)

    def parts(self, request: bytes, size: int) -> Iterator[bytes]:
        """
        Cut a request into parts of whole fields, about ``size`` bytes; merged they are the message.

        Raises ``InvalidInputError`` with the field that has too many or too large items, before it
        yields the part that holds them. A quarter of a microsecond a field.
        """
        whole = len(request)
        fields, counts = self._fields, dict.fromkeys(self._fields, 0)
        begin = at = groups = 0
        for _ in range(self._most_fields + 1):
            if at - begin >= size and not groups:
                yield request[begin:at]
                begin = at
            if at >= whole:
                break
            tag = request[at]
            at += 1
            if tag >= _MORE_FOLLOW:
                tag, at = varint(request, at - 1)
            kind = tag & 7
            if kind == WIRE_BYTES:
                length, at = varint(request, at)
                at += length
                if (field := fields.get(tag >> 3)) is not None and not groups:
                    counts[field.number] += 1
                    if counts[field.number] > field.most or length > field.max_bytes:
                        _refuse(field, counts[field.number], length)
            elif kind in _GROUPS:
                groups += _GROUPS[kind]
            else:
                at = after_number(request, at, kind)
        else:
            raise InvalidInputError(
                f"the request has more than {self._most_fields:,} fields, most of them unknown to this server"
            )
        if at != whole or groups:
            raise InvalidInputError(UNREADABLE)
        yield request[begin:]


def bounds_of(method: str, limits: Limits) -> RequestBounds:
    """Derive the bounds of a method's requests, by its full name ``/package.Service/Method``."""
    return RequestBounds(_request_of(method), limits)


def _refuse(field: _Field, count: int, length: int) -> None:
    error = InvalidInputError
    if count > field.most:
        path, wrong = (
            field.name,
            f"has more than {field.most:,} items; at most {field.most:,} fit one call, so split it",
        )
        error = TooManyItemsError
    else:
        path = f"{field.name}[{count - 1}]" if field.is_list else field.name
        wrong = f"takes {length:,} bytes; at most {field.max_bytes:,} are allowed"
    raise error(f"{path}: {wrong}", violations=[FieldViolation(path, wrong)])


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """Read a number; returns it and the position after it."""
    byte = raw[at] if at < len(raw) else _MORE_FOLLOW
    if byte < _MORE_FOLLOW:
        return byte, at + 1
    value = shift = 0
    for byte in raw[at : at + _MOST_BYTES_A_VARINT]:
        at += 1
        if byte < _MORE_FOLLOW:
            return value | byte << shift, at
        value |= (byte & _MORE_FOLLOW - 1) << shift
        shift += 7
    raise InvalidInputError(UNREADABLE)


def after_number(request: bytes, at: int, kind: int) -> int:
    """Return the position after a value that is a number; ``kind`` is its wire type."""
    if kind == _WIRE_VARINT:
        return varint(request, at)[1]
    if kind not in _FIXED:
        raise InvalidInputError(UNREADABLE)
    return at + _FIXED[kind]


def _bounded(field: FieldDescriptor, limits: Limits) -> _Field:
    message = field.message_type
    # Words of a filter are few: a question that has some stays a question.
    is_list = field.is_repeated and field.enum_type is None
    return _Field(
        field.number,
        field.name,
        is_list=is_list,
        most=limits.max_items if is_list else _MOST_SINGLE_FIELDS,
        max_bytes=_MAX_METADATA_ITEM_BYTES
        if message is not None and _holds_metadata(message)
        else _MAX_ITEM_BYTES,
    )


def _has_length(field: FieldDescriptor) -> bool:
    """Whether its values are encoded with their length: all but single numbers."""
    return field.is_repeated or field.type in {
        FieldDescriptor.TYPE_MESSAGE,
        FieldDescriptor.TYPE_STRING,
        FieldDescriptor.TYPE_BYTES,
    }


def _holds_metadata(message: Descriptor) -> bool:
    """Whether a ``Struct`` is anywhere in it, whose nesting has no end."""
    return message.full_name == Struct.DESCRIPTOR.full_name or any(
        _holds_metadata(field.message_type) for field in message.fields if field.message_type is not None
    )


class _Reader:
    """Lets few large requests of one method be in work at a time, and counts their bytes."""

    def __init__(self, large: RequestBytes) -> None:
        self._large = large
        self._in_work = asyncio.Semaphore(_AT_ONCE)

    @asynccontextmanager
    async def reading(self, request: bytes) -> AsyncIterator[Any]:
        """Read a large request that ``read`` has checked, and count it until the context ends."""
        size = len(request)
        self._large.take(size)
        try:
            async with self._in_work:
                yield await self._read_large(request)
        finally:
            self._large.give_back(size)

    async def _read_large(self, request: bytes) -> Any:
        return request


class RequestReader(_Reader):
    """
    Reads the requests of one method; made when the method is registered.

    Small ones are parsed in one go. Large ones are checked first and parsed in parts, between
    which other calls run; only a few of them are in work at a time.
    """

    def __init__(self, method: str, limits: Limits, large: RequestBytes) -> None:
        self._make: Callable[[], Message] = GetMessageClass(_request_of(method))
        self._bounds = bounds_of(method, limits)
        super().__init__(large)

    def read(self, request: bytes) -> Any:
        """Check the size, and parse a small request; None = it is large, for ``reading``."""
        self._bounds.check_size(len(request))
        if len(request) > SMALL_BYTES:
            return None
        message = self._make()
        _merge(message, request)
        return message

    async def _read_large(self, request: bytes) -> Message:
        message, yielding = self._make(), CooperativeYield()
        for part in self._bounds.parts(request, _PART_BYTES):
            _merge(message, part)
            await yielding.checkpoint()
        return message


class UnparsedReader(_Reader):
    """Passes requests on as bytes, to a handler that parses them by itself, part by part."""

    def __init__(self, limits: Limits, large: RequestBytes) -> None:
        self._most = limits.max_otlp_request_bytes
        super().__init__(large)

    def read(self, request: bytes) -> bytes | None:
        """Check the size; None = the request is large, for ``reading``."""
        if len(request) > self._most:
            raise RequestTooLargeError(
                f"the request takes {len(request):,} bytes; at most {self._most:,} fit an export: "
                "have the exporter send smaller batches (send_batch_max_size), "
                f"or the server's {flag(_OTLP_LIMIT)} raised",
                limit=_OTLP_LIMIT,
                limit_bytes=str(self._most),
            )
        return None if len(request) > SMALL_BYTES else request


async def convert(
    items: int, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call ``work``, in a thread for many items: 10,000 rows take a tenth of a second."""
    if items < _MANY_ITEMS:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def _merge(message: Message, part: Any) -> None:
    try:
        message.MergeFromString(part)
    except DecodeError:
        raise InvalidInputError(UNREADABLE) from None


def _request_of(method: str) -> Descriptor:
    """Look up the message of a method's requests."""
    service, name = method.removeprefix("/").split("/")
    request: Descriptor = Default().FindServiceByName(service).methods_by_name[name].input_type
    return request
