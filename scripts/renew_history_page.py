"""Renew what the commands of the story in docs/history.md print: let it happen, and ask again."""

import asyncio
import tempfile
from pathlib import Path

import asyncpg
from structlog.testing import capture_logs

from server.app import Application
from server.config import Settings
from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from tests.support.history_story import PAGE, renewed


async def _renew() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedPostgres(Path(folder) / "database", durable=False) as server:
            await migrate.upgrade(server.url)
            settings = Settings(listen="127.0.0.1:0", database_url=server.url)
            async with Application(settings, report=lambda _: None) as application:
                connection = await asyncpg.connect(server.url)
                page = await renewed(PAGE.read_text(), application.address, connection)
                await connection.close()
                PAGE.write_text(page)


if __name__ == "__main__":
    with capture_logs():
        asyncio.run(_renew())
