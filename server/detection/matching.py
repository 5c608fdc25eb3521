"""Which component goes on with which alert."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from server.detection.outcomes import CyclicComponent
from server.domain.detection import KeptAlert

LEAST_OVERLAP = 2
"""One service in common is no cycle in common."""
Overlap = Mapping[int, int]
"""How many members an alert has in common with components, by their places."""
_RANK = {"acknowledged": 0, "open": 1, "resolved": 2}


@dataclass(frozen=True, slots=True)
class Recollection:
    """
    What is known of an alert whose members are not all listed.

    ``names``: which other members are among those that the moves are about; ``shared``: how many members it has in common with components.
    """

    names: frozenset[str] = frozenset()
    shared: Overlap = field(default_factory=dict)


class Match(NamedTuple):
    """
    Who lives on where, by the places of alerts and components in what was matched.

    ``alert_of`` a component and ``component_of`` an alert are each other's reverse. ``shared`` says for each alert with which components it has at least
    two members in common, the largest overlap first.
    """

    alert_of: Mapping[int, int]
    component_of: Mapping[int, int]
    shared: Sequence[Sequence[int]]


def overlaps(
    alerts: Sequence[KeptAlert],
    components: Sequence[CyclicComponent],
    recalled: Mapping[UUID, Recollection],
) -> list[Overlap]:
    """
    Count what each alert, under the names of today, has in common with each component. O(names).

    For alerts whose members are not all listed, it is what was recalled.
    """
    place_of = {name: place for place, component in enumerate(components) for name in component.names}
    return [
        recalled[alert.id].shared
        if alert.id in recalled
        else Counter(place_of[name] for name in alert.members if name in place_of)
        for alert in alerts
    ]


def match(
    alerts: Sequence[KeptAlert], components: Sequence[CyclicComponent], common: Sequence[Overlap]
) -> Match:
    """
    Give each component at most one alert with two or more of its members, and each alert at most one component.

    Largest overlap first; then who is acknowledged, open, resolved; then who is older; then by id, and by the first member. O(pairs log pairs).
    """
    pairs = sorted(
        (
            (-count, _precedence(alerts[alert]), components[place].members[0], alert, place)
            for alert, found in enumerate(common)
            for place, count in found.items()
            if count >= LEAST_OVERLAP
        )
    )
    alert_of: dict[int, int] = {}
    component_of: dict[int, int] = {}
    for _, _, _, alert, place in pairs:
        if alert not in component_of and place not in alert_of:
            alert_of[place], component_of[alert] = alert, place
    shared: list[list[int]] = [[] for _ in alerts]
    for _, _, _, alert, place in pairs:
        shared[alert].append(place)
    return Match(alert_of, component_of, shared)


def _precedence(alert: KeptAlert) -> tuple[int, float, str]:
    # Without a time it is newer than any other.
    age = float("inf") if alert.detected_at is None else alert.detected_at.timestamp()
    return _RANK[alert.status], age, alert.id.hex
