"""Requests as JSON, turned into bytes item by item, so that a long list holds up no other call."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

from google.protobuf import json_format
from google.protobuf.message import Message

from server.concurrency import CooperativeYield
from server.config import KIB
from server.domain.errors import FieldViolation, InvalidInputError
from server.rpc.errors import shortened
from server.rpc.reading import RequestBounds

_MOST_BYTES = 300
# Encoded in a millisecond at most.
_QUICK_CHARACTERS = 16 * KIB
# Nearly all values are shorter; for a longer one the window is made wider, step by step.
_USUAL_CHARACTERS = 2 * KIB
_WIDER = 8
_SPACE = re.compile(r"[ \t\n\r]*")
# How protobuf's parser says where it failed: around the reason, and at its end.
_IN_FIELD = re.compile(r"Failed to parse (\S+) field: ")
_AT_PATH = re.compile(r' at "?\w+((?:\.\w+|\[\d+\])*)"?\.*$', re.MULTILINE)
_UNKNOWN = re.compile(r'Message type "\S+" has no field named "(.*?)"')
_NO_NUMBER = re.compile(r"invalid literal for int\(\) with base 10: (.*)")
_NO_OBJECT = re.compile(r"'\w+' object is not iterable")


class _Entry(NamedTuple):
    """
    A field of the object, or an item of its list; ``size`` is that of the value as text.

    ``position`` is that of the item in the list, None = it is no item.
    """

    name: str
    position: int | None
    value: Any
    size: int


async def request_of(body: bytes, kind: type[Message], bounds: RequestBounds) -> bytes:
    """
    Turn the JSON of a request into its bytes; raises ``InvalidInputError``, which names the field.

    Unknown fields are refused, keys that come twice too. What an item may take in bytes it may
    take as text. O(size).
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the request is not UTF-8 text: byte {error.start:,} is wrong") from None
    parts: list[bytes] = []
    rest: dict[str, Any] = {}
    size_of_rest = 0
    yielding = CooperativeYield()
    try:
        for entry in _Object(text, kind, bounds).entries():
            if entry.position is None:
                rest[entry.name] = entry.value
                size_of_rest += entry.size
            else:
                item = {entry.name: [entry.value]}
                parts.append(await _aside(entry.size, _encoded, kind, item, entry.position))
            await yielding.checkpoint()
    # A number of very many digits, and a nesting of very many levels.
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"the request is not JSON: {error}") from None
    return b"".join((await _aside(size_of_rest, _encoded, kind, rest), *parts))


async def _aside(size: int, encode: Callable[..., bytes], *args: Any) -> bytes:
    """Encode on a thread what takes longer than a millisecond."""
    return encode(*args) if size <= _QUICK_CHARACTERS else await asyncio.to_thread(encode, *args)


def _lists_of(kind: type[Message]) -> frozenset[str]:
    """Return the names of the fields that are lists, in JSON's form and in protobuf's."""
    lists = [field for field in kind.DESCRIPTOR.fields if field.is_repeated and not is_map(field)]
    return frozenset(name for field in lists for name in (field.name, field.json_name))


def is_map(field: Any) -> bool:
    """Whether a field is a map, which is an object in JSON."""
    message = field.message_type
    return message is not None and bool(message.GetOptions().map_entry)


