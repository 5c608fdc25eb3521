"""
The answer of a tool: what it says in a sentence, tables, what is left out, how fresh it is.

Agents read it as text, programs as JSON. Both hold the same rows and neither takes more than
``MAX_BYTES``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeAlias

from depgraph.v1.types_pb2 import Freshness, ResolvedAlias
from server.web.mcp.naming import quoted
from server.web.mcp.times import state

Cell: TypeAlias = str | int | float | None

MAX_BYTES = 24_000
"""About 6,000 tokens; usual answers take a tenth of it."""
# What its parts may take of it; the rest is for heads and freshness.
_ROOM_FOR_ROWS = 15_000
_ROOM_FOR_SUMMARY = 4_000
_ROOM_FOR_NOTES = 2_000
_ROOM_FOR_ALIASES = 1_000
_OLD_SECONDS = 10.0
_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60))


class Name(str):
    """A cell that holds a name of others, which text quotes where needed."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Table:
    """
    Rows of one kind, best first.

    ``total`` counts those there are, shown or not; None = there are more, which nobody counted.
    ``more`` says how to get at rows that are left out.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    total: int | None
    more: str

    @property
    def left_out(self) -> str:
        """What is missing; empty = nothing."""
        if self.total is None:
            return f"more {self.title}: {self.more}"
        rest = self.total - len(self.rows)
        return f"{rest:,} of {self.total:,} {self.title}: {self.more}" if rest > 0 else ""

    def within(self, size: int) -> "Table":
        """Leave out the last rows, so that the others take at most ``size`` bytes."""
        kept = 0
        for row in self.rows:
            size -= max(len(_line(row).encode()), len(_json(row).encode())) + 1
            if size < 0:
                break
            kept += 1
        return Table(self.title, self.columns, self.rows[:kept], self.total, self.more)

    def lines(self) -> Iterator[str]:
        """Write the rows with tabs between cells."""
        total = "more" if self.total is None else f"{self.total:,}"
        yield f"{self.title} ({len(self.rows):,} of {total}):"
        yield "\t".join(self.columns)
        yield from map(_line, self.rows)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a tool answers.

    ``freshness`` None = the answer comes from the database, as it is now. ``since`` is the earlier
    state of an answer that compares two.
    """

    summary: Sequence[str]
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    freshness: Freshness | None = None
    aliases: Sequence[ResolvedAlias] = ()
    counts: Mapping[str, int | bool] = field(default_factory=dict)
    since: Freshness | None = None

    def bounded(self) -> "Answer":
        """Leave out what has no room in ``MAX_BYTES``; every table has its share."""
        tables, room = [], _ROOM_FOR_ROWS
        for position, table in enumerate(self.tables):
            kept = table.within(room // (len(self.tables) - position))
            room -= sum(len(line.encode()) + 1 for line in kept.lines())
            tables.append(kept)
        aliases = _fitting([*map(_alias, self.aliases)], _ROOM_FOR_ALIASES)
        summary, notes = _fitting(self.summary, _ROOM_FOR_SUMMARY), _fitting(self.notes, _ROOM_FOR_NOTES)
        return Answer(
            summary + _rest(self.summary, summary, "lines like these"),
            tables,
            notes + _rest(self.notes, notes, "notes") + _rest(self.aliases, aliases, "aliases"),
            self.freshness,
            self.aliases[: len(aliases)],
            self.counts,
            self.since,
        )

    def text(self) -> str:
        """Write it for agents."""
        lines = [*self.summary]
        lines += map(_alias, self.aliases)
        for table in self.tables:
            if table.rows:
                lines += table.lines()
        lines += self.notes
        lines += [f"left out: {table.left_out}" for table in self.tables if table.left_out]
        lines.append(self._fresh())
        return "\n".join(lines)

    def structured(self) -> dict[str, Any]:
        """Write it for programs; ``OUTPUT_SCHEMA`` is its form."""
        return {
            "summary": [*self.summary, *self.notes],
            "counts": dict(self.counts),
            "tables": {
                table.title: {"columns": table.columns, "rows": table.rows, "total": table.total}
                for table in self.tables
            },
            "left_out": [table.left_out for table in self.tables if table.left_out],
            "aliases": {each.alias: each.service_id for each in self.aliases},
            "revision": None if self.freshness is None else self.freshness.revision,
            "lag_seconds": _lag_seconds(self.freshness),
            "as_of": None if self.freshness is None else state(self.freshness),
            "since": None if self.since is None else state(self.since),
        }

    def _fresh(self) -> str:
        if self.freshness is None:
            return "fresh: read from the database now"
        as_of = state(self.freshness)
        if self.since is not None:
            return f"between: the graph as of {state(self.since)} and as of {as_of or 'now'}"
        if as_of is not None:
            return f"as of: {as_of}, the last mark until the time asked for"
        seconds = _seconds(self.freshness)
        if seconds < _OLD_SECONDS:
            return f"fresh: at most {max(seconds, 0.1):.1f} s behind the database"
        return f"OLD: may be {_words(seconds)} behind the database, which the server can't reach"


OUTPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "summary": {"type": "array", "items": {"type": "string"}},
        "counts": {"type": "object", "additionalProperties": {"type": ["integer", "boolean"]}},
        "tables": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "columns": {"type": "array", "items": {"type": "string"}},
                    "rows": {
                        "type": "array",
                        "items": {"type": "array", "items": {"type": ["string", "number", "null"]}},
                    },
                    "total": {"type": ["integer", "null"]},
                },
                "required": ["columns", "rows", "total"],
            },
        },
        "left_out": {"type": "array", "items": {"type": "string"}},
        "aliases": {"type": "object", "additionalProperties": {"type": "string"}},
        "revision": {"type": ["string", "null"]},
        "lag_seconds": {"type": ["number", "null"]},
        "as_of": {"type": ["string", "null"]},
        "since": {"type": ["string", "null"]},
    },
    "required": ["summary", "tables", "left_out", "revision", "lag_seconds"],
}


def _fitting(lines: Sequence[str], size: int) -> list[str]:
    """Keep the first lines, as many as ``size`` bytes hold in JSON."""
    sizes = accumulate(len(_json(line).encode()) + 2 for line in lines)
    return [line for line, taken in zip(lines, sizes, strict=True) if taken <= size]


def _rest(lines: Sequence[object], kept: Sequence[str], what: str) -> list[str]:
    rest = len(lines) - len(kept)
    return [f"left out: {rest:,} more {what}: ask for less"] if rest else []


def _alias(each: ResolvedAlias) -> str:
    return f"{quoted(each.alias)} is an alias of {quoted(each.service_id)}"


def _line(row: Sequence[Cell]) -> str:
    return "\t".join(map(_cell, row))


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    return quoted(value) if isinstance(value, Name) else str(value)


def _json(value: Sequence[Cell]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lag_seconds(freshness: Freshness | None) -> float | None:
    """Say how far memory may be behind; None = the answer is about then, or not from memory."""
    return None if freshness is None or freshness.HasField("as_of_time") else _seconds(freshness)


def _seconds(freshness: Freshness) -> float:
    return round(freshness.lag.seconds + freshness.lag.nanos / 1e9, 3)


def _words(seconds: float) -> str:
    """Write a long time in its largest unit."""
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
