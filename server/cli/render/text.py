"""Text on a terminal: names, counts, enum words, aligned columns; and JSON for programs."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.cells import cell_len

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper

ValueT = TypeVar("ValueT", bound=int)


def printable(text: str) -> str:
    r"""Escape what a terminal would act on or not show, such as control characters: ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def visible(name: str) -> str:
    """Show a name so that different names look different: ``printable``, backslashes doubled."""
    return printable(name.replace("\\", "\\\\"))


def counted(number: int, thing: str, things: str | None = None) -> str:
    """Say how many: ``1 service``, ``21,808 services``, ``2 dependencies``."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def enum_word(enum: "_EnumTypeWrapper[ValueT]", value: ValueT) -> str:
    """Write a value of an enum in words: ``DISCOVERY_SOURCE_SERVICE_MESH`` as ``service mesh``."""
    prefix = re.sub(r"\B(?=[A-Z])", "_", enum.DESCRIPTOR.name).upper() + "_"
    return enum.Name(value).removeprefix(prefix).lower().replace("_", " ")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad every column but the last to its widest cell, as wide as a terminal shows it."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [_line(row, widths) for row in rows]


def print_lines(lines: Iterable[str]) -> None:
    """Print lines at once."""
    typer.echo("\n".join(lines))


def print_json(answer: Mapping[str, Any], *, only_ascii: bool = False) -> None:
    """Print an answer as JSON; ``only_ascii`` escapes all other characters."""
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=only_ascii))


def fields_of(message: Message) -> dict[str, Any]:
    """Return a message under the names of the contract, with every field that has a default."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _escaped(character: str) -> str:
    # Lone surrogates have no UTF-8; "unicode_escape" leaves nothing else to encode.
    return character.encode("unicode_escape").decode("ascii")


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (value + " " * (width - cell_len(value)) for value, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()
