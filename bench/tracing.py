"""What a span costs a call: servers that make none, one of each call, and none of sampled calls."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import repeat
from typing import Any

import grpc

from bench.calls import TRAVERSE, questions, raw
from bench.graphs import seed5k
from bench.load_clients import CoreClients, Shape, core_clients
from bench.measuring import Figure, over, ratio, take_turns, typical
from bench.stage import ServerProcess, Stage, serving, transports

OFF, AGAIN = "off", "off, once more"  # how far from 1 a ratio may be by chance
WAYS = {
    OFF: None,
    AGAIN: None,
    "on, no call is sampled": "always_off",
    "on, every call is sampled": "always_on",
}
CALLS = 600
LOADS, CALLS_A_LOAD, AT_ONCE = 240, 160, Shape(connections=8, each=2)


def measure(stage: Stage) -> Iterator[Figure]:
    asked = questions(seed5k(), "IDS")
    for transport in transports():
        with _servers(stage, transport) as servers, ExitStack() as stack:
            single, many = [], []
            for server in servers.values():
                channel = stack.enter_context(grpc.insecure_channel(server.address))
                single.append(over(asked, raw(channel, TRAVERSE)))
                many.append(stack.enter_context(core_clients(server.address, TRAVERSE, AT_ONCE)))
            latency = dict(zip(servers, take_turns(*single, pairs=CALLS), strict=True))
            cpu = _cpu_of_loads(list(servers.values()), many, asked[0])
        yield from _figures(transport, latency, dict(zip(servers, cpu, strict=True)))


def _figures(transport: str, latency: dict[str, list[float]], cpu: dict[str, float]) -> Iterator[Figure]:
    calls = LOADS * CALLS_A_LOAD
    for way in WAYS:
        yield Figure(f"{transport}, tracing {way}: server CPU per call", cpu[way] * 1e6, "µs", calls=calls)
        yield typical("  one call at a time", latency[way])
        if way != OFF:
            yield ratio("  latency by that without tracing", latency[way], latency[OFF])


def _cpu_of_loads(servers: list[ServerProcess], many: list[CoreClients], request: bytes) -> list[float]:
    """Seconds of the processor for a call."""
    loads = [lambda _, clients=clients: clients.ask(request, CALLS_A_LOAD) for clients in many]
    take_turns(*loads, pairs=3, warm_up=0)
    before = [server.cpu_seconds() for server in servers]
    take_turns(*loads, pairs=LOADS, warm_up=0)
    calls = LOADS * CALLS_A_LOAD
    return [(server.cpu_seconds() - was) / calls for server, was in zip(servers, before, strict=True)]


@contextmanager
def _servers(stage: Stage, transport: str) -> Iterator[dict[str, ServerProcess]]:
    """A server for each way, all on the database of the first one."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(_receiver())
        first, url = stack.enter_context(stage.server(seed5k(), transport=transport))
        servers = {OFF: first}
        for way, sampler in list(WAYS.items())[1:]:
            options = ["--database-url", url, *([] if sampler is None else ["--tracing"])]
            with _environment(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_TRACES_SAMPLER=sampler or ""):
                other = serving(stage.folder, *options, transport=transport)
                servers[way] = stack.enter_context(other)
        yield servers


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set variables for the processes that start meanwhile."""
    before = dict(zip(variables, map(os.environ.get, variables, repeat(None)), strict=True))
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _receiver() -> Iterator[str]:
    """Take every span and drop it; gives the endpoint."""
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
