"""Metadata between Struct and JSON text, both ways and at the limits of either."""

import json
import sys
from math import inf, nan
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import InvalidInputError
from server.rpc.metadata import MAX_BYTES, json_of
from server.rpc.validate import Check
from server.wire.metadata import MAX_DEPTH, struct_bytes

storable_text = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=8)
# JSON, as PostgreSQL keeps it, has one zero.
numbers = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | storable_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(storable_text, inner, max_size=3),
    max_leaves=12,
)


def struct_of(text: str) -> Struct:
    return Struct.FromString(struct_bytes(text))


def struct(content: dict[str, Any]) -> Struct:
    message = Struct()
    message.update(content)
    return message


def text_of(metadata: Struct) -> str:
    check = Check()
    text = json_of(check, "metadata", metadata)
    check.done()
    return text


def nested(levels: int) -> Struct:
    """A Struct of so many levels of objects, itself the first."""
    top = Struct()
    inner = top
    for _ in range(levels - 1):
        inner = inner.fields["x"].struct_value
        inner.SetInParent()
    inner.fields["end"].bool_value = True
    return top


@given(st.dictionaries(storable_text, json_values, max_size=4))
def test_metadata_survives_a_round_trip(content: dict[str, Any]) -> None:
    metadata = struct(content)
    assert struct_of(text_of(metadata)) == metadata
    assert json.loads(text_of(metadata)) == content


def test_whole_numbers_are_stored_without_a_fraction() -> None:
    assert (
        text_of(struct({"n": [3.0, -0.5, 1e300, 2.0**53, -0.0]}))
        == '{"n":[3,-0.5,1e+300,9007199254740992,0]}'
    )


def test_no_metadata_is_an_empty_object() -> None:
    assert text_of(Struct()) == "{}"
    assert struct_of("{}") == Struct()


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_nan_and_infinity_are_refused(number: float) -> None:
    with pytest.raises(InvalidInputError, match="not a JSON number"):
        text_of(struct({"deep": [{"n": number}]}))


@pytest.mark.parametrize("content", [{"a\0": 1}, {"a": "\0"}, {"a": [{"b": "x\0y"}]}, {"a": {"\0": {}}}])
def test_nul_is_refused_at_any_depth(content: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="NUL"):
        text_of(struct(content))


def test_a_value_of_no_kind_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no kind"):
        text_of(Struct(fields={"a": Value()}))


def test_64_kib_of_json_are_accepted_and_a_byte_more_is_refused() -> None:
    frame = len('{"a":""}')
    assert len(text_of(struct({"a": "x" * (MAX_BYTES - frame)}))) == MAX_BYTES
    with pytest.raises(InvalidInputError, match="more than 64 KiB"):
        text_of(struct({"a": "x" * (MAX_BYTES - frame + 1)}))


def test_the_limit_counts_bytes_and_not_characters() -> None:
    with pytest.raises(InvalidInputError, match="more than 64 KiB"):
        text_of(struct({"a": "漢" * (MAX_BYTES // 3)}))


def test_a_struct_that_inflates_most_passes_while_its_json_is_small_enough() -> None:
    digits = {"a": [1.0] * ((MAX_BYTES - len('{"a":[]}') + 1) // 2)}
    assert len(text_of(struct(digits))) <= MAX_BYTES


def test_a_very_large_struct_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="more than 64 KiB"):
        text_of(struct({"a": "x" * 1_000_000}))


def test_thirty_levels_are_accepted_and_one_more_is_refused() -> None:
    deepest = nested(MAX_DEPTH)
    assert struct_of(text_of(deepest)) == deepest
    with pytest.raises(InvalidInputError, match="deeper than 30 levels"):
        text_of(nested(MAX_DEPTH + 1))


def test_lists_count_as_levels() -> None:
    inner: Any = []
    for _ in range(MAX_DEPTH):
        inner = [inner]
    with pytest.raises(InvalidInputError, match="deeper than 30 levels"):
        text_of(struct({"a": inner}))


def test_what_sql_stored_beyond_a_double_becomes_the_nearest_double() -> None:
    stored = '{"a":' + "9" * 400 + ',"b":-1e999,"c":12345678901234567890}'
    assert MessageToDict(struct_of(stored)) == {
        "a": sys.float_info.max,
        "b": -sys.float_info.max,
        "c": 12345678901234567890.0,
    }


def test_what_sql_nested_too_deep_becomes_text_and_can_still_be_sent() -> None:
    stored = '{"x":' * 200 + "[1]" + "}" * 200
    sent = struct_of(stored).SerializeToString()
    value = MessageToDict(Struct.FromString(sent))
    for _ in range(MAX_DEPTH - 1):
        value = value["x"]
    assert isinstance(value["x"], str)
    assert value["x"].startswith('{"x": {"x":')


@pytest.mark.parametrize("stored", ["[1]", "3", '"text"', "null", "true"])
def test_metadata_that_is_no_object_is_shown_as_empty(stored: str) -> None:
    assert struct_of(stored) == Struct()


@pytest.mark.parametrize("levels", [400, 900, 5_000])
def test_what_sql_nested_deeper_than_python_reads_can_still_be_sent(levels: int) -> None:
    sent = struct_of('{"x":' * levels + "1" + "}" * levels).SerializeToString()
    assert len(Struct.FromString(sent).fields) <= 1
