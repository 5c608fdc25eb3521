"""Writes of many rows: ids for new rows, and what is refused of any batch."""

import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from server.domain.errors import FieldViolation, InvalidInputError
from server.domain.services import name_problem
from server.store import query
from server.store.pool import Connection

_KNOWN = query("services_known")
_SIZE = 16
_DIGITS = 2 * _SIZE
_VERSION_BYTE, _VARIANT_BYTE = 6, 8
# What stays of the bytes that hold version 4 and the variant of RFC 9562.
_VERSIONS = bytes(byte & 0x0F | 0x40 for byte in range(256))
_VARIANTS = bytes(byte & 0x3F | 0x80 for byte in range(256))


async def reject_bad_names(connection: Connection, named: Iterable[tuple[str, str]]) -> None:
    """
    Raise ``InvalidInputError`` when a new name breaks the rule of ``name_problem``.

    ``named`` pairs the path of a field with the name in it. Names that services have already pass;
    the database is asked only if a name breaks the rule.
    """
    problems = [
        (FieldViolation(path, problem), name)
        for path, name in named
        if (problem := name_problem(name)) is not None
    ]
    if not problems:
        return
    records = await connection.fetch(_KNOWN, [name for _, name in problems])
    known = {record["service_id"] for record in records}
    violations = [violation for violation, name in problems if name not in known]
    if violations:
        first = violations[0]
        others = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise InvalidInputError(f"{first.field}: {first.description}{others}", violations=violations)


def reject_repeats(keys: Iterable[Hashable], field: Callable[[int], str]) -> None:
    """
    Raise ``InvalidInputError`` that names each key given before, and where. O(items).

    ``field`` gives the path of an item by its position. One statement can't write a row twice, and
    the server does not guess which of the two counts.
    """
    keys = list(keys)
    if len(set(keys)) == len(keys):
        return
    first: dict[Hashable, int] = {}
    violations: list[FieldViolation] = []
    for place, key in enumerate(keys):
        earlier = first.setdefault(key, place)
        if earlier != place:
            named = " / ".join(key) if isinstance(key, tuple) else key
            violations.append(FieldViolation(field(place), f"{named} was given before, at {field(earlier)}"))
    if violations:
        raise InvalidInputError("the batch holds something twice: give each item once", violations=violations)


def columns(rows: Sequence[tuple[Any, ...]], kind: type[Any]) -> tuple[Sequence[Any], ...]:
    """Transpose named tuples of a kind, perhaps none, into a sequence for each field."""
    return tuple(zip(*rows, strict=True)) or ((),) * len(kind._fields)


def random_uuids(count: int) -> list[str]:
    """Make random UUIDs (version 4) as 32 hexadecimal digits each. O(count), 0.1 µs each."""
    noise = bytearray(os.urandom(_SIZE * count))
    noise[_VERSION_BYTE::_SIZE] = noise[_VERSION_BYTE::_SIZE].translate(_VERSIONS)
    noise[_VARIANT_BYTE::_SIZE] = noise[_VARIANT_BYTE::_SIZE].translate(_VARIANTS)
    digits = noise.hex()
    return [digits[start : start + _DIGITS] for start in range(0, len(digits), _DIGITS)]
