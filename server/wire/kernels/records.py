"""The encoded records of rows."""

from typing import Any

from graphcore.compiling import kernel
from server.wire.kernels import (
    BEGIN,
    BOOLEAN,
    DOUBLE,
    DOUBLE_SIZE,
    EMPTY_BRIEF,
    END_,
    FIRST_WORD,
    FLAG,
    FOUND,
    HEAD,
    ID,
    INTEGER,
    LAST_WORD,
    LENGTH,
    NULLABLE,
    NUMBER,
    ODD,
    OTHER_JSON,
    SERVICE_ID,
    SIZE,
    SPLIT,
    START,
    STRUCT,
    TAG,
    TEXT,
    TEXT_,
    TIME,
    TYPE,
    WHOLE,
    WORD,
    WORD_FLAGS,
    WORDS,
    WRITES_EMPTY,
)
from server.wire.kernels.fields import (
    find_word,
    int32_at,
    is_moment,
    put_bytes,
    put_head,
    put_id,
    put_moment,
    put_text,
    put_varint,
)
from server.wire.kernels.metadata import put_struct


@kernel("int64(uint8[::1], int64[:, ::1], int64[:, ::1])")
def check_fields(stream: Any, fields: Any, plan: Any) -> int:
    """
    Return the flags of a row, and note its words.

    -1 when the row is odd: a value or a service is missing, a word has no meaning, or a
    ``Timestamp`` can't hold a time.
    """
    flags = 0
    for number in range(plan.shape[0]):
        begin, size, kind = fields[number, BEGIN], fields[number, SIZE], plan[number, TYPE]
        if size < 0:
            if plan[number, NULLABLE] == 0:
                return -1
        elif kind == WORD:
            word = find_word(stream, begin, size, plan[number, FIRST_WORD], plan[number, LAST_WORD])
            if word < 0:
                return -1
            fields[number, FOUND] = word
            flags |= WORD_FLAGS[word]
        elif (kind == TIME and not is_moment(stream, begin)) or (
            kind == SERVICE_ID and fields[number, FOUND] < 0
        ):
            return -1
        elif kind == BOOLEAN and stream[begin] != 0:
            flags |= plan[number, FLAG]
    return int(flags)


@kernel("int64(uint8[::1], int64, int64, int64, uint8[::1], int64, int64)")
def put_scalar(out: Any, at: int, tag: int, kind: int, stream: Any, begin: int, word: int) -> int:
    """Write a value of fixed size with its tag."""
    if kind == ID:
        return int(put_id(out, at, tag, stream, begin))
    if kind == TIME:
        return int(put_moment(out, at, tag, stream, begin))
    if kind == BOOLEAN and stream[begin] == 0:
        return at
    at = put_varint(out, at, tag)
    if kind == WORD:
        out[at] = WORDS[word, NUMBER]
    elif kind == INTEGER:
        return int(put_varint(out, at, int32_at(stream, begin)))
    elif kind == DOUBLE:
        for place in range(DOUBLE_SIZE):
            out[at + DOUBLE_SIZE - 1 - place] = stream[begin + place]
        return at + DOUBLE_SIZE
    else:
        out[at] = 1
    return at + 1


@kernel("int64(uint8[::1], int64, int64, int64[::1], uint8[::1], int64)")
def put_service_name(out: Any, at: int, tag: int, starts: Any, names: Any, node: int) -> int:
    """Write the name of a service, which is a brief but for its tag; an empty one not at all."""
    begin, end = starts[node], starts[node + 1]
    if end - begin == EMPTY_BRIEF:
        return at
    return int(put_bytes(out, put_varint(out, at, tag), names, begin + 1, end - begin - 1))


@kernel(
    "int64(uint8[::1], int64[:, ::1], int64[:, ::1], uint8[::1], int64[:, ::1], int64, int64,"
    " int64[::1], uint8[::1], int64[:, ::1])"
)
def put_fields(
    stream: Any,
    fields: Any,
    plan: Any,
    out: Any,
    columns: Any,
    row: int,
    at: int,
    starts: Any,
    names: Any,
    levels: Any,
) -> int:
    """
    Write the fields of a row that ``check_fields`` found in order.

    Notes in SPLIT where JSON is left out.
    """
    for number in range(plan.shape[0]):
        begin, size = fields[number, BEGIN], fields[number, SIZE]
        if size < 0:
            continue
        kind, tag = plan[number, TYPE], plan[number, TAG]
        if kind == SERVICE_ID:
            at = put_service_name(out, at, tag, starts, names, fields[number, FOUND])
        elif kind == TEXT_:
            if size > 0 or plan[number, WRITES_EMPTY] != 0:
                at = put_text(out, at, tag, stream, begin, size)
        elif kind in (STRUCT, OTHER_JSON):
            written = put_struct(stream, begin, size, out, at, tag, levels) if kind == STRUCT else -1
            if written < 0:
                columns[SPLIT, row], columns[TEXT, row], columns[LENGTH, row] = at, begin, size
            else:
                at = written
        else:
            at = put_scalar(out, at, tag, kind, stream, begin, fields[number, FOUND])
    return at


@kernel(
    "int64(uint8[::1], int64[:, ::1], int64[:, ::1], uint8[::1], int64[:, ::1], int64, int64,"
    " int64[::1], uint8[::1], int64[:, ::1], int64)"
)
def put_record(
    stream: Any,
    fields: Any,
    plan: Any,
    out: Any,
    columns: Any,
    row: int,
    free: int,
    starts: Any,
    names: Any,
    levels: Any,
    tag: int,
) -> int:
    """
    Write the record of a row from a position on, and note in its columns how that went.

    Returns its flags, -1 = odd.
    """
    columns[SPLIT, row] = ODD
    columns[START, row] = columns[END_, row] = free
    flags = check_fields(stream, fields, plan)
    if flags < 0:
        return -1
    columns[SPLIT, row] = WHOLE
    body = free + HEAD
    end = put_fields(stream, fields, plan, out, columns, row, body, starts, names, levels)
    columns[END_, row] = end
    columns[START, row] = put_head(out, body, end, tag) if columns[SPLIT, row] == WHOLE else body
    return int(flags)
