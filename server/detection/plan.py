"""What to write so that alerts match the graph: a function of alerts, components and causes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from uuid import UUID

from server.detection.causes import Causes
from server.detection.outcomes import CyclicComponent, Outcome, alert_change, alert_end
from server.domain.detection import AlertChange, CyclePath, KeptAlert, Membership, smallest_first

LEAST_OVERLAP = 2
"""An alert and a component that share only one service share no cycle."""

Overlap = Mapping[int, int]
"""How many members an alert has in common with each component, by the component's place."""
_RANK = {"acknowledged": 0, "open": 1, "resolved": 2}


@dataclass(frozen=True, slots=True)
class Recollection:
    """
    What is known of an alert with unlisted members.

    ``names`` are unlisted members that occur in events. ``shared`` counts its members in each
    component.
    """

    names: frozenset[str] = frozenset()
    shared: Overlap = field(default_factory=dict)


_NOTHING: Mapping[UUID, Recollection] = MappingProxyType({})


class Plan:
    """
    One round of detection. O(names), + sorting of pairs.

    ``kept`` are tracked alerts. They and the components must be complete: no other shares two
    members with any of them. ``recalled`` stands for unlisted members.
    """

    def __init__(
        self,
        kept: Sequence[KeptAlert],
        components: Sequence[CyclicComponent],
        causes: Causes,
        recalled: Mapping[UUID, Recollection] = _NOTHING,
    ) -> None:
        self._kept = kept
        self._components = components
        self._causes = causes
        today = [causes.renamed(alert) for alert in kept]
        self._common = _overlaps(today, components, recalled)
        # Which component continues which alert, by their places; each other's inverse.
        self._alert_of: dict[int, int] = {}
        self._component_of: dict[int, int] = {}
        # For each alert the components with two or more common members, largest overlap first.
        self._shared: list[list[int]] = [[] for _ in kept]
        self._match(today)
        # In the names that services have now, and with unlisted members whose names are known.
        self._today = [_completed(alert, recalled.get(alert.id)) for alert in today]
        self._place_of = {alert.id: place for place, alert in enumerate(kept)}
        self._taken = {kept[place].id for place in self._component_of}
        self._owners: list[dict[CyclePath, KeptAlert]] = []
        self._former: dict[Membership, KeptAlert] = {}

    @property
    def cycles(self) -> list[CyclePath]:
        """The cycles for which an alert may exist that detection does not track."""
        return [component.shortest for component in self._components]

    @property
    def newcomers(self) -> list[Membership]:
        """The members of components that continue no tracked alert."""
        return [
            component.membership
            for place, component in enumerate(self._components)
            if place not in self._alert_of
        ]

    def changes(self, candidates: Sequence[KeptAlert], new_id: Callable[[], UUID]) -> list[AlertChange]:
        """
        Return the changes to write, none for alerts that stay as they are. Call it once.

        ``candidates`` are untracked alerts that may be reopened or adopted: those of ``cycles``,
        and former ones of ``newcomers``.
        """
        self._remember(candidates)
        outcomes = {place: self._continuing(place) for place in self._alert_of}
        self._give_cycles_to_their_owners(outcomes)
        for place in range(len(self._components)):
            if place not in outcomes:
                outcomes[place] = self._newcomer(place, new_id)
        staying = {outcome.alert.id for outcome in outcomes.values()}
        left = [place for place, alert in enumerate(self._kept) if alert.id not in staying]
        self._note_parts(left, outcomes)
        departures = [self._departure(place, outcomes) for place in left]
        changes = [alert_change(outcomes[place], self._causes) for place in range(len(self._components))]
        return [change for change in changes if change is not None] + departures

    def _match(self, today: Sequence[KeptAlert]) -> None:
        """
        Match alerts and components one to one; a pair has two or more members in common.

        Largest overlap first; then acknowledged, open, resolved alerts; then older ones; then by id
        and first member. O(pairs log pairs).
        """
        pairs = sorted(
            (-count, _precedence(today[alert]), self._components[place].members[0], alert, place)
            for alert, found in enumerate(self._common)
            for place, count in found.items()
            if count >= LEAST_OVERLAP
        )
        for _, _, _, alert, place in pairs:
            self._shared[alert].append(place)
            if alert not in self._component_of and place not in self._alert_of:
                self._alert_of[place], self._component_of[alert] = alert, place

    def _remember(self, candidates: Sequence[KeptAlert]) -> None:
        others = [alert for alert in candidates if alert.id not in self._place_of]
        # The alert of each cycle: as the database has it, and in today's names.
        self._owners = [
            {smallest_first(alert.cycle_path): alert for alert in (*others, *self._kept)},
            {today.cycle_path: alert for today, alert in zip(self._today, self._kept, strict=True)},
        ]
        self._former = {
            alert.membership: alert
            for alert in others
            if alert.detected and not alert.is_present and not alert.is_live
        }

    def _continuing(self, place: int) -> Outcome:
        component, alert = self._components[place], self._alert_of[place]
        today = self._today[alert]
        path = today.cycle_path if today.cycle_path in component.confirmed else component.shortest
        return self._outcome(place, path, self._kept[alert], alert)

    def _outcome(self, place: int, path: CyclePath, alert: KeptAlert, continued: int) -> Outcome:
        component, common = self._components[place], self._common[continued].get(place, 0)
        return Outcome(
            component,
            path,
            alert,
            self._today[continued],
            gained=component.membership.size > common,
            lost=self._kept[continued].membership.size > common,
        )

    def _give_cycles_to_their_owners(self, outcomes: Mapping[int, Outcome]) -> None:
        """
        Give each component the alert that already has its cycle: no two alerts may have the same.

        The alert that is replaced is then free, and may have the cycle of another component.
        """
        place_of = {outcome.path: place for place, outcome in outcomes.items()}
        waiting = sorted(outcomes)
        while waiting:
            outcome = outcomes[waiting.pop()]
            had = smallest_first(outcome.alert.cycle_path)
            owner = None if had == outcome.path else self._take_owner(outcome.path)
            if owner is not None:
                self._taken.discard(outcome.alert.id)
                outcome.alert = owner
                waiting += [place_of[had]] if had in place_of else []

    def _newcomer(self, place: int, new_id: Callable[[], UUID]) -> Outcome:
        """Reopen, adopt or open an alert for a component that continues none."""
        component = self._components[place]
        path = component.shortest
        alert = self._take_owner(path) or self._former.get(component.membership)
        if alert is None:
            return Outcome(
                component, path, KeptAlert(id=new_id(), cycle_path=path, status="open"), is_new=True
            )
        self._taken.add(alert.id)
        continued = self._place_of.get(alert.id)
        if continued is None or continued not in self._component_of:
            return Outcome(component, path, alert)
        self._component_of[continued] = place
        return self._outcome(place, path, alert, continued)

    def _take_owner(self, path: CyclePath) -> KeptAlert | None:
        """Take the alert of this cycle, unless it is taken."""
        for owners in self._owners:
            found = owners.get(path)
            if found is not None and found.id not in self._taken:
                self._taken.add(found.id)
                return found
        return None

    def _departure(self, place: int, outcomes: Mapping[int, Outcome]) -> AlertChange:
        alert, shared = self._kept[place], self._shared[place]
        component = self._component_of.get(place)
        if component is not None:
            return alert_end(alert, self._causes, goes_on=outcomes[component])
        if not shared:
            return alert_end(alert, self._causes, members=self._today[place].members)
        return alert_end(alert, self._causes, merged_into=outcomes[shared[0]])

    def _note_parts(self, left: Sequence[int], outcomes: Mapping[int, Outcome]) -> None:
        for alert in left:
            shared = self._shared[alert]
            if shared and alert not in self._component_of:
                outcomes[shared[0]].swallowed.append(self._today[alert])
        for alert, place in self._component_of.items():
            parts = [outcomes[part] for part in self._shared[alert] if part != place]
            outcomes[place].parts.extend(parts)
            for part in parts:
                part.split_from = part.split_from or outcomes[place]


def _completed(alert: KeptAlert, recalled: Recollection | None) -> KeptAlert:
    """Add unlisted members whose names are known."""
    if recalled is None or not recalled.names:
        return alert
    return replace(alert, members=tuple(sorted({*alert.members, *recalled.names})))


def _overlaps(
    alerts: Sequence[KeptAlert], components: Sequence[CyclicComponent], recalled: Mapping[UUID, Recollection]
) -> list[Overlap]:
    """Count the members that each alert shares with each component, or recall them. O(names)."""
    place_of = {name: place for place, component in enumerate(components) for name in component.names}
    return [
        recalled[alert.id].shared
        if alert.id in recalled
        else Counter(place_of[name] for name in alert.members if name in place_of)
        for alert in alerts
    ]


def _precedence(alert: KeptAlert) -> tuple[int, float, str]:
    # Without a time it is newer than any other.
    age = float("inf") if alert.detected_at is None else alert.detected_at.timestamp()
    return _RANK[alert.status], age, alert.id.hex
