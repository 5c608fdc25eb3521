"""
Alerts in the system of record: each method in good, empty, missing and repeated cases.
"""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from server.domain.alerts import Alert, AlertFilter, AlertStatus
from server.domain.errors import (
    AlertAlreadyExistsError,
    AlertNotFoundError,
    AlertResolvedError,
    InvalidInputError,
)
from server.store.alerts import AlertRepository
from server.store.database import Database
from tests.support.pages import every_row

NOBODY = UUID(int=7)


@pytest.fixture
async def repository(database_url: str) -> AsyncIterator[AlertRepository]:
    async with Database.open(database_url) as database:
        yield AlertRepository(database)


EVERY = AlertFilter()


async def shown(repository: AlertRepository, status: AlertStatus | None, size: int) -> list[str]:
    found = await every_row(lambda after: repository.page(AlertFilter(status), size, after), size)
    return ["".join(alert.cycle_path) for alert in found]


def untimed(alert: Alert) -> Alert:
    return alert._replace(updated_at=alert.detected_at)


async def test_a_new_alert_is_open_and_found_by_its_id(repository: AlertRepository) -> None:
    alert = (await repository.create(["b", "c", "a"])).value

    assert alert[1:5] == (("b", "c", "a"), "open", None, None)
    assert await repository.get(alert.id) == alert


async def test_a_cycle_is_found_whichever_service_it_is_written_from(repository: AlertRepository) -> None:
    alert = (await repository.create(("b", "c", "a"))).value

    assert await repository.find(["a", "b", "c"]) == alert
    assert await repository.find(["c", "a", "b"]) == alert
    assert await repository.find(["a", "c", "b"]) is None
    assert await repository.find(["a", "b"]) is None
    assert await repository.find([]) is None


async def test_a_cycle_has_one_alert_whichever_service_it_is_written_from(
    repository: AlertRepository,
) -> None:
    first = (await repository.create(["a", "b", "c"])).value

    with pytest.raises(AlertAlreadyExistsError):
        await repository.create(["b", "c", "a"])

    assert (await repository.page(EVERY, 10, None)).rows == (first,)


async def test_of_many_that_open_the_same_alert_at_once_one_succeeds(repository: AlertRepository) -> None:
    outcomes = await asyncio.gather(
        *(repository.create(path) for path in ("abc", "bca", "cab", "abc")), return_exceptions=True
    )

    assert sum(isinstance(outcome, AlertAlreadyExistsError) for outcome in outcomes) == 3


@pytest.mark.parametrize("path", [[], ["a"], ["a", "b", "a"], ["a", ""], ["a", "x" * 256]])
async def test_a_path_that_is_no_cycle_is_refused(repository: AlertRepository, path: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="at least two services") as caught:
        await repository.create(path)

    assert [violation.field for violation in caught.value.violations] == ["cycle_path"]


@pytest.mark.parametrize("name", ["nul\0", "lone \ud800"])
async def test_names_that_can_not_exist_are_refused(repository: AlertRepository, name: str) -> None:
    for call in (repository.create(["a", name]), repository.find(["a", name])):
        with pytest.raises(InvalidInputError):
            await call


async def test_a_cycle_of_a_thousand_services_fits(repository: AlertRepository) -> None:
    path = [f"service-{number:04}-{'x' * 100}" for number in range(1_000)]

    alert = (await repository.create(path)).value

    assert await repository.find(path[500:] + path[:500]) == alert


async def test_an_alert_is_acknowledged_and_then_resolved(repository: AlertRepository) -> None:
    alert = (await repository.create(["a", "b"])).value

    acknowledged = (await repository.acknowledge(alert.id, "ana")).value
    assert untimed(acknowledged) == untimed(alert._replace(status="acknowledged", acknowledged_by="ana"))
    assert acknowledged.updated_at > alert.updated_at
    assert (await repository.acknowledge(alert.id, "ana")).value == acknowledged
    assert (await repository.acknowledge(alert.id, "bo")).value.acknowledged_by == "bo"

    resolved = (await repository.resolve(alert.id, "split in two")).value
    assert untimed(resolved) == untimed(
        alert._replace(status="resolved", acknowledged_by="bo", resolution_notes="split in two")
    )
    assert await repository.get(alert.id) == resolved


async def test_a_resolved_alert_can_not_be_changed_any_more(repository: AlertRepository) -> None:
    alert = (await repository.create(["a", "b"])).value
    resolved = (await repository.resolve(alert.id, "done")).value

    for call in (repository.acknowledge(alert.id, "ana"), repository.resolve(alert.id, "again")):
        with pytest.raises(AlertResolvedError, match=str(alert.id)):
            await call

    assert await repository.get(alert.id) == resolved


async def test_of_many_that_resolve_an_alert_at_once_one_succeeds(repository: AlertRepository) -> None:
    alert = (await repository.create(["a", "b"])).value

    outcomes = await asyncio.gather(
        *(repository.resolve(alert.id, f"by {number}") for number in range(6)), return_exceptions=True
    )

    assert sum(isinstance(outcome, AlertResolvedError) for outcome in outcomes) == 5


async def test_a_missing_alert_is_not_found_acknowledged_or_resolved(repository: AlertRepository) -> None:
    for call in (
        repository.get(NOBODY),
        repository.acknowledge(NOBODY, "ana"),
        repository.resolve(NOBODY, "done"),
    ):
        with pytest.raises(AlertNotFoundError, match=str(NOBODY)):
            await call


async def test_nobody_can_not_acknowledge(repository: AlertRepository) -> None:
    alert = (await repository.create(["a", "b"])).value

    with pytest.raises(InvalidInputError, match="acknowledged_by must not be empty"):
        await repository.acknowledge(alert.id, "")


async def test_without_alerts_a_page_is_empty(repository: AlertRepository) -> None:
    page = await repository.page(EVERY, 10, None)

    assert (page.rows, page.next) == ((), None)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
async def test_pages_show_the_alerts_of_a_status_latest_detected_first(
    repository: AlertRepository, size: int
) -> None:
    alerts = [(await repository.create(path)).value for path in ("ab", "bc", "cd", "de")]
    await repository.acknowledge(alerts[1].id, "ana")
    await repository.resolve(alerts[2].id, "done")

    assert await shown(repository, None, size) == ["de", "cd", "bc", "ab"]
    assert await shown(repository, "open", size) == ["de", "ab"]
    assert await shown(repository, "acknowledged", size) == ["bc"]
    assert await shown(repository, "resolved", size) == ["cd"]
