"""Lists, page by page, while others write."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from depgraph.v1 import alert_service_pb2 as alerts
from depgraph.v1 import analysis_service_pb2 as analyses
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import (
    ALERT_STATUS_OPEN,
    CRITICALITY_LOW,
    SERVICE_KIND_DATABASE,
    SERVICE_KIND_SERVICE,
    Service,
)
from server.config import DetectionSettings, Limits, Settings
from tests.support.calls import FRESH, Stubs, pages
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

List = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    limits = Limits(max_response_bytes=100_000)
    # Alerts are as the test writes them.
    detection = DetectionSettings(enabled=False)
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=limits, detection=detection)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


def lists(stubs: Stubs) -> dict[str, List]:
    """The five lists, each a function of the fields of its request."""
    return {
        "services": lambda **said: stubs.catalog.ListServices(catalog.ListServicesRequest(**said)),
        "dependencies": lambda **said: stubs.dependencies.ListDependencies(
            dependencies.ListDependenciesRequest(**said)
        ),
        "alerts": lambda **said: stubs.alerts.ListAlerts(alerts.ListAlertsRequest(**said)),
        "components": lambda **said: stubs.graph.ListComponents(
            graph.ListComponentsRequest(consistency=FRESH, **said)
        ),
        "drifts": lambda **said: stubs.analyses.ListDrift(
            analyses.ListDriftRequest(consistency=FRESH, **said)
        ),
    }


def sized(ask: List, size: int) -> Callable[[str], Awaitable[Any]]:
    """Ask a list for the page after a token, of a certain size."""
    return lambda token: ask(page_size=size, page_token=token)


async def fill(stubs: Stubs) -> None:
    """Write five of everything: services, dependencies, alerts, components of two."""
    await stubs.write_edges(*(f"{name}>{name.upper()}" for name in "abcde"))
    await stubs.write_edges(*(f"{name.upper()}>{name}" for name in "abcde"))
    for name in "abcde":
        await stubs.alerts.CreateAlert(alerts.CreateAlertRequest(cycle_path=[name, name.upper()]))


async def listed(stubs: Stubs, size: int, **said: Any) -> list[str]:
    names: list[str] = []
    async for page in pages(
        lambda token: stubs.catalog.ListServices(
            catalog.ListServicesRequest(page_size=size, page_token=token, **said)
        )
    ):
        assert len(page.services) <= size
        names += [service.service_id for service in page.services]
    return names


async def test_pages_of_any_size_hold_every_row_once(stubs: Stubs) -> None:
    await fill(stubs)
    for name, ask in lists(stubs).items():
        whole = list(getattr(await ask(page_size=1_000), name))
        assert len(whole) >= 5
        for size in (1, 2, 3, len(whole)):
            rows: list[Any] = []
            async for page in pages(sized(ask, size)):
                rows += getattr(page, name)
            assert rows == whole


async def test_services_are_listed_newest_first(stubs: Stubs) -> None:
    for name in "abc":
        await stubs.write_services(name)
    assert await listed(stubs, 2) == ["c", "b", "a"]


async def test_filters_hold_for_every_page(stubs: Stubs) -> None:
    for number in range(6):
        service = Service(service_id=f"s{number}", discovered=number < 3)
        if number % 2:
            service.team, service.criticality = "odd", CRITICALITY_LOW
        await stubs.catalog.CreateService(catalog.CreateServiceRequest(service=service))
    assert await listed(stubs, 1, team="odd") == ["s5", "s3", "s1"]
    assert await listed(stubs, 1, criticality=CRITICALITY_LOW) == ["s5", "s3", "s1"]
    assert await listed(stubs, 1, discovered=True) == ["s2", "s1", "s0"]
    assert await listed(stubs, 1, discovered=False, team="odd") == ["s5", "s3"]
    assert await listed(stubs, 1, team="missing") == []


async def test_services_are_found_by_a_part_of_their_name_in_any_case(stubs: Stubs) -> None:
    for name in ("Payments", "payments-db", "GrüneÄpfel", "100%_sure", "checkout"):
        service = Service(service_id=name)
        if name == "payments-db":
            service.kind, service.team = SERVICE_KIND_DATABASE, "data"
        await stubs.catalog.CreateService(catalog.CreateServiceRequest(service=service))
    assert await listed(stubs, 1, query="PAY") == ["payments-db", "Payments"]
    assert await listed(stubs, 1, query="pay", team="data") == ["payments-db"]
    assert await listed(stubs, 1, query="pay", kind=SERVICE_KIND_SERVICE) == ["Payments"]
    assert await listed(stubs, 1, kind=SERVICE_KIND_DATABASE) == ["payments-db"]
    assert await listed(stubs, 1, query="GRÜNEä") == ["GrüneÄpfel"]
    assert await listed(stubs, 1, query="%_") == ["100%_sure"]
    assert await listed(stubs, 1, query="nothing like it") == []


async def test_a_search_for_too_long_a_text_or_an_unknown_kind_names_the_field(stubs: Stubs) -> None:
    request = catalog.ListServicesRequest(query="x" * 256, kind=99)  # type: ignore[arg-type]
    failure = await failure_of(stubs.catalog.ListServices(request))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(failure.fields) == {"query", "kind"}


async def test_writes_in_between_neither_repeat_nor_skip_rows(stubs: Stubs) -> None:
    for number in range(8):
        await stubs.write_services(f"old {number}")
    seen: list[str] = []
    async for page in pages(
        lambda token: stubs.catalog.ListServices(catalog.ListServicesRequest(page_size=2, page_token=token))
    ):
        seen += [service.service_id for service in page.services]
        shown_last = page.services[-1].service_id
        # A new row, the row where the next page would start from gone, and an old row changed.
        await stubs.write_services(f"new {len(seen)}")
        await stubs.catalog.DeleteService(catalog.DeleteServiceRequest(service_id=shown_last))
        changed = Service(service_id="old 0", team=f"team {len(seen)}")
        if shown_last != "old 0":
            await stubs.catalog.UpdateService(
                catalog.UpdateServiceRequest(service=changed, update_mask=FieldMask(paths=["team"]))
            )
    assert seen == [f"old {number}" for number in range(7, -1, -1)]


async def test_components_are_paged_while_the_graph_changes(stubs: Stubs) -> None:
    await fill(stubs)
    ask = lists(stubs)["components"]
    first = await ask(page_size=2)
    await stubs.write_edges("0>1", "1>0", "x>y", "y>z", "z>x")
    second = await ask(page_size=10, page_token=first.next_page_token)
    members = [["".join(found.members) for found in page.components] for page in (first, second)]
    assert members == [["Aa", "Bb"], ["Cc", "Dd", "Ee"]]
    assert (first.total_count, second.total_count) == (5, 7)


async def test_a_token_that_is_not_ours_is_refused_by_every_list(stubs: Stubs) -> None:
    for ask in lists(stubs).values():
        for token in ("2", "garbage!", "AAAA" * 20, "ä", "x" * 60_000):
            failure = await failure_of(ask(page_token=token))
            assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
            assert list(failure.fields) == ["page_token"]


async def test_a_token_of_another_list_is_refused(stubs: Stubs) -> None:
    await fill(stubs)
    for name, ask in lists(stubs).items():
        token = (await ask(page_size=1)).next_page_token
        for other, ask_other in lists(stubs).items():
            if other != name:
                failure = await failure_of(ask_other(page_size=1, page_token=token))
                assert failure.reason == "INVALID_PAGE_TOKEN"


async def test_a_token_of_other_filters_is_refused(stubs: Stubs) -> None:
    await fill(stubs)
    other_filters: dict[str, dict[str, Any]] = {
        "services": {"discovered": False},
        "dependencies": {"include_stale": True},
        "alerts": {"status": ALERT_STATUS_OPEN},
        "components": {"min_size": 1},
        "drifts": {"ignore_stale": True},
    }
    for name, ask in lists(stubs).items():
        token = (await ask(page_size=1)).next_page_token
        failure = await failure_of(ask(page_size=1, page_token=token, **other_filters[name]))
        assert failure.reason == "INVALID_PAGE_TOKEN"
        assert await ask(page_size=3, page_token=token)


@pytest.mark.parametrize("size", [-1, 1_001, 2**31 - 1])
async def test_a_page_size_out_of_bounds_is_refused_by_every_list(stubs: Stubs, size: int) -> None:
    for ask in lists(stubs).values():
        failure = await failure_of(ask(page_size=size))
        assert (failure.code, list(failure.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, ["page_size"])


async def test_without_a_size_a_page_holds_a_hundred(stubs: Stubs) -> None:
    await stubs.write_services(*(f"s{number:03}" for number in range(101)))
    page = await stubs.catalog.ListServices(catalog.ListServicesRequest())
    assert len(page.services) == 100
    assert page.next_page_token


async def test_a_page_too_large_for_an_answer_ends_early(stubs: Stubs) -> None:
    for number in range(8):
        service = Service(service_id=f"s{number}")
        service.metadata.update({"text": "x" * 30_000})
        await stubs.catalog.CreateService(catalog.CreateServiceRequest(service=service))
    sizes = []
    names: list[str] = []
    async for page in pages(
        lambda token: stubs.catalog.ListServices(catalog.ListServicesRequest(page_size=8, page_token=token))
    ):
        sizes.append(page.ByteSize())
        names += [service.service_id for service in page.services]
    assert names == [f"s{number}" for number in range(7, -1, -1)]
    assert len(sizes) == 4
    assert max(sizes) <= 100_000
