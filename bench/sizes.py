"""Latency of a whole call by the size of its answer."""

from collections.abc import Iterator

import grpc

from bench.calls import ECHO, TRAVERSE, VIEWS, question, raw
from bench.figures import Figure, typical
from bench.graphs import big100k
from bench.server_process import echoing
from bench.stage import Stage
from bench.turns import take_turns

PART = "sizes"
SERVICES = {"IDS": (1, 10, 100, 1_000, 10_000, 50_000), "FULL": (1, 10, 100, 1_000, 5_000)}


def measure(stage: Stage) -> Iterator[Figure]:
    with (
        stage.server(big100k()) as (server, _),
        echoing() as echo,
        grpc.insecure_channel(server.address, [("grpc.max_receive_message_length", -1)]) as ours,
        grpc.insecure_channel(echo.address, [("grpc.max_receive_message_length", -1)]) as theirs,
    ):
        traverse, least = raw(ours, TRAVERSE), raw(theirs, ECHO)
        for view in VIEWS:
            for services in SERVICES[view]:
                request = question("s1", view, 10)
                request.max_services = services
                asked = request.SerializeToString()
                length = str(len(traverse(asked))).encode()
                call, floor = take_turns(
                    lambda _, asked=asked: traverse(asked),  # type: ignore[misc]
                    lambda _, length=length: least(length),  # type: ignore[misc]
                    pairs=200,
                )
                what = f"{services:,} services, {view}, {int(length):,} bytes"
                yield typical(PART, f"Traverse, {what}", call, curve=f"Traverse {view}", x=int(length))
                yield typical(PART, "  echo", floor, curve=f"echo ({view})", x=int(length))
