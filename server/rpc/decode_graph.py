"""Questions about the graph as callers put them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from depgraph.v1 import graph_service_pb2, types_pb2
from graphcore import Direction, EdgeFilter, EdgeFlag
from server.domain.consistency import AtLeastAsFresh, Consistency, FullyConsistent, MinimizeLatency
from server.domain.errors import InvalidRevisionError
from server.domain.revision import Revision
from server.domain.services import NAME_MAX_LENGTH
from server.rpc import enums
from server.rpc.enums import EnumWords
from server.rpc.paging import PageTokens
from server.rpc.validate import Check

DEFAULT_DEPTH = 3
MAX_DEPTH = 10
MAX_MEMBERS = 100_000
_MOST_FLAGS = 100

_DIRECTIONS = {number: Direction(word) for number, word in enums.DIRECTION.word.items()}
_IS_FULL = {number: word != "ids" for number, word in enums.TRAVERSAL_VIEW.word.items()} | {0: True}
_UNFILTERED = EdgeFilter()
_STALE_TOO = EdgeFilter.of(include_stale=True)
FROM_MEMORY = MinimizeLatency()
"""The consistency of nearly every question, always this very object."""


class TraverseQuestion(NamedTuple):
    """One traversal as asked for; ``full`` = services and dependencies too, ``max_services`` 0 = no limit, ``effective`` = over pairs of services."""

    service_id: str
    direction: Direction
    max_depth: int
    edge_filter: EdgeFilter
    full: bool
    max_services: int
    consistency: Consistency
    effective: bool


def traverse_question(
    request: graph_service_pb2.TraverseRequest | graph_service_pb2.StreamTraverseRequest,
) -> TraverseQuestion:
    """Read either request; raises ``InvalidInputError`` with everything that is wrong with it."""
    name, max_services = request.service_id, request.max_services
    depth = request.max_depth or DEFAULT_DEPTH
    direction, full = _DIRECTIONS.get(request.direction), _IS_FULL.get(request.view)
    # Most requests are this plain, and looking at them costs a tenth of checking them.
    if (
        direction is None
        or full is None
        or not _is_name(name)
        or not 0 < depth <= MAX_DEPTH
        or max_services < 0
        or request.HasField("filter")
        or request.HasField("consistency")
    ):
        return _checked_question(request)
    passing = _STALE_TOO if request.include_stale else _UNFILTERED
    effective = request.effective
    return TraverseQuestion(name, direction, depth, passing, full, max_services, FROM_MEMORY, effective)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_MAX_LENGTH and "\0" not in text


def _checked_question(
    request: graph_service_pb2.TraverseRequest | graph_service_pb2.StreamTraverseRequest,
) -> TraverseQuestion:
    check = Check()
    service_id = check.text("service_id", request.service_id)
    direction = check.word("direction", request.direction, enums.DIRECTION, Direction.DOWNSTREAM.value)
    depth = check.number("max_depth", request.max_depth, 0, MAX_DEPTH, f"0 = {DEFAULT_DEPTH}")
    view = check.optional_word("view", request.view, enums.TRAVERSAL_VIEW)
    max_services = check.at_least("max_services", request.max_services, 0)
    passing = edge_filter(check, request.filter, include_stale=request.include_stale)
    freshness = consistency(check, request.consistency)
    check.done()
    return TraverseQuestion(
        service_id=service_id,
        direction=Direction(direction),
        max_depth=depth or DEFAULT_DEPTH,
        edge_filter=passing,
        full=view != "ids",
        max_services=max_services,
        consistency=freshness,
        effective=request.effective,
    )


def consistency(check: Check, wanted: types_pb2.Consistency) -> Consistency:
    """Read how fresh an answer must be; unset = from memory now."""
    match wanted.WhichOneof("requirement"):
        case None:
            return FROM_MEMORY
        case "at_least_as_fresh":
            return _at_least_as_fresh(check, wanted.at_least_as_fresh)
        case "minimize_latency":
            _require_true(check, "minimize_latency", given=wanted.minimize_latency)
            return FROM_MEMORY
        case "fully_consistent":
            _require_true(check, "fully_consistent", given=wanted.fully_consistent)
            return FullyConsistent()


class ComponentQuestion(NamedTuple):
    """Whose component is asked for: at most ``page_size`` members (0 = all) that come after ``after`` by name."""

    service_id: str
    consistency: Consistency
    page_size: int = 0
    after: str = ""

    @property
    def tokens(self) -> PageTokens:
        """What writes the tokens of its pages."""
        return PageTokens("members", self.service_id)


def component_question(request: graph_service_pb2.GetComponentRequest) -> ComponentQuestion:
    """Read whose component is asked for; raises ``InvalidInputError`` with everything that is wrong with it."""
    name = request.service_id
    if not (request.HasField("consistency") or request.page_size or request.page_token) and _is_name(name):
        return ComponentQuestion(name, FROM_MEMORY)
    check = Check()
    check.text("service_id", name)
    size = check.number("page_size", request.page_size, 0, MAX_MEMBERS, "0 = all")
    after = PageTokens("members", name).name(check, request.page_token)
    wanted = consistency(check, request.consistency)
    check.done()
    return ComponentQuestion(name, wanted, size, after)


def watched_since(request: graph_service_pb2.WatchRequest) -> Revision | None:
    """Read where a watch begins; None = now."""
    if not request.revision:
        return None
    try:
        return Revision.parse(request.revision)
    except InvalidRevisionError as error:
        check = Check()
        check.add("revision", error.message, InvalidRevisionError)
        check.done()
        raise


def _at_least_as_fresh(check: Check, token: str) -> Consistency:
    try:
        return AtLeastAsFresh(Revision.parse(token))
    except InvalidRevisionError as error:
        check.add("consistency.at_least_as_fresh", error.message, InvalidRevisionError)
        return FROM_MEMORY


def _require_true(check: Check, requirement: str, *, given: bool) -> None:
    if not given:
        check.add(f"consistency.{requirement}", "is false; set it to true, or leave consistency unset")


def edge_filter(check: Check, wanted: graph_service_pb2.EdgeFilter, *, include_stale: bool) -> EdgeFilter:
    """Read which dependencies count; unset = all but stale ones."""
    modes = _flags(check, "communication_modes", wanted.communication_modes, enums.COMMUNICATION_MODE)
    criticalities = _flags(check, "criticalities", wanted.criticalities, enums.DEPENDENCY_CRITICALITY)
    sources = _flags(check, "discovery_sources", wanted.discovery_sources, enums.DISCOVERY_SOURCE)
    return EdgeFilter.of(
        communication_modes=modes,
        criticalities=criticalities,
        discovery_sources=sources,
        min_confidence=check.share("filter.min_confidence", wanted.min_confidence),
        include_stale=include_stale,
    )


def _flags(check: Check, field: str, numbers: Sequence[int], enum: EnumWords[Any, Any]) -> list[EdgeFlag]:
    check.at_most(f"filter.{field}", numbers, _MOST_FLAGS, "make a filter")
    paths = [f"filter.{field}[{position}]" for position in range(len(numbers))]
    stand_in = next(iter(enum.number))
    return [
        EdgeFlag[check.word(path, number, enum, stand_in).upper()]
        for path, number in zip(paths, numbers, strict=True)
    ]
