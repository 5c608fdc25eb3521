"""Path audits against all pairs and all simple paths, drift against a dictionary. No I/O."""

from dataclasses import replace

from hypothesis import strategies as st

from graphcore import EdgeFilter, EdgeFlag
from graphcore.analysis import drift
from graphcore.analysis.drift import DriftPage, DriftQuestion, list_drift
from graphcore.analysis.path_audit import PathAudit, PathAuditQuestion, audit_paths
from graphcore.graph.flags import SOURCES as ALL_SOURCES
from graphcore.graph.name_order import NameOrder
from tests.support.audits import (
    DECLARING,
    SOURCES,
    Call,
    graph_of,
    merged_calls,
    plain_contradictions,
    plain_drift,
    plain_retries,
    plain_timeouts,
    plain_unknown,
    policies,
    some_calls,
)
from tests.support.kernel_forms import given_in_both_forms

# Short ones of few letters, and long ones that begin alike.
NAMES = st.text(st.characters(blacklist_characters="\0"), max_size=20) | st.builds(
    "{}{}".format, st.sampled_from(["", "a", "team/", "team/service-", "ж" * 9]), st.text("aж0", max_size=4)
)
KINDS = {drift.DECLARED: "declared", drift.OBSERVED: "observed", drift.CONTRADICTED: "contradicted"}
QUESTIONS = st.builds(
    DriftQuestion,
    kinds=st.sampled_from((1, 2, 3, 4)),
    service=st.sampled_from((None, "a")),
    ignore_stale=st.booleans(),
    most=st.integers(1, 5),
    sources=st.sampled_from((ALL_SOURCES, *(int(EdgeFlag[name]) for name in SOURCES))),
)
AMONG = st.none() | st.sets(st.sampled_from("abcdefg"))


def timeouts_of(audit: PathAudit) -> list[tuple[int, object, object]]:
    return [(found.excess, found.caller.payload, found.callee.payload) for found in audit.timeouts.worst]


def retries_of(audit: PathAudit) -> list[tuple[int, list[str]]]:
    return [(found.attempts, [service.name for service in found.services]) for found in audit.retries.worst]


def passing(calls: list[Call], *, include_stale: bool) -> list[Call]:
    return [call for call in fresh(calls, include_stale=include_stale) if call.mode == "SYNC"]


def fresh(calls: list[Call], *, include_stale: bool) -> list[Call]:
    return [call for call in calls if include_stale or not call.is_stale]


@given_in_both_forms(100, some_calls(), st.integers(1, 12), st.booleans(), st.sampled_from((None, "a", "b")))
def test_the_worst_timeouts_equal_those_among_all_pairs(
    calls: list[Call], most: int, include_stale: bool, begin: str | None
) -> None:
    expected = plain_timeouts(passing(calls, include_stale=include_stale), begin)
    question = PathAuditQuestion(begin, most=most, edge_filter=EdgeFilter.of(include_stale=include_stale))
    audit = audit_paths(graph_of(calls, "a", "b"), question, policies)
    assert timeouts_of(audit) == expected[:most]
    assert audit.timeouts.count == len(expected)


@given_in_both_forms(
    100,
    some_calls(),
    st.integers(1, 7),
    st.sampled_from((1, 3, 10, 60)),
    st.integers(1, 8),
    st.sampled_from((None, "a", "b")),
)
def test_the_worst_retries_equal_those_among_all_simple_paths(
    calls: list[Call], max_hops: int, max_attempts: int, most: int, begin: str | None
) -> None:
    expected = plain_retries(passing(calls, include_stale=False), max_hops, max_attempts, begin)
    question = PathAuditQuestion(begin, max_hops, max_attempts, most)
    audit = audit_paths(graph_of(calls, "a", "b"), question, policies)
    assert retries_of(audit) == expected[:most]
    assert (audit.retries.count, audit.retries.truncated) == (len(expected), False)


@given_in_both_forms(100, some_calls(attempts=(0, 1, 2, 5)), st.integers(1, 5), st.booleans())
def test_effective_audits_equal_audits_of_merged_sources(
    calls: list[Call], max_hops: int, include_stale: bool
) -> None:
    graph, passes = graph_of(calls, "a", "b"), EdgeFilter.of(include_stale=include_stale)
    merged = [call for call in merged_calls(calls, include_stale=include_stale) if call.mode == "SYNC"]
    question = PathAuditQuestion(None, max_hops, 3, 1_000, passes, effective=True)
    audit = audit_paths(graph, question, policies)
    assert (
        [
            (found.excess, found.caller.payload[:2], found.callee.payload[:2])  # type: ignore[index]
            for found in audit.timeouts.worst
        ]
        == [(excess, first[:2], second[:2]) for excess, first, second in plain_timeouts(merged)]
    )
    assert retries_of(audit) == plain_retries(merged, max_hops, 3)


