"""What a change of dependencies would do to cycles and to blast radii, by example."""

from random import Random

import networkx as nx
import numpy as np
import pytest

from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord
from graphcore.analysis.cycle_changes import PAIRS, ClosingPair, Cycle, CycleChange, CycleChangeKind
from graphcore.analysis.impact_changes import LISTED, ImpactChange
from graphcore.analysis.proposed_change import (
    DependencyKey,
    Numbering,
    ProposedChange,
    ProposedDependency,
    UnknownDependenciesError,
)
from graphcore.analysis.what_if import WhatIf, what_if
from graphcore.kernels.what_if.upstream import BLOCK
from tests.support.kernel_forms import FORMS, kernels_in_form

MANUAL, MESH, STALE = (int(EdgeFlag[name]) for name in ("MANUAL", "SERVICE_MESH", "STALE"))


def graph_of(*written: str, flags: int = MANUAL, confidence: float = 1.0) -> DependencyGraph:
    """A graph of calls, each written ``a>b``."""
    calls = [call.split(">") for call in written]
    names = sorted({name for call in calls for name in call})
    return DependencyGraph.from_records(
        [ServiceRecord(name, name) for name in names],
        [DependencyRecord((a, b, flags), a, b, flags, confidence) for a, b in calls],
    )


def added(*written: str, flags: int = MANUAL, confidence: float = 1.0) -> list[ProposedDependency]:
    pairs = (call.split(">") for call in written)
    return [ProposedDependency(source, target, flags, confidence) for source, target in pairs]


def removed(*written: str, discovery_source: int = 0) -> list[DependencyKey]:
    pairs = (call.split(">") for call in written)
    return [DependencyKey(source, target, discovery_source) for source, target in pairs]


def kinds(found: WhatIf) -> list[CycleChangeKind]:
    return [change.kind for change in found.cycle_changes]


def test_a_new_cycle_names_its_closing_pair() -> None:
    found = what_if(graph_of("c>a", "a>b"), ProposedChange(added("b>c")))
    cycle = Cycle(("a", "b", "c"), 3, ("a", "b", "c"))
    pair = ClosingPair("b", "c", ("a", "b", "c"))
    assert found.cycle_changes == (CycleChange(CycleChangeKind.CREATED, (), (cycle,), (pair,), 1),)
    assert found.adds_cycles
    assert found.impacts.changes == (
        ImpactChange("c", 0, 2, ("a", "b"), 2, (), 0),
        ImpactChange("a", 1, 2, ("b",), 1, (), 0),
    )


@pytest.mark.parametrize(
    ("calls", "change", "kind", "adds"),
    [
        ("a>b b>a c>a", ProposedChange(added("b>c")), CycleChangeKind.GROWN, True),
        ("a>b b>a c>d d>c b>c", ProposedChange(added("d>a")), CycleChangeKind.MERGED, True),
        ("a>b b>a c>d d>c b>e e>c", ProposedChange(added("d>a")), CycleChangeKind.MERGED, True),
        ("a>b b>c c>a", ProposedChange(added("b>a")), CycleChangeKind.DENSER, True),
        ("a>b b>c c>a b>a", ProposedChange(added("c>b"), removed("a>b")), CycleChangeKind.SHRUNK, True),
        ("a>b b>c c>a b>a", ProposedChange((), removed("c>a")), CycleChangeKind.SHRUNK, False),
        ("a>b b>a b>c c>b c>d d>c", ProposedChange((), removed("b>c")), CycleChangeKind.SPLIT, False),
        ("a>b b>c c>a", ProposedChange((), removed("b>c")), CycleChangeKind.BROKEN, False),
        ("a>b b>a", ProposedChange(added("b>c", "c>b"), removed("b>a")), CycleChangeKind.REARRANGED, True),
        (
            "a>b b>a c>d d>c",
            ProposedChange(added("a>c", "c>a"), removed("a>b", "c>d")),
            CycleChangeKind.REARRANGED,
            True,
        ),
    ],
)
def test_each_kind_of_cycle_change_is_recognized(
    calls: str, change: ProposedChange, kind: CycleChangeKind, adds: bool
) -> None:
    found = what_if(graph_of(*calls.split()), change)
    assert kinds(found)[0] is kind
    assert found.cycle_changes[0].adds_cycles is found.adds_cycles is adds


