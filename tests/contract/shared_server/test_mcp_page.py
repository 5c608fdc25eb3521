"""The questions of docs/mcp.md, asked again: answers are those of the page."""

import asyncpg  # noqa: TC002 - pytest reads annotations of fixtures
import pytest

from scripts.renew_mcp_page import PAGE, renewed
from server.app import Application
from server.config import Settings
from tests.support.agents import agent_by_http, cycle_found

pytestmark = [pytest.mark.one_transport, pytest.mark.usefixtures("online_shop")]


QUESTIONS = 16


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", http_listen="127.0.0.1:0", database_url=database_url)


async def test_the_page_shows_what_tools_answer(
    application: Application, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    page = PAGE.read_text()
    async with agent_by_http(application.addresses.http) as agent:
        await cycle_found(agent)
        assert await renewed(page, agent, connection) == page
    assert sum(page.count(f"\n{each}: ") for each in ("fresh", "as of", "between")) == QUESTIONS
