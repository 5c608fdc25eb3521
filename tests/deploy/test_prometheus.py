"""Pulls of a real Prometheus: what rose within the window is a call, whatever is still exported."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from server.formats.prometheus import NOT_RISEN
from server.sources.pulls import pull
from server.sources.source import PullError, Source
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.readings import links_of, skipped_of
from tests.support.real_prometheus import History, programs, running
from tests.support.replay import Answer, Asked, replaying
from tests.support.sources import source

METRIC = "traces_service_graph_request_total"
INFO = "traces_service_graph_connection_info"
DAY = 26 * 60


def labels(server: str, **more: str) -> dict[str, str]:
    return {"client": "shop", "server": server, "connection_type": ""} | more


def still(value: float, minutes: int = DAY) -> list[float]:
    return [value] * minutes


def fill(history: History) -> None:
    """Write a day of calls of the shop; each callee's name says what became of its counter."""
    rising = [float(minute) for minute in range(DAY)]
    counters: dict[str, dict[float, float] | list[float]] = {
        "rising": rising,
        "still-for-a-day": still(100),
        "rose-once-in-the-window": [*still(100, DAY - 2), 101.0, 101.0],
        "rose-before-the-window": [*still(100, DAY - 8), *still(101, 8)],
        "new-with-one-sample": [1.0],
        "new-and-still": still(5, 3),
        "new-and-zero": still(0, 3),
        "reset-and-called": [*still(100, DAY - 3), 0.0, 2.0, 2.0],
        "reset-and-not-called": [*still(100, DAY - 3), *still(0, 3)],
        "gone-since-an-hour": {float(age): 1_000.0 - age for age in range(60, DAY)},
        "gone-since-two-minutes": {float(age): 1_000.0 - age for age in range(2, DAY)},
        # The scrapes of forty minutes failed; the value is the one of before.
        "still-after-a-gap": {float(age): 100.0 for age in (*range(3), *range(43, DAY))},
        "rose-in-a-gap": {float(age): 100.0 + (age < 43) for age in (*range(3), *range(43, DAY))},
    }
    for server, values in counters.items():
        history.add(METRIC, labels(server), values)
    history.add(METRIC, labels("only-failures-rise"), still(50))
    history.add(METRIC, labels("only-failures-rise", failed="true"), rising)
    history.add(INFO, labels("rarely-called"), still(1))
    history.add(INFO, labels("no-longer-connected"), {float(age): 1.0 for age in range(30, DAY)})


def fill_mesh(history: History) -> None:
    for name, values in {"cart": [float(each) for each in range(DAY)], "old": still(9)}.items():
        for reporter in ("source", "destination"):
            ends = {"source_workload": "web", "destination_workload": name, "reporter": reporter}
            history.add("istio_requests_total", ends | {"response_code": "200"}, values)
            history.add("istio_requests_total", ends | {"response_code": "500"}, still(3))
    tcp = {"source_workload": "cart", "destination_workload": "db", "reporter": "source"}
    history.add("istio_tcp_connections_opened_total", tcp, still(1))
    history.add("istio_tcp_sent_bytes_total", tcp, [float(each) * 100 for each in range(DAY)])


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus with a day of samples."""
    prometheus, promtool = programs()
    folder = tmp_path_factory.mktemp("prometheus")
    history = History()
    fill(history)
    fill_mesh(history)
    history.write(promtool, folder)
    with running(prometheus, folder, every=timedelta(minutes=1)) as (url, _):
        yield url


async def test_what_rose_within_the_window_is_a_call_and_nothing_else(past: str) -> None:
    reading = await pull(source(past))
    assert {callee for _, callee in links_of(reading)} == {
        "rising",
        "rose-once-in-the-window",
        "new-with-one-sample",
        "new-and-still",
        "reset-and-called",
        "gone-since-two-minutes",
        "rose-in-a-gap",
        "only-failures-rise",
        "rarely-called",
    }
    # Of those with a sample in the window.
    assert skipped_of(reading) == {NOT_RISEN: 5}


async def test_calls_of_istio_are_those_that_rose(past: str) -> None:
    reading = await pull(source(past, profile="istio", discovery_source="service_mesh"))
    assert links_of(reading) == {("web", "cart"), ("cart", "db")}
    # Both proxies report it, and it is one.
    assert skipped_of(reading) == {NOT_RISEN: 1}


async def test_a_metric_that_is_not_there_is_an_error(past: str) -> None:
    with pytest.raises(PullError, match="has no sample of calls_total"):
        await pull(source(past, metric="calls_total"))


async def test_an_address_that_is_no_api_is_an_error(past: str) -> None:
    with pytest.raises(PullError, match="HTTP 404"):
        await pull(source(f"{past}/elsewhere"))


async def calls(wanted: Source) -> set[str]:
    """Return the callees of a pull; none while nothing is scraped yet."""
    try:
        return {callee for _, callee in links_of(await pull(wanted))}
    except PullError:
        return set()


async def test_a_pull_sees_what_is_scraped_until_prometheus_is_away(tmp_path: Path) -> None:
    prometheus, _ = programs()
    scrapes = count()

    def exposition(_: Asked) -> Answer:
        lines = [
            f'{METRIC}{{client="shop",server="cart",connection_type=""}} {next(scrapes)}',
            f'{METRIC}{{client="shop",server="old",connection_type=""}} 7',
        ]
        content = "\n".join([f"# TYPE {METRIC} counter", *lines, ""]).encode()
        return Answer(content, headers={"content-type": "text/plain; version=0.0.4"})

    with replaying() as target:
        target.answers["/metrics"] = exposition
        jobs = {"collector": target.url.removeprefix("http://")}
        every = timedelta(milliseconds=200)
        with running(prometheus, tmp_path, scrapes=jobs, every=every) as (url, process):
            wanted = source(url, window=timedelta(seconds=2), timeout=timedelta(seconds=5))
            async with asyncio.timeout(PATIENCE_SECONDS):
                # The other counter is new at first, and no call any more after the window.
                while await calls(wanted) != {"cart"}:
                    await asyncio.sleep(0.1)
            process.terminate()
            process.wait(PATIENCE_SECONDS)
            with pytest.raises(PullError, match=r"127\.0\.0\.1"):
                await pull(wanted)
