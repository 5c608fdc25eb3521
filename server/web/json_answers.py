"""
Answers as JSON, written in pieces out of their bytes.

A long list is read and written some items at a time, as its reader takes them, so it holds up no
other call and is in memory once: as the bytes that ``UnsentAnswers`` counts.
"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from google.protobuf import json_format
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from server.concurrency import CooperativeYield
from server.rpc.reading import WIRE_BYTES, after_number, varint
from server.web.json_requests import is_map

# Read and written within half a millisecond.
PIECE_BYTES: Final = 4 * 1024


class _Field(NamedTuple):
    """A field of a message; ``kind`` = the class of its messages, None = it holds none to split."""

    json_name: str
    is_list: bool
    kind: type[Message] | None


class _Found(NamedTuple):
    """A field in the bytes of a message: where it begins, where its value does, where both end."""

    number: int
    begin: int
    value: int
    end: int


async def json_pieces(answer: bytes, kind: type[Message]) -> AsyncIterator[bytes]:
    """Write the bytes of a message as protobuf's JSON; pieces may be empty. O(size)."""
    if len(answer) <= PIECE_BYTES or kind.DESCRIPTOR.file.package == "google.protobuf":
        yield _json(json_format.MessageToDict(kind.FromString(answer))).encode()
        return
    fields = _fields_of(kind.DESCRIPTOR.full_name)
    ranges = await _ranges(answer)
    opening = b"{"
    for number, field in fields.items():
        if number not in ranges:
            continue
        async for piece in _field_pieces(answer, ranges[number], kind, field):
            if piece:
                yield opening + _json(field.json_name).encode() + b":" + piece if opening else piece
                opening = b""
        opening = opening or b","
    yield b"{}" if opening == b"{" else b"}"


async def _field_pieces(
    answer: bytes, ranges: list[tuple[int, int]], kind: type[Message], field: _Field
) -> AsyncIterator[bytes]:
    if not field.is_list:
        # Written twice, the parts of a message belong together.
        async for piece in _single(b"".join(answer[begin:end] for begin, end in ranges), kind, field):
            yield piece
        return
    yielding = CooperativeYield()
    separator = b"["
    for part in _parts(answer, ranges):
        if len(part) == 1 and field.kind is not None and part[0].end - part[0].value > PIECE_BYTES:
            async for piece in json_pieces(answer[part[0].value : part[0].end], field.kind):
                yield separator + piece
                separator = b""
        else:
            written = _json(_read(answer[part[0].begin : part[-1].end], kind)[field.json_name])
            yield separator + written[1:-1].encode()
        separator = b","
        await yielding.checkpoint()
    yield b"]"


async def _single(encoded: bytes, kind: type[Message], field: _Field) -> AsyncIterator[bytes]:
    """Write a field that is no list; nothing if it has the default value."""
    if field.kind is None or len(encoded) <= PIECE_BYTES:
        for value in _read(encoded, kind).values():
            yield _json(value).encode()
        return
    message = b"".join(encoded[found.value : found.end] for found in _found(encoded, 0, len(encoded)))
    async for piece in json_pieces(message, field.kind):
        yield piece


def _read(encoded: bytes, kind: type[Message]) -> dict[str, Any]:
    read: dict[str, Any] = json_format.MessageToDict(kind.FromString(encoded))
    return read


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@lru_cache(None)
def _fields_of(message: str) -> dict[int, _Field]:
    """Return the fields of a message by number, in their order."""
    return {field.number: _field(field) for field in Default().FindMessageTypeByName(message).fields}


def _field(field: Any) -> _Field:
    message = field.message_type
    may_split = message is not None and not is_map(field)
    kind = GetMessageClass(message) if message is not None and may_split else None
    return _Field(field.json_name, field.is_repeated and not is_map(field), kind)


async def _ranges(answer: bytes) -> dict[int, list[tuple[int, int]]]:
    """Find where the fields of a message are, by number: neighbours of one number are one range."""
    ranges: dict[int, list[tuple[int, int]]] = defaultdict(list)
    yielding = CooperativeYield()
    last, begin, end = 0, 0, 0
    for found in _found(answer, 0, len(answer)):
        if found.number != last:
            if last:
                ranges[last].append((begin, end))
            last, begin = found.number, found.begin
        end = found.end
        await yielding.checkpoint()
    ranges[last].append((begin, end))
    return ranges


def _parts(answer: bytes, ranges: list[tuple[int, int]]) -> Iterator[list[_Found]]:
    """Cut a list into parts of about ``PIECE_BYTES``; a large item is a part by itself."""
    part: list[_Found] = []
    for begin, end in ranges:
        for found in _found(answer, begin, end):
            if part and (found.end - part[0].begin > PIECE_BYTES or found.begin != part[-1].end):
                yield part
                part = []
            part.append(found)
    if part:
        yield part


def _found(encoded: bytes, at: int, end: int) -> Iterator[_Found]:
    """Read the fields between two positions; messages of the contract have no groups."""
    while at < end:
        begin = at
        tag, at = varint(encoded, at)
        if tag & 7 == WIRE_BYTES:
            length, at = varint(encoded, at)
            yield _Found(tag >> 3, begin, at, at + length)
            at += length
        else:
            value, at = at, after_number(encoded, at, tag & 7)
            yield _Found(tag >> 3, begin, value, at)
