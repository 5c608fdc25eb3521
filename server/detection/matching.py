"""Which component goes on with which alert."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from server.domain.detection import KeptAlert, Members

# One service in common is no cycle in common.
_LEAST_OVERLAP = 2
_RANK = {"acknowledged": 0, "open": 1, "resolved": 2}


class Match(NamedTuple):
    """
    Who lives on where, by the places of alerts and components in what was matched.

    ``alert_of`` a component and ``component_of`` an alert are each other's reverse. ``shared`` says for each alert with which components it has at least
    two members in common, the largest overlap first.
    """

    alert_of: Mapping[int, int]
    component_of: Mapping[int, int]
    shared: Sequence[Sequence[int]]


def match(alerts: Sequence[KeptAlert], components: Sequence[Members]) -> Match:
    """
    Give each component at most one alert with two or more of its members, and each alert at most one component.

    Largest overlap first; then who is acknowledged, open, resolved; then who is older; then by id, and by the first member. O(members + pairs log pairs).
    """
    place_of = {name: place for place, members in enumerate(components) for name in members}
    overlaps = [_overlaps(alert.members, place_of) for alert in alerts]
    pairs = sorted(
        (
            (-count, _precedence(alerts[alert]), components[place][0], alert, place)
            for alert, found in enumerate(overlaps)
            for place, count in found.items()
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


def _overlaps(members: Iterable[str], place_of: Mapping[str, int]) -> dict[int, int]:
    counts = Counter(place_of[name] for name in members if name in place_of)
    return {place: count for place, count in counts.items() if count >= _LEAST_OVERLAP}


def _precedence(alert: KeptAlert) -> tuple[int, float, str]:
    # Without a time it is newer than any other.
    age = float("inf") if alert.detected_at is None else alert.detected_at.timestamp()
    return _RANK[alert.status], age, alert.id.hex
