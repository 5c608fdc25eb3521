"""Rows out of a COPY stream, and the records that are written of them."""

from typing import Any

from depgraph.v1.graph_service_pb2 import TraverseResponse
from graphcore.compiling import kernel
from server.wire.fields import tag_of
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
    split_row,
    word_at,
)
from server.wire.kernels.layout import (
    AT,
    BEGIN,
    BOOLEAN,
    CONFIDENCE_FIELD,
    DOUBLE,
    DOUBLE_SIZE,
    EMPTY_BRIEF,
    END,
    END_,
    FIRST_WORD,
    FIXED,
    FLAG,
    FLAGS,
    FOUND,
    FREE,
    FULL,
    HEAD,
    ID,
    ID_FIELD,
    INFLATION,
    INTEGER,
    LAST_WORD,
    LENGTH,
    MALFORMED,
    METADATA_FIELD,
    NAME,
    NAME_FIELD,
    NULLABLE,
    NUMBER,
    ODD,
    OTHER_JSON,
    ROW,
    SERVICE_ID,
    SIZE,
    SOURCE,
    SOURCE_FIELD,
    SPLIT,
    START,
    STATE,
    STRUCT,
    TAG,
    TARGET,
    TARGET_FIELD,
    TEXT,
    TEXT_,
    TIME,
    TYPE,
    UUID_SIZE,
    WHOLE,
    WORD,
    WORD_FLAGS,
    WORDS,
    WRITES_EMPTY,
)
from server.wire.kernels.metadata import put_struct
from server.wire.kernels.names import EMPTY, find_node

_SERVICE_TAG = tag_of(TraverseResponse, "services")
_BRIEF_TAG = tag_of(TraverseResponse, "service_ids")
_DEPENDENCY_TAG = tag_of(TraverseResponse, "dependencies")


@kernel("int64(uint8[::1], int64[:, ::1], int64[:, ::1])")
def check_fields(stream: Any, fields: Any, plan: Any) -> int:
    """
    Return the flags of a row, and note its words.

    -1 when the row is odd: a value or a service is missing, a word has no meaning, or a ``Timestamp`` can't hold a time.
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
    """Write the fields of a row that ``check_fields`` found in order; notes in SPLIT where JSON is left out."""
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
    """Write the record of a row from a position on, and note in its columns how that went; returns its flags, -1 = odd."""
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


@kernel("int64(uint8[::1], int64[:, ::1], uint32[:, ::1], int64, int64[::1], uint8[::1])")
def put_name(stream: Any, fields: Any, keys: Any, node: int, starts: Any, names: Any) -> int:
    """Enter key and name of a service, the name as a brief; returns where the text itself begins."""
    for number in range(4):
        keys[node, number] = word_at(stream, fields[ID_FIELD, BEGIN] + 4 * number)
    begin = starts[node]
    length = max(fields[NAME_FIELD, SIZE], 0)
    names[begin] = _BRIEF_TAG
    text = put_varint(names, begin + 1, length)
    starts[node + 1] = put_bytes(names, text, stream, fields[NAME_FIELD, BEGIN], length)
    return int(text)


@kernel("int64(uint8[::1], int64, int64, int32[::1], uint32[:, ::1])")
def node_at(stream: Any, at: int, length: int, slots: Any, keys: Any) -> int:
    """Return the position of the service whose key stands in a field; -1 = there is none."""
    if length < 0:
        return EMPTY
    first, second = word_at(stream, at), word_at(stream, at + 4)
    return int(find_node(slots, keys, first, second, word_at(stream, at + 8), word_at(stream, at + 12)))


@kernel(
    "int64(uint8[::1], int64[::1], int64[:, ::1], int64[:, ::1], uint8[::1], int64[:, ::1],"
    " uint32[:, ::1], int64, int64[::1], uint8[::1], int64[:, ::1])"
)
def encode_services(
    stream: Any,
    span: Any,
    plan: Any,
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

    ``node`` is the position of the first; ``keys`` and ``starts`` have room for as many rows as columns have, ``names``
    for all the bytes of the span and more; ``levels`` are scratch. The span then begins behind the last row, and STATE
    says why that was the last.
    """
    at, free, row = span[AT], 0, 0
    state = FULL
    while row < columns.shape[1]:
        following = split_row(stream, at, span[END], plan, fields)
        if following < 0 or fields[ID_FIELD, SIZE] < 0:
            state = following if following < 0 else MALFORMED
            break
        if free + FIXED + following - at + INFLATION * fields[METADATA_FIELD, SIZE] > out.shape[0]:
            break
        columns[ROW, row] = at
        columns[NAME, row] = put_name(stream, fields, keys, node + row, starts, names)
        put_record(stream, fields, plan, out, columns, row, free, starts, names, levels, _SERVICE_TAG)
        free = columns[END_, row]
        at = following
        row += 1
    span[AT], span[STATE], span[FREE] = at, state, free
    return row


@kernel(
    "int64(uint8[::1], int64[::1], int64[:, ::1], int64[:, ::1], uint8[::1], int64[:, ::1], uint8[::1], uint8[::1],"
    " int32[::1], uint32[:, ::1], int64[::1], uint8[::1], int64[:, ::1])"
)
def encode_dependencies(
    stream: Any,
    span: Any,
    plan: Any,
    fields: Any,
    out: Any,
    columns: Any,
    ids: Any,
    scores: Any,
    slots: Any,
    keys: Any,
    starts: Any,
    names: Any,
    levels: Any,
) -> int:
    """
    Write the records of the rows in a span of the stream, as many as there are columns and bytes for; returns how many.

    ``ids`` get the keys and ``scores`` the confidences, little-endian; the arguments behind them are the names of
    services, and scratch. The span then begins behind the last row, and STATE says why that was the last.
    """
    at, free, row = span[AT], 0, 0
    state = FULL
    while row < columns.shape[1]:
        following = split_row(stream, at, span[END], plan, fields)
        if following < 0 or fields[ID_FIELD, SIZE] < 0:
            state = following if following < 0 else MALFORMED
            break
        source = node_at(stream, fields[SOURCE_FIELD, BEGIN], fields[SOURCE_FIELD, SIZE], slots, keys)
        target = node_at(stream, fields[TARGET_FIELD, BEGIN], fields[TARGET_FIELD, SIZE], slots, keys)
        room = FIXED + following - at
        if source >= 0 and target >= 0:
            room += starts[source + 1] - starts[source] + starts[target + 1] - starts[target]
        if free + room > out.shape[0]:
            break
        columns[ROW, row], columns[SOURCE, row], columns[TARGET, row] = at, source, target
        fields[SOURCE_FIELD, FOUND], fields[TARGET_FIELD, FOUND] = source, target
        put_bytes(ids, row * UUID_SIZE, stream, fields[ID_FIELD, BEGIN], UUID_SIZE)
        columns[FLAGS, row] = put_record(
            stream, fields, plan, out, columns, row, free, starts, names, levels, _DEPENDENCY_TAG
        )
        if columns[FLAGS, row] >= 0:
            for number in range(DOUBLE_SIZE):
                score = stream[fields[CONFIDENCE_FIELD, BEGIN] + number]
                scores[(row + 1) * DOUBLE_SIZE - 1 - number] = score
        free = columns[END_, row]
        at = following
        row += 1
    span[AT], span[STATE], span[FREE] = at, state, free
    return row
