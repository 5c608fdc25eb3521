"""The parts of a message merge to the message; lists are counted as protobuf does."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.analysis_service_pb2 import CheckChangeRequest, DependencyKey
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestNode
from depgraph.v1.types_pb2 import Dependency
from server.config import Limits
from server.domain.errors import InvalidInputError, TooManyItemsError
from server.rpc.reading import RequestBounds

MOST = 5
BOUNDS = RequestBounds(CheckChangeRequest.DESCRIPTOR, Limits(max_items=MOST))
NODES = RequestBounds(IngestGraphRequest.DESCRIPTOR, Limits(max_items=MOST))

names = st.text(max_size=200)
dependencies = st.builds(
    Dependency,
    source_service_id=names,
    target_service_id=names,
    timeout_ms=st.none() | st.integers(0, 2**31 - 1),
)
keys = st.builds(DependencyKey, source_service_id=names, target_service_id=names)
changes = st.builds(
    CheckChangeRequest,
    added=st.lists(dependencies, max_size=MOST + 2),
    removed=st.lists(keys, max_size=MOST + 2),
    max_impacts=st.integers(0, 2**31 - 1),
)


def varint(value: int) -> bytes:
    """Write a number as protobuf does."""
    more = b""
    while value >= 0x80:
        more += bytes([value & 0x7F | 0x80])
        value >>= 7
    return more + bytes([value])


# Fields that this version does not know, of every kind, groups within groups too.
numbers = st.integers(20, 2**29 - 1).map(lambda number: number << 3)
unknown_fields = st.recursive(
    st.one_of(
        st.builds(lambda tag, value: varint(tag) + varint(value), numbers, st.integers(0, 2**64 - 1)),
        st.builds(lambda tag, value: varint(tag | 1) + value, numbers, st.binary(min_size=8, max_size=8)),
        st.builds(
            lambda tag, value: varint(tag | 2) + varint(len(value)) + value, numbers, st.binary(max_size=20)
        ),
        st.builds(lambda tag, value: varint(tag | 5) + value, numbers, st.binary(min_size=4, max_size=4)),
    ),
    lambda inner: st.builds(
        lambda tag, fields: varint(tag | 3) + b"".join(fields) + varint(tag | 4),
        numbers,
        st.lists(inner, max_size=3),
    ),
)


@given(change=changes, size=st.integers(1, 2_000), unknown=st.lists(unknown_fields, max_size=3))
def test_the_parts_of_a_message_merged_are_the_message(
    change: CheckChangeRequest, size: int, unknown: list[bytes]
) -> None:
    raw = b"".join(unknown) + change.SerializeToString() + b"".join(unknown)
    merged = CheckChangeRequest()
    try:
        parts = list(BOUNDS.parts(raw, size))
    except TooManyItemsError as error:
        too_long = [name for name in ("added", "removed") if len(getattr(change, name)) > MOST]
        assert [violation.field for violation in error.violations] == too_long[:1]
        return
    assert max(len(change.added), len(change.removed)) <= MOST
    for part in parts:
        merged.MergeFromString(part)
    assert merged == CheckChangeRequest.FromString(raw)
    assert b"".join(parts) == raw
    # A part ends with the first field that makes it long enough.
    assert all(len(part) >= size for part in parts[:-1])


cut_short = st.builds(lambda change, cut: change.SerializeToString()[:-cut], changes, st.integers(1, 300))


@given(raw=st.binary(max_size=200) | cut_short, size=st.integers(1, 50))
def test_bytes_that_are_no_message_are_refused_or_left_to_protobuf(raw: bytes, size: int) -> None:
    merged = CheckChangeRequest()
    try:
        for part in BOUNDS.parts(raw, size):
            merged.MergeFromString(part)
    except InvalidInputError as error:
        if not isinstance(error, TooManyItemsError):
            with pytest.raises(DecodeError):
                CheckChangeRequest.FromString(raw)
    except DecodeError:
        with pytest.raises(DecodeError):
            CheckChangeRequest.FromString(raw)
    else:
        assert merged == CheckChangeRequest.FromString(raw)


@given(longest=st.integers(0, 70_000))
def test_an_item_is_refused_by_its_position_when_it_is_too_long(longest: int) -> None:
    nodes = [IngestNode(service_id="a"), IngestNode(service_id="x" * 600_000)]
    request = IngestGraphRequest(nodes=nodes, edges=[Dependency(source_service_id="x" * longest)])
    with pytest.raises(InvalidInputError) as caught:
        list(NODES.parts(request.SerializeToString(), 1_000))
    assert [violation.field for violation in caught.value.violations] == ["nodes[1]"]
    del request.nodes[1]
    raw = request.SerializeToString()
    if request.edges[0].ByteSize() <= 64 * 1024:
        assert b"".join(NODES.parts(raw, 1_000)) == raw
    else:
        with pytest.raises(InvalidInputError, match=r"edges\[0\]: takes"):
            list(NODES.parts(raw, 1_000))
