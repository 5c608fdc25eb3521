"""``serve --sources``: replicas that share sources pull each of them once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from depgraph.v1.access_service_pb2 import ListWritesRequest, Write
from depgraph.v1.dependency_service_pb2 import ListDependenciesRequest, ListSourcesRequest
from depgraph.v1.graph_service_pb2 import GetStatusRequest
from depgraph.v1.types_pb2 import Source
from server.app import Application
from server.config import AccessSettings, Limits, Settings
from server.lifecycle.pulling import Pulling
from server.sources import apart, schedule
from server.sources.pulls import gather
from server.store.single_runner import SingleRunner
from tests.support import issuer
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.command import depgraph, depgraph_here
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.fake_stores import HeldStore
from tests.support.replay import Answer, Replay, prometheus, replaying
from tests.support.sources import sources_file

pytestmark = pytest.mark.one_transport

PATH = "/api/v1/query"
CALLS = {("shop", "cart"), ("cart", "orders")}


@pytest.fixture(autouse=True)
def _pull_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_SHORTEST_PAUSE", 0.1)
    monkeypatch.setattr(schedule, "_JITTER", (0.1, 0.1))


@pytest.fixture
def replay() -> Iterator[Replay]:
    with replaying() as running:
        running.answers[PATH] = prometheus(("shop", "cart"), ("cart", "orders"))
        yield running


def file_of(folder: Path, replay: Replay, name: str) -> Path:
    """Write the file of a replica, which its requests name."""
    own = folder / name
    own.mkdir()
    return sources_file(
        own,
        f'name = "prom"\nkind = "prometheus"\nurl = "{replay.url}"\nevery = "1s"\n'
        f'window = "5m"\nheaders = {{X-Replica = "{name}"}}',
    )


@asynccontextmanager
async def replica(url: str, file: Path) -> AsyncIterator[Application]:
    settings = Settings(listen="127.0.0.1:0", database_url=url, sources=file)
    async with Application(settings, report=lambda _: None) as running:
        yield running


def pulls(replay: Replay) -> dict[str, int]:
    """Count the pulls of each replica, by a query that each pull makes once."""
    counted = [asked for asked in replay.asked if asked.query["query"].startswith("count(")]
    names = [asked.headers["x-replica"] for asked in counted]
    return {name: names.count(name) for name in names}


async def record(channel: grpc.aio.Channel, error: str) -> Source:
    """Wait until the reporter's last error, empty = none, is this one."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            listed = (await Stubs(channel).dependencies.ListSources(ListSourcesRequest())).sources
            if listed and error in listed[0].last_error and bool(error) == bool(listed[0].last_error):
                return listed[0]
            await asyncio.sleep(0.02)


async def edges(application: Application) -> set[tuple[str, str]]:
    async with open_channel(application.address) as channel:
        page = await Stubs(channel).dependencies.ListDependencies(ListDependenciesRequest())
    return {(each.source_service_id, each.target_service_id) for each in page.dependencies}


async def writes(application: Application) -> list[Write]:
    async with open_channel(application.address) as channel:
        return list((await Stubs(channel).access.ListWrites(ListWritesRequest())).writes)


