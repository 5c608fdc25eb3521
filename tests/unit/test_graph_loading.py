"""A graph that is read as a whole."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from server.domain.changes import FeedPosition
from server.domain.revision import Snapshot
from server.domain.services import Service
from server.replica import Replica

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_page_that_will_stay_is_told_before_anybody_answers_from_it() -> None:
    replica = Replica(timedelta(seconds=1))
    seen: list[bool] = []
    replica.settled = lambda: seen.append(replica.is_warm)
    ticket = replica.reading_begins()
    load = replica.loading_begins()
    for number in (1, 2):
        load.add_services([Service(UUID(int=number), f"s{number}", "{}", "low", None, False, NOW, NOW)])
    load.add_dependencies([])
    replica.swap(load, FeedPosition("1:2:x", Snapshot.parse("1:1:")), ticket)
    assert seen == [False, False, False]
    assert [row.service_id for row in replica.held().services] == ["s1", "s2"]
