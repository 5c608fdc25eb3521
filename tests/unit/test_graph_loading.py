"""A graph that is read as a whole."""

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from server.replica import Replica
from server.replica import replica as moving
from tests.support.batches import dependency_batch, service_batch
from tests.support.following import memory
from tests.support.watched_rows import (
    as_batches,
    changes,
    dependency,
    position,
    reload,
    service,
    shown,
    step,
    visible,
)

if TYPE_CHECKING:
    from server.domain.changes import TableBatch
    from server.domain.dependencies import DependencyRow
    from server.domain.services import Service


async def test_a_load_calls_settled_after_each_batch_before_the_graph_answers() -> None:
    replica = Replica(timedelta(seconds=1))
    seen: list[bool] = []
    replica.settled = lambda: seen.append(replica.is_warm)
    batches: list[TableBatch] = [service_batch([service(number)]) for number in (1, 2)]
    batches.append(dependency_batch([], [], {}))
    replica.snapshot_begins()
    await replica.load(as_batches(*batches), position(1))
    assert seen == [False, False, False]
    assert [row.service_id for row in memory(replica)[0].values()] == ["s1", "s2"]


async def test_a_reload_keeps_the_records_that_stay_as_they_were() -> None:
    replica = Replica(timedelta(seconds=1))
    await reload(replica, service(1), service(2), dependency(12, 1, 2), dependency(21, 2, 1))
    former = replica.graph
    kept = former.find_service(UUID(int=1).bytes), former.find_dependency(UUID(int=12).bytes)
    await reload(replica, service(1), service(2), dependency(12, 1, 2), dependency(21, 2, 1, timeout_ms=5))
    assert replica.graph is not former
    assert replica.graph.find_service(UUID(int=1).bytes) is kept[0]
    assert replica.graph.find_dependency(UUID(int=12).bytes) is kept[1]


async def test_rows_that_cannot_be_edges_wait_without_names_however_they_came() -> None:
    odd = dependency(14, 1, 2)._replace(criticality="grave")  # type: ignore[arg-type]
    rows: list[Service | DependencyRow] = [service(1), service(2)]
    rows += [dependency(13, 1, 3), dependency(11, 1, 1), odd]
    loaded, stepped = Replica(timedelta(seconds=1)), Replica(timedelta(seconds=1))
    await reload(loaded, *rows)
    await reload(stepped)
    await step(stepped, changes(*rows))
    assert memory(loaded) == memory(stepped)
    assert loaded.graph.dangling_count == stepped.graph.dangling_count == 3
    assert {row.source_service_id for row in memory(loaded)[1].values()} == {""}
    await step(loaded, changes(service(3)))
    assert visible(loaded) == shown([*rows, service(3)])


@pytest.mark.parametrize("in_place", [0, 1_000])
async def test_components_that_were_asked_for_stay_known(
    in_place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "IN_PLACE", in_place)
    rows: list[Service | DependencyRow] = [service(1), service(2), dependency(12, 1, 2)]
    replica = Replica(timedelta(seconds=1))

    def known() -> list[bool]:
        return [replica.graph.components.is_known]

    await reload(replica, *rows)
    await reload(replica, *rows)
    assert known() == [False]
    assert replica.graph.component_of("s1").size == 1
    await step(replica, changes(dependency(21, 2, 1)))
    assert known() == [True]
    assert replica.graph.component_of("s1").members == ("s1", "s2")
    await reload(replica, *rows)
    assert known() == [True]
    assert replica.graph.component_of("s1").size == 1


@pytest.mark.parametrize("in_place", [0, 1_000])
async def test_components_of_a_least_confidence_are_kept_by_every_way_of_moving_on(
    in_place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "IN_PLACE", in_place)
    sure, back = dependency(12, 1, 2), dependency(21, 2, 1)
    unsure = back._replace(confidence_score=0.4)
    replica = Replica(timedelta(seconds=1), cycle_confidence=0.5)

    def members() -> list[tuple[str, ...]]:
        confident = replica.graph.confident_components
        assert confident.is_known or not confident.largest_first(2)
        return [component.members for component in confident.largest_first(2)]

    await reload(replica, service(1), service(2), sure, unsure)
    assert members() == []
    await step(replica, changes(back))
    assert members() == [("s1", "s2")]
    await step(replica, changes(unsure))
    assert members() == []
    assert replica.graph.component_of("s1").size == 2
    await reload(replica, service(1), service(2), sure, back)
    assert members() == [("s1", "s2")]
