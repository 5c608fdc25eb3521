"""
Who is, and who was, among members that no alert lists: components may be too large for that.

Only names that matter in a round are looked up, in the graph as it is now and in what is remembered of components as they were. After a
take-over, or in another graph, nothing is remembered: then what is listed stands for the rest.
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
    """One look at a graph that stands still; ``excerpts`` are the components that alerts are to be matched with."""

    def __init__(self, graph: DependencyGraph, excerpts: Sequence[Excerpt], causes: Causes) -> None:
        self._graph = graph
        self._kept = graph.confident_components
        self._excerpts = excerpts
        self._place_of = {excerpt.label: place for place, excerpt in enumerate(excerpts)}
        self._moves = causes.moves
        self._ends = {name for move in causes.moves for name in (move.source, move.target) if name}
        # Under these names of today services are who they were.
        self._renamed = {name for name in causes.renames.values() if graph.has_service(name)}

    def unlisted(
        self, components: Sequence[CyclicComponent], alerts: Iterable[KeptAlert]
    ) -> list[CyclicComponent]:
        """Tell of components which services that matter are among their unlisted members. O(listed members of alerts + moves)."""
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
        """Recall the component of an alert, given under the names of today, from what it was (``former``), or else from what is listed."""
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
        """Take components with two of the listed services, or of those on the witness, to have as much in common with the alert as can be."""
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
        """Find removed services that were members: members called them, and they called members."""
        lost = [move for move in self._moves if move.kind in LOSSES]
        called = _removed_ends(self._graph, lost, inside, at_target=True)
        return called & _removed_ends(self._graph, lost, inside, at_target=False)

    def _place(self, name: str) -> int | None:
        graph = self._graph
        return self._place_of.get(self._kept.label(graph.node(name))) if graph.has_service(name) else None


def recollections(
    recall: Recall, alerts: Iterable[KeptAlert], former: Mapping[UUID, Excerpt], causes: Causes
) -> dict[UUID, Recollection]:
    """Recall what is not listed of the alerts of which something is not."""
    return {
        alert.id: recall.of(causes.renamed(alert), former.get(alert.id)) for alert in alerts if alert.unlisted
    }


def _names(alert: KeptAlert) -> set[str]:
    """List the services by which a component is known again: those on the witness stay when all that are listed go."""
    return {*alert.members, *alert.cycle_path}


def _removed_ends(
    graph: DependencyGraph, lost: Iterable[GraphEvent], inside: Collection[str], *, at_target: bool
) -> set[str]:
    pairs = ((move.source, move.target) if at_target else (move.target, move.source) for move in lost)
    return {far for near, far in pairs if near in inside and not graph.has_service(far)}
