"""
Named SQL: every statement of a room stands in its ``sql/*.sql`` under its name, with a line of description.

Queries are asked for where a module is imported, so a name that is unknown, given twice or left without a
description stops the program before it serves anything.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from types import MappingProxyType

_HEADER = re.compile(r"^-- name: *(?P<name>\S*) *$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class QueryError(Exception):
    """A ``.sql`` file is not well formed, or a name is not in any of them."""


def parse_queries(text: str, origin: str) -> Iterator[tuple[str, str]]:
    """
    Split one file into pairs of name and statement; ``origin`` names the file in errors.

    A query begins with ``-- name: services_page``, goes on with a comment that describes it, then the statement.
    Raises ``QueryError`` on a bad name, a missing description or an empty statement.
    """
    starts = list(_HEADER.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends, strict=True):
        name, body = start["name"], text[start.end() : end].strip()
        if not _NAME.fullmatch(name):
            raise QueryError(f"{origin}: {name!r} is not a name for a query: use lower case and underscores")
        if not body.startswith("-- "):
            raise QueryError(f"{origin}: query {name} has no description: begin it with a comment")
        if all(line.startswith("--") or not line.strip() for line in body.splitlines()):
            raise QueryError(f"{origin}: query {name} has no statement")
        yield name, f"-- {name}\n{body}"


def load_queries(texts: Mapping[str, str]) -> Mapping[str, str]:
    """Collect the queries of several files, keyed by file name; ``QueryError`` when two share a name."""
    found: dict[str, str] = {}
    for origin, text in texts.items():
        for name, statement in parse_queries(text, origin):
            if name in found:
                raise QueryError(f"{origin}: there is a query named {name} already")
            found[name] = statement
    return MappingProxyType(found)


def queries_of(package: str) -> Callable[[str], str]:
    """
    Read the queries in folder ``sql`` of a package; returns the function that gives one by name.

    That returns the statement, its description included; ``QueryError`` when there is none.
    """
    known = load_queries(_read_texts(package))

    def query(name: str) -> str:
        try:
            return known[name]
        except KeyError:
            raise QueryError(f"no query is named {name!r}: known are {', '.join(sorted(known))}") from None

    return query


def _read_texts(package: str) -> dict[str, str]:
    folder = files(package).joinpath("sql")
    found = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name
    )
    return {entry.name: entry.read_text(encoding="utf-8") for entry in found}
