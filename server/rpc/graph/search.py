"""SearchServices: the services whose names or aliases hold a text, or resemble it."""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import DependencyGraph
from graphcore.analysis.arrangement import foremost
from graphcore.analysis.counted_calls import callee_counts, caller_counts
from graphcore.analysis.name_search import NameMatch, NameSearch, differences, most_differences
from server import wire
from server.concurrency import CooperativeYield
from server.domain.live_graph import Consistency, Freshness
from server.domain.records import KIND_BITS
from server.domain.services import NAME_MAX_LENGTH, ServiceKind
from server.rpc.answers import freshness_message, joined_within, tag, too_large
from server.rpc.graph.labels import labels_of
from server.rpc.questions import consistency, names_of
from server.rpc.validate import Check
from server.wire.columns import SERVICE_KIND
from server.wire.fields import field

_DEFAULT_MATCHES, _MAX_MATCHES = 20, 100
# Looked through in a few tenths of a millisecond.
_NAMES_A_BATCH = 1_024
# While a thread folds so many, no other runs for a millisecond.
_NAMES_A_THREAD = 8_192

_KINDS = {kind.value: pb.MatchKind.Value(f"MATCH_KIND_{kind.name}") for kind in NameMatch}
_MATCH = tag(pb.SearchServicesResponse, "matches")
_SERVICE = pb.SearchMatch.SERVICE_FIELD_NUMBER
_FRESHNESS = tag(pb.SearchServicesResponse, "freshness")


class SearchQuestion(NamedTuple):
    """What to look for; no query, team or kind = any."""

    query: str
    team: str
    kind: ServiceKind | None
    max_matches: int
    consistency: Consistency


def search_question(request: pb.SearchServicesRequest) -> SearchQuestion:
    """Read a request; raises ``InvalidInputError``."""
    check = Check()
    matches = check.number("max_matches", request.max_matches, 0, _MAX_MATCHES, f"0 = {_DEFAULT_MATCHES}")
    question = SearchQuestion(
        check.text("query", request.query, NAME_MAX_LENGTH).strip() if request.query else "",
        check.text("team", request.team) if request.team else "",
        check.optional_word("kind", request.kind, SERVICE_KIND),
        matches or _DEFAULT_MATCHES,
        consistency(check, request.consistency),
    )
    check.done()
    return question


class _Found(NamedTuple):
    """
    Names that match: their positions, how they do, and by how much they differ from the text.

    ``kind`` is a ``NameMatch``, ``difference`` is 0 but for names that resemble the text.
    """

    position: NDArray[np.int64]
    kind: NDArray[np.int8]
    difference: NDArray[np.int8]

    def where(self, chosen: "NDArray[np.bool_] | NDArray[np.int64]") -> "_Found":
        """Return some of them, by mask or position."""
        return _Found(self.position[chosen], self.kind[chosen], self.difference[chosen])


class _Names:
    """All names of services, then their aliases, and the node of each."""

    def __init__(self, graph: DependencyGraph) -> None:
        by_name = graph.nodes_by_name()
        names = list(by_name)
        self.own_count = len(names)
        nodes_of_aliases = []
        for alias in sorted(graph.aliases(), key=lambda alias: alias.name):
            service = graph.find_service(alias.service)
            if service is not None and alias.name not in by_name:
                names.append(alias.name)
                nodes_of_aliases.append(by_name[service.name])
        self.texts = names
        own = np.fromiter(by_name.values(), np.int32, len(by_name))
        self.nodes = np.append(own, np.array(nodes_of_aliases, np.int32))

    def best(self, found: _Found) -> _Found:
        """Keep the best match of each service, of equal ones that of its name, then of an alias."""
        if not len(found.position) or found.position[-1] < self.own_count:
            return found  # There are no aliases among them.
        nodes = self.nodes[found.position]
        order = np.lexsort((found.position, found.difference, found.kind, nodes))
        is_first = np.diff(nodes[order], prepend=-1) != 0
        return found.where(order[is_first])


