"""The view Sources: reporters as ListSources has them, and coverage as the database counts it."""

from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.duration_pb2 import Duration

from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_SYNC,
    DISCOVERY_SOURCE_CATALOG,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    Dependency,
    DiscoverySource,
)
from tests.support.browser import PHONE, Console, OpenPage
from tests.support.calls import Stubs
from tests.support.console_worlds import company_of_teams

if TYPE_CHECKING:
    import asyncpg
    from playwright.async_api import Locator, Page

COVERAGE = """
SELECT replace(discovery_source, '_', ' ') AS source,
       count(*) FILTER (WHERE NOT is_stale) AS fresh, count(*) FILTER (WHERE is_stale) AS stale
FROM service_dependencies GROUP BY discovery_source
"""
AGREED = """
SELECT count(*) AS pairs, count(*) FILTER (WHERE declared AND observed) AS agreed FROM (
  SELECT bool_or(discovery_source IN ('manual', 'catalog', 'kubernetes')) AS declared,
         bool_or(discovery_source IN ('service_mesh', 'otel_service_graph')) AS observed
  FROM service_dependencies GROUP BY source_service_id, target_service_id
) AS pair
"""
CELLS = "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"


@pytest.fixture(scope="module")
def world() -> list[dict[str, Any]]:
    return company_of_teams()


async def cells(part: "Locator") -> list[list[str]]:
    found: list[list[str]] = await part.locator("tbody tr").evaluate_all(CELLS)
    return found


def reporters(page: "Page") -> "Locator":
    return page.get_by_role("region", name="Reporters")


def word(source: DiscoverySource.ValueType) -> str:
    return DiscoverySource.Name(source).removeprefix("DISCOVERY_SOURCE_").lower().replace("_", " ")


async def test_reporters_are_those_of_list_sources(open_page: OpenPage, stubs: Stubs) -> None:
    page = await open_page("#/sources")
    found = (await stubs.dependencies.ListSources(pb.ListSourcesRequest())).sources
    assert len(found) == 6
    shown = await cells(reporters(page))
    # Name, source and state; dependencies, without their parts.
    assert [(*row[:3], row[9].split("\n")[0]) for row in shown] == [
        (
            each.reporter or "without a name",
            word(each.discovery_source),
            "✓ ok",
            f"{each.edges_created + each.edges_updated + each.edges_unchanged:,}",
        )
        for each in found
    ]
    assert await page.get_by_text("All report as they should.").is_visible()


async def test_coverage_equals_what_the_tables_hold(
    open_page: OpenPage, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    page = await open_page("#/sources")
    part = page.get_by_role("region", name="Coverage")
    counted = {
        row["source"]: (f"{row['fresh']:,}", f"{row['stale']:,}") for row in await connection.fetch(COVERAGE)
    }
    assert {row[0]: (row[2], row[3]) for row in await cells(part)} == counted
    pair = await connection.fetchrow(AGREED)
    assert pair is not None
    text = await part.inner_text()
    assert f"The sources report {pair['pairs']:,} calls" in text
    assert f"{pair['agreed']:,} of them" in text


async def test_a_failing_and_a_silent_reporter_are_named_first_and_why(
    open_page: OpenPage, stubs: Stubs, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await report(stubs, "quiet <b>", edges=1, interval=Duration(seconds=60))
    await report(stubs, "broken", error="401: the token has expired")
    await report(
        stubs, "picky", edges=2, skipped={"no service <i>name</i>": 3, "self-call": 4}, element_count=9
    )
    await connection.execute(
        "UPDATE reporters SET succeeded_at = now() - interval '1 hour' WHERE reporter = 'quiet <b>'"
    )
    page = await open_page("#/sources")
    shown = await cells(reporters(page))
    assert [row[0] for row in shown[:2]] == ["quiet <b>", "broken"]
    assert shown[0][2].startswith("✕ silent\nThe last success is three intervals ago")
    assert shown[1][2] == "! failing\nLast error: 401: the token has expired"
    assert "1 reporter is silent, 1 reporter is failing" in await reporters(page).inner_text()
    [picky] = [row for row in shown if row[0] == "picky"]
    assert (picky[6], picky[7]) == ("9", "7 elements")
    await page.get_by_text("7 elements").click()
    assert await page.get_by_text("3: no service <i>name</i>").is_visible()
    assert await Console.violations(page) == []
    # It reports again: seen without a reload.
    await page.evaluate("window.stays = true")
    await report(stubs, "broken", edges=1)
    await page.get_by_text("1 reporter is silent.").wait_for()
    assert await page.evaluate("window.stays")


async def report(stubs: Stubs, reporter: str, *, edges: int = 0, **details: Any) -> None:
    request = pb.IngestGraphRequest(
        discovery_source=DISCOVERY_SOURCE_CATALOG
        if reporter == "picky"
        else DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
        reporter=reporter,
        details=pb.ReportDetails(**details),
        edges=[
            Dependency(
                source_service_id=f"of {reporter}",
                target_service_id=f"seen {number}",
                communication_mode=COMMUNICATION_MODE_SYNC,
            )
            for number in range(edges)
        ],
    )
    await stubs.dependencies.IngestGraph(request)


async def test_it_can_be_used_on_a_phone_and_in_the_dark(open_page: OpenPage) -> None:
    page = await open_page("#/sources", viewport=PHONE, color_scheme="dark")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await Console.violations(page) == []
    assert await page.get_by_role("button", name="Copy command").get_attribute("title") == "depgraph sources"
