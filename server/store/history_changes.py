"""Changes between two states of the tables, out of the undo log of migration 0014."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from server.domain.dependencies import DependencyRow
from server.domain.errors import FieldViolation, InvalidInputError, ResponseTooLargeError
from server.domain.history import Mark
from server.domain.history_changes import (
    MOST_FORMER_ENDS,
    MOST_ROWS,
    AnyChange,
    ChangePlace,
    FormerEnds,
    Netted,
    RowChange,
    States,
    Window,
)
from server.domain.revision import Revision, Snapshot
from server.domain.services import Service, ServiceAlias, ServiceKind
from server.store import query
from server.store.history import HistoryReader
from server.store.pool import Connection

_NETTED_SERVICES = query("history_netted_services")
_NETTED_DEPENDENCIES = query("history_netted_dependencies")
_NETTED_ALIASES = query("history_netted_aliases")
_REPORTED = query("history_reported")
_DEPENDENCIES_OF = query("history_dependencies_of")
_STARTED, _LAST_NAMED = query("history_started"), query("history_last_named")
_NEWEST, _NEAREST = query("history_newest"), query("history_nearest")
_NAMES_THEN, _FORMER_ENDS = query("history_names_then"), query("history_former_ends")
_LAST_SEQ = 2**63 - 1

T = TypeVar("T")


class _Subject(NamedTuple):
    """How the changes of a table are read: the number of its entries in a list, and its rows."""

    statement: str
    make: Any
    ends: tuple[int, ...]
    """Where in a row the ids of services stand."""


_SUBJECTS = {
    1: _Subject(query("history_changed_services"), Service._make, ()),
    2: _Subject(query("history_changed_dependencies"), DependencyRow._make, (1, 2)),
    3: _Subject(query("history_changed_aliases"), ServiceAlias._make, (2,)),
}


class HistoryRepository:
    """``domain.history_changes.HistoryStore`` on PostgreSQL."""

    def __init__(self, reader: HistoryReader) -> None:
        self._reader = reader

    async def netted(self, window: Window, kinds: Collection[ServiceKind]) -> Netted:
        """See ``HistoryStore.netted``."""
        sides = (*_side(window.since), *_side(window.until))
        async with self._reader.reading(window.since, window.present) as connection:
            found = await _at_most(connection, "services", _NETTED_SERVICES, *sides)
            services: list[States[Service]] = await _decoded(partial(_states, Service._make), found)
            rows = await _at_most(connection, "dependencies", _NETTED_DEPENDENCIES, *sides)
            dependencies = await _decoded(_dependency_states, rows)
            del rows
            changed = await _at_most(connection, "aliases", _NETTED_ALIASES, *sides)
            aliases: list[States[ServiceAlias]] = await _decoded(
                partial(_states, ServiceAlias._make), changed
            )
            turned = [row[1] for row, states in zip(found, services, strict=True) if _turned(states, kinds)]
            if turned:
                others = await _at_most(connection, "dependencies", _DEPENDENCIES_OF, *sides, turned)
                dependencies += await _decoded(_unchanged, others)
        return Netted(services, dependencies, aliases)

    async def reported(self, window: Window) -> dict[UUID, float]:
        """See ``HistoryStore.reported``."""
        async with self._reader.reading(window.since, window.present) as connection:
            found = await connection.fetch(_REPORTED, window.present.snapshot.text)
        return await asyncio.to_thread(_known, found)

    async def newest(self, window: Window, size: int, before: ChangePlace | None) -> list[AnyChange]:
        """See ``HistoryStore.newest``."""
        sides = (*_side(window.since), *_side(window.until))
        last = _LAST_SEQ if before is None else before.seq
        async with self._reader.reading(window.since, window.present) as connection:
            found = await connection.fetch(_NEWEST, *sides, last, size)
            return await _changes(connection, window, found)

    async def nearest(
        self, window: Window, distances: Mapping[UUID, int], size: int, after: ChangePlace | None
    ) -> list[AnyChange]:
        """See ``HistoryStore.nearest``."""
        sides = (*_side(window.since), *_side(window.until))
        hops, last = (-1, 0) if after is None else after
        services = await asyncio.to_thread(_as_arrays, distances)
        async with self._reader.reading(window.since, window.present) as connection:
            found = await connection.fetch(_NEAREST, *sides, last, size, hops, *services)
            return await _changes(connection, window, found)

    async def last_named(self, window: Window, name: str) -> UUID | None:
        """See ``HistoryStore.last_named``."""
        async with self._reader.reading(window.since, window.present) as connection:
            found: UUID | None = await connection.fetchval(_LAST_NAMED, *_side(window.since), name)
        return found

    async def former_ends(self, window: Window, present: str) -> FormerEnds:
        """See ``HistoryStore.former_ends``."""
        async with self._reader.reading(window.since, window.present) as connection:
            found = await connection.fetch(_FORMER_ENDS, *_side(window.since), present, MOST_FORMER_ENDS + 1)
        pairs = [(source, target) for key, source, target in found if key is None]
        if len(pairs) > MOST_FORMER_ENDS:
            what = f"more than {MOST_FORMER_ENDS:,} dependencies were removed since; give a later time"
            raise InvalidInputError(f"since: {what}", violations=[FieldViolation("since", what)])
        return FormerEnds(pairs, {key for key, _, _ in found if key is not None})


def _known(found: Iterable[asyncpg.Record]) -> dict[UUID, float]:
    return {key: confidence for key, confidence in found if confidence is not None}


def _side(mark: Mark) -> tuple[str, datetime | None]:
    """Say how entries after a state are found: by its snapshot, or by time."""
    return mark.snapshot.text, None if mark.is_exact else mark.at


def _as_arrays(distances: Mapping[UUID, int]) -> tuple[str, str]:
    """Write services and distances as arrays: the driver would hold the event loop up with them."""
    ids, hops = (",".join(map(str, values)) for values in (distances, distances.values()))
    return f"{{{ids}}}", f"{{{hops}}}"


def _states(make: Any, record: Sequence[Any]) -> States[Any]:
    """Read the two halves of a record; each begins with whether the row existed."""
    values = tuple(record)
    half = len(values) // 2
    before = make(values[1:half]) if values[0] else None
    return States(before, make(values[half + 1 :]) if values[half] else None)


_DEPENDENCY_HALF = 2 + len(DependencyRow._fields)


def _dependency_states(record: asyncpg.Record) -> States[DependencyRow]:
    """Read seq, existed and row, and behind an id the same of the later state."""
    later = _DEPENDENCY_HALF + 3
    before = _new_row(DependencyRow, record[2:_DEPENDENCY_HALF]) if record[1] else None
    after = _new_row(DependencyRow, record[later:]) if record[later - 1] else None
    return States(before, after)


# Half as long as ``_make``, which there are ten thousands of.
_new_row: Any = tuple.__new__


def _turned(states: States[Service], kinds: Collection[ServiceKind]) -> bool:
    """Whether a service was, or is, of one of the kinds, but not both."""
    if states.before is None or states.after is None:
        return False
    return (states.before.kind in kinds) is not (states.after.kind in kinds)


def _unchanged(record: Iterable[Any]) -> States[DependencyRow]:
    row = DependencyRow._make(record)
    return States(row, row)


async def _at_most(
    connection: Connection, what: str, statement: str, *arguments: Any
) -> list[asyncpg.Record]:
    """Read rows; the limit is the last parameter. Raises ``ResponseTooLargeError`` beyond it."""
    rows = await connection.fetch(statement, *arguments, MOST_ROWS + 1)
    if len(rows) > MOST_ROWS:
        raise ResponseTooLargeError(
            f"more than {MOST_ROWS:,} {what} changed between the two: compare times that are nearer to each "
            "other",
            limit=str(MOST_ROWS),
        )
    return rows


async def _decoded(decode: Callable[[Any], T], rows: Sequence[asyncpg.Record]) -> list[T]:
    """Decode rows, some µs each, in a thread: other calls run meanwhile."""
    return await asyncio.to_thread(list, map(decode, rows))


async def _changes(
    connection: Connection, window: Window, found: Sequence[asyncpg.Record]
) -> list[AnyChange]:
    """Look up the changes at some places of a list, in its order."""
    since = _side(window.since)
    places = {seq: ChangePlace(hops, seq) for _, seq, _, hops in found}
    read: dict[int, tuple[asyncpg.Record, States[Any], set[UUID]]] = {}
    for number, some in groupby(sorted(found, key=lambda row: row["subject"]), lambda row: row["subject"]):
        subject, rows = _SUBJECTS[number], list(some)
        ids = list({row["id"] for row in rows})
        numbers = [row["seq"] for row in rows]
        for row in await connection.fetch(subject.statement, *since, ids, numbers):
            # Behind seq, at, principal and xid.
            states = _states(subject.make, row[4:])
            ends = {state[place] for state in states if state is not None for place in subject.ends}
            read[row["seq"]] = row, states, ends
    names = await _names_then(
        connection, since, [(end, seq) for seq, (_, _, ends) in read.items() for end in ends]
    )
    started = await connection.fetchval(_STARTED, window.present.feed_id)
    run = None if started is None else Snapshot.parse(started)
    return [
        RowChange(
            place,
            row["at"],
            row["principal"],
            _revision(window.present.feed_id, run, int(row["xid"])),
            states,
            {end: names[end, seq] for end in ends},
        )
        for seq, place in places.items()
        for row, states, ends in (read[seq],)
    ]


async def _names_then(
    connection: Connection, since: tuple[str, datetime | None], asked: Iterable[tuple[UUID, int]]
) -> dict[tuple[UUID, int], str]:
    """Look up names of services at certain changes; empty = there was no such service."""
    pairs = list(asked)
    if not pairs:
        return {}
    ids, numbers = zip(*pairs, strict=True)
    found = await connection.fetch(_NAMES_THEN, *since, list(ids), list(numbers))
    return {(key, seq): name or "" for key, seq, name in found}


def _revision(feed_id: str, run: Snapshot | None, xid: int) -> str:
    """Write the revision of a transaction; empty unless it is one of the present run."""
    if run is None or run.sees(xid):
        return ""
    return Revision(feed_id, xid=xid).token