async def search_answer(
    graph: DependencyGraph, question: SearchQuestion, freshness: Freshness, limit: int
) -> bytes:
    """
    Answer with the bytes of a ``SearchServicesResponse``; the graph must not change meanwhile.

    Raises ``ResponseTooLargeError``. O(characters of all names); other calls run meanwhile.
    """
    names = await asyncio.to_thread(_Names, graph)
    found = await _holding(graph, names, question)
    if not len(found.position) and (most := most_differences(question.query)):
        found = names.best(await _wanted(graph, names, question, await _similar(names, question.query, most)))
    count = len(found.position)
    is_front = found.kind <= NameMatch.PREFIX
    if np.count_nonzero(is_front) >= question.max_matches:
        found = found.where(is_front)
    nodes = names.nodes[found.position]
    labels = await labels_of(graph.service_payloads[nodes])
    callers = await asyncio.to_thread(caller_counts, graph, nodes)
    keys = (found.kind, found.difference, labels.criticality, -callers)
    chosen = await asyncio.to_thread(
        foremost, keys, question.max_matches, lambda places: names_of(graph, nodes[places])
    )
    rest = pb.SearchServicesResponse(match_count=count).SerializeToString()
    matches = _matches(graph, names, found.where(np.array(chosen, np.int64)), callers[chosen])
    answer = joined_within([*matches, rest, field(_FRESHNESS, freshness_message(freshness))], limit)
    if answer is None:
        raise too_large(f"{len(chosen):,} services", limit, "set max_matches to less")
    return answer


def _matches(
    graph: DependencyGraph, names: _Names, found: _Found, callers: NDArray[np.int32]
) -> Iterator[bytes]:
    nodes = names.nodes[found.position]
    callees = callee_counts(graph, nodes).tolist()
    rows = zip(nodes.tolist(), found.position.tolist(), found.kind.tolist(), callers.tolist(), strict=True)
    for (node, position, kind, caller_count), callee_count in zip(rows, callees, strict=True):
        message = pb.SearchMatch(
            match_kind=_KINDS[kind],
            alias=names.texts[position] if position >= names.own_count else "",
            caller_count=caller_count,
            callee_count=callee_count,
        )
        record = wire.retagged(graph.service_payloads[node], _SERVICE)
        yield field(_MATCH, record + message.SerializeToString())


async def _wanted(graph: DependencyGraph, names: _Names, question: SearchQuestion, found: _Found) -> _Found:
    """Leave out services of other kinds and teams."""
    if question.kind is not None:
        is_of_kind = np.zeros(len(graph.index.nodes), np.bool_)
        is_of_kind[graph.nodes_of_kinds(KIND_BITS[question.kind])] = True
        found = found.where(is_of_kind[names.nodes[found.position]])
    if question.team:
        labels = await labels_of(graph.service_payloads[names.nodes[found.position]])
        is_of_team = np.array([label == question.team for label in labels.labels])
        found = found.where(is_of_team[labels.label])
    return found


async def _holding(graph: DependencyGraph, names: _Names, question: SearchQuestion) -> _Found:
    """
    Find the services with names that hold the text.

    Looks for words only where there are not enough better matches to answer with.
    """
    search = NameSearch(question.query)
    batches = [np.empty((0, 2), np.int64)]
    yielding = CooperativeYield()
    for start in range(0, len(names.texts), _NAMES_A_BATCH):
        batch = search.holding(names.texts[start : start + _NAMES_A_BATCH])
        batches.append(np.array(batch, np.int64).reshape(-1, 2) + np.array((start, 0)))
        await yielding.checkpoint()
    position, kind = np.concatenate(batches).T
    found = _Found(position, kind.astype(np.int8), np.zeros(len(position), np.int8))
    found = await _wanted(graph, names, question, found)
    best = await asyncio.to_thread(names.best, found)
    if np.count_nonzero(best.kind <= NameMatch.PREFIX) < question.max_matches:
        for place in np.flatnonzero(found.kind == NameMatch.SUBSTRING).tolist():
            if search.is_word(names.texts[int(found.position[place])]):
                found.kind[place] = NameMatch.WORD
            await yielding.checkpoint()
        best = await asyncio.to_thread(names.best, found)
    return best


async def _similar(names: _Names, query: str, most: int) -> _Found:
    """Find the names that resemble a text."""
    differing = [
        await asyncio.to_thread(differences, names.texts[start : start + _NAMES_A_THREAD], query, most)
        for start in range(0, len(names.texts), _NAMES_A_THREAD)
    ]
    difference = np.concatenate([np.empty(0, np.int32), *differing])
    near = np.flatnonzero(difference <= most)
    kind = np.full(len(near), NameMatch.SIMILAR, np.int8)
    return _Found(near, kind, difference[near].astype(np.int8))
