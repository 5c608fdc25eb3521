"""Pages of the console in a real Chromium, and what they must never do."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from server.app import Application
from server.config import Settings
from tests.support.required import BROWSER, lacking, required_package, required_program

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, ViewportSize

PATIENCE_SECONDS = 30.0
PHONE: "ViewportSize" = {"width": 360, "height": 740}
# Options of a page: see `Browser.new_context`.
OpenPage = Callable[..., Awaitable["Page"]]
_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI} ${event.sample}`));
"""
# The view is drawn for the address that the page was sent to.
_IS_SHOWN = """
(address) => {
  const main = document.getElementById("main");
  return main?.getAttribute("aria-busy") === "false" && (address === "" || main.dataset.address === address);
}
"""


_IS_SETTLED = """
() => document.querySelector("[aria-busy=true]") === null
  && ![...document.querySelectorAll("main p")].some((each) => each.textContent === "…")
"""


@dataclass(slots=True)
class Troubles:
    """What pages did that they must not; ``allow`` names what a test provokes."""

    found: list[str] = field(default_factory=list)
    _allowed: list[str] = field(default_factory=list)

    def allow(self, *parts: str) -> None:
        """Allow what holds one of these texts, from now on and before."""
        self._allowed += parts
        self.found = [each for each in self.found if not self._is_allowed(each)]

    def note(self, text: str) -> None:
        """Add one, unless it is allowed."""
        if not self._is_allowed(text):
            self.found.append(text)

    def _is_allowed(self, text: str) -> bool:
        return any(part in text for part in self._allowed)


def required_chromium() -> str:
    """Find the program, and what drives it."""
    required_package("playwright", BROWSER)
    return required_program("chromium", "chromium-browser", "google-chrome")


@asynccontextmanager
async def chromium(*arguments: str) -> "AsyncIterator[Browser]":
    """Run the system's Chromium without a window."""
    program = required_chromium()
    playwright = required_package("playwright.async_api", BROWSER)
    # Its sandbox refuses to be run by root.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with playwright.async_playwright() as driver:
        try:
            browser = await driver.chromium.launch(executable_path=program, args=[*sandbox, *arguments])
        except playwright.Error as error:
            lacking(f"{program} does not start: {error}")
        try:
            yield browser
        finally:
            await browser.close()


async def new_page(browser: "Browser", url: str, troubles: Troubles, **options: Any) -> "Page":
    """Open an empty page, ``options`` are those of ``Browser.new_context``."""
    context = await browser.new_context(base_url=url, **options)
    context.set_default_timeout(PATIENCE_SECONDS * 1_000)
    await context.add_init_script(_VIOLATIONS)
    page = await context.new_page()

    def on_console(message: "ConsoleMessage") -> None:
        if message.type in {"error", "warning"}:
            troubles.note(f"{message.type} in the console: {message.text} ({message.location.get('url')})")

    def on_request(request: "Request") -> None:
        if not request.url.startswith((f"{url}/", "blob:", "data:")):
            troubles.note(f"request to another host: {request.url}")

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", lambda error: troubles.note(f"error in the page: {error.stack or error}"))
    page.on("crash", lambda _: troubles.note("the page crashed"))
    return page


async def view(page: "Page", address: str) -> None:
    """Go to an address of the console (``#/focus/checkout``) and wait until the view shows it."""
    if "#" in page.url and not page.url.startswith("about:"):
        await page.evaluate("(address) => { location.hash = address; }", address)
    else:
        await page.goto(f"/{address}")
    # The start may lead on to another address.
    await shown(page, "" if address in {"", "#/"} else address)


async def shown(page: "Page", address: str = "") -> None:
    """Wait until a view is shown, at this address if one is given."""
    await page.wait_for_function(_IS_SHOWN, arg=address)


async def settled(page: "Page") -> None:
    """Wait until what a view fetches after it is shown is there, too."""
    await page.wait_for_function(_IS_SETTLED)


def expect(shown: "Locator") -> Any:
    """Return Playwright's ``LocatorAssertions``, which wait until they hold."""
    playwright = required_package("playwright.async_api", BROWSER)
    playwright.expect.set_options(timeout=PATIENCE_SECONDS * 1_000)
    return playwright.expect(shown)


async def violations(page: "Page") -> list[str]:
    """Return what axe finds, each with the elements."""
    axe = required_package("axe_playwright_python.async_playwright", BROWSER)
    found = await axe.Axe().run(page)
    return [
        f"{each['id']} ({each['impact']}): {', '.join(str(node['target']) for node in each['nodes'])}"
        f" {each['nodes'][0].get('failureSummary', '')}"
        for each in found.response["violations"]
    ]


class Console:
    """A server with the console, in this process; an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the server, for the second time at the same address."""
        self.application = Application(self._settings, report=lambda _: None)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.application.__aenter__()
        address = self.application.addresses.http
        self.url = f"http://{address}"
        self._settings = replace(self._settings, http_listen=address)

    async def stop(self) -> None:
        """Stop the server."""
        await self.application.__aexit__(None, None, None)

    view = staticmethod(view)
    shown = staticmethod(shown)
    settled = staticmethod(settled)
    violations = staticmethod(violations)
