"""What DiffGraph must answer, built from two copies of the tables as dictionaries."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Literal
from uuid import UUID

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from depgraph.v1 import history_service_pb2 as pb
from depgraph.v1.graph_service_pb2 import EdgeFilter
from depgraph.v1.history_service_pb2_grpc import HistoryServiceStub
from tests.support.history_answers import dependency_message, service_message
from tests.support.history_copies import COLUMNS, Copy, Row

Change = tuple[Any, ...]
"""Kind, former and present message, and fields by name: former and present value as JSON."""
_CONTRACT = {"created_at": "create_time"}
_CONFIDENCE, _STALE = (COLUMNS[1].index(column) for column in ("confidence_score", "is_stale"))


async def wrong_diff(channel: grpc.aio.Channel, earlier: Copy, later: Copy, dice: Random) -> list[str]:
    """Ask for the difference of two marks, and describe what is not that of the copies."""
    request = pb.DiffGraphRequest(
        filter=EdgeFilter(min_confidence=dice.choice((0.0, 0.0, 0.5))),
        include_stale=dice.random() < 0.7,
    )
    getattr(request, "from").time.FromDatetime(earlier.at)
    request.to.time.FromDatetime(later.at)
    whole = pb.DiffGraphResponse()
    async for part in HistoryServiceStub(channel).DiffGraph(request):
        whole.MergeFrom(part)
    expected = _Expected(earlier, later, request)
    return [
        *_unequal("services", _answered(whole.services), expected.services()),
        *_unequal("dependencies", _answered(whole.dependencies), expected.dependencies()),
        *_unequal("aliases", {"all": _aliases(whole)}, {"all": expected.aliases()}),
    ]


class _Expected:
    """The difference of two copies."""

    def __init__(self, earlier: Copy, later: Copy, request: pb.DiffGraphRequest) -> None:
        self._before, self._after = earlier.rows, later.rows
        self._least, self._include_stale = request.filter.min_confidence, request.include_stale

    def services(self) -> dict[str, Change]:
        before = {key: (row, service_message(key, row)) for key, row in self._before.services.items()}
        after = {key: (row, service_message(key, row)) for key, row in self._after.services.items()}
        return dict(_changes(COLUMNS[0], before, after))

    def dependencies(self) -> dict[str, Change]:
        return dict(_changes(COLUMNS[1], self._counting(self._before), self._counting(self._after)))

    def aliases(self) -> Change:
        found = []
        before = self._owners(self._before)
        after = self._owners(self._after)
        for key in before.keys() | after.keys():
            alias, owner, name = before.get(key, ("", None, ""))
            alias_after, owner_after, name_after = after.get(key, ("", None, ""))
            if alias == alias_after:
                if owner != owner_after:
                    found.append(("CHANGED", alias, name, name_after))
                continue
            if alias:
                found.append(("REMOVED", alias, name, ""))
            if alias_after:
                found.append(("ADDED", alias_after, "", name_after))
        return tuple(sorted(found))

    def _counting(self, rows: Any) -> dict[UUID, tuple[Row, Message]]:
        return {
            key: (
                row,
                dependency_message(key, row, rows.services[row[0]][0], rows.services[row[1]][0]),
            )
            for key, row in rows.dependencies.items()
            if row[_CONFIDENCE] >= self._least and (self._include_stale or not row[_STALE])
        }

    @staticmethod
    def _owners(rows: Any) -> dict[UUID, tuple[str, UUID, str]]:
        return {
            key: (alias, owner, rows.services[owner][0]) for key, (alias, owner, _) in rows.aliases.items()
        }


def _changes(
    columns: tuple[str, ...],
    before: Mapping[UUID, tuple[Row, Message]],
    after: Mapping[UUID, tuple[Row, Message]],
) -> Iterator[tuple[str, Change]]:
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            kind: Literal["ADDED", "REMOVED"] = "ADDED" if old is None else "REMOVED"
            yield str(key), (kind, old and old[1], new and new[1], {})
        elif old[0] != new[0]:
            fields = {
                _CONTRACT.get(column, column): (
                    _shown(old[1], _CONTRACT.get(column, column)),
                    _shown(new[1], _CONTRACT.get(column, column)),
                )
                for column, former, present in zip(columns, old[0], new[0], strict=True)
                if former != present
            }
            yield str(key), ("CHANGED", old[1], new[1], fields)


def _shown(message: Any, field: str) -> Any:
    """Give a field as JSON shows it; None = it is unset."""
    value: Any = getattr(message, field)
    if message.DESCRIPTOR.fields_by_name[field].has_presence and not message.HasField(field):
        return None
    if isinstance(value, Message):
        return MessageToDict(value)
    shown = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return shown[field]


def _answered(changes: Any) -> dict[str, Change]:
    return {
        (each.after if each.HasField("after") else each.before).id: (
            pb.ChangeKind.Name(each.kind).removeprefix("CHANGE_KIND_"),
            each.before if each.HasField("before") else None,
            each.after if each.HasField("after") else None,
            {
                field.field: tuple(
                    MessageToDict(getattr(field, side)) if field.HasField(side) else None
                    for side in ("before", "after")
                )
                for field in each.fields
            },
        )
        for each in changes
    }


def _aliases(answer: pb.DiffGraphResponse) -> Change:
    return tuple(
        sorted(
            (pb.ChangeKind.Name(each.kind).removeprefix("CHANGE_KIND_"), each.alias, each.before, each.after)
            for each in answer.aliases
        )
    )


def _unequal(what: str, answered: dict[str, Change], expected: dict[str, Change]) -> list[str]:
    return [
        f"{what} {key}: answered {answered.get(key)}, expected {expected.get(key)}".replace("\n", " ")
        for key in answered.keys() | expected.keys()
        if answered.get(key) != expected.get(key)
    ]
