"""Services out of a COPY stream."""

from typing import Any

from graphcore.compiling import kernel
from server.wire.kernels.fields import (
    find_word,
    is_moment,
    put_bytes,
    put_head,
    put_id,
    put_moment,
    put_text,
    put_varint,
    split_row,
    word_at,
)
from server.wire.kernels.layout import (
    AT,
    BEGIN,
    END,
    END_,
    FIXED,
    FREE,
    FULL,
    HEAD,
    INFLATION,
    LENGTH,
    MALFORMED,
    MODES,
    NAME,
    NUMBER,
    ODD,
    ROW,
    SERVICE_CRITICALITIES,
    SIZE,
    SPLIT,
    START,
    STATE,
    TEXT,
    WHOLE,
    WORDS,
)
from server.wire.kernels.metadata import put_struct

_RECORD_TAG, _BRIEF_TAG = 0x0A, 0x12
_ID, _NAME, _METADATA, _CRITICALITY, _TEAM, _DISCOVERED, _CREATED, _UPDATED = range(8)
_BRACES = (ord("{"), ord("}"))


@kernel("int64(uint8[::1], int64[:, ::1], uint32[:, ::1], int64, int64[::1], uint8[::1])")
def put_name(stream: Any, fields: Any, keys: Any, node: int, starts: Any, names: Any) -> int:
    """Enter key and name of a service, the name as a brief; returns where the text itself begins."""
    for number in range(4):
        keys[node, number] = word_at(stream, fields[_ID, BEGIN] + 4 * number)
    begin = starts[node]
    length = max(fields[_NAME, SIZE], 0)
    names[begin] = _BRIEF_TAG
    text = put_varint(names, begin + 1, length)
    starts[node + 1] = put_bytes(names, text, stream, fields[_NAME, BEGIN], length)
    return int(text)


@kernel("void(uint8[::1], int64[:, ::1], uint8[::1], int64[:, ::1], int64, int64, int64[:, ::1])")
def put_service(stream: Any, fields: Any, out: Any, columns: Any, row: int, free: int, levels: Any) -> None:
    """Write the record of a row from a position on, and note in its columns how that went."""
    columns[SPLIT, row] = ODD
    columns[START, row] = columns[END_, row] = free
    for number in range(_ID, _UPDATED + 1):
        if number != _TEAM and fields[number, SIZE] < 0:
            return
    if not (is_moment(stream, fields[_CREATED, BEGIN]) and is_moment(stream, fields[_UPDATED, BEGIN])):
        return
    body = free + HEAD
    at = put_id(out, body, stream, fields[_ID, BEGIN])
    if fields[_NAME, SIZE] > 0:
        at = put_text(out, at, 0x12, stream, fields[_NAME, BEGIN], fields[_NAME, SIZE])
    split = WHOLE
    text, length = fields[_METADATA, BEGIN], fields[_METADATA, SIZE]
    if length == len(_BRACES) and stream[text] == _BRACES[0] and stream[text + 1] == _BRACES[1]:
        out[at] = 0x1A
        out[at + 1] = 0
        at += 2
    else:
        written = put_struct(stream, text, length, out, at, levels)
        if written < 0:
            split = at
            columns[TEXT, row], columns[LENGTH, row] = text, length
        else:
            at = written
    word = find_word(
        stream, fields[_CRITICALITY, BEGIN], fields[_CRITICALITY, SIZE], SERVICE_CRITICALITIES, MODES
    )
    if word >= 0:
        out[at] = 0x20
        out[at + 1] = WORDS[word, NUMBER]
        at += 2
    if fields[_TEAM, SIZE] >= 0:
        at = put_text(out, at, 0x2A, stream, fields[_TEAM, BEGIN], fields[_TEAM, SIZE])
    if stream[fields[_DISCOVERED, BEGIN]] != 0:
        out[at] = 0x30
        out[at + 1] = 1
        at += 2
    at = put_moment(out, at, 0x3A, stream, fields[_CREATED, BEGIN])
    at = put_moment(out, at, 0x42, stream, fields[_UPDATED, BEGIN])
    columns[SPLIT, row] = split
    columns[END_, row] = at
    columns[START, row] = body if split != WHOLE else put_head(out, body, at, _RECORD_TAG)


@kernel(
    "int64(uint8[::1], int64[::1], int64[::1], int64[:, ::1], uint8[::1], int64[:, ::1],"
    " uint32[:, ::1], int64, int64[::1], uint8[::1], int64[:, ::1])"
)
def encode_services(
    stream: Any,
    span: Any,
    sizes: Any,
    fields: Any,
    out: Any,
    columns: Any,
    keys: Any,
    node: int,
    starts: Any,
    names: Any,
    levels: Any,
) -> int:
    """
    Write the records of the rows in a span of the stream, as many as there are columns and bytes for; returns how many.

    ``node`` is the position of the first; ``keys`` and ``starts`` have room for as many rows as columns have, ``names`` for all the
    bytes of the span and more; ``levels`` are scratch. The span then begins behind the last row, and STATE tells why that was the last.
    """
    at, free, row = span[AT], 0, 0
    state = FULL
    while row < columns.shape[1]:
        following = split_row(stream, at, span[END], sizes, fields)
        if following < 0 or fields[_ID, SIZE] < 0:
            state = following if following < 0 else MALFORMED
            break
        if free + FIXED + following - at + INFLATION * fields[_METADATA, SIZE] > out.shape[0]:
            break
        columns[ROW, row] = at
        columns[NAME, row] = put_name(stream, fields, keys, node + row, starts, names)
        put_service(stream, fields, out, columns, row, free, levels)
        free = max(free, columns[END_, row])
        at = following
        row += 1
    span[AT], span[STATE], span[FREE] = at, state, free
    return row
