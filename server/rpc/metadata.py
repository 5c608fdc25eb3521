"""Metadata of requests: ``google.protobuf.Struct`` to JSON text."""

import json
from math import isfinite

from google.protobuf.struct_pb2 import Struct, Value

from server.rpc.validate import Check
from server.wire.metadata import MAX_DEPTH, Json

MAX_BYTES = 64 * 1024
# The most bytes that a Struct takes for one byte of its JSON text (a list of one-digit numbers).
_MAX_INFLATION = 6
MAX_STRUCT_BYTES = MAX_BYTES * _MAX_INFLATION
_EXACT = 2**53


class UnstorableError(ValueError):
    """A value that JSON, or PostgreSQL's ``jsonb``, can't hold."""


def json_of(check: Check, field: str, metadata: Struct) -> str:
    """Write metadata as JSON text; whole numbers without a fraction. O(size)."""
    too_large = f"is more than {MAX_BYTES // 1024} KiB as JSON"
    if metadata.ByteSize() > MAX_STRUCT_BYTES:
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
