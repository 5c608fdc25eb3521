"""
Detection's plan against the rules, read one by one over sets of names.

The rules are read over all members; the plan is given no more than the first of them, and how many
are the same, where there are more.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import cast
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from server.detection.causes import Causes
from server.detection.outcomes import CyclicComponent
from server.detection.plan import Plan, Recollection
from server.domain.alerts import ALERT_STATUSES
from server.domain.detection import AlertChange, CyclePath, KeptAlert, Members, Membership
from tests.support.examples import examples

NAMES = tuple("abcdefgh")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = len(NAMES)


@dataclass(frozen=True)
class Situation:
    """Alerts and components with all of their members, and how many of them the plan sees."""

    kept: list[KeptAlert]
    candidates: list[KeptAlert]
    components: list[CyclicComponent]
    most: int

    @property
    def alerts(self) -> dict[UUID, KeptAlert]:
        return {alert.id: alert for alert in (*self.candidates, *self.kept)}

    def planned(self) -> list[AlertChange]:
        kept, components = self.cut_alerts(self.kept), self.cut_components(self.components)
        plan = Plan(kept, components, Causes(), self.recalled())
        return plan.changes(self.cut_alerts(self.candidates), ids(1_000))

    def recalled(self) -> dict[UUID, Recollection]:
        """What is remembered of alerts of which not all is listed."""
        return {
            alert.id: Recollection(
                frozenset(alert.members[self.most :]),
                {place: overlap(alert, component.members) for place, component in enumerate(self.components)},
            )
            for alert in self.kept
            if len(alert.members) > self.most
        }

    def afterwards(self) -> dict[UUID, KeptAlert]:
        """The alerts as they are after the round, with as many members as are listed."""
        before = {alert.id: alert for alert in self.cut_alerts(self.alerts.values())}
        return before | {change.after.id: change.after for change in self.planned()}

    def cut_alerts(self, alerts: Iterable[KeptAlert]) -> list[KeptAlert]:
        """Alerts as they are with no more members than are listed."""
        return [
            replace(alert, members=alert.members[: self.most], unlisted=len(alert.members[self.most :]))
            for alert in alerts
        ]

    def cut_components(self, components: Iterable[CyclicComponent]) -> list[CyclicComponent]:
        """Components as they are with no more members than are listed."""
        return [
            replace(
                component,
                members=component.members[: self.most],
                unlisted=len(component.members[self.most :]),
                others=frozenset(component.members[self.most :]),
            )
            for component in components
        ]

    def membership(self, members: Members) -> Membership:
        """How a component with these members is known."""
        return Membership(len(members), members[: self.most])

    def standing_for(self, alerts: dict[UUID, KeptAlert], members: Members) -> list[KeptAlert]:
        """The alerts that stand for a component."""
        wanted = self.membership(members)
        return [alert for alert in alerts.values() if alert.is_present and alert.membership == wanted]


def ids(start: int) -> Callable[[], UUID]:
    numbers = count(start)
    return lambda: UUID(int=next(numbers))


def normal(path: CyclePath) -> CyclePath:
    rotations = [path[start:] + path[:start] for start in range(len(path))]
    return min(rotations, key=lambda rotation: rotation[0])


@st.composite
def partitions(draw: st.DrawFn) -> list[Members]:
    """Some of the names in groups of two or more."""
    groups: dict[int, list[str]] = {}
    for name in NAMES:
        groups.setdefault(draw(st.integers(0, 4)), []).append(name)
    return [tuple(members) for place, members in groups.items() if place and len(members) > 1]


def cycles(names: Sequence[str]) -> st.SearchStrategy[CyclePath]:
    chosen = st.lists(st.sampled_from(names), min_size=2, max_size=3, unique=True)
    return chosen.map(lambda path: normal(tuple(path)))


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Alerts of one partition of the services, former alerts, components of another partition."""
    number, used = ids(1), set[CyclePath]()
    groups = draw(partitions())

    def alert(members: Members, *, tracked: bool) -> KeptAlert | None:
        # What was a cycle before is one within a component of today more often than not.
        common = [both for group in groups if len(both := sorted(set(group) & set(members))) > 1]
        path = draw(cycles(draw(st.sampled_from([*common, members]))))
        if path in used:
            return None
        used.add(path)
        status = draw(st.sampled_from(ALERT_STATUSES))
        detected = tracked or (status == "resolved" and draw(st.booleans()))
        return KeptAlert(
            id=number(),
            cycle_path=path,
            status=status,
            acknowledged_by="ann" if status == "acknowledged" else None,
            resolution_notes="done" if status == "resolved" else None,
            detected_at=BEGIN + timedelta(days=draw(st.integers(0, 2))),
            size=len(members) if detected else 0,
            detected=detected,
            is_present=tracked,
            members=members if detected else (),
        )

    kept = [alert(members, tracked=True) for members in draw(partitions())]
    others = [alert(members, tracked=False) for members in draw(st.lists(partitions(), max_size=2).map(flat))]
    found = [one for one in (*kept, *others) if one is not None]
    tracked = [one for one in found if one.is_present]
    components = []
    for members in groups:
        inside = [one.cycle_path for one in found if set(one.cycle_path) <= set(members)]
        hints = [one.cycle_path for one in tracked if set(one.cycle_path) <= set(members)]
        confirmed = frozenset(draw(st.sets(st.sampled_from(hints)))) if hints else frozenset[CyclePath]()
        # A shortest cycle is one of those that were confirmed, or not longer than any of them.
        shortest = (
            draw(st.one_of(cycles(members), st.sampled_from(sorted(inside))))
            if inside
            else draw(cycles(members))
        )
        components.append(CyclicComponent(members, shortest, confirmed))
    most = draw(st.sampled_from((EVERYTHING, EVERYTHING, 2, 3)))
    return Situation(tracked, [one for one in found if not one.is_present], components, most)


