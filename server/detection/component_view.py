"""
Compares the graph with the alerts: which components match their alerts, and all others.

Of a component too large to be listed in its alert, only names that matter in a round are looked up:
in the graph, and in the former component if it is remembered. After a takeover, or in another
graph, the listed members represent the others.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from graphcore import DependencyGraph
from graphcore.analysis.cycles import is_cycle, shortest_cycle, shortest_cycle_of_nodes
from graphcore.components.components import Components
from graphcore.components.excerpts import Excerpt
from graphcore.graph.flags import STALE
from server.detection.causes import Causes, MoveEvents, causes_of
from server.detection.outcomes import CyclicComponent
from server.detection.plan import LEAST_OVERLAP, Recollection
from server.detection.tracked_alerts import TrackedAlerts
from server.domain.detection import GAINS, LOSSES, CyclePath, GraphEvent, KeptAlert, smallest_first

_SHORTEST = 2


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
    min_confidence: float,
    most_members: int,
) -> View:
    """
    Compare the components of a graph with the alerts; runs in a thread, under the read lock.

    O(V) over arrays, and O(listed members) for components that changed, + the search for their
    shortest cycles, mostly O(V + E) of a component; ``shortest_cycle`` bounds it.
    """
    kept, causes = graph.confident_components, causes_of(steps)
    diff = tracked.difference(kept.cyclic(most_members), causes, kept.excerpts.is_comparable)
    search = _CycleSearch(graph, causes, min_confidence)
    questions = diff.questions(causes, lambda name: _label(graph, name))
    found = [search.component(component, hints) for component, hints in questions]
    components, causes = found[len(diff.recounted) :], search.causes_that_hold()
    view = View(kept, revision, steps, causes, diff.settled, diff.others, diff.orphaned, components)
    for (component, alert), now in zip(diff.recounted, found, strict=False):
        if _matches(alert, now):
            view.settled.append((component, alert.id))
        else:
            view.others.append(component)
            view.alerts.append(alert)
            view.components.append(now)
    return _with_unlisted(graph, view, tracked.former())


class _CycleSearch:
    """Finds a shortest cycle for each component of a graph."""

    def __init__(self, graph: DependencyGraph, causes: Causes, least_confidence: float) -> None:
        self._graph = graph
        self._causes = causes
        self._least = least_confidence

    def component(self, component: Excerpt, hints: Collection[CyclePath]) -> CyclicComponent:
        """Find a shortest cycle; ``hints`` are cycles of alerts that it may still have."""
        cycles = [path for path in hints if is_cycle(self._graph, path, min_confidence=self._least)]
        length = min(map(len, cycles), default=None)
        shorter = None if length == _SHORTEST else self._shorter(component, length)
        if shorter is not None:
            return CyclicComponent(component.members, shorter, unlisted=component.unlisted)
        confirmed = frozenset(path for path in cycles if len(path) == length)
        return CyclicComponent(component.members, min(confirmed), confirmed, component.unlisted)

    def causes_that_hold(self) -> Causes:
        """Return the causes without events that were undone since."""
        return replace(self._causes, events=list(filter(self._holds, self._causes.events)))

    def _shorter(self, component: Excerpt, length: int | None) -> CyclePath | None:
        """Return a shortest cycle if it has fewer services than ``length``."""
        graph, least = self._graph, self._least
        if not component.unlisted:
            return shortest_cycle(graph, component.members, min_confidence=least, shorter_than=length)
        if length is not None and self._causes.unseen is None:
            # A shorter cycle than the former shortest contains a gained dependency; without one, no
            # search is needed: through half a million services it would take a second.
            gained = self._gained_inside(component)
            if not gained:
                return None
            if length == _SHORTEST + 1:
                pairs = (pair for pair in gained if is_cycle(graph, pair, min_confidence=least))
                return min(pairs, default=None)
        nodes = graph.confident_components.excerpts.nodes(component)
        return shortest_cycle_of_nodes(graph, nodes, min_confidence=least, shorter_than=length)

    def _gained_inside(self, component: Excerpt) -> set[CyclePath]:
        """Return the pairs of members that gained a dependency, the smaller name first."""
        return {
            smallest_first((event.source, event.target))
            for event in self._causes.events
            if event.kind in GAINS
            and all(_label(self._graph, end) == component.label for end in (event.source, event.target))
        }

    def _holds(self, event: GraphEvent) -> bool:
        """Whether a gain or a loss still holds; another source may report the same dependency."""
        if event.kind in GAINS:
            return self._counts(event)
        if event.kind in LOSSES:
            return not self._counts(event)
        return not self._graph.has_service(event.source)

    def _counts(self, event: GraphEvent) -> bool:
        graph = self._graph
        if not (graph.has_service(event.source) and graph.has_service(event.target)):
            return False
        source, target = graph.node(event.source), graph.node(event.target)
        if not graph.digraph.has_edge(source, target):
            return False
        records = graph.digraph.get_all_edge_data(source, target)
        return any(not record.flags & STALE and record.confidence >= self._least for record in records)


def _label(graph: DependencyGraph, name: str) -> int | None:
    """Return the label of a service's component; None = there is no such service."""
    return graph.confident_components.label(graph.node(name)) if graph.has_service(name) else None


