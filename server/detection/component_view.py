"""
Compares the graph with the alerts: which components match their alerts, and all others.

Of a component too large to be listed in its alert, only names that matter in a round are looked up:
in the graph, and in the former component if it is remembered. After a takeover, or in another
graph, the listed members represent the others.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from graphcore import DependencyGraph
from graphcore.analysis.cycles import is_cycle, shortest_cycle, shortest_cycle_of_nodes
from graphcore.components.components import Components
from graphcore.components.excerpts import Excerpt
from graphcore.graph.flags import STALE
from server.detection.causes import Causes, MoveEvents, causes_of
from server.detection.outcomes import CyclicComponent
from server.detection.plan import LEAST_OVERLAP, Recollection
from server.detection.tracked_alerts import ComponentDiff, Question, TrackedAlerts
from server.domain.detection import GAINS, LOSSES, CyclePath, GraphEvent, KeptAlert, smallest_first

_SHORTEST = 2


def cyclic_components(
    graph: DependencyGraph, questions: Sequence[Question], causes: Causes, least_confidence: float
) -> tuple[list[CyclicComponent], Causes]:
    """
    Find a shortest cycle for each component; drop from the causes events that were undone since.

    O(V + E) of a component in most cases; see ``shortest_cycle``, which bounds its work.
    """
    found = [_cyclic_component(graph, question, causes, least_confidence) for question in questions]
    events = [event for event in causes.events if _still_so(graph, event, least_confidence)]
    return found, replace(causes, events=events)


def _cyclic_component(
    graph: DependencyGraph, question: Question, causes: Causes, least: float
) -> CyclicComponent:
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
    """Return a shortest cycle if it has fewer services than ``length``."""
    if not component.unlisted:
        return shortest_cycle(graph, component.members, min_confidence=least, shorter_than=length)
    if length is not None and causes.unseen is None:
        # A shorter cycle than the former shortest contains a gained dependency; without one, no
        # search is needed: through half a million services it would take a second.
        gained = _gained_inside(graph, component, causes)
        if not gained:
            return None
        if length == _SHORTEST + 1:
            return min((pair for pair in gained if is_cycle(graph, pair, min_confidence=least)), default=None)
    nodes = graph.confident_components.excerpts.nodes(component)
    return shortest_cycle_of_nodes(graph, nodes, min_confidence=least, shorter_than=length)


def _gained_inside(graph: DependencyGraph, component: Excerpt, causes: Causes) -> set[CyclePath]:
    """Return the pairs of members that gained a dependency, the smaller name first."""
    kept = graph.confident_components
    return {
        smallest_first((event.source, event.target))
        for event in causes.events
        if event.kind in GAINS
        and all(
            graph.has_service(end) and kept.label(graph.node(end)) == component.label
            for end in (event.source, event.target)
        )
    }


def _still_so(graph: DependencyGraph, event: GraphEvent, least: float) -> bool:
    """Whether a gain or a loss still holds; another source may report the same dependency."""
    if event.kind in GAINS:
        return _counts(graph, event, least)
    if event.kind in LOSSES:
        return not _counts(graph, event, least)
    return not graph.has_service(event.source)


def _counts(graph: DependencyGraph, event: GraphEvent, least: float) -> bool:
    if not (graph.has_service(event.source) and graph.has_service(event.target)):
        return False
    source, target = graph.node(event.source), graph.node(event.target)
    if not graph.digraph.has_edge(source, target):
        return False
    records = graph.digraph.get_all_edge_data(source, target)
    return any(not record.flags & STALE and record.confidence >= least for record in records)


class ViewLimits(NamedTuple):
    """The least confidence that counts, and how many members of a component are listed."""

    min_confidence: float
    most_members: int


@dataclass(frozen=True, slots=True)
class View:
    """
    The result of ``compare_with_alerts``.

    ``settled`` components match their alerts. ``alerts`` and ``components`` must be matched anew;
    ``others`` are those components as excerpts of the graph. ``recalled`` is what is known of the
    unlisted members of alerts.
    """

    kept: Components
    revision: str
    steps: list[MoveEvents]
    causes: Causes
    settled: list[tuple[Excerpt, UUID]]
    others: list[Excerpt]
    alerts: list[KeptAlert]
    components: list[CyclicComponent]
    recalled: Mapping[UUID, Recollection] = field(default_factory=dict)

    @property
    def cycle_count(self) -> int:
        """The number of cyclic components."""
        return len(self.settled) + len(self.others)


def compare_with_alerts(
    graph: DependencyGraph,
    tracked: TrackedAlerts,
    steps: list[MoveEvents],
    *,
    revision: str,
    limits: ViewLimits,
) -> View:
    """
    Compare the components of a graph with the alerts; runs in a thread, under the read lock.

    O(V) over arrays, and O(listed members) for components that changed, + ``cyclic_components``.
    """
    kept, causes = graph.confident_components, causes_of(steps)
    difference = tracked.difference(kept.cyclic(limits.most_members), causes, kept.excerpts.is_comparable)

    def label_of(name: str) -> int | None:
        return kept.label(graph.node(name)) if graph.has_service(name) else None

    questions = difference.questions(causes, label_of)
    found, causes = cyclic_components(graph, questions, causes, limits.min_confidence)
    view = _view(difference, found, kept=kept, revision=revision, steps=steps, causes=causes)
    return _with_unlisted(graph, view, tracked.former())


def _view(
    difference: ComponentDiff,
    found: list[CyclicComponent],
    *,
    kept: Components,
    revision: str,
    steps: list[MoveEvents],
    causes: Causes,
) -> View:
    """Separate components that match their alerts from all others."""
    settled, others = list(difference.settled), list(difference.others)
    alerts, components = list(difference.orphaned), found[len(difference.recounted) :]
    for (component, alert), now in zip(difference.recounted, found, strict=False):
        if _is_right(alert, now):
            settled.append((component, alert.id))
        else:
            others.append(component)
            alerts.append(alert)
            components.append(now)
    return View(kept, revision, steps, causes, settled, others, alerts, components)


def _with_unlisted(graph: DependencyGraph, view: View, former: Mapping[UUID, Excerpt]) -> View:
    """Add what is known of unlisted members."""
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


class Recall:
    """Recalls members in one graph; ``excerpts`` are the components to match alerts with."""

    def __init__(self, graph: DependencyGraph, excerpts: Sequence[Excerpt], causes: Causes) -> None:
        self._graph = graph
        self._kept = graph.confident_components
        self._excerpts = excerpts
        self._place_of = {excerpt.label: place for place, excerpt in enumerate(excerpts)}
        self._events = causes.events
        self._ends = {name for event in causes.events for name in (event.source, event.target) if name}
        # Today's names of renamed services, which excerpts count as other services.
        self._renamed = {name for name in causes.renames.values() if graph.has_service(name)}

    def unlisted(
        self, components: Sequence[CyclicComponent], alerts: Iterable[KeptAlert]
    ) -> list[CyclicComponent]:
        """Add to components the relevant unlisted members. O(listed members of alerts + events)."""
        if not any(component.unlisted for component in components):
            return list(components)
        others: dict[int, set[str]] = {}
        for name in self._ends.union(*(_names(alert) for alert in alerts)):
            place = self._place(name)
            if place is not None and components[place].unlisted:
                others.setdefault(place, set()).add(name)
        return [
            replace(component, others=frozenset(others.get(place, ())).difference(component.members))
            for place, component in enumerate(components)
        ]

    def of(self, alert: KeptAlert, former: Excerpt | None) -> Recollection:
        """
        Find out what was in the component of an alert, which comes in today's names.

        The ``former`` component says it if it is remembered; else the listed members give an
        estimate.
        """
        if former is not None and self._kept.excerpts.is_comparable(former):
            shared, inside = self._counted(former), self._held(former)
        else:
            shared, inside = self._estimated(alert)
        return Recollection(frozenset(inside | self._removed(inside.union(alert.members))), shared)

    def _counted(self, former: Excerpt) -> dict[int, int]:
        """Count exactly. O(V), over arrays."""
        excerpts, counts = self._kept.excerpts, self._kept.excerpts.member_counts(former)
        shared = Counter(
            {place: int(counts[label]) for label, place in self._place_of.items() if label < len(counts)}
        )
        for name in self._renamed:
            place = self._place(name)
            if place is not None and excerpts.was_member(former, self._graph.node(name)):
                shared[place] += 1
        return shared

    def _held(self, former: Excerpt) -> set[str]:
        excerpts, graph = self._kept.excerpts, self._graph
        return {
            name
            for name in self._ends
            if graph.has_service(name)
            and (
                excerpts.is_same_member(former, graph.node(name))
                or (name in self._renamed and excerpts.was_member(former, graph.node(name)))
            )
        }

    def _estimated(self, alert: KeptAlert) -> tuple[dict[int, int], set[str]]:
        """Assume the largest overlap with components that hold two listed or witness services."""
        places = (self._place(name) for name in _names(alert))
        counts = Counter(place for place in places if place is not None)
        size = alert.membership.size
        shared = {
            place: min(size, self._excerpts[place].size) if count >= LEAST_OVERLAP else count
            for place, count in counts.items()
        }
        likely = {place for place, count in counts.items() if count >= LEAST_OVERLAP}
        return shared, {name for name in self._ends if self._place(name) in likely}

    def _removed(self, inside: Collection[str]) -> set[str]:
        """Return removed services that called members and were called by members."""
        lost = [event for event in self._events if event.kind in LOSSES]
        called = _removed_ends(self._graph, lost, inside, at_target=True)
        return called & _removed_ends(self._graph, lost, inside, at_target=False)

    def _place(self, name: str) -> int | None:
        graph = self._graph
        return self._place_of.get(self._kept.label(graph.node(name))) if graph.has_service(name) else None


def recollections(
    recall: Recall, alerts: Iterable[KeptAlert], former: Mapping[UUID, Excerpt], causes: Causes
) -> dict[UUID, Recollection]:
    """Recall the unlisted members of the alerts that have any."""
    return {
        alert.id: recall.of(causes.renamed(alert), former.get(alert.id)) for alert in alerts if alert.unlisted
    }


def _names(alert: KeptAlert) -> set[str]:
    """Return the services that identify a component; the witness may outlast all listed members."""
    return {*alert.members, *alert.cycle_path}


def _removed_ends(
    graph: DependencyGraph, lost: Iterable[GraphEvent], inside: Collection[str], *, at_target: bool
) -> set[str]:
    pairs = ((event.source, event.target) if at_target else (event.target, event.source) for event in lost)
    return {far for near, far in pairs if near in inside and not graph.has_service(far)}
