"""The alerts that detection tracks, and their components, as last written or read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from graphcore.components.excerpts import Excerpt
from server.detection.causes import Causes
from server.domain.detection import AlertChange, CyclePath, KeptAlert, Membership


@dataclass(slots=True)
class ComponentDiff:
    """
    How the components compare with the tracked alerts.

    ``settled`` components have not changed. ``recounted`` ones have the same members as an alert,
    but perhaps other dependencies. ``others`` have no alert of the same members, and ``orphaned``
    alerts no such component.
    """

    settled: list[tuple[Excerpt, UUID]] = field(default_factory=list)
    recounted: list[tuple[Excerpt, KeptAlert]] = field(default_factory=list)
    others: list[Excerpt] = field(default_factory=list)
    orphaned: list[KeptAlert] = field(default_factory=list)

    def questions(
        self, causes: Causes, label_of: Callable[[str], int | None]
    ) -> list[tuple[Excerpt, list[CyclePath]]]:
        """
        Return ``recounted`` and then ``others``, each with cycles that may still be its shortest.

        They are cycles of alerts; ``label_of`` returns the label of a service's component.
        O(components + alerts).
        """
        hints: dict[int | None, list[CyclePath]] = {component.label: [] for component in self.others}
        for alert in self.orphaned:
            path = causes.renamed(alert).cycle_path
            hints.get(label_of(path[0]), []).append(path)
        return [
            *((component, [causes.renamed(alert).cycle_path]) for component, alert in self.recounted),
            *((component, hints[component.label]) for component in self.others),
        ]


class TrackedAlerts:
    """
    The alerts, and which component each of them stands for.

    Components are compared by identity: a graph returns the same object until a component changes.
    """

    def __init__(self) -> None:
        self._alerts: dict[UUID, KeptAlert] = {}
        self._components: dict[int, tuple[Excerpt, UUID]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._alerts, self._components = {}, {}

    def read(self, alerts: Iterable[KeptAlert]) -> bool:
        """
        Replace the alerts by those of the database; returns whether any differ.

        A component stays settled if its alert has not changed.
        """
        read = {alert.id: alert for alert in alerts}
        changed = {key for key, alert in read.items() if not _agree(self._alerts.get(key), alert)}
        gone = self._alerts.keys() - read.keys()
        self._components = {
            key: (component, alert)
            for key, (component, alert) in self._components.items()
            if alert not in changed and alert not in gone
        }
        self._alerts = read
        return bool(changed or gone)

    def former(self) -> Mapping[UUID, Excerpt]:
        """Return the components of the alerts, as they were."""
        return {alert: component for component, alert in self._components.values()}

    def difference(
        self, components: Sequence[Excerpt], causes: Causes, remembers: Callable[[Excerpt], bool]
    ) -> ComponentDiff:
        """
        Compare with all cyclic components; ``remembers``: whether one's former state is known.

        O(components), O(listed members) for those that are not tracked.
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
        matched = {alert for _, alert in found.settled} | {alert.id for _, alert in found.recounted}
        # If some members are unlisted, the listed members may be equal although the others differ.
        changed = {alert for alert, component in self.former().items() if remembers(component)} - matched
        orphaned = {
            causes.renamed(alert).membership: alert
            for key, alert in self._alerts.items()
            if key not in matched and key not in changed
        }
        # Another graph makes other objects of the same members.
        for component in unknown:
            alert_of_these = orphaned.get(Membership(component.size, component.members))
            if alert_of_these is not None:
                matched.add(alert_of_these.id)
                found.recounted.append((component, alert_of_these))
            else:
                found.others.append(component)
        found.orphaned = [alert for key, alert in self._alerts.items() if key not in matched]
        return found

    def settle(
        self,
        components: Iterable[tuple[Excerpt, UUID]],
        others: Iterable[Excerpt],
        changes: Iterable[AlertChange],
    ) -> None:
        """Note what was written: the alerts of ``components``, and changes for ``others``."""
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
