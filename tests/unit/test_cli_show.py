"""No I/O: what ``depgraph show`` draws, whatever the names hold."""

import re
from html import unescape
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_SYNC,
    DEPENDENCY_CRITICALITY_HARD,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    Dependency,
    EffectiveDependency,
)
from server.cli.render.diagrams import dot_escaped, dot_lines, mermaid_escaped, mermaid_lines
from server.cli.render.labels import dependency_label
from server.cli.render.neighbourhood import Neighbourhood, downstream, tree_lines, upstream
from server.cli.render.text import counted, printable, visible

NASTY = [
    'say "hi"',
    "a]b[c",
    "[bold]red[/bold]",
    "line\nbreak",
    "back\\slash",
    "ends with \\",
    "\x1b[31mred",
    "right\u202eleft",
    "#quot;",
    "&lt;b&gt;",
    "<script>",
    "style:x#y;",
    "`code`",
    "end",
    "支付",
    "tab\there",
    "\ud800",
]
any_name = st.text(st.characters(), min_size=1, max_size=20) | st.sampled_from(NASTY)
stored_name = st.text(min_size=1, max_size=20) | st.sampled_from([name for name in NASTY if name != "\ud800"])


def dependency(source: str, target: str) -> Dependency:
    return Dependency(
        source_service_id=source,
        target_service_id=target,
        communication_mode=COMMUNICATION_MODE_SYNC,
        criticality=DEPENDENCY_CRITICALITY_HARD,
        discovery_source=DISCOVERY_SOURCE_MANUAL,
    )


def path(*names: str) -> list[Dependency]:
    return [dependency(source, target) for source, target in pairwise(names)]


def around(start: str, found: list[Dependency], depth: int = 3, fan: int = 0) -> Neighbourhood:
    return Neighbourhood(
        start=start,
        calls=downstream(start, found, depth=depth, fan=fan),
        called_by=upstream(start, found, depth=depth, fan=fan),
    )


def tree(start: str, found: list[Dependency], depth: int = 3, fan: int = 0) -> list[str]:
    return [line.plain for line in tree_lines(around(start, found, depth, fan))]


def test_a_tree_shows_what_a_service_calls_and_who_calls_it() -> None:
    assert tree("b", [*path("a", "b", "c"), *path("b", "d")]) == [
        "b",
        "├── calls 2 services",
        "│   ├── c  sync hard",
        "│   └── d  sync hard",
        "└── called by 1 service",
        "    └── a  sync hard",
    ]


def test_a_service_without_neighbours_says_so() -> None:
    assert tree("a", []) == ["a", "├── calls no service", "└── called by no service"]


def test_one_direction_is_one_branch() -> None:
    lines = tree_lines(Neighbourhood("a", downstream("a", path("a", "b"), depth=1, fan=0), None))
    assert [line.plain for line in lines] == ["a", "└── calls 1 service", "    └── b  sync hard"]


def test_a_call_back_up_the_branch_is_marked_as_a_cycle() -> None:
    lines = tree("a", path("a", "b", "c", "a"))
    assert lines[1:5] == [
        "├── calls 2 services",
        "│   └── b  sync hard",
        "│       └── c  sync hard",
        "│           └── a  sync hard  ↺ cycle",
    ]


def test_a_service_is_expanded_once_where_it_is_fewest_hops_away() -> None:
    lines = tree("a", [*path("a", "b", "x", "y"), *path("a", "x")])
    assert lines[2:6] == [
        "│   ├── b  sync hard",
        "│   │   └── x  sync hard  ↑ expanded elsewhere",
        "│   └── x  sync hard",
        "│       └── y  sync hard",
    ]


def test_a_leaf_that_is_reached_twice_is_not_marked() -> None:
    assert not [line for line in tree("a", [*path("a", "b", "x"), *path("a", "x")]) if "elsewhere" in line]


def test_nothing_beyond_the_depth_is_drawn() -> None:
    assert not [line for line in tree("a", path("a", "b", "c", "d"), depth=2) if "d" in line.split()]


def test_a_large_fan_is_cut_and_counted() -> None:
    found = [dependency("hub", f"s{number:04}") for number in range(1_234)]
    lines = tree("hub", found, fan=2)
    assert lines[1:5] == [
        "├── calls 1,234 services",
        "│   ├── s0000  sync hard",
        "│   ├── s0001  sync hard",
        "│   └── … and 1,232 more",
    ]


def test_a_service_behind_a_cut_is_expanded_where_it_is_drawn() -> None:
    found = [*path("a", "b"), *path("a", "c"), *path("a", "z"), *path("b", "z", "end")]
    lines = tree("a", found, fan=2)
    assert "│   │   └── z  sync hard" in lines
    assert "│   │       └── end  sync hard" in lines


