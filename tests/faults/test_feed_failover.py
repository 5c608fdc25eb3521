"""The primary is lost and a standby takes its place."""

from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from server.domain.errors import RevisionUnknownError
from server.domain.live_graph import AtLeastAsFresh
from server.store.embedded import EmbeddedPostgres
from tests.support.following import PATIENCE
from tests.support.scene import Scene, connected
from tests.support.standby import promote, replayed_all, standby_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


async def test_a_standby_is_not_read_until_it_is_promoted(
    own_postgres: EmbeddedPostgres, own_scene: Scene, reachable_folder: Path
) -> None:
    async with standby_of(own_postgres.url, reachable_folder / "standby") as standby:
        await own_scene.quiet()
        await own_scene.caught_up()
        revision, before = await own_scene.revision(), own_scene.feed_id
        warms = own_scene.replica.status().warm_count
        await replayed_all(own_postgres.url, standby.url)
        own_scene.proxy.lead_to(standby.url)
        await own_postgres.crash()
        # It answers, and would show a snapshot from which transactions in progress are missing.
        await own_scene.goes_stale(timedelta(seconds=1))
        async with connected(standby.url) as reader:
            with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
                await reader.execute("SELECT depgraph_feed.open()")
        own_scene.url = standby.url
        await promote(standby.url)
        await own_scene.recovers("failover to a promoted standby, from the promotion")
        assert own_scene.feed_id != before
        assert own_scene.replica.status().warm_count == warms + 1
        with pytest.raises(RevisionUnknownError):
            await own_scene.replica.at(AtLeastAsFresh(revision), PATIENCE)
