"""Metadata on its way between ``google.protobuf.Struct`` and JSON text."""

import json
import sys
from math import isfinite

from google.protobuf.struct_pb2 import ListValue, Struct, Value

from server.rpc.validate import Check

MAX_BYTES = 64 * 1024
# A Struct is three messages deep a level, and protobuf refuses to read more than a hundred.
MAX_DEPTH = 30
# The most bytes that a Struct takes for one byte of its JSON text (a list of one-digit numbers).
_MAX_INFLATION = 6
_LARGEST = sys.float_info.max
_EXACT = 2**53

Json = dict[str, "Json"] | list["Json"] | str | float | bool | None


class UnstorableError(ValueError):
    """A value that JSON, or PostgreSQL's ``jsonb``, can't hold."""


def json_of(check: Check, field: str, metadata: Struct) -> str:
    """Write metadata as JSON text; whole numbers without a fraction. O(size)."""
    too_large = f"is more than {MAX_BYTES // 1024} KiB as JSON"
    if metadata.ByteSize() > MAX_BYTES * _MAX_INFLATION:
        check.add(field, too_large)
        return "{}"
    try:
        text = json.dumps(_of_struct(metadata, MAX_DEPTH), ensure_ascii=False, separators=(",", ":"))
    except UnstorableError as error:
        check.add(field, str(error))
        return "{}"
    if len(text.encode()) > MAX_BYTES:
        check.add(field, too_large)
    return text


def struct_of(text: str) -> Struct:
    """
    Read the JSON text of an object, whoever wrote it.

    SQL can store what a Struct can't hold: numbers beyond a double become the nearest double, and what is nested
    deeper than 30 levels becomes its JSON text. Anything but an object, or one of many hundred levels, becomes an empty
    Struct. O(size).
    """
    if text == "{}":
        return Struct()
    value = stored_json(text)
    struct = Struct()
    try:
        if isinstance(value, dict):
            _fill(struct, value, MAX_DEPTH)
    except RecursionError:
        return Struct()
    return struct


def stored_json(text: str) -> Json:
    """
    Read JSON text as SQL stored it: every number as the nearest double; None for what no parser here goes deep enough.

    PostgreSQL takes numbers of 100,000 digits and thousands of levels, and one such row must not fail every answer it is part of.
    """
    try:
        value: Json = json.loads(text, parse_int=_double, parse_float=_double)
    except RecursionError:
        return None
    return value


def _of_struct(struct: Struct, levels: int) -> Json:
    if not levels:
        raise UnstorableError(f"is nested deeper than {MAX_DEPTH} levels")
    return {_clean(key): _of_value(value, levels - 1) for key, value in struct.fields.items()}


def _of_value(value: Value, levels: int) -> Json:
    match value.WhichOneof("kind"):
        case "string_value":
            return _clean(value.string_value)
        case "number_value":
            return _number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "null_value":
            return None
        case "struct_value":
            return _of_struct(value.struct_value, levels)
        case "list_value" if levels:
            return [_of_value(item, levels - 1) for item in value.list_value.values]
        case "list_value":
            raise UnstorableError(f"is nested deeper than {MAX_DEPTH} levels")
        case None:
            raise UnstorableError("holds a value of no kind; use null_value")


def _clean(text: str) -> str:
    if "\0" in text:
        raise UnstorableError("holds a NUL character, which can't be stored")
    return text


def _number(number: float) -> float:
    if not isfinite(number):
        raise UnstorableError(f"holds {number}, which is not a JSON number")
    return int(number) if number.is_integer() and abs(number) <= _EXACT else number


def _double(digits: str) -> float:
    return max(-_LARGEST, min(_LARGEST, float(digits)))


def _fill(struct: Struct, value: dict[str, Json], levels: int) -> None:
    for key, item in value.items():
        _put(struct.fields[key], item, levels - 1)


def _put(target: Value, item: Json, levels: int) -> None:
    match item:
        case None:
            target.null_value = 0  # type: ignore[assignment] # the enum's only number
        case bool():
            target.bool_value = item
        case float():
            target.number_value = item
        case str():
            target.string_value = item
        case _ if not levels:
            target.string_value = json.dumps(item, ensure_ascii=False)
        case dict():
            target.struct_value.CopyFrom(Struct())
            _fill(target.struct_value, item, levels)
        case list():
            target.list_value.CopyFrom(ListValue())
            for element in item:
                _put(target.list_value.values.add(), element, levels - 1)
