"""What a proposed change of dependencies would do to cycles and blast radii."""

from dataclasses import dataclass

from graphcore.analysis.call_graph import CallGraph, CallRows
from graphcore.analysis.cycle_changes import CycleChange, cycle_changes
from graphcore.analysis.impact_changes import MOST_WORDS, ImpactChanges, impact_changes
from graphcore.analysis.proposed_change import Numbering, PairStates, ProposedChange
from graphcore.compiling import budget
from graphcore.graph.dependency_graph import DependencyGraph


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The effects of a change; ``created`` are the names of new services, sorted."""

    cycle_changes: tuple[CycleChange, ...]
    impacts: ImpactChanges
    created: tuple[str, ...]

    @property
    def adds_cycles(self) -> bool:
        """Whether the change would add a cycle."""
        return any(change.adds_cycles for change in self.cycle_changes)


def what_if(
    graph: DependencyGraph,
    change: ProposedChange,
    *,
    most_impacts: int = 100,
    min_confidence: float = 0.0,
    work: int | None = None,
) -> WhatIf:
    """
    Compare a graph with the graph after a change, without making it.

    Fresh dependencies count; for cycles they also need ``min_confidence``. Unknown services are
    new. Raises ``UnknownDependenciesError``. O(V + E), and as much for every few hundred services
    whose blast radius may change; ``work`` bounds these as in ``impact_changes``. May run beside
    readers.
    """
    numbering = Numbering(graph)
    states = PairStates(numbering, change)
    lost, gained = states.changed(0.0)
    before = CallGraph.of(CallRows.of(numbering, 0.0))
    after = before.changed(lost, gained)
    allowed = budget(MOST_WORDS) if work is None else work
    impacts = impact_changes(numbering, before, after, lost, gained, most=most_impacts, work=allowed)
    if min_confidence > 0.0:
        lost, gained = states.changed(min_confidence)
        before = CallGraph.of(CallRows.of(numbering, min_confidence))
        after = before.changed(lost, gained)
    cycles = cycle_changes(numbering, before, after, lost, gained)
    return WhatIf(tuple(cycles), impacts, tuple(sorted(numbering.new)))
