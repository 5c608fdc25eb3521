"""What the graph has to say about components and cycles; runs in a thread, on a graph that stands still."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from graphcore import DependencyGraph
from graphcore.analysis.cycles import is_cycle, shortest_cycle
from graphcore.flags import STALE
from server.detection.causes import Causes
from server.detection.outcomes import CyclicComponent
from server.domain.detection import CyclePath, Members
from server.domain.moves import GAINS, LOSSES, Move

_SHORTEST = 2


class Question(NamedTuple):
    """A component, and the cycles of alerts that may still stand for it."""

    members: Members
    hints: Collection[CyclePath]


def survey(
    graph: DependencyGraph, questions: Sequence[Question], causes: Causes, least_confidence: float
) -> tuple[list[CyclicComponent], Causes]:
    """
    Find a shortest cycle for each component, and leave those moves out of the causes that were undone since.

    O(V + E) of a component in most cases; see ``shortest_cycle``, which bounds its work.
    """
    found = [_look_at(graph, question, least_confidence) for question in questions]
    moves = [move for move in causes.moves if _still_so(graph, move, least_confidence)]
    return found, replace(causes, moves=moves)


def _look_at(graph: DependencyGraph, question: Question, least: float) -> CyclicComponent:
    members = question.members
    cycles = [path for path in question.hints if is_cycle(graph, path, min_confidence=least)]
    length = min(map(len, cycles), default=None)
    shorter = None
    if length != _SHORTEST:
        shorter = shortest_cycle(graph, members, min_confidence=least, shorter_than=length)
    if shorter is not None:
        return CyclicComponent(members, shorter)
    confirmed = frozenset(path for path in cycles if len(path) == length)
    return CyclicComponent(members, min(confirmed), confirmed)


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
