"""
JSON text of ``jsonb`` as the fields of a ``google.protobuf.Struct``.

The bytes are those of ``server.wire.metadata``.

A message inside a message comes with its length, which is known at its end only: one byte is left
free for it, and what was written is moved up when it takes more.
"""

from typing import Any

import numpy as np
from google.protobuf.struct_pb2 import Struct, Value

from graphcore.compiling import kernel
from server.wire.fields import tag_of
from server.wire.kernels import (
    CONTAINER,
    ENTRY,
    IS_OBJECT,
    LEVELS,
    PLACE,
    READ,
    VALUE,
    WRITE,
)
from server.wire.kernels.fields import put_varint, varint_size

# Fields of a Value; an entry of a Struct and an item of a ListValue have the same one.
_NUMBER_VALUE, _STRING_VALUE, _BOOL_VALUE, _NULL_VALUE, _STRUCT_VALUE, _LIST_VALUE = (
    tag_of(Value, name)
    for name in ("number_value", "string_value", "bool_value", "null_value", "struct_value", "list_value")
)
_ITEM = tag_of(Struct, "fields")
_ENTRY_KEY, _ENTRY_VALUE = tag_of(Struct.FieldsEntry, "key"), tag_of(Struct.FieldsEntry, "value")

_QUOTE, _BACKSLASH, _COMMA, _MINUS, _DOT = b'"\\,-.'
_BRACE, _BRACE_END, _BRACKET, _BRACKET_END = b"{}[]"
_TRUE, _FALSE, _NULL = b"tfn"
_ZERO, _NINE = b"09"
# What stands behind a backslash, and what it means; 0 = not for us.
_UNESCAPED = np.zeros(256, np.uint8)
_UNESCAPED[list(b'"\\/bfnrt')] = list(b'"\\/\b\f\n\r\t')
# A number of so many digits, divided by a power of ten, is the double nearest to what was written:
# both are doubles themselves.
_EXACT_DIGITS = 15
_POWERS = np.array([float(10**exponent) for exponent in range(_EXACT_DIGITS + 1)])


@kernel("int64(uint8[::1], int64, int64)")
def close(out: Any, at: int, end: int) -> int:
    """Write the length of what was written behind ``at``; returns where it ends then."""
    length = end - at - 1
    more = varint_size(length) - 1
    if more > 0:
        for place in range(end - 1, at, -1):
            out[place + more] = out[place]
    put_varint(out, at, length)
    return end + int(more)


@kernel("boolean(uint8[::1], int64, uint8[::1], int64[:, ::1])")
def copy_text(stream: Any, end: int, out: Any, levels: Any) -> bool:
    """
    Copy a string, with its length before it, from behind its first quote.

    False = that is not for us.
    """
    read, start = levels[PLACE, READ], levels[PLACE, WRITE]
    write = start + 1
    while read < end:
        byte = stream[read]
        if byte == _QUOTE:
            levels[PLACE, READ], levels[PLACE, WRITE] = read + 1, close(out, start, write)
            return True
        if byte == _BACKSLASH:
            read += 1
            byte = _UNESCAPED[stream[read]]
            if byte == 0:
                return False
        out[write] = byte
        read += 1
        write += 1
    return False


@kernel("boolean(uint8[::1], int64, uint8[::1], int64[:, ::1])")
def copy_number(stream: Any, end: int, out: Any, levels: Any) -> bool:
    """Copy a number as a ``Value``; False = it has too many digits for us."""
    read, write = levels[PLACE, READ], levels[PLACE, WRITE]
    is_negative = stream[read] == _MINUS
    if is_negative:
        read += 1
    whole = np.int64(0)
    digits, fraction, is_fraction = 0, 0, False
    while read < end:
        byte = np.int64(stream[read])
        if _ZERO <= byte <= _NINE:
            whole = whole * 10 + byte - _ZERO
            digits += 1
            if is_fraction:
                fraction += 1
        elif byte == _DOT and not is_fraction:
            is_fraction = True
        else:
            break
        if digits > _EXACT_DIGITS:
            return False
        read += 1
    if digits == 0 or (is_negative and whole == 0):
        return False
    if is_negative:
        whole = -whole
    bits = np.float64(whole / _POWERS[fraction]).view(np.int64)
    out[write] = _NUMBER_VALUE
    for place in range(8):
        out[write + 1 + place] = bits >> 8 * place & 255
    levels[PLACE, READ], levels[PLACE, WRITE] = read, write + 9
    return True


