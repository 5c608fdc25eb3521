"""The log of writes: a line for each, sums for a flood, and no write is lost."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from server.domain.writes import WriteCounts, WritingCall
from server.store.write_log import LINES, WriteLog
from tests.support.eventually import eventually

CALL = WritingCall("depgraph.v1.CatalogService/CreateService", "ipv4:127.0.0.1:1")
ONE = WriteCounts(services_created=1)


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def write_log() -> WriteLog:
    """Its window does not end by itself while a test runs."""
    return WriteLog(timedelta(hours=1))


async def test_a_line_says_who_wrote_what_and_leaves_out_what_did_not_change(
    write_log: WriteLog, logged: list[EventDict]
) -> None:
    write_log.written("ann", CALL, WriteCounts(services_created=2, dependencies_updated=3), "r1")
    write_log.written("", CALL, WriteCounts(), "r2")
    said = {"event": "write", "log_level": "info", "method": CALL.method, "peer": CALL.peer}
    assert logged == [
        {**said, "principal": "ann", "services_created": 2, "dependencies_updated": 3, "revision": "r1"},
        {**said, "principal": "", "revision": "r2"},
    ]


async def test_a_flood_has_some_lines_and_a_sum_in_which_no_write_is_missing(
    write_log: WriteLog, logged: list[EventDict]
) -> None:
    for number in range(10_000):
        write_log.written("ann", CALL._replace(peer=f"peer {number}"), ONE, f"r{number}")
    write_log.close()
    assert [line["revision"] for line in logged[:-1]] == [f"r{number}" for number in range(LINES)]
    assert logged[-1] == {
        "event": "more such writes",
        "log_level": "info",
        "principal": "ann",
        "method": CALL.method,
        "count": 10_000 - LINES,
        "services_created": 10_000 - LINES,
        "last_revision": "r9999",
        "last_peer": "peer 9999",
    }


async def test_principals_and_methods_are_summed_apart(write_log: WriteLog, logged: list[EventDict]) -> None:
    other = WritingCall("depgraph.v1.CatalogService/DeleteService", "")
    writers = [("ann", CALL), ("ben", CALL), ("ann", other)]
    for principal, call in writers * (LINES + 1):
        write_log.written(principal, call, ONE, "r")
    assert len(logged) == 3 * LINES
    write_log.close()
    sums = [line for line in logged if line["event"] == "more such writes"]
    assert [(line["principal"], line["method"], line["count"]) for line in sums] == [
        (principal, call.method, 1) for principal, call in writers
    ]


async def test_writes_that_may_not_have_been_made_are_marked_and_summed_apart(
    write_log: WriteLog, logged: list[EventDict]
) -> None:
    for _ in range(LINES + 2):
        write_log.written("ann", CALL, ONE, "r", is_certain=False)
    write_log.written("ann", CALL, ONE, "r")
    write_log.close()
    assert [line.get("outcome") for line in logged] == ["unknown"] * LINES + [None, "unknown"]
    assert logged[-1]["count"] == 2


async def test_a_window_that_ends_writes_its_sums_and_begins_anew(logged: list[EventDict]) -> None:
    write_log = WriteLog(timedelta(milliseconds=1))
    for _ in range(LINES + 5):
        write_log.written("ann", CALL, ONE, "r")
    await eventually(lambda: logged[-1]["event"] == "more such writes")
    assert logged[-1]["count"] == 5
    write_log.written("ann", CALL, ONE, "r")
    assert logged[-1]["event"] == "write"
    write_log.close()
    assert len(logged) == LINES + 2


@pytest.fixture
def at_level_debug() -> Iterator[None]:
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("debug"))
    yield
    structlog.configure(wrapper_class=before)


@pytest.mark.usefixtures("at_level_debug")
async def test_at_level_debug_every_write_has_a_line(write_log: WriteLog, logged: list[EventDict]) -> None:
    for _ in range(LINES + 5):
        write_log.written("ann", CALL, ONE, "r")
    write_log.close()
    assert [line["event"] for line in logged] == ["write"] * (LINES + 5)


async def test_once_closed_every_write_has_a_line(write_log: WriteLog, logged: list[EventDict]) -> None:
    write_log.close()
    for _ in range(LINES + 5):
        write_log.written("ann", CALL, ONE, "r")
    assert [line["event"] for line in logged] == ["write"] * (LINES + 5)
