"""What a look at the graph finds: which components are as their alerts have them, and what is known of all others."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from graphcore import DependencyGraph
from graphcore.component_excerpts import Excerpt
from graphcore.kept_components import KeptComponents
from server.detection.causes import Causes
from server.detection.matching import Recollection
from server.detection.move_log import Step, causes_of
from server.detection.outcomes import CyclicComponent
from server.detection.recall import Recall, recollections
from server.detection.standing import Difference, Standing
from server.detection.survey import survey
from server.domain.detection import KeptAlert


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

    kept: KeptComponents
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
    graph: DependencyGraph, standing: Standing, steps: list[Step], *, revision: str, limits: ViewLimits
) -> View:
    """
    Compare the components of a graph that stands still with the alerts; runs in a thread.

    O(V) over arrays, and O(listed members) for components that changed; see ``survey`` for the witnesses.
    """
    kept, causes = graph.confident_components, causes_of(steps)
    difference = standing.difference(kept.cyclic(limits.most_members), causes, kept.excerpts.remembers)

    def label_of(name: str) -> int | None:
        return kept.label(graph.node(name)) if graph.has_service(name) else None

    questions = difference.questions(causes, label_of)
    found, causes = survey(graph, questions, causes, limits.min_confidence)
    view = _view(difference, found, kept=kept, revision=revision, steps=steps, causes=causes)
    return _with_unlisted(graph, view, standing.former())


def _view(
    difference: Difference,
    found: list[CyclicComponent],
    *,
    kept: KeptComponents,
    revision: str,
    steps: list[Step],
    causes: Causes,
) -> View:
    """Tell components that are as their alerts have them from all others."""
    settled, others = list(difference.settled), list(difference.others)
    alerts, components = list(difference.bereft), found[len(difference.recounted) :]
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