class _Object:
    """
    The text of a request, read field by field, and lists item by item; raises ``ValueError``.

    A value is read out of a window of the text that is at most as long as the value may be: the
    reader of the standard library can't be interrupted, and takes a third of a second for 4 MiB.
    """

    def __init__(self, text: str, kind: type[Message], bounds: RequestBounds) -> None:
        self._text = text
        self._lists = _lists_of(kind)
        self._bounds = bounds
        self._at = 0

    def entries(self) -> Iterator[_Entry]:
        """Read the whole text."""
        self._skip_space()
        if self._next != "{":
            self._value("")
            raise InvalidInputError("the request has to be a JSON object, such as {}")
        self._pass("{")
        seen: set[str] = set()
        while self._next != "}":
            if seen:
                self._pass(",")
            name = self._name()
            if name in seen:
                _refuse(name, "is there twice")
            seen.add(name)
            if name in self._lists and self._next == "[":
                yield from self._items(name)
            else:
                yield _Entry(name, None, *self._value(name))
        self._pass("}")
        if self._next:
            raise json.JSONDecodeError("Extra data", self._text, self._at)

    def _items(self, name: str) -> Iterator[_Entry]:
        self._pass("[")
        index = 0
        while self._next != "]":
            if index:
                self._pass(",")
            yield _Entry(name, index, *self._value(name))
            index += 1
            self._bounds.check_count(name, index)
        self._pass("]")

    def _name(self) -> str:
        if self._next != '"':
            raise json.JSONDecodeError(
                "Expecting property name enclosed in double quotes", self._text, self._at
            )
        name, _ = self._value("")
        self._pass(":")
        return str(name)

    def _value(self, name: str) -> tuple[Any, int]:
        """Read the value of a field, or an item of it; returns it and its size."""
        most = self._bounds.max_bytes_of(name)
        length = _USUAL_CHARACTERS
        while (read := self._within(min(length, most))) is None:
            if length >= most:
                _refuse(name, f"is not JSON, or takes more than the {most:,} characters that are allowed")
            length *= _WIDER
        value, size = read
        self._at += size
        self._skip_space()
        return value, size

    def _within(self, length: int) -> tuple[Any, int] | None:
        """Read a value of at most that length; None = it does not end there."""
        if self._at + length >= len(self._text):
            value, end = _decode(self._text, self._at)
            return value, end - self._at
        window = self._text[self._at : self._at + length]
        try:
            value, end = _decode(window)
        except json.JSONDecodeError:
            return None
        # A number may go on.
        return None if end == length else (value, end)

    @property
    def _next(self) -> str:
        """The next character; empty = there is none."""
        return self._text[self._at : self._at + 1]

    def _pass(self, mark: str) -> None:
        if self._next != mark:
            raise json.JSONDecodeError(f"Expecting {mark!r} delimiter", self._text, self._at)
        self._at += 1
        self._skip_space()

    def _skip_space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = self._at if found is None else found.end()


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        names = [name for name, _ in pairs]
        _refuse(next(name for name in names if names.count(name) > 1), "is there twice")
    return read


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON; where a field is a number, write it as a text")


_decode = json.JSONDecoder(object_pairs_hook=_no_key_twice, parse_constant=_no_constant).raw_decode


def _encoded(kind: type[Message], fields: dict[str, Any], index: int | None = None) -> bytes:
    """Encode some fields; ``index`` is that of the one item in them."""
    message = kind()
    try:
        json_format.ParseDict(fields, message)
    except json_format.ParseError as error:
        field, wrong = _explained(str(error))
        _refuse(field if index is None else _with_index(field, index), wrong)
    return message.SerializeToString()


def _explained(text: str) -> tuple[str, str]:
    """Take the field and the reason out of what protobuf's parser says."""
    names = _IN_FIELD.findall(text)
    path = ".".join(names)
    reason = _IN_FIELD.sub("", text).partition("\n")[0]
    found = _AT_PATH.search(reason)
    if found is not None:
        reason, at = reason[: found.start()], found[1].removeprefix(".")
        # Sometimes it is the path of the message around the field.
        path = at if at and at.count(".") + 1 >= len(names) else path
    reason = reason.rstrip(".")
    if (unknown := _UNKNOWN.search(reason)) is not None:
        return f"{path}.{unknown[1]}".lstrip("."), "there is no such field"
    if _NO_OBJECT.search(reason):
        return path, "has to be an object"
    return path, _NO_NUMBER.sub(r"\1 is not a whole number", reason)


def _with_index(path: str, index: int) -> str:
    """Put the index of an item into a path; each is parsed as the first of its list."""
    head, dot, tail = path.partition(".")
    return f"{head.removesuffix('[0]')}[{index}]{dot}{tail}"


def _refuse(field: str, wrong: str) -> NoReturn:
    # Both may hold a piece of the request, of any length.
    field, wrong = shortened(field, _MOST_BYTES), shortened(wrong, _MOST_BYTES)
    raise InvalidInputError(f"{field}: {wrong}", violations=[FieldViolation(field, wrong)])
