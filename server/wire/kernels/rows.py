"""Rows of both tables out of a COPY stream."""

from typing import Any

from depgraph.v1.graph_service_pb2 import TraverseResponse
from graphcore.compiling import kernel
from server.wire.fields import tag_of
from server.wire.kernels import (
    AT,
    BEGIN,
    CONFIDENCE_FIELD,
    DOUBLE_SIZE,
    END,
    END_,
    FIXED,
    FLAGS,
    FOUND,
    FREE,
    FULL,
    ID_FIELD,
    INFLATION,
    KIND,
    MALFORMED,
    METADATA_FIELD,
    NAME,
    NAME_FIELD,
    ROW,
    SIZE,
    SOURCE,
    SOURCE_FIELD,
    STATE,
    TARGET,
    TARGET_FIELD,
    UUID_SIZE,
)
from server.wire.kernels.fields import (
    put_bytes,
    put_varint,
    split_row,
    word_at,
)
from server.wire.kernels.records import put_record
from server.wire.names import EMPTY, find_node

_SERVICE_TAG = tag_of(TraverseResponse, "services")
_BRIEF_TAG = tag_of(TraverseResponse, "service_ids")
_DEPENDENCY_TAG = tag_of(TraverseResponse, "dependencies")


@kernel("int64(uint8[::1], int64[:, ::1], uint32[:, ::1], int64, int64[::1], uint8[::1])")
def put_name(stream: Any, fields: Any, keys: Any, node: int, starts: Any, names: Any) -> int:
    """Enter key and name of a service, the name as a brief; returns where its text begins."""
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
    Write records of rows of a span, as many as there are columns and bytes for; returns how many.

    ``node`` is the position of the first; ``keys`` and ``starts`` have room for as many rows as
    columns have, ``names`` for all the bytes of the span and more; ``levels`` are scratch. The span
    then begins behind the last row, and STATE says why that was the last.
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
        columns[KIND, row] = put_record(
            stream, fields, plan, out, columns, row, free, starts, names, levels, _SERVICE_TAG
        )
        free = columns[END_, row]
        at = following
        row += 1
    span[AT], span[STATE], span[FREE] = at, state, free
    return row


@kernel(
    "int64(uint8[::1], int64[::1], int64[:, ::1], int64[:, ::1], uint8[::1], int64[:, ::1],"
    " uint8[::1], uint8[::1], int32[::1], uint32[:, ::1], int64[::1], uint8[::1], int64[:, ::1])"
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
    Write records of rows of a span, as many as there are columns and bytes for; returns how many.

    ``ids`` get the keys and ``scores`` the confidences, little-endian; the arguments behind them
    are the names of services, and scratch. The span then begins behind the last row, and STATE says
    why that was the last.
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