def test_a_second_dependency_between_two_services_adds_no_cycle() -> None:
    found = what_if(graph_of("a>b", "b>a"), ProposedChange(added("a>b", flags=MESH)))
    assert (found.cycle_changes, found.impacts.changes) == ((), ())


def test_removing_one_of_two_dependencies_between_two_services_breaks_no_cycle() -> None:
    graph = graph_of("a>b", "b>a")
    with_mesh = ProposedChange(added("a>b", flags=MESH), removed("a>b", discovery_source=MANUAL))
    assert kinds(what_if(graph, with_mesh)) == []
    assert kinds(what_if(graph, ProposedChange((), removed("a>b")))) == [CycleChangeKind.BROKEN]


def test_removals_come_before_additions() -> None:
    found = what_if(graph_of("a>b", "b>a"), ProposedChange(added("a>b"), removed("a>b")))
    assert (found.cycle_changes, found.impacts.changes) == ((), ())


def test_a_stale_dependency_forms_no_cycle_and_turning_stale_breaks_one() -> None:
    assert kinds(what_if(graph_of("a>b"), ProposedChange(added("b>a", flags=MANUAL | STALE)))) == []
    turned = ProposedChange(added("b>a", flags=MANUAL | STALE))
    assert kinds(what_if(graph_of("a>b", "b>a"), turned)) == [CycleChangeKind.BROKEN]


def test_min_confidence_applies_to_cycles_but_not_to_blast_radii() -> None:
    change = ProposedChange(added("b>a", confidence=0.4))
    assert kinds(what_if(graph_of("a>b"), change, min_confidence=0.4)) == [CycleChangeKind.CREATED]
    found = what_if(graph_of("a>b"), change, min_confidence=0.5)
    assert found.cycle_changes == ()
    assert found.impacts.count == 1
    risen = ProposedChange(added("b>a", confidence=0.9))
    graph = graph_of("a>b", "b>a", confidence=0.5)
    assert kinds(what_if(graph, risen, min_confidence=0.5)) == []
    fallen = ProposedChange(added("b>a", confidence=0.3))
    assert kinds(what_if(graph, fallen, min_confidence=0.5)) == [CycleChangeKind.BROKEN]


def test_new_services_are_listed_and_can_be_on_cycles() -> None:
    found = what_if(graph_of("a>b"), ProposedChange(added("b>new", "new>a", "zoo>b")))
    assert found.created == ("new", "zoo")
    assert found.cycle_changes[0].after[0].members == ("a", "b", "new")


def test_unknown_dependencies_are_reported_by_position() -> None:
    wrong = removed("a>b", "b>a", "a>unknown") + removed("a>b", discovery_source=MESH)
    with pytest.raises(UnknownDependenciesError) as caught:
        what_if(graph_of("a>b"), ProposedChange((), wrong))
    assert list(caught.value.positions) == [1, 2, 3]


def test_changes_that_add_cycles_come_first_then_the_largest() -> None:
    calls = ["a>b", "b>c", "c>d", "d>a", "k>l", "x>y", "y>z"]
    found = what_if(graph_of(*calls), ProposedChange(added("l>k", "z>x"), removed("d>a")))
    assert [(change.kind.value, len(change.before + change.after)) for change in found.cycle_changes] == [
        ("created", 1),
        ("created", 1),
        ("broken", 1),
    ]
    assert found.cycle_changes[0].after[0].members == ("x", "y", "z")


