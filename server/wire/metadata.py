"""JSON of rows as messages: metadata as ``Struct``, and the configuration of retries."""

import json
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from google.protobuf.struct_pb2 import Struct, Value

from depgraph.v1 import types_pb2
from server.wire.columns import BACKOFF_STRATEGY
from server.wire.fields import double, field, tag_of, varint

if TYPE_CHECKING:
    from server.domain.dependencies import BackoffStrategy

# Tags of the fields of a Value; an entry of a Struct and an item of a ListValue have the same one.
_NUMBER_VALUE, _STRING_VALUE, _STRUCT_VALUE, _LIST_VALUE = (
    varint(tag_of(Value, name)) for name in ("number_value", "string_value", "struct_value", "list_value")
)
_NULL = varint(tag_of(Value, "null_value")) + b"\0"
_FALSE, _TRUE = (varint(tag_of(Value, "bool_value")) + truth for truth in (b"\0", b"\1"))
_ITEM = varint(tag_of(Struct, "fields"))
_ENTRY_KEY, _ENTRY_VALUE = (varint(tag_of(Struct.FieldsEntry, name)) for name in ("key", "value"))

# A Struct is three messages deep a level, and protobuf refuses to read more than a hundred.
MAX_DEPTH = 30
_LARGEST = sys.float_info.max
_MAX_INT32 = 2**31 - 1
# Texts longer than this are not remembered, so that what is remembered stays below some megabytes.
_REMEMBERED_LENGTH = 512
_REMEMBERED = 4_096

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def struct_bytes(text: str) -> bytes:
    """
    Write the JSON text of an object as a ``Struct``: equal text gives equal bytes. O(size).

    SQL can store what a Struct can't hold: numbers beyond a double become the nearest double, and
    what is nested deeper than 30 levels becomes its JSON text. Anything but an object, or one of
    many hundred levels, becomes an empty Struct.
    """
    if text == "{}" or not text:
        return b""
    if len(text) <= _REMEMBERED_LENGTH:
        return _remembered_bytes(text)
    return _struct_bytes(text)


def retry_config(text: str) -> types_pb2.RetryConfig:
    """Read the JSON text of a retry configuration; what makes no sense is left unset."""
    config = types_pb2.RetryConfig()
    stored = _stored_json(text)
    if not isinstance(stored, dict):
        return config
    retries = stored.get("max_retries")
    # A truth value is an int to Python.
    is_truth = isinstance(retries, bool)
    if isinstance(retries, int | float) and not is_truth and 0 <= retries <= _MAX_INT32 and retries % 1 == 0:
        config.max_retries = int(retries)
    strategy = stored.get("backoff_strategy")
    if isinstance(strategy, str):
        config.backoff_strategy = BACKOFF_STRATEGY.number[cast("BackoffStrategy", strategy)]
    return config


@lru_cache(_REMEMBERED)
def retry_bytes(text: str) -> bytes:
    """Write what ``retry_config`` reads."""
    return retry_config(text).SerializeToString(deterministic=True)


@lru_cache(_REMEMBERED)
def _remembered_bytes(text: str) -> bytes:
    return _struct_bytes(text)


def _struct_bytes(text: str) -> bytes:
    value = _stored_json(text)
    try:
        return _fields(value, MAX_DEPTH) if isinstance(value, dict) else b""
    except RecursionError:
        return b""


def _fields(value: dict[str, Json], levels: int) -> bytes:
    """Write the entries of a map in the order of the text, which equal ``jsonb`` shares."""
    return b"".join(
        [
            field(_ITEM, field(_ENTRY_KEY, key.encode()) + field(_ENTRY_VALUE, _value(item, levels - 1)))
            for key, item in value.items()
        ]
    )


def _value(item: Json, levels: int) -> bytes:
    """Write a ``Value``."""
    if isinstance(item, str):
        return field(_STRING_VALUE, item.encode())
    if item is None:
        return _NULL
    if isinstance(item, bool):
        return _TRUE if item else _FALSE
    if isinstance(item, int | float):
        return _NUMBER_VALUE + double(_nearest(item))
    return _nested(item, levels)


def _nested(item: dict[str, Json] | list[Json], levels: int) -> bytes:
    if not levels:
        return field(_STRING_VALUE, json.dumps(item, ensure_ascii=False).encode())
    if isinstance(item, dict):
        return field(_STRUCT_VALUE, _fields(item, levels))
    return field(_LIST_VALUE, b"".join([field(_ITEM, _value(element, levels - 1)) for element in item]))


def _stored_json(text: str) -> Json:
    """
    Read JSON text as SQL stored it: no number is infinite; None = nested too deeply to read.

    PostgreSQL takes numbers of 100,000 digits and thousands of levels, and one such row must not
    fail every answer it is part of.
    """
    try:
        value: Json = _exact.decode(text)
    except RecursionError:
        return None
    except ValueError:  # a whole number of more digits than Python likes to read
        value = _inexact.decode(text)
    return value


def _nearest(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return _LARGEST if number > 0 else -_LARGEST


def _double(digits: str) -> float:
    return max(-_LARGEST, min(_LARGEST, float(digits)))


_exact = json.JSONDecoder(parse_float=_double)
_inexact = json.JSONDecoder(parse_float=_double, parse_int=_double)
