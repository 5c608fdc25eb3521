"""What a look at the graph finds: which components are as their alerts have them, and what is known of all others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from graphcore import DependencyGraph
from graphcore.analysis.cycles import is_cycle, shortest_cycle, shortest_cycle_of_nodes
from graphcore.components.components import Components
from graphcore.components.excerpts import Excerpt
from graphcore.graph.flags import STALE
from server.detection.causes import Causes, Step, causes_of
from server.detection.outcomes import CyclicComponent
from server.detection.plan import Recollection
from server.detection.tracked_alerts import ComponentDiff, Question, TrackedAlerts
from server.detection.unlisted_members import Recall, recollections
from server.domain.detection import CyclePath, KeptAlert, smallest_first
from server.domain.graph_events import GAINS, LOSSES, GraphEvent

_SHORTEST = 2


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


def _still_so(graph: DependencyGraph, move: GraphEvent, least: float) -> bool:
    """Tell whether what was lost is not there, or what was gained is: another source may have it, too."""
    if move.kind in GAINS:
        return _counts(graph, move, least)
    if move.kind in LOSSES:
        return not _counts(graph, move, least)
    return not graph.has_service(move.source)


def _counts(graph: DependencyGraph, move: GraphEvent, least: float) -> bool:
    if not (graph.has_service(move.source) and graph.has_service(move.target)):
        return False
    source, target = graph.node(move.source), graph.node(move.target)
    if not graph.digraph.has_edge(source, target):
        return False
    records = graph.digraph.get_all_edge_data(source, target)
    return any(not record.flags & STALE and record.confidence >= least for record in records)


class ViewLimits(NamedTuple):
    """The least confidence of dependencies that count, and how many members of a component are listed."""

    min_confidence: float
    most_members: int


@dataclass(frozen=True, slots=True)
class View:
    """
    What a look at the graph found, and what of it concerns alerts: ``alerts`` and ``components`` are to be matched anew.

    ``others`` are the same components as they came out of the graph; ``recalled`` is what is known of members that alerts do not list.
    """

    kept: Components
    revision: str
    steps: list[Step]
    causes: Causes
    settled: list[tuple[Excerpt, UUID]]
    others: list[Excerpt]
    alerts: list[KeptAlert]
    components: list[CyclicComponent]
    recalled: Mapping[UUID, Recollection] = field(default_factory=dict)

    @property
    def cycle_count(self) -> int:
        """How many cyclic components there are."""
        return len(self.settled) + len(self.others)


def look_at(
    graph: DependencyGraph, standing: TrackedAlerts, steps: list[Step], *, revision: str, limits: ViewLimits
) -> View:
    """
    Compare the components of a graph that stands still with the alerts; runs in a thread.

    O(V) over arrays, and O(listed members) for components that changed; see ``survey`` for the witnesses.
    """
    kept, causes = graph.confident_components, causes_of(steps)
    difference = standing.difference(kept.cyclic(limits.most_members), causes, kept.excerpts.is_comparable)

    def label_of(name: str) -> int | None:
        return kept.label(graph.node(name)) if graph.has_service(name) else None

    questions = difference.questions(causes, label_of)
    found, causes = survey(graph, questions, causes, limits.min_confidence)
    view = _view(difference, found, kept=kept, revision=revision, steps=steps, causes=causes)
    return _with_unlisted(graph, view, standing.former())


def _view(
    difference: ComponentDiff,
    found: list[CyclicComponent],
    *,
    kept: Components,
    revision: str,
    steps: list[Step],
    causes: Causes,
) -> View:
    """Tell components that are as their alerts have them from all others."""
    settled, others = list(difference.settled), list(difference.others)
    alerts, components = list(difference.orphaned), found[len(difference.recounted) :]
    for (component, alert), looked_at in zip(difference.recounted, found, strict=False):
        if _is_right(alert, looked_at):
            settled.append((component, alert.id))
        else:
            others.append(component)
            alerts.append(alert)
            components.append(looked_at)
    return View(kept, revision, steps, causes, settled, others, alerts, components)


def _with_unlisted(graph: DependencyGraph, view: View, former: Mapping[UUID, Excerpt]) -> View:
    """Add what is known of members that neither alerts nor components list."""
    if not (any(each.unlisted for each in view.alerts) or any(each.unlisted for each in view.components)):
        return view
    recall = Recall(graph, view.others, view.causes)
    today = [view.causes.renamed(alert) for alert in view.alerts]
    return replace(
        view,
        components=recall.unlisted(view.components, today),
        recalled=recollections(recall, view.alerts, former, view.causes),
    )


def _is_right(alert: KeptAlert, component: CyclicComponent) -> bool:
    return (
        alert.cycle_path in component.confirmed
        and alert.members == component.members
        and alert.size == component.membership.size
        and alert.is_present
    )
