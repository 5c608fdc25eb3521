"""The console in a real Chromium, on as many services as Debian has packages."""

import asyncio
import os
import random
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import quote

import grpc

from bench.measuring import Figure
from bench.stage import Stage, connected, embedded_url, serving
from depgraph.v1.graph_service_pb2 import GetNeighbourhoodRequest
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from tests.support.console_worlds import PACKAGE_HUB, PACKAGES, write_packages

if TYPE_CHECKING:
    from playwright.async_api import Browser, CDPSession, Page

STARTS, PICTURES, SEARCHES, MOVES = 10, 25, 25, 200
HOPS, SHOWN = 2, 100
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
HARNESS = Path(__file__).with_name("console.js")
AT = f"{PACKAGES:,} services"


def measure(stage: Stage) -> Iterator[Figure]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None or find_spec("playwright") is None:
        print("console: needs Chromium, and playwright (make tools)", file=sys.stderr)
        return
    data_dir = stage.folder / "console"
    with serving(data_dir):
        names = asyncio.run(_fill(embedded_url(data_dir)))
    with serving(data_dir, "--http-listen", "127.0.0.1:0") as server:
        calls, url = (each.split(" ")[0] for each in server.address.split(", "))
        chosen = _with_many_around(calls, names)
        yield from asyncio.run(_figures(url.rstrip("/"), program, chosen))


async def _fill(url: str) -> list[str]:
    """Write the graph; returns the names of services in random order."""
    async with connected(url) as connection:
        await write_packages(connection)
        rows = await connection.fetch('SELECT service_id FROM services ORDER BY service_id COLLATE "C"')
    names = [row["service_id"] for row in rows]
    random.Random(3).shuffle(names)
    return names


def _with_many_around(address: str, names: list[str]) -> list[str]:
    """Services of whose neighbours a picture shows 100, and the others as groups."""
    found: list[str] = []
    with grpc.insecure_channel(address) as channel:
        ask = GraphServiceStub(channel).GetNeighbourhood
        for name in names:
            request = GetNeighbourhoodRequest(service_id=name, max_depth=HOPS, max_services=SHOWN)
            if len(ask(request).neighbours) == SHOWN:
                found.append(name)
            if len(found) == PICTURES:
                break
    return found


async def _figures(url: str, program: str, names: list[str]) -> list[Figure]:
    async with _chromium(program) as browser:
        figures = await _starts(browser, url)
        page = await _page(browser, url)
        figures += await _first_pictures(page, names)
        figures += await _searches(page, names[:SEARCHES])
        figures += await _frames(page)
        return figures + await _memory(page, names)


async def _starts(browser: "Browser", url: str) -> list[Figure]:
    """Each in a new profile, with an empty cache."""
    taken = []
    for _ in range(STARTS):
        page = await _page(browser, url)
        taken.append(await page.evaluate("bench.start()"))
        await page.context.close()
    return _times(f"{AT}: first picture of the start page, nothing cached", taken)


async def _first_pictures(page: "Page", names: list[str]) -> list[Figure]:
    taken = [await page.evaluate("(to) => bench.open(to)", _focus(name)) for name in names]
    what = f"{AT}: click to picture of a neighbourhood of {SHOWN}"
    return _times(what, taken, at_most=300.0)


async def _searches(page: "Page", names: list[str]) -> list[Figure]:
    """Ever longer beginnings of names, as if typed."""
    typed = [name[: 2 + place % 5] for place, name in enumerate(names)]
    taken = [await page.evaluate("(text) => bench.suggest(text)", text) for text in typed]
    return _times(f"{AT}: letter typed to suggestions", taken)


async def _frames(page: "Page") -> list[Figure]:
    """Drag the largest picture there is, then turn the wheel over it."""
    await page.evaluate("(to) => bench.open(to)", f"{_focus(PACKAGE_HUB)}&most=250")
    nodes, edges = await page.evaluate("[bench.nodes(), bench.edges()]")
    box = await page.locator("main .graph").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    figures = []
    for name, drive in (("drag", _drag), ("zoom", _zoom)):
        await page.evaluate("bench.watch()")
        await drive(page, *middle)
        gaps = await page.evaluate("bench.gaps()")
        what = f"{nodes} nodes, {edges} edges, {name}"
        rate = 1_000 * len(gaps) / sum(gaps)
        figures += [
            Figure(f"{what}: frames a second", rate, "1/s", at_least=30.0, calls=len(gaps)),
            Figure(f"{what}: longest frame", max(gaps), "ms", calls=len(gaps)),
        ]
    return figures


async def _drag(page: "Page", x: float, y: float) -> None:
    await page.mouse.move(x, y)
    await page.mouse.down()
    for step in range(120):
        await page.mouse.move(x + 150 - abs(step % 60 - 30) * 10, y + 60 - abs(step % 40 - 20) * 6)
    await page.mouse.up()


async def _zoom(page: "Page", x: float, y: float) -> None:
    await page.mouse.move(x, y)
    for step in range(120):
        await page.mouse.wheel(0, -60 if step % 40 < 20 else 60)


async def _memory(page: "Page", names: list[str]) -> list[Figure]:
    """What the page holds after many moves of the focus, by what it held after the first ones."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    early = len(names)
    before: dict[str, float] = {}
    for place, name in enumerate(islice(cycle(names), MOVES)):
        await page.evaluate("(to) => bench.open(to)", _focus(name))
        if place + 1 == early:
            before = await _held(session)
    after = await _held(session)
    return [
        Figure(f"memory of JavaScript after {MOVES} moves", after["JSHeapUsedSize"] / 2**20, "MiB"),
        Figure(
            f"  by that after {early}", after["JSHeapUsedSize"] / before["JSHeapUsedSize"], "x", at_most=1.5
        ),
    ]


async def _held(session: "CDPSession") -> dict[str, float]:
    await session.send("HeapProfiler.collectGarbage")
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return {each["name"]: each["value"] for each in metrics}


def _focus(name: str) -> str:
    return f"#/focus/{quote(name, safe='')}?hops={HOPS}"


def _times(what: str, milliseconds: list[float], *, at_most: float | None = None) -> list[Figure]:
    calls = len(milliseconds)
    return [
        Figure(f"{what}: median", median(milliseconds), "ms", at_most=at_most, calls=calls),
        Figure(f"{what}: worst", max(milliseconds), "ms", at_most=at_most, calls=calls),
    ]


async def _page(browser: "Browser", url: str) -> "Page":
    """Open the start in a new profile."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    await context.add_init_script(path=HARNESS)
    page = await context.new_page()
    await page.goto(url)
    return page


@asynccontextmanager
async def _chromium(program: str) -> AsyncIterator["Browser"]:
    # Imported late: the other parts run without it.
    from playwright.async_api import async_playwright  # noqa: PLC0415

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()
