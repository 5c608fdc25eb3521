"""SearchServices: the services whose names or aliases hold a text, or resemble it."""

import asyncio
from collections.abc import Sequence
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
from server.rpc.questions import consistency
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
    Services that match, a row each.

    ``kind`` is a ``NameMatch``, ``difference`` how much the text differs from a name that resembles
    it, ``alias`` the alias that matches, "" = the name does.
    """

    node: NDArray[np.int32]
    kind: NDArray[np.int8]
    difference: NDArray[np.int8]
    alias: list[str]

    def where(self, chosen: NDArray[np.bool_]) -> "_Found":
        aliases = [self.alias[place] for place in np.flatnonzero(chosen).tolist()]
        return _Found(self.node[chosen], self.kind[chosen], self.difference[chosen], aliases)


class _Names:
    """All names and aliases of services, and the node of each; aliases come last."""

    def __init__(self, graph: DependencyGraph) -> None:
        nodes = graph.nodes_by_name()
        self.own_count = len(nodes)
        self.names, self.nodes = list(nodes), list(nodes.values())
        for alias in graph.aliases():
            if alias.name not in nodes and (service := graph.find_service(alias.service)):
                self.names.append(alias.name)
                self.nodes.append(nodes[service.name])

    def best(self, matches: Sequence[tuple[int, NameMatch, int]]) -> _Found:
        """Keep the best match of each service, of equal ones that of its name, then by alias."""
        best: dict[int, tuple[NameMatch, int, str]] = {}
        for position, kind, difference in matches:
            alias = self.names[position] if position >= self.own_count else ""
            match = (kind, difference, alias)
            node = self.nodes[position]
            best[node] = min(best.get(node, match), match)
        kinds, differing, aliases = zip(*best.values(), strict=True) if best else ((), (), ())
        return _Found(
            np.array(list(best), np.int32),
            np.array(kinds, np.int8),
            np.array(differing, np.int8),
            list(aliases),
        )


async def search_answer(
    graph: DependencyGraph, question: SearchQuestion, freshness: Freshness, limit: int
) -> bytes:
    """
    Answer with the bytes of a ``SearchServicesResponse``; the graph must not change meanwhile.

    Raises ``ResponseTooLargeError``. O(characters of all names); other calls run meanwhile.
    """
    names = _Names(graph)
    found, criticality = await _wanted(graph, question, names.best(await _holding(names, question.query)))
    if not len(found.node) and (most := most_differences(question.query)):
        similar = names.best(await _similar(names, question.query, most))
        found, criticality = await _wanted(graph, question, similar)
    callers = await asyncio.to_thread(caller_counts, graph, found.node)
    digraph = graph.digraph

    def name_of(place: int) -> str:
        return digraph[int(found.node[place])].name

    keys = (found.kind, found.difference, criticality, -callers)
    chosen = foremost(keys, question.max_matches, name_of)
    chosen.sort(key=lambda place: (*(key[place] for key in keys), name_of(place)))
    callees = callee_counts(graph, found.node[chosen]).tolist()
    records = [
        field(
            _MATCH,
            wire.retagged(graph.service_payloads[found.node[place]], _SERVICE)
            + pb.SearchMatch(
                match_kind=_KINDS[int(found.kind[place])],
                alias=found.alias[place],
                caller_count=int(callers[place]),
                callee_count=callee_count,
            ).SerializeToString(),
        )
        for place, callee_count in zip(chosen, callees, strict=True)
    ]
    rest = pb.SearchServicesResponse(match_count=len(found.node)).SerializeToString()
    answer = joined_within([*records, rest, field(_FRESHNESS, freshness_message(freshness))], limit)
    if answer is None:
        raise too_large(f"{len(chosen):,} services", limit, "set max_matches to less")
    return answer


async def _wanted(
    graph: DependencyGraph, question: SearchQuestion, found: _Found
) -> tuple[_Found, NDArray[np.int8]]:
    """Leave out services of other kinds and teams; returns the criticalities of the others, too."""
    if question.kind is not None:
        found = found.where(np.isin(found.node, graph.nodes_of_kinds(KIND_BITS[question.kind])))
    labels = await labels_of(graph.service_payloads[found.node])
    if not question.team:
        return found, labels.criticality
    is_of_team = np.array([label == question.team for label in labels.labels])[labels.label]
    return found.where(is_of_team), labels.criticality[is_of_team]


async def _holding(names: _Names, query: str) -> list[tuple[int, NameMatch, int]]:
    """Find the names that hold a text: their positions, and how; they differ by 0."""
    search = NameSearch(query)
    found = []
    yielding = CooperativeYield()
    for start in range(0, len(names.names), _NAMES_A_BATCH):
        for position, match in search.matches(names.names[start : start + _NAMES_A_BATCH]):
            found.append((start + position, match, 0))
        await yielding.checkpoint()
    return found


async def _similar(names: _Names, query: str, most: int) -> list[tuple[int, NameMatch, int]]:
    """Find the names that resemble a text: their positions, and by how much it differs."""
    found: list[tuple[int, NameMatch, int]] = []
    # No piece of a shorter one is near enough.
    long_enough = [place for place, name in enumerate(names.names) if len(name) >= len(query) - most]
    for start in range(0, len(long_enough), _NAMES_A_THREAD):
        places = long_enough[start : start + _NAMES_A_THREAD]
        batch = [names.names[place] for place in places]
        differing = await asyncio.to_thread(differences, batch, query)
        near = np.flatnonzero(differing <= most)
        found += [
            (places[place], NameMatch.SIMILAR, difference)
            for place, difference in zip(near.tolist(), differing[near].tolist(), strict=True)
        ]
    return found