def test_the_order_of_the_answer_does_not_matter() -> None:
    found = [*path("a", "b", "c", "a"), *path("a", "c"), *path("d", "a", "e")]
    assert tree("a", found) == tree("a", found[::-1])


def test_a_label_says_what_each_source_saw() -> None:
    declared = dependency("a", "b")
    declared.protocol, declared.timeout_ms = "grpc", 1_500
    seen = Dependency(
        communication_mode=COMMUNICATION_MODE_ASYNC,
        criticality=DEPENDENCY_CRITICALITY_HARD,
        discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
        confidence_score=0.85,
        is_stale=True,
    )
    assert dependency_label([declared, seen]) == (
        "sync hard grpc 1,500 ms + async hard (otel service graph) confidence 0.85 stale"
    )


def test_a_label_of_all_sources_together_names_them() -> None:
    together = EffectiveDependency(
        communication_mode=COMMUNICATION_MODE_SYNC,
        criticality=DEPENDENCY_CRITICALITY_HARD,
        protocol="grpc",
        timeout_ms=800,
        confidence_score=0.5,
        discovery_sources=[DISCOVERY_SOURCE_MANUAL, DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH],
    )
    assert dependency_label([together]) == "sync hard grpc 800 ms (manual, otel service graph) confidence 0.5"
    del together.discovery_sources[1:]
    assert dependency_label([together]) == "sync hard grpc 800 ms confidence 0.5"


@given(any_name, any_name)
def test_different_names_are_shown_as_different_single_lines(one: str, other: str) -> None:
    assert visible(one).isprintable()
    assert (visible(one) == visible(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "shown"), [("a\nb", "a\\nb"), ("\x1b[0m", "\\x1b[0m"), ("ünï 支付", "ünï 支付")]
)
def test_only_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(any_name.filter(str.isprintable))
def test_markup_in_a_name_is_shown_as_it_is(name: str) -> None:
    assert next(tree_lines(around(name, []))).plain == visible(name)


@given(any_name)
def test_a_mermaid_label_reads_back_as_the_name(name: str) -> None:
    escaped = mermaid_escaped(name)
    assert not set(escaped) & set('"[]{}()<>|`\\:%&\n')
    assert re.sub(r"#(\d+);", lambda entity: chr(int(entity[1])), escaped) == visible(name)


@given(any_name)
def test_a_dot_label_reads_back_as_the_name(name: str) -> None:
    escaped = dot_escaped(name)
    tokens = re.fullmatch(r'(?:[^"\\]|\\["\\])*', escaped)
    assert tokens is not None
    assert unescape(re.sub(r"\\(.)", r"\1", escaped)) == visible(name)


@given(st.lists(st.tuples(stored_name, stored_name).filter(lambda pair: pair[0] != pair[1]), max_size=8))
def test_drawings_have_one_line_a_service_and_one_a_pair(pairs: list[tuple[str, str]]) -> None:
    found = [dependency(source, target) for source, target in pairs]
    start = pairs[0][0] if pairs else "a"
    drawn = around(start, found, depth=10)
    reached = {name for source, link in drawn.edges for name in (source, link.service_id)} | {start}
    chart, graph = list(mermaid_lines(drawn)), list(dot_lines(drawn))
    assert sum(line.endswith('"]') for line in chart) == len(reached)
    assert sum('"| n' in line for line in chart) == len(drawn.edges)
    assert sum("-> n" in line for line in graph) == len(drawn.edges)


def test_arrows_point_from_the_caller_to_the_callee() -> None:
    drawn = around("b", path("a", "b", "c"))
    assert list(mermaid_lines(drawn)) == [
        "flowchart LR",
        '    n0["b"]',
        '    n1["a"]',
        '    n2["c"]',
        "    style n0 stroke-width:3px",
        '    n1 -->|"sync hard"| n0',
        '    n0 -->|"sync hard"| n2',
    ]
    assert '    n1 -> n0 [label="sync hard", style=solid];' in dot_lines(drawn)


def test_a_cut_fan_is_a_node_of_its_own_in_drawings() -> None:
    callers = [dependency(f"s{number}", "hub") for number in range(5)]
    drawn = around("hub", callers, fan=2)
    assert '    n0_callers(["… and 3 more"])' in list(mermaid_lines(drawn))
    assert "    n0_callers -> n0 [style=dotted, arrowhead=none];" in list(dot_lines(drawn))


@pytest.mark.parametrize(
    ("number", "said"), [(1, "1 service"), (0, "0 services"), (21_808, "21,808 services")]
)
def test_numbers_are_counted_in_words(number: int, said: str) -> None:
    assert counted(number, "service") == said
