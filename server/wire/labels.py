"""The criticality of services, and their team or a text of their metadata, by the thousand."""

from typing import Any

import numpy as np
from google.protobuf.struct_pb2 import Struct, Value
from numpy.typing import NDArray

from depgraph.v1.types_pb2 import Service
from graphcore.compiling import kernel
from server.wire.fields import tag_of
from server.wire.policies import behind_field, behind_varint, varint_at

_METADATA, _CRITICALITY, _TEAM = (tag_of(Service, name) for name in ("metadata", "criticality", "team"))
_KEY, _VALUE = (tag_of(Struct.FieldsEntry, name) for name in ("key", "value"))
_TEXT = tag_of(Value, "string_value")


def read_labels(records: list[bytes], metadata_key: str = "") -> tuple[NDArray[np.int64], list[bytes]]:
    """
    Read the criticality in each record of a service, 0 = none, and its label: a text in UTF-8.

    That is the text under a key of its metadata, or its team if the key is empty; empty where there
    is none. O(bytes).
    """
    joined = b"".join(records)
    columns = np.zeros((3, len(records)), np.int64)
    read_columns.run(np.frombuffer(joined, np.uint8), np.frombuffer(metadata_key.encode(), np.uint8), columns)
    criticalities, starts, ends = columns
    labels = [joined[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return criticalities, labels


@kernel("boolean(Array(uint8, 1, 'C', readonly=True), int64, int64, Array(uint8, 1, 'C', readonly=True))")
def is_text(records: Any, at: int, end: int, text: Any) -> bool:
    """Whether the bytes between two positions are a text."""
    if end - at != len(text):
        return False
    same = 0
    while same < len(text) and records[at + same] == text[same]:
        same += 1
    return same == len(text)


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64, int64, Array(uint8, 1, 'C', readonly=True))")
def find_text(records: Any, at: int, end: int, key: Any) -> int:
    """Return where the text under a key begins in a ``Struct``, -1 = there is none."""
    while at < end:
        entry_end = behind_field(records, at)
        at = behind_varint(records, at + 1)
        is_wanted, found = False, -1
        while at < entry_end:
            following = behind_field(records, at)
            content = behind_varint(records, at + 1)
            if records[at] == _KEY:
                is_wanted = is_text(records, content, following, key)
            elif records[at] == _VALUE and content < following and records[content] == _TEXT:
                found = content
            at = following
        if is_wanted:
            return found
    return -1


@kernel("int64(Array(uint8, 1, 'C', readonly=True), Array(uint8, 1, 'C', readonly=True), int64[:, ::1])")
def read_columns(records: Any, key: Any, columns: Any) -> int:
    """
    Read records of services, one behind the other; ``columns`` must be 0.

    Rows: criticality, where the label begins, where it ends. Fields stand in the order of their
    numbers, so those behind the team are skipped. Returns how many records there are.
    """
    at, number = 0, 0
    while at < len(records):
        end = behind_field(records, at)
        at = behind_varint(records, at + 1)
        while at < end and records[at] <= _TEAM:
            following = behind_field(records, at)
            label = -1
            if records[at] == _CRITICALITY:
                columns[0, number] = varint_at(records, at + 1)
            elif records[at] == _TEAM and len(key) == 0:
                label = at
            elif records[at] == _METADATA and len(key) > 0:
                label = find_text(records, behind_varint(records, at + 1), following, key)
            if label >= 0:
                columns[1, number] = behind_varint(records, label + 1)
                columns[2, number] = behind_field(records, label)
            at = following
        at = end
        number += 1
    return number
