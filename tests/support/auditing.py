"""A replica that follows a database and can be audited, without a server around it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from server.config import FeedSettings
from server.feed import Feed, MemoryAuditor, Vitals
from server.replica import Replica
from tests.support.following import PATIENCE

# Takes a step often, and reads everything in each while changes may go unseen.
WATCHFUL = FeedSettings(
    poll_interval=timedelta(milliseconds=20),
    step_timeout=timedelta(seconds=5),
    reread_interval=timedelta(0),
)


@dataclass(frozen=True, slots=True)
class Audited:
    """What belongs together."""

    replica: Replica
    feed: Feed
    vitals: Vitals
    auditor: MemoryAuditor


@asynccontextmanager
async def audited(url: str, settings: FeedSettings = WATCHFUL) -> AsyncIterator[Audited]:
    """Run a feed into a replica, warm when the context begins."""
    replica, vitals = Replica(settings.longest_wait), Vitals(settings)
    feed = Feed(url, replica, settings, vitals)
    replica.ask = feed.wake
    task = asyncio.create_task(feed.run())
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await replica.warmed()
        auditor = MemoryAuditor(url, feed, replica, settings, vitals=vitals)
        yield Audited(replica, feed, vitals, auditor)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
