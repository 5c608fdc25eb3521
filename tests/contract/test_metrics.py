"""What Prometheus reads from a running server."""

import asyncio
import socket
import sys
import threading
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from google.protobuf import descriptor_pool
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from depgraph.v1 import graph_service_pb2 as pb
from server.app import Application
from server.config import KIB, Settings
from server.metrics import MetricsListenError
from server.rpc.server import CONTRACT
from server.rpc.standard import SERVICE_NAMES
from tests.support.calls import FRESH, Stubs
from tests.support.chaos import reset
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.failures import failure_of

ROOT = Path(__file__).parents[2]
MAX_QUESTION = 64 * KIB
Sample = tuple[str, frozenset[tuple[str, str]]]
Metrics = dict[Sample, float]


def of(name: str, /, **labels: str) -> Sample:
    """One value of a metric."""
    return name, frozenset(labels.items())


def of_method(name: str, kind: str, service: str, method: str, **labels: str) -> Sample:
    """One value of a metric of a method."""
    return of(name, grpc_type=kind, grpc_service=service, grpc_method=method, **labels)


started = partial(of_method, "grpc_server_started_total")
seconds = partial(of_method, "grpc_server_handling_seconds_count")


def handled(kind: str, service: str, method: str, code: str) -> Sample:
    return of_method("grpc_server_handled_total", kind, service, method, grpc_code=code)


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, metrics_listen="127.0.0.1:0")


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def scrape(application: Application) -> Metrics:
    def read() -> str:
        with urlopen(f"http://{application.metrics_address}/metrics") as answer:
            return str(answer.read().decode())

    families = text_string_to_metric_families(await asyncio.to_thread(read))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


