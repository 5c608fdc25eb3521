"""The view Paths shows what FindPaths and AuditPaths answer."""

from typing import TYPE_CHECKING

from depgraph.v1.analysis_service_pb2 import AuditPathsRequest, FindPathsRequest, FindPathsResponse
from depgraph.v1.types_pb2 import BackoffStrategy, CommunicationMode, EffectiveDependency
from tests.support.browser import PHONE, OpenPage, Troubles, expect, view, violations
from tests.support.calls import Stubs

if TYPE_CHECKING:
    from playwright.async_api import Page

NOTHING = "\N{EN DASH}"
PATHS = """
() => [...document.querySelectorAll(".paths-list .path")].map((path) => path.title.split(" → "))
"""
HOPS = """
() => [...document.querySelectorAll(".paths-columns tbody tr")].map((row) => {
  const text = (title) => row.querySelector(`[data-title="${title}"]`).innerText.trim();
  return ["Hop", "Caller", "Callee", "Mode", "Timeout", "Retries"].map(text);
})
"""


async def found(stubs: Stubs, source: str, target: str, max_paths: int) -> FindPathsResponse:
    request = FindPathsRequest(
        source_service_id=source, target_service_id=target, max_paths=max_paths, effective=True
    )
    return await stubs.analyses.FindPaths(request)


async def test_the_paths_are_those_of_the_answer(open_page: OpenPage, stubs: Stubs) -> None:
    answer = await found(stubs, "storefront", "inventory", 10)
    page = await open_page("#/paths/storefront?to=inventory&paths=10")
    await expect(page.locator(".paths-list button")).to_have_count(len(answer.paths))
    assert await page.evaluate(PATHS) == [list(path.service_ids) for path in answer.paths]
    names = {name for path in answer.paths for name in path.service_ids}
    await expect(page.locator("svg.picture .node")).to_have_count(len(names))


async def test_the_chosen_path_is_marked_and_its_calls_listed(open_page: OpenPage, stubs: Stubs) -> None:
    answer = await found(stubs, "storefront", "inventory", 5)
    page = await open_page("#/paths/storefront?to=inventory")
    await page.locator(".paths-list button").nth(2).click()
    chosen = answer.paths[2]
    rows = page.locator(".paths-columns tbody tr")
    await expect(rows).to_have_count(len(chosen.hops))
    assert await page.evaluate(HOPS) == [hop_row(at, hop.effective) for at, hop in enumerate(chosen.hops, 1)]
    await expect(page.locator("svg.picture .edge.marked")).to_have_count(len(chosen.hops))
    assert "path=3" in await page.evaluate("location.hash")


def hop_row(number: int, call: EffectiveDependency) -> list[str]:
    mode = CommunicationMode.Name(call.communication_mode).removeprefix("COMMUNICATION_MODE_")
    retries = NOTHING
    if call.HasField("retry_config"):
        config = call.retry_config
        strategy = BackoffStrategy.Name(config.backoff_strategy).removeprefix("BACKOFF_STRATEGY_")
        retries = f"{config.max_retries}, {strategy.lower()}"
    timeout = f"{call.timeout_ms:,} ms" if call.HasField("timeout_ms") else NOTHING
    return [str(number), call.source_service_id, call.target_service_id, mode.lower(), timeout, retries]


async def test_the_picture_asks_once_for_all_of_its_services(open_page: OpenPage, stubs: Stubs) -> None:
    answer = await found(stubs, "storefront", "inventory", 10)
    names = {name for path in answer.paths for name in path.service_ids}
    page = await open_page("#/drift")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    await view(page, "#/paths/storefront?to=inventory&paths=10")
    # The paths name services; their criticality is looked up.
    await expect(page.locator("svg.picture .node:not(.unknown)")).to_have_count(len(names))
    assert (asked.count("GetNeighbourhood"), asked.count("BatchTraverse")) == (1, 1)


async def test_where_there_is_no_path_the_other_way_is_offered(open_page: OpenPage) -> None:
    page = await open_page("#/paths/inventory?to=storefront")
    await expect(page.locator(".answer")).to_contain_text("inventory does not reach storefront")
    await page.get_by_role("link", name="show it").click()
    await expect(page.locator(".headline")).to_contain_text("storefront → inventory")


async def test_filters_that_leave_no_path_can_be_dropped(open_page: OpenPage) -> None:
    page = await open_page("#/paths/checkout?to=inventory&modes=async")
    await expect(page.locator(".answer")).to_contain_text("checkout does not reach inventory")
    await page.get_by_role("link", name="ask without them").click()
    await expect(page.locator(".headline")).to_contain_text("checkout → inventory")


async def test_the_audit_below_is_that_of_the_first_caller(open_page: OpenPage, stubs: Stubs) -> None:
    request = AuditPathsRequest(service_id="promotions", effective=True)
    answer = await stubs.analyses.AuditPaths(request)
    assert answer.timeout_count
    page = await open_page("#/paths/promotions")
    audit = page.locator(".audit")
    await expect(audit.locator("caption").first).to_contain_text(f"{answer.timeout_count} timeout")
    excess = audit.locator("table").first.locator('td[data-title="Excess"]')
    assert await excess.all_inner_texts() == [f"{each.excess_ms} ms" for each in answer.timeouts]
    await expect(audit).to_contain_text(f"Audited: {answer.dependency_count} synchronous dependenc")


async def test_both_ends_are_picked_by_keyboard(open_page: OpenPage) -> None:
    page = await open_page("#/paths")
    await pick(page, "From: the first caller", "checkout")
    await pick(page, "To: the last callee", "accounts")
    await expect(page.locator(".headline")).to_contain_text("checkout → accounts")


async def pick(page: "Page", label: str, name: str) -> None:
    await page.get_by_role("combobox", name=label).fill(name)
    await page.get_by_role("option", name=name).first.wait_for()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("combobox", name=label)).to_have_value(name)


async def test_an_unknown_end_is_said_with_similar_names(open_page: OpenPage, troubles: Troubles) -> None:
    troubles.allow("404")
    page = await open_page("#/paths/checkout?to=acounts")
    await page.locator(".answer").get_by_role("link", name="accounts").click()
    await expect(page.locator(".headline")).to_contain_text("checkout → accounts")


async def test_the_view_is_accessible_and_fits_a_phone(open_page: OpenPage) -> None:
    page = await open_page("#/paths/storefront?to=inventory", viewport=PHONE)
    await expect(page.locator("svg.picture .node").first).to_be_visible()
    await expect(page.locator(".audit")).to_contain_text("Audited:")
    assert await violations(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
