"""A whole call by one that answers with as many bytes without any work, on the same transport."""

from collections.abc import Iterator

import grpc

from bench.calls import ECHO, HOPS, TRAVERSE, VIEWS, RawCall, questions, raw
from bench.figures import Figure, ratio, typical
from bench.graphs import seed5k
from bench.server_process import ECHO_OPTIONS, GRPCIO, NATIVE, echoing, transports
from bench.stage import Stage
from bench.turns import take_turns

PART = "rtt"
BARS = {GRPCIO: {"FULL": 1.3, "IDS": 1.3}, NATIVE: {"FULL": 1.8, "IDS": 1.4}}
# Two processes that do the same may differ for as long as they run: each round has new ones.
ROUNDS, PAIRS_A_ROUND = 4, 300


def measure(stage: Stage) -> Iterator[Figure]:
    for transport in transports():
        taken: dict[str, tuple[list[float], list[float]]] = {view: ([], []) for view in VIEWS}
        for _ in range(ROUNDS):
            for view, of_round in _round(stage, transport).items():
                for before, more in zip(taken[view], of_round, strict=True):
                    before.extend(more)
        for view, (call, echo) in taken.items():
            what = f"{transport}, seed5k, {HOPS} hops, {view}"
            bar = BARS[transport][view]
            yield ratio(PART, f"{what}: Traverse / echo of as many bytes", call, echo, at_most=bar)
            yield typical(PART, "  Traverse", call)
            yield typical(PART, "  echo", echo)


def _round(stage: Stage, transport: str) -> dict[str, list[list[float]]]:
    with (
        stage.server(seed5k(), transport=transport) as (server, _),
        echoing(*ECHO_OPTIONS[transport]) as echo,
        grpc.insecure_channel(server.address) as ours,
        grpc.insecure_channel(echo.address) as theirs,
    ):
        return {view: _in_turn(raw(ours, TRAVERSE), raw(theirs, ECHO), view) for view in VIEWS}


def _in_turn(traverse: RawCall, echo: RawCall, view: str) -> list[list[float]]:
    asked = questions(seed5k(), view)
    lengths = [str(len(traverse(request))).encode() for request in asked]
    return take_turns(
        lambda number: traverse(asked[number % len(asked)]),
        lambda number: echo(lengths[number % len(lengths)]),
        pairs=PAIRS_A_ROUND,
    )
