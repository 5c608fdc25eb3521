"""
``Traverse`` on each transport, compared with an empty answer of ``grpc.aio``.

Measures calls a second of one worker, its processor time for a call, and one call at a time.

All servers run at once and loads take turns, each round with another question. The client is
``h2load`` where it is installed. Elsewhere clients in Python take more of the machine than the
server does: bars of calls a second and of single calls mean nothing then.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from statistics import median

import grpc

from bench.calls import ECHO, HOPS, TRAVERSE, question, raw
from bench.graphs import Edges, debian, seed5k
from bench.load_clients import (
    ClientsFailedError,
    CoreClients,
    H2load,
    Shape,
    core_clients,
    has_h2load,
)
from bench.measuring import Figure, turns
from bench.stage import NATIVE, ServerProcess, Stage, echoing
from depgraph.v1 import graph_service_pb2 as pb

MANY, ONE = Shape(8, 8), Shape(1, 1)
# Two processes that do the same may differ for as long as they run: new ones come every few rounds.
PROCESSES, ROUNDS = 6, 8
MANY_SECONDS, ONE_SECONDS = 0.7, 0.3
WARM_UP = 40 * MANY.at_once
# Long answers, so that those of errors, which are empty, would be missed.
LEAST_REACHED = 10
# How far the mean length of answers may be from the expected one: freshness varies in length.
LEEWAY_BYTES = 4
EMPTY = "an empty answer of grpc.aio"


def measure(stage: Stage) -> Iterator[Figure]:
    edges = debian(stage.given) or seed5k()
    asked = _questions(edges)
    taken: dict[str, list[_Turn]] = {}
    for _ in range(PROCESSES):
        with _targets(stage, edges) as targets:
            for target in targets:
                target.warm_up(asked[0])
            of_round = asked[:ROUNDS]
            asked = asked[ROUNDS:]
            for number, which in turns(len(targets), ROUNDS, warm_up=0):
                taken.setdefault(targets[which].name, []).append(targets[which].turn(of_round[number]))
    empty = taken.pop(EMPTY)
    client = f"{'h2load' if has_h2load() else 'clients in Python'} {MANY.connections} x {MANY.each}"
    for transport, ours in taken.items():
        what = f"{edges.name}, {HOPS} hops, IDS, {transport}, {client}"
        yield from _by_empty(what, ours, empty, has_bars=transport == NATIVE)
        yield from _absolute("Traverse", ours)
    yield from _absolute(EMPTY, empty)


@dataclass(frozen=True)
class _Question:
    request: bytes
    reached: frozenset[str]


NOTHING = _Question(b"", frozenset())


def _questions(edges: Edges) -> list[_Question]:
    """One for each round; what they reach is found anew, in plain Python."""
    targets: dict[int, list[int]] = {}
    for source, target in edges.pairs:
        targets.setdefault(source, []).append(target)
    asked = []
    for start in edges.starts():
        reached = {start}
        for _ in range(HOPS):
            reached |= {target for source in reached for target in targets.get(source, ())}
        if len(reached) > LEAST_REACHED:
            names = frozenset(f"s{number}" for number in reached - {start})
            asked.append(_Question(question(f"s{start}", "IDS").SerializeToString(), names))
    return asked[: PROCESSES * ROUNDS]


def _clients(address: str, method: str, shape: Shape) -> AbstractContextManager[H2load | CoreClients]:
    if has_h2load():
        return nullcontext(H2load(address, method, shape))
    return core_clients(address, method, shape)


@dataclass(frozen=True)
class _Turn:
    """Seconds a call: of many at a time, of the server's processors meanwhile, of one at a time."""

    of_many: float
    cpu: float
    of_one: float
    calls: int


@dataclass
class _Target:
    """A server, its clients, its right answer to a question, and the calls of a turn."""

    name: str
    server: ServerProcess
    method: str
    many: H2load | CoreClients
    one: H2load | CoreClients
    calls_of_many: int = WARM_UP
    calls_of_one: int = WARM_UP

    def warm_up(self, asked: _Question) -> None:
        """Let every part of it have run, and find out how many calls a turn takes."""
        self.turn(asked)
        turn = self.turn(asked)
        rounds = MANY_SECONDS / turn.of_many / MANY.at_once
        self.calls_of_many = MANY.at_once * max(1, round(rounds))
        self.calls_of_one = max(1, round(ONE_SECONDS / turn.of_one))

    def turn(self, asked: _Question) -> _Turn:
        if self.method == ECHO:
            asked = NOTHING
        length = self._right_length(asked)
        before = self.server.cpu_seconds()
        many = self.many.ask(asked.request, self.calls_of_many)
        cpu = self.server.cpu_seconds() - before
        one = self.one.ask(asked.request, self.calls_of_one)
        for answered, calls in ((many, self.calls_of_many), (one, self.calls_of_one)):
            self._check(answered.answer_bytes / calls, length)
        calls = self.calls_of_many
        return _Turn(many.seconds / calls, cpu / calls, one.seconds / self.calls_of_one, calls)

    def _right_length(self, asked: _Question) -> int:
        with grpc.insecure_channel(self.server.address) as channel:
            answer = raw(channel, self.method)(asked.request)
        found = pb.TraverseResponse.FromString(answer).service_ids
        if len(found) != len(asked.reached) or not asked.reached.issuperset(found):
            raise ClientsFailedError(f"{self.name}: a wrong answer of {len(answer)} bytes")
        return len(answer)

    def _check(self, mean: float, right: int) -> None:
        if abs(mean - right) > min(right, LEEWAY_BYTES):
            raise ClientsFailedError(f"{self.name}: {mean:.1f} bytes an answer, {right} are right")


@contextmanager
def _targets(stage: Stage, edges: Edges) -> Iterator[list[_Target]]:
    with ExitStack() as stack:
        echo = stack.enter_context(echoing())
        servers, _ = stack.enter_context(stage.servers(edges))
        targets = []
        for name, server in {EMPTY: echo, **servers}.items():
            method = ECHO if server is echo else TRAVERSE
            many, one = (
                stack.enter_context(_clients(server.address, method, shape)) for shape in (MANY, ONE)
            )
            targets.append(_Target(name, server, method, many, one))
        yield targets


def _by_empty(what: str, ours: list[_Turn], empty: list[_Turn], *, has_bars: bool) -> Iterator[Figure]:
    pairs = list(zip(ours, empty, strict=True))
    calls = sum(turn.calls for turn in ours)
    of_clients = has_bars and has_h2load()
    least, most, longest = (
        4.5 if of_clients else None,
        0.22 if has_bars else None,
        0.7 if of_clients else None,
    )
    rate = median(its.of_many / our.of_many for our, its in pairs)
    cpu = median(our.cpu / its.cpu for our, its in pairs)
    alone = median(our.of_one / its.of_one for our, its in pairs)
    yield Figure(f"{what}: calls a second by {EMPTY}", rate, "x", at_least=least, calls=calls)
    yield Figure(f"{what}: server CPU a call by {EMPTY}", cpu, "x", at_most=most, calls=calls)
    yield Figure(f"{what}: one call at a time by {EMPTY}", alone, "x", at_most=longest)


def _absolute(what: str, taken: list[_Turn]) -> Iterator[Figure]:
    rate = 1 / median(turn.of_many for turn in taken)
    yield Figure(f"  {what}: calls a second", rate, "calls/s", calls=sum(turn.calls for turn in taken))
    yield Figure(f"  {what}: server CPU a call", median(turn.cpu for turn in taken) * 1e6, "µs")
    yield Figure(f"  {what}: one call at a time", median(turn.of_one for turn in taken) * 1e6, "µs")
