"""Dependencies out of a COPY stream."""

from typing import Any

from graphcore.compiling import kernel
from graphcore.graph.flags import STALE
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
    CRITICALITIES,
    DISCOVERY_SOURCES,
    DOUBLE_SIZE,
    EMPTY_BRIEF,
    END,
    END_,
    FIXED,
    FLAGS,
    FREE,
    FULL,
    HEAD,
    LENGTH,
    MALFORMED,
    MODES,
    NUMBER,
    ODD,
    ROW,
    SIZE,
    SOURCE,
    SPLIT,
    START,
    STATE,
    TARGET,
    TEXT,
    UUID_SIZE,
    WHOLE,
    WORD,
    WORD_FLAGS,
    WORDS,
    WORDS_END,
)
from server.wire.kernels.names import EMPTY, find_node

_RECORD_TAG = 0x22
_ID, _SOURCE, _TARGET, _MODE, _CRITICALITY, _PROTOCOL, _TIMEOUT, _RETRY, _DISCOVERY_SOURCE = range(9)
_CONFIDENCE, _OBSERVED, _IS_STALE, _CREATED, _UPDATED = range(9, 14)


@kernel("int64(uint8[::1], int64, int64, int32[::1], uint32[:, ::1])")
def node_at(stream: Any, at: int, length: int, slots: Any, keys: Any) -> int:
    """Return the position of the service whose key stands in a field; -1 = there is none."""
    if length < 0:
        return EMPTY
    first, second = word_at(stream, at), word_at(stream, at + 4)
    return int(find_node(slots, keys, first, second, word_at(stream, at + 8), word_at(stream, at + 12)))


@kernel("int64(uint8[::1], int64, int64, int64[::1], uint8[::1], int64)")
def put_end(out: Any, at: int, tag: int, starts: Any, names: Any, node: int) -> int:
    """Write the name of an end, which is a brief but for its tag; an empty one not at all."""
    begin, end = starts[node], starts[node + 1]
    if end - begin == EMPTY_BRIEF:
        return at
    out[at] = tag
    return int(put_bytes(out, at + 1, names, begin + 1, end - begin - 1))


@kernel("int64(uint8[::1], int64[:, ::1])")
def flags_in(stream: Any, fields: Any) -> int:
    """Return the flags of a row, and note its words; -1 when it is odd: a word has no meaning, a time is none, a value is missing."""
    for number in range(_DISCOVERY_SOURCE, _UPDATED + 1):
        if fields[number, SIZE] < 0:
            return -1
    mode = find_word(stream, fields[_MODE, BEGIN], fields[_MODE, SIZE], MODES, CRITICALITIES)
    criticality = find_word(
        stream, fields[_CRITICALITY, BEGIN], fields[_CRITICALITY, SIZE], CRITICALITIES, DISCOVERY_SOURCES
    )
    source = find_word(
        stream,
        fields[_DISCOVERY_SOURCE, BEGIN],
        fields[_DISCOVERY_SOURCE, SIZE],
        DISCOVERY_SOURCES,
        WORDS_END,
    )
    if mode < 0 or criticality < 0 or source < 0:
        return -1
    for number in (_OBSERVED, _CREATED, _UPDATED):
        if not is_moment(stream, fields[number, BEGIN]):
            return -1
    fields[_MODE, WORD], fields[_CRITICALITY, WORD], fields[_DISCOVERY_SOURCE, WORD] = (
        mode,
        criticality,
        source,
    )
    flags = WORD_FLAGS[mode] | WORD_FLAGS[criticality] | WORD_FLAGS[source]
    return int(flags | STALE) if stream[fields[_IS_STALE, BEGIN]] != 0 else int(flags)


@kernel("int64(uint8[::1], int64, int64, int64)")
def put_word(out: Any, at: int, tag: int, word: int) -> int:
    """Write the number of a word."""
    out[at] = tag
    out[at + 1] = WORDS[word, NUMBER]
    return at + 2


@kernel("int64(uint8[::1], int64[:, ::1], uint8[::1], int64)")
def put_behind_retries(stream: Any, fields: Any, out: Any, at: int) -> int:
    """Write the fields that come after the configuration of retries."""
    at = put_word(out, at, 0x48, fields[_DISCOVERY_SOURCE, WORD])
    out[at] = 0x51
    for number in range(DOUBLE_SIZE):
        out[at + DOUBLE_SIZE - number] = stream[fields[_CONFIDENCE, BEGIN] + number]
    at = put_moment(out, at + 1 + DOUBLE_SIZE, 0x5A, stream, fields[_OBSERVED, BEGIN])
    if stream[fields[_IS_STALE, BEGIN]] != 0:
        out[at] = 0x60
        out[at + 1] = 1
        at += 2
    at = put_moment(out, at, 0x6A, stream, fields[_CREATED, BEGIN])
    return int(put_moment(out, at, 0x72, stream, fields[_UPDATED, BEGIN]))


