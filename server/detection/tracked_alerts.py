"""The alerts that detection tracks, and the components for which they stand, as they were last written or read."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from graphcore.components.excerpts import Excerpt
from server.detection.causes import Causes
from server.domain.detection import AlertChange, CyclePath, KeptAlert, Membership


class Question(NamedTuple):
    """A component, and the cycles of alerts that may still stand for it."""

    component: Excerpt
    hints: Collection[CyclePath]


@dataclass(slots=True)
class ComponentDiff:
    """
    What a look at all components found.

    ``settled`` are components as they were, with the alert that stands for each. ``recounted`` ones have the members they had, but maybe other
    dependencies. ``others`` are components, and ``orphaned`` alerts, whose members are others now.
    """

    settled: list[tuple[Excerpt, UUID]] = field(default_factory=list)
    recounted: list[tuple[Excerpt, KeptAlert]] = field(default_factory=list)
    others: list[Excerpt] = field(default_factory=list)
    orphaned: list[KeptAlert] = field(default_factory=list)

    def questions(self, causes: Causes, label_of: Callable[[str], int | None]) -> list[Question]:
        """
        Ask for the cycles of ``recounted``, then of ``others``; cycles of alerts that may stand for one are named.

        ``label_of`` tells which component a service is in now. O(components + alerts).
        """
        hints: dict[int | None, list[CyclePath]] = {component.label: [] for component in self.others}
        for alert in self.orphaned:
            path = causes.renamed(alert).cycle_path
            hints.get(label_of(path[0]), []).append(path)
        return [
            *(Question(component, [causes.renamed(alert).cycle_path]) for component, alert in self.recounted),
            *(Question(component, hints[component.label]) for component in self.others),
        ]


class TrackedAlerts:
    """
    Which alert stands for which component.

    Components are told apart by identity, since a graph gives the same object until a component changes.
    """

    def __init__(self) -> None:
        self._alerts: dict[UUID, KeptAlert] = {}
        self._components: dict[int, tuple[Excerpt, UUID]] = {}

    def clear(self) -> None:
        """Know nothing."""
        self._alerts, self._components = {}, {}

    def read(self, alerts: Iterable[KeptAlert]) -> bool:
        """
        Take over how the alerts are in the database; returns whether anything that matters to detection was otherwise.

        A component stays settled when its alert is as it was.
        """
        read = {alert.id: alert for alert in alerts}
        moved = {key for key, alert in read.items() if not _agree(self._alerts.get(key), alert)}
        gone = self._alerts.keys() - read.keys()
        self._components = {
            key: (component, alert)
            for key, (component, alert) in self._components.items()
            if alert not in moved and alert not in gone
        }
        self._alerts = read
        return bool(moved or gone)

    def former(self) -> Mapping[UUID, Excerpt]:
        """Return the components for which alerts stand, as they were."""
        return {alert: component for component, alert in self._components.values()}

    def difference(
        self, components: Sequence[Excerpt], causes: Causes, remembers: Callable[[Excerpt], bool]
    ) -> ComponentDiff:
        """
        Compare with all cyclic components as they are now; ``remembers`` tells of which it is known how they were.

        O(components), O(listed members) for those that are not known.
        """
        found, unknown = ComponentDiff(), list[Excerpt]()
        by_members = {id(component.members): alert for component, alert in self._components.values()}
        for component in components:
            known = self._components.get(id(component))
            if known is not None:
                found.settled.append((component, known[1]))
            elif (alert := by_members.get(id(component.members))) is not None:
                found.recounted.append((component, self._alerts[alert]))
            else:
                unknown.append(component)
        standing = {alert for _, alert in found.settled} | {alert.id for _, alert in found.recounted}
        # Where not all members are listed, those that are may be the same though others are not.
        changed = {alert for alert, component in self.former().items() if remembers(component)} - standing
        orphaned = {
            causes.renamed(alert).membership: alert
            for key, alert in self._alerts.items()
            if key not in standing and key not in changed
        }
        # Another graph makes other objects of the same members.
        for component in unknown:
            alert_of_these = orphaned.get(Membership(component.size, component.members))
            if alert_of_these is not None:
                standing.add(alert_of_these.id)
                found.recounted.append((component, alert_of_these))
            else:
                found.others.append(component)
        found.orphaned = [alert for key, alert in self._alerts.items() if key not in standing]
        return found

    def settle(
        self,
        components: Iterable[tuple[Excerpt, UUID]],
        others: Iterable[Excerpt],
        changes: Iterable[AlertChange],
    ) -> None:
        """Take over what was written: which alerts stand for ``components``, and what changed for ``others``."""
        for change in changes:
            after = change.after
            if after.is_live or after.is_present:
                self._alerts[after.id] = after
            else:
                self._alerts.pop(after.id, None)
        self._components = {id(component): (component, alert) for component, alert in components}
        others = list(others)
        if others:
            by_members = {alert.members: key for key, alert in self._alerts.items() if alert.is_present}
            for component in others:
                self._components[id(component)] = component, by_members[component.members]


def _agree(known: KeptAlert | None, read: KeptAlert) -> bool:
    return known is not None and (
        (known.cycle_path, known.size, known.is_present, known.members)
        == (read.cycle_path, read.size, read.is_present, read.members)
    )
