"""Pulls of Prometheus: what is asked, what is used, and what makes an answer partial."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from server.formats.prometheus import NOT_RISEN
from server.formats.reading import Reading
from server.sources.prometheus import risen_within
from server.sources.pulls import pull
from server.sources.source import PullError, Source
from tests.support.readings import links_of, skipped_of
from tests.support.replay import Answer, Asked, Replay, prometheus, replaying, vector
from tests.support.sources import source

PATH = "/api/v1/query"
SHOP = ("shop", "cart")


@pytest.fixture
def replay() -> Iterator[Replay]:
    with replaying() as running:
        yield running


async def failure(wanted: Source) -> str:
    with pytest.raises(PullError) as error:
        await pull(wanted)
    return str(error.value).removeprefix(wanted.url)


def queries(replay: Replay) -> list[str]:
    return [asked.query["query"] for asked in replay.asked]


async def test_series_that_rose_are_calls_and_the_others_are_counted(replay: Replay) -> None:
    replay.answers[PATH] = prometheus(SHOP, ("cart", "orders"), total=12)
    reading = await pull(source(replay.url))
    assert links_of(reading) == {SHOP, ("cart", "orders")}
    assert reading.element_count == 12
    assert skipped_of(reading) == {NOT_RISEN: 10}


async def test_the_window_and_the_metric_are_those_of_the_settings(replay: Replay) -> None:
    replay.answers[PATH] = prometheus(SHOP)
    await pull(source(replay.url, window=timedelta(minutes=7), metric="beyla_service_graph_request_total"))
    rising, counting, gauge = queries(replay)
    assert "increase(beyla_service_graph_request_total[420s]) > 0" in rising
    assert counting.startswith("count(")
    assert "beyla_service_graph_request_total[420s]" in counting
    assert "beyla_service_graph_connection_info[420s]" in gauge


async def test_a_connection_that_only_the_gauge_shows_is_a_call(replay: Replay) -> None:
    def answer(asked: Asked) -> Answer:
        if "_connection_info" in asked.query["query"]:
            return vector({"client": "shop", "server": "cart"})
        return vector()

    replay.answers[PATH] = answer
    assert links_of(await pull(source(replay.url))) == {SHOP}


async def test_a_metric_without_samples_is_an_error_not_an_empty_graph(replay: Replay) -> None:
    replay.answers[PATH] = vector()
    assert (await failure(source(replay.url))).startswith(
        " has no sample of traces_service_graph_request_total within 300s"
    )


async def test_a_quiet_hour_is_a_success(replay: Replay) -> None:
    replay.answers[PATH] = prometheus(total=3)
    reading = await pull(source(replay.url))
    assert (links_of(reading), skipped_of(reading)) == (set(), {NOT_RISEN: 3})


@pytest.mark.parametrize(
    "more",
    [
        {"warnings": ["store gateway-2 did not answer"]},
        {"infos": ["PromQL info: something is left out"]},
        {"isPartial": True},
    ],
)
async def test_an_answer_that_may_be_partial_is_not_used(replay: Replay, more: dict[str, Any]) -> None:
    replay.answers[PATH] = prometheus(SHOP, **more)
    assert (await failure(source(replay.url))).startswith(": the answer may be partial")


async def test_a_remark_on_the_name_of_the_metric_is_no_harm(replay: Replay) -> None:
    remark = 'PromQL info: metric might not be a counter, name does not end in _total: "calls"'
    replay.answers[PATH] = prometheus(SHOP, infos=[remark])
    assert links_of(await pull(source(replay.url, metric="calls"))) == {SHOP}


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"status": "error", "error": "out of memory"}),
        Answer({"status": "success", "data": {"resultType": "matrix", "result": []}}),
        Answer(b"<html>"),
        Answer(b'{"status": "success", "data": {"resultType": "vec', cut=True),
    ],
)
async def test_any_other_answer_is_an_error(replay: Replay, answer: Answer) -> None:
    replay.answers[PATH] = answer
    assert await failure(source(replay.url))


async def istio(replay: Replay, *labels: dict[str, str], tcp: tuple[dict[str, str], ...] = ()) -> Reading:
    def answer(asked: Asked) -> Answer:
        query = asked.query["query"]
        series = tcp if "istio_tcp_" in query else labels
        return vector({}, value=str(len(series))) if query.startswith("count(") else vector(*series)

    replay.answers[PATH] = answer
    return await pull(source(replay.url, profile="istio", discovery_source="service_mesh"))


def ends(caller: str, callee: str, reporter: str = "source") -> dict[str, str]:
    return {
        "source_workload": caller,
        "destination_workload": callee,
        "source_workload_namespace": "shop",
        "destination_workload_namespace": "shop",
        "reporter": reporter,
    }


async def test_requests_and_connections_of_istio_are_calls(replay: Replay) -> None:
    reading = await istio(
        replay, ends("web", "cart"), ends("web", "cart", "destination"), tcp=(ends("cart", "db"),)
    )
    assert links_of(reading) == {("web", "cart"), ("cart", "db")}
    assert {edge.target_service_id: edge.protocol for edge in reading.report.edges} == {
        "cart": "",
        "db": "tcp",
    }
    assert all("response_code" not in query for query in queries(replay))


async def test_istio_without_samples_is_an_error(replay: Replay) -> None:
    replay.answers[PATH] = vector()
    wanted = source(replay.url, profile="istio")
    assert (await failure(wanted)).startswith(" has no sample of istio_requests_total or istio_tcp_*")


def test_the_expression_is_valid_promql() -> None:
    parser = pytest.importorskip("promql_parser")
    assert parser.parse(risen_within("calls_total", timedelta(minutes=5)))