async def scrape_until(application: Application, wanted: Metrics) -> Metrics:
    """
    Scrape until the metrics are as wanted, and return them.

    Callers have their answers before the server counts the call or the step that brought them.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not wanted.items() <= (metrics := await scrape(application)).items():
            await asyncio.sleep(0.005)
    return metrics


async def test_metrics_show_the_graph_and_how_it_follows_the_database(
    application: Application, stubs: Stubs
) -> None:
    await stubs.write_edges("a>b", "b>c")
    await stubs.graph.ListComponents(pb.ListComponentsRequest(consistency=FRESH))
    metrics = await scrape_until(application, {of("depgraph_feed_changed_rows_total"): 5})
    assert metrics[of("depgraph_services")] == 3
    assert metrics[of("depgraph_dependencies")] == 2
    assert metrics[of("depgraph_waiting_dependencies")] == 0
    assert metrics[of("depgraph_feed_state", state="following")] == 1
    assert metrics[of("depgraph_feed_state", state="reconnecting")] == 0
    assert metrics[of("depgraph_warms_total")] == 1
    assert metrics[of("depgraph_feed_steps_total")] >= 2
    assert metrics[of("depgraph_problems")] == 0
    assert metrics[of("depgraph_pool_connections_in_use")] == 0
    assert 0 <= metrics[of("depgraph_lag_seconds")] < 60


def ask(application: Application, method: str, path: str) -> tuple[int, bytes]:
    """Send a request to the metrics port; returns the status and everything after the head."""
    connection = HTTPConnection(application.metrics_address, timeout=PATIENCE_SECONDS)
    with closing(connection):
        connection.request(method, path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()


async def test_healthz_follows_the_health_of_the_server(application: Application) -> None:
    assert await asyncio.to_thread(ask, application, "GET", "/healthz") == (200, b"SERVING\n")
    rpc = application._rpc_server
    assert rpc is not None
    rpc.set_serving(serving=False)
    assert await asyncio.to_thread(ask, application, "GET", "/healthz") == (503, b"NOT_SERVING\n")
    assert await asyncio.to_thread(ask, application, "HEAD", "/healthz") == (503, b"")


@pytest.mark.parametrize(("path", "status"), [("/metrics", 200), ("/healthz", 200), ("/", 404)])
async def test_head_answers_like_get_without_a_body(application: Application, path: str, status: int) -> None:
    got, body = await asyncio.to_thread(ask, application, "GET", path)
    assert (got, bool(body)) == (status, True)
    assert await asyncio.to_thread(ask, application, "HEAD", path) == (status, b"")


@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
async def test_another_method_than_get_and_head_is_refused(application: Application, path: str) -> None:
    def post() -> tuple[int, str | None]:
        connection = HTTPConnection(application.metrics_address, timeout=PATIENCE_SECONDS)
        with closing(connection):
            connection.request("POST", path)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Allow")

    assert await asyncio.to_thread(post) == (405, "GET, HEAD")
    assert (await asyncio.to_thread(ask, application, "POST", "/"))[0] == 404


@pytest.mark.one_transport
async def test_the_health_check_of_the_image_passes_while_the_server_serves(application: Application) -> None:
    async def code(address: str) -> int:
        check = await asyncio.create_subprocess_exec(
            "/bin/bash",
            ROOT / "scripts/healthy.sh",
            env={"DEPGRAPH_METRICS_LISTEN": address},
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await asyncio.wait_for(check.wait(), PATIENCE_SECONDS)

    address = application.metrics_address
    assert await code(address) == 0
    assert await code(address.replace("127.0.0.1", "0.0.0.0")) == 0  # noqa: S104 - as in a container
    rpc = application._rpc_server
    assert rpc is not None
    rpc.set_serving(serving=False)
    assert await code(address) != 0
    assert await code("127.0.0.1:1") != 0


GET_COMPONENT = ("unary", "depgraph.v1.GraphService", "GetComponent")


async def test_calls_are_counted_by_method_and_code(application: Application, stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    await stubs.graph.GetComponent(pb.GetComponentRequest(service_id="a", consistency=FRESH))
    await failure_of(stubs.graph.GetComponent(pb.GetComponentRequest(service_id="missing")))
    metrics = await scrape_until(
        application,
        {
            started(*GET_COMPONENT): 2,
            handled(*GET_COMPONENT, "OK"): 1,
            handled(*GET_COMPONENT, "NotFound"): 1,
            seconds(*GET_COMPONENT): 2,
            of_method("grpc_server_handling_seconds_bucket", *GET_COMPONENT, le="+Inf"): 2,
        },
    )
    assert metrics[of_method("grpc_server_handling_seconds_sum", *GET_COMPONENT)] > 0
    assert sys.platform != "linux" or metrics[of("process_resident_memory_bytes")] > 0


async def test_every_method_is_counted_from_the_start(application: Application) -> None:
    metrics = await scrape(application)
    for name in CONTRACT:
        service = descriptor_pool.Default().FindServiceByName(name)
        for method in service.methods:
            kind = "server_stream" if method.server_streaming else "unary"
            assert metrics[started(kind, name, method.name)] == 0
            assert metrics[handled(kind, name, method.name, "OK")] == 0
    assert started("bidi_stream", *SERVICE_NAMES[:1], "ServerReflectionInfo") in metrics


async def test_a_call_that_was_cancelled_and_one_that_was_refused_have_begun_and_ended(
    application: Application, stubs: Stubs
) -> None:
    watch = stubs.graph.Watch(pb.WatchRequest(include_state=True))
    await watch.read()
    watching = ("server_stream", "depgraph.v1.GraphService", "Watch")
    await scrape_until(application, {started(*watching): 1, handled(*watching, "OK"): 0})
    watch.cancel()
    await scrape_until(application, {handled(*watching, "Canceled"): 1})
    for _ in range(3):
        await failure_of(stubs.graph.GetComponent(pb.GetComponentRequest(service_id="x" * MAX_QUESTION)))
    refused = of("depgraph_rpc_refused_total", limit="question_bytes")
    ended = handled(*GET_COMPONENT, "ResourceExhausted")
    # A call is counted as ended after its caller has the answer.
    await scrape_until(application, {started(*GET_COMPONENT): 3, refused: 3, ended: 3})


async def test_a_metrics_address_in_use_is_named_in_the_error(database_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = Settings(listen="127.0.0.1:0", database_url=database_url, metrics_listen=address)
        with pytest.raises(MetricsListenError, match=address):
            await Application(settings, report=lambda _: None).__aenter__()


@pytest.fixture
async def stopped(server_settings: Settings) -> Application:
    async with Application(server_settings, report=lambda _: None) as application:
        pass
    return application


async def test_the_metrics_endpoint_is_closed_once_the_server_has_stopped(stopped: Application) -> None:
    with pytest.raises(OSError, match="refused"):
        await scrape(stopped)


def is_read_from() -> bool:
    """Whether the endpoint has a scraper, each of which it gives a thread."""
    return any("process_request_thread" in thread.name for thread in threading.enumerate())


async def test_a_scraper_that_disconnects_prints_no_traceback(
    application: Application, capfd: pytest.CaptureFixture[str]
) -> None:
    host, _, port = application.metrics_address.rpartition(":")
    for _ in range(5):
        _, writer = await asyncio.open_connection(host, int(port))
        await eventually(is_read_from)
        reset(writer)
        await eventually(lambda: not is_read_from())
    assert "Traceback" not in capfd.readouterr().err
    assert (await scrape(application))[of("depgraph_services")] == 0


async def test_a_scrape_that_fails_is_logged_and_prints_no_traceback(
    application: Application, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(application.vitals, "last_audit", "no audit")
    with capture_logs() as lines:
        status, body = await asyncio.to_thread(ask, application, "GET", "/metrics")
    assert (status, body) == (500, b"the server's log says what failed\n")
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["a scrape failed"]
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.undo()
    assert (await scrape(application))[of("depgraph_services")] == 0