async def test_one_replica_pulls_and_another_takes_over(
    database_url: str, replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Many pulls: a process for each would take long.
    monkeypatch.setattr(apart, "gather_apart", gather)
    first, second = file_of(tmp_path, replay, "first"), file_of(tmp_path, replay, "second")
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(replica(database_url, first))
        await eventually(lambda: pulls(replay).get("first", 0) > 0)
        async with replica(database_url, second) as other:
            enough = pulls(replay)["first"] + 8
            # The other asks for the lock about every second.
            await eventually(lambda: pulls(replay)["first"] >= enough)
            assert set(pulls(replay)) == {"first"}
            assert await edges(one) == CALLS
            # Pulls that change nothing are no writes.
            (written,) = await writes(one)
            assert (written.principal, written.counts.dependencies_created) == ("source prom", 2)
            assert written.method == "depgraph.v1.DependencyService/IngestGraph"
            await stack.aclose()
            await eventually(lambda: pulls(replay).get("second", 0) > 0)
            assert await edges(other) == CALLS


async def test_a_pull_that_is_partial_or_fails_changes_nothing_but_the_record_of_its_reporter(
    database_url: str, replay: Replay, tmp_path: Path
) -> None:
    async with (
        replica(database_url, file_of(tmp_path, replay, "first")) as running,
        open_channel(running.address) as channel,
    ):
        await eventually(lambda: pulls(replay).get("first", 0) > 0)
        succeeded = (await record(channel, "")).last_success_time
        replay.answers[PATH] = prometheus(("shop", "new"), warnings=["a store did not answer"])
        partial = await record(channel, "the answer may be partial: a store did not answer")
        replay.answers[PATH] = Answer(b"try later", 503)
        away = await record(channel, "HTTP 503: try later")
        for found in (partial, away):
            assert found.last_success_time.ToDatetime() >= succeeded.ToDatetime()
            assert (found.element_count, found.interval.seconds) == (2, 1)
        assert partial.last_success_time == away.last_success_time
        assert await edges(running) == CALLS


async def test_a_database_that_does_not_answer_is_the_cause_why_pulls_end(
    replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def did(*_: object) -> None:
        raise TimeoutError

    pulling = Pulling("", cast("Any", HeldStore()), file_of(tmp_path, replay, "first"), Limits())
    monkeypatch.setattr(SingleRunner, "did", did)
    monkeypatch.setattr(SingleRunner, "run_forever", lambda _, work: work(None))
    with pytest.raises(TimeoutError):
        await pulling.run()


async def test_a_file_that_broke_since_is_a_problem_of_the_server(
    database_url: str, replay: Replay, tmp_path: Path
) -> None:
    file = file_of(tmp_path, replay, "first")
    file.write_text("[[source]]\nnome = 1")
    async with replica(database_url, file) as running, open_channel(running.address) as channel:
        status = await Stubs(channel).graph.GetStatus(GetStatusRequest())
    (problem,) = (each for each in status.problems if "sources" in each)
    assert problem.startswith(f"sources are not pulled by this process: {file}: [[source]] number 1: name")


def test_a_server_does_not_start_with_a_file_that_can_not_be_used(tmp_path: Path) -> None:
    file = tmp_path / "sources.toml"
    file.write_text("[[source]]\nname = 'a'\nkind = 'prometeus'")
    # Not in this process: it configures the log.
    finished = depgraph("serve", "--sources", str(file))
    assert finished.returncode == 2
    assert "source 'a': kind: 'prometeus' is not known (did you mean prometheus?)" in finished.stderr


async def test_a_dry_run_says_when_an_ingester_may_not_read(
    database_url: str, replay: Replay, tmp_path: Path
) -> None:
    who = issuer.auth_file(tmp_path, issuer.static_token("bob", "ingester", sources=("otel_service_graph",)))
    (tmp_path / "token").write_text("bob")
    settings = Settings(listen="127.0.0.1:0", database_url=database_url, access=AccessSettings(auth_file=who))
    file = file_of(tmp_path, replay, "first")
    async with Application(settings, report=lambda _: None) as running:
        by_bob = ("--address", running.address, "--token-file", str(tmp_path / "token"))
        dry = await asyncio.to_thread(depgraph_here, "sync", str(file), "--dry-run", *by_bob)
        wet = await asyncio.to_thread(depgraph_here, "sync", str(file), "--once", *by_bob)
    assert (dry.returncode, wet.returncode) == (0, 0)
    assert "    cart is cart" in dry.stdout.splitlines()
    assert " ".join(dry.stderr.split()).startswith("you may not read, so what would be new is not known: ")
    assert "2 created" in " ".join(wet.stdout.split())
