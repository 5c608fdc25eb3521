"""
Make pictures of the console: every view, light, dark and on a phone.

``python -m scripts.console_pictures FOLDER [--jaeger FILE] [--only PART] [--docs]`` starts servers
of its own: with the sample, with 1,000 services in 40 teams, and with the calls of a Jaeger file if
one is given. It needs ``make tools`` and Chromium; ``--docs``, which takes the pictures of
docs/console.md and puts them there with fewer colours, needs Pillow, which ``make bench`` installs.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from server.store.embedded.sockets import running_url
from tests.support.browser import PHONE, Troubles, chromium, new_page, settled, view
from tests.support.calls import FRESH, Stubs
from tests.support.channels import open_channel
from tests.support.command import ROOT
from tests.support.console_worlds import company_of_teams
from tests.support.folders import open_folder
from tests.support.past_shop import deploy
from tests.support.plain_sql import connected
from tests.support.required import required_package
from tests.support.serving import serving

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1200, "height": 760}},
    "dark": {"viewport": {"width": 1200, "height": 760}, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True, "device_scale_factor": 2},
}


@dataclass(frozen=True, slots=True)
class World:
    """A graph, and which addresses show it, by the name of the picture."""

    name: str
    views: dict[str, str]
    seed: list[dict[str, Any]] | None = None
    has_past: bool = False
    jaeger: Path | None = None


# Picture of docs/console.md, and what it is made of.
DOCS = {
    "console-focus": "shop-focus-light",
    "console-cycle": "shop-cycle-light",
    "console-phone": "shop-focus-phone",
    "console-map": "teams-map-light",
    "console-impact": "teams-impact-light",
    "console-diff": "past-diff-light",
}

SAMPLE = {
    "start": "#/",
    "focus": "#/focus/checkout?hops=2",
    "impact": "#/impact/accounts",
    "paths": "#/paths/storefront?to=accounts",
    "cycles": "#/cycles",
    "cycle": "#/cycles>",
    "drift": "#/drift",
    "sources": "#/sources",
    "map": "#/map",
    "map-inside": "#/map/fulfilment",
    "status": "#/status",
    "unknown": "#/focus/no-such-service",
}
PAST = {
    "focus": "#/focus/checkout?hops=2&as_of=30m",
    "changes": "#/changes/checkout?since=30m",
    "diff": "#/diff?from=30m",
}
COMPANY = {
    "start": "#/",
    "focus": "#/focus/payments-api?hops=2",
    "hub": "#/focus/platform-audit",
    "impact": "#/impact/identity-api",
    "paths": "#/paths/ads-gateway?to=platform-audit",
    "cycles": "#/cycles",
    "cycle": "#/cycles>",
    "drift": "#/drift",
    "sources": "#/sources",
    "map": "#/map",
    "map-inside": "#/map/payments",
    "map-by": "#/map?by=namespace",
    "status": "#/status",
}
PACKAGES = {
    "start": "#/",
    "focus": "#/focus/curl?hops=2",
    "hub": "#/focus/libc6",
    "impact": "#/impact/libssl3",
    "paths": "#/paths/gimp?to=libc6",
    "cycles": "#/cycles",
    "cycle": "#/cycles>",
    "drift": "#/drift",
    "sources": "#/sources",
    "map": "#/map",
    "status": "#/status",
}


def worlds(jaeger: Path | None) -> list[World]:
    """List the graphs."""
    sample = json.loads((ROOT / "examples/online_shop.json").read_text())
    found = [
        World("shop", SAMPLE, sample),
        World("past", PAST, sample, has_past=True),
        World("teams", COMPANY, company_of_teams()),
    ]
    return found if jaeger is None else [*found, World("packages", PACKAGES, jaeger=jaeger)]


@asynccontextmanager
async def served(world: World, folder: Path) -> AsyncIterator[str]:
    """Serve a graph; yields the URL of the console."""
    options = ["--http-listen", "127.0.0.1:0", "--data-dir", str(folder / "data")]
    # So that the company's traces that nothing has seen for long are stale.
    options += ["--stale-after", "otel_service_graph=7d", "--sweep-interval", "1s"]
    if world.seed is not None:
        seed = folder / "seed.json"
        seed.write_text(json.dumps(world.seed))
        options += ["--seed-file", str(seed)]
    async with serving(*options) as running:
        calls, url = (each.split(" ")[0] for each in running.address.split(", "))
        if world.jaeger is not None:
            command = [sys.executable, "-m", "server.cli", "import", "jaeger", str(world.jaeger)]
            command += ["--address", calls]
            await asyncio.to_thread(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)
            async with open_channel(calls) as channel:
                await Stubs(channel).graph.ListComponents(ListComponentsRequest(consistency=FRESH))
        if world.has_past:
            async with connected(running_url(folder / "data") or "") as connection:
                await deploy(connection)
        yield url.rstrip("/")
        await running.stop()


async def take(browser: "Browser", url: str, world: World, folder: Path, only: list[str]) -> None:
    """Take those pictures of a graph whose names hold one of these texts."""
    for look, options in LOOKS.items():
        troubles = Troubles()
        page = await new_page(browser, url, troubles, reduced_motion="reduce", **options)
        for name in names(world, look, only):
            try:
                await show(page, world.views[name])
                path = folder / f"{world.name}-{name}-{look}.png"
                await page.screenshot(path=path, animations="disabled")
            except Exception as error:  # noqa: BLE001 - one view must not cost the others' pictures
                print(f"{world.name}-{name}-{look}: {error}")
        await page.context.close()
        for trouble in dict.fromkeys(troubles.found):
            print(f"{world.name}, {look}: {trouble}")


async def show(page: "Page", address: str) -> None:
    """Go to an address; one that ends with ``>`` means the first link in the view's table."""
    await view(page, address.removesuffix(">"))
    await settled(page)
    if address.endswith(">"):
        link = await page.locator("main table a").first.get_attribute("href")
        await view(page, link or "")
        await settled(page)


def reduce(folder: Path) -> None:
    """Put the pictures of docs/console.md there, with as many colours as a page has."""
    image = required_package("PIL.Image")
    for name, source in DOCS.items():
        picture = image.open(folder / f"{source}.png").convert("RGB")
        if source.endswith("phone"):
            picture = picture.resize((PHONE["width"], PHONE["height"]))
        picture.quantize(64, dither=image.Dither.NONE).save(ROOT / f"docs/{name}.png", optimize=True)


def names(world: World, look: str, only: list[str]) -> list[str]:
    """Name the views to show."""
    return [
        name
        for name in world.views
        if not only or any(part in f"{world.name}-{name}-{look}" for part in only)
    ]


async def main() -> None:
    """Take all pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jaeger", type=Path, help="a file for `depgraph import jaeger`")
    parser.add_argument("--only", action="append", default=[], help="part of a picture's name (repeatable)")
    parser.add_argument("--docs", action="store_true", help="renew the pictures of docs/console.md")
    options = parser.parse_args()
    options.only += DOCS.values() if options.docs else ()
    options.folder.mkdir(parents=True, exist_ok=True)
    async with chromium("--hide-scrollbars") as browser:
        for world in worlds(options.jaeger):
            if any(names(world, look, options.only) for look in LOOKS):
                with open_folder() as folder:
                    async with served(world, folder) as url:
                        await take(browser, url, world, options.folder, options.only)
    if options.docs:
        reduce(options.folder)


if __name__ == "__main__":
    asyncio.run(main())
