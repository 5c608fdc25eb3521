"""Counts, enum values and marks in words, for what people and agents read."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper
    from google.protobuf.timestamp_pb2 import Timestamp

ValueT = TypeVar("ValueT", bound=int)


def counted(number: int, thing: str, things: str | None = None) -> str:
    """Say how many: ``1 service``, ``21,808 services``, ``2 dependencies``."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def enum_word(enum: "_EnumTypeWrapper[ValueT]", value: ValueT) -> str:
    """
    Write a value of an enum in words: ``DISCOVERY_SOURCE_SERVICE_MESH`` as ``service mesh``.

    One that a newer server knows and this program does not is written as its number.
    """
    if value not in enum.values():
        return str(value)
    return enum.Name(value).removeprefix(_prefix(enum)).lower().replace("_", " ")


def enum_value(enum: "_EnumTypeWrapper[ValueT]", word: str) -> ValueT:
    """Find the value that ``enum_word`` writes so; raises ``ValueError``."""
    return enum.Value(_prefix(enum) + word.upper().replace(" ", "_"))


def enum_words(enum: "_EnumTypeWrapper[ValueT]") -> list[str]:
    """List the words of all values but UNSPECIFIED, in the order of the contract."""
    return [enum_word(enum, value) for value in enum.values() if value]


def mark_time(mark: "Timestamp") -> datetime:
    """Return the time of a mark to the second, rounded up: who asks about it is at this mark."""
    found = mark.ToDatetime(UTC)
    return found.replace(microsecond=0) + timedelta(seconds=mark.nanos > 0)


def _prefix(enum: "_EnumTypeWrapper[ValueT]") -> str:
    return re.sub(r"\B(?=[A-Z])", "_", enum.DESCRIPTOR.name).upper() + "_"