def _matches(alert: KeptAlert, component: CyclicComponent) -> bool:
    return (
        alert.cycle_path in component.confirmed
        and alert.members == component.members
        and alert.size == component.membership.size
        and alert.is_present
    )


def _with_unlisted(graph: DependencyGraph, view: View, former: Mapping[UUID, Excerpt]) -> View:
    """Add what is known of unlisted members."""
    if not (any(each.unlisted for each in view.alerts) or any(each.unlisted for each in view.components)):
        return view
    recall = _Recall(graph, view.others, view.causes)
    today = [view.causes.renamed(alert) for alert in view.alerts]
    recalled = {alert.id: recall.of(alert, former.get(alert.id)) for alert in today if alert.unlisted}
    return replace(view, components=recall.unlisted(view.components, today), recalled=recalled)


class _Recall:
    """Recalls members in one graph; ``excerpts`` are the components to match alerts with."""

    def __init__(self, graph: DependencyGraph, excerpts: Sequence[Excerpt], causes: Causes) -> None:
        self._graph = graph
        self._remembered = graph.confident_components.excerpts
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
        others: dict[int, set[str]] = {}
        for name in self._ends.union(*map(_names, alerts)):
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

        Exact if the ``former`` component is remembered; else the listed members give an estimate.
        """
        if former is not None and self._remembered.is_comparable(former):
            shared, inside = self._counted(former), self._held(former)
        else:
            shared, inside = self._estimated(alert)
        return Recollection(frozenset(inside | self._removed(inside.union(alert.members))), shared)

    def _counted(self, former: Excerpt) -> dict[int, int]:
        """Count exactly. O(V), over arrays."""
        counts = self._remembered.member_counts(former)
        shared = Counter(
            {place: int(counts[label]) for label, place in self._place_of.items() if label < len(counts)}
        )
        for name in self._renamed:
            place = self._place(name)
            if place is not None and self._remembered.was_member(former, self._graph.node(name)):
                shared[place] += 1
        return shared

    def _held(self, former: Excerpt) -> set[str]:
        remembered, nodes = self._remembered, self._graph
        return {
            name
            for name in self._ends
            if nodes.has_service(name)
            and (
                remembered.is_same_member(former, nodes.node(name))
                or (name in self._renamed and remembered.was_member(former, nodes.node(name)))
            )
        }

    def _estimated(self, alert: KeptAlert) -> tuple[dict[int, int], set[str]]:
        """Assume the largest overlap with components that hold two listed or witness services."""
        places = map(self._place, _names(alert))
        counts = Counter(place for place in places if place is not None)
        likely = {place for place, count in counts.items() if count >= LEAST_OVERLAP}
        size = alert.membership.size
        shared = {
            place: min(size, self._excerpts[place].size) if place in likely else count
            for place, count in counts.items()
        }
        return shared, {name for name in self._ends if self._place(name) in likely}

    def _removed(self, inside: Collection[str]) -> set[str]:
        """Return removed services that called members and were called by members."""
        lost = [(event.source, event.target) for event in self._events if event.kind in LOSSES]
        called = {target for source, target in lost if source in inside}
        calling = {source for source, target in lost if target in inside}
        return {name for name in called & calling if not self._graph.has_service(name)}

    def _place(self, name: str) -> int | None:
        label = _label(self._graph, name)
        return None if label is None else self._place_of.get(label)


def _names(alert: KeptAlert) -> set[str]:
    """Return the services that identify a component; the witness may outlast all listed members."""
    return {*alert.members, *alert.cycle_path}