def flat(groups: list[list[Members]]) -> list[Members]:
    return [members for group in groups for members in group]


def lived_on(situation: Situation) -> dict[Members, KeptAlert]:
    """Who lives on where: the best pair that is left, again and again."""
    alerts, components = list(situation.kept), [component.members for component in situation.components]
    found: dict[Members, KeptAlert] = {}

    def rank(alert: KeptAlert, members: Members) -> tuple[object, ...]:
        status = ("acknowledged", "open", "resolved").index(alert.status)
        return -overlap(alert, members), status, alert.detected_at, alert.id.hex, members[0]

    while pairs := [
        (alert, members) for alert in alerts for members in components if overlap(alert, members) >= 2
    ]:
        alert, members = min(pairs, key=lambda pair: rank(*pair))
        found[members] = alert
        alerts.remove(alert)
        components.remove(members)
    return found


def overlap(alert: KeptAlert, members: Iterable[str]) -> int:
    return len(set(alert.members) & set(members))


@examples(25)
@given(situations())
def test_each_component_has_exactly_one_alert_and_no_other_alert_stands_for_anything(
    situation: Situation,
) -> None:
    after = situation.afterwards()
    components = [component.members for component in situation.components]
    for members in components:
        assert len(situation.standing_for(after, members)) == 1
    for alert in after.values():
        if alert.detected and (alert.is_present or alert.is_live):
            assert alert.membership in map(situation.membership, components)
            assert alert.size == alert.membership.size


@examples(200)
@given(situations())
def test_no_two_alerts_have_the_same_cycle_and_each_cycle_is_one_of_its_component(
    situation: Situation,
) -> None:
    after = situation.afterwards()
    paths = [normal(alert.cycle_path) for alert in after.values()]
    assert len(set(paths)) == len(paths)
    for component in situation.components:
        (alert,) = situation.standing_for(after, component.members)
        assert alert.cycle_path in {component.shortest} | component.confirmed


@examples(25)
@given(situations())
def test_an_alert_lives_on_with_its_status_and_with_its_cycle_as_long_as_that_is_a_shortest_one(
    situation: Situation,
) -> None:
    after = situation.afterwards()
    for members, before in lived_on(situation).items():
        (alert,) = situation.standing_for(after, members)
        (component,) = (one for one in situation.components if one.members == members)
        if before.cycle_path in component.confirmed:
            assert (alert.id, alert.cycle_path) == (before.id, before.cycle_path)
        if before.status == "acknowledged":
            assert alert.status == "acknowledged"
            assert alert.acknowledged_by == "ann"
        elif before.status == "open":
            assert alert.is_live
        elif set(members) <= set(before.members):
            # A person has resolved it, and it has not grown.
            assert alert.status == situation.alerts[alert.id].status
        else:
            assert alert.is_live
        if alert.id != before.id:
            assert normal(situation.alerts[alert.id].cycle_path) == component.shortest
            # It is free, and may be whose cycle another component has.
            freed = after[before.id]
            assert not freed.is_present or freed.cycle_path == normal(before.cycle_path)


