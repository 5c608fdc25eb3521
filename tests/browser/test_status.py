"""The view Status: what is wrong first, what GetStatus answers, and the account of writes."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from depgraph.v1.access_service_pb2 import ListWritesRequest
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, ReportDetails
from depgraph.v1.graph_service_pb2 import GetStatusRequest
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
from tests.support.browser import PHONE, Console, OpenPage
from tests.support.calls import Stubs
from tests.support.revisions import is_at_least

if TYPE_CHECKING:
    import asyncpg
    from playwright.async_api import Page

FACTS = """
(lists) => Object.fromEntries(lists.flatMap((list) =>
  [...list.querySelectorAll("dt")].map((each) => [each.textContent, each.nextSibling.textContent])))
"""


async def facts(page: "Page") -> dict[str, str]:
    region = page.get_by_role("region", name="State of the server")
    found: dict[str, str] = await region.locator("dl").evaluate_all(FACTS)
    return found


async def test_the_facts_are_those_of_get_status(open_page: OpenPage, stubs: Stubs) -> None:
    shown = await facts(await open_page("#/status"))
    status = await stubs.graph.GetStatus(GetStatusRequest())
    assert (shown["Services"], shown["Dependencies"]) == (
        f"{status.service_count:,}",
        f"{status.dependency_count:,}",
    )
    assert shown["of these stale"] == "0"
    assert is_at_least(status.freshness.revision, shown["Revision"])
    assert shown["Feed"] == "follows the database"
    assert (shown["Version"], shown["Worker"]) == (status.server_version, "1 of 1")
    assert shown["Alerts"] == "caught up with the graph"
    assert shown["Cyclic components"] == str(status.detection.cycle_count) == "1"
    assert re.fullmatch(r"[\d.,]+ m?s", shown["Lag"])
    assert {"manual", "otel service graph"} <= shown.keys()


async def test_problems_come_first_and_go_when_they_are_gone(
    open_page: OpenPage, stubs: Stubs, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    page = await open_page("#/status")
    assert await page.get_by_text("All is well.").is_visible()
    failed = IngestGraphRequest(
        discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
        reporter="broken",
        details=ReportDetails(error="the token has expired", interval=Duration(seconds=60)),
    )
    await stubs.dependencies.IngestGraph(failed)
    alert = page.get_by_role("main").get_by_role("alert")
    await alert.wait_for()
    problems = (await stubs.graph.GetStatus(GetStatusRequest())).problems
    assert await alert.get_by_role("listitem").all_inner_texts() == list(problems)
    assert await alert.get_by_role("heading").inner_text() == "✕ 1 problem"
    first = "document.querySelector('main section').firstElementChild.textContent"
    assert "the token has expired" in await page.evaluate(first)
    await connection.execute("DELETE FROM reporters WHERE reporter = 'broken'")
    await page.get_by_text("All is well.").wait_for()
    assert await alert.count() == 0


async def test_the_account_of_writes_is_that_of_list_writes(open_page: OpenPage, stubs: Stubs) -> None:
    for number in range(103):
        await stubs.write_edges(f"writer {number}>written")
    page = await open_page("#/status")
    region = page.get_by_role("region", name="Account of writes")
    writes = (await stubs.access.ListWrites(ListWritesRequest(page_size=1_000))).writes
    assert len(writes) >= 206
    rows = region.locator("tbody tr")
    assert await rows.count() == 100
    await region.get_by_role("button", name="Read older ones").click()
    await region.get_by_text("The last 200 are read.").wait_for()
    shown = await rows.evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((each) => each.innerText))"
    )
    assert [(who, method) for _, who, method, _ in shown] == [
        (each.principal or "no identity", each.method.removeprefix("depgraph.v1.")) for each in writes[:200]
    ]
    assert shown[0][3] == "1 dependency created"
    assert shown[1][3] == "1 service created, 1 service updated"
    times = await rows.locator("time").evaluate_all("(times) => times.map((each) => each.dateTime)")
    assert [datetime.fromisoformat(each) for each in times] == [
        each.write_time.ToDatetime(UTC) for each in writes[:200]
    ]


async def test_it_can_be_used_on_a_phone_and_in_the_dark(open_page: OpenPage) -> None:
    page = await open_page("#/status", viewport=PHONE, color_scheme="dark")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await Console.violations(page) == []
    buttons = page.get_by_role("button", name="Copy command")
    assert [await each.get_attribute("title") for each in await buttons.all()] == [
        "depgraph status",
        "depgraph writes",
    ]