@kernel("boolean(uint8[::1], int64, uint8[::1], int64[:, ::1])")
def copy_scalar(stream: Any, end: int, out: Any, levels: Any) -> bool:
    """Copy a value that is neither object nor list as a ``Value``; False = it is not for us."""
    read, write = levels[PLACE, READ], levels[PLACE, WRITE]
    first = stream[read]
    if first == _QUOTE:
        out[write] = _STRING_VALUE
        levels[PLACE, READ], levels[PLACE, WRITE] = read + 1, write + 1
        return bool(copy_text(stream, end, out, levels))
    if first in (_TRUE, _FALSE):
        out[write] = _BOOL_VALUE
        out[write + 1] = 1 if first == _TRUE else 0
        read += 4 if first == _TRUE else 5
    elif first == _NULL:
        out[write] = _NULL_VALUE
        out[write + 1] = 0
        read += 4
    else:
        return bool(copy_number(stream, end, out, levels))
    levels[PLACE, READ], levels[PLACE, WRITE] = read, write + 2
    return True


@kernel("boolean(uint8[::1], int64, uint8[::1], int64[:, ::1], int64)")
def begin_value(stream: Any, end: int, out: Any, levels: Any, level: int) -> bool:
    """
    Write what comes before a value of a level.

    That is its key in an object, and a byte for its length.
    """
    write = levels[PLACE, WRITE]
    entry = -1
    out[write] = _ITEM
    if levels[level, IS_OBJECT] == 1:
        entry = write + 1
        out[write + 2] = _ENTRY_KEY
        levels[PLACE, WRITE] = write + 3
        if stream[levels[PLACE, READ]] != _QUOTE:
            return False
        levels[PLACE, READ] += 1
        if not copy_text(stream, end, out, levels):
            return False
        levels[PLACE, READ] += 2
        write = levels[PLACE, WRITE]
        out[write] = _ENTRY_VALUE
    levels[level + 1, ENTRY], levels[level + 1, VALUE] = entry, write + 1
    levels[PLACE, WRITE] = write + 2
    return bool(levels[PLACE, READ] < end)


@kernel("void(uint8[::1], int64[:, ::1], int64)")
def end_value(out: Any, levels: Any, level: int) -> None:
    """Write the lengths of a value that is complete, one level above ``level``."""
    write = close(out, levels[level + 1, VALUE], levels[PLACE, WRITE])
    if levels[level + 1, ENTRY] >= 0:
        write = close(out, levels[level + 1, ENTRY], write)
    levels[PLACE, WRITE] = write


@kernel("int64(uint8[::1], int64, int64, uint8[::1], int64, int64, int64[:, ::1])")
def put_struct(stream: Any, start: int, length: int, out: Any, at: int, tag: int, levels: Any) -> int:
    """
    Write the text of an object as a field with tag and length; returns where it ends.

    -1 = it is not for us: nested too deep, with digits or escapes that are rare, or no object.
    O(size), times the levels at worst.
    """
    end = start + length
    if length < 2 or stream[start] != _BRACE:  # noqa: PLR2004 - the braces
        return -1
    level = PLACE + 1
    at = put_varint(out, at, tag)
    levels[level, CONTAINER], levels[level, IS_OBJECT] = at, 1
    levels[PLACE, READ], levels[PLACE, WRITE] = start + 1, at + 1
    while levels[PLACE, READ] < end:
        first = stream[levels[PLACE, READ]]
        if first in (_BRACE_END, _BRACKET_END):
            levels[PLACE, READ] += 1
            levels[PLACE, WRITE] = close(out, levels[level, CONTAINER], levels[PLACE, WRITE])
            level -= 1
            if level == PLACE:
                return int(levels[PLACE, WRITE]) if levels[PLACE, READ] == end else -1
            end_value(out, levels, level)
            continue
        if first == _COMMA:
            levels[PLACE, READ] += 2
        if level + 1 == LEVELS or not begin_value(stream, end, out, levels, level):
            return -1
        first = stream[levels[PLACE, READ]]
        if first in (_BRACE, _BRACKET):
            level += 1
            write = levels[PLACE, WRITE]
            out[write] = _STRUCT_VALUE if first == _BRACE else _LIST_VALUE
            levels[level, CONTAINER], levels[level, IS_OBJECT] = write + 1, 1 if first == _BRACE else 0
            levels[PLACE, READ] += 1
            levels[PLACE, WRITE] = write + 2
        else:
            if not copy_scalar(stream, end, out, levels):
                return -1
            end_value(out, levels, level)
    return -1
