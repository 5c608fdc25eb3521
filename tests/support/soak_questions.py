"""Questions of the soak about the constant part of the graph, and their right answers."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeVar

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from tests.support.raw_calls import Request
from tests.support.soak_graph import HUB, LARGE_BYTES, STILL, StillModel

Answer = TypeVar("Answer", bound=Message)

GRAPH, DEPENDENCIES = "/depgraph.v1.GraphService/", "/depgraph.v1.DependencyService/"
TRAVERSE, STREAM_TRAVERSE, WATCH = GRAPH + "Traverse", GRAPH + "StreamTraverse", GRAPH + "Watch"
_OF_ONE_BYTE = 0x80


class Question:
    """
    A read of the constant part.

    An answer is checked in full once; later ones must be the same but for freshness.
    """

    def __init__(
        self,
        method: str,
        message: Message,
        answer: type[Answer],
        is_right: Callable[[Answer], bool],
    ) -> None:
        self.method = method
        self.message = message.SerializeToString()
        self.request = Request(method, self.message)
        self._answer = answer
        self._is_right: Callable[[Any], bool] = is_right
        field = answer.DESCRIPTOR.fields_by_name.get("freshness")
        self._freshness_tag = None if field is None else field.number << 3 | 2
        self._known: bytes | None = None

    def with_timeout(self, timeout: str) -> Request:
        """Return the same call with a deadline."""
        return Request(self.method, self.message, timeout)

    def accepts(self, answer: bytes) -> bool:
        """Whether an answer is right."""
        if self._known is not None and answer.startswith(self._known) and self._is_freshness(answer):
            return True
        message: Any = self._answer.FromString(answer)
        if not self._is_right(message):
            return False
        end = b""
        if self._freshness_tag is not None:
            if not message.freshness.revision:
                return False
            end = self._answer(freshness=message.freshness).SerializeToString()
        if answer.endswith(end):
            self._known = answer.removesuffix(end)
        return True

    def _is_freshness(self, answer: bytes) -> bool:
        """Whether what follows the known beginning is one field, and the last."""
        assert self._known is not None
        end = answer[len(self._known) :]
        if self._freshness_tag is None:
            return not end
        if len(end) < 3 or end[0] != self._freshness_tag:
            return False
        if end[1] < _OF_ONE_BYTE:
            return len(end) == 2 + end[1]
        return len(end) == 3 + (end[1] - _OF_ONE_BYTE) + (end[2] << 7)


def questions(model: StillModel, dice: Random) -> list[Question]:
    """Make some hundreds of questions of all kinds, most of them traversals."""
    names = list(model.graph)
    asked = [_traversal(model, dice.choice(names), dice.randint(1, 4), dice) for _ in range(300)]
    asked += [_component(model, dice.choice(names)) for _ in range(60)]
    asked += [_batch(model, dice) for _ in range(10)]
    asked += [_dependency(model, dice) for _ in range(5)]
    asked += [_components(model), _health()]
    dice.shuffle(asked)
    return asked


def _traversal(model: StillModel, start: str, hops: int, dice: Random) -> Question:
    request, is_right = traversal(
        model, start, hops, downstream=dice.random() < 0.5, full=dice.random() < 0.5
    )
    return Question(TRAVERSE, request, graph.TraverseResponse, is_right)


def traversal(
    model: StillModel, start: str, hops: int, *, downstream: bool, full: bool
) -> tuple[graph.TraverseRequest, Callable[[graph.TraverseResponse], bool]]:
    """Make the request of a walk, and the check of its answer."""
    depths = model.depths(start, hops, downstream=downstream)
    crossed = model.crossed(depths, hops, downstream=downstream)
    del depths[start]

    def is_right(answer: graph.TraverseResponse) -> bool:
        found = dict(zip(answer.service_ids, answer.depths, strict=True))
        if found != depths or len(answer.service_ids) != len(depths) or answer.truncated:
            return False
        teams = {service.service_id: service.team for service in answer.services}
        edges = [(edge.source_service_id, edge.target_service_id) for edge in answer.dependencies]
        if not full:
            return not teams and not edges
        return teams == {name: f"team of {name}" for name in depths} and sorted(edges) == sorted(crossed)

    request = graph.TraverseRequest(
        service_id=start,
        direction=graph.DIRECTION_DOWNSTREAM if downstream else graph.DIRECTION_UPSTREAM,
        max_depth=hops,
        view=graph.TRAVERSAL_VIEW_FULL if full else graph.TRAVERSAL_VIEW_IDS,
    )
    return request, is_right


def _component(model: StillModel, name: str) -> Question:
    members = model.component_of(name)
    return Question(
        GRAPH + "GetComponent",
        graph.GetComponentRequest(service_id=name),
        graph.GetComponentResponse,
        lambda answer: list(answer.component.members) == members and answer.component.size == len(members),
    )


def _components(model: StillModel) -> Question:
    def is_right(answer: graph.ListComponentsResponse) -> bool:
        return [list(component.members) for component in answer.components] == model.components

    return Question(
        GRAPH + "ListComponents", graph.ListComponentsRequest(), graph.ListComponentsResponse, is_right
    )


def _batch(model: StillModel, dice: Random) -> Question:
    parts = [
        traversal(model, dice.choice(list(model.graph)), 2, downstream=True, full=False)
        for _ in range(dice.randint(2, 6))
    ]

    def is_right(answer: graph.BatchTraverseResponse) -> bool:
        return len(answer.responses) == len(parts) and all(
            check(result.traversal) for result, (_, check) in zip(answer.responses, parts, strict=True)
        )

    request = graph.BatchTraverseRequest(requests=[request for request, _ in parts])
    return Question(GRAPH + "BatchTraverse", request, graph.BatchTraverseResponse, is_right)


def _dependency(model: StillModel, dice: Random) -> Question:
    key, ends = dice.choice(list(model.keys.items()))

    def is_right(answer: dependencies.GetDependencyResponse) -> bool:
        found = answer.dependency
        return (found.id, found.source_service_id, found.target_service_id) == (str(key), *ends)

    return Question(
        DEPENDENCIES + "GetDependency",
        dependencies.GetDependencyRequest(id=str(key)),
        dependencies.GetDependencyResponse,
        is_right,
    )


def _health() -> Question:
    return Question(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest(),
        health_pb2.HealthCheckResponse,
        lambda answer: answer.status == health_pb2.HealthCheckResponse.SERVING,
    )


def large_stream(timeout: str = "") -> Request:
    """Ask for what takes more than one message and more than a client's window."""
    request = graph.StreamTraverseRequest(service_id=HUB, direction=graph.DIRECTION_DOWNSTREAM, max_depth=1)
    return Request(STREAM_TRAVERSE, request.SerializeToString(), timeout)


