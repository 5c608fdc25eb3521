"""The alerts that detection tracks, and the components for which they stand, as they were last written or read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from graphcore import Component
from server.detection.causes import Causes
from server.detection.survey import Question
from server.domain.detection import AlertChange, CyclePath, KeptAlert


@dataclass(slots=True)
class Difference:
    """
    What a look at all components found.

    ``settled`` are components as they were, with the alert that stands for each. ``recounted`` ones have the members they had, but maybe other
    dependencies. ``others`` are components, and ``bereft`` alerts, whose members are others now.
    """

    settled: list[tuple[Component, UUID]] = field(default_factory=list)
    recounted: list[tuple[Component, KeptAlert]] = field(default_factory=list)
    others: list[Component] = field(default_factory=list)
    bereft: list[KeptAlert] = field(default_factory=list)

    def questions(self, causes: Causes) -> list[Question]:
        """Ask for the cycles of ``recounted``, then of ``others``; cycles of alerts that may stand for one are named. O(members)."""
        hints: list[list[CyclePath]] = [[] for _ in self.others]
        place_of = {name: place for place, component in enumerate(self.others) for name in component.members}
        for alert in self.bereft:
            path = causes.renamed(alert).cycle_path
            if path[0] in place_of:
                hints[place_of[path[0]]].append(path)
        return [
            *(
                Question(component.members, [causes.renamed(alert).cycle_path])
                for component, alert in self.recounted
            ),
            *(
                Question(component.members, paths)
                for component, paths in zip(self.others, hints, strict=True)
            ),
        ]


class Standing:
    """
    Which alert stands for which component.

    Components are told apart by identity, since a graph gives the same object until a component changes.
    """

    def __init__(self) -> None:
        self._alerts: dict[UUID, KeptAlert] = {}
        self._components: dict[int, tuple[Component, UUID]] = {}

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

    def difference(self, components: Sequence[Component], causes: Causes) -> Difference:
        """Compare with all cyclic components as they are now. O(components), O(members) for those that are not known."""
        found, unknown = Difference(), list[Component]()
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
        bereft = {
            causes.renamed(alert).members: alert for key, alert in self._alerts.items() if key not in standing
        }
        # Another graph makes other objects of the same members.
        for component in unknown if bereft else ():
            alert_of_these = bereft.get(component.members)
            if alert_of_these is not None:
                standing.add(alert_of_these.id)
                found.recounted.append((component, alert_of_these))
            else:
                found.others.append(component)
        if not bereft:
            found.others = unknown
        found.bereft = [alert for key, alert in self._alerts.items() if key not in standing]
        return found

    def settle(
        self,
        components: Iterable[tuple[Component, UUID]],
        others: Iterable[Component],
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
