"""What becomes of one alert in a round: how it is afterwards, and the events that say so."""

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

    ``members`` are sorted names, of all but the ``unlisted``; ``others`` are those unlisted ones that matter in this round. ``shortest`` is a shortest cycle of it, from its smallest name on; ``confirmed`` are paths of alerts that are shortest cycles of it too.
    """

    members: Members
    shortest: CyclePath
    confirmed: frozenset[CyclePath] = field(default_factory=frozenset)
    unlisted: int = 0
    others: frozenset[str] = frozenset()

    @property
    def membership(self) -> Membership:
        """Tell who is in it, as far as that is kept."""
        return Membership(len(self.members) + self.unlisted, self.members)

    @property
    def names(self) -> Members:
        """The members whose names are known."""
        return (*self.members, *self.others) if self.others else self.members


@dataclass(slots=True)
class Outcome:
    """
    A component and the alert that stands for it from now on.

    ``lived_on`` is the alert that lives on in it, under the names of today and with all members whose names are known; None = none does. What its component
    ``gained`` or ``lost`` are members. ``alert`` is another than that where another has the cycle. ``swallowed`` are alerts of components that are part of it now, ``parts`` what else ``lived_on`` has fallen into, ``split_from`` what it
    itself was a part of.
    """

    component: CyclicComponent
    path: CyclePath
    alert: KeptAlert
    lived_on: KeptAlert | None = None
    is_new: bool = False
    gained: bool = False
    lost: bool = False
    swallowed: list[KeptAlert] = field(default_factory=list)
    parts: "list[Outcome]" = field(default_factory=list)
    split_from: "Outcome | None" = None


def gone_on(outcome: Outcome, causes: Causes) -> AlertChange | None:
    """Say how the alert of a component goes on; None = as it was."""
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
    events = (*_return(outcome, after, causes), *_moves(outcome, causes))
    if not events and after == alert:
        return None
    return AlertChange(alert, after, events)


def left_behind(
    alert: KeptAlert,
    causes: Causes,
    *,
    goes_on: Outcome | None = None,
    merged_into: Outcome | None = None,
    members: Members = (),
) -> AlertChange:
    """
    Say how an alert ends that no component goes on with.

    Another ``goes_on`` for it, or its component was ``merged_into`` another, or is gone: then ``members`` are its services under their names of today.
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
    """Return the alert in the status that it has from now on."""
    alert, lived_on = outcome.alert, outcome.lived_on
    if lived_on is None or lived_on.id == alert.id:
        reopens = not alert.is_live and (lived_on is None or outcome.gained)
        return _opened(alert) if reopens else alert
    if not lived_on.is_live and not outcome.gained:
        # Somebody has decided on this component, unless somebody else has opened the other alert since.
        return alert if alert.is_live else _decided_as(lived_on, alert)
    # An alert written by SQL may be acknowledged by nobody, which can't be handed on.
    is_acknowledged = lived_on.status == "acknowledged" and (lived_on.acknowledged_by or "").strip()
    if alert.status == "acknowledged" or not is_acknowledged:
        return alert if alert.is_live else _opened(alert)
    return replace(
        alert, status="acknowledged", acknowledged_by=lived_on.acknowledged_by, resolution_notes=None
    )


def _opened(alert: KeptAlert) -> KeptAlert:
    return replace(alert, status="open", acknowledged_by=None, resolution_notes=None)


def _decided_as(decided: KeptAlert, alert: KeptAlert) -> KeptAlert:
    return replace(alert, acknowledged_by=decided.acknowledged_by, resolution_notes=decided.resolution_notes)


def _return(outcome: Outcome, after: KeptAlert, causes: Causes) -> Iterator[EventDraft]:
    """Tell how the alert came to stand for the component, if it did not before."""
    alert, lived_on = outcome.alert, outcome.lived_on
    if lived_on is not None and lived_on.id == alert.id:
        if after.is_live and not alert.is_live:
            yield EventDraft("reopened", f"the cycle has grown: {_why_larger(outcome, causes)}")
        return
    why = (
        _why_here(outcome, causes)
        if lived_on is None
        else f"goes on for alert {lived_on.id}: {_why_other_path(outcome, causes)}"
    )
    yield EventDraft("reopened" if after.is_live and not alert.is_live else "found", why)


def _moves(outcome: Outcome, causes: Causes) -> Iterator[EventDraft]:
    """Tell how a component has changed on which an alert lives on."""
    alert, lived_on = outcome.alert, outcome.lived_on
    if lived_on is None:
        return
    if outcome.lost:
        why = causes.of_loss(lived_on.members)
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
    if alert.id == lived_on.id and smallest_first(alert.cycle_path) != outcome.path:
        yield EventDraft("witness_changed", _why_other_path(outcome, causes))


def _why_here(outcome: Outcome, causes: Causes) -> str:
    origin = outcome.split_from
    if origin is None or origin.lived_on is None:
        return causes.of_gain(outcome.component.names, path=outcome.path)
    return f"split off alert {origin.alert.id}: {causes.of_loss(origin.lived_on.members)}"


def _why_larger(outcome: Outcome, causes: Causes) -> str:
    former = [alert.members for alert in outcome.swallowed]
    if outcome.lived_on is not None:
        former.append(outcome.lived_on.members)
    return causes.of_gain(outcome.component.names, former)


def _why_other_path(outcome: Outcome, causes: Causes) -> str:
    lived_on = outcome.lived_on
    return causes.of_path(() if lived_on is None else lived_on.cycle_path, outcome.path)


def _named(alerts: list[KeptAlert]) -> str:
    return listed([f"alert {alert.id}" for alert in alerts])