def is_large_stream(model: StillModel, parts: list[bytes]) -> bool:
    """Whether these messages are the whole answer."""
    whole = graph.StreamTraverseResponse()
    for part in parts:
        whole.MergeFromString(part)
    notes = {service.service_id: len(str(service.metadata["note"])) for service in whole.services}
    return (
        len(parts) > 1
        and sorted(whole.service_ids) == sorted(model.large)
        and notes == dict.fromkeys(model.large, LARGE_BYTES)
        and len(whole.dependencies) == len(model.large)
    )


def is_adjacency(model: StillModel, messages: list[bytes]) -> bool:
    """Whether these messages are an adjacency list in which the still part stands as it is."""
    found = {}
    for message in map(graph.GetAdjacencyListResponse.FromString, messages):
        if message.service_id.startswith(STILL):
            found[message.service_id] = list(message.target_service_ids)
    return found == {name: sorted(model.graph[name]) for name in model.graph}


def refusals(dice: Random) -> Iterator[tuple[Request, int, str]]:
    """Make calls that must fail, each with the code and with words that the message must hold."""
    for _ in range(3):
        name = f"ghost-{dice.randrange(10_000)}"
        unknown = graph.TraverseRequest(service_id=name, direction=graph.DIRECTION_DOWNSTREAM)
        yield Request(TRAVERSE, unknown.SerializeToString()), 5, f"no service named '{name}'"
        absent = graph.GetComponentRequest(service_id=name)
        yield Request(GRAPH + "GetComponent", absent.SerializeToString()), 5, f"no service named '{name}'"
        stream = graph.StreamTraverseRequest(service_id=name, direction=graph.DIRECTION_UPSTREAM)
        yield Request(STREAM_TRAVERSE, stream.SerializeToString()), 5, f"no service named '{name}'"
    for length in (300, 1_000, 3_000):
        long = graph.TraverseRequest(service_id="x" * length, direction=graph.DIRECTION_UPSTREAM)
        yield Request(TRAVERSE, long.SerializeToString()), 3, f"service_id: has {length:,} characters"
        larger = graph.TraverseRequest(service_id="x" * (length + 5_000))
        yield (
            Request(TRAVERSE, larger.SerializeToString()),
            8,
            f"the request takes {larger.ByteSize():,} bytes",
        )
    undirected = graph.TraverseRequest(service_id=f"{STILL}0")
    yield Request(TRAVERSE, undirected.SerializeToString()), 3, "direction: is required"
    yield Request(TRAVERSE, b"\xff\xff\xff"), 3, "the request is no message of the type"
    yield Request(WATCH, b"\x0a\x03abc"), 3, "the revision is not one that this service gave"
    yield Request(GRAPH + "Nonesuch", b""), 12, "Method not found!"
    gone = dependencies.GetDependencyRequest(id="00000000-0000-0000-0000-00000000ffff")
    yield Request(DEPENDENCIES + "GetDependency", gone.SerializeToString()), 5, ""