def test_closing_pairs_are_counted_and_the_first_are_listed() -> None:
    names = [f"s{number:02}" for number in range(PAIRS + 5)]
    ring = [f"{one}>{other}" for one, other in zip(names, names[1:] + names[:1], strict=True)]
    more = [f"{names[number]}>{names[number - 2]}" for number in range(2, PAIRS + 4)]
    [change] = what_if(graph_of(*ring), ProposedChange(added(*more))).cycle_changes
    assert change.closing_count == len(more)
    assert [pair.source for pair in change.closing] == names[2 : 2 + PAIRS]


@pytest.mark.parametrize("form", FORMS)
def test_blast_radii_are_right_for_more_cells_than_a_block(form: str) -> None:
    """More changed pairs than EXACT_PAIRS, large components, and more names than LISTED."""
    dice, count = Random(6), BLOCK + 80  # noqa: S311 - a game of dice, no secret
    calls = {tuple(sorted(dice.sample(range(count), 2))) for _ in range(3 * count)}
    calls |= {(number, (number + 1) % 300) for number in range(300)}
    edges = sorted(calls)
    written = [*(f"s{a}>s{b}" for a, b in edges), *(f"s{n}>s{n + 1}" for n in range(count - 1))]
    graph = graph_of(*written)
    was: nx.DiGraph[str] = nx.DiGraph()
    was.add_edges_from((call.split(">")[0], call.split(">")[1]) for call in written)
    gone = [edges[dice.randrange(len(edges))] for _ in range(10)]
    change = ProposedChange(
        added(*(f"new{n}>s{n * 30}" for n in range(10))),
        removed(*dict.fromkeys(f"s{a}>s{b}" for a, b in gone)),
    )
    will = was.copy()
    will.remove_edges_from([(key.source, key.target) for key in change.removed])
    will.add_edges_from([(each.source, each.target) for each in change.added])
    with kernels_in_form(form):
        impacts = what_if(graph, change, most_impacts=2 * count, work=10**12).impacts
    assert not impacts.truncated
    listed = {each.name: each for each in impacts.changes}
    assert len(listed) == impacts.count > BLOCK
    for name in will:
        before = nx.ancestors(was, name) if name in was else set()
        after = nx.ancestors(will, name)
        if before != after:
            each = listed[name]
            assert (each.before, each.after) == (len(before), len(after))
            assert (each.added_count, each.removed_count) == (len(after - before), len(before - after))
            assert each.added == tuple(sorted(after - before)[:LISTED])
            assert each.removed == tuple(sorted(before - after)[:LISTED])
        else:
            assert name not in listed


def test_with_little_work_allowed_the_nearest_services_are_examined() -> None:
    chain = [f"s{number:04}>s{number + 1:04}" for number in range(2 * BLOCK)]
    found = what_if(graph_of(*chain), ProposedChange(added("new>s0000")), most_impacts=5, work=1)
    assert found.impacts.truncated
    assert found.impacts.count == BLOCK
    assert [each.name for each in found.impacts.changes] == [f"s{number:04}" for number in range(5)]
    everything = what_if(graph_of(*chain), ProposedChange(added("new>s0000")), work=10**9)
    assert (everything.impacts.count, everything.impacts.truncated) == (2 * BLOCK + 1, False)


@pytest.mark.parametrize("few", [0, 1_000])
def test_services_are_sorted_by_name_however_many_there_are(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphcore.analysis.proposed_change._FEW", few)
    monkeypatch.setattr("graphcore.analysis.proposed_change._SHARE", 10**9)
    old = ["b", "b1", "d", "é", "z", "zz", "\N{CJK UNIFIED IDEOGRAPH-4E2D}", "\N{GRINNING FACE}"]
    new = ["zzz", "a", "c", "b0", "bb", "ba", "\N{LATIN SMALL LETTER Z WITH CARON}", "\N{PILE OF POO}"]
    numbering = Numbering(graph_of(*(f"{name}>hub" for name in old)))
    numbers = np.array([numbering.number(name) for name in [*new, *reversed(old)]], np.int32)
    assert numbering.names(numbering.sorted(numbers)) == sorted(old + new)
    assert numbering.names(numbering.sorted(numbers[:1])) == ["zzz"]
