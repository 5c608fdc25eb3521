"""
Members of components that are too large to be listed in an alert.

Only names that matter in a round are looked up: in the graph, and in the former components if they
are remembered. After a take-over, or in another graph, the listed members represent the others.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from graphcore import DependencyGraph
from graphcore.components.excerpts import Excerpt
from server.detection.causes import Causes
from server.detection.outcomes import CyclicComponent
from server.detection.plan import LEAST_OVERLAP, Recollection
from server.domain.detection import KeptAlert
from server.domain.graph_events import LOSSES, GraphEvent


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
