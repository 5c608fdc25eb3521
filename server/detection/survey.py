"""What the graph has to say about components and cycles; runs in a thread, on a graph that stands still."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from graphcore import DependencyGraph
from graphcore.analysis.cycles import is_cycle, shortest_cycle, shortest_cycle_of_nodes
from graphcore.component_excerpts import Excerpt
from graphcore.flags import STALE
from server.detection.causes import Causes
from server.detection.outcomes import CyclicComponent
from server.domain.detection import CyclePath, smallest_first
from server.domain.moves import GAINS, LOSSES, Move

_SHORTEST = 2


class Question(NamedTuple):
    """A component, and the cycles of alerts that may still stand for it."""

    component: Excerpt
    hints: Collection[CyclePath]


def survey(
    graph: DependencyGraph, questions: Sequence[Question], causes: Causes, least_confidence: float
) -> tuple[list[CyclicComponent], Causes]:
    """
    Find a shortest cycle for each component, and leave those moves out of the causes that were undone since.

    O(V + E) of a component in most cases; see ``shortest_cycle``, which bounds its work.
    """
    found = [_look_at(graph, question, causes, least_confidence) for question in questions]
    moves = [move for move in causes.moves if _still_so(graph, move, least_confidence)]
    return found, replace(causes, moves=moves)


def _look_at(graph: DependencyGraph, question: Question, causes: Causes, least: float) -> CyclicComponent:
    component = question.component
    cycles = [path for path in question.hints if is_cycle(graph, path, min_confidence=least)]
    length = min(map(len, cycles), default=None)
    shorter = None
    if length != _SHORTEST:
        shorter = _shorter(graph, component, causes, least, length)
    if shorter is not None:
        return CyclicComponent(component.members, shorter, unlisted=component.unlisted)
    confirmed = frozenset(path for path in cycles if len(path) == length)
    return CyclicComponent(component.members, min(confirmed), confirmed, component.unlisted)


def _shorter(
    graph: DependencyGraph, component: Excerpt, causes: Causes, least: float, length: int | None
) -> CyclePath | None:
    """Find a shortest cycle, if it has fewer services than ``length``."""
    if not component.unlisted:
        return shortest_cycle(graph, component.members, min_confidence=least, shorter_than=length)
    if length is not None and causes.unseen is None:
        # What is shorter than what was the shortest has a dependency that was gained. Looking at everything takes a second for half a million services.
        gained = _gained_inside(graph, component, causes)
        if not gained:
            return None
        if length == _SHORTEST + 1:
            return min((pair for pair in gained if is_cycle(graph, pair, min_confidence=least)), default=None)
    nodes = graph.confident_components.excerpts.nodes(component)
    return shortest_cycle_of_nodes(graph, nodes, min_confidence=least, shorter_than=length)


def _gained_inside(graph: DependencyGraph, component: Excerpt, causes: Causes) -> set[CyclePath]:
    """Name the pairs of members, smaller name first, between which a dependency counts that did not."""
    kept = graph.confident_components
    return {
        smallest_first((move.source, move.target))
        for move in causes.moves
        if move.kind in GAINS
        and all(
            graph.has_service(end) and kept.label(graph.node(end)) == component.label
            for end in (move.source, move.target)
        )
    }


def _still_so(graph: DependencyGraph, move: Move, least: float) -> bool:
    """Tell whether what was lost is not there, or what was gained is: another source may have it, too."""
    if move.kind in GAINS:
        return _counts(graph, move, least)
    if move.kind in LOSSES:
        return not _counts(graph, move, least)
    return not graph.has_service(move.source)


def _counts(graph: DependencyGraph, move: Move, least: float) -> bool:
    if not (graph.has_service(move.source) and graph.has_service(move.target)):
        return False
    source, target = graph.node(move.source), graph.node(move.target)
    if not graph.digraph.has_edge(source, target):
        return False
    records = graph.digraph.get_all_edge_data(source, target)
    return any(not record.flags & STALE and record.confidence >= least for record in records)
