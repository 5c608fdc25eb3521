"""What has to be written for the alerts to be level with the graph again: a function of alerts, components and causes, and of nothing else."""

from collections.abc import Callable, Sequence
from uuid import UUID

from server.detection.causes import Causes
from server.detection.matching import match
from server.detection.outcomes import CyclicComponent, Outcome, gone_on, left_behind
from server.domain.detection import AlertChange, CyclePath, KeptAlert, Members, smallest_first


class Plan:
    """
    One round of detection.

    ``kept`` are alerts that detection tracks. They and the components must be complete: nothing else shares two members with any of them.
    O(members), + sorting of pairs.
    """

    def __init__(
        self, kept: Sequence[KeptAlert], components: Sequence[CyclicComponent], causes: Causes
    ) -> None:
        self._kept = kept
        self._components = components
        self._causes = causes
        # Under the names that services have now.
        self._today = [causes.renamed(alert) for alert in kept]
        self._match = match(self._today, [component.members for component in components])
        self._taken = {kept[place].id for place in self._match.component_of}
        self._owners: list[dict[CyclePath, KeptAlert]] = []
        self._former: dict[Members, KeptAlert] = {}

    @property
    def cycles(self) -> list[CyclePath]:
        """The cycles of which somebody else's alert should be known."""
        return [component.shortest for component in self._components]

    @property
    def newcomers(self) -> list[Members]:
        """The members of components on which no alert lives on."""
        return [
            component.members
            for place, component in enumerate(self._components)
            if place not in self._match.alert_of
        ]

    def changes(self, candidates: Sequence[KeptAlert], new_id: Callable[[], UUID]) -> list[AlertChange]:
        """
        Say what to write of which alert; nothing for those that are right as they are. Once only.

        ``candidates`` are others that may be reopened or adopted: those of ``cycles``, and former ones of ``newcomers``.
        """
        self._remember(candidates)
        outcomes = [self._outcome(place, new_id) for place in range(len(self._components))]
        staying = {outcome.alert.id for outcome in outcomes}
        left = [place for place, alert in enumerate(self._kept) if alert.id not in staying]
        self._note_parts(left, outcomes)
        departures = [self._departure(place, outcomes) for place in left]
        changes = [gone_on(outcome, self._causes) for outcome in outcomes]
        return [change for change in changes if change is not None] + departures

    def _remember(self, candidates: Sequence[KeptAlert]) -> None:
        tracked = {alert.id for alert in self._kept}
        others = [alert for alert in candidates if alert.id not in tracked]
        # Who has a cycle in the database; a tracked alert may be found under the names of today, too.
        self._owners = [
            {smallest_first(alert.cycle_path): alert for alert in others},
            {today.cycle_path: alert for today, alert in zip(self._today, self._kept, strict=True)},
            {smallest_first(alert.cycle_path): alert for alert in self._kept},
        ]
        self._former = {
            alert.members: alert
            for alert in others
            if alert.detected and not alert.is_present and not alert.is_live
        }

    def _outcome(self, place: int, new_id: Callable[[], UUID]) -> Outcome:
        component = self._components[place]
        matched = self._match.alert_of.get(place)
        if matched is None:
            return self._newcomer(component, new_id)
        lived_on = self._today[matched]
        path = lived_on.cycle_path if lived_on.cycle_path in component.confirmed else component.shortest
        return Outcome(component, path, self._other_owner(path) or self._kept[matched], lived_on)

    def _newcomer(self, component: CyclicComponent, new_id: Callable[[], UUID]) -> Outcome:
        """Reopen, adopt or open an alert for a component on which none lives on."""
        path = component.shortest
        alert = self._other_owner(path) or self._former.get(component.members)
        if alert is not None:
            self._taken.add(alert.id)
            return Outcome(component, path, alert)
        return Outcome(component, path, KeptAlert(id=new_id(), cycle_path=path, status="open"), is_new=True)

    def _other_owner(self, path: CyclePath) -> KeptAlert | None:
        """
        Take the alert that has this cycle, unless it lives on elsewhere.

        No two alerts may have the same cycle, so whoever had it goes on with it.
        """
        for owners in self._owners:
            found = owners.get(path)
            if found is not None and found.id not in self._taken:
                self._taken.add(found.id)
                return found
        return None

    def _departure(self, place: int, outcomes: Sequence[Outcome]) -> AlertChange:
        alert, shared = self._kept[place], self._match.shared[place]
        lived_on = self._match.component_of.get(place)
        if lived_on is not None:
            return left_behind(alert, self._causes, goes_on=outcomes[lived_on])
        if not shared:
            return left_behind(alert, self._causes, members=self._today[place].members)
        return left_behind(alert, self._causes, merged_into=outcomes[shared[0]])

    def _note_parts(self, left: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        for alert in left:
            shared = self._match.shared[alert]
            if shared and alert not in self._match.component_of:
                outcomes[shared[0]].swallowed.append(self._today[alert])
        for alert, place in self._match.component_of.items():
            parts = [outcomes[part] for part in self._match.shared[alert] if part != place]
            outcomes[place].parts.extend(parts)
            for part in parts:
                part.split_from = part.split_from or outcomes[place]