@kernel("void(uint8[::1], int64[:, ::1], uint8[::1], int64, int64[:, ::1], int64, int64[::1], uint8[::1])")
def put_dependency(
    stream: Any, fields: Any, out: Any, free: int, columns: Any, row: int, starts: Any, names: Any
) -> None:
    """Write the record of a row from a position on, and note in its columns how that went."""
    body = free + HEAD
    at = put_id(out, body, stream, fields[_ID, BEGIN])
    at = put_end(out, at, 0x12, starts, names, columns[SOURCE, row])
    at = put_end(out, at, 0x1A, starts, names, columns[TARGET, row])
    at = put_word(out, at, 0x20, fields[_MODE, WORD])
    at = put_word(out, at, 0x28, fields[_CRITICALITY, WORD])
    if fields[_PROTOCOL, SIZE] >= 0:
        at = put_text(out, at, 0x32, stream, fields[_PROTOCOL, BEGIN], fields[_PROTOCOL, SIZE])
    if fields[_TIMEOUT, SIZE] >= 0:
        out[at] = 0x38
        at = put_varint(out, at + 1, int32_at(stream, fields[_TIMEOUT, BEGIN]))
    split = at
    columns[END_, row] = at = put_behind_retries(stream, fields, out, at)
    if fields[_RETRY, SIZE] < 0:
        columns[SPLIT, row] = WHOLE
        columns[START, row] = put_head(out, body, at, _RECORD_TAG)
    else:
        columns[SPLIT, row], columns[START, row] = split, body
        columns[TEXT, row], columns[LENGTH, row] = fields[_RETRY, BEGIN], fields[_RETRY, SIZE]


@kernel(
    "int64(uint8[::1], int64[::1], int64[::1], int64[:, ::1], uint8[::1], int64[:, ::1], uint8[::1], uint8[::1],"
    " int32[::1], uint32[:, ::1], int64[::1], uint8[::1])"
)
def encode_dependencies(
    stream: Any,
    span: Any,
    sizes: Any,
    fields: Any,
    out: Any,
    columns: Any,
    ids: Any,
    scores: Any,
    slots: Any,
    keys: Any,
    starts: Any,
    names: Any,
) -> int:
    """
    Write the records of the rows in a span of the stream, as many as there are columns and bytes for; returns how many.

    ``ids`` get the keys and ``scores`` the confidences, little-endian; the last four arguments are the names of services. The span then begins
    behind the last row, and STATE tells why that was the last.
    """
    at, free, row = span[AT], 0, 0
    state = FULL
    while row < columns.shape[1]:
        following = split_row(stream, at, span[END], sizes, fields)
        if following < 0 or fields[_ID, SIZE] < 0:
            state = following if following < 0 else MALFORMED
            break
        source = node_at(stream, fields[_SOURCE, BEGIN], fields[_SOURCE, SIZE], slots, keys)
        target = node_at(stream, fields[_TARGET, BEGIN], fields[_TARGET, SIZE], slots, keys)
        room = FIXED + following - at
        if source >= 0 and target >= 0:
            room += starts[source + 1] - starts[source] + starts[target + 1] - starts[target]
        if free + room > out.shape[0]:
            break
        columns[ROW, row], columns[SOURCE, row], columns[TARGET, row] = at, source, target
        columns[FLAGS, row] = flags_in(stream, fields) if source >= 0 and target >= 0 else -1
        put_bytes(ids, row * UUID_SIZE, stream, fields[_ID, BEGIN], UUID_SIZE)
        if columns[FLAGS, row] >= 0:
            put_dependency(stream, fields, out, free, columns, row, starts, names)
            for number in range(DOUBLE_SIZE):
                scores[(row + 1) * DOUBLE_SIZE - 1 - number] = stream[fields[_CONFIDENCE, BEGIN] + number]
            free = columns[END_, row]
        else:
            columns[SPLIT, row] = ODD
            columns[START, row] = columns[END_, row] = free
        at = following
        row += 1
    span[AT], span[STATE], span[FREE] = at, state, free
    return row
