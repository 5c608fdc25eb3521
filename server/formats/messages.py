"""
Objects of a file as protobuf messages, with errors in the words of the contract.

protobuf's own errors name Python classes and other spellings of fields, and often no place.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from server.formats.documents import FormatError, kind_of

M = TypeVar("M", bound=Message)

# ValueError: lone surrogates raise one (UnicodeEncodeError), and so do some well-known types.
_NOT_A_MESSAGE = (ParseError, ValueError, RecursionError)
_MAX_SHOWN = 40
_EXPECTED = {
    FieldDescriptor.CPPTYPE_INT32: "a whole number of 32 bits",
    FieldDescriptor.CPPTYPE_INT64: "a whole number",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_STRING: "text",
}
_WELL_KNOWN = {
    "google.protobuf.Timestamp": 'a time such as "2026-01-31T12:00:00Z"',
    "google.protobuf.Struct": "an object",
}


def read_message(where: str, entry: Any, kind: type[M]) -> M:
    """
    Read an object as a message; fields may be written in snake_case or camelCase.

    ``where`` names the object in errors. ``FormatError`` names the first field that is wrong.
    """
    try:
        return ParseDict(entry, kind())
    except _NOT_A_MESSAGE:
        message: Any = kind.DESCRIPTOR
        problem = next(_problems(message, entry, ""), ": can't be read")
        raise FormatError(f"{where}{problem}") from None


def _problems(message: Descriptor, value: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with an object, each with its path."""
    if message.full_name in _WELL_KNOWN:
        yield f"{path}: expected {_WELL_KNOWN[message.full_name]}, found {_shown(value)}"
        return
    if not isinstance(value, Mapping):
        yield f"{path}: expected an object, found {_shown(value)}"
        return
    fields = {field.name: field for field in message.fields}
    spellings = {field.json_name: field for field in message.fields} | fields
    for name, content in value.items():
        if name not in spellings:
            yield f"{path}: {_unknown(name, list(fields))}"
        elif not _is_readable(message, name, content):
            field = spellings[name]
            yield from _field_problems(message, field, content, f"{path}, {field.name}")


def _field_problems(message: Descriptor, field: FieldDescriptor, content: Any, path: str) -> Iterator[str]:
    if not field.is_repeated:
        yield from _value_problems(field, content, path)
    elif not isinstance(content, list):
        yield f"{path}: expected a list, found {_shown(content)}"
    else:
        for place, item in enumerate(content):
            if not _is_readable(message, field.name, [item]):
                yield from _value_problems(field, item, f"{path}[{place}]")


def _value_problems(field: FieldDescriptor, value: Any, path: str) -> Iterator[str]:
    if field.message_type is not None:
        yield from _problems(field.message_type, value, path)
    elif field.enum_type is not None:
        allowed = ", ".join(word.name for word in field.enum_type.values if word.number)
        yield f"{path}: {_shown(value)} is not one of {allowed}"
    else:
        yield f"{path}: expected {_EXPECTED.get(field.cpp_type, 'another value')}, found {_shown(value)}"


def _is_readable(message: Descriptor, name: str, content: Any) -> bool:
    try:
        ParseDict({name: content}, GetMessageClass(message)())
    except _NOT_A_MESSAGE:
        return False
    return True


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"no field is named {_shown(name)}; {advice}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list) or value is None:
        return kind_of(value)
    text = ascii(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."
