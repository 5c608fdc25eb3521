"""The graph of a time, changes, and the difference of two times, as the console shows them."""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import pytest_asyncio

from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.history_service_pb2 import ListChangesRequest
from tests.support import past_shop
from tests.support.browser import PHONE, Console, OpenPage, Troubles, expect, settled, violations
from tests.support.calls import FRESH, Stubs
from tests.support.channels import open_channel
from tests.support.console_worlds import NASTY_NAMES
from tests.support.past_shop import Deployment
from tests.support.plain_sql import connected, insert_service

if TYPE_CHECKING:
    import asyncpg
    from playwright.async_api import Page

CENTER = "checkout"
NEW = past_shop.NEW_SERVICE
NASTY = (NASTY_NAMES[1], *NASTY_NAMES[-3:])
TIMEOUT = re.compile("timeout ms: 400.*800")


@dataclass(frozen=True, slots=True)
class Known:
    """A deployment, and the services two hops around the center before and after it."""

    deployment: Deployment
    before: set[str]
    after: set[str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def known(console: Console, database_url: str) -> Known:
    """What is known of the module's graph, from answers about now."""
    async with open_channel(console.application.address) as channel, connected(database_url) as connection:
        before = await around(Stubs(channel))
        deployment = await past_shop.deploy(connection, NASTY)
        return Known(deployment, before, await around(Stubs(channel)))


@pytest.fixture
def deployment(known: Known) -> Deployment:
    return known.deployment


async def around(stubs: Stubs) -> set[str]:
    request = graph.TraverseRequest(
        service_id=CENTER, direction=graph.DIRECTION_BOTH, max_depth=2, consistency=FRESH
    )
    return {CENTER, *(await stubs.graph.Traverse(request)).service_ids}


def written(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}Z"


def focus(as_of: datetime) -> str:
    return f"#/focus/{CENTER}?hops=2&as_of={quote(written(as_of), safe='')}"


def diff(deployment: Deployment) -> str:
    ends = [
        quote(written(time + timedelta(seconds=1)), safe="") for time in (deployment.before, deployment.after)
    ]
    return f"#/diff?from={ends[0]}&to={ends[1]}"


async def shows(page: "Page", names: set[str]) -> None:
    """Wait until the picture holds these services."""
    await page.wait_for_function(
        """(names) => {
          const titles = [...document.querySelectorAll(".picture .node.service title")];
          return JSON.stringify(titles.map((each) => each.textContent.split("\\n")[0]).sort()) === names;
        }""",
        arg=json.dumps(sorted(names), separators=(",", ":"), ensure_ascii=False),
    )


async def test_the_picture_is_that_of_the_time_and_rests_until_back_to_now(
    open_page: OpenPage,
    console: Console,
    stubs: Stubs,
    connection: "asyncpg.Connection[asyncpg.Record]",
    known: Known,
) -> None:
    assert NEW not in known.before
    assert NEW in known.after
    deployment = known.deployment
    page = await open_page(focus(deployment.before + timedelta(minutes=5)))
    await shows(page, known.before)
    note = page.get_by_role("note", name="As of")
    await expect(note).to_contain_text(f"(state of {deployment.before:%Y-%m-%d %H:%M:%S} UTC)")
    await expect(page.locator(".panel")).to_contain_text("On no cycle.")
    assert "as_of" in str(
        await page.locator(".panel").get_by_role("link", name="Impact").get_attribute("href")
    )

    # The live graph changes, and the page hears of it.
    revision = await page.locator("#bottom .revision").get_attribute("title")
    late = await insert_service(connection, "late")
    await connection.execute(
        "INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)"
        " SELECT id, $1, 'sync' FROM services WHERE service_id = $2",
        late,
        CENTER,
    )
    await around(stubs)
    await page.wait_for_function(
        "(before) => document.querySelector('#bottom .revision').title !== before", arg=revision
    )
    await settled(page)
    await shows(page, known.before)
    await note.get_by_role("link", name="Back to now").click()
    await console.shown(page, f"#/focus/{CENTER}?hops=2")
    await shows(page, known.after | {"late"})
    await expect(note).to_be_hidden()
    await connection.execute("DELETE FROM services WHERE service_id = 'late'")
    await page.go_back()
    await shows(page, known.before)


async def test_the_slider_goes_to_times_by_keyboard_and_pointer(open_page: OpenPage, known: Known) -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=2")
    await shows(page, known.after)
    slider = page.get_by_role("slider", name="Time of the picture")
    await slider.focus()
    # A tenth of the hour each.
    for _ in range(5):
        await page.keyboard.press("PageDown")
    await shows(page, known.before)
    said = await slider.get_attribute("aria-valuetext")
    assert said is not None
    assert "30 min ago" in said
    for _ in range(3):
        await page.keyboard.press("PageUp")
    await shows(page, known.after)
    await expect(page.get_by_role("note", name="As of")).to_contain_text(
        f"(state of {known.deployment.after:%Y-%m-%d %H:%M:%S} UTC)"
    )
    box = await slider.bounding_box()
    assert box is not None
    await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await shows(page, known.before)
    command = await page.get_by_role("button", name="Copy command").get_attribute("title")
    assert command is not None
    assert f"--as-of {await as_of(page)}" in command
    # However many times were looked at, one step back is now.
    await page.go_back()
    await shows(page, known.after)
    assert "as_of" not in page.url
    await page.go_forward()
    await shows(page, known.before)
    await page.keyboard.press("Tab")
    await page.get_by_role("button", name="Now", exact=True).press("Enter")
    await shows(page, known.after)


async def as_of(page: "Page") -> str:
    found: str = await page.evaluate("new URLSearchParams(location.hash.split('?')[1]).get('as_of')")
    return found


async def test_a_time_can_be_written(open_page: OpenPage, known: Known) -> None:
    # Times are in UTC, wherever the reader is.
    page = await open_page(f"#/focus/{CENTER}?hops=2", timezone_id="Asia/Kolkata")
    field = page.get_by_label("UTC")
    await field.fill(f"{known.deployment.before + timedelta(seconds=30):%Y-%m-%dT%H:%M:%S}")
    await field.press("Enter")
    await shows(page, known.before)
    assert await as_of(page) == written(known.deployment.before + timedelta(seconds=30))


async def test_one_press_goes_back_before_the_last_change(
    open_page: OpenPage, troubles: Troubles, known: Known
) -> None:
    # The hour before begins before the history does.
    troubles.allow("400")
    page = await open_page(focus(known.deployment.after + timedelta(seconds=2)))
    await shows(page, known.after)
    await page.get_by_role("button", name="Before the last change").click()
    await shows(page, known.before)
    before = known.deployment.at - timedelta(milliseconds=1)
    assert await as_of(page) == f"{before.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
    await page.get_by_role("button", name="Before the last change").click()
    await expect(page.locator(".focus > [role=alert]")).to_contain_text(
        "Nothing changed here in the last hour"
    )
    await shows(page, known.before)


async def test_impact_and_paths_are_those_of_the_time(
    open_page: OpenPage, console: Console, troubles: Troubles, deployment: Deployment
) -> None:
    page = await open_page(focus(deployment.before + timedelta(seconds=1)))
    await page.get_by_role("navigation", name="Views").get_by_role("link", name="Impact").click()
    await expect(page.locator(".headline").first).to_contain_text("1 service hit when checkout fails")
    await expect(page.get_by_role("note", name="As of")).to_contain_text("Live updates are paused.")
    troubles.allow("404")
    await console.view(page, f"#/paths/{CENTER}?to={NEW}&as_of={quote(await as_of(page), safe='')}")
    await expect(page.get_by_role("alert")).to_contain_text(NEW)


async def test_a_difference_is_drawn_and_listed(
    open_page: OpenPage, console: Console, deployment: Deployment
) -> None:
    page = await open_page(diff(deployment))
    await expect(page.locator(".diff-picture svg.picture .node").first).to_be_visible()
    expected = {"added": past_shop.ADDED, "removed": past_shop.REMOVED, "changed": past_shop.CHANGED}
    for kind, pairs in expected.items():
        await expect(page.locator(f".diff-picture svg.picture .edge.change-{kind}")).to_have_count(len(pairs))
        assert await pairs_listed(page, kind) == pairs
    assert set(
        await page.locator(".diff-picture svg.picture .node.change-added title").all_text_contents()
    ) == {f"{name}\npayments" for name in (NEW, *NASTY)}
    await expect(page.locator(".diff-picture svg.picture .node.change-changed")).to_have_count(1)
    services = page.get_by_role("region", name="Services")
    await expect(services.get_by_role("row").filter(has_text="pricing")).to_contain_text(
        re.compile("commerce.*commerce-eu")
    )
    dependencies = page.get_by_role("region", name="Dependencies")
    await expect(dependencies).to_contain_text(TIMEOUT)
    cycles = page.get_by_role("region", name="Cycles")
    await expect(cycles).to_contain_text("checkout → payments → fraud-v2 → checkout")
    await expect(cycles.get_by_role("row")).to_have_count(2)
    radius = page.get_by_role("region", name="Blast radii").get_by_role("row").filter(has_text=NEW).first
    assert (await radius.get_by_role("cell").all_text_contents())[:3] == [NEW, "0", "3"]
    # A node leads to the service as it was there.
    node = page.locator(f".diff-picture svg.picture .node[aria-label^='{NEW},']")
    await node.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(NEW)
    assert datetime.fromisoformat(await as_of(page)) == deployment.after
    await page.go_back()
    await console.shown(page, diff(deployment))

    times = [quote(written(deployment.after + timedelta(seconds=each)), safe="") for each in (1, 2)]
    await console.view(page, f"#/diff?from={times[0]}&to={times[1]}")
    await expect(page.locator(".diff-summary")).to_contain_text("No difference.")
    await expect(page.locator(".diff-picture")).to_be_hidden()


async def pairs_listed(page: "Page", kind: str) -> set[tuple[str, str]]:
    rows = page.get_by_role("region", name="Dependencies").locator(f"tr:has(.change-{kind})")
    names = [
        await row.locator("td:nth-child(2) .name").evaluate_all("(all) => all.map((each) => each.title)")
        for row in await rows.all()
    ]
    return {(source, target) for source, target in names}


async def test_changes_are_listed_with_the_ways_to_before_and_after(
    open_page: OpenPage, stubs: Stubs, known: Known
) -> None:
    request = ListChangesRequest(service_id=CENTER, max_hops=2)
    request.since.FromDatetime(known.deployment.before + timedelta(seconds=1))
    found = await stubs.history.ListChanges(request)
    assert found.changes
    since = quote(written(known.deployment.before + timedelta(seconds=1)), safe="")
    page = await open_page(f"#/changes/{CENTER}?since={since}&hops=2")
    rows = page.locator(".changes tbody tr")
    await expect(rows).to_have_count(len(found.changes))
    hops = await rows.locator("[data-title=Hops]").all_text_contents()
    assert hops == [str(each.hops) for each in found.changes]
    await expect(rows.filter(has_text=past_shop.DEPLOYER)).to_have_count(
        sum(each.who == past_shop.DEPLOYER for each in found.changes)
    )
    row = rows.filter(has_text=TIMEOUT)
    await expect(row).to_contain_text("checkout → inventory")
    await row.get_by_role("link", name="Before").click()
    await shows(page, known.before)
    await page.go_back()
    await row.get_by_role("button", name="After").click()
    await shows(page, known.after)
    await page.go_back()
    await row.get_by_role("link", name="Difference").click()
    await expect(page.locator(".diff-picture svg.picture .edge.change-changed")).to_have_count(
        len(past_shop.CHANGED)
    )
    # The address names no later time, but a node leads to the state that the answer comes from.
    await page.locator(f".diff-picture svg.picture .node[aria-label^='{NEW},']").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(NEW)
    assert datetime.fromisoformat(await as_of(page)) == known.deployment.after


async def test_changes_until_a_time_begin_an_hour_before_it(open_page: OpenPage, known: Known) -> None:
    page = await open_page(focus(known.deployment.after + timedelta(seconds=2)))
    await page.locator(".panel").get_by_role("link", name="What changed").click()
    await expect(page.locator(".changes tbody tr").filter(has_text=TIMEOUT)).to_have_count(1)
    await expect(page.get_by_label("From (UTC)")).to_have_value("")
    await page.get_by_role("link", name="Draw the difference").click()
    await expect(page.locator(".diff-picture svg.picture .edge.change-changed")).to_have_count(
        len(past_shop.CHANGED)
    )


async def test_the_slider_ends_at_now_and_rests_with_its_view(page: "Page") -> None:
    found = await page.evaluate("""async () => {
      const { timeBar } = await import("/parts/time_bar.js");
      const chosen = [];
      const { element } = timeBar({ onchange: (asOf) => chosen.push(asOf), onback() {} });
      document.body.append(element);
      const slider = element.querySelector("[type=range]");
      const [clock, wait, timers] = [Date.now, window.setTimeout, []];
      const hour = clock() + 3_600_000;
      try {
        Date.now = () => hour;
        window.setTimeout = (act) => timers.push(act);
        const slide = (value) => {
          slider.dispatchEvent(new Event("pointerdown"));
          slider.value = value;
          slider.dispatchEvent(new Event("input"));
        };
        for (const value of [-30, -20, -10]) slide(value);
        timers.at(-1)();
        slide(-20);
        element.remove();
        timers.at(-1)();
        return chosen.map((asOf) => Math.round((hour - Date.parse(asOf)) / 1_000));
      } finally {
        Object.assign(window, { setTimeout: wait });
        Date.now = clock;
      }
    }""")
    assert found in ([10], [11])


async def test_times_beyond_the_history_lead_to_its_oldest(
    page: "Page", console: Console, troubles: Troubles, deployment: Deployment
) -> None:
    troubles.allow("400")
    for address in (f"#/focus/{CENTER}?as_of=1w", "#/diff?from=1w"):
        await console.view(page, address)
        await expect(page.get_by_role("alert").first).to_be_visible()
        way = page.get_by_role("link", name="Go to the oldest time")
        await way.click()
        await expect(page.get_by_role("alert").first).to_be_hidden()
        await expect(way).to_have_count(0)
    await console.view(page, f"#/changes/{CENTER}?since=yesterday")
    await expect(page.get_by_role("alert").first).to_contain_text('"since" in the address is "yesterday"')


async def test_a_large_difference_is_drawn_in_part_and_says_so(page: "Page") -> None:
    drawn = await page.evaluate("""async () => {
      const { graphOf } = await import("/views/diff/graph.js");
      const dependencies = [];
      for (let at = 0; at < 500; at++)
        for (const step of [1, 7])
          dependencies.push({
            kind: `CHANGE_KIND_${at % 2 ? "CHANGED" : "REMOVED"}`,
            before: { sourceServiceId: `s${at}`, targetServiceId: `s${(at + step) % 500}` },
          });
      const { picture, allNodes, allEdges } = graphOf({ services: [], dependencies });
      const kept = new Set(picture.nodes.map(({ id }) => id));
      return {
        nodes: picture.nodes.length,
        edges: picture.edges.length,
        between: picture.edges.every(({ source, target }) => kept.has(source) && kept.has(target)),
        allNodes,
        allEdges,
      };
    }""")
    assert drawn == {"nodes": 300, "edges": 400, "between": True, "allNodes": 500, "allEdges": 1000}


async def test_the_views_are_accessible_in_dark_and_fit_a_phone(
    open_page: OpenPage, console: Console, deployment: Deployment
) -> None:
    since = quote(written(deployment.before + timedelta(seconds=1)), safe="")
    page = await open_page(color_scheme="dark", viewport=PHONE)
    for address in (focus(deployment.after), diff(deployment), f"#/changes?since={since}"):
        await page.set_viewport_size(PHONE)
        await console.view(page, address)
        await settled(page)
        assert await violations(page) == []
        for width in (PHONE["width"], 1_200):
            await page.set_viewport_size({"width": width, "height": PHONE["height"]})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.locator("img[src=x]").count() == 0
