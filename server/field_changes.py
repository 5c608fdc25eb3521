"""Fields that have other values now, for what people and agents read."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.json_format import MessageToDict

from depgraph.v1.history_service_pb2 import FieldChange
from server.words import enum_word

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

Json: TypeAlias = str | float | bool | list["Json"] | dict[str, "Json"] | None


class Difference(NamedTuple):
    """A value that differs; its path is such as ``("retry_config", "max_retries")``."""

    path: tuple[str, ...]
    before: Json
    after: Json


def differences(fields: Iterable[FieldChange], descriptor: "Descriptor") -> Iterator[Difference]:
    """
    List what differs; of a message or of metadata only the parts that do.

    ``descriptor`` is of the message that has the fields. None = unset; enums are in words; numbers
    are floats, as those of a protobuf Value.
    """
    for field in fields:
        found = MessageToDict(field)
        known = descriptor.fields_by_name.get(field.field)
        yield from _parts((field.field,), known, found.get("before"), found.get("after"))


def _parts(
    path: tuple[str, ...], field: "FieldDescriptor | None", before: Json, after: Json
) -> Iterator[Difference]:
    if isinstance(before or after, dict) and isinstance(before or {}, dict) and isinstance(after or {}, dict):
        old, new = (each if isinstance(each, dict) else {} for each in (before, after))
        inner = field.message_type if field is not None else None
        for key in dict.fromkeys([*old, *new]):
            if old.get(key) != new.get(key):
                part = inner.fields_by_camelcase_name.get(key) if inner is not None else None
                name = part.name if part is not None else key
                yield from _parts((*path, name), part, old.get(key), new.get(key))
        return
    yield Difference(path, _in_words(field, before), _in_words(field, after))


def _in_words(field: "FieldDescriptor | None", value: Json) -> Json:
    """Write an enum's value by its word; one that this program does not know stays as it is."""
    if isinstance(value, str) and field is not None and field.enum_type is not None:
        known = field.enum_type.values_by_name.get(value)
        if known is not None:
            return enum_word(EnumTypeWrapper(field.enum_type), known.number)
    return value
