"""
Fields: out of a binary COPY stream, where numbers are big-endian, and into protobuf messages.

Writers return where they ended.
"""

from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from graphcore.compiling import kernel
from server.wire.fields import tag_of
from server.wire.kernels import (
    BEGIN,
    CHARACTERS,
    FINISHED,
    INCOMPLETE,
    MALFORMED,
    SIZE,
    UUID_SIZE,
    WIDTH,
    WORD_LENGTH,
    WORDS,
)

_ID_SIZE = 36
_SECONDS, _NANOS = tag_of(Timestamp, "seconds"), tag_of(Timestamp, "nanos")
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
# A UUID as text, and where in it the digits of each byte belong.
_EMPTY_ID = np.frombuffer(b"00000000-0000-0000-0000-000000000000", np.uint8)
_DIGITS_AT = np.array(
    [2 * number + sum(number >= hyphen for hyphen in (4, 6, 8, 10)) for number in range(UUID_SIZE)],
    np.int64,
)
_MICROSECONDS = 1_000_000
# PostgreSQL counts from 2000-01-01, protobuf from 1970-01-01.
_SECONDS_BETWEEN = 946_684_800
# The years 1 to 9999, in microseconds since 2000-01-01; infinity lies outside.
_FIRST_MOMENT, _LAST_MOMENT = -63_082_281_600_000_000, 252_455_615_999_999_999
_LAST_OF_VARINT = 127
_ROW_END = 0xFFFF


@kernel("int64(uint8[::1], int64)")
def word_at(stream: Any, at: int) -> Any:
    """Read 32 bits without sign."""
    return (
        np.int64(stream[at]) << 24
        | np.int64(stream[at + 1]) << 16
        | np.int64(stream[at + 2]) << 8
        | np.int64(stream[at + 3])
    )


@kernel("int64(uint8[::1], int64)")
def int32_at(stream: Any, at: int) -> Any:
    """Read 32 bits with sign."""
    word = word_at(stream, at)
    return word - (word >> 31 << 32)


@kernel("int64(uint8[::1], int64)")
def int64_at(stream: Any, at: int) -> Any:
    """Read 64 bits with sign."""
    return int32_at(stream, at) * 4_294_967_296 + word_at(stream, at + 4)


@kernel("int64(uint8[::1], int64, int64, int64[:, ::1], int64[:, ::1])")
def split_row(stream: Any, at: int, end: int, plan: Any, fields: Any) -> int:
    """
    Note where the fields of the row at a position begin, and how long they are (-1 = NULL).

    Returns where the next row begins. INCOMPLETE when it goes on beyond the end, FINISHED when it
    is the trailer, MALFORMED when it is no row of the columns of the plan.
    """
    if at + 2 > end:
        return INCOMPLETE
    count = np.int64(stream[at]) << 8 | np.int64(stream[at + 1])
    if count != plan.shape[0]:
        return FINISHED if count == _ROW_END else MALFORMED
    at += 2
    for number in range(plan.shape[0]):
        if at + 4 > end:
            return INCOMPLETE
        length = int32_at(stream, at)
        at += 4
        if length < -1 or (length >= 0 and plan[number, WIDTH] != 0 and length != plan[number, WIDTH]):
            return MALFORMED
        fields[number, BEGIN] = at
        fields[number, SIZE] = length
        at += max(length, 0)
        if at > end:
            return INCOMPLETE
    return at


@kernel("int64(uint8[::1], int64, int64, int64, int64)")
def find_word(stream: Any, at: int, length: int, first: int, last: int) -> int:
    """Find a text among some rows of WORDS; -1 = it is none of them."""
    for row in range(first, last):
        if WORDS[row, WORD_LENGTH] == length:
            same = 0
            while same < length and WORDS[row, CHARACTERS + same] == stream[at + same]:
                same += 1
            if same == length:
                return row
    return -1


@kernel("boolean(uint8[::1], int64)")
def is_moment(stream: Any, at: int) -> bool:
    """Whether a Timestamp can hold a time."""
    time = int64_at(stream, at)
    return bool(_FIRST_MOMENT <= time <= _LAST_MOMENT)


@kernel("int64(int64)")
def varint_size(number: int) -> int:
    """Return how many bytes a number takes that is not negative."""
    size = 1
    while number > _LAST_OF_VARINT:
        number >>= 7
        size += 1
    return size


@kernel("int64(uint8[::1], int64, int64)")
def put_varint(out: Any, at: int, number: int) -> int:
    """Write a number; a negative one takes ten bytes, as if it had 64 bits without sign."""
    if number < 0:
        for _ in range(9):
            out[at] = number & 127 | 128
            number >>= 7
            at += 1
        out[at] = 1
        return at + 1
    while number > _LAST_OF_VARINT:
        out[at] = number & 127 | 128
        number >>= 7
        at += 1
    out[at] = number
    return at + 1


@kernel("int64(uint8[::1], int64, uint8[::1], int64, int64)")
def put_bytes(out: Any, at: int, stream: Any, start: int, length: int) -> int:
    """Copy bytes."""
    target, source = out[at : at + length], stream[start : start + length]
    for offset in range(length):
        target[offset] = source[offset]
    return at + length


@kernel("int64(uint8[::1], int64, int64, uint8[::1], int64, int64)")
def put_text(out: Any, at: int, tag: int, stream: Any, start: int, length: int) -> int:
    """Write a text with tag and length."""
    at = put_varint(out, put_varint(out, at, tag), length)
    return int(put_bytes(out, at, stream, start, length))


@kernel("int64(uint8[::1], int64, int64, uint8[::1], int64)")
def put_id(out: Any, at: int, tag: int, stream: Any, start: int) -> int:
    """Write the 16 bytes of a UUID as its usual text."""
    at = put_varint(out, at, tag) + 1
    out[at - 1] = _ID_SIZE
    field, key = out[at : at + _ID_SIZE], stream[start : start + UUID_SIZE]
    for place in range(_ID_SIZE):
        field[place] = _EMPTY_ID[place]
    for number in range(UUID_SIZE):
        place = _DIGITS_AT[number]
        field[place] = _HEX[key[number] >> 4]
        field[place + 1] = _HEX[key[number] & 15]
    return at + _ID_SIZE


@kernel("int64(uint8[::1], int64, int64, uint8[::1], int64)")
def put_moment(out: Any, at: int, tag: int, stream: Any, start: int) -> int:
    """Write a time as the Timestamp of a field."""
    time = int64_at(stream, start)
    seconds = time // _MICROSECONDS
    nanos = (time - seconds * _MICROSECONDS) * 1000
    seconds += _SECONDS_BETWEEN
    end = content = put_varint(out, at, tag) + 1
    if seconds != 0:
        out[end] = _SECONDS
        end = put_varint(out, end + 1, seconds)
    if nanos != 0:
        out[end] = _NANOS
        end = put_varint(out, end + 1, nanos)
    out[content - 1] = end - content
    return int(end)


@kernel("int64(uint8[::1], int64, int64, int64)")
def put_head(out: Any, body: int, end: int, tag: int) -> int:
    """Write tag and length right before a message; returns where the record begins."""
    length = end - body
    start = body - 1 - varint_size(length)
    out[start] = tag
    put_varint(out, start + 1, length)
    return int(start)
