"""The story of docs/history.md: its commands print what the page shows."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from server.app import Application
from tests.support.history_story import PAGE, renewed

if TYPE_CHECKING:
    import asyncpg

# What commands print does not depend on the transport.
pytestmark = pytest.mark.one_transport


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC0")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_utc")
async def test_the_commands_of_the_story_print_what_the_page_shows(
    application: Application, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    page = PAGE.read_text()
    with capture_logs():
        assert await renewed(page, application.address, connection) == page
    assert page.count("\n$ depgraph ") == 6