@given_in_both_forms(
    100, some_calls(), st.integers(1, 4), st.booleans(), st.booleans(), st.sampled_from((None, "a", "b"))
)
def test_calls_of_unknown_mode_are_counted_apart(
    calls: list[Call], max_hops: int, include_stale: bool, effective: bool, begin: str | None
) -> None:
    passes = EdgeFilter.of(include_stale=include_stale)
    question = PathAuditQuestion(begin, max_hops, edge_filter=passes, effective=effective)
    audit = audit_paths(graph_of(calls, "a", "b"), question, policies)
    counting = (
        merged_calls(calls, include_stale=include_stale)
        if effective
        else fresh(calls, include_stale=include_stale)
    )
    assert audit.of_unknown_mode == plain_unknown(counting, begin, max_hops)


@given_in_both_forms(100, some_calls(), st.booleans())
def test_drift_counts_the_pairs_of_which_no_source_knows_the_mode(
    calls: list[Call], ignore_stale: bool
) -> None:
    page = list_drift(graph_of(calls, "a"), DriftQuestion(ignore_stale=ignore_stale))
    merged = merged_calls(calls, include_stale=not ignore_stale)
    assert page.of_unknown_mode == sum(call.mode == "UNKNOWN_MODE" for call in merged)
    assert page.of_unknown_criticality == 0


@given_in_both_forms(
    60, some_calls("abcdef", (1, 2, 7, 1_000, 2_000_000_000), 30), st.integers(1, 6), st.integers(1, 4)
)
def test_products_are_capped_at_the_largest_number(calls: list[Call], max_hops: int, most: int) -> None:
    expected = plain_retries(passing(calls, include_stale=False), max_hops, 10, None)
    audit = audit_paths(graph_of(calls), PathAuditQuestion(None, max_hops, 10, most), policies)
    assert retries_of(audit) == expected[:most]


@given_in_both_forms(80, some_calls(), QUESTIONS, AMONG)
def test_drift_equals_that_of_a_dictionary_of_pairs(
    calls: list[Call], asked: DriftQuestion, among: set[str] | None
) -> None:
    graph = graph_of(calls, *"abcdefg")
    expected = expected_drift(calls, asked, among)
    nodes = None if among is None else [graph.node(name) for name in among]
    question = replace(asked, among=nodes)
    pages: list[DriftPage] = []
    while True:
        page = list_drift(graph, question)
        pages.append(page)
        assert page.total == len(expected)
        assert len(page.drifts) <= question.most
        if not page.more:
            break
        question = replace(question, after=page.drifts[-1][1:3])
    listed = [found for page in pages for found in page.drifts]
    assert [(found.source, found.target, KINDS[found.kind]) for found in listed] == expected
    for found in listed:
        assert found.nodes == (graph.node(found.source), graph.node(found.target))
        rows = [call for call in calls if call[:2] == (found.source, found.target)]
        present = fresh(rows, include_stale=not asked.ignore_stale)
        assert [record.payload for record in found.present] == sorted(
            present, key=lambda call: call.discovery
        )
        other = [call for call in rows if call not in present and is_other_side(call, found.kind)]
        assert [record.payload for record in found.gone] == sorted(other, key=lambda call: call.discovery)


def expected_drift(
    calls: list[Call], asked: DriftQuestion, among: set[str] | None
) -> list[tuple[str, str, str]]:
    if asked.kinds == drift.CONTRADICTED:
        contradicted = plain_contradictions(calls, ignore_stale=asked.ignore_stale)
        kinds = dict.fromkeys(contradicted, "contradicted")
    else:
        kinds = plain_drift(calls, ignore_stale=asked.ignore_stale)
    counting = fresh(calls, include_stale=not asked.ignore_stale)
    reported = {call[:2] for call in counting if EdgeFlag[SOURCES[call.discovery]] & asked.sources}
    return sorted(
        (*pair, kind)
        for pair, kind in kinds.items()
        if kind in [KINDS[bit] for bit in KINDS if bit & asked.kinds]
        and pair in reported
        and (asked.service is None or asked.service in pair)
        and (among is None or among & {*pair})
    )


def is_other_side(call: Call, kind: int) -> bool:
    if kind == drift.CONTRADICTED:
        return False
    return (SOURCES[call.discovery] in DECLARING) != (kind == drift.DECLARED)


@given_in_both_forms(100, st.lists(NAMES, unique=True, max_size=120), NAMES)
def test_services_are_in_the_order_of_their_names(names: list[str], other: str) -> None:
    graph = graph_of([], *names)
    order = NameOrder.of(graph)
    assert [graph.digraph[int(node)].name for node in order.nodes] == sorted(names)
    assert [int(order.rank[graph.node(name)]) for name in sorted(names)] == list(range(len(names)))
    assert order.place(graph, other) == sum(name < other for name in names)
