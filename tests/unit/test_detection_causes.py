"""What notes say of changes: the moves of a graph, summed up over several steps."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from server.detection.causes import UNKNOWN, GraphEventLog, MoveEvents, causes_of
from server.detection.health import DetectionVitals
from server.domain.detection import GraphEvent, GraphEventKind, KeptAlert, UnseenCause
from tests.support.eventually import PATIENCE_SECONDS

MEMBERS = tuple("abcdef")


def removed(*pairs: str) -> list[GraphEvent]:
    return [GraphEvent(GraphEventKind.REMOVED, *pair) for pair in pairs]


def added(*pairs: str) -> list[GraphEvent]:
    return [GraphEvent(GraphEventKind.ADDED, *pair) for pair in pairs]


def renamed(**names: str) -> list[GraphEvent]:
    return [GraphEvent(GraphEventKind.SERVICE_RENAMED, old, new) for old, new in names.items()]


def test_a_cause_names_at_most_three_dependencies_those_of_the_cycle_first() -> None:
    causes = causes_of([added("ab", "cd", "da", "fa", "xa")])
    assert (
        causes.of_gain(MEMBERS, path=tuple("cd"))
        == "c → d was added, a → b was added, d → a was added and 1 more"
    )


def test_a_service_that_was_removed_stands_for_its_dependencies() -> None:
    causes = causes_of([[GraphEvent(GraphEventKind.SERVICE_REMOVED, "b"), *removed("ab", "bc", "cd")]])
    assert causes.of_loss(MEMBERS) == "service b was removed, c → d was removed"


def test_what_lies_inside_a_former_component_did_not_make_a_larger_one() -> None:
    causes = causes_of([added("ab", "bc", "ca")])
    assert causes.of_gain(MEMBERS, [("a", "b")]) == "b → c was added, c → a was added"


@pytest.mark.parametrize(
    ("steps", "explained"),
    [
        ([], UNKNOWN),
        ([UnseenCause.TOOK_OVER], "cause unknown: it came before this server took over"),
        ([UnseenCause.TOOK_OVER, UnseenCause.LARGE], "cause unknown: it was among thousands of changes"),
        ([removed("xy")], UNKNOWN),
        ([UnseenCause.RELOADED, removed("ab")], "a → b was removed"),
    ],
)
def test_unseen_events_are_reported_as_an_unknown_cause(steps: Sequence[MoveEvents], explained: str) -> None:
    assert causes_of(steps).of_loss(MEMBERS) == explained


def test_events_of_several_moves_are_joined_in_todays_names() -> None:
    causes = causes_of([removed("ab"), renamed(a="x", b="a"), [*renamed(x="y"), *removed("ax")]])
    assert causes.renames == {"a": "y", "b": "a"}
    assert causes.of_loss(["a", "y"]) == "a → y was removed, y → a was removed"


def test_services_that_swap_names_twice_are_called_as_before() -> None:
    swap = renamed(a="b", b="a")
    assert causes_of([swap, swap]).renames == {}


def test_an_alert_in_todays_names_begins_with_the_smallest(nobody: KeptAlert) -> None:
    today = causes_of([renamed(a="z")]).renamed(nobody)
    assert (today.cycle_path, today.members) == (("b", "c", "z"), ("b", "c", "z"))


@pytest.fixture
def nobody() -> KeptAlert:
    return KeptAlert(id=UUID(int=1), cycle_path=("a", "b", "c"), status="open", members=("a", "b", "c"))


def test_nothing_is_collected_before_begin() -> None:
    log = GraphEventLog(0.5)
    explained = [log.least_confidence]
    log.graph_moved(removed("ab"))
    log.begin()
    assert [*explained, log.least_confidence] == [None, 0.5]
    log.graph_moved(removed("bc"))
    assert log.take() == [UnseenCause.TOOK_OVER, removed("bc")]
    assert log.take() == []


def test_what_is_put_back_comes_before_what_was_collected_since() -> None:
    log = GraphEventLog(0.0)
    log.begin()
    log.graph_moved(removed("ab"))
    taken = log.take()
    log.graph_moved(removed("bc"))
    log.put_back(taken)
    assert log.take() == [UnseenCause.TOOK_OVER, removed("ab"), removed("bc")]


def test_of_too_many_events_only_renames_are_kept() -> None:
    log = GraphEventLog(0.0)
    log.begin()
    log.graph_moved(renamed(a="x"))
    log.graph_moved(removed("ab") * 6_000)
    causes = causes_of(log.take())
    assert causes.unseen is UnseenCause.LARGE
    assert not causes.events
    assert causes.renames == {"a": "x"}


async def test_a_move_ends_the_wait_and_so_does_one_from_before_it() -> None:
    log = GraphEventLog(0.0)
    log.graph_moved(())
    assert await log.wait(timedelta(seconds=PATIENCE_SECONDS))
    assert not await log.wait(timedelta())


def test_a_failing_detector_is_a_problem_until_it_catches_up_or_another_takes_over() -> None:
    now = 100.0
    vitals = DetectionVitals(clock=lambda: now)
    vitals.failed(LookupError("no such luck"))
    assert list(vitals.problems()) == []
    now += 31
    vitals.failed(LookupError("no such luck"))
    (problem,) = vitals.problems()
    assert problem == "alerts have not followed the graph for 31 s (LookupError): see this server's log"
    now += 61
    assert list(vitals.problems()) == []
    vitals.failed(LookupError("no such luck"))
    vitals.caught_up("revision", 3)
    assert list(vitals.problems()) == []


def test_a_long_comparison_is_a_problem_until_the_alerts_catch_up() -> None:
    now = 100.0
    vitals = DetectionVitals(clock=lambda: now)
    vitals.behind()
    now += 20
    vitals.behind()
    assert list(vitals.problems()) == []
    now += 20
    (problem,) = vitals.problems()
    assert problem == "alerts are 40 s behind the graph: they are still being compared with it"
    vitals.caught_up("revision", 3)
    assert list(vitals.problems()) == []
    now += 60
    assert list(vitals.problems()) == []
    vitals.behind()
    vitals.forget()
    now += 60
    assert list(vitals.problems()) == []
