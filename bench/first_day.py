"""What a user meets on the first day: start, import of a large graph, start with it, memory, the first answers."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

from bench.figures import Figure, stopwatch
from bench.graphs import jaeger_file
from bench.server_process import ServerProcess, serving
from bench.stage import Stage
from depgraph import Client
from depgraph.v1 import graph_service_pb2 as pb
from server.formats.jaeger import read_jaeger

PART = "first-day"
CALLS = 20


def measure(stage: Stage) -> Iterator[Figure]:
    path, data_dir = jaeger_file(stage.given, stage.folder), stage.folder / "first-day"
    with serving(data_dir) as server:
        yield Figure(PART, "first start, database created", server.start_seconds, "s")
        yield Figure(PART, "memory of the server, empty", server.resident_mib(), "MiB")
        yield from _import(server, path)
    with serving(data_dir) as server:
        yield Figure(PART, "start with that graph", server.start_seconds, "s")
        yield Figure(PART, "memory of the server after that start", server.resident_mib(), "MiB")
        with Client(server.address) as client:
            yield from _status(client)
            yield from _answers(client, _hub(path))


def _import(server: ServerProcess, path: Path) -> Iterator[Figure]:
    with stopwatch() as parsing:
        read_jaeger(path.read_bytes())
    with stopwatch() as whole:
        subprocess.run(
            [sys.executable, "-m", "server.cli", "import", "jaeger", str(path), "--address", server.address],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    yield Figure(PART, f"depgraph import jaeger {path.name}", whole.seconds, "s")
    yield Figure(PART, "  of which reading the file", parsing.seconds, "s")
    yield Figure(PART, "memory of the server after the import", server.resident_mib(), "MiB")


def _status(client: Client) -> Iterator[Figure]:
    status = client.graph.GetStatus(pb.GetStatusRequest())
    yield Figure(PART, "  services in memory", status.service_count, "")
    yield Figure(PART, "  dependencies in memory", status.dependency_count, "")
    yield Figure(PART, "  of which reading the graph", _seconds(status.warm_duration.ToTimedelta()), "s")


def _answers(client: Client, hub: str) -> Iterator[Figure]:
    ids = pb.TraverseRequest(
        service_id=hub, direction=pb.DIRECTION_UPSTREAM, max_depth=1, view=pb.TRAVERSAL_VIEW_IDS
    )
    full = pb.StreamTraverseRequest(service_id=hub, direction=pb.DIRECTION_UPSTREAM, max_depth=1)
    near = pb.TraverseRequest(service_id=hub, direction=pb.DIRECTION_DOWNSTREAM, max_depth=3)
    found = len(client.graph.Traverse(ids).service_ids)
    yield Figure(PART, f"services one hop upstream of {hub}", found, "")
    yield Figure(PART, "  Traverse, view IDS", _typical(lambda: client.graph.Traverse(ids)), "ms")
    yield Figure(
        PART, "  StreamTraverse, view FULL", _typical(lambda: list(client.graph.StreamTraverse(full))), "ms"
    )
    yield Figure(
        PART, f"Traverse 3 hops downstream of {hub}", _typical(lambda: client.graph.Traverse(near)), "ms"
    )
    components = client.graph.ListComponents(pb.ListComponentsRequest())
    yield Figure(PART, "components of two or more", components.total_count, "")


def _typical(call: Callable[[], object]) -> float:
    times = []
    for _ in range(CALLS):
        with stopwatch() as one:
            call()
        times.append(one.seconds)
    return median(times) * 1000


def _hub(path: Path) -> str:
    callers = Counter(callee for _, callee in read_jaeger(path.read_bytes()).calls)
    return callers.most_common(1)[0][0]


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