@examples(25)
@given(situations())
def test_a_component_on_which_none_lives_on_gets_an_alert_of_former_times_or_a_new_one(
    situation: Situation,
) -> None:
    after, lives_on = situation.afterwards(), lived_on(situation)
    for component in situation.components:
        if component.members in lives_on:
            continue
        (alert,) = situation.standing_for(after, component.members)
        elsewhere = [members for members, one in lives_on.items() if one.id == alert.id]
        if elsewhere and situation.alerts[alert.id].status == "resolved":
            # A person has resolved it, and it has not grown.
            former = situation.alerts[alert.id].members
            assert alert.is_live or set(component.members) <= set(former)
        else:
            assert alert.is_live
        same_cycle = [one for one in situation.candidates if one.cycle_path == component.shortest]
        same_members = [
            one
            for one in situation.candidates
            if one.detected
            and not one.is_live
            and situation.membership(one.members) == situation.membership(component.members)
        ]
        if same_cycle:
            assert alert.id == same_cycle[0].id
        elif same_members:
            assert alert.id in {one.id for one in same_members}
        elif alert.id in situation.alerts:
            # Its cycle was that of a tracked alert that lives on nowhere, or under another cycle.
            assert all(situation.standing_for(after, members)[0].id != alert.id for members in elsewhere)
            assert situation.alerts[alert.id].cycle_path == component.shortest
        else:
            assert alert.status == "open"


@examples(25)
@given(situations())
def test_an_alert_that_is_left_over_is_resolved_with_a_note_that_says_whether_it_was_merged(
    situation: Situation,
) -> None:
    after, lives_on = situation.afterwards(), lived_on(situation)
    staying = {situation.standing_for(after, component.members)[0].id for component in situation.components}
    events = {change.after.id: change.events for change in situation.planned()}
    for before in situation.kept:
        if before.id in staying:
            continue
        alert = after[before.id]
        assert alert.status == "resolved"
        assert not alert.is_present
        assert alert.membership == situation.membership(before.members)
        ((kind, note),) = events[alert.id]
        assert kind == ("resolved" if before.is_live else "gone")
        assert alert.resolution_notes == (note if before.is_live else before.resolution_notes)
        if before.id in {one.id for one in lives_on.values()}:
            assert note.startswith("goes on as alert")
        elif any(overlap(before, component.members) >= 2 for component in situation.components):
            assert note.startswith("merged into alert")
        else:
            assert note.startswith("the cycle is gone")


@examples(25)
@given(situations())
def test_what_was_planned_once_is_not_planned_again(situation: Situation) -> None:
    after = situation.afterwards()
    tracked = [alert for alert in after.values() if alert.detected and (alert.is_present or alert.is_live)]
    others = [alert for alert in after.values() if alert not in tracked]
    settled = [
        CyclicComponent(
            component.members,
            component.shortest,
            component.confirmed
            | {alert.cycle_path for alert in situation.standing_for(after, component.members)},
        )
        for component in situation.components
    ]
    same = {
        alert.id: Recollection(
            shared={
                place: component.membership.size
                for place, component in enumerate(settled)
                if situation.standing_for({alert.id: alert}, component.members)
            }
        )
        for alert in tracked
        if alert.unlisted
    }
    assert Plan(tracked, situation.cut_components(settled), Causes(), same).changes(others, ids(2_000)) == []


@examples(25)
@given(situations())
def test_every_change_is_an_event_and_keeps_to_the_life_cycle(situation: Situation) -> None:
    for change in situation.planned():
        assert change.events
        assert all(event.note for event in change.events)
        kinds = [event.kind for event in change.events]
        if change.before is None:
            assert kinds == ["opened"]
            assert change.after.status == "open"
            continue
        before, after = change.before, change.after
        assert ("reopened" in kinds) == (after.is_live and not before.is_live)
        assert ("resolved" in kinds) == (before.is_live and not after.is_live)
        if after.status == "open":
            assert before.status != "acknowledged"
            assert after.acknowledged_by is None
        if not before.is_live and not after.is_live and "found" not in kinds:
            assert (before.resolution_notes, before.acknowledged_by) == (
                after.resolution_notes,
                after.acknowledged_by,
            )
        if after.is_live:
            assert after.resolution_notes is None
        assert before.id in {alert.id for alert in cast("Iterable[KeptAlert]", situation.alerts.values())}
