"""
Named SQL: the statements of a package, each with a description, in its ``sql/*.sql``.

Modules look their queries up when they are imported, so a bad name stops the program before it
serves. ``{service_row}`` and the like are lists of columns, ``{kept.service_row}`` those of alias
``kept``; see ``column_lists``.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType

from server.domain.columns import NOT_IN_HISTORY, Column, ColumnType
from server.domain.dependencies import DEPENDENCY_COLUMNS
from server.domain.services import SERVICE_COLUMNS

_HEADER = re.compile(r"^-- name: *(?P<name>\S*) *$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LIST = re.compile(r"\{(?P<alias>\w+\.)?(?P<name>(?:service|dependency)_\w+)\}")
_ARRAYS = {
    ColumnType.SERVICE: "text[]",
    ColumnType.TEXT: "text[]",
    ColumnType.WORD: "text[]",
    ColumnType.INTEGER: "integer[]",
    ColumnType.DOUBLE: "double precision[]",
    ColumnType.BOOLEAN: "boolean[]",
    ColumnType.TIME: "timestamptz[]",
    ColumnType.JSON: "jsonb[]",
}
"""What the columns that writers give are passed as."""


class QueryError(Exception):
    """A ``.sql`` file is not well formed, or a name is not in any of them."""


def column_lists(kind: str, columns: Sequence[Column]) -> dict[str, str]:
    """
    Write the lists of columns for statements about a kind of row; ``@`` is the alias.

    - ``KIND_row``: all columns as the server reads them.
    - ``KIND_attributes``: those that neither name the row nor its ends.
    - ``KIND_now``, ``KIND_then``: all columns as history has them, of the table, of its log.
    - ``KIND_given``: those that writers give.
    - ``KIND_arrays``: these as parameters from $2 on, one array each.
    - ``KIND_set``: those that an upsert replaces.
    - ``KIND_images``: these as they are compared, JSON as text.
    - ``KIND_replaced``: their assignment from ``@``.
    - ``KIND_values``: their values in a new row.
    - ``KIND_changed``: assignments of $4 and following to those of them that are named in $3.
    """
    given = [column for column in columns if column.role != "generated"]
    replaced = [column for column in given if column.role == "set"]
    ends = (ColumnType.ID, ColumnType.SERVICE)
    lists = {
        "row": [f"@{_read(column)}" for column in columns],
        "attributes": [f"@{_read(column)}" for column in columns if column.type not in ends],
        "now": [
            _in_history(column, "COALESCE(@reported_confidence, @confidence_score)") for column in columns
        ],
        "then": [_in_history(column, "@confidence_score") for column in columns],
        "given": [f"@{column.name}" for column in given],
        "arrays": [f"${place}::{_ARRAYS[column.type]}" for place, column in enumerate(given, 2)],
        "set": [f"@{column.name}" for column in replaced],
        # JSON is read last, since that costs most.
        "images": [f"@{_read(column)}" for column in sorted(replaced, key=_is_json)],
        "replaced": [f"{column.name} = @{column.name}" for column in replaced],
        "values": [
            f"COALESCE(@{column.name}, {column.default})" if column.default else f"@{column.name}"
            for column in replaced
        ],
        "changed": [
            f"{column.name} = CASE WHEN '{column.name}' = ANY ($3::text[])"
            f" THEN ${place}{'::jsonb' if _is_json(column) else ''} ELSE @{column.name} END"
            for place, column in enumerate(replaced, 4)
        ],
    }
    return {f"{kind}_{name}": ", ".join(items) for name, items in lists.items()}


def _is_json(column: Column) -> bool:
    return column.type is ColumnType.JSON


def _read(column: Column) -> str:
    return f"{column.name}::text" if _is_json(column) else column.name


def _in_history(column: Column, confidence: str) -> str:
    """Read a column, or NULL where history has none: the confidence is the one reported."""
    if column.name in NOT_IN_HISTORY:
        return f"NULL::timestamptz AS {column.name}"
    return f"{confidence} AS {column.name}" if column.name == "confidence_score" else f"@{_read(column)}"


_COLUMN_LISTS = column_lists("service", SERVICE_COLUMNS) | column_lists("dependency", DEPENDENCY_COLUMNS)


def parse_queries(text: str, origin: str) -> Iterator[tuple[str, str]]:
    """
    Split one file into pairs of name and statement; ``origin`` names the file in errors.

    A query is ``-- name: services_page``, a comment that describes it, and the statement. Raises
    ``QueryError`` when one of them is missing or malformed, or a list of columns is unknown.
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
        yield name, f"-- {name}\n{_with_columns(body, f'{origin}: query {name}')}"


def _with_columns(statement: str, origin: str) -> str:
    def write(found: re.Match[str]) -> str:
        if found["name"] not in _COLUMN_LISTS:
            raise QueryError(f"{origin} has {found[0]}; there are {', '.join(_COLUMN_LISTS)}")
        alias: str = found["alias"] or ""
        return _COLUMN_LISTS[found["name"]].replace("@", alias)

    return _LIST.sub(write, statement)


def load_queries(texts: Mapping[str, str]) -> Mapping[str, str]:
    """Collect queries of files, keyed by file name; ``QueryError`` when two share a name."""
    found: dict[str, str] = {}
    for origin, text in texts.items():
        for name, statement in parse_queries(text, origin):
            if name in found:
                raise QueryError(f"{origin}: there is a query named {name} already")
            found[name] = statement
    return MappingProxyType(found)


def queries_of(package: str) -> Callable[[str], str]:
    """
    Read folder ``sql`` of a package; returns the function that gives a statement by name.

    That raises ``QueryError`` for an unknown name.
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
