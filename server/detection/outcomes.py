"""What becomes of one alert in a round: its new state, and the events that record it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from server.detection.causes import Causes, listed
from server.domain.detection import (
    AlertChange,
    CyclePath,
    EventDraft,
    KeptAlert,
    Members,
    Membership,
    smallest_first,
)


@dataclass(frozen=True, slots=True)
class CyclicComponent:
    """
    A component of two or more services, as the graph has it now.

    ``members`` are sorted names; ``unlisted`` counts the members left out, and ``others`` names
    those of them that matter in this round. ``shortest`` is a shortest cycle, smallest name first.
    ``confirmed`` are cycles of alerts that are shortest cycles of the component too.
    """

    members: Members
    shortest: CyclePath
    confirmed: frozenset[CyclePath] = field(default_factory=frozenset)
    unlisted: int = 0
    others: frozenset[str] = frozenset()

    @property
    def membership(self) -> Membership:
        """Its size and its listed members."""
        return Membership(len(self.members) + self.unlisted, self.members)

    @property
    def names(self) -> Members:
        """The members whose names are known."""
        return (*self.members, *self.others) if self.others else self.members


@dataclass(slots=True)
class Outcome:
    """
    A component and its ``alert`` from now on.

    ``continued`` is the former alert of the component, in today's names and with all members whose
    names are known; None = it had none. ``alert`` differs from it if the cycle belongs to another
    alert. ``gained`` and ``lost``: whether the component gained or lost members. ``swallowed`` are
    alerts of former components that are part of this one. If the component of ``continued`` has
    split, ``parts`` are the other components, and their ``split_from`` leads back.
    """

    component: CyclicComponent
    path: CyclePath
    alert: KeptAlert
    continued: KeptAlert | None = None
    is_new: bool = False
    gained: bool = False
    lost: bool = False
    swallowed: list[KeptAlert] = field(default_factory=list)
    parts: "list[Outcome]" = field(default_factory=list)
    split_from: "Outcome | None" = None


def alert_change(outcome: Outcome, causes: Causes) -> AlertChange | None:
    """Return the change of a component's alert; None = unchanged."""
    alert, component = outcome.alert, outcome.component
    after = replace(
        _with_status(outcome),
        cycle_path=outcome.path,
        size=component.membership.size,
        detected=True,
        is_present=True,
        members=component.members,
        unlisted=component.unlisted,
    )
    if outcome.is_new:
        return AlertChange(None, after, (EventDraft("opened", _why_here(outcome, causes)),))
    events = (*_return(outcome, after, causes), *_component_events(outcome, causes))
    if not events and after == alert:
        return None
    return AlertChange(alert, after, events)


def alert_end(
    alert: KeptAlert,
    causes: Causes,
    *,
    goes_on: Outcome | None = None,
    merged_into: Outcome | None = None,
    members: Members = (),
) -> AlertChange:
    """
    Return the end of an alert that no component continues.

    Another alert ``goes_on`` for it, or its component was ``merged_into`` another, or is gone; then
    ``members`` are its services in today's names.
    """
    if goes_on is not None:
        note = f"goes on as alert {goes_on.alert.id}: {_why_other_path(goes_on, causes)}"
    elif merged_into is not None:
        note = f"merged into alert {merged_into.alert.id}: {_why_larger(merged_into, causes)}"
    else:
        note = f"the cycle is gone: {causes.of_loss(members)}"
    if not alert.is_live:
        return AlertChange(alert, replace(alert, is_present=False), (EventDraft("gone", note),))
    after = replace(alert, status="resolved", resolution_notes=note, is_present=False)
    return AlertChange(alert, after, (EventDraft("resolved", note),))


def _with_status(outcome: Outcome) -> KeptAlert:
    """Return the alert with its new status."""
    alert, continued = outcome.alert, outcome.continued
    if continued is None or continued.id == alert.id:
        reopens = not alert.is_live and (continued is None or outcome.gained)
        return _opened(alert) if reopens else alert
    if not continued.is_live and not outcome.gained:
        # A person resolved this component; the other alert may have been reopened since.
        if alert.is_live:
            return alert
        notes = continued.resolution_notes
        return replace(alert, acknowledged_by=continued.acknowledged_by, resolution_notes=notes)
    # An alert written by SQL may be acknowledged without a name, which can't be passed on.
    is_acknowledged = continued.status == "acknowledged" and (continued.acknowledged_by or "").strip()
    if alert.status == "acknowledged" or not is_acknowledged:
        return alert if alert.is_live else _opened(alert)
    return replace(
        alert, status="acknowledged", acknowledged_by=continued.acknowledged_by, resolution_notes=None
    )


def _opened(alert: KeptAlert) -> KeptAlert:
    return replace(alert, status="open", acknowledged_by=None, resolution_notes=None)


def _return(outcome: Outcome, after: KeptAlert, causes: Causes) -> Iterator[EventDraft]:
    """Record how the alert came to the component, if it had another before."""
    alert, continued = outcome.alert, outcome.continued
    if continued is not None and continued.id == alert.id:
        if after.is_live and not alert.is_live:
            yield EventDraft("reopened", f"the cycle has grown: {_why_larger(outcome, causes)}")
        return
    why = (
        _why_here(outcome, causes)
        if continued is None
        else f"goes on for alert {continued.id}: {_why_other_path(outcome, causes)}"
    )
    yield EventDraft("reopened" if after.is_live and not alert.is_live else "found", why)


def _component_events(outcome: Outcome, causes: Causes) -> Iterator[EventDraft]:
    """Record how the component of a continued alert has changed."""
    alert, continued = outcome.alert, outcome.continued
    if continued is None:
        return
    if outcome.lost:
        why = causes.of_loss(continued.members)
        if outcome.parts:
            others = _named([part.alert for part in outcome.parts])
            yield EventDraft("split", f"the other parts have {others}: {why}")
        else:
            yield EventDraft("shrunk", why)
    if outcome.gained:
        why = _why_larger(outcome, causes)
        if outcome.swallowed:
            yield EventDraft("merged", f"with what had {_named(outcome.swallowed)}: {why}")
        else:
            yield EventDraft("grown", why)
    if alert.id == continued.id and smallest_first(alert.cycle_path) != outcome.path:
        yield EventDraft("witness_changed", _why_other_path(outcome, causes))


def _why_here(outcome: Outcome, causes: Causes) -> str:
    origin = outcome.split_from
    if origin is None or origin.continued is None:
        return causes.of_gain(outcome.component.names, path=outcome.path)
    return f"split off alert {origin.alert.id}: {causes.of_loss(origin.continued.members)}"


def _why_larger(outcome: Outcome, causes: Causes) -> str:
    former = [alert.members for alert in outcome.swallowed]
    if outcome.continued is not None:
        former.append(outcome.continued.members)
    return causes.of_gain(outcome.component.names, former)


def _why_other_path(outcome: Outcome, causes: Causes) -> str:
    continued = outcome.continued
    return causes.of_path(() if continued is None else continued.cycle_path, outcome.path)


def _named(alerts: list[KeptAlert]) -> str:
    return listed([f"alert {alert.id}" for alert in alerts])
