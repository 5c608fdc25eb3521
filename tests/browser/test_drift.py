"""The view Drift: what it shows is what ListDrift answers."""

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from depgraph.v1.analysis_service_pb2 import Drift, DriftKind, ListDriftRequest, ListDriftResponse
from depgraph.v1.types_pb2 import (
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DISCOVERY_SOURCE_SERVICE_MESH,
    DiscoverySource,
)
from tests.support.browser import PHONE, Console, OpenPage, Troubles
from tests.support.calls import FRESH, Stubs
from tests.support.console_worlds import company_of_teams

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

TITLES = {
    "NOT_DECLARED": "Observed, but not declared",
    "NOT_OBSERVED": "Declared, but not observed",
    "CONTRADICTED": "Contradicted",
}


@pytest.fixture(scope="module")
def world() -> list[dict[str, Any]]:
    return company_of_teams()


async def answer(stubs: Stubs, kind: str, **said: Any) -> ListDriftResponse:
    wanted = DriftKind.Value(f"DRIFT_KIND_{kind}")
    return await stubs.analyses.ListDrift(
        ListDriftRequest(kind=wanted, page_size=1_000, consistency=FRESH, **said)
    )


def section(page: "Page", kind: str) -> "Locator":
    return page.get_by_role("region", name=TITLES[kind], exact=True)


async def rows(part: "Locator") -> list[tuple[str, str, str]]:
    """Caller, callee and the sources of each row that is shown."""
    cells = await part.locator("tbody tr").evaluate_all(
        """(rows) => rows.map((row) => [
             row.cells[0].textContent, row.cells[1].textContent,
             [...row.cells[3].querySelectorAll("b")].map((each) => each.textContent).join(),
           ])"""
    )
    return [(caller, callee, sources) for caller, callee, sources in cells]


def expected(drift: Drift) -> tuple[str, str, str]:
    sources = [DiscoverySource.Name(each.discovery_source) for each in drift.dependencies]
    words = [each.removeprefix("DISCOVERY_SOURCE_").lower().replace("_", " ") for each in sources]
    return drift.source_service_id, drift.target_service_id, ",".join(words)


async def test_every_kind_of_drift_is_listed_as_it_is_answered(open_page: OpenPage, stubs: Stubs) -> None:
    page = await open_page("#/drift")
    for kind, title in TITLES.items():
        found = await answer(stubs, kind)
        assert 200 < found.total_count < 1_000
        part = section(page, kind)
        assert await part.get_by_role("heading").text_content() == f"{title} ({found.total_count:,})"
        assert await rows(part) == [expected(each) for each in found.drifts[:200]]
        while await part.get_by_role("button", name=re.compile("^Show")).count():
            await part.get_by_role("button", name=re.compile("^Show")).click()
        assert await rows(part) == [expected(each) for each in found.drifts]


async def test_filters_ask_the_server_and_stand_in_the_address(open_page: OpenPage, stubs: Stubs) -> None:
    page = await open_page("#/drift")
    await page.get_by_label("Kind").select_option("Observed, but not declared")
    await page.get_by_label("Reported by").select_option("service mesh")
    await page.get_by_label("Team").fill("billing")
    await page.get_by_label("Team").press("Enter")
    found = await answer(
        stubs, "NOT_DECLARED", team="billing", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH
    )
    assert 0 < found.total_count < 50
    wanted = [expected(each) for each in found.drifts]
    part = section(page, "NOT_DECLARED")
    await page.get_by_text(f"{TITLES['NOT_DECLARED']} ({found.total_count})").wait_for()
    assert await rows(part) == wanted
    assert await page.evaluate("document.activeElement.labels[0].textContent") == "Team"
    assert not await section(page, "CONTRADICTED").is_visible()
    # Whoever opens the address sees the same.
    shared = await open_page(page.url[page.url.index("#") :])
    assert await rows(section(shared, "NOT_DECLARED")) == wanted
    assert await shared.get_by_label("Team").input_value() == "billing"


async def test_the_command_and_the_call_ask_the_same_question(open_page: OpenPage) -> None:
    page = await open_page("#/drift/billing-api?kind=contradicted&team=billing&stale=ignored")
    assert await page.get_by_role("button", name="Copy command").get_attribute("title") == (
        "depgraph drift --kind contradicted --team billing --ignore-stale billing-api"
    )
    await page.evaluate(
        "() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }"
    )
    await page.get_by_role("button", name="Copy curl").click()
    await page.wait_for_function("() => window.copied")
    copied = await page.evaluate("window.copied")
    assert json.loads(re.findall(r"-d '(.*?)'", copied)[0]) == {
        "kind": "DRIFT_KIND_CONTRADICTED",
        "serviceId": "billing-api",
        "team": "billing",
        "ignoreStale": True,
    }


async def test_what_sources_disagree_about_is_marked(open_page: OpenPage, stubs: Stubs) -> None:
    found = await answer(stubs, "CONTRADICTED", service_id="billing-api")
    part = section(await open_page("#/drift/billing-api?kind=contradicted"), "CONTRADICTED")
    marked = await part.locator("tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.querySelectorAll('mark')].length)"
    )
    # In this world they name the same mode, and other criticalities.
    assert marked == [
        sum(each.criticality != DEPENDENCY_CRITICALITY_UNKNOWN for each in drift.dependencies)
        for drift in found.drifts
    ]


async def test_a_change_shows_without_a_reload(open_page: OpenPage, stubs: Stubs) -> None:
    page = await open_page("#/drift/search-api?kind=not-observed")
    before = await answer(stubs, "NOT_OBSERVED", service_id="search-api")
    await page.evaluate("window.stays = true")
    await stubs.write_edges("search-api>new-drift")
    await section(page, "NOT_OBSERVED").get_by_role("link", name="new-drift").wait_for()
    after = await answer(stubs, "NOT_OBSERVED", service_id="search-api")
    assert after.total_count == before.total_count + 1
    assert await page.evaluate("window.stays")


async def test_an_unknown_service_gets_similar_names(open_page: OpenPage, troubles: Troubles) -> None:
    troubles.allow("404 (Not Found)")
    page = await open_page("#/sources")
    await Console.view(page, "#/drift/biling-api")
    assert "biling-api" in await page.get_by_role("alert").inner_text()
    await page.get_by_role("alert").get_by_role("link", name="billing-api").click()
    await page.wait_for_url("**/#/drift/billing-api")


async def test_it_can_be_used_on_a_phone_and_by_everybody(open_page: OpenPage) -> None:
    page = await open_page("#/drift/billing-api", viewport=PHONE)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await Console.violations(page) == []
    wide = await open_page("#/drift?kind=contradicted&team=billing", color_scheme="dark")
    assert await Console.violations(wide) == []
