"""
What commands print: names, counts, enum words, aligned columns; and JSON for programs.

On a terminal, lines break between words. In pipes and files nothing is wrapped.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.cells import cell_len

# Commands take all their words from here.
from server.words import counted as counted  # noqa: PLC0414 - says that it is exported
from server.words import enum_word as enum_word  # noqa: PLC0414

GAP, HANGING = "  ", "    "
NARROWEST = 24
"""Characters that a last column needs to be worth wrapping where it stands."""


def printable(text: str) -> str:
    r"""Escape what a terminal would act on or not show, such as control characters: ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def visible(name: str) -> str:
    """Show a name so that different names look different: ``printable``, backslashes doubled."""
    return printable(name.replace("\\", "\\\\"))


def screen_width(*, err: bool = False) -> int:
    """Return the columns of the terminal that output or errors go to; a pipe has no end."""
    stream = sys.stderr if err else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else sys.maxsize


def aligned(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """
    Align columns; returns a text for each row.

    Columns that the terminal has no room for follow on lines of their own.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    width = screen_width()
    parts = list(_parts(widths, width - len(indent)))
    return ["\n".join(_row_lines(row, widths, parts, width, indent)) for row in rows]


def listing(heads: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> Iterator[str]:
    """Align rows below their heads, and say how many of ``total`` are left out."""
    yield from aligned([heads, *rows])
    if total > len(rows):
        yield f"… and {total - len(rows):,} more (--top 0 lists all)"


def wrapped(text: str, width: int, hanging: str = "") -> Iterator[str]:
    """Break a line between words; all lines but the first begin with ``hanging``."""
    if cell_len(text) <= width:
        yield text
        return
    line, *words = text.split(" ")
    for word in words:
        if line.strip() and cell_len(line) + 1 + cell_len(word) > width:
            yield line.rstrip()
            line = hanging + word
        else:
            line += f" {word}"
    yield line


def print_lines(lines: Iterable[str], *, err: bool = False, hanging: str = "") -> None:
    """
    Print lines at once, broken between words where the terminal ends.

    The rest of a broken line begins with ``hanging``, or deeper than a line that is indented.
    """
    width = screen_width(err=err)
    parts = [
        part
        for text in lines
        for line in text.split("\n")
        for part in wrapped(line, width, _deeper(line) if line.startswith(" ") else hanging)
    ]
    if parts:
        typer.echo("\n".join(parts), err=err)


def print_coloured(text: str, colour: str | None) -> None:
    """Print a text; in colour only on a terminal, and without ``NO_COLOR`` in the environment."""
    typer.secho(text, fg=colour, color=False if os.environ.get("NO_COLOR") else None)


def print_json(answer: Mapping[str, Any], *, only_ascii: bool = False) -> None:
    """Print an answer as JSON; ``only_ascii`` escapes all other characters."""
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=only_ascii))


def fields_of(message: Message) -> dict[str, Any]:
    """Return a message under the names of the contract, with every field that has a default."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _escaped(character: str) -> str:
    # Lone surrogates have no UTF-8; "unicode_escape" leaves nothing else to encode.
    return character.encode("unicode_escape").decode("ascii")


def _deeper(line: str) -> str:
    return " " * (len(line) - len(line.lstrip(" "))) + HANGING


def _parts(widths: Sequence[int], width: int) -> Iterator[range]:
    """Divide columns between lines; the last one is wrapped beside others if it has room."""
    first, used = 0, 0
    for column, needed in enumerate(widths):
        is_last = column == len(widths) - 1
        too_wide = used + needed > width and not (is_last and width - used >= NARROWEST)
        if column > first and too_wide:
            yield range(first, column)
            first, used = column, len(HANGING)
        used += needed + len(GAP)
    yield range(first, len(widths))


def _row_lines(
    row: Sequence[str], widths: Sequence[int], parts: Sequence[range], width: int, indent: str
) -> Iterator[str]:
    for part in parts:
        *padded, last = part
        line = indent + "".join(
            row[each] + " " * (widths[each] - cell_len(row[each])) + GAP for each in padded
        )
        for cell_line in wrapped(row[last], width - cell_len(line)):
            yield (line + cell_line).rstrip()
            line = " " * cell_len(line)
        if part is parts[0]:
            indent += HANGING
